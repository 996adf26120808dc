package durable_test

import (
	"context"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// A compensation waits for what is published: before it waits, while it does, and for one of several.
func TestCO5_EV7_AnUndoWaitsForAPublication(t *testing.T) {
	key := durable.Correlate("k")
	for name, wait := range map[string]func(ctx context.Context) error{
		"one": func(ctx context.Context) error { _, err := durable.WaitForEvent[int](ctx, "e", key); return err },
		"any": func(ctx context.Context) error {
			_, err := durable.WaitForAny(ctx, []string{"d", "e"}, key)
			return err
		},
		"all": func(ctx context.Context) error {
			_, err := durable.WaitForAll(ctx, []string{"e"}, key)
			return err
		},
	} {
		w := durable.Define(name, mark("a").Compensate(func(ctx context.Context, _ *note) error { return wait(ctx) }), fail("end"))
		for _, early := range []bool{true, false} {
			onStores(t, serve(w), func(t *testing.T, e env) {
				ctx := context.Background()
				publish := func(got int) {
					t.Helper()
					if p, err := e.Publish(ctx, "e", "k", 1); err != nil || p.Got != got {
						t.Fatalf("%+v, %v", p, err)
					}
				}
				if early {
					publish(0)
				}
				r := durabletest.Start(e.Engine, w, note{})
				e.Sleep(time.Minute)
				if !early {
					publish(1)
					e.Sleep(time.Minute)
				}
				if x := r.Look(); x.Status != durable.Compensated {
					t.Errorf("%s, published early %t: it is %s, due %s", name, early, x.Status, x.Due)
				}
			})
		}
	}
}
