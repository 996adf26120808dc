package durable_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

func TestSL1_SleepIsExactAndHoldsNothing(t *testing.T) {
	until := time.Date(2000, 3, 1, 9, 0, 0, 0, time.UTC)
	w := durable.Define("w",
		body("for", func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, 36*time.Hour+time.Microsecond) }),
		body("none", func(ctx context.Context, _ *note) error {
			for _, d := range []time.Duration{0, -1, -time.Hour} {
				if err := durable.Sleep(ctx, d); err != nil {
					return err
				}
			}
			return durable.SleepUntil(ctx, time.Now().Add(-time.Minute))
		}),
		body("until", func(ctx context.Context, _ *note) error { return durable.SleepUntil(ctx, until) }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		began := time.Now()
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		if x := run.Look(); x.Status != durable.Waiting || x.Due.IsZero() || x.Worker != "" {
			t.Errorf("asleep it is %s, due %s, with %q", x.Status, x.Due, x.Worker)
		}
		run.Done()
		x := run.Look()
		if d := x.Steps[0].Ended.Sub(began); d < 36*time.Hour || d > 36*time.Hour+time.Second {
			t.Errorf("36 hours took %s", d)
		}
		if d := x.Steps[1].Duration; d > time.Second {
			t.Errorf("no time took %s", d)
		}
		if late := time.Since(until); late < 0 || late > time.Second {
			t.Errorf("it woke %s late", late)
		}
	})
}

func TestSL2_EachSleepLastsAndTheRecordCounts(t *testing.T) {
	first := time.Hour
	w := durable.Define("w",
		body("a", func(ctx context.Context, _ *note) error {
			if err := durable.Sleep(ctx, first); err != nil {
				return err
			}
			return durable.Sleep(ctx, 2*time.Hour)
		}),
		body("b", func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, 3*time.Hour) }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		first = time.Hour
		began := time.Now()
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		first = 100 * time.Hour // the recorded deadline counts
		e.Restart()
		run.Done()
		if d := time.Since(began); d < 6*time.Hour || d > 6*time.Hour+3*time.Second {
			t.Errorf("1 + 2 + 3 hours took %s", d)
		}
	})
}

func TestSL3_AnOldWakeTimeEndsNothing(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		v, err := durable.WaitForEvent[string](ctx, "e")
		n.Kind = v
		return err
	}))
	long := durable.Define("long", body("s", func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, 3*365*24*time.Hour) }))
	onStores(t, serve(w, long), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		e.Restart()
		e.Sleep(30 * 24 * time.Hour)
		if x := run.Look(); x.Status != durable.Waiting || !x.Due.IsZero() {
			t.Errorf("it is %s, due %s", x.Status, x.Due)
		}
		run.Event("e", "woken")
		if got := run.Done(); got.Kind != "woken" {
			t.Errorf("state %+v", got)
		}
		sleeper := durabletest.Start(e.Engine, long, note{})
		e.Sleep(60 * 24 * time.Hour)
		if x := sleeper.Look(); x.Status != durable.Waiting {
			t.Errorf("after two months it is %s", x.Status)
		}
	})
}

// SL-4 with fewer of them.
func TestSleep_ManyDueAtOnce(t *testing.T) {
	const n = 2000
	var bodies tally
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		bodies.add("s")
		return durable.SleepUntil(ctx, time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC))
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		runs, err := w.StartMany(context.Background(), e.Engine.Engine, make([]note, n), nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := len(bodies.all()); got != n {
			t.Fatalf("%d bodies before the sleep", got)
		}
		e.Sleep(time.Until(time.Date(2000, 1, 2, 0, 0, 1, 0, time.UTC)))
		for _, r := range runs {
			if x, err := e.Execution(context.Background(), r.ID); err != nil || x.Status != durable.Completed {
				t.Fatalf("a second after they were due: %+v, %v", x, err)
			}
		}
		if got := len(bodies.all()); got != 2*n {
			t.Errorf("%d bodies, want %d", got, 2*n)
		}
	})
}
