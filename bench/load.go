package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// rate is what was done in a window of time, and what it cost.
type rate struct {
	n      int64
	took   time.Duration
	cpu    time.Duration // of this process, callers included
	server time.Duration // of PostgreSQL
	known  bool          // server is
}

func (r rate) perSecond() float64 { return float64(r.n) / r.took.Seconds() }

// cost is CPU in µs for each of n.
func (r rate) cost() float64 { return float64(r.cpu.Nanoseconds()) / 1e3 / float64(r.n) }

func (r rate) serverCost() float64 { return float64(r.server.Nanoseconds()) / 1e3 / float64(r.n) }

// watch counts what happens to n in a window, after a warm-up of a quarter of
// it. With a supply that runs out, the window goes from the first of it at the
// earliest to nine tenths of it at the latest; 0 is endless.
func watch(ctx context.Context, pg *server, window time.Duration, n *atomic.Int64, supply int64) (rate, error) {
	if err := reach(ctx, window/4, n, min(supply, 1)); err != nil {
		return rate{}, err
	}
	var r rate
	before, known := serverCPU(pg)
	cpu, count, start := cpuTime(), n.Load(), time.Now()
	if err := reach(ctx, window, n, supply/10*9); err != nil {
		return rate{}, err
	}
	r.n, r.took, r.cpu = n.Load()-count, time.Since(start), cpuTime()-cpu
	after, still := serverCPU(pg)
	r.server, r.known = after-before, known && still
	return r, nil
}

func serverCPU(pg *server) (time.Duration, bool) {
	if pg == nil {
		return 0, false
	}
	return pg.cpu()
}

// drive keeps so many callers busy, each calling one again and again, and
// measures a window of it. one returns how many units it did.
func drive(ctx context.Context, pg *server, window time.Duration, callers int, one func(ctx context.Context) (int, error)) (rate, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		n    atomic.Int64
		over atomic.Bool
		all  sync.WaitGroup
	)
	for range callers {
		all.Go(func() {
			for !over.Load() {
				units, err := one(ctx)
				if err != nil {
					cancel(err) // the first one is the cause
					return
				}
				n.Add(int64(units))
			}
		})
	}
	r, err := watch(ctx, pg, window, &n, 0)
	over.Store(true)
	all.Wait()
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	return r, err
}

// reach waits until the time is over or n is so large; 0 is never.
func reach(ctx context.Context, longest time.Duration, n *atomic.Int64, enough int64) error {
	if enough == 0 {
		return pause(ctx, longest)
	}
	for end := time.Now().Add(longest); n.Load() < enough && time.Now().Before(end); {
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// pause waits, or returns early with an error when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// until asks again and again until done, for at most a minute or two.
func until(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		if ok, err := done(); err != nil || ok {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
