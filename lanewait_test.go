package durable_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
)

// Two lanes wait for one name: the wait that was opened first gets the message,
// wherever its lane stands among the others; sent or published.
func TestEV3_TheWaitOpenedFirst(t *testing.T) {
	lane := func(name string, after time.Duration, wait func(ctx context.Context) (string, error), into func(b *board, v string)) durable.Node[board] {
		return durable.Step(name, func(ctx context.Context, b *board) error {
			if err := durable.Sleep(ctx, after); err != nil {
				return err
			}
			v, err := wait(ctx)
			into(b, v)
			return err
		})
	}
	event := func(opts ...durable.WaitOption) func(ctx context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return durable.WaitForEvent[string](ctx, "e", opts...) }
	}
	any := func(opts ...durable.WaitOption) func(ctx context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			a, err := durable.WaitForAny(ctx, []string{"d", "e"}, opts...)
			if err != nil {
				return "", err
			}
			return durable.Payload[string](a)
		}
	}
	first := func(b *board, v string) { b.B = v }
	second := func(b *board, v string) { b.Trace = []string{v} }
	key := durable.Correlate("k")
	sent := durable.Define("sent", durable.Parallel("p", lane("a", time.Hour, event(), second), lane("b", 0, event(), first)))
	several := durable.Define("several", durable.Parallel("p", lane("a", time.Hour, event(), second), lane("b", 0, any(), first)))
	published := durable.Define("published", durable.Parallel("p", lane("a", time.Hour, any(key), second), lane("b", 0, event(key), first)))
	onStores(t, serve(sent, several, published), func(t *testing.T, e env) {
		for _, w := range []*durable.Workflow[board]{sent, several, published} {
			run := durabletest.Start(e.Engine, w, board{})
			run.Settle()
			e.Sleep(2 * time.Hour) // both wait now
			run.Settle()
			e.Restart()
			for _, v := range []string{"1", "2"} {
				if w != published {
					run.Event("e", v)
				} else if p, err := e.Publish(context.Background(), "e", "k", v); err != nil || p.Got != 1 {
					t.Errorf("%+v, %v", p, err)
				}
			}
			if got := run.Done(); got.B != "1" || len(got.Trace) != 1 || got.Trace[0] != "2" {
				t.Errorf("the first wait got %q, the second %q", got.B, got.Trace)
			}
		}
	})
}

// A lane that fails closes all rows of a wait for several in another: what comes
// afterwards is for others.
func TestEV6_ALaneThatIsClosedWaitsNoMore(t *testing.T) {
	w := durable.Define("w", durable.Parallel("p",
		durable.Step("a", func(ctx context.Context, b *board) error {
			_, err := durable.WaitForAll(ctx, []string{"x", "y"}, durable.Correlate("k", "y"))
			return err
		}),
		durable.Step("b", func(ctx context.Context, b *board) error {
			if err := durable.Sleep(ctx, time.Hour); err != nil {
				return err
			}
			return durable.Permanent(context.Canceled)
		})))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, board{})
		run.Event("x", 1)
		run.Fails()
		if waits, err := e.OpenWaits(context.Background(), run.ID); err != nil || len(waits) != 0 {
			t.Errorf("waits %+v, %v", waits, err)
		}
		if p, err := e.Publish(context.Background(), "y", "k", 2); err != nil || !p.Kept {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// The same where the run goes on: nothing that comes for what the lane waited for reaches it.
func TestEV6_ALaneThatIsClosedWaitsNoMoreAndTheRunGoesOn(t *testing.T) {
	w := durable.Define("w",
		durable.Parallel("p",
			durable.Sequence("lane", durable.Parallel("q",
				durable.Step("a", func(ctx context.Context, b *board) error {
					_, err := durable.WaitForAll(ctx, []string{"x", "y"}, durable.Correlate("k", "y"))
					return err
				}),
				durable.Step("b", func(ctx context.Context, b *board) error {
					if err := durable.Sleep(ctx, time.Hour); err != nil {
						return err
					}
					return durable.Permanent(context.Canceled)
				})))).
			Settle().Merge(func(*board, map[string]durable.Outcome[board]) error { return nil }),
		durable.Pause("rest", func(*board) time.Duration { return 10 * time.Hour }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(2 * time.Hour)
		s, err := e.opener.OpenStore(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := s.Waits(ctx, store.WaitFilter{Execution: run.ID}); err != nil || len(p.Waits) != 1 || p.Waits[0].Path != "rest" {
			t.Errorf("waits %+v, %v", p.Waits, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if p, err := e.Publish(ctx, "y", "k", 2); err != nil || !p.Kept {
			t.Errorf("%+v, %v", p, err)
		}
		run.Event("x", 1)
		if x := run.Look(); x.Status != durable.Waiting || len(x.Inbox) != 1 {
			t.Errorf("it is %s, and its inbox has %+v", x.Status, x.Inbox)
		}
		run.Done()
	})
}

// What is published is addressed to one wait of a run. Another one of the same topic that stands
// before it does not take it: else the first would have ended, and nobody would hear what comes for the other.
func TestEV6_PublishedToOneOfSeveralWaits(t *testing.T) {
	add := func(b *board, v string) { b.Trace = append(b.Trace, v) }
	gathered := func(b *board, all map[string]durable.Outcome[board]) error {
		for _, o := range all {
			b.Trace = append(b.Trace, o.Value.Trace...)
		}
		slices.Sort(b.Trace)
		return nil
	}
	node := func(name string) durable.Node[board] {
		return durable.Event(name, add).Named("e").Correlate(func(b *board) string { return b.B })
	}
	either := func(name string) durable.Node[board] {
		return durable.Step(name, func(ctx context.Context, b *board) error {
			a, err := durable.WaitForAny(ctx, []string{"d", "e"}, durable.Correlate(b.B))
			if err != nil {
				return err
			}
			v, err := durable.Payload[string](a)
			add(b, v)
			return err
		})
	}
	for name, lane := range map[string]func(name string) durable.Node[board]{"one": node, "any": either} {
		w := durable.Define(name, durable.Parallel("p", lane("1"), lane("2"), lane("3"), lane("4"), lane("5")).Merge(gathered))
		onStores(t, serve(w), func(t *testing.T, e env) {
			for i := range 8 {
				key := fmt.Sprint(i)
				run := durabletest.Start(e.Engine, w, board{B: key})
				run.Settle()
				for _, v := range []string{"1", "2", "3", "4", "5"} {
					if p, err := e.Publish(context.Background(), "e", key, v); err != nil || p.Got != 1 {
						t.Fatalf("%+v, %v", p, err)
					}
					e.Sleep(time.Second)
				}
				if got := run.Done(); fmt.Sprint(got.Trace) != "[1 2 3 4 5]" {
					t.Errorf("%q", got.Trace)
				}
			}
		})
	}
}

// Event as a node takes what is published for a key that the state has.
func TestWN1_EventNodeForAKey(t *testing.T) {
	w := durable.Define("w", durable.Event("paid", func(b *board, v string) { b.B += v }).Correlate(func(b *board) string { return b.Trace[0] }),
		durable.Event("again", func(b *board, v string) { b.B += v }).Named("paid").Correlate(func(b *board) string { return b.Trace[0] }).
			Timeout(0).OnTimeout("nothing"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, board{Trace: []string{"k"}})
		run.Settle()
		e.published(t, "k", "1", durable.Published{Got: 1})
		if got := run.Done(); got.B != "1nothing" {
			t.Errorf("%+v", got)
		}
		e.published(t, "k", "2", durable.Published{Kept: true})
		e.published(t, "k", "3", durable.Published{Kept: true})
		if got := durabletest.Start(e.Engine, w, board{Trace: []string{"k"}}).Done(); got.B != "23" {
			t.Errorf("%+v", got)
		}
		if err := durabletest.Start(e.Engine, w, board{Trace: []string{""}}).Fails(); err.Cause.Code != "permanent" {
			t.Errorf("an empty key: %+v", err.Cause)
		}
	})
	defineMistake := durable.Define("bad", durable.Event("e", func(b *board, v string) {}).Correlate(nil))
	if _, err := durable.Open(context.Background(), nil, serve(defineMistake)); err == nil {
		t.Error("a Correlate without a function is accepted")
	}
}
