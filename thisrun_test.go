package durable_test

import (
	"context"
	"errors"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// A step sees what earlier steps of its run have recorded.
func TestThisRun(t *testing.T) {
	var ran tally
	w := durable.Define("w",
		body("a", func(ctx context.Context, n *note) error {
			_, err := do(ctx, &ran, "x", "from a")
			return err
		}),
		body("b", func(ctx context.Context, n *note) error {
			got, err := durable.Do(ctx, "look", func(ctx context.Context) (string, error) {
				x, err := durable.ThisRun(ctx, durable.WithCalls)
				if err != nil {
					return "", err
				}
				return x.Workflow + " " + x.Steps[0].Path + " " + string(x.Steps[0].Calls[0].Result), nil
			})
			n.Trace = append(n.Trace, got)
			return err
		}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		if got := durabletest.Start(e.Engine, w, note{}).Done(); got.Trace[0] != `w a "from a"` {
			t.Errorf("%q", got.Trace)
		}
	})
	if _, err := durable.ThisRun(t.Context()); !errors.Is(err, durable.ErrNotInStep) {
		t.Error(err)
	}
}
