package sim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// TestEA6_G16_SpreadSeeds runs an eighth as many seeds with items that are runs of their own; half of them
// have compensations.
func TestEA6_G16_SpreadSeeds(t *testing.T) {
	someOfKind(t, 8, spreadSeeds, "spread", "items side by side", "end of an item heard", "an item fails its Each", "item told to end",
		"an item completes and has something to undo", "an item is open when its Each fails or goes back", "a child is undone with its parent",
		"takeover", "completed", "failed", "cancelled", "compensated")
}

// spreadMutants are bugs about items that are runs of their own.
func spreadMutants() []planted {
	spread := ofKind(spreadSeeds)
	scattered := func(change func(d *journal.Spreading)) func(*process, *store.Write) {
		return edit(func(f *journal.Fact) {
			if f.Kind != journal.Scattered {
				return
			}
			var d journal.Spreading
			if err := json.Unmarshal(f.Data, &d); err != nil {
				panic(err)
			}
			change(&d)
			f.Data = journal.Scatter("", d, nil, 0).Data
		})
	}
	return []planted{
		{
			Mutant: Mutant{Name: "Concurrency of spread items is forgotten", Config: retree(func(n *tree.Node) {
				if n.Spread {
					n.Concurrency = 0
				}
			})},
			killers: []string{"EA-2"}, draw: spread,
		},
		{Mutant: Mutant{Name: "every item ends well", Send: scattered(func(d *journal.Spreading) { d.Failed = nil })}, killers: []string{"G16"}, draw: spread},
		{Mutant: Mutant{Name: "items have nothing to undo", Send: scattered(func(d *journal.Spreading) { d.Undo = nil })}, killers: []string{"G14"}, draw: spread},
		{
			Mutant: Mutant{Name: "the end of an item is taken and not recorded", Send: func(_ *process, w *store.Write) {
				strip(w, func(f *journal.Fact) bool {
					return f.Kind == journal.Scattered && !f.Derived && !slices.Contains(strings.Split(string(f.Data), `"`), "begun")
				})
			}},
			killers: []string{"G16", "G2"}, draw: spread,
		},
		{
			Mutant: Mutant{Name: "items of an Each that has failed are not told", Send: func(p *process, w *store.Write) {
				if w.Advance != nil {
					w.Advance.Tell = slices.DeleteFunc(slices.Clone(w.Advance.Tell), func(d store.Deliver) bool {
						c := p.s.work(d.ID)
						return c != nil && c.isItem() && d.Topic == run.TopicCancel
					})
				}
			}},
			killers: []string{"G16"}, draw: spread,
		},
		{
			Mutant: Mutant{Name: "a list is not kept with its answer", Send: func(_ *process, w *store.Write) {
				if w.Advance != nil {
					w.Advance.Blobs = nil
				}
			}},
			killers: []string{"EA-6"}, draw: spread,
		},
		{
			Mutant: Mutant{Name: "items that have begun are forgotten", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Kind == journal.Scattered })
			}},
			killers: []string{"EA-6", "G2", "VR-3", "G16", "doctor"}, draw: spread,
		},
		{
			Mutant: Mutant{Name: "the end of an item wakes nobody", Write: func(_ *database, w *store.Write) {
				if w.Advance != nil && w.Advance.Release != nil && strings.HasPrefix(w.Advance.Release.Topic, "items:") {
					r := *w.Advance.Release
					r.Topic = "asleep"
					w.Advance.Release = &r
				}
			}},
			killers: []string{"calm", "G9", "liveness"}, draw: spread,
		},
		{
			Mutant: Mutant{Name: "a report of an item tells nothing", Send: releasing(func(r *store.Release) {
				if strings.HasPrefix(r.Topic, "items:") {
					r.Report = run.ChildReport{}.Encode()
				}
			})},
			killers: []string{"G16"}, draw: spread,
		},
	}
}
