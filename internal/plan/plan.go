// Package plan derives from a definition and a history what should be running
// or awaited now. Eval is a pure function: no clock, no store, no user code.
// The same tree and history always give the same plan, so there are no
// commands to lose or to send twice: package run makes what runs equal to it.
package plan

import (
	"fmt"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// Plan is what should be so now.
type Plan struct {
	Outcome   Outcome
	Err       *journal.Error // Failed: why. Blocked: which place is missing
	Bodies    []Body         // should be running, now or from Until on
	Questions []Question     // user code to be asked before anything else can go on
	Waits     []Wait         // open
	Opens     []Wait         // should be opened: the engine's own questions to people
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
	Pass    int    // Loop: the pass that would begin
	InDoubt []byte // Step: what a person said became of the body
}

// Wait is a wait at a place.
type Wait struct {
	Path string
	Call string
	Wait *journal.Wait
}

// Eval returns the plan.
func Eval(w *tree.Workflow, h *journal.History) Plan {
	var e eval
	if h.Cancel != nil {
		return Plan{Outcome: Cancelled, Err: h.Cancel.Err}
	}
	switch e.sequence("", w.Root.Body, h.Root) {
	case finished:
		e.plan.Outcome = Completed
	case failed:
		e.plan = Plan{Outcome: Failed, Err: e.plan.Err}
	case missing:
		e.plan = Plan{Outcome: Blocked, Err: e.plan.Err}
	}
	return e.plan
}

type eval struct{ plan Plan }

// state is how a node stands.
type state uint8

const (
	open     state = iota // something of it is in the plan
	finished              // what follows may begin
	failed                // ended for good with plan.Err
	missing               // the code lacks the place; plan.Err says which
)

// node evaluates one node. parent is the place of the sequence it is in.
func (e *eval) node(n *tree.Node, path string, parent *journal.Place) state {
	p := child(parent, n.Name)
	if p != nil {
		switch kind := recorded(p); {
		case p.Failed:
			e.plan.Err = p.LastErr
			return failed
		case p.Done, p.Answer != nil && (p.Answer.Way == journal.WayNone || p.Answer.Way == journal.WayLeave):
			return finished
		case kind != 0 && kind != n.Kind:
			return e.missing(path, fmt.Sprintf(
				"the run stands at %q, which was a %s when it began and is a %s in this code; deploy code that has it as a %s", path, kind, n.Kind, kind))
		}
	}
	switch n.Kind {
	case tree.Step:
		return e.step(n, path, p)
	case tree.Sequence:
		return e.sequence(path, n.Body, p)
	case tree.Branch:
		return e.branch(n, path, parent, p)
	case tree.Loop:
		return e.loop(n, path, parent, p)
	}
	panic("plan: unknown kind " + n.Kind.String())
}

// recorded is the kind of node that p was when something happened there, 0 if
// what happened does not tell. A deploy may have given its name to another.
func recorded(p *journal.Place) tree.Kind {
	switch {
	case p.Attempt > 0:
		return tree.Step
	case p.Answer != nil && p.Answer.Way == journal.WayAgain:
		return tree.Loop
	case p.Answer != nil:
		return tree.Branch
	case p.Newest != "":
		return tree.Sequence
	}
	return 0
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
	return p.Children[element]
}
