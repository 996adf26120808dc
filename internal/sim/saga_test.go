package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// TestG14_SagaSeeds runs half as many seeds with compensations.
func TestG14_SagaSeeds(t *testing.T) {
	kindOfSeeds(t, sagaSeeds, "turned", "undone", "halted", "revived", "cancelled, and goes back", "compensated", "compensation_failed", "takeover", "completed", "failed", "cancelled")
}

// sagaMutants are bugs about rollbacks.
func sagaMutants() []planted {
	sagas := ofKind(sagaSeeds)
	undo := func(f *journal.Fact) bool { return strings.Contains(f.Path, "~") }
	return []planted{
		{
			Mutant:  Mutant{Name: "what is to be undone is not marked", Send: edit(func(f *journal.Fact) { f.Undo = f.Undo && f.Kind == journal.Cancelled })},
			killers: []string{"G14", "G2", "doctor"}, draw: sagas,
		},
		{
			Mutant:  Mutant{Name: "compensations are forgotten", Config: retree(func(n *tree.Node) { n.Undo = nil })},
			killers: []string{"G14", "VR-3"}, draw: sagas,
		},
		{
			Mutant: Mutant{Name: "an undo that failed is said to have succeeded", Send: edit(func(f *journal.Fact) {
				if f.Kind == journal.Failed && undo(f) {
					f.Kind, f.Err = journal.Done, nil
				}
			})},
			killers: []string{"G14", "doctor"}, draw: sagas,
		},
		{
			Mutant: Mutant{Name: "an undo that is done is done again", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Kind == journal.Done && undo(f) })
			}},
			killers: []string{"G14", "G3", "G2"}, draw: sagas,
		},
		{
			Mutant: Mutant{Name: "the last step done is not known", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Kind == journal.Tried && f.Undo && len(r.Rows) > 3 })
			}},
			killers: []string{"G14", "G2", "G6", "VR-3", "G5", "RT-10", "liveness"}, draw: sagas,
		},
		{
			Mutant:  Mutant{Name: "bodies are said to have ended when they are told to", Brisk: true},
			killers: []string{"G14", "RS-7", "G18"}, draw: sagas,
		},
		{
			Mutant: Mutant{Name: "the end of a rollback is not read", Read: func(_ *database, r *store.Record) {
				r.Messages = slices.DeleteFunc(slices.Clone(r.Messages), func(m store.Message) bool { return m.Topic == run.TopicHalt })
			}},
			killers: []string{"G14"}, draw: sagas,
		},
		{
			Mutant: Mutant{Name: "a failed rollback is compensated", Send: releasing(func(r *store.Release) {
				if r.Status == store.CompensationFailed {
					r.Status = store.Compensated
				}
			})},
			killers: []string{"G14", "doctor"}, draw: sagas,
		},
		{
			Mutant: Mutant{Name: "a cancel reaches what has moved since it looked", Write: func(_ *database, w *store.Write) {
				if w.Control != nil {
					w.Control.Before = 0
				}
			}},
			killers: []string{"G2"}, draw: func(o *Options) {
				sagas(o)
				o.Calm, o.Deploy, o.Cancels, o.Runs, o.Delay = false, true, 30, 4, second
			},
		},
		{
			Mutant: Mutant{Name: "who fails with something to undo just fails", Send: releasing(func(r *store.Release) {
				if r.Status == store.Compensating && r.Due.IsZero() {
					r.Status, r.ErrorCode = store.Failed, "error"
				}
			})},
			killers: []string{"G14", "doctor", "malformed"}, draw: sagas,
		},
	}
}
