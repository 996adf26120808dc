package durable

import (
	"context"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// Choice is where a decision goes: Next, or Goto a node beside it.
type Choice struct {
	jump   bool
	target string
}

// Next is the choice to go on with what follows the decision, and the zero Choice.
var Next = Choice{} // lint:var a constant of a struct type

// Goto is the choice to go on at the node with that name beside the decision: in the
// same sequence, case, lane, item or pass. Forwards, the nodes in between are passed
// over. Backwards, the target and all that follows run again, as new visits with fresh
// attempts, up to 1,000 times in a sequence; then the run fails with code loop_limit.
func Goto(node string) Choice { return Choice{jump: true, target: node} }

// DecisionNode is a step that says where to go on.
type DecisionNode[S any] struct{ step *StepNode[S] }

// Decision is a step that also chooses what comes next. Like a step it may change the
// state, make durable calls, retry and time out; a choice is recorded and never taken
// again. A target that is not beside it fails the run with code decision.
func Decision[S any](name string, fn func(ctx context.Context, s *S) (Choice, error)) *DecisionNode[S] {
	body := func(ctx context.Context, s *S) error {
		c, err := fn(ctx, s)
		a := &journal.Answer{Way: journal.WayNext}
		if c.jump {
			a = &journal.Answer{Way: journal.WayGoto, Case: c.target}
		}
		bodyOf(ctx).choice = a
		return err
	}
	d := &DecisionNode[S]{step: Step(name, body)}
	d.step.n.Kind = tree.Decision
	if fn == nil {
		d.step.mistake("the function is nil")
	}
	return d
}

// To declares where the decision may go. Names that are not beside it are refused by
// Open, and a Goto elsewhere fails the run. Without To any node beside it may follow.
func (d *DecisionNode[S]) To(nodes ...string) *DecisionNode[S] {
	d.step.n.Targets = append(d.step.n.Targets, nodes...)
	return d
}

// Retry sets the policy for failed attempts: see StepNode.Retry.
func (d *DecisionNode[S]) Retry(r Retry) *DecisionNode[S] {
	d.step.Retry(r)
	return d
}

// Timeout is how long one run of the function may take: see StepNode.Timeout.
func (d *DecisionNode[S]) Timeout(t time.Duration) *DecisionNode[S] {
	d.step.Timeout(t)
	return d
}

// Queue names the queue whose slots the decision uses.
func (d *DecisionNode[S]) Queue(name string) *DecisionNode[S] {
	d.step.Queue(name)
	return d
}

func (d *DecisionNode[S]) build(c *codes, s *S) *tree.Node { return d.step.build(c, s) }
