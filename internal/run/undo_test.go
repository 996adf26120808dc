package run

import (
	"testing"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// A rollback that waits for an old body to end goes on when that has ended: its process
// says so, and looks for the run itself. Nobody else may be there.
func TestG14_TheRollbackGoesOnWhenTheOldBodyEnds(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, node(tree.Step, "s"))
	h.land()
	h.w.Taken(h.rec.ID, h.now) // cancelled, to go back
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now}, nil, h.now)
	h.claims = nil
	h.w.Returned(h.body("s"), plan.Ending{}, false, h.now)
	if len(h.told) != 1 || len(h.claims) > 0 {
		t.Fatalf("%d reports, claims %+v", len(h.told), h.claims)
	}
	h.w.Committed(h.told[0], store.Verdict{Code: store.Applied}, nil, h.now, h.now, h.now)
	if len(h.claims) != 1 {
		t.Error("the report has landed, and nobody looks for the run")
	}
}

// goingBack gives the worker a claim of a run whose undo waits for a message.
func goingBack(h *hands, status store.Status) {
	rows := [][]journal.Fact{
		{{Kind: journal.Tried, Path: "s", Attempt: 1, Epoch: 1, Undo: true}},
		{{Kind: journal.Done, Path: "s", Attempt: 1, Undo: true}, {Kind: journal.Turned, Err: &journal.Error{Code: "error"}}},
		{{Kind: journal.Tried, Path: "s~1", Attempt: 1, Epoch: 2}},
		{{Kind: journal.Waited, Path: "s~1", Call: "event:e#1", Wait: &journal.Wait{ID: "w", Kind: "event", Topic: "event:e"}}},
	}
	h.rec.Rows = h.rec.Rows[:1]
	for i, facts := range rows {
		h.rec.Rows = append(h.rec.Rows, store.Row{Seq: i + 2, Epoch: 2, Body: journal.Encode(facts)})
	}
	h.rec.Length, h.rec.Epoch, h.rec.Status = 5, 3, status
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now, Records: []store.Record{h.rec}}, nil, h.now)
}

func undoable() *tree.Node {
	n := node(tree.Step, "s")
	n.Undo = &tree.Retry{MaxAttempts: 1}
	return n
}

// A rollback that was blocked is claimed as running and let go at once, to go on as a
// rollback. It is due then, whatever it waits for: nobody has looked at its messages.
func TestG14_ARollbackThatWasBlockedIsDue(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, undoable())
	h.w.Taken(h.rec.ID, h.now)
	goingBack(h, store.Running)
	if r := h.last().Release; r == nil || r.Status != store.Compensating || !r.Due.IsZero() {
		t.Errorf("released as %+v", r)
	}
}

// The answer to the cancel that begins a rollback may come after this worker has claimed
// the run for it: that claim stands.
func TestG15_AClaimAfterTheCancelStands(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, undoable())
	h.w.Taken(h.rec.ID, h.now)
	h.rec.Messages, h.rec.Inbox = []store.Message{{Seq: 1, Topic: "event:e"}}, 1
	goingBack(h, store.Compensating)
	h.w.Taken(h.rec.ID, h.now.Add(time.Millisecond))
	if h.w.Running() != 1 {
		t.Error("the run is let go")
	}
}
