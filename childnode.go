package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// ChildNode runs a workflow as a child.
type ChildNode[S, C any] struct {
	waitNode[S]
	workflow *Workflow[C]
	timed    bool
	timeout  time.Duration
	has      bool
	value    C
	opts     []CallOption
}

// childUse is a workflow that a node runs, and how it is to begin.
type childUse struct {
	workflow Definition
	with     startOptions
}

// Child is a node that runs a workflow as a child and takes its last state into
// the state: in says with what it begins. It is the same as a step with Call in it, but no body
// waits, and graphs show it. A child that does not complete fails the run with code child.
func Child[S, C any](name string, workflow *Workflow[C], in func(s *S) C, out func(s *S, c C)) *ChildNode[S, C] {
	n := &ChildNode[S, C]{waitNode: newWaitNode[S](tree.Child, name), workflow: workflow}
	if workflow == nil {
		n.mistake("the workflow is nil")
		return n
	}
	if in == nil || out == nil {
		n.mistake("a function is nil")
	}
	n.opens = func(ctx context.Context, s *S, limit int) (*run.CallRequest, error) {
		key := "call:" + workflow.Name() + "#1"
		a := askingOf(ctx)
		o, err := calling(forChild, n.opts)
		if err != nil {
			return nil, fmt.Errorf("call %s: With: %w", workflow.Name(), err)
		}
		begin, err := a.engine.child(a.visit, workflow.definition(), in(s), key, o)
		if err != nil {
			return nil, fmt.Errorf("call %s: %w", workflow.Name(), err)
		}
		req := &run.CallRequest{
			Key: key, Child: begin, Timed: n.timed, For: n.timeout,
			Wait: &journal.Wait{Kind: "call", Name: workflow.Name(), Topic: store.ChildTopic(begin.ID)},
		}
		return req, withDefault(req.Wait, n.has, n.value, limit)
	}
	n.fits = func(call string) string {
		began, _, _ := strings.Cut(strings.TrimPrefix(call, "call:"), "#")
		if began == workflow.Name() {
			return ""
		}
		return fmt.Sprintf("the child that was begun here is of workflow %q, and the node %q of this code takes the state of %q; deploy code that runs %q here",
			began, name, workflow.Name(), began)
	}
	n.ends = func(s *S, c *journal.Call) error {
		state, what := c.Data, "the value of OnTimeout, as it was when the child began"
		if c.State != journal.TimedOut {
			var r run.ChildReport
			if err := json.Unmarshal(c.Data, &r); err != nil {
				return fmt.Errorf("the report of the child cannot be read: %w", err)
			}
			state, what = r.State, "the state of the child"
		}
		var v C
		if err := decode(state, &v, false); err != nil {
			return &stateError{fmt.Errorf("%s: %w", what, err)}
		}
		out(s, v)
		return nil
	}
	return n
}

// Timeout cancels the child d after the node was reached: the run fails with code
// wait_timeout, or goes on with the value of OnTimeout.
func (n *ChildNode[S, C]) Timeout(d time.Duration) *ChildNode[S, C] {
	n.timed, n.timeout = true, d
	return n
}

// OnTimeout is what stands in for the child's last state when it times out. It is kept with the wait: each run
// takes a copy, as it was when its child began.
func (n *ChildNode[S, C]) OnTimeout(v C) *ChildNode[S, C] {
	n.has, n.value = true, v
	return n
}

// With changes how the child begins: Tags, Priority, InQueue, At. What no child can begin with is
// refused by Open.
func (n *ChildNode[S, C]) With(opts ...StartOption) *ChildNode[S, C] {
	for _, opt := range opts {
		n.opts = append(n.opts, opt)
	}
	return n
}

// When is asked once, before the child begins; false passes the node by.
func (n *ChildNode[S, C]) When(fn func(s *S) bool) *ChildNode[S, C] {
	n.only(fn)
	return n
}

func (n *ChildNode[S, C]) build(c *codes, s *S) *tree.Node {
	t := n.waitNode.build(c, s)
	if n.has && !n.timed {
		t.Mistakes = append(t.Mistakes, "OnTimeout without Timeout never happens; give both")
	}
	o, err := calling(forChild, n.opts)
	if err != nil {
		t.Mistakes = append(t.Mistakes, "With: "+err.Error())
	}
	if n.workflow != nil {
		c.children[t] = childUse{n.workflow, o.start}
		t.Reads = n.workflow.Name() + " " + signature(reflect.TypeFor[C]())
	}
	return t
}
