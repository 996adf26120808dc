package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// errands is a workflow with a node of every kind. Its bodies tell ran what they do.
func errands(ran *tally, broken *bool) (*durable.Workflow[note], *durable.Workflow[note]) {
	did := func(name string, more func(ctx context.Context, n *note) error) *durable.StepNode[note] {
		return body(name, func(ctx context.Context, n *note) error {
			info, _ := durable.Info(ctx)
			ran.add(info.Path)
			n.N++
			if more == nil {
				return nil
			}
			return more(ctx, n)
		}).Retry(durable.Retry{MaxAttempts: 2})
	}
	child := durable.Define("child", did("inner", nil))
	return durable.Define("errands",
		did("first", func(ctx context.Context, n *note) error {
			hash, err := durable.Blob(ctx, []byte("a body that is kept"))
			n.Trace = append(n.Trace, hash)
			return err
		}),
		did("flaky", func(ctx context.Context, n *note) error {
			if info, _ := durable.Info(ctx); info.Attempt < 2 {
				return errFlaky
			}
			return nil
		}),
		durable.Branch("way", func(n *note) string { return n.Kind }).Case("left", did("left", nil)).Default(did("right", nil)),
		durable.Loop("loop", func(n *note) bool { return len(n.Trace) < 4 }, did("again", func(_ context.Context, n *note) error {
			n.Trace = append(n.Trace, "pass")
			return nil
		})),
		durable.Parallel("both", durable.Sequence("a", told(ran, "one"), told(ran, "two")), durable.Sequence("b", told(ran, "three"))),
		durable.Each("each", func(n *note) []string { return []string{"x", "y"} }, durable.Step("item", func(ctx context.Context, s *string) error {
			info, _ := durable.Info(ctx)
			ran.add(info.Path)
			*s += "!"
			return nil
		})).Into(func(n *note, list []string) { n.Trace = append(n.Trace, list...) }),
		did("called", func(ctx context.Context, n *note) error {
			c, err := durable.Call(ctx, child, note{N: 10})
			n.N += c.N
			return err
		}),
		durable.Child("node", child, func(*note) note { return note{} }, func(n *note, c note) { n.N += c.N }),
		durable.Event("news", func(n *note, s string) { n.Trace = append(n.Trace, s) }),
		durable.Decision("back", func(_ context.Context, n *note) (durable.Choice, error) {
			ran.add("back")
			if slices.Contains(n.Trace, "turned") {
				return durable.Next, nil
			}
			n.Trace = append(n.Trace, "turned")
			return durable.Goto("over"), nil
		}).To("over"),
		did("skipped", nil),
		did("over", nil),
		did("read", func(ctx context.Context, n *note) error {
			b, err := durable.ReadBlob(ctx, n.Trace[0])
			n.Trace = append(n.Trace, string(b))
			return err
		}),
		did("last", func(context.Context, *note) error {
			if *broken {
				return durable.Permanent(errors.New("the code is wrong"))
			}
			return nil
		}),
	), child
}

// told is a step that only tells what it is.
func told(ran *tally, name string) *durable.StepNode[note] {
	return body(name, func(ctx context.Context, _ *note) error {
		info, _ := durable.Info(ctx)
		ran.add(info.Path)
		return nil
	})
}

// QY-7: from each place at which a run has been another goes on, with the facts before it; nothing before it happens again, and
// it ends as the first did.
func TestQY7_ForkFromEveryPlace(t *testing.T) {
	var ran tally
	var broken bool
	w, child := errands(&ran, &broken)
	onStores(t, serve(w, child), func(t *testing.T, e env) {
		ctx := t.Context()
		broken = true
		ran.reset()
		run := durabletest.Start(e.Engine, w, note{Kind: "left"}, durable.Tags("shop"), durable.Priority(3))
		run.WillSend("news", "sun")
		if err := run.Fails(); !strings.Contains(err.Error(), "the code is wrong") {
			t.Fatal(err)
		}
		broken = false
		all := ran.all()
		origin, err := e.Execution(ctx, run.ID, durable.WithSteps)
		if err != nil {
			t.Fatal(err)
		}
		paths := []string{""}
		for _, s := range origin.Steps {
			if !slices.Contains(paths, s.Path) {
				paths = append(paths, s.Path)
			}
		}
		var whole *note
		forks := 0
		for _, path := range paths {
			ran.reset()
			id, err := e.Fork(ctx, run.ID, path)
			if lane := strings.HasPrefix(path, "both[") || strings.HasPrefix(path, "each["); lane || err != nil {
				if !errors.Is(err, durable.ErrNotForkable) || !lane || !strings.Contains(err.Error(), "in a lane or an item") {
					t.Errorf("%s: %v", path, err)
				}
				continue
			}
			forks++
			f := durabletest.Attach(e.Engine, w, id)
			f.WillSend("news", "sun")
			end := f.Done()
			if whole == nil {
				whole = &end
			} else if fmt.Sprint(end) != fmt.Sprint(*whole) {
				t.Errorf("from %s: %v\nanew: %v", path, end, *whole)
			}
			at := slices.IndexFunc(all, func(p string) bool {
				return p == path || strings.HasPrefix(p, path+"[") || strings.HasPrefix(p, path+"/")
			})
			if path == "" {
				at = 0
			}
			got, want := ran.all(), all
			if at >= 0 {
				want = all[at:]
			} else if path == "news" || path == "node" {
				want = all[slices.Index(all, "back"):]
				if path == "node" {
					want = append([]string{"inner"}, want...)
				}
			}
			slices.Sort(got)
			want = slices.Sorted(slices.Values(want))
			if !slices.Equal(got, want) {
				t.Errorf("from %s: ran %q, want %q", path, got, want)
			}
			x, err := e.Execution(ctx, id, durable.WithSteps)
			if err != nil || x.Origin == nil || *x.Origin != (durable.Origin{Run: run.ID, Path: path}) || x.Parent != (durable.ID{}) {
				t.Fatalf("from %s: %v, origin %+v", path, err, x.Origin)
			}
			if !slices.Equal(x.Tags, []string{"shop"}) || x.Priority != 3 || x.Queue != origin.Queue || string(x.Input) != string(origin.Input) {
				t.Errorf("from %s: %+v", path, x)
			}
			before := 0
			if path != "" {
				before = slices.IndexFunc(origin.Steps, func(s durable.StepRecord) bool { return s.Path == path || strings.HasPrefix(s.Path, path+"[") })
			}
			for i, s := range x.Steps {
				if s.Inherited != (i < before) {
					t.Errorf("from %s: step %d, %s, inherited: %v", path, i, s.Path, s.Inherited)
				}
				if s.Inherited && (s.Path != origin.Steps[i].Path || !s.Started.Equal(origin.Steps[i].Started) || s.Status != origin.Steps[i].Status) {
					t.Errorf("from %s: step %d is %+v, was %+v", path, i, s, origin.Steps[i])
				}
			}
		}
		if forks < 15 {
			t.Errorf("only %d forks", forks)
		}
		again, err := e.Execution(ctx, run.ID, durable.WithSteps)
		if before, after := fmt.Sprintf("%+v", origin), fmt.Sprintf("%+v", again); err != nil || len(before) != len(after) {
			t.Errorf("the first run was\n%s, and is\n%s, %v", before, after, err)
		}
	})
}

// Crashes at any moment change nothing about a fork: it is there with all its facts and blobs, or not at all.
func TestQY7_ForkedAndKilled(t *testing.T) {
	var ran tally
	broken := false
	w, child := errands(&ran, &broken)
	onStores(t, serve(w, child), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.WillSend("news", "sun")
		want := run.Done()
		for n := 1; n < 12; n++ {
			id, err := e.Fork(t.Context(), run.ID, "both")
			if err != nil {
				t.Fatal(err)
			}
			e.CrashAfter(n)
			f := durabletest.Attach(e.Engine, w, id)
			f.WillSend("news", "sun")
			if got := f.Done(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("killed after %d writes: %v, want %v", n, got, want)
			}
		}
	})
}

func TestQY7_ForkEdits(t *testing.T) {
	type other struct{ X int }
	w := durable.Define("w", mark("a"), mark("b"), mark("c"))
	next := durable.Define("w", mark("a"), mark("x"), mark("b"), mark("d")).Version("2")
	onStores(t, serve(w, next), func(t *testing.T, e env) {
		ctx := t.Context()
		run := durabletest.Start(e.Engine, w, note{Kind: "in"})
		run.Done()
		set := durable.Edit(func(n *note) error { n.N, n.Trace = 7, append(n.Trace, "edited"); return nil })
		fork := func(path string, opts ...durable.StartOption) *durabletest.Started[note] {
			t.Helper()
			id, err := e.Fork(ctx, run.ID, path, opts...)
			if err != nil {
				t.Fatal(err)
			}
			return durabletest.Attach(e.Engine, w, id)
		}
		wantTrace(t, fork("b", set).Done(), "a", "edited", "b", "c")
		wantTrace(t, fork("", set).Done(), "edited", "a", "b", "c")
		if x := fork("", set).Look(); string(x.Input) != `{"kind":"in","n":7,"trace":["edited"]}` {
			t.Errorf("the input is %s", x.Input)
		}
		raw := durable.Edit(func(s *json.RawMessage) error { *s = json.RawMessage(`{"trace":["raw"]}`); return nil })
		wantTrace(t, fork("c", raw).Done(), "raw", "c")
		wantTrace(t, fork("b", durable.InVersion("2")).Done(), "a", "b", "d")
		first, second := fork("b", durable.Key("k"), set), fork("b", durable.Key("k"), set)
		if first.ID != second.ID {
			t.Error("one key, two forks")
		}
		first.Done()
		// A fork of a fork.
		id, err := e.Fork(ctx, first.ID, "c")
		if err != nil {
			t.Fatal(err)
		}
		f := durabletest.Attach(e.Engine, w, id)
		wantTrace(t, f.Done(), "a", "edited", "b", "c")
		if x := f.Look(); x.Origin.Run != first.ID {
			t.Errorf("origin %+v", x.Origin)
		}
		count := e.count(t)
		for want, try := range map[string]struct {
			path string
			opts []durable.StartOption
			err  error
		}{
			`nothing at "d" has begun in it`:        {"d", nil, durable.ErrInvalid},
			"and the state is a durable_test.note":  {"b", []durable.StartOption{durable.Edit(func(*other) error { return nil })}, durable.ErrInvalid},
			"it is no durable_test.note":            {"b", []durable.StartOption{durable.Edit(func(s *json.RawMessage) error { *s = json.RawMessage(`{"n":"x"}`); return nil })}, durable.ErrInvalid},
			"so not":                                {"b", []durable.StartOption{durable.Edit(func(*note) error { return errors.New("so not") })}, nil},
			`version "3": name one of this program`: {"b", []durable.StartOption{durable.InVersion("3")}, durable.ErrUnknownWorkflow},
			"belongs to run":                        {"c", []durable.StartOption{durable.Key("k")}, durable.ErrKeyConflict},
			`has no c in this program`:              {"c", []durable.StartOption{durable.InVersion("2")}, durable.ErrInvalid},
			"its function is nil":                   {"c", []durable.StartOption{durable.Edit[note](nil)}, durable.ErrInvalid},
			"the priority 5000":                     {"c", []durable.StartOption{durable.Priority(5000)}, durable.ErrInvalid},
			`"nowhere"`:                             {"c", []durable.StartOption{durable.InQueue("nowhere")}, durable.ErrUnknownQueue},
		} {
			if _, err := e.Fork(ctx, run.ID, try.path, try.opts...); err == nil || !strings.Contains(err.Error(), want) || try.err != nil && !errors.Is(err, try.err) {
				t.Errorf("%v; want %q", err, want)
			}
		}
		if _, err := e.Fork(ctx, durable.ID{1}, ""); !errors.Is(err, durable.ErrNotFound) {
			t.Errorf("of no run: %v", err)
		}
		if _, err := w.Start(ctx, e.Engine.Engine, note{}, set); !errors.Is(err, durable.ErrInvalid) || !strings.Contains(err.Error(), "Edit is for Fork") {
			t.Errorf("a start with Edit: %v", err)
		}
		if n := e.count(t); n != count {
			t.Errorf("%d runs more", n-count)
		}
	})
}

// Where something would be done or undone twice there is no fork.
func TestQY7_ForkRefuses(t *testing.T) {
	undo := func(context.Context, *note) error { return nil }
	w := durable.Define("w", mark("a"), mark("book").Compensate(undo), mark("b"), take("s", "e"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := t.Context()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		if _, err := e.Fork(ctx, run.ID, "b"); !errors.Is(err, durable.ErrNotForkable) || !strings.Contains(err.Error(), "book was done before, and would be undone by both") {
			t.Errorf("behind a compensation: %v", err)
		}
		id, err := e.Fork(ctx, run.ID, "book") // of a run that has not ended
		if err != nil {
			t.Fatal(err)
		}
		f := durabletest.Attach(e.Engine, w, id)
		f.WillSend("e", "there")
		wantTrace(t, f.Done(), "a", "book", "b", "there")
		run.Event("e", "here")
		wantTrace(t, run.Done(), "a", "book", "b", "here")
	})
	late := durable.Define("late", mark("a"), body("b", func(ctx context.Context, n *note) error {
		_, err := durable.WaitForEvent[string](ctx, "e", durable.Timeout(time.Hour), durable.OnTimeout(""))
		return err
	}), mark("c"))
	onStores(t, serve(late), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, late, note{})
		run.Settle()
		if err := e.Cancel(t.Context(), run.ID, "enough"); err != nil {
			t.Fatal(err)
		}
		id, err := e.Fork(t.Context(), run.ID, "b") // it had not been cancelled then
		if err != nil {
			t.Fatal(err)
		}
		wantTrace(t, durabletest.Attach(e.Engine, late, id).Done(), "a", "c")
		if x, err := e.Execution(t.Context(), run.ID); err != nil || x.Status != durable.Cancelled {
			t.Errorf("%v, %v", x, err)
		}
	})
}

// What ran as executions of its own before is done; what was spawned belongs to the first run.
func TestQY7_ForkBehindChildren(t *testing.T) {
	var ran tally
	item := durable.Step("item", func(ctx context.Context, s *string) error {
		ran.add("item " + *s)
		*s += "!"
		return nil
	})
	child := durable.Define("child", told(&ran, "inner"))
	type state struct {
		List []string              `json:"list,omitempty"`
		Kid  durable.Spawned[note] `json:"kid,omitzero"`
	}
	w := durable.Define("w",
		durable.Each("each", func(*state) []string { return []string{"x", "y", "z"} }, item).Spread().Into(func(s *state, list []string) { s.List = list }),
		durable.Step("spawn", func(ctx context.Context, s *state) (err error) {
			s.Kid, err = durable.Spawn(ctx, child, note{})
			return err
		}),
		durable.Step("await", func(ctx context.Context, s *state) error {
			_, err := durable.Await(ctx, s.Kid)
			return err
		}),
		durable.Step("end", func(context.Context, *state) error { ran.add("end"); return nil }))
	onStores(t, serve(w, child), func(t *testing.T, e env) {
		ran.reset()
		run := durabletest.Start(e.Engine, w, state{})
		want := run.Done()
		for _, c := range []struct {
			path string
			runs []string
		}{
			{"each", []string{"end", "inner", "item x", "item y", "item z"}},
			{"spawn", []string{"end", "inner"}},
			{"end", []string{"end"}},
		} {
			ran.reset()
			id, err := e.Fork(t.Context(), run.ID, c.path)
			if err != nil {
				t.Fatal(err)
			}
			end := durabletest.Attach(e.Engine, w, id).Done()
			got := ran.all()
			slices.Sort(got)
			if !slices.Equal(end.List, want.List) || !slices.Equal(got, c.runs) {
				t.Errorf("from %s: %+v, ran %q", c.path, end, got)
			}
		}
		id, err := e.Fork(t.Context(), run.ID, "await")
		if err != nil {
			t.Fatal(err)
		}
		if err := durabletest.Attach(e.Engine, w, id).Fails(); !strings.Contains(err.Error(), "it is no child of this run") {
			t.Errorf("a fork that awaits another's child: %v", err)
		}
		for x, err := range e.EachExecution(t.Context(), durable.Filter{Parent: run.ID}) {
			if err != nil || !strings.Contains(x.Workflow, "child") {
				if _, err := e.Fork(t.Context(), x.ID, "item"); !errors.Is(err, durable.ErrInvalid) || !strings.Contains(err.Error(), run.ID.String()) {
					t.Errorf("of an item: %v", err)
				}
				break
			}
		}
	})
}

// A fork goes on from the last visit of a place, and from the pass of a loop that is named.
func TestQY7_ForkFromVisits(t *testing.T) {
	w := durable.Define("w",
		mark("a"),
		durable.Loop("loop", func(n *note) bool { return n.N < 3 }, body("in", func(_ context.Context, n *note) error {
			n.N++
			n.Trace = append(n.Trace, fmt.Sprint("in", n.N))
			return nil
		})),
		mark("b"),
		decide("again", func(n *note) durable.Choice {
			if n.N < 5 {
				n.N++
				return durable.Goto("b")
			}
			return durable.Next
		}),
		mark("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		whole := []string{"a", "in1", "in2", "in3", "b", "again", "b", "again", "b", "again", "end"}
		wantTrace(t, run.Done(), whole...)
		for path, edited := range map[string][]string{
			"loop[1]/in": {"a", "in1", "EDIT", "in2", "in3", "b", "again", "b", "again", "b", "again", "end"},
			"loop[1]":    {"a", "in1", "EDIT", "in2", "in3", "b", "again", "b", "again", "b", "again", "end"},
			"loop":       {"a", "EDIT", "in1", "in2", "in3", "b", "again", "b", "again", "b", "again", "end"},
			"b":          {"a", "in1", "in2", "in3", "b", "again", "b", "again", "EDIT", "b", "again", "end"},
			"again":      {"a", "in1", "in2", "in3", "b", "again", "b", "again", "b", "EDIT", "again", "end"},
		} {
			id, err := e.Fork(t.Context(), run.ID, path, durable.Edit(func(n *note) error { n.Trace = append(n.Trace, "EDIT"); return nil }))
			if err != nil {
				t.Fatal(err)
			}
			if got := durabletest.Attach(e.Engine, w, id).Done().Trace; !slices.Equal(got, edited) {
				t.Errorf("from %s: %q, want %q", path, got, edited)
			}
		}
	})
}

// A fork goes on at its path, whatever a deploy has put before it, taken away or moved; a path that is gone is refused, or blocks.
func TestQY7_ForkAfterADeploy(t *testing.T) {
	old := durable.Define("w", mark("a"), mark("b"), body("c", func(context.Context, *note) error { return errFlaky }), mark("d"))
	for name, c := range map[string]struct {
		now   *durable.Workflow[note]
		trace []string
	}{
		"mended":  {durable.Define("w", mark("a"), mark("b"), mark("c"), mark("d")), []string{"a", "b", "c", "d"}},
		"moved":   {durable.Define("w", mark("a"), mark("c"), mark("b"), mark("d")), []string{"a", "b", "c", "d"}},
		"removed": {durable.Define("w", mark("a"), mark("c"), mark("d")), []string{"a", "b", "c", "d"}},
		"renamed": {durable.Define("w", mark("a"), mark("b2"), mark("c"), mark("d")), []string{"a", "b", "c", "d"}},
		"added":   {durable.Define("w", mark("a"), mark("b"), mark("x"), mark("c"), mark("d")), []string{"a", "b", "c", "d"}},
		"gone":    {durable.Define("w", mark("a"), mark("b"), mark("d")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, serve(old), func(t *testing.T, e env) {
				run := durabletest.Start(e.Engine, old, note{})
				run.Fails()
				before, err := e.Fork(t.Context(), run.ID, "c", durable.At(time.Now().Add(time.Hour)))
				if err != nil {
					t.Fatal(err)
				}
				e.Deploy(serve(c.now))
				id, err := e.Fork(t.Context(), run.ID, "c")
				if c.trace == nil {
					if !errors.Is(err, durable.ErrInvalid) || !strings.Contains(err.Error(), "has no c in this program") {
						t.Errorf("%v", err)
					}
					if x := durabletest.Attach(e.Engine, c.now, before).Settle(); x.Status != durable.Blocked || !strings.Contains(x.Error.Message, `the run goes to "c"`) {
						t.Errorf("%s, %v", x.Status, x.Error)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range []durable.ID{id, before} {
					wantTrace(t, durabletest.Attach(e.Engine, c.now, id).Done(), c.trace...)
				}
			})
		})
	}
}

// With a key a fork is made once, also if the other run has gone on, an Edit gives another state, or the other run is removed.
func TestQY7_ForkOnce(t *testing.T) {
	w := durable.Define("w", mark("a"), mark("b"), decide("again", func(n *note) durable.Choice {
		if n.N++; n.N < 3 {
			return durable.Goto("wait")
		}
		return durable.Next
	}).To("wait"), take("wait", "e"), durable.Decision("back", func(_ context.Context, n *note) (durable.Choice, error) {
		if n.N < 2 {
			return durable.Goto("b"), nil
		}
		return durable.Next, nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		n := 0
		fork := func() durable.ID {
			t.Helper()
			n++
			id, err := e.Fork(t.Context(), run.ID, "b", durable.Key("k"), durable.Edit(func(s *note) error { s.Kind = fmt.Sprint(n); return nil }))
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		first := fork()
		f := durabletest.Attach(e.Engine, w, first)
		f.WillSend("e", "1")
		f.WillSend("e", "2")
		f.Done()
		run.WillSend("e", "1")
		run.WillSend("e", "2")
		run.Done() // it has been at b once more
		if again := fork(); again != first {
			t.Error("another fork, after the run has gone on")
		}
		e.Sleep(time.Hour)
		if removed, err := e.Prune(t.Context(), durable.PruneOptions{OlderThan: time.Minute}); err != nil || removed < 1 {
			t.Fatalf("%d removed, %v", removed, err)
		}
		if _, err := e.Fork(t.Context(), run.ID, "b", durable.Key("k2")); !errors.Is(err, durable.ErrNotFound) {
			t.Errorf("of a run that is gone: %v", err)
		}
	})
}

// A fork of many facts has a snapshot from the beginning, so nobody folds them again with each claim.
func TestQY7_ForkHasASnapshot(t *testing.T) {
	w := durable.Define("w", durable.Loop("loop", func(n *note) bool { return n.N < 400 }, body("in", func(_ context.Context, n *note) error {
		n.N++
		return nil
	})), take("s", "e"), mark("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		id, err := e.Fork(t.Context(), run.ID, "s", durable.At(time.Now().Add(time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.opener.OpenStore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rec, err := s.Load(t.Context(), id, false)
		if err != nil || rec.SnapshotSeq != 1 || len(rec.Snapshot) == 0 || len(rec.Rows) != 0 {
			t.Errorf("snapshot of %d bytes up to row %d, %d rows behind it, %v", len(rec.Snapshot), rec.SnapshotSeq, len(rec.Rows), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		f := durabletest.Attach(e.Engine, w, id)
		f.WillSend("e", "there")
		wantTrace(t, f.Done(), "there", "end")
		x, err := e.Execution(t.Context(), id, durable.WithSteps)
		if err != nil || len(x.Steps) < 400 || !x.Steps[0].Inherited || x.Origin == nil {
			t.Errorf("%d steps, %v", len(x.Steps), err)
		}
	})
}
