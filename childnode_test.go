package durable_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// hour is a workflow whose runs take an hour.
func hour[S any](name string, then func(s *S)) *durable.Workflow[S] {
	return durable.Define(name, durable.Pause("rest", func(*S) time.Duration { return time.Hour }),
		durable.Step("s", func(_ context.Context, s *S) error { then(s); return nil }))
}

// A child's wait stays as it was opened: with the value of OnTimeout that it had then.
func TestWN4_CH5_OnTimeoutStaysAsItWas(t *testing.T) {
	c := hour("c", func(*inner) {})
	with := func(n int) *durable.Workflow[board] {
		return durable.Define("w", durable.Child("c", c, func(*board) inner { return inner{} }, func(b *board, s inner) { b.A = s.N }).
			Timeout(time.Minute).OnTimeout(inner{N: n}))
	}
	old, young := with(1), with(2)
	onStores(t, serve(old, c), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, old, board{})
		e.Sleep(time.Second)
		e.Deploy(serve(young, c))
		if got := run.Done(); got.A != 1 {
			t.Errorf("it went on with %d", got.A)
		}
	})
}

// Each run has a value of its own: what one does to it, no other sees.
func TestWN4_CH5_OnTimeoutIsNotShared(t *testing.T) {
	type shared struct {
		M map[string]int `json:"m"`
	}
	c := hour("c", func(*shared) {})
	w := durable.Define("w", durable.Child("c", c, func(*board) shared { return shared{} }, func(b *board, s shared) {
		s.M["n"]++
		b.D = s.M
	}).Timeout(time.Minute).OnTimeout(shared{map[string]int{"n": 0}}))
	onStores(t, serve(w, c), func(t *testing.T, e env) {
		for range 3 {
			if got := durabletest.Start(e.Engine, w, board{}).Done(); got.D["n"] != 1 {
				t.Errorf("%v", got.D)
			}
		}
	})
}

// goesBack deploys code that cannot take what has begun and, when the run is blocked for what
// why says, the old code again: then it goes on by itself.
func goesBack(t *testing.T, e env, w *durable.Workflow[board], old, young durable.Config, why ...string) *durabletest.Started[board] {
	t.Helper()
	e.Deploy(old)
	run := durabletest.Start(e.Engine, w, board{})
	e.Sleep(time.Second)
	e.Deploy(young)
	e.Sleep(2 * time.Hour)
	x := run.Look()
	if x.Status != durable.Blocked {
		t.Fatalf("it is %s: %s", x.Status, x.State)
	}
	for _, text := range why {
		if !strings.Contains(x.Error.Message, text) {
			t.Errorf("%q does not say %q", x.Error.Message, text)
		}
	}
	e.Deploy(old)
	synctest.Wait()
	return run
}

func TestVR4_VR5_AnotherWorkflowForAChild(t *testing.T) {
	one := hour("one", func(s *inner) { s.N = 7 })
	type other struct {
		Z int `json:"z"`
	}
	two := hour("two", func(s *other) { s.Z = 8 })
	for name, timeout := range map[string]time.Duration{"it completes": 24 * time.Hour, "it times out": time.Minute} {
		old := durable.Define("w", durable.Child("c", one, func(*board) inner { return inner{} }, func(b *board, s inner) { b.A = s.N }).
			Timeout(timeout).OnTimeout(inner{N: 7}))
		young := durable.Define("w", durable.Child("c", two, func(*board) other { return other{} }, func(b *board, s other) { b.A = s.Z }).
			Timeout(timeout).OnTimeout(other{Z: 8}))
		onStores(t, serve(old, one, two), func(t *testing.T, e env) {
			run := goesBack(t, e, old, serve(old, one, two), serve(young, one, two), `"one"`, `"two"`)
			if got := run.Done(); got.A != 7 {
				t.Errorf("%s: %+v", name, got)
			}
		})
	}
}

func TestVR4_VR5_AnotherStateTypeOfAChild(t *testing.T) {
	type text struct {
		N string `json:"n"`
	}
	one := hour("c", func(s *inner) { s.N = 7 })
	two := hour("c", func(s *text) { s.N = "8" }).Version("2")
	old := durable.Define("w", durable.Child("c", one, func(*board) inner { return inner{} }, func(b *board, s inner) { b.A = s.N }))
	young := durable.Define("w", durable.Child("c", two, func(*board) text { return text{} }, func(b *board, s text) { b.B = s.N }))
	onStores(t, serve(old, one, two), func(t *testing.T, e env) {
		run := goesBack(t, e, old, serve(old, one, two), serve(young, one, two), "the state of the child", "string")
		if got := run.Done(); got.A != 7 {
			t.Errorf("%+v", got)
		}
	})
}

func TestVR4_VR5_AnotherItemType(t *testing.T) {
	type number struct {
		N int `json:"n"`
	}
	type text struct {
		N string `json:"n"`
	}
	rest := func() time.Duration { return time.Hour }
	old := durable.Define("w", durable.Each("e", func(*board) []number { return []number{{1}, {2}} },
		durable.Pause("z", func(*number) time.Duration { return rest() }),
		durable.Step("s", func(_ context.Context, n *number) error { n.N++; return nil })).
		Into(func(b *board, list []number) { b.B = fmt.Sprint(list) }))
	young := durable.Define("w", durable.Each("e", func(*board) []text { return nil },
		durable.Pause("z", func(*text) time.Duration { return rest() }),
		durable.Step("s", func(context.Context, *text) error { return nil })))
	onStores(t, serve(old), func(t *testing.T, e env) {
		run := goesBack(t, e, old, serve(old), serve(young), "item", "string")
		if got := run.Done(); got.B != "[{2} {3}]" {
			t.Errorf("%+v", got)
		}
	})
}

// Items that have completed are taken together by code with another type of them.
func TestVR4_VR5_EA6_AnotherTypeOfSpreadItems(t *testing.T) {
	type number struct {
		N int `json:"n"`
	}
	type text struct {
		N string `json:"n"`
	}
	first := durable.Step("s", func(ctx context.Context, n *number) error {
		if n.N == 2 {
			return durable.Sleep(ctx, time.Hour)
		}
		return nil
	})
	old := durable.Define("w", durable.Each("e", func(*board) []number { return []number{{1}, {2}} }, first).Spread().
		Into(func(b *board, list []number) { b.B = fmt.Sprint(list) }))
	young := durable.Define("w", durable.Each("e", func(*board) []text { return nil },
		durable.Step("s", func(context.Context, *text) error { return nil })).Spread().
		IntoOutcomes(func(b *board, list []durable.Outcome[text]) error { b.B = fmt.Sprint(list); return nil }))
	onStores(t, serve(old), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, old, board{})
		e.Sleep(time.Second)
		e.Deploy(serve(young))
		e.Sleep(2 * time.Hour)
		kids := childrenOf(t, e, run.ID)
		if x := kids[1]; x.Status != durable.Blocked || !strings.Contains(x.Error.Message, "item") {
			t.Errorf("the item is %s: %+v", x.Status, x.Error)
		}
		e.Deploy(serve(old))
		synctest.Wait()
		if got := run.Done(); got.B != "[{1} {2}]" {
			t.Errorf("%+v", got)
		}
	})
}
