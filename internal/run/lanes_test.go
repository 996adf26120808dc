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

// hands is a worker whose world is the test.
type hands struct {
	t      *testing.T
	w      *Worker
	now    time.Time
	rec    store.Record // the run in the store
	sent   []*store.Advance
	ref    any
	told   []any // references of messages
	mail   []*store.Deliver
	begun  []*Visit
	claims []store.ClaimRequest
	loads  int
	stops  []string
}

func (h *hands) Renew(store.Lease)          {}
func (h *hands) Claim(r store.ClaimRequest) { h.claims = append(h.claims, r) }
func (h *hands) Expire()                    {}
func (h *hands) Retire(store.Incarnation)   {}
func (h *hands) Load(store.ID)              { h.loads++ }
func (h *hands) Start(v *Visit)             { h.begun = append(h.begun, v) }

func (h *hands) Stop(v *Visit, _ error)                               { h.stops = append(h.stops, v.Path) }
func (h *hands) Reply(*Visit, CallReply)                              {}
func (h *hands) Ended(store.ID, store.Status, []byte, *journal.Error) {}
func (h *hands) Note(text string, _ store.ID, _ error)                { h.t.Log(text) }
func (h *hands) Draw() float64                                        { return 0.5 }
func (h *hands) Streamed(store.ID)                                    {}

func (h *hands) Noticed(id store.ID, path, call string, n journal.Note) {}
func (h *hands) NewIncarnation() store.Incarnation                      { return uuid.New() }
func (h *hands) Commit(w store.Write, ref any) {
	if w.Advance != nil {
		h.sent, h.ref = append(h.sent, w.Advance), ref
	}
	if w.Deliver != nil {
		h.told, h.mail = append(h.told, ref), append(h.mail, w.Deliver)
	}
}

// newHands is a worker with a lease and one run that it has claimed.
func newHands(t *testing.T, queues map[string]Queue, nodes ...*tree.Node) *hands {
	t.Helper()
	h := &hands{t: t, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	w := tree.Place(&tree.Workflow{Name: "w", Root: &tree.Node{Kind: tree.Sequence, Body: nodes}})
	for name, q := range queues {
		q.PollInterval = time.Hour
		queues[name] = q
	}
	h.w = NewWorker(Config{Name: "test", Definitions: []*Definition{{Tree: w, Fingerprint: "f"}}, Queues: queues, Lease: time.Hour, Grace: time.Hour, JournalLimit: 1000}, h)
	h.w.Run(h.now)
	h.w.Renewed(h.w.Who(), store.Renewal{Now: h.now}, nil, h.now)
	h.rec = store.Record{Execution: store.Execution{ID: uuid.New(), Workflow: "w", Queue: "default", Epoch: 1, Length: 1, Owner: h.w.Who()}}
	h.rec.Rows = []store.Row{{Seq: 1, Body: BeginRow(&store.Begin{Queue: "default"}, 0, []byte(`{}`), h.now)}}
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now, Records: []store.Record{h.rec}}, nil, h.now)
	return h
}

// last is the write that is on its way.
func (h *hands) last() *store.Advance {
	h.t.Helper()
	if len(h.sent) == 0 {
		h.t.Fatal("nothing is written")
	}
	return h.sent[len(h.sent)-1]
}

// facts is what the write on its way says.
func (h *hands) facts() (list []string) {
	h.t.Helper()
	if len(h.last().Row) == 0 {
		return nil
	}
	facts, err := journal.Decode(h.last().Row)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range facts {
		list = append(list, f.Kind.String()+" "+f.Path)
	}
	return list
}

// land lets the write on its way land.
func (h *hands) land() {
	h.t.Helper()
	a := h.last()
	if len(a.Row) > 0 {
		h.rec.Length++
		h.rec.Rows = append(h.rec.Rows, store.Row{Seq: h.rec.Length, Epoch: 1, Body: a.Row})
	}
	h.w.Committed(h.ref, store.Verdict{Code: store.Applied, Inbox: h.rec.Inbox}, nil, h.now, h.now, h.now)
}

// refuse refuses it, and lets the run be read again.
func (h *hands) refuse(code store.Code) {
	h.t.Helper()
	h.w.Committed(h.ref, store.Verdict{Code: code, Inbox: h.rec.Inbox}, nil, h.now, h.now, h.now)
	h.w.Loaded(h.rec.ID, h.rec, nil, h.now)
}

// body is a body that has been started.
func (h *hands) body(path string) *Visit {
	h.t.Helper()
	for _, v := range slices.Backward(h.begun) {
		if v.Path == path {
			return v
		}
	}
	h.t.Fatalf("%s has not begun", path)
	return nil
}

func (h *hands) after(d time.Duration) {
	h.now = h.now.Add(d)
	h.w.Tick(h.now)
}

func node(kind tree.Kind, name string) *tree.Node { return &tree.Node{Kind: kind, Name: name} }

func side(lanes ...[]*tree.Node) *tree.Node {
	n := node(tree.Parallel, "p")
	for i, lane := range lanes {
		n.Cases = append(n.Cases, tree.Case{Key: string(rune('a' + i)), Body: lane})
	}
	return n
}

func lane(nodes ...*tree.Node) []*tree.Node { return nodes }

// Facts that follow from a timeout go with it when a message was there first.
func TestEV8_WhatFollowsFromATimeoutGoesWithIt(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, side(lane(node(tree.Event, "e")), lane(node(tree.Step, "s"))))
	h.w.Answered(h.body("p[a]/e"), Answered{Wait: &CallRequest{
		Key: "event:x#1", Timed: true, For: time.Minute, Wait: &journal.Wait{Kind: "event", Name: "x", Topic: "event:x"},
	}}, h.now)
	h.land()
	h.after(2 * time.Minute) // beside the body of the other lane
	h.w.Answered(h.body("p[a]/e"), Answered{Ending: &plan.Ending{Happened: plan.Yes}}, h.now)
	if got := h.facts(); !slices.Equal(got, []string{"fired p[a]/e", "done p[a]/e", "closed p[a]"}) || h.last().Seen != 0 {
		t.Fatalf("after the timeout: %q, seen %d", got, h.last().Seen)
	}
	h.rec.Inbox = 1
	h.rec.Messages = []store.Message{{Seq: 1, Topic: "event:x", Payload: []byte("7")}}
	h.refuse(store.Unseen)
	h.after(time.Second)
	q := h.body("p[a]/e").Question
	if q == nil || q.Ended == nil || string(q.Ended.Data) != "7" {
		t.Fatalf("the wait did not end with the message: %+v", q)
	}
	h.w.Answered(h.body("p[a]/e"), Answered{Ending: &plan.Ending{Happened: plan.Yes}}, h.now)
	if got := h.facts(); !slices.Contains(got, "received p[a]/e") || slices.Contains(got, "fired p[a]/e") || !slices.Equal(h.last().Took, []int64{1}) {
		t.Errorf("instead: %q, took %v", got, h.last().Took)
	}
}

// A run that is ready is put off until now and where it can go on, whatever else
// it waits for; one that is not waits for messages, too.
func TestPA8_WhereAndWhenARunGoesOn(t *testing.T) {
	there := node(tree.Step, "there")
	there.Queue = "gpu"
	retried := node(tree.Step, "r")
	retried.Retry = &tree.Retry{MaxAttempts: 3, Base: time.Hour, Backoff: tree.Constant, Jitter: -1}
	for name, c := range map[string]struct {
		nodes  *tree.Node
		queue  string
		status store.Status
		due    bool
	}{
		"one lane elsewhere, one put off":   {side(lane(retried), lane(there)), "gpu", store.Pending, false},
		"the same in another order":         {side(lane(there), lane(retried)), "gpu", store.Pending, false},
		"one lane put off, one that sleeps": {side(lane(retried), lane(node(tree.Pause, "z"))), "default", store.Waiting, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHands(t, map[string]Queue{"default": {Concurrency: 4}}, c.nodes)
			for _, v := range h.begun {
				if v.Question != nil {
					h.w.Answered(v, Answered{Wait: &CallRequest{Key: "sleep:#1", Timed: true, For: 2 * time.Hour, Wait: &journal.Wait{Kind: "sleep"}}}, h.now)
				}
			}
			h.land()
			for _, v := range slices.Clone(h.begun) {
				if v.Question == nil {
					h.w.Returned(v, plan.Ending{Err: &journal.Error{Code: "error"}}, false, h.now)
				}
			}
			r := h.last().Release
			if r == nil && h.ref != nil {
				h.land()
				r = h.last().Release
			}
			if r == nil || r.Status != c.status || r.Queue != c.queue || r.Due.IsZero() == c.due {
				t.Errorf("released as %+v", r)
			}
		})
	}
}

// Lanes that begin together in a queue with a limit begin one by one.
func TestG18_LanesBeginOneByOneUnderALimit(t *testing.T) {
	h := newHands(t, map[string]Queue{"default": {Concurrency: 4, Global: 1}}, side(lane(node(tree.Step, "x")), lane(node(tree.Step, "y"))))
	if got := h.facts(); !slices.Equal(got, []string{"answered p", "tried p[a]/x"}) {
		t.Fatalf("%q", got)
	}
	h.land()
	h.w.Returned(h.body("p[a]/x"), plan.Ending{}, false, h.now)
	if got := h.facts(); !slices.Equal(got, []string{"done p[a]/x", "closed p[a]", "tried p[b]/y"}) {
		t.Errorf("%q", got)
	}
}

// More lanes than slots: what gets free goes to the next lane, unless a claim is
// wanted: then they take turns.
func TestPA1_LanesAndClaimsTakeTurns(t *testing.T) {
	var lanes [][]*tree.Node
	for range 9 {
		lanes = append(lanes, lane(node(tree.Step, "s")))
	}
	h := newHands(t, map[string]Queue{"default": {Concurrency: 2}}, side(lanes...))
	h.land()
	end := func() {
		t.Helper()
		for _, v := range h.begun {
			if v.run != nil && h.w.runs[v.Execution] != nil && h.w.runs[v.Execution].visits[v.Path] == v {
				h.w.Returned(v, plan.Ending{}, false, h.now)
				h.land()
				return
			}
		}
		t.Fatal("nothing runs")
	}
	end()
	if n := len(h.begun); n != 3 {
		t.Fatalf("%d bodies have begun, want the next at once", n)
	}
	h.claims = nil
	h.w.Poke("default", h.now) // something is due
	end()
	if n := len(h.begun); n != 4 || len(h.claims) != 0 {
		t.Fatalf("%d bodies have begun, %d claims", n, len(h.claims))
	}
	end()
	if n := len(h.begun); n != 4 || len(h.claims) != 1 || h.claims[0].Queues["default"] != 1 {
		t.Fatalf("%d bodies have begun, claims %+v: the second is for the claim", n, h.claims)
	}
	h.w.Claimed(h.w.Who(), store.Claimed{Now: h.now}, nil, h.now) // there was nothing
	h.land()
	if n := len(h.begun); n != 5 {
		t.Errorf("%d bodies have begun: the slot goes back to the lanes", n)
	}
}
