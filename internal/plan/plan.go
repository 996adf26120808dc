// Package plan derives from a definition and a history what should be running
// or awaited now. Eval is a pure function: no clock, no store, no user code.
// The same tree and history always give the same plan, so there are no
// commands to lose or to send twice: package run makes what runs equal to it.
package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// Plan is what should be so now.
type Plan struct {
	Outcome   Outcome
	Err       *journal.Error // Failed: why. Blocked: which place is missing
	Bodies    []Body         // should be running, now or from Until on
	Questions []Question     // user code to be asked before anything else can go on
	Waits     []Wait         // open, in the order of their opening: first come, first served
	Spreads   []Spread       // items that are executions of their own, some of them open
	Kin       []Kin          // children that go back with the run
	Opens     []Wait         // should be opened: the engine's own questions to people
	Facts     []journal.Fact // follow from what is recorded, without asking anybody
	Closes    []journal.Fact // end a lane or item, once nothing of it runs any more
}

// Outcome is how the run as a whole stands.
type Outcome uint8

// The outcomes.
const (
	Going Outcome = iota
	Completed
	Failed
	Cancelled
	Blocked // the code has no place for where the run stands

	Turning            // nothing of it is to run any more, then it goes back: Err says why
	Compensated        // it went back, and all is undone
	CompensationFailed // it went back, and not all could be undone
)

// Body is a place where user code should run.
type Body struct {
	Path  string
	Node  *tree.Node
	Place *journal.Place // what happened there; nil if nothing yet
	Mode  Mode
}

// Mode is which function of the node should run.
type Mode uint8

// The modes.
const (
	Run       Mode = iota // the step itself
	Reconcile             // ask the outside what became of a body that was cut off
	Undo                  // the step's compensation
)

// Until is when the body may begin, in microseconds since 1970; 0 is at once.
func (b Body) Until() int64 {
	if b.Place == nil {
		return 0
	}
	return b.Place.Until
}

// Question is a question to user code. Its answer is recorded and decides for
// ever.
type Question struct {
	Path    string
	Node    *tree.Node
	Pass    int           // Loop: the pass that would begin
	InDoubt []byte        // Step: what a person said became of the body
	Join    bool          // Parallel, Each: what do these outcomes come to?
	Ways    []Way         // Join: how the lanes or items ended
	Ended   *journal.Call // a wait: how it ended, and what does that come to?
	Call    string        // Ended: its key
	Limit   int           // bytes of a state or item
	Spread  *Items        // a spread Each whose list is recorded: which items are to begin or, with Join, all
}

// Way is how a lane or item ended.
type Way struct {
	Name  string // of a lane
	State []byte
	Err   *journal.Error // it failed
}

// Wait is a wait at a place.
type Wait struct {
	Path string
	Call string
	Wait *journal.Wait

	opened int // order of opening, over all places
}

// At is the wait as the history has it.
func (w Wait) At() journal.CallAt { return journal.CallAt{Path: w.Path, Call: w.Call, Wait: w.Wait} }

// Eval returns the plan.
func Eval(w *tree.Workflow, h *journal.History) Plan {
	e := eval{hist: h}
	switch {
	case h.Back != nil:
		return e.back(w)
	case h.Cancel != nil && h.Cancel.Undo:
		return Plan{Outcome: Turning, Err: h.Cancel.Err}
	case h.Cancel != nil:
		return Plan{Outcome: Cancelled, Err: h.Cancel.Err}
	case h.Recall != nil && h.Recall.Undo:
		return Plan{Outcome: Turning, Err: h.Recall.Err}
	case h.Late != nil && h.Undoable():
		return Plan{Outcome: Turning, Err: h.Late}
	case h.Late != nil:
		return Plan{Outcome: Failed, Err: h.Late}
	}
	switch e.sequence("", w.Root.Body, h.Root) {
	case finished:
		e.plan.Outcome = Completed
	case failed:
		e.plan = Plan{Outcome: Failed, Err: e.plan.Err}
		if h.Undoable() {
			e.plan.Outcome = Turning
		}
	case missing:
		e.plan = Plan{Outcome: Blocked, Err: e.plan.Err}
	}
	slices.SortStableFunc(e.plan.Waits, func(a, b Wait) int { return cmp.Compare(a.opened, b.opened) })
	return e.plan
}

type eval struct {
	plan     Plan
	hist     *journal.History
	failedAt int // failed: which of the run's failures plan.Err is
}

// state is how a node stands.
type state uint8

const (
	open     state = iota // something of it is in the plan
	finished              // what follows may begin
	failed                // ended for good with plan.Err
	missing               // the code lacks the place; plan.Err says which
)

// node evaluates one node. parent is the place of the sequence it is in, which is at the
// path under.
func (e *eval) node(n *tree.Node, under string, parent *journal.Place) state {
	p := child(parent, n.Name)
	path := p.Path()
	if path == "" {
		path = n.Under(under)
	}
	if p != nil {
		switch {
		case p.Failed:
			e.plan.Err, e.failedAt = p.LastErr, p.FailedSeq
			return failed
		case p.Done, p.Answer != nil && passedBy(p.Answer.Way):
			return finished
		}
		if kind := recorded(p); kind != 0 && kind != n.Kind && !(kind == tree.Step && n.Kind == tree.Decision) {
			return e.missing(path, fmt.Sprintf(
				"the run stands at %q, which was a %s when it began and is a %s in this code; deploy code that has it as a %s", path, kind, n.Kind, kind))
		}
	}
	switch n.Kind {
	case tree.Step, tree.Decision:
		return e.step(n, path, p)
	case tree.Sequence:
		return e.sequence(path, n.Body, p)
	case tree.Branch:
		return e.branch(n, path, parent, p)
	case tree.Loop:
		return e.loop(n, path, parent, p)
	case tree.Parallel:
		return e.parallel(n, path, parent, p)
	case tree.Each:
		return e.each(n, path, parent, p)
	case tree.Input, tree.Event, tree.Pause, tree.Child:
		return e.wait(n, path, p)
	}
	panic("plan: unknown kind " + n.Kind.String())
}

// recorded is the kind of node that p was when something happened there, 0 if
// what happened does not tell. A deploy may have given its name to another.
func recorded(p *journal.Place) tree.Kind {
	switch {
	case p.Attempt > 0:
		return tree.Step
	case p.Answer != nil:
		return asked(p.Answer.Way)
	case len(p.Calls) > 0:
		return waited(p.Calls)
	case p.Newest != "":
		return tree.Sequence
	}
	return 0
}

// asked is the kind of node whose question has such an answer.
func asked(w journal.Way) tree.Kind {
	switch w {
	case journal.WayAgain:
		return tree.Loop
	case journal.WayLanes:
		return tree.Parallel
	case journal.WayItems:
		return tree.Each
	}
	return tree.Branch
}

// passedBy tells whether an answer leads past its node.
func passedBy(w journal.Way) bool {
	return w == journal.WayNone || w == journal.WayLeave || w == journal.WaySkip
}

func (e *eval) missing(path, text string) state {
	e.plan.Err = &journal.Error{Code: "blocked", Path: path, Message: text}
	return missing
}

// child is the place of an element under p, nil if nothing happened there.
func child(p *journal.Place, element string) *journal.Place {
	if p == nil {
		return nil
	}
	return p.Child(element)
}
