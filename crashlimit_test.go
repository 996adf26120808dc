package durable_test

import (
	"context"
	"errors"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// CO-2: an error of CrashLimit ends the step for good with that code, also out of a Do, and its step is undone in doubt; one of Permanent
// is not undone.
func TestCO2_CrashLimitOfACall(t *testing.T) {
	for name, c := range map[string]struct {
		fails func(ctx context.Context) error
		code  string
		undo  []string
	}{
		"returned":  {func(context.Context) error { return durable.CrashLimit(errors.New("cut off")) }, "crash_limit", []string{"bomb at 1 in doubt", "a at 1"}},
		"of a Do":   {func(ctx context.Context) error { return doing(ctx, durable.CrashLimit(errors.New("cut off"))) }, "crash_limit", []string{"bomb at 1 in doubt", "a at 1"}},
		"permanent": {func(ctx context.Context) error { return doing(ctx, durable.Permanent(errors.New("no"))) }, "permanent", []string{"a at 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var s saga
			tries := 0
			w := durable.Define("w", s.step("a"), body("bomb", func(ctx context.Context, _ *note) error {
				tries++
				return c.fails(ctx)
			}).Retry(durable.Retry{MaxAttempts: 3}).Compensate(s.undo("bomb")))
			onStores(t, serve(w), func(t *testing.T, e env) {
				s.reset()
				tries = 0
				_, err := durabletest.Start(e.Engine, w, note{}).End()
				wantFailure(t, err, durable.Compensated, c.code, "bomb")
				s.want(t, c.undo...)
				if tries != 1 {
					t.Errorf("%d attempts", tries)
				}
			})
		})
	}
	if durable.CrashLimit(nil) != nil {
		t.Error("CrashLimit of nil is an error")
	}
}

func doing(ctx context.Context, err error) error {
	_, err = durable.Do(ctx, "call", func(context.Context) (int, error) { return 0, err })
	return err
}
