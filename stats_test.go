package durable_test

import (
	"context"
	"errors"
	"testing"

	"github.com/durable-go/durable"
)

// The sums are exact: what ran, what was sent, what failed.
func TestStats(t *testing.T) {
	flow := durable.Define("w", mark("a"),
		body("b", func(ctx context.Context, _ *note) error {
			if info, _ := durable.Info(ctx); info.Failures == 0 {
				return errors.New("not yet")
			}
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2}))
	inMemory(t, serve(flow), func(t *testing.T, e env) {
		before := e.Stats()
		for range 3 {
			run, err := flow.Start(t.Context(), e.Engine.Engine, note{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := run.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		s := e.Stats()
		if n := s.BodiesBegun - before.BodiesBegun; n != 9 || s.BodiesEnded != s.BodiesBegun || s.BodiesCut != 0 {
			t.Errorf("9 bodies ran: %+v", s)
		}
		if s.Batches < 9 || s.Writes < s.Batches || s.Claims == 0 || s.Claimed < 3 || s.Renewals == 0 {
			t.Errorf("more was sent: %+v", s)
		}
		if s.FailedBatches+s.FailedClaims+s.FailedRenewals+s.LostLeases+s.TakenOver+s.Superseded+s.Refused+s.LandedBefore+s.Connections != 0 {
			t.Errorf("nothing failed: %+v", s)
		}
	})
}
