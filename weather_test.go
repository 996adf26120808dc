package durable_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// weather is a case that comes to one end on every store, by any clock, wherever the process
// dies or stops.
type weather[S any] struct {
	flow   *durable.Workflow[S]
	others []durable.Definition // that flow calls
	in     S
	bodies *tally
	width  int   // so many bodies run at once
	slack  int   // so many waits may open or not, by who is first: a body then begins once more
	cues   []cue // what others do to a run, in any order
	// end says what is wrong with an end; it is asked of each.
	end func(s S, err error) error
	// tree says what is wrong with a run and those below it, once all have ended; it may be nil.
	tree func(e *durable.Engine, list []kin) error
	// loose: what is recorded depends on who comes first, so it is left to end and tree.
	loose bool
}

// kin is a run of a tree, the one on top first.
type kin struct {
	*durable.Execution
	facts []string
}

// forecast is a weather of whatever state.
type forecast interface {
	config() durable.Config
	everywhere(t *testing.T, g ground, storm string, first, step int)
}

// ground is where a case is played: a store, an engine on it, and a clock.
type ground interface {
	engine() *durable.Engine // the one that lives now
	watch() *durable.Engine  // one that looks on, and outlives all
	after(n int, storm string)
	struck() int // so many storms there were
	pass()       // lets something happen, and opens anew what has gone
	load(id durable.ID) (store.Record, error)
}

// The storms there are, each after a change of the store: the process is killed before it
// learns of the change, or it stops in order and another one goes on.
const (
	calm    = ""
	killed  = "killed"
	stopped = "stopped"
)

func (w *weather[S]) config() durable.Config {
	cfg := serve(append([]durable.Definition{w.flow}, w.others...)...)
	cfg.Lease, cfg.ShutdownGrace = 10*time.Second, -1
	return cfg
}

// gist is what there is to compare of a run.
type gist struct {
	end    string
	facts  []string
	bodies map[string]int
	began  int
}

// everywhere plays the case in calm weather, then again and again with a storm after the
// first, second, third … change of the store. The end, and what is recorded, must be the same
// and as the behaviour wants it; no body is left out, and a storm makes at most width of them
// begin again: so many run at once. Several grounds share the work: each begins at a change of
// its own and goes on in steps.
func (w *weather[S]) everywhere(t *testing.T, g ground, storm string, first, step int) {
	t.Helper()
	want := w.play(t, g, "calm")
	for n := first; !t.Failed(); n += step {
		before := g.struck()
		g.after(n, storm)
		got := w.play(t, g, fmt.Sprint(storm, n))
		struck := g.struck() - before
		for _, bad := range w.compare(got, want, struck) {
			t.Errorf("%s after change %d (%d times): %s", storm, n, struck, bad)
		}
		if struck == 0 {
			if n < first+2*step && n < 3 {
				t.Errorf("it took only %d changes", n)
			}
			t.Logf("%s after each of %d changes", storm, n-1)
			g.after(0, calm)
			return
		}
	}
}

// compare says what is wrong with how a run has ended that so many storms have hit.
func (w *weather[S]) compare(got, want gist, struck int) (bad []string) {
	if extra := got.began - want.began; extra > struck*w.width+w.slack {
		bad = append(bad, fmt.Sprintf("%d bodies too many: %v, want %v", extra, got.bodies, want.bodies))
	}
	if w.loose {
		return bad
	}
	if got.end != want.end {
		bad = append(bad, fmt.Sprintf("it ends with\n%s, want\n%s", got.end, want.end))
	}
	if more, less := without(got.facts, want.facts), without(want.facts, got.facts); len(more)+len(less) > 0 {
		bad = append(bad, fmt.Sprintf("its facts have\n%s\nand lack\n%s\nall are\n%s", strings.Join(more, "\n"), strings.Join(less, "\n"), strings.Join(got.facts, "\n")))
	}
	for name, n := range want.bodies {
		if got.bodies[name] < n-w.slack || got.bodies[name] == 0 {
			bad = append(bad, fmt.Sprintf("%s ran %d times, want at least %d", name, got.bodies[name], n-w.slack))
		}
	}
	return bad
}

// without is what of a is not in b, each as often.
func without(a, b []string) (left []string) {
	b = slices.Clone(b)
	for _, line := range a {
		if i := slices.Index(b, line); i >= 0 {
			b = slices.Delete(b, i, i+1)
			continue
		}
		left = append(left, line)
	}
	return left
}

// play starts a run, does to it what the cues say, and looks at all of it when it has ended.
func (w *weather[S]) play(t *testing.T, g ground, key string) (o gist) {
	t.Helper()
	ctx := context.Background()
	w.bodies.reset()
	cues := slices.Clone(w.cues)
	id := durable.ID{}
	var list []kin
	for tries := 0; ; tries++ {
		err := error(nil)
		if id == (durable.ID{}) {
			id, err = w.start(ctx, g, key)
		} else if list = family(ctx, t, g, id); ended(list) {
			break
		} else {
			cues, err = perform(ctx, t, g, list, cues)
		}
		if tries > patience {
			t.Fatalf("%s: it stands still (%v):\n%s", key, err, describe(list))
		}
		g.pass()
	}
	return w.look(ctx, t, g, key, list)
}

// patience is how many passes may go by until a run must have ended.
const patience = 2_000

func (w *weather[S]) start(ctx context.Context, g ground, key string) (durable.ID, error) {
	run, err := w.flow.Start(ctx, g.engine(), w.in, durable.Key(key))
	if err != nil {
		return durable.ID{}, err
	}
	return run.ID, nil
}

// look checks an ended run and says what there is to compare.
func (w *weather[S]) look(ctx context.Context, t *testing.T, g ground, key string, list []kin) (o gist) {
	t.Helper()
	top := list[0].ID
	state, err := w.flow.Attach(g.watch(), top).Wait(ctx)
	if bad := w.end(state, err); bad != nil {
		t.Errorf("%s: %v", key, bad)
	}
	raw, jerr := json.Marshal(state)
	if jerr != nil {
		t.Fatal(jerr)
	}
	o.end = strings.ReplaceAll(fmt.Sprintf("%s %v", raw, err), top.String(), "RUN")
	var names []string
	for _, k := range list {
		names = append(names, k.ID.String(), "ID of "+k.Workflow)
	}
	named := strings.NewReplacer(names...)
	for i, k := range list {
		x, err := g.watch().Execution(ctx, k.ID, durable.WithSteps)
		rec, lerr := g.load(k.ID)
		if err != nil || lerr != nil {
			t.Fatal(err, lerr)
		}
		list[i] = kin{x, story(settled(factsOf(t, rec)))}
		for _, line := range list[i].facts {
			o.facts = append(o.facts, named.Replace(fmt.Sprint(k.Workflow, " ", k.Status, ": ", line)))
		}
	}
	slices.Sort(o.facts) // lanes and children come in any order
	if w.tree != nil {
		if bad := w.tree(g.watch(), list); bad != nil {
			t.Errorf("%s: %v; the tree is\n%s", key, bad, describe(list))
		}
	}
	o.bodies = map[string]int{}
	for _, name := range w.bodies.all() {
		o.bodies[name]++
		o.began++
	}
	return o
}

// family is a run and all that it has called, and they.
func family(ctx context.Context, t *testing.T, g ground, id durable.ID) (list []kin) {
	t.Helper()
	x, err := g.watch().Execution(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	list = []kin{{Execution: x}}
	for i := 0; i < len(list); i++ {
		page, err := g.watch().Executions(ctx, durable.Filter{Parent: list[i].ID, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Executions {
			list = append(list, kin{Execution: c})
		}
	}
	return list
}

func ended(list []kin) bool {
	return !slices.ContainsFunc(list, func(k kin) bool { return !k.Status.Ended() })
}

func describe(list []kin) string {
	var b strings.Builder
	for _, k := range list {
		fmt.Fprintf(&b, "%s %s is %s, due %s, %v\n  %s\n", k.Workflow, k.ID, k.Status, k.Due, k.Error, strings.Join(k.facts, "\n  "))
	}
	return b.String()
}

// cue is what somebody does once the waits of these names are open in a run or below it, and
// each of them as often.
type cue struct {
	when []string
	do   func(ctx context.Context, e *durable.Engine, top durable.ID, first ask) error
	// for one wait only, as its answer: who asks in vain goes on with that wait.
	wait string
}

// ask is an open wait, and whose.
type ask struct {
	durable.OpenWait
	run durable.ID
}

// answer gives an answer to an open question.
func answer(name string, value any) cue {
	return cue{when: []string{name}, do: func(ctx context.Context, e *durable.Engine, _ durable.ID, a ask) error {
		return e.ProvideInput(ctx, a.run, a.ID, value)
	}}
}

// send sends an event to who waits for it.
func send(name string, value any) cue {
	return cue{when: []string{name}, do: func(ctx context.Context, e *durable.Engine, _ durable.ID, a ask) error {
		return e.SendEvent(ctx, a.run, name, value, durable.EventID("cue:"+a.ID+name))
	}}
}

// once is a cue for a moment at which these waits are open, too.
func (c cue) once(also ...string) cue {
	c.when = append(also, c.when...)
	return c
}

// cancel ends the run on top.
func cancel(when []string, opts ...durable.ActOption) cue {
	return cue{when: when, do: func(ctx context.Context, e *durable.Engine, top durable.ID, _ ask) error {
		return e.Cancel(ctx, top, "not wanted", opts...)
	}}
}

// perform does what is due, and returns the cues that are left. An error means: look again.
func perform(ctx context.Context, t *testing.T, g ground, list []kin, cues []cue) (left []cue, err error) {
	t.Helper()
	if len(cues) == 0 {
		return nil, nil
	}
	open := map[string][]ask{}
	for _, k := range list {
		if k.Status.Ended() {
			continue
		}
		waits, err := g.watch().OpenWaits(ctx, k.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range waits {
			for _, name := range namesOf(o) {
				open[name] = append(open[name], ask{o, k.ID})
			}
		}
	}
	for i, c := range cues {
		done := false
		if c, done, err = c.perform(ctx, g.engine(), list[0].ID, open); err != nil {
			return append(append(left, c), cues[i+1:]...), err
		} else if !done {
			left = append(left, c)
		}
	}
	return left, nil
}

func namesOf(o durable.OpenWait) (names []string) {
	for _, x := range o.Events {
		if !x.Arrived {
			names = append(names, x.Name)
		}
	}
	if len(o.Events) > 0 {
		return names
	}
	return []string{cmp.Or(o.Name, o.Kind)}
}

func (c cue) perform(ctx context.Context, e *durable.Engine, top durable.ID, open map[string][]ask) (next cue, done bool, err error) {
	have := maps.Clone(open)
	first := &ask{}
	for _, name := range c.when {
		if len(have[name]) == 0 {
			return c, c.wait != "", nil // what was asked in vain has come all the same
		}
		first, have[name] = &have[name][0], have[name][1:]
	}
	if c.wait != "" && c.wait != first.ID {
		return c, true, nil
	}
	err = c.do(ctx, e, top, *first)
	if errors.Is(err, durable.ErrNoSuchWait) || errors.Is(err, durable.ErrRunDone) || errors.Is(err, durable.ErrCompensating) {
		err = nil // it was done before, and nobody was told
	}
	if err != nil {
		c.wait = first.ID
	}
	return c, err == nil, err
}

// settled is a journal without what depends on who of a family was first: whether a child had
// ended when it was asked for, how many orders to go back were in a write, and whether an order
// and the notice before it were read together.
func settled(facts []journal.Fact) (list []journal.Fact) {
	cancelled := false
	for _, f := range facts {
		awaits := strings.HasPrefix(f.Call, "await:") || strings.HasPrefix(f.Call, "call:")
		switch {
		case f.Kind == journal.Recalling, f.Kind == journal.Recalled, f.Kind == journal.Waited && awaits, f.Kind == journal.Cancelled && cancelled:
			continue
		case f.Kind == journal.Called && awaits:
			f.Kind, f.Data = journal.Received, nil
		}
		cancelled = cancelled || f.Kind == journal.Cancelled
		list = append(list, f)
	}
	return list
}

// factsOf is the journal of a record.
func factsOf(t *testing.T, rec store.Record) (list []journal.Fact) {
	t.Helper()
	for _, row := range rec.Rows {
		facts, err := journal.Decode(row.Body)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, facts...)
	}
	return list
}

// wantEnd says what is wrong with the end of a run that does not complete.
func wantEnd(err error, status durable.Status, code, path string) error {
	var end *durable.RunError
	if !errors.As(err, &end) || end.Status != status || end.Cause == nil || end.Cause.Code != code || end.Cause.Path != path {
		return fmt.Errorf("it ended with %w, want %s with code %q at %q", err, status, code, path)
	}
	return nil
}

// wantStatuses says what is wrong with the ends of a tree, in any order.
func wantStatuses(list []kin, want ...string) error {
	var got []string
	for _, k := range list {
		got = append(got, fmt.Sprint(k.Workflow, " ", k.Status))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("they ended as %q, want %q", got, want)
	}
	return nil
}
