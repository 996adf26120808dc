package ai

import (
	"context"
	"errors"
	"log/slog"

	"github.com/durable-go/durable"
)

// permanent marks an error that no retry of the step mends.
func permanent(err error) error { return durable.Permanent(err) }

// bodyOver says whether the engine has ended a body, by the cause of its context. Then nothing may be recorded of
// what was cut off.
func bodyOver(cause error) bool {
	for _, end := range []error{durable.ErrStopping, durable.ErrLeaseLost, durable.ErrTaken, durable.ErrStepTimeout, durable.ErrSuspended} {
		if errors.Is(cause, end) {
			return true
		}
	}
	return false
}

// journalOf is where calls with a context are recorded; nil outside of steps.
func journalOf(ctx context.Context) Journal {
	if j, _ := ctx.Value(journalKey{}).(Journal); j != nil {
		return j
	}
	return nil
}

// logger is the step's, so that what is logged is kept with it.
func logger(ctx context.Context) *slog.Logger { return durable.Logger(ctx) }
