package sim

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// TestG14_G16_RecallSeeds runs an eighth as many seeds with children that have compensations.
func TestG14_G16_RecallSeeds(t *testing.T) {
	someOfKind(t, 8, recallSeeds, "a child completes and has something to undo", "a child is open when its parent goes back", "a child that has ended goes back",
		"a child that has not ended is to go back", "an order to go back is answered at once", "a child is undone with its parent",
		"a child answers that it is compensation_failed", "takeover", "compensated", "compensation_failed", "completed", "failed", "cancelled")
}

// recallMutants are bugs about children that go back with their parents.
func recallMutants() []planted {
	recall := ofKind(recallSeeds)
	ordered := func(change func(o *journal.Ordered)) func(*process, *store.Write) {
		return edit(func(f *journal.Fact) {
			if f.Kind != journal.Recalling {
				return
			}
			var o journal.Ordered
			if err := json.Unmarshal(f.Data, &o); err != nil {
				panic(err)
			}
			change(&o)
			f.Data = journal.Order("", o, nil, 0).Data
		})
	}
	return []planted{
		{Mutant: Mutant{Name: "orders to go back are not given", Send: func(_ *process, w *store.Write) {
			if w.Advance != nil {
				w.Advance.Recall = nil
			}
		}}, killers: []string{"G14"}, draw: recall},
		{Mutant: Mutant{Name: "an order to go back is not read", Read: func(_ *database, r *store.Record) {
			r.Messages = slices.DeleteFunc(slices.Clone(r.Messages), func(m store.Message) bool { return m.Topic == run.TopicRecall })
		}}, killers: []string{"malformed", "G15", "calm", "hot loop", "liveness", "G14"}, draw: recall},
		{
			Mutant: Mutant{Name: "whoever answers is undone", Send: ordered(func(o *journal.Ordered) {
				o.Undone, o.Failed = slices.Concat(o.Undone, o.Failed), nil
			})},
			killers: []string{"G14"}, draw: recall,
		},
		{
			Mutant: Mutant{Name: "parents are not told what there is to undo", Send: releasing(func(r *store.Release) {
				var report run.ChildReport
				if len(r.Report) > 0 && json.Unmarshal(r.Report, &report) == nil {
					report.Undo = false
					r.Report = report.Encode()
				}
			})},
			killers: []string{"G14"}, draw: recall,
		},
		{
			Mutant: Mutant{Name: "completed children are left as they are", Send: edit(func(f *journal.Fact) {
				f.Undo = f.Undo && f.Kind != journal.Received && f.Kind != journal.Called
			})},
			killers: []string{"G14"}, draw: recall,
		},
		{
			Mutant: Mutant{Name: "open children are left as they are", Send: edit(func(f *journal.Fact) {
				f.Undo = f.Undo && f.Kind != journal.Turned
			})},
			killers: []string{"G14", "doctor", "G2"}, draw: recall,
		},
		{
			Mutant:  Mutant{Name: "the answer of a child is as its first end", Send: releasing(func(r *store.Release) { r.Topic, r.Dedupe = "", "" })},
			killers: []string{"G16"}, draw: recall,
		},
		{
			Mutant: Mutant{Name: "rollbacks of children go on after the end of their parent's", Send: func(_ *process, w *store.Write) {
				if w.Advance != nil {
					w.Advance.Tell = slices.DeleteFunc(slices.Clone(w.Advance.Tell), func(d store.Deliver) bool { return d.Topic == run.TopicHalt })
				}
			}},
			killers: []string{"G14"}, draw: recall,
		},
		{
			Mutant: Mutant{Name: "orders are given again by each owner", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Kind == journal.Recalling })
			}},
			killers: []string{"G14"}, draw: recall,
		},
	}
}
