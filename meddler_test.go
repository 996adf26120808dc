package durable_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// meddler is a store in which a message is accepted at the worst moment: just
// before a write that says a certain thing.
type meddler struct {
	store.Store
	when func(f *journal.Fact) bool
	send func(ctx context.Context, s store.Store, id store.ID)
	done *atomic.Bool
}

type meddling struct {
	inner store.Opener
	meddler
}

func (m *meddling) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := m.inner.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	one := m.meddler
	one.Store = s
	return &one, nil
}

func (m *meddler) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	for _, w := range writes {
		if w.Advance == nil || len(w.Advance.Row) == 0 {
			continue
		}
		facts, err := journal.Decode(w.Advance.Row)
		if err != nil {
			return store.Result{}, err
		}
		for i := range facts {
			if m.when(&facts[i]) && m.done.CompareAndSwap(false, true) {
				m.send(ctx, m.Store, w.Advance.ID)
			}
		}
	}
	return m.Store.Commit(ctx, writes)
}

// order is a message to the run's only open wait, which must be accepted.
func order(t *testing.T, topic, payload string, keep bool) func(ctx context.Context, s store.Store, id store.ID) {
	return func(ctx context.Context, s store.Store, id store.ID) {
		p, err := s.Waits(ctx, store.WaitFilter{Execution: id})
		if err != nil || len(p.Waits) != 1 {
			t.Errorf("waits %+v, %v", p, err)
			return
		}
		r, err := s.Commit(ctx, []store.Write{{Deliver: &store.Deliver{
			ID: id, Wait: p.Waits[0].ID, Topic: topic, Payload: []byte(payload), Keep: keep, Dedupe: "meddler",
		}}})
		if err != nil || r.Verdicts[0].Code != store.Applied {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// The same for a wait that is a node: what follows from its end is not recorded
// while that may be taken back.
func TestIN6_AcceptedAtTheWorstMomentForANode(t *testing.T) {
	w := durable.Define("w",
		durable.Event("x", func(n *note, v int) {
			<-time.After(time.Second) // the write does not wait for so slow a function
			n.Trace = append(n.Trace, ends(v, nil))
		}).Timeout(2*time.Hour),
		mark("after"))
	is := func(kind journal.Kind) func(f *journal.Fact) bool {
		return func(f *journal.Fact) bool { return f.Kind == kind }
	}
	event := func(ctx context.Context, s store.Store, id store.ID) {
		_, err := s.Commit(ctx, []store.Write{{Deliver: &store.Deliver{ID: id, Topic: "event:x", Payload: []byte("7"), Dedupe: "meddler"}}})
		if err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		when journal.Kind
		send func(ctx context.Context, s store.Store, id store.ID)
		want string // "" if it fails as cancelled
		code string
	}{
		"cancel, event":   {journal.Received, order(t, "revoke", `{"reason":"why"}`, false), "", "permanent"},
		"cancel, timeout": {journal.Fired, order(t, "revoke", `{"reason":"why"}`, false), "", "permanent"},
		"event, timeout":  {journal.Fired, event, "value 7|after", ""},
		"extend, timeout": {journal.Fired, order(t, "extend", `{"for":3600000000000}`, true), "", "wait_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			var done atomic.Bool
			opener := &meddling{memory.New(), meddler{when: is(c.when), send: c.send, done: &done}}
			durabletest.Run(t, serve(w), func(t *testing.T, de *durabletest.Engine) {
				e := env{de, opener}
				run := durabletest.Start(e.Engine, w, note{})
				run.Settle()
				if c.when == journal.Received {
					run.Event("x", 7)
				}
				e.Sleep(24 * time.Hour)
				got, err := run.End()
				if !done.Load() {
					t.Fatal("nothing happened")
				}
				if c.want != "" {
					if strings.Join(got.Trace, "|") != c.want || err != nil {
						t.Errorf("it ended with %q, %v, want %q", got.Trace, err, c.want)
					}
					return
				}
				f := wantFailure(t, err, durable.Failed, c.code, "x")
				if c.code == "permanent" && !strings.Contains(f.Message, "why") {
					t.Errorf("the reason is lost: %s", f.Message)
				}
			}, durabletest.Store(opener))
		})
	}
}

// What was accepted for an open wait counts, also when it was accepted while the
// owner was about to write something else about that wait.
func TestIN6_AcceptedAtTheWorstMoment(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		opts := []durable.WaitOption{durable.Reminder(time.Hour), durable.Timeout(2 * time.Hour)}
		if n.Kind == "event" {
			n.Trace = append(n.Trace, ends(durable.WaitForEvent[int](ctx, "x", opts...)))
		} else {
			n.Trace = append(n.Trace, ends(durable.WaitForInput[int](ctx, "x", opts...)))
		}
		return nil
	}))
	const revoke, extend, answer = `{"by":"eve","reason":"why"}`, `{"by":"eve","for":18000000000000}`, `{"value":7,"at":"2026-01-02T03:04:05Z"}`
	is := func(kind journal.Kind) func(f *journal.Fact) bool {
		return func(f *journal.Fact) bool { return f.Kind == kind && (kind != journal.Altered || f.Message == 0) }
	}
	for name, c := range map[string]struct {
		kind    string
		when    journal.Kind
		topic   string
		payload string
		want    string
		notes   int
		lasts   time.Duration
		inbox   int
	}{
		"cancel, event":     {"event", journal.Received, "revoke", revoke, "cancelled by eve: why", 0, 0, 1},
		"extend, event":     {"event", journal.Received, "extend", extend, "value 7", 1, 0, 0},
		"cancel, timeout":   {"input", journal.Fired, "revoke", revoke, "cancelled by eve: why", 1, 2 * time.Hour, 0},
		"extend, timeout":   {"input", journal.Fired, "extend", extend, "timeout", 2, 7 * time.Hour, 0},
		"answer, timeout":   {"input", journal.Fired, "", answer, "value 7", 1, 2 * time.Hour, 0},
		"answer, reminder":  {"input", journal.Altered, "", answer, "value 7", 0, time.Hour, 0},
		"cancel, reminder":  {"input", journal.Altered, "revoke", revoke, "cancelled by eve: why", 0, time.Hour, 0},
		"extend, reminder":  {"input", journal.Altered, "extend", extend, "timeout", 2, 6 * time.Hour, 0},
		"cancel, early":     {"input", journal.Received, "revoke", revoke, "cancelled by eve: why", 0, 0, 1},
		"answer over early": {"input", journal.Received, "", answer, "value 7", 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var done atomic.Bool
			opener := &meddling{memory.New(), meddler{when: is(c.when), send: order(t, c.topic, c.payload, c.topic == "extend"), done: &done}}
			durabletest.Run(t, serve(w), func(t *testing.T, de *durabletest.Engine) {
				e := env{de, opener}
				began := time.Now()
				run := durabletest.Start(e.Engine, w, note{Kind: c.kind})
				run.Settle()
				switch {
				case c.when != journal.Received:
				case c.kind == "event":
					run.Event("x", 7)
				default:
					if err := early(t, e, run.ID, "x", "8"); err != nil {
						t.Fatal(err)
					}
				}
				e.Sleep(24 * time.Hour)
				if got := run.Done().Trace; strings.Join(got, "|") != c.want {
					t.Errorf("it ended with %q, want %q", got, c.want)
				}
				if !done.Load() {
					t.Fatal("nothing happened")
				}
				x := run.Look()
				if ws := x.Steps[0].Waits; len(ws) != 1 || len(ws[0].Notes) != c.notes {
					t.Errorf("waits %+v", ws)
				}
				if d := x.Ended.Sub(began) - c.lasts; c.lasts > 0 && (d < 0 || d > 2*time.Second) {
					t.Errorf("it lasted %s, want %s", x.Ended.Sub(began), c.lasts)
				}
				if n := len(e.record(t, run.ID).Messages); n != c.inbox {
					t.Errorf("%d messages are left, want %d", n, c.inbox)
				}
			}, durabletest.Store(opener))
		})
	}
}
