package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// calls is a step that calls workflows one after the other, with a compensation.
func (s *saga) calls(name string, kids ...*durable.Workflow[note]) *durable.StepNode[note] {
	return s.callsOnly(name, kids...).Compensate(s.undo(name))
}

// callsOnly has no compensation of its own.
func (s *saga) callsOnly(name string, kids ...*durable.Workflow[note]) *durable.StepNode[note] {
	return body(name, func(ctx context.Context, n *note) error {
		s.add(name)
		for _, w := range kids {
			got, err := durable.Call(ctx, w, note{})
			if err != nil {
				return err
			}
			n.Trace = append(n.Trace, got.Trace...)
		}
		n.N++
		return nil
	})
}

// leaf is a child with one step that can be undone.
func (s *saga) leaf(name string) *durable.Workflow[note] {
	return durable.Define(name, s.step(name))
}

// ofRollback are the attempts of compensations: what is undone, status, and how many children.
func ofRollback(x *durable.Execution) (list []string) {
	for _, r := range x.Steps {
		if r.Kind == "compensate" {
			list = append(list, fmt.Sprintf("%s %s %d", r.Undoes, r.Status, len(r.Children)))
		}
	}
	return list
}

// forest is a run with children and their children, which fails at its end, and what is to be
// undone of it, in order.
func (s *saga) forest() (w *durable.Workflow[note], all []durable.Definition, undone []string) {
	x, y, z := s.leaf("x"), s.leaf("y"), s.leaf("z")
	idle := durable.Define("idle", mark("nothing"))
	mid := durable.Define("mid", s.step("m1"), s.callsOnly("m2", x), s.calls("m3", idle, y), s.step("m4"))
	node := durable.Child("node", z, func(*note) note { return note{} }, func(n *note, c note) { n.Trace = append(n.Trace, c.Trace...) })
	late := s.leaf("late")
	spawned, alone, detached := s.leaf("spawned"), s.leaf("alone"), s.leaf("detached")
	spawns := body("spawns", func(ctx context.Context, n *note) error {
		a, err := durable.Spawn(ctx, spawned, note{})
		if err != nil {
			return err
		}
		if _, err := durable.Spawn(ctx, alone, note{}); err != nil {
			return err
		}
		d, err := durable.Spawn(ctx, detached, note{}, durable.Detached())
		if err != nil {
			return err
		}
		if _, err := durable.Await(ctx, d); err != nil {
			return err
		}
		for range 2 {
			if _, err := durable.Await(ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	w = durable.Define("w", s.step("a"), s.calls("two", x, mid), node, spawns, s.callsOnly("last", late, idle), s.step("b"), fail("end"))
	return w, []durable.Definition{w, x, y, z, idle, mid, late, spawned, alone, detached},
		[]string{"b", "late", "spawned", "z", "two", "m4", "m3", "y", "x", "m1", "x", "a"}
}

// undone is what was undone, in order, each once: a crash may let an undo begin twice.
func (s *saga) undone() (list []string) {
	for _, text := range s.undos() {
		name, _, _ := strings.Cut(text, " at ")
		if n := len(list); n == 0 || list[n-1] != name {
			list = append(list, name)
		}
	}
	return list
}

func TestCO3_TheHandlerOfTheCallingStepThenItsChildrenLastFirst(t *testing.T) {
	var s saga
	w, all, want := s.forest()
	onStores(t, serve(all...), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		if got := s.undone(); !slices.Equal(got, want) || len(s.undos()) != len(want) {
			t.Errorf("undone were %q, want %q", s.undos(), want)
		}
		want := []string{"b done 0", "last done 1", "spawns done 1", "node done 1", "two done 0", "two done 1", "two done 1", "a done 0"}
		if got := ofRollback(r.Look()); !slices.Equal(got, want) {
			t.Errorf("compensations are %q, want %q", got, want)
		}
		got := statusesOf(t, e, r.ID)
		if want := []string{"alone completed", "detached completed", "idle completed", "late compensated", "mid compensated", "spawned compensated", "x compensated", "z compensated"}; !slices.Equal(got, want) {
			t.Errorf("children are %q, want %q", got, want)
		}
		for _, x := range childrenOf(t, e, r.ID) {
			if x.Status == durable.Compensated && (x.Error == nil || x.Error.Code != "recalled" || !strings.Contains(x.Error.Message, r.ID.String()) || x.Ended.IsZero()) {
				t.Errorf("%s ended as %+v", x.Workflow, x.Error)
			}
		}
	})
}

// The same, killed after every commit: each compensation is recorded once, in that order.
func TestCO3_CO7_CrashAfterEveryCommitOfATree(t *testing.T) {
	t.Run("small", func(t *testing.T) {
		onWeather(t, func(time.Duration) forecast {
			var s saga
			x, y := s.leaf("x"), s.leaf("y")
			mid := durable.Define("mid", s.step("m"), s.calls("n", y))
			node := durable.Child("node", x, func(*note) note { return note{} }, func(*note, note) {})
			w := durable.Define("w", s.calls("two", x, mid), node, fail("end"))
			f := s.tree(w, "x", "two", "n", "y", "m", "x")
			f.others = []durable.Definition{x, y, mid}
			f.ends = []string{"mid compensated", "w compensated", "x compensated", "x compensated", "y compensated"}
			return f.weather()
		})
	})
	t.Run("forest", func(t *testing.T) {
		inBubbles(t, func(time.Duration) forecast {
			var s saga
			w, all, want := s.forest()
			f := s.tree(w, want...)
			f.others = all[1:]
			f.ends = []string{
				"alone completed", "detached completed", "idle completed", "idle completed", "late compensated", "mid compensated",
				"spawned compensated", "w compensated", "x compensated", "x compensated", "y compensated", "z compensated",
			}
			return f.weather()
		})
	})
}

// grove is a tree that goes back, and what is to come of it.
type grove struct {
	s            *saga
	w            *durable.Workflow[note]
	others       []durable.Definition
	undone, ends []string
}

func (s *saga) tree(w *durable.Workflow[note], undone ...string) *grove {
	return &grove{s: s, w: w, undone: undone}
}

func (g *grove) weather() forecast {
	return &weather[note]{
		flow: g.w, others: g.others, bodies: &g.s.tally, width: 4,
		end: func(_ note, err error) error {
			if got := g.s.undone(); !slices.Equal(got, g.undone) {
				return fmt.Errorf("undone were %q, want %q", got, g.undone)
			}
			return wantEnd(err, durable.Compensated, "permanent", "end")
		},
		tree: func(_ *durable.Engine, list []kin) error {
			for _, k := range list {
				for _, rec := range rollbacks(k.Execution) {
					if !strings.HasSuffix(rec, " done") && !strings.HasSuffix(rec, " crashed") {
						return fmt.Errorf("%s has %q", k.Workflow, rec)
					}
				}
			}
			return wantStatuses(list, g.ends...)
		},
	}
}

// A child whose rollback fails makes that of its parent fail, and the others go on; a retry of the
// parent tries the child again.
func TestCO3_CO6_AChildThatCannotGoBack(t *testing.T) {
	var s saga
	broken := true
	bad := durable.Define("bad", s.step("k1"), mark("k2").Compensate(func(context.Context, *note) error {
		s.add("undo k2")
		if broken {
			return errors.New("out of order")
		}
		return nil
	}, durable.Retry{MaxAttempts: 2, Base: time.Second}), s.step("k3"))
	mid := durable.Define("mid", s.callsOnly("m", bad))
	w := durable.Define("w", s.step("a"), s.callsOnly("call", mid), s.step("b"), fail("end"))
	onStores(t, serve(w, bad, mid), func(t *testing.T, e env) {
		ctx := context.Background()
		s.reset()
		broken = true
		r := durabletest.Start(e.Engine, w, note{})
		_, err := r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		if got, want := s.undone(), []string{"b", "k3", "k2", "k1", "a"}; !slices.Equal(got, want) {
			t.Errorf("undone were %q, want %q", got, want)
		}
		x := r.Look()
		if got, want := ofRollback(x), []string{"b done 0", "call failed 1", "a done 0"}; !slices.Equal(got, want) {
			t.Errorf("compensations are %q, want %q", got, want)
		}
		for _, rec := range x.Steps {
			if rec.Kind == "compensate" && rec.Status == "failed" && (rec.Error == nil || rec.Error.Code != "child" || !strings.Contains(rec.Error.Message, "compensation_failed")) {
				t.Errorf("%+v", rec.Error)
			}
		}
		s.reset()
		if err := e.Retry(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		if _, err = r.End(); wantFailure(t, err, durable.CompensationFailed, "permanent", "end") == nil || s.of("undo k2") != 2 {
			t.Errorf("tried again: %q", s.all())
		}
		broken = false
		s.reset()
		if err := e.Retry(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		_, err = r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		if got := s.undone(); !slices.Equal(got, []string{"k2"}) {
			t.Errorf("tried again were %q", got)
		}
		if got, want := ofRollback(r.Look()), []string{"b done 0", "call failed 1", "a done 0", "call failed 1", "call done 1"}; !slices.Equal(got, want) {
			t.Errorf("compensations are %q, want %q", got, want)
		}
	})
}
