// Package tree holds workflow definitions as plain data: nodes, their paths,
// the static checks and the fingerprint. It knows nothing of functions, state
// or time. Package durable builds trees, package plan walks them.
package tree

import "time"

// Kind is what a node is.
type Kind uint8

// The kinds. Each has one file here, one in plan and one in package durable.
const (
	Step Kind = iota + 1
	Sequence
	Branch
	Loop
	Parallel
	Each
	Decision
	Input
	Event
	Pause
	Child
)

func (k Kind) String() string {
	switch k {
	case Step:
		return "step"
	case Sequence:
		return "sequence"
	case Branch:
		return "branch"
	case Loop:
		return "loop"
	case Parallel:
		return "parallel"
	case Each:
		return "each"
	case Decision:
		return "decision"
	case Input:
		return "input"
	case Event:
		return "event"
	case Pause:
		return "pause"
	case Child:
		return "child"
	}
	return "unknown"
}

// Waits tells whether nodes of this kind wait instead of running a body.
func (k Kind) Waits() bool { return k >= Input && k <= Child }

// Acts tells whether nodes of this kind have a body that is tried.
func (k Kind) Acts() bool { return k == Step || k == Decision }

// Node is one place of a definition. Which fields count depends on Kind.
type Node struct {
	Kind Kind
	Name string // unique among siblings; "" only for the root
	// Place is the static path: names and case keys, no pass numbers. Define
	// fills it; it identifies the node within its workflow.
	Place string

	Body []*Node // Sequence, Loop, Each: in order

	// Step, Decision.
	Queue      string        // "" = the run's queue
	Retry      *Retry        // nil = one attempt
	Timeout    time.Duration // of one run of the body; 0 = DefaultTimeout, < 0 = none
	AtMostOnce bool
	Reconciles bool // has a function that asks the outside what happened

	// Step.
	Undo *Retry // has a function that undoes it, with this policy; nil: none

	// Branch; Parallel: the lanes.
	Cases   []Case
	Default []*Node
	Else    bool // Default was given, perhaps empty

	// Loop.
	Max int // passes; 0 = DefaultLoopMax

	// Parallel, Each.
	Settle      bool // a failure cancels no neighbours; Joins gets every outcome
	Joins       bool // has a function that takes the outcomes
	Concurrency int  // Each: items begun and not ended at once; 0 = no limit, or SpreadAhead
	Spread      bool // Each: items are executions of their own

	// Decision.
	Targets []string // declared with To; nil: any sibling

	// Each, Child: what stored data it takes beside the run's state, for the fingerprint.
	Reads string

	// Mistakes found while the node was built, reported by Check with its path.
	Mistakes []string
}

// Case is one way of a branch.
type Case struct {
	Key   string // the written form of the case's key
	Body  []*Node
	Place string // the static path of the way; Define fills it, as for a node
}

// Limits of definitions, with the defaults that apply when nothing is said.
const (
	DefaultTimeout = 10 * time.Minute // a body that hangs must not hold its slot for ever
	DefaultLoopMax = 1000             // a loop that never ends must end somewhere
	MaxNesting     = 32               // deeper trees are mistakes, and recursion stays bounded
	MaxJumps       = 1000             // backward jumps of one sequence
	MaxItems       = 1000             // items of an Each within one run
	MaxSpread      = 100_000          // items of a spread Each
	SpreadAhead    = 1000             // spread items begun and not ended at once, if nothing is said
	MaxSpreadAhead = 10_000           // and at most: a failure or cancel tells all of them
	MaxName        = 200              // bytes of a name, key or tag
)

// Workflow is a named, versioned tree.
type Workflow struct {
	Name    string
	Version string
	Queue   string        // "" = "default"
	Timeout time.Duration // of a run; 0 = none
	Root    *Node         // a Sequence without a name
}
