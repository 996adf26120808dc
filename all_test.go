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
)

func TestDO1_AllRecordsEachResult(t *testing.T) {
	var calls tally
	var running most
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, b *board) error {
		var items []int
		for i := range 40 {
			items = append(items, i)
		}
		got, err := durable.All(ctx, "double", items, func(ctx context.Context, n int) (int, error) {
			calls.add(fmt.Sprint(n))
			running.in()
			defer running.out()
			return 2 * n, rest(ctx, time.Duration(40-n)*100*time.Millisecond)
		})
		if err != nil {
			return err
		}
		if err := durable.Sleep(ctx, time.Minute); err != nil { // and what comes after it goes on from the records
			return err
		}
		again, err := durable.All(ctx, "double", []string{"x"}, func(context.Context, string) (int, error) { return 100, nil })
		b.C = append(got, again...)
		return err
	}).Timeout(time.Hour))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		calls.reset()
		running = most{}
		got := durabletest.Start(e.Engine, w, board{}).Done()
		if len(got.C) != 41 || got.C[0] != 0 || got.C[39] != 78 || got.C[40] != 100 {
			t.Errorf("%v", got.C)
		}
		if len(calls.all()) != 40 || running.peak != 16 {
			t.Errorf("%d calls, %d at once", len(calls.all()), running.peak)
		}
	})
}

func TestDO1_AllUnderCrashes(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var calls tally
		w := durable.Define("w", durable.Step("s", func(ctx context.Context, b *board) (err error) {
			b.C, err = durable.All(ctx, "double", []int{0, 1, 2, 3, 4, 5}, func(ctx context.Context, n int) (int, error) {
				calls.add(fmt.Sprint(n))
				return 2 * n, rest(ctx, time.Duration(6-n)*unit/4)
			})
			if err != nil {
				return err
			}
			return durable.Sleep(ctx, unit)
		}))
		return &weather[board]{flow: w, bodies: &calls, width: 6, end: func(b board, err error) error {
			return wantBoard(b, err, `{"c":[0,2,4,6,8,10]}`)
		}}
	})
}

func TestDO3_AllFails(t *testing.T) {
	var calls tally
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, b *board) error {
		info, _ := durable.Info(ctx)
		_, err := durable.All(ctx, "a", []int{0, 1, 2, 3}, func(ctx context.Context, n int) (int, error) {
			calls.add(fmt.Sprint(n, " in ", info.Attempt))
			switch {
			case n == 3 && b.In == 1:
				panic("no")
			case n == 2 && b.In == 2:
				_, err := durable.Do(ctx, "inside", func(context.Context) (int, error) { return 1, nil })
				return 0, err
			case n == 1 && b.In == 3:
				return 0, durable.Permanent(errFlaky)
			case n > 0 && info.Attempt == 1:
				_ = rest(ctx, time.Duration(n)*time.Second)
				return 0, fmt.Errorf("item %d: %w", n, errFlaky)
			}
			return n, nil
		})
		return err
	}).Retry(durable.Retry{MaxAttempts: 2}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		calls.reset()
		durabletest.Start(e.Engine, w, board{}).Done()
		if n := calls.of("0 in 2"); n != 0 {
			t.Error("a result of a failed attempt is forgotten")
		}
		if calls.of("1 in 2") != 1 || calls.of("0 in 1") != 1 {
			t.Errorf("%q", calls.all())
		}
		wantFailure(t, durabletest.Start(e.Engine, w, board{In: 1}).Fails(), durable.Failed, "panic", "s")
		wantError(t, durabletest.Start(e.Engine, w, board{In: 2}).Fails(), nil, "outside the body")
		wantFailure(t, durabletest.Start(e.Engine, w, board{In: 3}).Fails(), durable.Failed, "permanent", "s")
	})
}

func TestCN3_AllEndsWithItsStep(t *testing.T) {
	var ended tally
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, _ *board) error {
		_, err := durable.All(ctx, "a", make([]int, 5), func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			ended.add(fmt.Sprint(errors.Is(context.Cause(ctx), durable.ErrTaken)))
			return 0, context.Cause(ctx)
		})
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ended.reset()
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(time.Minute)
		if err := e.Cancel(context.Background(), run.ID, "enough"); err != nil {
			t.Fatal(err)
		}
		e.Sleep(time.Minute)
		if !slices.Equal(ended.all(), []string{"true", "true", "true", "true", "true"}) {
			t.Errorf("%q", ended.all())
		}
	})
}

// RS-7: what is not begun when the time of the step is over is not begun; items that run by then are waited for.
func TestDO3_AllBeginsNothingAfterItsEnd(t *testing.T) {
	var begun tally
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, _ *board) error {
		_, err := durable.All(ctx, "a", make([]int, 200), func(context.Context, int) (int, error) {
			begun.add("item")
			<-time.After(50 * time.Second) // whatever becomes of its context
			return 0, nil
		})
		return err
	}).Timeout(2*time.Minute))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		wantFailure(t, durabletest.Start(e.Engine, w, board{}).Fails(), durable.Failed, "step_timeout", "s")
		if n := begun.of("item"); n != 3*16 {
			t.Errorf("%d items have begun, want %d", n, 3*16)
		}
	})
}

// unreadable is a result that a record gives back to nobody.
type unreadable struct{ N int }

func (*unreadable) UnmarshalJSON([]byte) error { panic("no") }

// A body that ends inside of All leaves nobody behind: the items that run have somebody who takes their ends.
func TestDO3_AllLeavesNobodyBehind(t *testing.T) {
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, _ *board) error {
		_, err := durable.All(ctx, "a", []int{0, 1, 2, 3}, func(ctx context.Context, n int) (unreadable, error) {
			_ = rest(ctx, time.Duration(n)*time.Second)
			return unreadable{n}, nil
		})
		return err
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) { // a goroutine that is left fails the test
		durabletest.Start(e.Engine, w, board{}).Fails()
	})
}

// Each item has an idempotency key of its own, the same in every attempt, and logs as its step.
func TestRS10_AllKeysAndLogs(t *testing.T) {
	var keys tally
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, _ *board) error {
		_, err := durable.All(ctx, "a", []int{0, 1, 2}, func(ctx context.Context, n int) (int, error) {
			info, ok := durable.Info(ctx)
			keys.add(fmt.Sprint(ok, n, info.IdempotencyKey))
			durable.Logger(ctx).Info("item", "n", n)
			if info.Attempt == 1 {
				return 0, errFlaky
			}
			return n, nil
		})
		return err
	}).Retry(durable.Retry{MaxAttempts: 2}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		keys.reset()
		run := durabletest.Start(e.Engine, w, board{})
		run.Done()
		seen := map[string]int{}
		for _, k := range keys.all() {
			seen[k]++
		}
		for k, n := range seen {
			if n != 2 || k[:4] != "true" {
				t.Errorf("%s was given %d times", k, n)
			}
		}
		logs, err := e.Logs(context.Background(), run.ID, time.Time{})
		if len(seen) != 3 || err != nil || len(logs) < 3 {
			t.Errorf("%v, %d logs, %v", seen, len(logs), err)
		}
	})
}
