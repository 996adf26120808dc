package durable_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// A function that a stop cuts off has not failed: its error is not recorded, and it runs again.
func TestDO3_CutOffByStop(t *testing.T) {
	calls := 0
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		got, err := durable.Do(ctx, "slow", func(ctx context.Context) (string, error) {
			if calls++; calls > 1 {
				return "done", nil
			}
			<-ctx.Done()
			return "", ctx.Err()
		})
		n.Trace = append(n.Trace, got)
		return err
	}))
	cfg := serve(w)
	cfg.ShutdownGrace = time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		calls = 0
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Minute)
		e.Restart()
		if got := r.Done(); len(got.Trace) != 1 || got.Trace[0] != "done" || calls != 2 {
			t.Errorf("%q after %d calls", got.Trace, calls)
		}
	})
}

// The end of a caller's own context is an error as any other.
func TestDO3_CutOffByTheCaller(t *testing.T) {
	calls := 0
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := durable.Do(short, "slow", func(ctx context.Context) (string, error) {
			calls++
			<-ctx.Done()
			return "", ctx.Err()
		})
		if err == nil {
			return errors.New("no error")
		}
		return durable.Sleep(ctx, time.Minute)
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		calls = 0
		durabletest.Start(e.Engine, w, note{}).Done()
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}
