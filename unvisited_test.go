package durable_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// Unvisited has what was recorded before the body began again, and not what it has come to since, nor what is new.
func TestUnvisited(t *testing.T) {
	var seen tally
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		look := func(at string) { seen.add(fmt.Sprintf("%s %q", at, durable.Unvisited(ctx, "a"))) }
		do := func(ctx context.Context, name string) {
			_, _ = durable.Do(ctx, name, func(context.Context) (int, error) { return 1, nil })
		}
		look("begin")
		do(ctx, "a1")
		do(ctx, "a1")
		do(ctx, "b")
		inner, _ := durable.Scope(ctx, "part")
		look("middle")
		do(inner, "a1")
		look("end")
		return durable.Sleep(ctx, time.Hour)
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		seen.reset()
		durabletest.Start(e.Engine, w, note{}).Done()
		want := []string{`begin []`, `middle []`, `end []`, `begin ["a1" "a1" "a1"]`, `middle ["a1"]`, `end []`}
		if got := seen.all(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
	if got := durable.Unvisited(t.Context(), ""); got != nil {
		t.Errorf("outside of a step: %q", got)
	}
}
