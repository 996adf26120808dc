package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

// when notes at which time since the begin of a test something happened.
type when struct {
	tally
	begun time.Time
}

func (w *when) note(name string) {
	w.add(fmt.Sprintf("%s at %s", name, time.Since(w.begun).Round(10*time.Second)))
}

func (w *when) reset() {
	w.tally.reset()
	w.begun = time.Now()
}

// While a body of one lane runs for long, timers and retries of others are on time.
func TestPA8_G11_TimersBesideALongBody(t *testing.T) {
	var seen when
	w := durable.Define("w", durable.Parallel("p",
		later("long", 5*time.Minute, func(*board) { seen.note("long") }),
		durable.Step("sleeps", func(ctx context.Context, b *board) error {
			err := durable.Sleep(ctx, time.Minute)
			seen.note("slept")
			return err
		}),
		durable.Step("waits", func(ctx context.Context, b *board) error {
			_, err := durable.WaitForEvent[int](ctx, "never", durable.Timeout(2*time.Minute), durable.OnTimeout(1))
			seen.note("timed out")
			return err
		}),
		durable.Step("retries", func(ctx context.Context, b *board) error {
			if info, _ := durable.Info(ctx); info.Attempt == 1 {
				return durable.RetryAfter(errFlaky, 3*time.Minute)
			}
			seen.note("again")
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2})))
	onStores(t, serve(w), func(t *testing.T, e env) {
		seen.reset()
		durabletest.Start(e.Engine, w, board{}).Done()
		if got := seen.all(); !slices.Equal(got, []string{"slept at 1m0s", "timed out at 2m0s", "again at 3m0s", "long at 5m0s"}) {
			t.Errorf("%q", got)
		}
	})
}

// A message wakes its lane although another is put off for long.
func TestPA8_AMessageBesideARetry(t *testing.T) {
	var seen when
	w := durable.Define("w", durable.Parallel("p",
		durable.Step("retries", func(ctx context.Context, b *board) error {
			if info, _ := durable.Info(ctx); info.Attempt == 1 {
				return durable.RetryAfter(errFlaky, time.Hour)
			}
			seen.note("again")
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2}),
		durable.Step("waits", func(ctx context.Context, b *board) error {
			n, err := durable.WaitForEvent[int](ctx, "go")
			b.A = n
			seen.note("went")
			return err
		})))
	onStores(t, serve(w), func(t *testing.T, e env) {
		seen.reset()
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(time.Minute)
		run.Event("go", 7)
		if got := run.Done(); got.A != 7 {
			t.Errorf("%+v", got)
		}
		if got := seen.all(); !slices.Equal(got, []string{"went at 1m0s", "again at 1h0m0s"}) {
			t.Errorf("%q", got)
		}
	})
}

// A run with a lane that is ready is due now, whatever another waits for: after a
// stop, and if its queue is served elsewhere.
func TestPA8_ReadyBesideAFarTimer(t *testing.T) {
	var seen when
	chain := func(queue string) durable.Node[board] {
		var steps []durable.Node[board]
		for i := range 4 {
			steps = append(steps, later(fmt.Sprint("s", i), time.Minute, func(*board) { seen.note(fmt.Sprint("s", i)) }).Queue(queue))
		}
		return durable.Sequence("chain", steps...)
	}
	far := durable.Step("far", func(ctx context.Context, b *board) error { return durable.Sleep(ctx, 100*time.Hour) })
	retries := durable.Step("retries", func(ctx context.Context, b *board) error {
		if info, _ := durable.Info(ctx); info.Attempt == 1 {
			return durable.RetryAfter(errFlaky, 50*time.Hour)
		}
		return nil
	}).Retry(durable.Retry{MaxAttempts: 2})
	w := durable.Define("w", durable.Parallel("p", far, chain("default")))
	v := durable.Define("v", durable.Parallel("p", far, chain("gpu"), retries))
	here, there := serve(w, v), serve(w, v)
	here.Queues = map[string]durable.Queue{"default": {}, "gpu": durable.Elsewhere}
	there.Queues = map[string]durable.Queue{"gpu": {}, "default": durable.Elsewhere}
	onStores(t, here, func(t *testing.T, e env) {
		seen.reset()
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(90 * time.Second)
		e.Restart() // in order: s1 may end
		run.Done()
		if got := seen.all(); len(got) != 4 || got[3] != "s3 at 4m0s" {
			t.Errorf("%q", got)
		}
		seen.reset()
		other := durabletest.Start(e.Engine, v, board{})
		e.Sleep(10 * time.Minute)
		if x := e.record(t, other.ID); x.Epoch > 3 {
			t.Errorf("nobody serves the queue, and it was claimed %d times", x.Epoch)
		}
		e.Join(there)
		other.Done()
		if got := seen.all(); len(got) != 4 || got[3] != "s3 at 14m0s" {
			t.Errorf("%q", got)
		}
	})
}

func TestEV3_TheWaitOpenedFirstGetsIt(t *testing.T) {
	lane := func(name string, before time.Duration, set func(b *board, n int)) durable.Node[board] {
		return durable.Sequence(name,
			durable.Step("before", func(ctx context.Context, b *board) error { return durable.Sleep(ctx, before) }),
			durable.Step("wait", func(ctx context.Context, b *board) error {
				n, err := durable.WaitForEvent[int](ctx, "go")
				set(b, n)
				return err
			}))
	}
	w := durable.Define("w", durable.Parallel("p",
		lane("a", time.Hour, func(b *board, n int) { b.A = n }),
		lane("b", time.Minute, func(b *board, n int) { b.In = n })))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(2 * time.Hour)
		e.Crash()
		run.Event("go", 1)
		e.Sleep(time.Minute)
		run.Event("go", 2)
		if got := run.Done(); got.In != 1 || got.A != 2 {
			t.Errorf("%+v", got)
		}
	})
}

// A run with many items goes before what is to be claimed, but shares what gets
// free: neither waits for the end of the other.
func TestEA2_QU_ItemsAndOtherRunsTakeTurns(t *testing.T) {
	var seen when
	items := durable.Define("items", durable.Each("pages", pagesOf,
		read("one", func(ctx context.Context, p *page) error { return rest(ctx, time.Minute) })).Into(intoPages),
		set("end", func(b *board) { seen.note("items") }))
	one := durable.Define("one", later("one", time.Minute, func(*board) { seen.note("one") }))
	cfg := serve(items, one)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 4}}
	onStores(t, cfg, func(t *testing.T, e env) {
		seen.reset()
		many := durabletest.Start(e.Engine, items, ofPages(60)) // 15 minutes alone
		e.Sleep(90 * time.Second)
		single := durabletest.Start(e.Engine, one, board{})
		single.Done()
		if d := time.Since(seen.begun); d > 4*time.Minute {
			t.Errorf("a run waited %s behind the items of another", d)
		}
		many.Done()
		seen.reset()
		for range 200 { // 50 minutes alone
			durabletest.Start(e.Engine, one, board{})
		}
		few := durabletest.Start(e.Engine, items, ofPages(8))
		few.Done()
		left := 200 - seen.of("one")
		if d := time.Since(seen.begun); d > 60*time.Minute {
			t.Errorf("8 items took %s beside others, %d of which are left", d, left)
		}
	})
}

// Items are not held up by the questions of others.
func TestEA5_QuestionsOfOthersDoNotHoldAWrite(t *testing.T) {
	w := durable.Define("w", durable.Parallel("p",
		durable.Sequence("asks", durable.Loop("l", func(b *board) bool { return b.A < 5 },
			durable.Branch("b", func(*board) bool { _ = rest(context.Background(), 40*time.Millisecond); return false }).Case(true, set("never", func(*board) {})),
			durable.Branch("c", func(*board) bool { _ = rest(context.Background(), 40*time.Millisecond); return false }).Case(true, set("never", func(*board) {})),
			durable.Branch("d", func(*board) bool { _ = rest(context.Background(), 40*time.Millisecond); return false }).Case(true, set("never", func(*board) {})),
			set("n", func(b *board) { b.A++ }))),
		durable.Sequence("quick", set("q1", func(*board) {}), set("q2", func(*board) {}), set("q3", func(*board) {}))))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, board{})
		run.Done()
		var tried, last int64
		for _, f := range e.facts(t, run.ID) {
			if f.Kind == journal.Tried && f.Path == "p[quick]/q1" {
				tried = f.At
			}
			if f.Kind == journal.Done && f.Path == "p[quick]/q3" {
				last = f.At
			}
		}
		if d := time.Duration(last-tried) * time.Microsecond; d > 4*holdForAnswer {
			t.Errorf("three steps that take no time took %s beside questions", d)
		}
	})
}

const holdForAnswer = 50 * time.Millisecond

func TestVR3_ALaneIsTakenAway(t *testing.T) {
	var bodies tally
	define := func(lanes ...durable.Node[board]) *durable.Workflow[board] {
		return durable.Define("w", durable.Parallel("p", lanes...), set("end", func(b *board) { bodies.add("end") }))
	}
	quick := durable.Sequence("quick", set("q", func(b *board) { bodies.add("q"); b.A = 1 }))
	waits := func() durable.Node[board] {
		return durable.Sequence("waits", durable.Step("ask", func(ctx context.Context, b *board) error {
			n, err := durable.WaitForEvent[int](ctx, "go")
			b.In = n
			return err
		}))
	}
	added := func() durable.Node[board] {
		return durable.Sequence("added", set("new", func(b *board) { bodies.add("new"); b.B = "new" }))
	}
	w := define(quick, waits())
	onStores(t, serve(w), func(t *testing.T, e env) {
		bodies.reset()
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(time.Minute)
		e.Deploy(serve(define(quick, added())))
		run.Event("go", 5) // is kept
		e.Sleep(time.Minute)
		x, err := e.Execution(context.Background(), run.ID)
		if err != nil || x.Status != durable.Blocked {
			t.Errorf("without the open lane it is %+v, %v", x, err)
		}
		e.Deploy(serve(define(waits(), added()))) // the lane that has ended is gone, which counts all the same
		if got := run.Done(); got.A != 1 || got.In != 5 || got.B != "new" {
			t.Errorf("%+v", got)
		}
		if got := bodies.all(); !slices.Equal(got, []string{"q", "new", "end"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestPA5_TheFirstOfTwoFailuresInTime(t *testing.T) {
	fails := func(name string, after time.Duration) durable.Node[board] {
		return durable.Step(name, func(ctx context.Context, _ *board) error {
			_ = rest(context.Background(), after)
			return errors.New(name)
		})
	}
	w := durable.Define("w", durable.Parallel("p", fails("late", 2*time.Minute), fails("early", time.Minute), fails("middle", 90*time.Second)))
	onStores(t, serve(w), func(t *testing.T, e env) {
		wantFailure(t, durabletest.Start(e.Engine, w, board{}).Fails(), durable.Failed, "error", "p[early]/early")
	})
}
