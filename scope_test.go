package durable_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// A part of a body that has a record is left out, and what stands behind it finds its own records.
func TestDO2_Scopes(t *testing.T) {
	var ran tally
	var labels []string
	part := func(ctx context.Context, name, result string) (string, error) {
		inner, label := durable.Scope(ctx, name)
		if durable.Recorded(ctx, label+" is done") {
			return do(ctx, &ran, label+" is done", "")
		}
		labels = append(labels, label)
		if _, err := do(inner, &ran, "call", result); err != nil {
			return "", err
		}
		nested, _ := durable.Scope(inner, name+"#")
		if err := durable.Sleep(nested, time.Minute); err != nil {
			return "", err
		}
		got, err := durable.WaitForInput[string](nested, "ok#1", durable.Timeout(time.Minute), durable.OnTimeout("fine"))
		if err != nil {
			return "", err
		}
		v, err := do(nested, &ran, "call", result+" "+got)
		if err != nil {
			return "", err
		}
		return do(ctx, &ran, label+" is done", v)
	}
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Trace = nil
		for _, result := range []string{"a", "b"} {
			v, err := part(ctx, "part", result)
			if err != nil {
				return err
			}
			n.Trace = append(n.Trace, v)
			if err := durable.Sleep(ctx, time.Minute); err != nil {
				return err
			}
		}
		v, err := do(ctx, &ran, "call", "c")
		n.Trace = append(n.Trace, v)
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ran.reset()
		labels = nil
		got := durabletest.Start(e.Engine, w, note{}).Done()
		if want := []string{"a fine", "b fine", "c"}; !slices.Equal(got.Trace, want) {
			t.Errorf("trace %q, want %q", got.Trace, want)
		}
		if n := len(ran.all()); n != 7 {
			t.Errorf("%d functions ran, want 7: %q", n, ran.all())
		}
		// Each part runs three times (a sleep, a wait), and then no more.
		if want := []string{"part", "part", "part", "part~2", "part~2", "part~2"}; !slices.Equal(labels, want) {
			t.Errorf("labels %q, want %q", labels, want)
		}
	})
	if inner, label := durable.Scope(t.Context(), "x"); inner != t.Context() || label != "x" || durable.Recorded(inner, "x") {
		t.Error("a scope outside a step")
	}
}

// Scopes of one name are told apart by their number.
func TestDO2_ScopesOfOneName(t *testing.T) {
	var ran tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Trace = nil
		for range 2 {
			inner, label := durable.Scope(ctx, "part")
			v, err := do(inner, &ran, "call", "in "+label)
			if err != nil {
				return err
			}
			n.Trace = append(n.Trace, v)
			if err := durable.Sleep(inner, time.Minute); err != nil {
				return err
			}
		}
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ran.reset()
		got := durabletest.Start(e.Engine, w, note{}).Done()
		if want := []string{"in part", "in part~2"}; !slices.Equal(got.Trace, want) || len(ran.all()) != 2 {
			t.Errorf("trace %q, want %q; %q ran", got.Trace, want, ran.all())
		}
	})
}
