package durable_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store/memory"
)

// The clock of the database is far from that of the workers: theirs only tells
// how long something takes.
func TestSL1_QU4_ClocksTenMinutesApart(t *testing.T) {
	for _, ahead := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(fmt.Sprint("the store's is ahead by ", ahead), func(t *testing.T) {
			clock := func() time.Time { return time.Now().Add(ahead) }
			var began []time.Time
			sleeps := durable.Define("sleeps",
				body("sleep", func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, time.Hour) }),
				body("wait", func(ctx context.Context, _ *note) error {
					_, err := durable.WaitForEvent[int](ctx, "never", durable.Timeout(30*time.Minute), durable.OnTimeout(0))
					return err
				}))
			works := durable.Define("works", body("work", func(ctx context.Context, _ *note) error {
				began = append(began, time.Now())
				if len(began) == 2 {
					<-ctx.Done() // until its worker dies
					return ctx.Err()
				}
				return nil
			}))
			cfg := durable.Config{Workflows: []durable.Definition{sleeps, works}, Lease: 10 * time.Second, Queues: map[string]durable.Queue{"default": {PollInterval: time.Second}}}
			durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
				near := func(what string, took, want time.Duration) {
					t.Helper()
					if took < want || took > want+2*time.Second {
						t.Errorf("%s took %s, want %s", what, took, want)
					}
				}
				start := time.Now()
				durabletest.Start(e, sleeps, note{}).Done()
				near("an hour and half an hour", time.Since(start), 90*time.Minute)

				start = time.Now()
				durabletest.Start(e, works, note{}, durable.At(clock().Add(20*time.Minute))).Done()
				near("a start in 20 minutes of the store's time", began[0].Sub(start), 20*time.Minute)

				other := e.Join(cfg)
				run := durabletest.Start(e, works, note{})
				e.Sleep(5 * time.Second)
				start = time.Now()
				e.Crash()
				run.Done()
				if d := began[len(began)-1].Sub(start); d > 11*time.Second {
					t.Errorf("taken over after %s, with a lease of 10 s", d)
				}
				other.Sleep(time.Minute) // nobody takes the living for dead
				if len(began) != 3 {
					t.Errorf("%d bodies, want 3", len(began))
				}
			}, durabletest.Store(memory.New(memory.Clock(clock))))
		})
	}
}
