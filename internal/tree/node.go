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
	}
	return "unknown"
}

// Node is one place of a definition. Which fields count depends on Kind.
type Node struct {
	Kind Kind
	Name string // unique among siblings; "" only for the root
	// Place is the static path: names and case keys, no pass numbers. Define
	// fills it; it identifies the node within its workflow.
	Place string

	Body []*Node // Sequence, Loop: in order

	// Step.
	Queue      string        // "" = the run's queue
	Retry      *Retry        // nil = one attempt
	Timeout    time.Duration // of one run of the body; 0 = DefaultTimeout, < 0 = none
	AtMostOnce bool
	Reconciles bool // has a function that asks the outside what happened

	// Branch.
	Cases   []Case
	Default []*Node
	Else    bool // Default was given, perhaps empty

	// Loop.
	Max int // passes; 0 = DefaultLoopMax

	// Mistakes found while the node was built, reported by Check with its path.
	Mistakes []string
}

// Case is one way of a branch.
type Case struct {
	Key  string // the written form of the case's key
	Body []*Node
}

// Limits of definitions, with the defaults that apply when nothing is said.
const (
	DefaultTimeout = 10 * time.Minute // a body that hangs must not hold its slot for ever
	DefaultLoopMax = 1000             // a loop that never ends must end somewhere
	MaxNesting     = 32               // deeper trees are mistakes, and recursion stays bounded
	MaxName        = 200              // bytes of a name, key or tag
)

// Workflow is a named, versioned tree.
type Workflow struct {
	Name    string
	Version string
	Queue   string // "" = "default"
	Root    *Node  // a Sequence without a name
}
