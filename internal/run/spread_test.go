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

// spreading is a run with a spread Each, whose items have all begun, and what they report.
func spreading(t *testing.T, items int, more ...[]journal.Fact) (h *hands, report func(n int, s store.Status)) {
	each := &tree.Node{Kind: tree.Each, Name: "e", Spread: true, Body: []*tree.Node{node(tree.Step, "s")}}
	h = newHands(t, map[string]Queue{"default": {Concurrency: 2}}, each)
	h.w.Taken(h.rec.ID, h.now)
	report = func(n int, s store.Status) {
		r := ChildReport{ID: ItemID(h.rec.ID, "e", "", 7, n), Status: s}
		if s != store.Completed {
			r.Error = &journal.Error{Code: "error", Message: "no"}
		}
		h.rec.Inbox++
		h.rec.Messages = append(h.rec.Messages, store.Message{Seq: h.rec.Inbox, Topic: ItemsTopic("w#e"), Payload: r.Encode()})
	}
	h.rec.Rows = h.rec.Rows[:1]
	for _, facts := range append([][]journal.Fact{{
		{Kind: journal.Answered, Path: "e", At: 7, Answer: &journal.Answer{Way: journal.WayItems, Items: items, Spread: true, Parts: []journal.Part{{Hash: "h"}}}},
		journal.Scatter("e", journal.Spreading{Begun: items}, nil, 7),
	}}, more...) {
		h.rec.Rows = append(h.rec.Rows, store.Row{Seq: len(h.rec.Rows) + 1, Epoch: 2, Body: journal.Encode(facts)})
	}
	h.rec.Length, h.rec.Epoch = len(h.rec.Rows), 3
	return h, report
}

// The end of an item that came too late for its Each is given back when what made it late is taken back:
// else the Each, if it goes on, would wait for it for ever.
func TestG16_EA6_AnEndThatCameTooLateIsGivenBack(t *testing.T) {
	h, report := spreading(t, 3)
	report(0, store.Failed)
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now, Records: []store.Record{h.rec}}, nil, h.now)
	if got := h.facts(); !slices.Contains(got, "failed e") || !slices.Equal(h.last().Took, []int64{1}) {
		t.Fatalf("after an item has failed: %q, took %v", got, h.last().Took)
	}
	report(1, store.Completed)
	h.after(gather)
	h.refuse(store.Unseen)
	if got := h.facts(); !slices.Contains(got, "failed e") || !slices.Equal(h.last().Took, []int64{1, 2}) {
		t.Fatalf("after a second end: %q, took %v", got, h.last().Took)
	}
	h.rec.Inbox++
	h.rec.Messages = append(h.rec.Messages, store.Message{Seq: h.rec.Inbox, Topic: TopicCancel, Payload: Notice(uuid.New(), "enough").Payload})
	h.refuse(store.Unseen)
	if got := h.facts(); slices.Contains(got, "failed e") || !slices.Equal(h.last().Took, []int64{1, 3}) {
		t.Errorf("after a cancel: %q, took %v", got, h.last().Took)
	}
}

// An item that was cancelled from outside after it was ordered to go back, and before it read that, says so as
// any item that ends. That is its answer. One that could not be rolled back has the order instead.
func TestG14_CO3_EA6_TheEndOfAnItemAnswersAnOrder(t *testing.T) {
	h, report := spreading(t, 2, []journal.Fact{
		{Kind: journal.Cancelled, Undo: true, Err: &journal.Error{Code: "cancelled"}}, {Kind: journal.Turned, Undo: true, Err: &journal.Error{Code: "cancelled"}},
	}, []journal.Fact{journal.Order("e~1", journal.Ordered{Told: []journal.Range{{0, 1}}}, nil, 8)})
	h.rec.Status = store.Compensating
	report(1, store.CompensationFailed)
	report(0, store.Cancelled)
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now, Records: []store.Record{h.rec}}, nil, h.now)
	if got := h.facts(); !slices.Equal(got, []string{"recalling e~1"}) || !slices.Equal(h.last().Took, []int64{2}) {
		t.Fatalf("%q, took %v", got, h.last().Took)
	}
	h.land()
	h.rec.Inbox++
	h.rec.Messages = append(h.rec.Messages[:1], store.Message{
		Seq: h.rec.Inbox, Topic: store.RecallTopic(ItemID(h.rec.ID, "e", "", 7, 1)), Payload: []byte(store.Compensated),
	})
	h.after(gather)
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	h.after(gather)
	if r := h.last().Release; r == nil || r.Status != store.Compensated || !slices.Equal(h.facts(), []string{"recalling e~1", "done e~1"}) {
		t.Errorf("%q, released as %+v", h.facts(), r)
	}
}

// So it is where a timeout has ended the Each, and the message had come before: the Each goes on, and its item
// is not lost.
func TestG16_EV8_AnEndBesideATimeoutIsGivenBack(t *testing.T) {
	each := &tree.Node{Kind: tree.Each, Name: "x", Spread: true, Body: []*tree.Node{node(tree.Step, "s")}}
	outer := side(lane(side(lane(node(tree.Event, "e")), lane(each))), lane(node(tree.Step, "s")))
	outer.Settle = true
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, outer)
	h.w.Taken(h.rec.ID, h.now)
	at, lanes := micros(h.now), &journal.Answer{Way: journal.WayLanes, Items: 2}
	h.rec.Rows = append(h.rec.Rows[:1], store.Row{Seq: 2, Epoch: 2, Body: journal.Encode([]journal.Fact{
		{Kind: journal.Answered, Path: "p", At: at, Answer: lanes},
		{Kind: journal.Answered, Path: "p[a]/p", At: at, Answer: lanes},
		{Kind: journal.Answered, Path: "p[a]/p[b]/x", At: at, Answer: &journal.Answer{Way: journal.WayItems, Items: 2, Spread: true, Parts: []journal.Part{{Hash: "h"}}}},
		journal.Scatter("p[a]/p[b]/x", journal.Spreading{Begun: 2}, nil, at),
		{Kind: journal.Waited, Path: "p[a]/p[a]/e", Call: "event:x#1", At: at, Wait: &journal.Wait{ID: "w", Kind: "event", Name: "x", Topic: "event:x", Deadline: at + 1}},
		{Kind: journal.Tried, Path: "p[b]/s", Attempt: 1, Epoch: 3},
	})})
	h.rec.Length, h.rec.Epoch = 2, 3
	h.now = h.now.Add(time.Minute)
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now, Records: []store.Record{h.rec}}, nil, h.now)
	h.w.Answered(h.body("p[a]/p[a]/e"), Answered{Ending: &plan.Ending{Err: &journal.Error{Code: "timeout", Message: "too late"}, Final: true}}, h.now)
	if got := h.facts(); !slices.Contains(got, "fired p[a]/p[a]/e") || !slices.Contains(got, "closed p[a]") {
		t.Fatalf("after the timeout: %q", got)
	}
	event := store.Message{Seq: 1, Topic: "event:x", Payload: []byte("7")}
	report := ChildReport{ID: ItemID(h.rec.ID, "p[a]/p[b]/x", "", at, 0), Status: store.Completed}
	h.rec.Inbox, h.rec.Messages = 2, []store.Message{event, {Seq: 2, Topic: ItemsTopic("w#p[a]/p[b]/x"), Payload: report.Encode()}}
	h.w.Delivered(h.rec.ID, h.now)
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
	h.after(gather)
	h.refuse(store.Unseen)
	h.after(gather)
	h.w.Answered(h.body("p[a]/p[a]/e"), Answered{Ending: &plan.Ending{Happened: plan.Yes}}, h.now)
	if got := h.facts(); !slices.Contains(got, "received p[a]/p[a]/e") || !slices.Contains(got, "scattered p[a]/p[b]/x") || !slices.Equal(h.last().Took, []int64{2, 1}) {
		t.Errorf("with the message: %q, took %v", got, h.last().Took)
	}
}
