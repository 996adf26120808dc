package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// inner is the state of children.
type inner struct {
	N     int      `json:"n"`
	Trace []string `json:"trace,omitempty"`
}

// childOf lists the children of a run.
func childrenOf(t *testing.T, e env, id durable.ID) []*durable.Execution {
	t.Helper()
	page, err := e.Executions(context.Background(), durable.Filter{Parent: id})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(page.Executions, func(a, b *durable.Execution) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return page.Executions
}

func TestCH1_CallReturnsTheLastState(t *testing.T) {
	c := durable.Define("c", durable.Step("double", func(ctx context.Context, s *inner) error {
		s.N *= 2
		return durable.Sleep(ctx, time.Hour)
	}))
	b := durable.Define("b", durable.Step("call", func(ctx context.Context, s *inner) error {
		got, err := durable.Call(ctx, c, inner{N: s.N + 1})
		s.N = got.N
		return err
	}))
	a := durable.Define("a", body("call", func(ctx context.Context, n *note) error {
		got, err := durable.Call(ctx, b, inner{N: n.N})
		if err != nil {
			return err
		}
		n.N = got.N
		return nil
	}), mark("end"))
	onStores(t, serve(a, b, c), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, a, note{N: 4}, durable.Tags("red"), durable.Priority(7))
		if got := run.Done(); got.N != 10 {
			t.Errorf("%+v", got)
		}
		kids := childrenOf(t, e, run.ID)
		if len(kids) != 1 || kids[0].Workflow != "b" || kids[0].Status != durable.Completed || kids[0].Priority != 7 || !slices.Equal(kids[0].Tags, []string{"red"}) {
			t.Fatalf("children %+v", kids)
		}
		x, err := e.Execution(context.Background(), run.ID, durable.WithSteps)
		if err != nil || !slices.Contains(x.Steps[0].Children, kids[0].ID.String()) {
			t.Errorf("the step does not show its child: %+v, %v", x.Steps, err)
		}
		if n := len(childrenOf(t, e, kids[0].ID)); n != 1 {
			t.Errorf("%d grandchildren", n)
		}
		tops, err := e.Executions(context.Background(), durable.Filter{TopLevel: true})
		if err != nil || len(tops.Executions) != 1 {
			t.Errorf("%d runs on top, %v", len(tops.Executions), err)
		}
	})
}

func TestCH1_ChildErrors(t *testing.T) {
	c := durable.Define("c", durable.Step("s", func(ctx context.Context, s *inner) error {
		switch s.N {
		case 1:
			return errFlaky
		case 2:
			return durable.CancelRun("not wanted")
		}
		return nil
	}))
	a := durable.Define("a", body("call", func(ctx context.Context, n *note) error {
		_, err := durable.Call(ctx, c, inner{N: n.N})
		var child *durable.ChildError
		if errors.As(err, &child) {
			n.Trace = append(n.Trace, fmt.Sprint(child.Status, " ", child.Workflow, " ", child.Cause.Code, " ", child.ID != durable.ID{}))
			return nil
		}
		return err
	}))
	naive := durable.Define("naive", body("call", func(ctx context.Context, n *note) error {
		_, err := durable.Call(ctx, c, inner{N: n.N})
		return err
	}))
	onStores(t, serve(a, c, naive), func(t *testing.T, e env) {
		wantTrace(t, durabletest.Start(e.Engine, a, note{N: 1}).Done(), "failed c error true")
		wantTrace(t, durabletest.Start(e.Engine, a, note{N: 2}).Done(), "cancelled c cancelled true")
		wantFailure(t, durabletest.Start(e.Engine, naive, note{N: 1}).Fails(), durable.Failed, "child", "call")
	})
}

func TestCH2_CrashAfterEveryCommit(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		c := durable.Define("c",
			durable.Step("one", func(ctx context.Context, s *inner) error {
				bodies.add("one")
				s.N++
				return durable.Sleep(ctx, unit)
			}),
			durable.Step("two", func(_ context.Context, s *inner) error {
				bodies.add("two")
				s.N *= 10
				return nil
			}))
		w := durable.Define("w", durable.Parallel("p",
			durable.Step("calls", func(ctx context.Context, b *board) error {
				bodies.add("calls")
				for i := range 2 {
					got, err := durable.Call(ctx, c, inner{N: i})
					if err != nil {
						return err
					}
					b.C = append(b.C, got.N)
				}
				return nil
			}),
			durable.Step("spawns", func(ctx context.Context, b *board) error {
				bodies.add("spawns")
				x, err := durable.Spawn(ctx, c, inner{N: 4})
				if err != nil {
					return err
				}
				y, err := durable.Spawn(ctx, c, inner{N: 5})
				if err != nil {
					return err
				}
				if err := durable.Sleep(ctx, unit/4); err != nil {
					return err
				}
				second, err := durable.Await(ctx, y)
				if err != nil {
					return err
				}
				first, err := durable.Await(ctx, x)
				if err != nil {
					return err
				}
				again, err := durable.Await(ctx, x) // whoever asks again gets it again
				b.D = map[string]int{"x": first.N, "y": second.N, "again": again.N}
				return err
			}),
			durable.Child("node", c, func(b *board) inner { return inner{N: 6} }, func(b *board, s inner) { b.A = s.N })))
		return &weather[board]{
			flow: w, others: []durable.Definition{c}, bodies: &bodies, width: 8, slack: 3,
			end: func(b board, err error) error {
				return wantBoard(b, err, `{"a":70,"c":[10,20],"d":{"again":50,"x":50,"y":60}}`)
			},
			tree: func(_ *durable.Engine, list []kin) error {
				return wantStatuses(list, "c completed", "c completed", "c completed", "c completed", "c completed", "w completed")
			},
		}
	})
}

func TestCH3_RetryKeepsWhatCompleted(t *testing.T) {
	var begun tally
	c := durable.Define("c", durable.Step("s", func(ctx context.Context, s *inner) error {
		begun.add(fmt.Sprint(s.N))
		if s.N == 2 && begun.of("2") == 1 {
			return errFlaky
		}
		return nil
	}))
	w := durable.Define("w", body("calls", func(ctx context.Context, n *note) error {
		for i := 1; i < 3; i++ {
			if _, err := durable.Call(ctx, c, inner{N: i}); err != nil {
				return err
			}
		}
		return nil
	}).Retry(durable.Retry{MaxAttempts: 3}))
	onStores(t, serve(w, c), func(t *testing.T, e env) {
		begun.reset()
		run := durabletest.Start(e.Engine, w, note{})
		run.Done()
		if begun.of("1") != 1 || begun.of("2") != 2 || len(childrenOf(t, e, run.ID)) != 3 {
			t.Errorf("%q", begun.all())
		}
	})
}

// A child that was spawned and awaited by an attempt that fails is kept if it completed, and else spawned
// anew: once, whatever dies when.
func TestCH3_RetrySpawnsAnewWhatFailed(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		c := durable.Define("c", durable.Step("s", func(_ context.Context, s *inner) error {
			bodies.add(fmt.Sprint("c", s.N))
			if s.N == 1 { // of the first attempt
				return errFlaky
			}
			return nil
		}))
		w := durable.Define("w", durable.Step("s", func(ctx context.Context, b *board) error {
			bodies.add("s")
			info, _ := durable.Info(ctx)
			kept, err := durable.Spawn(ctx, c, inner{N: 7})
			if err != nil {
				return err
			}
			anew, err := durable.Spawn(ctx, c, inner{N: 1 + info.Failures})
			if err != nil {
				return err
			}
			for _, k := range []durable.Spawned[inner]{kept, anew} {
				got, err := durable.Await(ctx, k)
				if err != nil {
					return err
				}
				b.C = append(b.C, got.N)
			}
			return nil
		}).Retry(durable.Retry{MaxAttempts: 30, Base: unit, Backoff: durable.Constant, Jitter: durable.NoJitter}))
		return &weather[board]{
			flow: w, others: []durable.Definition{c}, bodies: &bodies, width: 3, slack: 3,
			end: func(b board, err error) error { return wantBoard(b, err, `{"c":[7,2]}`) },
			tree: func(_ *durable.Engine, list []kin) error {
				return wantStatuses(list, "c completed", "c completed", "c failed", "w completed")
			},
		}
	})
}

// What an earlier step has spawned stays as it ended, also when the step that awaits it is retried.
func TestCH3_RetryKeepsWhatAnotherStepSpawned(t *testing.T) {
	c := durable.Define("c", durable.Step("s", func(context.Context, *inner) error { return errFlaky }))
	w := durable.Define("w",
		durable.Step("spawn", func(ctx context.Context, b *board) error {
			k, err := durable.Spawn(ctx, c, inner{})
			b.B = k.ID.String()
			return err
		}),
		durable.Step("await", func(ctx context.Context, b *board) error {
			id, err := durable.ParseID(b.B)
			if err != nil {
				return err
			}
			_, err = durable.Await(ctx, durable.Spawned[inner]{ID: id})
			return err
		}).Retry(durable.Retry{MaxAttempts: 3}))
	onStores(t, serve(w, c), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, board{})
		wantFailure(t, run.Fails(), durable.Failed, "child", "await")
		if n := len(childrenOf(t, e, run.ID)); n != 1 {
			t.Errorf("%d children", n)
		}
	})
}

func TestCH4_CN4_CancelGoesDownTheTree(t *testing.T) {
	var ended tally
	hang := func(name string) *durable.Workflow[inner] {
		return durable.Define(name, durable.Step("s", func(ctx context.Context, s *inner) error {
			if s.N == 1 { // asleep
				return durable.Sleep(ctx, 1000*time.Hour)
			}
			<-ctx.Done()
			ended.add(name)
			return context.Cause(ctx)
		}))
	}
	grand := hang("grand")
	child := durable.Define("child", durable.Step("call", func(ctx context.Context, s *inner) error {
		_, err := durable.Call(ctx, grand, inner{N: s.N})
		return err
	}))
	done := durable.Define("done", durable.Step("s", func(context.Context, *inner) error { return nil }))
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		for _, o := range [][]durable.CallOption{nil, {durable.Detached()}} {
			if _, err := durable.Spawn(ctx, grand, inner{N: 1}, o...); err != nil {
				return err
			}
		}
		if _, err := durable.Call(ctx, done, inner{}); err != nil {
			return err
		}
		_, err := durable.Call(ctx, child, inner{N: n.N})
		return err
	}))
	onStores(t, serve(w, child, grand, done), func(t *testing.T, e env) {
		for n := range 2 {
			ended.reset()
			run := durabletest.Start(e.Engine, w, note{N: n})
			e.Sleep(time.Minute)
			if err := e.Cancel(context.Background(), run.ID, "enough"); err != nil {
				t.Fatal(err)
			}
			e.Sleep(time.Minute)
			kids := childrenOf(t, e, run.ID)
			got := map[string]int{}
			for _, k := range kids {
				got[k.Workflow+" "+string(k.Status)]++
				if k.Status == durable.Cancelled && !strings.Contains(k.Error.Message, run.ID.String()) {
					t.Errorf("the reason does not name the parent: %v", k.Error)
				}
				if k.Workflow == "child" {
					if g := childrenOf(t, e, k.ID); len(g) != 1 || g[0].Status != durable.Cancelled {
						t.Errorf("grandchild %+v", g[0])
					}
				}
			}
			want := map[string]int{"grand cancelled": 1, "grand waiting": 1, "done completed": 1, "child cancelled": 1}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v, want %v", got, want)
			}
			if n == 0 && ended.of("grand") != 1 {
				t.Errorf("the grandchild's body was not ended: %q", ended.all())
			}
		}
	})
}

func TestCH4_SpawnedLiveOnCalledDoNot(t *testing.T) {
	sleeper := durable.Define("sleeper", durable.Step("s", func(ctx context.Context, s *inner) error { return durable.Sleep(ctx, time.Hour) }))
	w := durable.Define("w", durable.Parallel("p",
		durable.Step("spawns", func(ctx context.Context, b *board) error {
			_, err := durable.Spawn(ctx, sleeper, inner{N: 1})
			return err
		}),
		durable.Step("calls", func(ctx context.Context, b *board) error {
			_, err := durable.Call(ctx, sleeper, inner{N: 2})
			return err
		}),
		durable.Step("fails", func(ctx context.Context, b *board) error { _ = rest(ctx, time.Second); return errFlaky })))
	settled := durable.Define("settled", durable.Parallel("p",
		durable.Sequence("lane", durable.Parallel("q",
			durable.Step("calls", func(ctx context.Context, b *board) error {
				_, err := durable.Call(ctx, sleeper, inner{N: 2})
				return err
			}),
			durable.Step("fails", func(ctx context.Context, b *board) error { _ = rest(ctx, time.Second); return errFlaky })))).
		Settle().Merge(func(*board, map[string]durable.Outcome[board]) error { return nil }))
	onStores(t, serve(w, settled, sleeper), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, board{})
		wantFailure(t, run.Fails(), durable.Failed, "error", "p[fails]/fails")
		other := durabletest.Start(e.Engine, settled, board{})
		other.Done()
		e.Sleep(time.Minute)
		for _, k := range append(childrenOf(t, e, run.ID), childrenOf(t, e, other.ID)...) {
			var s inner
			x, err := e.Execution(context.Background(), k.ID)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(x.Input), `"n":2`) != (k.Status == durable.Cancelled) {
				t.Errorf("%s is %s (%v)", x.Input, k.Status, s)
			}
		}
	})
}

func TestCH5_Timeout(t *testing.T) {
	slow := durable.Define("slow", durable.Step("s", func(ctx context.Context, s *inner) error {
		s.N = 100
		return durable.Sleep(ctx, time.Duration(s.N)*time.Minute)
	}))
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.Call(ctx, slow, inner{}, durable.Timeout(time.Minute))
		if !errors.Is(err, durable.ErrTimeout) {
			return fmt.Errorf("it ends with %w", err)
		}
		got, err := durable.Call(ctx, slow, inner{}, durable.Timeout(time.Minute), durable.OnTimeout(inner{N: 7}))
		if err != nil {
			return err
		}
		n.N = got.N
		_, err = durable.Call(ctx, slow, inner{}, durable.Timeout(0))
		if !errors.Is(err, durable.ErrTimeout) {
			return fmt.Errorf("it ends with %w", err)
		}
		got, err = durable.Call(ctx, slow, inner{}, durable.Timeout(3*time.Hour))
		n.N += got.N
		return err
	}))
	onStores(t, serve(w, slow), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		if got := run.Done(); got.N != 107 {
			t.Errorf("%+v", got)
		}
		var ends []string
		for _, k := range childrenOf(t, e, run.ID) {
			ends = append(ends, string(k.Status))
		}
		if !slices.Equal(ends, []string{"cancelled", "cancelled", "completed"}) {
			t.Errorf("%q", ends)
		}
	})
}

func TestCH1_RecursionToItsLimit(t *testing.T) {
	var w *durable.Workflow[inner]
	w = durable.Define("w", durable.Step("s", func(ctx context.Context, s *inner) error {
		if s.N == 0 {
			return nil
		}
		got, err := durable.Call(ctx, w, inner{N: s.N - 1})
		s.N = got.N + 1
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		if got := durabletest.Start(e.Engine, w, inner{N: 32}).Done(); got.N != 32 {
			t.Errorf("%+v", got)
		}
		wantError(t, durabletest.Start(e.Engine, w, inner{N: 33}).Fails(), nil, "deeper than 32")
	})
}

func TestCH6_BadCalls(t *testing.T) {
	other := durable.Define("other", durable.Step("s", func(context.Context, *inner) error { return nil }))
	known := durable.Define("known", durable.Step("s", func(context.Context, *inner) error { return nil })).Queue("q")
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		var err error
		switch n.N {
		case 0:
			_, err = durable.Call(ctx, other, inner{})
		case 1:
			_, err = durable.Call[inner](ctx, nil, inner{})
		case 2:
			_, err = durable.Call(ctx, known, inner{}, durable.Key("k"))
		case 3:
			_, err = durable.Call(ctx, known, inner{}, durable.InQueue("nowhere"))
		case 4:
			_, err = durable.Call(ctx, known, inner{}, durable.Detached())
		case 5:
			_, err = durable.Spawn(ctx, known, inner{}, durable.Timeout(time.Second))
		case 6:
			_, err = durable.Await(ctx, durable.Spawned[inner]{ID: durable.ID{1}})
		case 7:
			_, err = durable.Await(ctx, durable.Spawned[inner]{})
		case 8:
			_, err = durable.Call(ctx, known, inner{}, durable.Tags("x"), durable.Priority(3))
		}
		return err
	}).Retry(durable.Retry{MaxAttempts: 2}))
	cfg := serve(w, known)
	cfg.Queues = map[string]durable.Queue{"default": {}, "q": {}}
	onStores(t, cfg, func(t *testing.T, e env) {
		for n, text := range []string{"unknown workflow", "is nil", "Key is for Start", "nowhere", "Spawn", "Await", "no such run", "Spawned is empty"} {
			run := durabletest.Start(e.Engine, w, note{N: n})
			wantError(t, run.Fails(), nil, text)
			if x := run.Look(); x.Error.Attempt > 1 {
				t.Errorf("%s: it was tried again: %+v", text, x.Error)
			}
		}
		run := durabletest.Start(e.Engine, w, note{N: 8}, durable.Tags("y"), durable.Priority(9))
		run.Done()
		if k := childrenOf(t, e, run.ID)[0]; k.Queue != "q" || k.Priority != 3 || !slices.Equal(k.Tags, []string{"y", "x"}) {
			t.Errorf("%+v", k)
		}
		if n := e.count(t); n != 10 {
			t.Errorf("%d runs, want 9 and one child", n)
		}
	})
}
