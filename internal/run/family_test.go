package run

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// The end of a cancelled run wakes its children: the worker that writes it looks for
// them at once, not with its next poll. So a cancel goes down a tree.
func TestG15_ACancelGoesDownWithoutAPoll(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 1}}, node(tree.Step, "s"))
	h.land()
	h.rec.Inbox = 1
	h.rec.Messages = []store.Message{{Seq: 1, Topic: TopicCancel, Payload: Notice(uuid.New(), "enough").Payload}}
	h.w.Delivered(h.rec.ID, h.now)
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	h.land()
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now}, nil, h.now) // what was asked so far
	h.claims = nil
	h.w.Returned(h.body("s"), plan.Ending{}, false, h.now)
	if r := h.last().Release; r == nil || r.Status != store.Cancelled || r.Family == nil {
		t.Fatalf("released as %+v", r)
	}
	h.land()
	if len(h.claims) == 0 || h.claims[0].Queues["default"] != 1 {
		t.Errorf("its children are woken, and the claims are %+v", h.claims)
	}
}

// News may come while a read is on its way that was made before: the read does not stand for both.
func TestG10_CH4_NewsDuringARead(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 1}}, node(tree.Step, "s"))
	h.land()
	read := h.loads
	h.w.Delivered(h.rec.ID, h.now)
	old := h.rec // what that reads
	h.rec.Inbox = 1
	h.rec.Messages = []store.Message{{Seq: 1, Topic: TopicCancel, Payload: Notice(uuid.New(), "enough").Payload}}
	for range 3 {
		h.w.Delivered(h.rec.ID, h.now)
	}
	h.w.Loaded(h.rec.ID, old, nil, h.now)
	if h.loads -= read; h.loads != 2 {
		t.Fatalf("%d reads, want one for the first news and one for all that came during it", h.loads)
	}
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	if v := h.body("s"); v.cause == nil {
		t.Error("the body is not told of the cancel")
	}
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	if h.loads != 2 {
		t.Errorf("%d reads in the end", h.loads)
	}
}

// A run is let go, and before the worker knows that it has landed, somebody wakes it: the hint is for a run that it
// still has in its hands. It looks for work as soon as it has let go.
func TestG10_QU4_NewsWhileItIsLetGo(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 1}}, node(tree.Event, "e"))
	h.w.Answered(h.body("e"), Answered{Wait: &CallRequest{
		Key: "event:x#1", Timed: true, For: time.Hour, Wait: &journal.Wait{Kind: "event", Name: "x", Topic: "event:x"},
	}}, h.now)
	if r := h.last().Release; r == nil || r.Status != store.Waiting {
		t.Fatalf("let go as %+v", r)
	}
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now}, nil, h.now)
	h.claims = nil
	landed := store.Verdict{Code: store.Applied} // and then the message came
	h.rec.Inbox, h.rec.Owner, h.rec.Length = 1, store.Incarnation{}, h.rec.Length+1
	h.w.Delivered(h.rec.ID, h.now)
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	h.w.Committed(h.ref, landed, nil, h.now, h.now, h.now)
	if len(h.claims) == 0 {
		t.Error("nobody looks for the run that is due")
	}
}
