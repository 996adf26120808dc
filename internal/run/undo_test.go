package run

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

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

// What a child answers to an order is given back with the order, if the write of both
// is refused: else the answer would stand without it.
func TestG14_AnAnswerIsGivenBackWithItsOrder(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, side(lane(node(tree.Step, "x")), lane(node(tree.Step, "y"))))
	h.w.Taken(h.rec.ID, h.now)
	kids, calls := []store.ID{uuid.New(), uuid.New()}, []journal.Fact(nil)
	for i, path := range []string{"p[a]/x", "p[b]/y"} {
		calls = append(calls,
			journal.Fact{Kind: journal.Tried, Path: path, Attempt: 1, Epoch: 1},
			journal.Fact{Kind: journal.Waited, Path: path, Call: "call:c#1", Child: kids[i].String(), Wait: &journal.Wait{ID: path, Kind: "call", Topic: store.ChildTopic(kids[i])}})
	}
	rows := [][]journal.Fact{
		append([]journal.Fact{{Kind: journal.Answered, Path: "p", Answer: &journal.Answer{Way: journal.WayLanes, Items: 2}}}, calls...),
		{{Kind: journal.Cancelled, Undo: true, Err: &journal.Error{Code: "cancelled"}}, {Kind: journal.Turned, Undo: true, Err: &journal.Error{Code: "cancelled"}}},
	}
	h.rec.Rows = h.rec.Rows[:1]
	for i, facts := range rows {
		h.rec.Rows = append(h.rec.Rows, store.Row{Seq: i + 2, Epoch: 2, Body: journal.Encode(facts)})
	}
	h.rec.Length, h.rec.Epoch, h.rec.Status, h.rec.Messages = 3, 3, store.Compensating, nil
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now, Records: []store.Record{h.rec}}, nil, h.now)
	ordered := []string{"recalling p[b]/y~2", "recalling p[a]/x~1"}
	if got := h.facts(); !slices.Equal(got, ordered) || len(h.last().Recall) != 2 {
		t.Fatalf("%q with %d orders", got, len(h.last().Recall))
	}
	for i, want := range [][]string{
		slices.Concat(ordered, []string{"recalling p[a]/x~1", "done p[a]/x~1"}),
		slices.Concat(ordered, []string{"recalling p[b]/y~2", "recalling p[a]/x~1", "done p[b]/y~2", "done p[a]/x~1"}),
	} {
		h.rec.Inbox++
		h.rec.Messages = append(h.rec.Messages, store.Message{Seq: h.rec.Inbox, Topic: store.ChildTopic(kids[i]), Payload: ChildReport{ID: kids[i], Status: store.Cancelled}.Encode()})
		h.w.Committed(h.ref, store.Verdict{Code: store.Unseen, Inbox: h.rec.Inbox}, nil, h.now, h.now, h.now)
		h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
		if got := h.facts(); !slices.Equal(got, want) || len(h.last().Recall) != 2 || len(h.last().Took) != i+1 {
			t.Fatalf("after %d answers: %q with %d orders, %v taken, released as %+v", i+1, got, len(h.last().Recall), h.last().Took, h.last().Release)
		}
	}
	if r := h.last().Release; r == nil || r.Status != store.Compensated {
		t.Errorf("released as %+v", r)
	}
}
