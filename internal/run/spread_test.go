package run

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// A worker stops while it leaves an end of an item that it has read for a moment, to take it with
// others: it is taken with the write that lets the run go. Nobody would be woken by it later.
func TestQU11_EA6_EA3_WhatWasReadIsTakenBeforeAStop(t *testing.T) {
	each := &tree.Node{Kind: tree.Each, Name: "e", Spread: true, Body: []*tree.Node{node(tree.Step, "s")}}
	h := newHands(t, map[string]Queue{"default": {Concurrency: 2}}, each)
	id := uuid.New()
	report := func(n int) store.Message {
		r := ChildReport{ID: ItemID(id, "e", "", 7, n), Status: store.Completed}
		return store.Message{Seq: int64(n + 1), Topic: ItemsTopic("w#e"), Payload: r.Encode()}
	}
	rec := store.Record{
		Execution: store.Execution{ID: id, Workflow: "w", Queue: "default", Epoch: 1, Length: 2, Owner: h.w.Who(), Inbox: 1},
		Rows: []store.Row{
			{Seq: 1, Body: BeginRow(&store.Begin{Queue: "default"}, 0, []byte(`{}`), h.now)},
			{Seq: 2, Epoch: 1, Body: journal.Encode([]journal.Fact{
				{Kind: journal.Answered, Path: "e", At: 7, Answer: &journal.Answer{Way: journal.WayItems, Items: 3, Spread: true, Parts: []journal.Part{{Hash: "h"}}}},
				journal.Scatter("e", journal.Spreading{Begun: 3}, nil, 7),
			})},
		},
		Messages: []store.Message{report(0)},
	}
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now, Records: []store.Record{rec}}, nil, h.now)
	if !slices.Equal(h.last().Took, []int64{1}) || h.last().Release != nil {
		t.Fatalf("the first end is written as %+v", h.last())
	}
	rec.Length, rec.Inbox = 3, 2 // and another has come when that lands
	h.w.Committed(h.ref, store.Verdict{Code: store.Applied, Inbox: 2}, nil, h.now, h.now, h.now)
	rec.Rows = append(rec.Rows, store.Row{Seq: 3, Epoch: 1, Body: h.last().Row})
	rec.Messages = []store.Message{report(1)}
	h.w.Loaded(id, rec, nil, h.now)
	if len(h.last().Took) == 0 || h.last().Took[0] != 1 {
		t.Fatalf("it was not left for a moment: %+v", h.last())
	}
	h.now = h.now.Add(time.Millisecond)
	h.w.Stop(h.now)
	a := h.last()
	if a.ID != id || a.Release == nil || a.Release.Status != store.Waiting || !slices.Equal(a.Took, []int64{2}) || a.Seen != 2 {
		t.Errorf("the run is let go with %+v, which took %v and has seen %d", a.Release, a.Took, a.Seen)
	}
}
