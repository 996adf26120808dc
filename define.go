package durable

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// Node is one place of a workflow over the state type S: a Step or Decision, a
// Sequence, Branch, Loop, Parallel or Each of them, or one that waits: Pause, Event, Input
// and Child.
type Node[S any] interface {
	// build gives the node's data and registers its functions.
	build(c *codes, s *S) *tree.Node
}

// Workflow is a named, versioned definition over the state type S. Make one
// with Define, once, usually in a package variable.
type Workflow[S any] struct {
	tree  *tree.Workflow
	codes *codes
	state shape
	typ   reflect.Type

	retain time.Duration // 0: for ever
}

// Definition is a Workflow of any state type.
type Definition interface {
	// Name is the workflow's name.
	Name() string
	definition() *definition
}

// definition is a Workflow without its type.
type definition struct {
	tree        *tree.Workflow
	codes       *codes
	state       shape
	typ         reflect.Type
	fingerprint string
	retain      time.Duration
}

// codes holds the functions behind a tree's nodes.
type codes struct {
	steps    map[*tree.Node]*stepCode
	question map[*tree.Node]func(ctx context.Context, state []byte, q *plan.Question) run.Answered
	items    []itemType              // of spread Eachs
	children map[*tree.Node]childUse // that nodes run
}

// itemType is what is known of the items of a spread Each.
type itemType struct {
	n     *tree.Node
	state shape
	typ   reflect.Type
}

// Define declares a workflow. The type of the state follows from the
// functions. Mistakes (two nodes with one name, a nil function, a state that
// JSON cannot carry …) are reported by Open, all at once.
func Define[S any](name string, nodes ...Node[S]) *Workflow[S] {
	w := &Workflow[S]{
		codes: &codes{
			steps:    make(map[*tree.Node]*stepCode),
			question: make(map[*tree.Node]func(context.Context, []byte, *plan.Question) run.Answered),
			children: make(map[*tree.Node]childUse),
		},
		typ: reflect.TypeFor[S](),
	}
	w.state = shapeOf(w.typ)
	root := &tree.Node{Kind: tree.Sequence}
	root.Body = build(w.codes, root, nodes)
	w.tree = tree.Place(&tree.Workflow{Name: name, Root: root})
	return w
}

// build builds nodes into their parent.
func build[S any](c *codes, parent *tree.Node, nodes []Node[S]) []*tree.Node {
	list := make([]*tree.Node, 0, len(nodes))
	for i, n := range nodes {
		if n == nil || reflect.ValueOf(n).IsNil() {
			parent.Mistakes = append(parent.Mistakes, fmt.Sprintf("node %d is nil", i+1))
			continue
		}
		list = append(list, n.build(c, nil))
	}
	return list
}

// Version names this version of the definition. Runs keep the version they
// started with; an engine may have several versions of one workflow. Without
// it the version is "".
func (w *Workflow[S]) Version(v string) *Workflow[S] {
	w.tree.Version = v
	return w
}

// Queue sets the queue of runs of this workflow, for steps that name none.
// The default is "default".
func (w *Workflow[S]) Queue(name string) *Workflow[S] {
	w.tree.Queue = name
	if name == "" {
		w.tree.Root.Mistakes = append(w.tree.Root.Mistakes, "Queue: the name is empty")
	}
	return w
}

// Timeout is how long a run may take, waits included, from the time at which it was to
// begin. Then what runs of it is ended, its waits close, and it fails with code run_timeout; what
// is to be undone is, without a limit of time. Without it a run may take for ever. Runs keep
// the timeout that they started with.
func (w *Workflow[S]) Timeout(d time.Duration) *Workflow[S] {
	w.tree.Timeout = d
	if d <= 0 {
		w.tree.Root.Mistakes = append(w.tree.Root.Mistakes, fmt.Sprintf("Timeout is %s; give a positive time", d))
	}
	return w
}

// Name is the workflow's name.
func (w *Workflow[S]) Name() string { return w.tree.Name }

func (w *Workflow[S]) definition() *definition {
	return &definition{tree: w.tree, codes: w.codes, state: w.state, typ: w.typ, fingerprint: tree.Fingerprint(w.tree) + "-" + signature(w.typ), retain: w.retain}
}
