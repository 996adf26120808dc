package sim

import (
	"slices"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// TestG9_OrderSeeds runs half as many seeds with orders to open waits.
func TestG9_OrderSeeds(t *testing.T) {
	kindOfSeeds(t, orderSeeds, "wait cancelled", "wait extended", "timer fired", "takeover", "completed", "failed")
}

// TestG9_PublishSeeds runs half as many seeds with events that are published.
func TestG9_PublishSeeds(t *testing.T) {
	kindOfSeeds(t, publishSeeds, "published to a wait", "published before the wait", "published twice", "published and heard", "takeover", "completed", "failed")
}

// orderMutants are bugs about orders and about what is published.
func orderMutants() []planted {
	orders, publish := ofKind(orderSeeds), ofKind(publishSeeds)
	return []planted{
		{
			Mutant: Mutant{Name: "what a wait heard wins over its cancel", Send: func(_ *process, w *store.Write) {
				if holds(w, func(f *journal.Fact) bool { return f.Kind == journal.Received && f.Call != journal.InDoubtCall }) {
					w.Advance.Seen = -1
				}
			}},
			killers: []string{"G9"}, draw: orders,
		},
		{
			Mutant:  Mutant{Name: "a wait is extended by half", Send: edit(func(f *journal.Fact) { f.Until -= f.Until % 2 * 1000 })},
			killers: []string{"G2"}, draw: orders,
		},
		{
			Mutant: Mutant{Name: "lists show the old deadline", Send: func(_ *process, w *store.Write) {
				if w.Advance != nil {
					w.Advance.Alter = nil
				}
			}},
			killers: []string{"doctor"}, draw: orders,
		},
		{
			Mutant: Mutant{Name: "an order is dropped", Send: func(_ *process, w *store.Write) {
				strip(w, func(f *journal.Fact) bool { return f.Kind == journal.Altered || f.Kind == journal.Revoked })
			}},
			killers: []string{"G9", "doctor", "G2"}, draw: orders,
		},
		{
			Mutant: Mutant{Name: "an order ends the wait in the store only", Read: func(_ *database, r *store.Record) {
				r.Messages = slices.DeleteFunc(slices.Clone(r.Messages), func(m store.Message) bool { return m.Topic == run.TopicRevoke })
			}},
			killers: []string{"calm", "liveness", "hot loop", "G9", "G10", "malformed"}, draw: orders,
		},
		{Mutant: Mutant{Name: "publishers take a lost reply for a failure", Fresh: true}, killers: []string{"G9"}, draw: publish},
		{
			Mutant:  Mutant{Name: "nothing is kept", Publish: func(_ *database, p *store.Publication) { p.Keep = 1 }},
			killers: []string{"G9"}, draw: publish,
		},
		{
			Mutant: Mutant{Name: "a shared wait asks for nothing that is kept", Write: func(_ *database, w *store.Write) {
				if w.Advance != nil {
					w.Advance.Open = slices.Clone(w.Advance.Open)
					for i := range w.Advance.Open {
						w.Advance.Open[i].Shared = false
					}
				}
			}},
			killers: []string{"G9"}, draw: publish,
		},
		{
			Mutant:  Mutant{Name: "something else arrives than what was published", Publish: func(_ *database, p *store.Publication) { p.Payload = []byte("0") }},
			killers: []string{"G9"}, draw: publish,
		},
	}
}

// TestMixedSeeds runs half as many seeds with several kinds of workload at once.
func TestMixedSeeds(t *testing.T) {
	kindOfSeeds(t, mixedSeeds, "child", "undone", "wait cancelled", "published and heard", "takeover", "completed", "failed")
}
