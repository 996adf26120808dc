package durable_test

import (
	"context"
	"fmt"
	"sync"
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

// settings are how the clock of a store is set while a test runs.
type settings []setting

// setting is by how much a clock is set, and after how much of the time of a bubble.
type setting struct{ at, by time.Duration }

// sinceBegin is the time of a bubble.
func sinceBegin() time.Duration { return time.Since(bubbleBegin()) }

// bubbleBegin is when the time of each bubble begins.
func bubbleBegin() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// clock is the time of the store after so much time.
func (s settings) clock(after time.Duration) time.Time {
	now := bubbleBegin().Add(after)
	for _, x := range s {
		if after >= x.at {
			now = now.Add(x.by)
		}
	}
	return now
}

// reached is after how much time the clock of the store says t for the first time.
func (s settings) reached(t time.Time) time.Duration {
	for after := time.Duration(0); ; after += time.Second {
		if !s.clock(after).Before(t) {
			return after
		}
	}
}

// SL-5: what is due half an hour later, by the store's clock, while that is set forwards and back, also beyond the time at which it is due,
// as it is when a machine was asleep whose timers stood still meanwhile. Nothing fires early, nothing is lost, and nothing is late by
// more than a poll.
func TestSL5_TheStoresClockIsSet(t *testing.T) {
	const half, minute = 30 * time.Minute, time.Minute
	for name, s := range map[string]settings{
		"an hour ahead":             {{-1, time.Hour}},
		"an hour behind":            {{-1, -time.Hour}},
		"set forwards":              {{10 * minute, 10 * minute}},
		"set forwards beyond":       {{10 * minute, time.Hour}},
		"set back":                  {{10 * minute, -time.Hour}},
		"set back and forwards":     {{10 * minute, -time.Hour}, {11 * minute, time.Hour}},
		"set forwards and back":     {{10 * minute, time.Hour}, {11 * minute, -time.Hour}},
		"set back at the last":      {{half - time.Second, -time.Hour}},
		"set forwards, and further": {{10 * minute, 5 * minute}, {12 * minute, 5 * minute}, {14 * minute, 20 * minute}},
	} {
		for _, lease := range []time.Duration{10 * time.Second, 6 * time.Hour} {
			t.Run(fmt.Sprint(name, ", leases of ", lease), func(t *testing.T) {
				store := memory.New(memory.Clock(func() time.Time { return s.clock(sinceBegin()) }))
				woke := make(map[string]time.Duration)
				var mu sync.Mutex
				wakes := func(what string) {
					mu.Lock()
					defer mu.Unlock()
					woke[what] = sinceBegin()
				}
				define := func(name string, fn func(ctx context.Context) error) *durable.Workflow[note] {
					return durable.Define(name, durable.Step("s", func(ctx context.Context, _ *note) error {
						if err := fn(ctx); err != nil {
							return err
						}
						wakes(name)
						return nil
					}).Retry(durable.Retry{MaxAttempts: 2}))
				}
				flows := map[string]*durable.Workflow[note]{
					"sleep": define("sleep", func(ctx context.Context) error { return durable.Sleep(ctx, half) }),
					"event": define("event", func(ctx context.Context) error {
						_, err := durable.WaitForEvent[int](ctx, "never", durable.Timeout(half), durable.OnTimeout(0))
						return err
					}),
					"retry": define("retry", func(ctx context.Context) error {
						if info, _ := durable.Info(ctx); info.Attempt == 1 {
							return durable.RetryAfter(fmt.Errorf("not yet"), half)
						}
						return nil
					}),
					"lane": durable.Define("lane", durable.Parallel("p",
						durable.Step("works", func(ctx context.Context, _ *note) error { // so that the run is in the hands of its worker
							select {
							case <-time.After(3 * time.Hour):
								return nil
							case <-ctx.Done():
								return ctx.Err()
							}
						}).Timeout(4*time.Hour),
						durable.Step("sleeps", func(ctx context.Context, _ *note) error {
							if err := durable.Sleep(ctx, half); err != nil {
								return err
							}
							wakes("lane")
							return nil
						}))),
					"start": define("start", func(context.Context) error { return nil }),
				}
				cfg := durable.Config{Lease: lease, Queues: map[string]durable.Queue{"default": {PollInterval: time.Second}}}
				for _, w := range flows {
					cfg.Workflows = append(cfg.Workflows, w)
				}
				durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
					due := make(map[string]time.Time)
					for what, w := range flows {
						var opts []durable.StartOption
						if what == "start" {
							opts = append(opts, durable.At(s.clock(sinceBegin()).Add(half)))
						}
						run := durabletest.Start(e, w, note{}, opts...)
						e.Sleep(time.Second)
						x, err := e.Execution(context.Background(), run.ID)
						if err != nil {
							t.Fatal(err)
						}
						due[what] = x.Due
						if open, err := e.OpenWaits(context.Background(), run.ID); err != nil {
							t.Fatal(err)
						} else if len(open) > 0 {
							due[what] = open[0].Deadline
						}
						if d := due[what].Sub(s.clock(sinceBegin())); d < half-2*time.Second || d > half {
							t.Fatalf("%s is due in %s", what, d)
						}
					}
					e.Sleep(3 * time.Hour)
					for what, at := range due {
						want := s.reached(at)
						if got, is := woke[what]; !is || got < want-time.Second || s.clock(got).Before(at) || got > want+2*time.Second {
							t.Errorf("%s: due at %s, which the store says after %s; went on after %s, at %s (%t)", what, at, want, got, s.clock(got), is)
						}
					}
				}, durabletest.Store(store))
			})
		}
	}
}
