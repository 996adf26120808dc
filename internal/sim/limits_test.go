package sim

import (
	"slices"

	"github.com/durable-go/durable/store"
)

// limitMutants are bugs about what queues share.
func limitMutants() []planted {
	limited := func(o *Options) {
		m := o.Mutant
		*o = Draw(limitedSeeds + o.Seed)
		o.Mutant = m
	}
	holds := func(spoil func(list []store.Hold) []store.Hold) func(*database, *store.Write) {
		return func(_ *database, w *store.Write) {
			if w.Advance != nil && len(w.Advance.Holds) > 0 {
				w.Advance.Holds = spoil(slices.Clone(w.Advance.Holds))
			}
		}
	}
	return []planted{
		{
			Mutant: Mutant{Name: "limits are not looked at", Write: holds(func(list []store.Hold) []store.Hold {
				for i := range list {
					list[i].Limit = 1 << 40
				}
				return list
			})},
			killers: []string{"G18"}, draw: limited,
		},
		{
			Mutant: Mutant{Name: "nothing is taken from limits", Write: holds(func([]store.Hold) []store.Hold { return nil })}, killers: []string{"G18"},
			draw: func(o *Options) { limited(o); o.Rates = nil },
		},
		{
			Mutant: Mutant{Name: "tokens come free early", Write: holds(func(list []store.Hold) []store.Hold {
				for i := range list {
					list[i].Window -= list[i].Window / 4
				}
				return list
			})},
			killers: []string{"G18"}, draw: limited,
		},
		{
			Mutant: Mutant{Name: "slots of limits are kept until the release", Write: holds(func(list []store.Hold) []store.Hold {
				return slices.DeleteFunc(list, func(h store.Hold) bool { return h.Amount == 0 })
			})},
			killers: []string{"calm"}, draw: func(o *Options) {
				limited(o)
				o.Rates, o.Global = nil, map[string]int{"ai": 1}
			},
		},
		{Mutant: Mutant{Name: "a pause is forgotten", Unpaused: true}, killers: []string{"QU-10"}, draw: limited},
		{Mutant: Mutant{Name: "workers are not told of pauses", Untold: true}, killers: []string{"QU-10"}, draw: limited},
	}
}
