package sim

import (
	"slices"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// TestG16_FamilySeeds runs half as many seeds with children.
func TestG16_FamilySeeds(t *testing.T) {
	kindOfSeeds(t, familySeeds, "child", "end of a child heard", "a child that has ended is awaited", "child let go", "child told to end", "takeover", "completed", "failed", "cancelled")
}

// ofKind draws a mutant's seeds from a kind.
func ofKind(kind uint64) func(o *Options) {
	return func(o *Options) {
		m := o.Mutant
		*o = Draw(o.Seed + kind)
		o.Mutant = m
	}
}

// releasing changes releases on their way to the store.
func releasing(change func(r *store.Release)) func(*process, *store.Write) {
	return func(_ *process, w *store.Write) {
		if w.Advance != nil && w.Advance.Release != nil {
			a, r := *w.Advance, *w.Advance.Release
			change(&r)
			a.Release = &r
			w.Advance = &a
		}
	}
}

// familyMutants are bugs about children.
func familyMutants() []planted {
	family := ofKind(familySeeds)
	return []planted{
		{Mutant: Mutant{Name: "the end of a child is told to nobody", Send: releasing(func(r *store.Release) { r.Report = nil })}, killers: []string{"G16"}, draw: family},
		{
			Mutant: Mutant{Name: "every child is said to have completed", Send: releasing(func(r *store.Release) {
				if r.Report != nil && r.Status == store.Failed {
					r.Report = run.ChildReport{Status: store.Completed}.Encode()
				}
			})},
			killers: []string{"G16"}, draw: family,
		},
		{Mutant: Mutant{Name: "children of the cancelled are not told", Send: releasing(func(r *store.Release) { r.Family = nil })}, killers: []string{"G15"}, draw: family},
		{
			Mutant: Mutant{Name: "who is no longer awaited is not told", Send: func(_ *process, w *store.Write) {
				if w.Advance != nil {
					w.Advance.Tell = nil
				}
			}},
			killers: []string{"G16"}, draw: family,
		},
		{
			Mutant: Mutant{Name: "children of the failed are told that they are cancelled", Send: releasing(func(r *store.Release) {
				if r.Status == store.Failed {
					r.Family = run.Notice(store.ID{}, "")
				}
			})},
			killers: []string{"G16"}, draw: family,
		},
		{
			Mutant: Mutant{Name: "a begun child is forgotten", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Child != "" })
			}},
			killers: []string{"G16", "G2", "G6", "VR-3", "doctor"}, draw: family,
		},
		{
			Mutant: Mutant{Name: "a child begins without its row", Send: func(_ *process, w *store.Write) {
				if w.Advance != nil && len(w.Advance.Children) > 0 {
					w.Advance.Children = nil
				}
			}},
			killers: []string{"G16"}, draw: family,
		},
		{
			Mutant: Mutant{Name: "a cancel by the parent is not read", Read: func(_ *database, r *store.Record) {
				r.Messages = slices.DeleteFunc(slices.Clone(r.Messages), func(m store.Message) bool { return m.Topic == run.TopicCancel })
			}},
			killers: []string{"G15", "calm", "hot loop"}, draw: family,
		},
		{
			Mutant: Mutant{Name: "the end of a child wakes nobody", Write: func(_ *database, w *store.Write) {
				if w.Advance != nil && w.Advance.Release != nil && len(w.Advance.Release.Report) > 0 {
					r := *w.Advance.Release
					r.Topic = "asleep"
					w.Advance.Release = &r
				}
			}},
			killers: []string{"calm", "G9", "liveness"}, draw: family,
		},
	}
}
