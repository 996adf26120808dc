package durable_test

import (
	"context"
	"encoding/json"
	"runtime"
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

// Times that are too far away to be printed or counted are the end of the year 9999, and never
// the past.
func TestSL1_TimesThatAreFarAway(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		return durable.SleepUntil(ctx, time.Date(n.N, 2, 3, 4, 5, 6, 7, time.UTC))
	})).Timeout(200 * 365 * 24 * time.Hour)
	ended := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		stands := func(what string, id durable.ID, status durable.Status) {
			t.Helper()
			x, err := e.Execution(ctx, id, durable.WithSteps)
			if err != nil || x.Status != status || x.Due.Year() < 2000 || x.Due.After(ended) {
				t.Errorf("%s: it is %s, due %s, %v", what, x.Status, x.Due, err)
			}
			open, err := e.OpenWaits(ctx, id)
			if err != nil || len(open) > 0 && open[0].Deadline.After(ended) {
				t.Errorf("%s: open are %+v, %v", what, open, err)
			}
			page, err := e.Executions(ctx, durable.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range []any{x, open, page} {
				if _, err := json.Marshal(v); err != nil {
					t.Errorf("%s: %T does not encode: %v", what, v, err)
				}
			}
			if err := e.Cancel(ctx, id, "seen"); err != nil {
				t.Error(err)
			}
		}
		for _, year := range []int{9999, 10_000, 292_278, 294_246, 294_277, 294_300, 400_000, 1_000_000} {
			what := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).String()
			run := durabletest.Start(e.Engine, w, note{N: year})
			synctest.Wait()
			stands("asleep until "+what, run.ID, durable.Waiting)
			if year > 9999 { // in 9999, a timeout of 200 years
				run = durabletest.Start(e.Engine, w, note{}, durable.At(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)))
			} else {
				run = durabletest.Start(e.Engine, w, note{}, durable.At(ended.Add(-time.Hour)))
			}
			synctest.Wait()
			stands("to begin at "+what, run.ID, durable.Pending)
			run = durabletest.Start(e.Engine, w, note{N: 2100})
			synctest.Wait()
			open, err := e.OpenWaits(ctx, run.ID)
			if err != nil || len(open) != 1 {
				t.Fatalf("%+v, %v", open, err)
			}
			if err := e.ExtendWaitUntil(ctx, run.ID, open[0].ID, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
				t.Errorf("extended until %s: %v", what, err)
			}
			synctest.Wait()
			stands("extended until "+what, run.ID, durable.Waiting)
		}
		for _, year := range []int{1969, 1, 0, -1, -290_307, -290_309, -400_000} { // long ago, all of them
			began := time.Now()
			run := durabletest.Start(e.Engine, w, note{N: year}, durable.At(time.Date(year, 1, 2, 0, 0, 0, 0, time.UTC)))
			run.Done()
			if d := time.Since(began); d > time.Minute {
				t.Errorf("in %d it took %s", year, d)
			}
		}
	})
}

// SL-4: who sleeps has no goroutine, and all that are due at one instant wake once each; beside a million of them, see
// "parked" in docs/benchmarks.md.
func TestSL4_ManyDueAtOnce(t *testing.T) {
	const n = 10_000
	var bodies tally
	due := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		bodies.add("s")
		return durable.SleepUntil(ctx, due)
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		idle := runtime.NumGoroutine()
		for range n / 1000 {
			if _, err := w.StartMany(context.Background(), e.Engine.Engine, make([]note, 1000), nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := len(bodies.all()); got != n {
			t.Fatalf("%d bodies before the sleep", got)
		}
		if more := runtime.NumGoroutine() - idle; more > 10 {
			t.Errorf("%d sleepers have %d goroutines", n, more)
		}
		e.Sleep(time.Until(due.Add(-time.Second)))
		if got := len(bodies.all()); got != n {
			t.Errorf("%d have woken early", got-n)
		}
		e.Sleep(time.Until(due.Add(time.Second)))
		counts := map[durable.Status]int{}
		for x, err := range e.EachExecution(context.Background(), durable.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			counts[x.Status]++
		}
		if len(counts) != 1 || counts[durable.Completed] != n {
			t.Errorf("a second after they were due: %v", counts)
		}
		if got := len(bodies.all()); got != 2*n {
			t.Errorf("%d bodies, want %d", got, 2*n)
		}
	})
}
