package durable_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// Children that have not ended when the rollback begins go back first, and nothing of their
// parent is undone before they have ended.
func TestCO3_CO8_ChildrenThatHaveNotEndedComeFirst(t *testing.T) {
	var s saga
	slow := durable.Define("slow", s.step("k1"), s.calls("k2", s.leaf("deep")), mark("k3").Compensate(func(ctx context.Context, _ *note) error {
		s.add("undo k3")
		return durable.Sleep(ctx, time.Hour)
	}), body("hold", func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, 24*time.Hour) }))
	mid := durable.Define("mid", body("m", func(ctx context.Context, _ *note) error { // has nothing to undo by itself
		_, err := durable.Call(ctx, slow, note{})
		return err
	}))
	call := func(name string, w *durable.Workflow[note]) durable.Node[note] {
		return body(name, func(ctx context.Context, _ *note) error {
			_, err := durable.Call(ctx, w, note{})
			return err
		}).Compensate(s.undo(name))
	}
	f := body("f", func(ctx context.Context, _ *note) error {
		if err := durable.Sleep(ctx, time.Minute); err != nil {
			return err
		}
		return durable.Permanent(errFlaky)
	})
	w := durable.Define("w", s.step("a"), durable.Parallel("p", call("c", mid), f))
	cancelled := durable.Define("cancelled", s.step("a"), call("c", mid))
	bare := durable.Define("bare", durable.Parallel("p", s.callsOnly("c", mid), f))
	onStores(t, serve(w, cancelled, bare, mid, slow, s.leaf("deep")), func(t *testing.T, e env) {
		want := []string{"k3", "k2", "deep", "k1", "c", "a"}
		for _, w := range []*durable.Workflow[note]{w, cancelled} {
			s.reset()
			r := durabletest.Start(e.Engine, w, note{})
			e.Sleep(30 * time.Second)
			code, path := "permanent", "p[f]/f"
			if w == cancelled {
				code, path = "cancelled", ""
				if err := e.Cancel(context.Background(), r.ID, "no", durable.AndCompensate()); err != nil {
					t.Fatal(err)
				}
			}
			e.Sleep(20 * time.Minute)
			if got := s.undone(); !slices.Equal(got, want[:1]) {
				t.Errorf("in the middle undone are %q", got)
			}
			_, err := r.End()
			wantFailure(t, err, durable.Compensated, code, path)
			if got := s.undone(); !slices.Equal(got, want) {
				t.Errorf("undone were %q, want %q", got, want)
			}
			if got := statusesOf(t, e, r.ID); !slices.Equal(got, []string{"mid compensated"}) {
				t.Errorf("children are %q", got)
			}
		}
		s.reset()
		r := durabletest.Start(e.Engine, bare, note{})
		_, err := r.End()
		wantFailure(t, err, durable.Failed, "permanent", "p[f]/f") // it has nothing to undo, and waits for nobody
		e.Sleep(2 * time.Hour)
		if got := s.undone(); len(got) > 0 {
			t.Errorf("of a run that has nothing to undo itself, undone were %q", got)
		}
		if got := statusesOf(t, e, r.ID); !slices.Equal(got, []string{"mid cancelled"}) {
			t.Errorf("children are %q", got)
		}
	})
}

// A rollback that is ended by force ends those of children that are under way, and a retry of it goes on with what
// is left in the whole tree.
func TestCO3_CN6_ForceAndRetryOverATree(t *testing.T) {
	var s saga
	slow := func(name string) *durable.StepNode[note] {
		return mark(name).Compensate(func(ctx context.Context, _ *note) error {
			s.add("undo " + name)
			return durable.Sleep(ctx, time.Hour)
		})
	}
	kid := durable.Define("kid", s.step("k1"), slow("k2"), s.step("k3"))
	mid := durable.Define("mid", s.callsOnly("m1", kid), s.step("m2"))
	w := durable.Define("w", s.step("a"), s.callsOnly("c", mid, kid), s.step("b"), fail("end"))
	onStores(t, serve(w, mid, kid), func(t *testing.T, e env) {
		ctx := context.Background()
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(90 * time.Minute) // the second child is undone, the first of the first goes back
		if err := e.Cancel(ctx, r.ID, "enough", durable.Force()); err != nil {
			t.Fatal(err)
		}
		_, err := r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		if got, want := s.undone(), []string{"b", "k3", "k2", "k1", "m2", "k3", "k2"}; !slices.Equal(got, want) {
			t.Errorf("undone were %q, want %q", got, want)
		}
		if got, want := ofRollback(r.Look()), []string{"b done 0", "c done 1", "c failed 1", "a skipped 0"}; !slices.Equal(got, want) {
			t.Errorf("compensations are %q, want %q", got, want)
		}
		s.reset()
		if err := e.Retry(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		_, err = r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		if got, want := s.undone(), []string{"k2", "k1", "a"}; !slices.Equal(got, want) && !slices.Equal(got, want[1:]) {
			t.Errorf("tried again were %q, want %q", got, want)
		}
	})
}

// A child that somebody else has brought back meanwhile, and one that is gone.
func TestCO3_CO6_AChildThatWasRetriedByItself(t *testing.T) {
	var s saga
	broken := true
	bad := durable.Define("bad", mark("k").Compensate(func(context.Context, *note) error {
		if broken {
			return durable.Permanent(errors.New("out of order"))
		}
		return nil
	}))
	w := durable.Define("w", s.callsOnly("c", bad), fail("end"))
	onStores(t, serve(w, bad), func(t *testing.T, e env) {
		ctx := context.Background()
		broken = true
		r := durabletest.Start(e.Engine, w, note{})
		_, err := r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		broken = false
		if err := e.Retry(ctx, childrenOf(t, e, r.ID)[0].ID); err != nil {
			t.Fatal(err)
		}
		e.Sleep(time.Minute)
		if got := statusesOf(t, e, r.ID); !slices.Equal(got, []string{"bad compensated"}) {
			t.Errorf("children are %q", got)
		}
		if err := e.Retry(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		_, err = r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
	})
}

// Nobody is told for ever that a child has completed which may go back.
func TestCO3_WaitingForAChildThatWentBack(t *testing.T) {
	var s saga
	kid := s.leaf("kid")
	w := durable.Define("w", s.callsOnly("c", kid), body("wait", func(ctx context.Context, _ *note) error {
		return durable.Sleep(ctx, time.Hour)
	}), fail("end"))
	onStores(t, serve(w, kid), func(t *testing.T, e env) {
		ctx := context.Background()
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Minute)
		c := kid.Attach(e.Engine.Engine, childrenOf(t, e, r.ID)[0].ID)
		if _, err := c.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		_, err = c.Wait(ctx)
		wantFailure(t, err, durable.Compensated, "recalled", "")
	})
}

// Spread items that have completed go back with their run, those with the highest numbers
// first; those that run are cancelled and go back, too.
func TestCO3_EA6_SpreadItemsGoBack(t *testing.T) {
	var s saga
	kid := s.leaf("kid")
	item := func(end func(p *page) error) *durable.EachNode[board, page] {
		return durable.Each("pages", pagesOf,
			read("one", func(ctx context.Context, p *page) error { return nil }).Compensate(func(_ context.Context, p *page) error {
				s.add(fmt.Sprint("undo one ", p.N))
				return nil
			}),
			read("call", func(ctx context.Context, p *page) error {
				if p.N != 1 {
					return nil
				}
				_, err := durable.Call(ctx, kid, note{})
				return err
			}),
			read("end", func(ctx context.Context, p *page) error { return end(p) })).Spread().Into(intoPages)
	}
	no := func(name string) durable.Node[board] {
		return durable.Step(name, func(context.Context, *board) error { return durable.Permanent(errFlaky) })
	}
	whole := durable.Define("whole", item(func(*page) error { return nil }).Concurrency(3), no("end"))
	torn := durable.Define("torn", item(func(p *page) error {
		if p.N == 7 {
			return durable.Permanent(errFlaky)
		}
		return nil
	}))
	onStores(t, serve(whole, torn, kid), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, whole, ofPages(230))
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		var want []string
		for n := range 230 {
			want = append(want, fmt.Sprint("one ", n))
		}
		got := s.undos()
		slices.Sort(want)
		if all := slices.Sorted(slices.Values(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s == "kid at 1" }))); !slices.Equal(all, want) || len(got) != 231 {
			t.Errorf("%d undone: %q", len(got), got)
		}
		for i, text := range got[:100] { // 100 go back at once
			var n int
			if _, err := fmt.Sscanf(text, "one %d", &n); err != nil || n < 30 {
				t.Errorf("undo %d was %s", i, text)
			}
		}
		if got := ofRollback(r.Look()); !slices.Equal(got, []string{"pages done 0"}) {
			t.Errorf("compensations are %q", got)
		}
		for _, x := range childrenOf(t, e, r.ID) {
			if x.Status != durable.Compensated {
				t.Errorf("an item is %s", x.Status)
			}
		}
		s.reset()
		r = durabletest.Start(e.Engine, torn, ofPages(12))
		if _, err = r.End(); err == nil {
			t.Error("it completed")
		}
		for _, x := range childrenOf(t, e, r.ID) {
			if x.Status != durable.Compensated && x.Status != durable.Cancelled {
				t.Errorf("an item is %s", x.Status)
			}
			if x.Status == durable.Cancelled && slices.ContainsFunc(e.look(t, x.ID).Steps, func(r durable.StepRecord) bool { return r.Path == "one" && r.Status == "done" }) {
				t.Errorf("an item has done something and was cancelled alone")
			}
		}
	})
}

// One item that cannot go back makes the rollback fail, and a retry tries that one again.
func TestCO3_CO6_ASpreadItemThatCannotGoBack(t *testing.T) {
	broken := true
	var s saga
	w := durable.Define("w", durable.Each("pages", pagesOf, read("one", func(context.Context, *page) error { return nil }).Compensate(
		func(_ context.Context, p *page) error {
			s.add(fmt.Sprint("undo ", p.N))
			if broken && p.N == 2 {
				return durable.Permanent(errFlaky)
			}
			return nil
		})).Spread().Into(intoPages), durable.Step("end", func(context.Context, *board) error { return durable.Permanent(errFlaky) }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		s.reset()
		broken = true
		r := durabletest.Start(e.Engine, w, ofPages(5))
		_, err := r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		for _, rec := range r.Look().Steps {
			if rec.Kind == "compensate" && (rec.Status != "failed" || !strings.HasPrefix(rec.Error.Message, "item 2 (")) {
				t.Errorf("%+v, %+v", rec, rec.Error)
			}
		}
		broken = false
		s.reset()
		if err := e.Retry(context.Background(), r.ID); err != nil {
			t.Fatal(err)
		}
		_, err = r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		if got := s.undos(); !slices.Equal(got, []string{"2"}) {
			t.Errorf("tried again were %q", got)
		}
	})
}

// Cancels at any moment of a tree, with crashes: whatever the trees come to, all that is done is undone, in
// order, and nothing is left open.
func TestCO3_CN6_AtEveryMomentOfATree(t *testing.T) {
	var s saga
	deep := durable.Define("deep", s.step("d1"), body("dw", func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, 3*time.Second) }), s.step("d2"))
	mid := durable.Define("mid", s.step("m1"), s.calls("m2", deep), s.step("m3"))
	quiet := body("r", func(ctx context.Context, _ *note) error { // changes nothing that the other lane changes
		s.add("r")
		_, err := durable.Call(ctx, deep, note{})
		return err
	}).Compensate(s.undo("r"))
	w := durable.Define("w", s.step("a"), durable.Parallel("p", s.calls("l", mid), quiet), body("ww", func(ctx context.Context, _ *note) error {
		return durable.Sleep(ctx, 3*time.Second)
	}), s.step("z"))
	cfg := serve(w, mid, deep)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		ctx := context.Background()
		for seed := range uint64(40) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			s.reset()
			if rnd.IntN(2) == 0 {
				e.CrashAfter(1 + rnd.IntN(40))
			}
			r := durabletest.Start(e.Engine, w, note{}, durable.Key(fmt.Sprint("moment ", seed)))
			e.Sleep(time.Duration(rnd.IntN(9000)) * time.Millisecond)
			for {
				err := e.Cancel(ctx, r.ID, "no", durable.AndCompensate())
				if err == nil || errors.Is(err, durable.ErrRunDone) || errors.Is(err, durable.ErrCompensating) {
					break
				}
				e.Sleep(time.Second)
			}
			_, err := r.End()
			if err == nil {
				continue // it was quicker
			}
			wantFailure(t, err, durable.Compensated, "cancelled", "")
			e.treeUndone(t, r.ID)
			if t.Failed() {
				t.Fatalf("seed %d: %q", seed, s.all())
			}
		}
	})
}

// treeUndone asserts that all that a run and its children have done is undone.
func (e env) treeUndone(t *testing.T, id durable.ID) {
	t.Helper()
	x := e.look(t, id)
	if !x.Status.Ended() || x.Status == durable.Completed || x.Status == durable.CompensationFailed {
		t.Errorf("%s is %s", x.Workflow, x.Status)
	}
	if err := allUndone(x); err != nil {
		t.Error(err)
	}
	for _, c := range childrenOf(t, e, id) {
		e.treeUndone(t, c.ID)
	}
}

// treeUndone says what is done in a tree and not undone, or more than once.
func treeUndone(list []kin) error {
	var bad []error
	for _, k := range list {
		if k.Status != durable.Completed && k.Status != durable.Cancelled {
			bad = append(bad, allUndone(k.Execution))
		}
	}
	return errors.Join(bad...)
}

// allUndone says what a run has done and not undone, or more than once.
func allUndone(x *durable.Execution) error {
	var bad []error
	undone := map[string]bool{}
	for _, r := range x.Steps {
		if r.Kind == "compensate" && r.Status != "crashed" { // then another attempt follows
			if r.Status != "done" || undone[r.Path] {
				bad = append(bad, fmt.Errorf("%s: %s is %s", x.Workflow, r.Path, r.Status))
			}
			undone[r.Path] = true
		}
	}
	for _, r := range x.Steps {
		if r.Status == "done" && r.Undo != "" && !undone[r.Undo] {
			bad = append(bad, fmt.Errorf("%s: %s is done and not undone", x.Workflow, r.Path))
		}
	}
	return errors.Join(bad...)
}

func (e env) look(t *testing.T, id durable.ID) *durable.Execution {
	t.Helper()
	x, err := e.Execution(context.Background(), id, durable.WithSteps)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// The process dies after each commit of a rollback that goes down to open children and to spread items: what is
// left is undone by the next, and each undo is recorded once.
func TestCO3_CO7_CrashAfterEveryCommitOfWhatIsOpen(t *testing.T) {
	t.Run("children", func(t *testing.T) { onWeather(t, openChildren) })
	t.Run("items", func(t *testing.T) { onWeather(t, wholeItems) })
	t.Run("open items", func(t *testing.T) { onWeather(t, tornItems) })
}

// breaks is a body that fails when an event tells it to.
func breaks(ctx context.Context) error {
	if _, err := durable.WaitForEvent[int](ctx, "break"); err != nil {
		return err
	}
	return durable.Permanent(errFlaky)
}

// holds is a body that waits for ever.
func holds(ctx context.Context) error {
	_, err := durable.WaitForEvent[int](ctx, "never")
	return err
}

func openChildren(time.Duration) forecast {
	var s saga
	deep := s.leaf("deep")
	kid := durable.Define("kid", s.step("k1"), s.callsOnly("k2", deep), body("hold", func(ctx context.Context, _ *note) error { return holds(ctx) }))
	mid := durable.Define("mid", s.callsOnly("m", kid))
	w := durable.Define("open", s.step("a"), durable.Parallel("p", s.callsOnly("c", mid), body("f", func(ctx context.Context, _ *note) error { return breaks(ctx) })))
	return &weather[note]{
		flow: w, others: []durable.Definition{kid, mid, deep}, bodies: &s.tally, width: 4, cues: []cue{send("break", 1).once("never")},
		end: func(_ note, err error) error { return wantEnd(err, durable.Compensated, "permanent", "p[f]/f") },
		tree: func(_ *durable.Engine, list []kin) error {
			return errors.Join(treeUndone(list), wantStatuses(list, "deep compensated", "kid compensated", "mid compensated", "open compensated"))
		},
	}
}

// undoable is a step of an item.
func undoable(bodies *tally) *durable.StepNode[page] {
	return countedItem(bodies, "one").Compensate(func(context.Context, *page) error { bodies.add("undo"); return nil })
}

func wholeItems(time.Duration) forecast {
	var bodies tally
	w := durable.Define("whole", durable.Each("pages", pagesOf, undoable(&bodies)).Spread().Into(intoPages),
		durable.Step("end", func(context.Context, *board) error { return durable.Permanent(errFlaky) }))
	return &weather[board]{
		flow: w, in: ofPages(3), bodies: &bodies, width: 10,
		end: func(_ board, err error) error { return wantEnd(err, durable.Compensated, "permanent", "end") },
		tree: func(_ *durable.Engine, list []kin) error {
			return errors.Join(treeUndone(list), wantStatuses(list, "whole compensated", "whole#pages compensated", "whole#pages compensated", "whole#pages compensated"))
		},
	}
}

func tornItems(time.Duration) forecast {
	var bodies tally
	w := durable.Define("torn", set("first", func(b *board) { b.A = 1 }).Compensate(func(context.Context, *board) error { bodies.add("undo first"); return nil }),
		durable.Each("pages", pagesOf, undoable(&bodies), read("two", func(ctx context.Context, p *page) error {
			if p.N == 1 {
				return breaks(ctx)
			}
			return holds(ctx)
		})).Spread().Into(intoPages))
	return &weather[board]{
		flow: w, in: ofPages(3), bodies: &bodies, width: 10, cues: []cue{send("break", 1).once("never", "never")},
		end: func(_ board, err error) error { return wantEnd(err, durable.Compensated, "permanent", "pages[1]/two") },
		tree: func(_ *durable.Engine, list []kin) error {
			return errors.Join(treeUndone(list), wantStatuses(list, "torn compensated", "torn#pages compensated", "torn#pages compensated", "torn#pages compensated"))
		},
	}
}
