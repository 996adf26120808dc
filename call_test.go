package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// do is a Do that notes that its function ran.
func do(ctx context.Context, ran *tally, name, result string) (string, error) {
	return durable.Do(ctx, name, func(context.Context) (string, error) {
		ran.add(name)
		return result, nil
	})
}

func TestDO1_RecordedOnce(t *testing.T) {
	var ran tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		v, err := do(ctx, &ran, "pay", fmt.Sprintf("attempt %d", info.Attempt))
		if err != nil {
			return err
		}
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		switch {
		case info.Failures == 0:
			return errFlaky
		case info.Crashes == 0:
			<-ctx.Done()
			return context.Cause(ctx)
		}
		n.Kind = v
		return nil
	}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Minute}).Timeout(durable.NoTimeout))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ran.reset()
		run := durabletest.Start(e.Engine, w, note{})
		e.Sleep(30 * time.Minute)
		e.Restart()
		e.Sleep(time.Hour)
		e.Deploy(serve(w))
		e.Crash()
		if got := run.Done(); got.Kind != "attempt 1" || len(ran.all()) != 1 {
			t.Errorf("result %q after %d calls", got.Kind, len(ran.all()))
		}
	})
}

func TestDO2_KindNameAndCount(t *testing.T) {
	var ran tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Trace = nil
		for i := range 3 {
			v, err := do(ctx, &ran, "page", fmt.Sprint(i))
			if err != nil {
				return err
			}
			n.Trace = append(n.Trace, v)
			if err := durable.Sleep(ctx, time.Minute); err != nil {
				return err
			}
		}
		v, err := durable.WaitForEvent[string](ctx, "page")
		if err != nil {
			return err
		}
		a, err := durable.WaitForInput[string](ctx, "page")
		n.Trace = append(n.Trace, v, a)
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ran.reset()
		run := durabletest.Start(e.Engine, w, note{})
		run.WillSend("page", "event")
		run.WillAnswer("page", "answer")
		wantTrace(t, run.Done(), "0", "1", "2", "event", "answer")
		if n := len(ran.all()); n != 3 {
			t.Errorf("%d calls of the function, want 3", n)
		}
	})
}

func TestDO3_ErrorsAreRecorded(t *testing.T) {
	var ran tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		_, err := durable.Do(ctx, "call", func(context.Context) (int, error) {
			ran.add("call")
			if info.Failures == 0 {
				return 0, fmt.Errorf("busy: %w", errFlaky)
			}
			return 1, nil
		})
		var f *durable.Failure
		if err != nil && (!errors.As(err, &f) || f.Message != "busy: flaky") {
			return durable.Permanent(fmt.Errorf("the error is %v (%T)", err, err))
		}
		if err := durable.Sleep(ctx, time.Hour); err != nil { // on which the body runs again
			return err
		}
		if err == nil != (info.Failures > 0) {
			return durable.Permanent(fmt.Errorf("after %d failures the error is %v", info.Failures, err))
		}
		if err != nil {
			n.Kind = "lost with the attempt"
		}
		if err != nil && info.Crashes == 0 {
			<-ctx.Done() // a crash forgets nothing
		}
		return err
	}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Second}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ran.reset()
		began := time.Now()
		run := durabletest.Start(e.Engine, w, note{})
		e.Sleep(2 * time.Hour)
		e.Crash()
		run.Done()
		if n := len(ran.all()); n != 2 {
			t.Errorf("the function ran %d times, want once an attempt", n)
		}
		if d := time.Since(began); d > 9*time.Hour {
			t.Errorf("it took %s: ends of waits are kept over attempts", d)
		}
	})
}

func TestDO4_WaitsInAnyPlace(t *testing.T) {
	var tops tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		tops.add(fmt.Sprintf("%d %q", n.N, n.Trace))
		n.N++
		for range 3 {
			if err := durable.Sleep(ctx, time.Minute); err != nil {
				return err
			}
		}
		if n.Kind == "x" {
			v, err := durable.WaitForEvent[int](ctx, "maybe")
			if err != nil {
				return err
			}
			n.N += v
		}
		n.Trace = append(n.Trace, "s")
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		tops.reset()
		run := durabletest.Start(e.Engine, w, note{Kind: "x", N: 1, Trace: []string{"a"}})
		run.Event("maybe", 40)
		if got := run.Done(); got.N != 42 {
			t.Errorf("n is %d", got.N)
		}
		if got := tops.all(); len(got) != 4 || slices.ContainsFunc(got, func(s string) bool { return s != `1 ["a"]` }) {
			t.Errorf("at its top the state is %q", got)
		}
	})
}

func TestDO5_SuspensionEndsTheGoroutine(t *testing.T) {
	var seen tally
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) (err error) {
		defer func() {
			seen.add(fmt.Sprintf("cause %t, recovered %v, err %v", errors.Is(context.Cause(ctx), durable.ErrSuspended), recover(), err))
		}()
		defer func() {
			if p := recover(); p != nil { // a catch-all
				err = errors.New("swallowed")
			}
		}()
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			seen.add("an error passes: " + err.Error())
		}
		return nil
	}))
	other := durable.Define("other", mark("a"))
	cfg := serve(w, other)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 1}}
	inMemory(t, cfg, func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		if x := run.Look(); x.Status != durable.Waiting || x.Worker != "" {
			t.Errorf("suspended it is %s with %q", x.Status, x.Worker)
		}
		durabletest.Start(e.Engine, other, note{}).Done() // the slot is free
		run.Done()
		want := []string{"cause true, recovered <nil>, err <nil>", "cause false, recovered <nil>, err <nil>"}
		if got := seen.all(); !slices.Equal(got, want) {
			t.Errorf("deferred functions saw %q, want %q", got, want)
		}
	})
}

func TestDO6_CallsInWrongPlaces(t *testing.T) {
	var (
		got   tally
		after = make(chan context.Context, 1)
	)
	note1 := func(where string, err error) {
		if err == nil || !errors.Is(err, durable.ErrNotInStep) {
			got.add(fmt.Sprintf("%s: %v", where, err))
		}
		got.add(where)
	}
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		defer func() {
			if errors.Is(context.Cause(ctx), durable.ErrSuspended) {
				note1("defer", durable.Sleep(ctx, time.Hour))
				_, err := do(ctx, &got, "in a defer", "")
				note1("defer do", err)
			}
		}()
		done := make(chan error)
		go func() { done <- durable.Sleep(ctx, time.Hour) }()
		note1("goroutine", <-done)
		go func() {
			_, err := do(ctx, &got, "on a goroutine", "")
			done <- err
		}()
		note1("goroutine do", <-done)
		_, err := durable.Do(ctx, "outer", func(ctx context.Context) (int, error) {
			_, err := do(ctx, &got, "inner", "")
			note1("do", err)
			note1("sleep in do", durable.Sleep(ctx, time.Hour))
			return 1, nil
		})
		if err != nil {
			return err
		}
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		n.N++
		after <- ctx
		return nil
	}), durable.Branch("b", func(n *note) int { return n.N }).Case(1, mark("end")))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		note1("outside", durable.Sleep(context.Background(), time.Hour))
		after = make(chan context.Context, 1)
		run := durabletest.Start(e.Engine, w, note{})
		wantTrace(t, run.Done(), "end")
		note1("after", durable.Sleep(<-after, time.Hour))
		want := []string{
			"outside", "goroutine", "goroutine do", "do", "sleep in do", "defer", "defer do",
			"goroutine", "goroutine do", "after",
		}
		if !slices.Equal(got.all(), want) {
			t.Errorf("%q\nwant %q", got.all(), want)
		}
		for _, f := range e.facts(t, run.ID) {
			if f.Path == "s" && f.Call != "" && f.Call != "do:outer#1" && f.Call != "sleep:#1" {
				t.Errorf("a fact of %q", f.Call)
			}
		}
	})
}

func TestDO7_ChangedCode(t *testing.T) {
	var ran tally
	define := func(calls func(ctx context.Context, n *note) error) *durable.Workflow[note] {
		return durable.Define("w", body("s", func(ctx context.Context, n *note) error {
			if err := calls(ctx, n); err != nil {
				return err
			}
			return durable.Sleep(ctx, time.Hour)
		}))
	}
	old := define(func(ctx context.Context, n *note) error {
		_, err := do(ctx, &ran, "old", "text")
		return err
	})
	added := define(func(ctx context.Context, n *note) (err error) {
		n.Kind, err = do(ctx, &ran, "new", "new")
		return err
	})
	typed := define(func(ctx context.Context, n *note) (err error) {
		n.N, err = durable.Do(ctx, "old", func(context.Context) (int, error) { return 1, nil })
		return err
	})
	onStores(t, serve(old), func(t *testing.T, e env) {
		ran.reset()
		run := durabletest.Start(e.Engine, old, note{})
		synctest.Wait()
		e.Deploy(serve(added))
		if got := run.Done(); got.Kind != "new" {
			t.Errorf("state %+v", got)
		}
		if got := ran.all(); !slices.Equal(got, []string{"old", "new"}) {
			t.Errorf("calls %q", got)
		}
		e.Deploy(serve(old))
		stuck := durabletest.Start(e.Engine, old, note{})
		synctest.Wait()
		e.Deploy(serve(typed))
		x := stuck.Settle()
		if x.Status != durable.Blocked || !strings.Contains(x.Error.Message, "do:old#1") || x.Error.Path != "s" {
			t.Fatalf("it is %s: %+v", x.Status, x.Error)
		}
	})
}

func TestDO8_PanicAndResultsThatCannotBeKept(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.Do(ctx, "call", func(context.Context) (any, error) {
			switch n.Kind {
			case "panic":
				panic("oh")
			case "channel":
				return make(chan int), nil
			}
			return strings.Repeat("x", 1<<20), nil
		})
		return err
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		for kind, code := range map[string]string{"panic": "panic", "channel": "encode", "large": "too_large"} {
			_, err := durabletest.Start(e.Engine, w, note{Kind: kind}).End()
			f := wantFailure(t, err, durable.Failed, code, "s")
			if kind != "panic" && !strings.Contains(f.Message, `"call"`) {
				t.Errorf("%s: %q", kind, f.Message)
			}
		}
	})
}
