package run

import (
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// An event has come for a wait and is not recorded yet, since another write is on its way,
// when the wait is cancelled: who cancelled it was told so. The read that brings both the
// order and other messages must not let the event pass.
func TestIN6_ACancelledWaitDoesNotHear(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, side(lane(node(tree.Event, "e")), lane(node(tree.Step, "s"))))
	h.w.Answered(h.body("p[a]/e"), Answered{Wait: &CallRequest{
		Key: "event:x#1", Timed: true, For: time.Hour, Wait: &journal.Wait{Kind: "event", Name: "x", Topic: "event:x"},
	}}, h.now)
	h.land()
	wait := h.w.runs[h.rec.ID].plan.Waits[0].Wait.ID
	h.w.Call(h.body("p[b]/s"), &CallRequest{Key: "do:a#1", Data: []byte("1")}, h.now) // on its way
	tell := func(m store.Message) {
		h.rec.Inbox++
		m.Seq = h.rec.Inbox
		h.rec.Messages = append(h.rec.Messages, m)
		h.w.Delivered(h.rec.ID, h.now)
		h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	}
	tell(store.Message{Topic: "event:x", Payload: []byte("7")})
	tell(store.Message{Topic: TopicRevoke, Wait: wait, Payload: []byte(`{}`)})
	h.land()
	h.after(time.Second)
	if got := h.facts(); slices.Contains(got, "received p[a]/e") {
		if h.last().Seen >= 2 {
			t.Fatalf("the event ends the wait, with %d messages seen", h.last().Seen)
		}
		h.refuse(store.Unseen)
	}
	h.after(time.Second)
	for _, v := range slices.Clone(h.begun) {
		if v.Path == "p[a]/e" && v.Question != nil && v.Question.Ended != nil && v.cause == nil {
			h.w.Answered(v, Answered{Ending: &plan.Ending{Happened: plan.Yes}}, h.now)
		}
	}
	if got := h.facts(); !slices.Contains(got, "revoked p[a]/e") {
		t.Errorf("instead: %q", got)
	}
}

// Reads of one run may overtake each other. The answer to an old one must not stand for a later one: the
// message that came between the two would be counted as known, and nobody would have it.
func TestG10_EV8_AnOldReadHidesNoMessage(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, side(lane(node(tree.Event, "e")), lane(node(tree.Step, "s"))))
	h.w.Answered(h.body("p[a]/e"), Answered{Wait: &CallRequest{
		Key: "event:x#1", Timed: true, For: time.Minute, Wait: &journal.Wait{Kind: "event", Name: "x", Topic: "event:x"},
	}}, h.now)
	h.land()
	come := func(topic string) {
		h.rec.Inbox++
		h.rec.Messages = append(h.rec.Messages, store.Message{Seq: h.rec.Inbox, Topic: topic, Payload: []byte("7")})
	}
	ends := func() { h.w.Answered(h.body("p[a]/e"), Answered{Ending: &plan.Ending{Happened: plan.Yes}}, h.now) }
	h.after(2 * time.Minute)
	ends()
	come("event:y")
	h.w.Delivered(h.rec.ID, h.now)
	old := h.rec // what that reads, and is late
	come("event:x")
	h.refuse(store.Unseen)
	h.after(time.Second)
	ends()
	if got := h.facts(); !slices.Contains(got, "received p[a]/e") {
		t.Fatalf("the wait did not end with the message: %q", got)
	}
	come("event:y")
	h.w.Committed(h.ref, store.Verdict{Code: store.Unseen, Inbox: h.rec.Inbox}, nil, h.now, h.now, h.now)
	h.w.Loaded(h.rec.ID, old, nil, h.now)
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	h.after(time.Second)
	ends()
	if got := h.facts(); !slices.Contains(got, "received p[a]/e") || !slices.Equal(h.last().Took, []int64{2}) || h.last().Seen != 3 {
		t.Errorf("then %q, took %v, seen %d", got, h.last().Took, h.last().Seen)
	}
}
