package durable_test

import (
	"context"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// A lane whose time has come does not wait for what runs in another.
func TestPA1_TimeGoesOnBesideABody(t *testing.T) {
	var when tally
	long := body("long", func(ctx context.Context, _ *note) error {
		err := rest(ctx, time.Hour)
		when.add("long")
		return err
	}).Timeout(durable.NoTimeout)
	tries := 0
	flaky := body("flaky", func(context.Context, *note) error {
		if tries++; tries < 3 {
			return errFlaky
		}
		when.add("flaky")
		return nil
	}).Retry(durable.Retry{MaxAttempts: 5, Base: time.Minute})
	sleeps := body("sleeps", func(ctx context.Context, _ *note) error {
		if err := durable.Sleep(ctx, 10*time.Minute); err != nil {
			return err
		}
		when.add("sleeps")
		return nil
	})
	w := durable.Define("w", durable.Parallel("p", long, flaky, sleeps))
	onStores(t, serve(w), func(t *testing.T, e env) {
		when.reset()
		tries = 0
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(30 * time.Minute)
		if got := when.all(); len(got) != 2 || got[0] != "flaky" || got[1] != "sleeps" {
			t.Errorf("beside the long lane ended %q", got)
		}
		r.Done()
	})
}
