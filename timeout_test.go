package durable_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

func TestRS8_RunTimeout(t *testing.T) {
	var ended tally
	w := durable.Define("w", durable.Branch("b", func(b *board) int { return b.In }).
		Case(0, durable.Step("runs", func(ctx context.Context, _ *board) error {
			<-ctx.Done()
			ended.add(fmt.Sprint(context.Cause(ctx)))
			return context.Cause(ctx)
		}).Timeout(durable.NoTimeout)).
		Case(1, durable.Step("waits", func(ctx context.Context, _ *board) error {
			_, err := durable.WaitForEvent[int](ctx, "never")
			return err
		})).
		Case(2, durable.Step("sleeps", func(ctx context.Context, _ *board) error { return durable.Sleep(ctx, 100*time.Hour) })).
		Case(3, durable.Step("retries", func(ctx context.Context, _ *board) error { return errFlaky }).
			Retry(durable.Retry{MaxAttempts: 100, Backoff: durable.Constant, Base: 7 * time.Minute, Max: time.Hour, Jitter: durable.NoJitter})).
		Case(4, durable.Step("snoozes", func(ctx context.Context, _ *board) error { return durable.Snooze(50 * time.Hour) })).
		Case(5, durable.Pause("pauses", func(*board) time.Duration { return 100 * time.Hour }))).
		Timeout(time.Hour)
	done := durable.Define("done", durable.Step("s", func(ctx context.Context, _ *board) error { return durable.Sleep(ctx, 59*time.Minute) })).Timeout(time.Hour)
	onStores(t, serve(w, done), func(t *testing.T, e env) {
		ended.reset()
		for in := range 6 {
			begun := time.Now()
			run := durabletest.Start(e.Engine, w, board{In: in})
			wantError(t, wantFailure(t, run.Fails(), durable.Failed, "run_timeout", ""), nil, "1h0m0s")
			if took := time.Since(begun); took < time.Hour || took > time.Hour+time.Second {
				t.Errorf("case %d took %s", in, took)
			}
			if waits, err := e.OpenWaits(context.Background(), run.ID); err != nil || len(waits) != 0 {
				t.Errorf("open waits %v, %v", waits, err)
			}
		}
		if len(ended.all()) != 1 {
			t.Errorf("the body's context was not ended: %q", ended.all())
		}
		durabletest.Start(e.Engine, done, board{}).Done()
		begun := time.Now() // counted from the time at which it was to begin
		run := durabletest.Start(e.Engine, w, board{In: 1}, durable.At(begun.Add(5*time.Hour)))
		wantFailure(t, run.Fails(), durable.Failed, "run_timeout", "")
		if took := time.Since(begun); took < 6*time.Hour || took > 6*time.Hour+time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// What is to be undone is undone, without a limit; children go with the run that called them.
func TestRS8_CO9_RunTimeoutUndoesAndCancelsChildren(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		child := durable.Define("child", durable.Step("s", func(ctx context.Context, _ *inner) error {
			_, err := durable.WaitForEvent[int](ctx, "never")
			return err
		}))
		w := durable.Define("w",
			set("done", func(*board) { bodies.add("done") }).Compensate(func(ctx context.Context, _ *board) error {
				bodies.add("undo")
				return durable.Sleep(ctx, unit)
			}),
			durable.Parallel("p",
				durable.Step("calls", func(ctx context.Context, _ *board) error {
					bodies.add("calls")
					_, err := durable.Call(ctx, child, inner{})
					return err
				}),
				durable.Step("waits", func(ctx context.Context, _ *board) error {
					bodies.add("waits")
					_, err := durable.WaitForEvent[int](ctx, "never")
					return err
				}))).Timeout(30 * unit)
		return &weather[board]{
			flow: w, others: []durable.Definition{child}, bodies: &bodies, width: 2, loose: true, slack: 4,
			end: func(_ board, err error) error {
				if bodies.of("undo") == 0 { // it was over before there was something to undo
					return wantEnd(err, durable.Failed, "run_timeout", "")
				}
				return wantEnd(err, durable.Compensated, "run_timeout", "")
			},
			tree: func(_ *durable.Engine, list []kin) error {
				if len(list) > 2 || len(list) == 2 && list[1].Status != durable.Cancelled {
					return errors.New("the child is not cancelled, or there are several")
				}
				return treeUndone(list)
			},
		}
	})
	bad := durable.Define("bad", mark("a")).Timeout(0)
	_, err := durable.Open(t.Context(), nil, serve(bad))
	wantError(t, err, nil, "Timeout is 0s")
}
