package durable_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// CR-3: killed after each change in turn, TakeOnce in the function of a Do has taken once for each call when all is done, equal names and
// other attempts included; what is settled counts as it was.
func TestCR3_TakeOnce(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		info, _ := durable.Info(ctx)
		draw := durable.Draw{Counter: "c", Run: info.Execution, Amount: 10, Limit: 30}
		for range 3 {
			taken, err := durable.Do(ctx, "call", func(ctx context.Context) (durable.Taken, error) { return durable.TakeOnce(ctx, "room", draw) })
			if err != nil {
				return err
			}
			if !taken.OK {
				return durable.Permanent(errors.New("no room: something was taken twice"))
			}
			draw.Amount = 4
			if _, err = durable.Do(ctx, "spend", func(context.Context) (int, error) { return 4, nil }); err != nil {
				return err
			}
			if err := durable.Settle(ctx, taken.ID, draw); err != nil {
				return err
			}
			draw.Amount = 10
		}
		n, err := durable.Counted(ctx, info.Execution, "c")
		if err != nil || n.All < 12 || n.All > 30 {
			return durable.Permanent(fmt.Errorf("%+v, %w", n, err))
		}
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		for n := 1; ; n++ {
			crashes := e.Crashes()
			e.CrashAfter(n)
			r := durabletest.Start(e.Engine, w, note{}, durable.Key(fmt.Sprint(n)))
			r.Done()
			got, err := e.Counter(t.Context(), r.ID, "c")
			if err != nil || got.All != 12 || got.Open != 0 {
				t.Errorf("killed after change %d: %+v, %v", n, got, err)
			}
			if e.Crashes() == crashes {
				if n < 10 {
					t.Errorf("it took %d changes", n)
				}
				break
			}
		}
	})
}

// A run knows the runs above it: who called, spawned or spread it, to the root.
func TestAncestors(t *testing.T) {
	var seen tally
	tell := func(ctx context.Context, who string) error {
		list, err := durable.Ancestors(ctx)
		if err != nil {
			return err
		}
		for _, a := range list {
			who += " < " + a.Workflow
		}
		if len(list) > 0 {
			seen.add(list[len(list)-1].ID.String())
		}
		seen.add(who)
		return nil
	}
	leaf := durable.Define("leaf", body("s", func(ctx context.Context, _ *note) error { return tell(ctx, "leaf") }))
	item := durable.Step("item", func(ctx context.Context, _ *int) error {
		if err := tell(ctx, "item"); err != nil {
			return err
		}
		_, err := durable.Call(ctx, leaf, note{})
		return err
	})
	root := durable.Define("root",
		body("own", func(ctx context.Context, _ *note) error { return tell(ctx, "root") }),
		durable.Each("list", func(*note) []int { return []int{1} }, item).Spread(),
		body("spawns", func(ctx context.Context, _ *note) error {
			_, err := durable.Spawn(ctx, leaf, note{}, durable.Detached())
			return err
		}))
	onStores(t, serve(root, leaf), func(t *testing.T, e env) {
		seen.reset()
		r := durabletest.Start(e.Engine, root, note{})
		r.Done()
		e.Sleep(time.Minute)
		id := r.ID.String()
		want := fmt.Sprint([]string{"root", id, "item < root", id, "leaf < root#list < root", id, "item < root", id /* again, after its wait */, "leaf < root"})
		if got := fmt.Sprint(seen.all()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	if _, err := durable.Ancestors(t.Context()); !errors.Is(err, durable.ErrNotInStep) {
		t.Error(err)
	}
	if _, err := durable.TakeOnce(t.Context(), "x"); !errors.Is(err, durable.ErrNotInStep) {
		t.Error(err)
	}
	if _, err := durable.Counted(t.Context(), durable.ID{}, "x"); !errors.Is(err, durable.ErrNotInStep) {
		t.Error(err)
	}
}
