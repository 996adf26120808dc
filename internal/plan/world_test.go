package plan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// engine is what the tests examine. Mutants replace a part of it.
type engine struct {
	eval    func(*tree.Workflow, *journal.History) plan.Plan
	judge   func(b plan.Body, end plan.Ending, now int64, draw float64) journal.Fact
	crash   func(b plan.Body, now int64, draw float64) journal.Fact
	decide  func(w *tree.Workflow, h *journal.History, n *tree.Node, f *journal.Fact)
	restore func([]byte) (*journal.History, error)
	apply   func(h *journal.History, r journal.Row) error
}

func genuine() engine {
	return engine{plan.Eval, plan.Judge, plan.JudgeCrash, plan.Decide, journal.Restore, (*journal.History).Apply}
}

// limits bound how much may go wrong in one run, and how long it may get.
type limits struct {
	fail, final, snooze, wait, do, crash, stop, cancel int
	late                                               int // reports of bodies that did not crash, after all
	twice                                              int // two bodies fail before anybody looks
	passes, items                                      int
	jumps                                              int // backwards
	lost                                               int // gotos to nowhere
	skip                                               int // wait nodes that are passed by, or fail
}

// world drives one run: it gives the planner one legal fact after another, as
// the engine would, and compares each plan with the model's.
type world struct {
	engine
	limits
	w      *tree.Workflow
	h      *journal.History
	m      *model
	rows   []journal.Row
	tick   int64
	now    int64
	epoch  int64
	cuts   []cut          // crashes that may turn out to be none
	shares bool           // explore: places are those of other branches, too
	owners int            // explore: one in so many histories is given to a new owner
	visits map[string]int // which visit has this path and generation; copied to be changed
	seen   map[string]bool
	room   *[]byte // for keys
}

type cut struct {
	path  string
	epoch int64
}

func newWorld(e engine, l limits, w *tree.Workflow) (*world, error) {
	x := &world{
		engine: e, limits: l, w: w, h: journal.NewHistory(), m: newModel(w), epoch: 1, tick: 1000, owners: 1, room: new([]byte),
		seen: make(map[string]bool), visits: make(map[string]int),
	}
	return x, x.add(journal.Fact{Kind: journal.Began, Data: []byte(`{}`)})
}

// branch is x before one of several things happens to it: what is written is its own. Places are copied when a fact is about
// to change them. Rows are shared: branches grow one after the other, and none looks beyond its own.
func (x *world) branch() world {
	c, h := *x, *x.h
	c.m, c.h, c.cuts = x.m.clone(), &h, slices.Clip(x.cuts)
	return c
}

// copied is a copy of a place, and of those on the way to a path and below it; of a lane or an item also that of its node. It shares the others.
func copied(p *journal.Place, path string) *journal.Place {
	c := *p
	c.Crashed, c.Calls = slices.Clone(p.Crashed), maps.Clone(p.Calls)
	if p.Ways != nil {
		w := *p.Ways
		c.Ways = &w
	}
	c.Clear()
	element, rest, _ := strings.Cut(path, "/")
	node, _, _ := strings.Cut(element, "[")
	for name, x := range p.Children() {
		switch {
		case path == "" || name == element:
			x = copied(x, rest)
		case name == node:
			x = copied(x, "[")
		}
		c.Put(name, x)
	}
	return &c
}

// add folds a fact as a row of its own.
func (x *world) add(f journal.Fact) error {
	x.now += x.tick
	f.At = x.now
	r := journal.Row{Seq: x.h.Length + 1, Epoch: x.epoch, Facts: []journal.Fact{f}}
	x.rows = append(x.rows, r)
	x.seen[f.Kind.String()+whys(f.Why)] = true
	if x.shares {
		x.h.Root = copied(x.h.Root, f.Path)
	}
	if err := x.apply(x.h, r); err != nil {
		return x.wrong("folding: %v", err)
	}
	return nil
}

func (x *world) wrong(format string, args ...any) error {
	var facts []string
	for _, r := range x.rows {
		for _, f := range r.Facts {
			facts = append(facts, "\t"+spelled(f))
		}
	}
	return fmt.Errorf("%s\ntree %s\nfacts\n%s", fmt.Sprintf(format, args...), sketch(x.w.Root.Body), strings.Join(facts, "\n"))
}

// reload derives the history anew, as a new owner does: from bytes, by way of
// a snapshot after row n. Whatever it derives must be what was there.
func (x *world) reload(n int) error {
	h := journal.NewHistory()
	for i, r := range x.rows {
		if i == n {
			restored, err := x.restore(h.Snapshot())
			if err != nil {
				return x.wrong("restoring: %v", err)
			}
			h = restored
		}
		facts, err := journal.Decode(journal.Encode(r.Facts))
		if err != nil {
			return x.wrong("decoding: %v", err)
		}
		if err := x.apply(h, journal.Row{Seq: r.Seq, Epoch: r.Epoch, Facts: facts}); err != nil {
			return x.wrong("folding from bytes: %v", err)
		}
	}
	if n == len(x.rows) {
		var err error
		if h, err = x.restore(h.Snapshot()); err != nil {
			return x.wrong("restoring: %v", err)
		}
	}
	if a, b := written(x.eval(x.w, x.h)), written(x.eval(x.w, h)); a != b {
		return x.wrong("the plan was\n%s\nand from bytes, with a snapshot after row %d, it is\n%s", a, n, b)
	}
	if !bytes.Equal(x.h.Snapshot(), h.Snapshot()) {
		return x.wrong("from bytes, with a snapshot after row %d, the history differs:\n%s", n, cmp.Diff(x.h, h, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(journal.Ways{}, journal.Place{})))
	}
	x.h = h
	return nil
}

// check compares the plan and the states with the model's.
func (x *world) check() (plan.Plan, error) {
	p := x.eval(x.w, x.h)
	n := len(p.Bodies) + len(p.Questions) + len(p.Waits) + len(p.Opens) + len(p.Facts) + len(p.Closes)
	if (p.Outcome == plan.Going) != (n > 0) {
		return p, x.wrong("%d things are planned, and the outcome is %d", n, p.Outcome)
	}
	have, want := strings.Split(written(p), "\n"), x.m.want()
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return p, x.wrong("the plan is\n\t%s\nand should be\n\t%s", strings.Join(have, "\n\t"), strings.Join(want, "\n\t"))
	}
	if have := stateOf(x.h.State); !maps.Equal(have, x.m.state) {
		return p, x.wrong("the state is %v and should be %v", have, x.m.state)
	}
	if x.over() {
		return p, nil
	}
	var err error
	x.m.root.each(x.m.state, func(s *stand, st state) {
		if have := stateOf(x.h.StateAt(s.path)); !maps.Equal(have, st) {
			err = x.wrong("the state at %s is %v and should be %v", s.path, have, st)
		}
		if s.visit == nil {
			return
		}
		calls := make(map[string]string)
		if place := x.h.At(s.path); place != nil {
			for key, c := range place.Calls {
				if c.State != journal.Open && key != journal.InDoubtCall {
					calls[key] = callText(c)
				}
			}
		}
		if s.fail == "" && !maps.Equal(s.visit.calls, calls) {
			err = x.wrong("recorded calls at %s are %v and should be %v", s.path, calls, s.visit.calls)
		}
	})
	return p, err
}

// states are those that were read: there are few, and they are asked for with every history.
var states sync.Map // text to state

// stateOf reads a state: its members as text. Who changes it changes a copy.
func stateOf(raw []byte) state {
	if st, ok := states.Load(string(raw)); ok {
		return st.(state)
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		panic(err)
	}
	st := make(state, len(members))
	for k, v := range members {
		st[k] = fmt.Sprint(v)
	}
	states.Store(string(raw), st)
	return st
}

func callText(c *journal.Call) string {
	switch c.State {
	case journal.Broken:
		return "error"
	case journal.TimedOut:
		return "timeout"
	}
	return string(c.Data)
}

// over tells whether the run has ended.
func (x *world) over() bool {
	_, failed := x.m.root.failure()
	return x.m.end != "" || x.m.root.cur == nil || failed != 0
}

// option is something that may happen now.
type option struct {
	name string
	do   func() error
}

// step lets one thing happen; false means that the run has ended. choose
// returns a number below n.
func (x *world) step(choose func(n int) int) (bool, error) {
	p, err := x.check()
	if err != nil || x.over() {
		return false, err
	}
	opts := x.options(p)
	return true, opts[choose(len(opts))].do()
}

// maker collects options.
type maker struct{ opts []option }

func (k *maker) add(name string, do func() error) { k.opts = append(k.opts, option{name, do}) }

// bounded adds something that may happen only so often.
func (k *maker) bounded(left *int, name string, do func() error) {
	if *left > 0 {
		k.add(name, func() error { *left--; return do() })
	}
}

func (x *world) options(p plan.Plan) []option {
	k := &maker{}
	for _, b := range p.Bodies { // an owner before us began it and died
		if s, _, _ := x.m.root.find(b.Path, x.m.state); s.visit.running && s.visit.epoch != x.epoch {
			return []option{{"crashed", func() error {
				f := x.engine.crash(b, x.now, 0.5)
				x.cuts = append(x.cuts, cut{b.Path, s.visit.epoch})
				x.m.crashed(b.Path, f.Until)
				return x.add(f)
			}}}
		}
	}
	for _, f := range p.Facts {
		x.facts(f, k)
	}
	for _, f := range p.Closes {
		k.add("close", func() error {
			x.m.closed(f.Path)
			return x.add(f)
		})
	}
	for _, q := range p.Questions {
		x.questions(q, k)
	}
	for _, w := range p.Waits {
		x.waits(w, k)
	}
	for _, o := range p.Opens {
		k.add("open", func() error {
			s, _, _ := x.m.at(o.Path)
			s.visit.opened, s.visit.row = true, nil
			return x.add(journal.Fact{Kind: journal.Waited, Path: o.Path, Call: o.Call, Wait: o.Wait})
		})
	}
	for _, b := range p.Bodies {
		x.bodies(b, k)
	}
	if len(x.cuts) > 0 {
		k.bounded(&x.late, "late report", func() error {
			c := x.cuts[len(x.cuts)-1]
			x.cuts = slices.Clip(x.cuts[:len(x.cuts)-1]) // others may have what comes after it
			if x.h.At(c.path) == nil {
				return nil
			}
			x.m.reported(c.path, c.epoch)
			return x.add(journal.Fact{Kind: journal.Handed, Path: c.path, Epoch: c.epoch})
		})
	}
	k.bounded(&x.limits.crash, "crash", func() error {
		x.epoch++
		return x.reload(len(x.rows) / 2)
	})
	k.bounded(&x.cancel, "cancel", func() error {
		x.m.end = "cancelled by_test"
		return x.add(journal.Fact{Kind: journal.Cancelled, Err: &journal.Error{Code: "by_test"}})
	})
	return k.opts
}

// explore lets everything happen that may happen, in every order. What follows
// depends on the history only, so a history that was reached before, in whatever
// order, with the same left to go wrong, is not looked at again. Afterwards x is as it was.
func (x *world) explore(depth int, known map[digest]struct{}) error {
	key := x.key()
	if _, is := known[key]; is {
		return nil
	}
	known[key] = struct{}{}
	p, err := x.check()
	switch {
	case err != nil:
		return err
	case x.over():
		return x.reload(len(x.rows))
	case depth == 0:
		return x.wrong("no end")
	}
	if int(key[0])%x.owners == 0 { // as a new owner finds it
		if x.h, err = x.restore(x.h.Snapshot()); err != nil {
			return x.wrong("restoring: %v", err)
		}
		if p, err = x.check(); err != nil {
			return err
		}
	}
	x.shares = true
	before := *x
	opts := x.options(p)
	for _, o := range opts {
		*x = before.branch()
		if err := o.do(); err != nil {
			return err
		}
		if err := x.explore(depth-1, known); err != nil {
			return err
		}
	}
	if *x = before; x.key() != key {
		return x.wrong("what happened afterwards has changed this history")
	}
	return nil
}
