package durable

import (
	"context"
	"fmt"
	"reflect"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// LoopNode runs its body while a question is answered with true.
type LoopNode[S any] struct {
	n     *tree.Node
	while func(*S) bool
	nodes []Node[S]
}

// Loop asks while before each pass and records the answer; every step of every
// pass is stored. Paths carry the number of the pass, from 0: agent[2]/tool.
// More than Max passes (1,000 unless said otherwise) fail the run with code
// loop_limit: half-done work is never taken as done.
func Loop[S any](name string, while func(s *S) bool, nodes ...Node[S]) *LoopNode[S] {
	l := &LoopNode[S]{n: &tree.Node{Kind: tree.Loop, Name: name}, while: while, nodes: nodes}
	if while == nil {
		l.n.Mistakes = append(l.n.Mistakes, "the function is nil")
	}
	return l
}

// Max is how many passes the loop may run.
func (l *LoopNode[S]) Max(n int) *LoopNode[S] {
	if n < 1 {
		l.n.Mistakes = append(l.n.Mistakes, fmt.Sprintf("Max is %d; give at least 1", n))
	}
	l.n.Max = n
	return l
}

func (l *LoopNode[S]) build(c *codes, _ *S) *tree.Node {
	n := placed(l.n)
	n.Body = build(c, n, l.nodes)
	plain := shapeOf(reflect.TypeFor[S]()).plain
	c.question[n] = func(_ context.Context, raw []byte, q *plan.Question) run.Answered {
		var s S
		if err := decode(raw, &s, plain); err != nil {
			return run.Answered{Block: (&stateError{err}).Error()}
		}
		a := &journal.Answer{Way: journal.WayLeave, Pass: q.Pass}
		if l.while(&s) {
			a.Way = journal.WayAgain
		}
		return run.Answered{Answer: a}
	}
	return n
}
