package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// trial is a child with something to undo, which waits before it fails or completes.
func (s *saga) trial(name string, wait time.Duration) *durable.Workflow[note] {
	return durable.Define(name, s.step(name+"_a"), body(name+"_b", func(ctx context.Context, n *note) error {
		if err := durable.Sleep(ctx, wait); err != nil {
			return err
		}
		if n.Kind == "fail" {
			return durable.Permanent(errFlaky)
		}
		return nil
	}))
}

func statusesOf(t *testing.T, e env, parent durable.ID) (list []string) {
	t.Helper()
	for _, x := range childrenOf(t, e, parent) {
		list = append(list, fmt.Sprintf("%s %s", x.Workflow, x.Status))
	}
	slices.Sort(list)
	return list
}

// A parent that waits for a child is told that it was rolled back.
func TestCO8_AParentIsToldTheFinalStatus(t *testing.T) {
	var s saga
	c := s.trial("c", time.Hour)
	w := durable.Define("w", s.step("a"), body("call", func(ctx context.Context, n *note) error {
		_, err := durable.Call(ctx, c, note{Kind: "fail"})
		var child *durable.ChildError
		if errors.As(err, &child) {
			s.add(fmt.Sprint("told ", child.Status))
		}
		return err
	}))
	onStores(t, serve(w, c), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "child", "call")
		s.want(t, "c_a at 1", "a at 1")
		if s.of("told compensated") != 1 {
			t.Errorf("%q", s.all())
		}
	})
}

// Called children that are still going are rolled back with their parent, spawned
// ones are cancelled with it if it was, and detached ones live on.
func TestCN6_ChildrenThatAreGoing(t *testing.T) {
	var s saga
	called, spawned, detached := s.trial("called", 24*time.Hour), s.trial("spawned", 24*time.Hour), s.trial("detached", time.Hour)
	calls := body("call", func(ctx context.Context, n *note) error {
		if _, err := durable.Spawn(ctx, spawned, note{}); err != nil {
			return err
		}
		if _, err := durable.Spawn(ctx, detached, note{}, durable.Detached()); err != nil {
			return err
		}
		_, err := durable.Call(ctx, called, note{})
		return err
	})
	cancelled := durable.Define("cancelled", s.step("a"), calls)
	failing := durable.Define("failing", s.step("a"), durable.Parallel("p", calls, body("f", func(ctx context.Context, _ *note) error {
		if err := durable.Sleep(ctx, time.Minute); err != nil {
			return err
		}
		return durable.Permanent(errFlaky)
	})))
	onStores(t, serve(cancelled, failing, called, spawned, detached), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, cancelled, note{})
		e.Sleep(time.Minute)
		if err := e.Cancel(context.Background(), r.ID, "no", durable.AndCompensate()); err != nil {
			t.Fatal(err)
		}
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "cancelled", "")
		e.Sleep(2 * time.Hour)
		if got := statusesOf(t, e, r.ID); !slices.Equal(got, []string{"called compensated", "detached completed", "spawned cancelled"}) {
			t.Errorf("children are %q", got)
		}
		got := s.undos()
		slices.Sort(got)
		if !slices.Equal(got, []string{"a at 1", "called_a at 1"}) {
			t.Errorf("undone were %q", got)
		}

		r = durabletest.Start(e.Engine, failing, note{})
		_, err = r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "p[f]/f")
		e.Sleep(48 * time.Hour)
		if got := statusesOf(t, e, r.ID); !slices.Equal(got, []string{"called compensated", "detached completed", "spawned completed"}) {
			t.Errorf("children are %q", got)
		}
	})
}

// undoCalls is a workflow whose undo calls another.
func (s *saga) undoCalls(unit time.Duration) (w, refund *durable.Workflow[note]) {
	refund = durable.Define("refund", body("pay", func(ctx context.Context, n *note) error {
		s.add("refund")
		n.N++
		return durable.Sleep(ctx, unit)
	}))
	w = durable.Define("w", s.step("a"), mark("b").Compensate(func(ctx context.Context, _ *note) error {
		got, err := durable.Call(ctx, refund, note{N: 4})
		if err == nil && got.N != 5 {
			err = fmt.Errorf("%+v", got)
		}
		return err
	}), fail("end"))
	return w, refund
}

// An undo may call a workflow: the rollback waits for it, through crashes.
func TestCO5_AnUndoThatCalls(t *testing.T) {
	var s saga
	w, refund := s.undoCalls(time.Hour)
	onStores(t, serve(w, refund), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		s.want(t, "a at 1")
		wantRollbacks(t, r.Look(), "b 1 done", "a 1 done")
	})
}

func TestCO5_AnUndoThatCallsUnderCrashes(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var s saga
		w, refund := s.undoCalls(unit)
		return &weather[note]{
			flow: w, others: []durable.Definition{refund}, bodies: &s.tally, width: 2,
			end: func(_ note, err error) error { return wantEnd(err, durable.Compensated, "permanent", "end") },
			tree: func(_ *durable.Engine, list []kin) error {
				return wantStatuses(list, "refund completed", "w compensated")
			},
		}
	})
}

// A rollback that is ended while it waits for a child ends that child.
func TestCN6_ForceWhileAnUndoCalls(t *testing.T) {
	var s saga
	c := s.trial("c", 24*time.Hour)
	w := durable.Define("w", mark("b").Compensate(func(ctx context.Context, _ *note) error {
		_, err := durable.Call(ctx, c, note{})
		return err
	}), fail("end"))
	onStores(t, serve(w, c), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Minute)
		if err := e.Cancel(context.Background(), r.ID, "no", durable.Force()); err != nil {
			t.Fatal(err)
		}
		_, err := r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		e.Sleep(time.Minute)
		if got := statusesOf(t, e, r.ID); !slices.Equal(got, []string{"c cancelled"}) {
			t.Errorf("children are %q", got)
		}
	})
}

// Whoever awaits a child that could not be rolled back, and is tried again, hears how that ends.
func TestCO6_CH4_AChildThatIsTriedAgainIsAwaited(t *testing.T) {
	broken := true
	bad := durable.Define("bad", mark("k").Compensate(func(ctx context.Context, _ *note) error {
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		if broken {
			return durable.Permanent(errors.New("out of order"))
		}
		return nil
	}), fail("end"))
	w := durable.Define("w", body("await", func(ctx context.Context, n *note) error {
		kid, err := durable.Spawn(ctx, bad, note{})
		if err != nil {
			return err
		}
		for i := range 3 {
			_, err := durable.Await(ctx, kid)
			var child *durable.ChildError
			if !errors.As(err, &child) {
				return err
			}
			n.Trace = append(n.Trace, string(child.Status))
			if i == 2 {
				return nil
			}
			if err := durable.Sleep(ctx, 10*time.Minute); err != nil {
				return err
			}
		}
		return nil
	}))
	onStores(t, serve(w, bad), func(t *testing.T, e env) {
		ctx := context.Background()
		broken = true
		r := durabletest.Start(e.Engine, w, note{})
		for i := range 2 { // the first heard, and each tried again before the next is awaited
			e.Sleep(65 * time.Minute)
			broken = i == 0
			if err := e.Retry(ctx, childrenOf(t, e, r.ID)[0].ID); err != nil {
				t.Fatal(err)
			}
		}
		e.Sleep(3 * time.Hour)
		if x := r.Look(); x.Status != durable.Completed {
			t.Fatalf("the parent is %s", x.Status)
		}
		got, err := r.End()
		if err != nil || !slices.Equal(got.Trace, []string{"compensation_failed", "compensation_failed", "compensated"}) {
			t.Errorf("told were %q, %v", got.Trace, err)
		}
	})
}
