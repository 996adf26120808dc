package run

import (
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// A read that sees the write which was sent instead of a refused one, before its
// own answer does, is no reason to let the run go: a body that runs would be cut off.
func TestG4_WhatWasSentInsteadIsNotWhatWasRefused(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4, Global: 2}}, side(lane(node(tree.Step, "x")), lane(node(tree.Step, "y"))))
	h.land()              // x runs
	h.refuse(store.Full)  // y may not
	x := h.body("p[a]/x") // says something meanwhile
	h.w.Call(x, &CallRequest{Key: "do:a#1", Data: []byte("1")}, h.now)
	if got := h.facts(); !slices.Equal(got, []string{"called p[a]/x"}) {
		t.Fatalf("instead of the refused write: %q", got)
	}
	h.rec.Inbox = 1
	h.rec.Messages = []store.Message{{Seq: 1, Topic: "event:a", Payload: []byte("1")}}
	h.w.Delivered(h.rec.ID, h.now)
	landed := h.rec
	landed.Length++
	landed.Rows = append(slices.Clone(landed.Rows), store.Row{Seq: landed.Length, Epoch: 1, Body: h.last().Row})
	h.w.Loaded(h.rec.ID, landed, nil, h.now)
	if len(h.stops) > 0 || h.w.Running() != 1 {
		t.Fatalf("the run is let go; stopped %q", h.stops)
	}
	h.land()
}

// A refused write that has landed after all lets the run go, as nothing of it has
// begun: nobody knows what else it says.
func TestG18_ARefusedWriteThatLandedLetsGo(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4, Global: 2}}, side(lane(node(tree.Step, "x")), lane(node(tree.Step, "y"))))
	h.land()
	refused := h.last().Row
	h.w.Committed(h.ref, store.Verdict{Code: store.Full}, nil, h.now, h.now, h.now)
	h.rec.Length++
	h.rec.Rows = append(h.rec.Rows, store.Row{Seq: h.rec.Length, Epoch: 1, Body: refused})
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	if h.w.Running() != 0 || !slices.Equal(h.stops, []string{"p[a]/x"}) {
		t.Errorf("%d runs are here, stopped %q", h.w.Running(), h.stops)
	}
}

// A lane whose queue has no room does not hold up one of another queue: a write
// takes all that it needs or nothing.
func TestG18_AFullQueueHoldsUpNoOther(t *testing.T) {
	other := node(tree.Step, "y")
	other.Queue = "ai"
	queues := map[string]Queue{
		"default": {Concurrency: 4, Rate: Rate{N: 1, Per: time.Hour}},
		"ai":      {Concurrency: 4, Rate: Rate{N: 1, Per: time.Hour}},
	}
	h := newHands(t, queues, side(lane(node(tree.Step, "x")), lane(other)))
	names := func() (list []string) {
		for _, x := range h.last().Holds {
			list = append(list, x.Name)
		}
		return list
	}
	if got := names(); !slices.Equal(got, []string{"rate:default"}) {
		t.Fatalf("the first write takes %q", got)
	}
	h.w.Committed(h.ref, store.Verdict{Code: store.Full, At: h.now.Add(time.Hour)}, nil, h.now, h.now, h.now)
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	if got := names(); !slices.Equal(got, []string{"rate:ai"}) || !slices.Contains(h.facts(), "tried p[b]/y") {
		t.Fatalf("the other queue waits for the full one: %q takes %q", h.facts(), got)
	}
}
