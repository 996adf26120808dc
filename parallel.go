package durable

import (
	"context"
	"reflect"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// ParallelNode runs lanes side by side.
type ParallelNode[S any] struct {
	n     *tree.Node
	lanes []Node[S]
	merge func(s *S, lanes map[string]Outcome[S]) error
}

// Outcome is how a lane or an item ended: its last state, or its error.
type Outcome[T any] struct {
	Value T     // the last state; of a failed one the state in which it failed
	Err   error // a *Failure; nil if it has ended well
}

// Parallel runs lanes side by side, each on its own copy of the state, and goes
// on when all have ended. A lane is a node, or a Sequence for several; its name is
// the lane's. Lanes may wait, retry, branch and nest; while one waits the others go on.
//
// At the end the fields that lanes changed are merged. Two lanes that changed one
// field to different values, or made one list longer, fail the run with code
// merge_conflict, unless Merge decides.
//
// The first failure ends the other lanes: their contexts end, their waits close, and
// it is the error of the run. See Settle.
func Parallel[S any](name string, lanes ...Node[S]) *ParallelNode[S] {
	return &ParallelNode[S]{n: &tree.Node{Kind: tree.Parallel, Name: name}, lanes: lanes}
}

// Merge decides what the lanes come to. fn gets the state before the block, which it
// changes, and the outcome of each lane by name. It runs once, and should only compute: it
// may be asked again if the process dies before its result is stored. Its error or panic
// fails the run with code merge.
func (p *ParallelNode[S]) Merge(fn func(s *S, lanes map[string]Outcome[S]) error) *ParallelNode[S] {
	if fn == nil {
		p.n.Mistakes = append(p.n.Mistakes, "Merge: the function is nil")
	}
	p.n.Joins, p.merge = true, fn
	return p
}

// Settle lets every lane end, whatever happens to the others. A lane that failed
// fails nothing by itself: Merge, which is then required, sees its error and decides.
func (p *ParallelNode[S]) Settle() *ParallelNode[S] {
	p.n.Settle = true
	return p
}

func (p *ParallelNode[S]) build(c *codes, _ *S) *tree.Node {
	n := placed(p.n)
	for _, lane := range build(c, n, p.lanes) {
		way := tree.Case{Key: lane.Name, Body: []*tree.Node{lane}}
		if m := tree.NameMistake(lane.Name); m != "" {
			n.Mistakes = append(n.Mistakes, "a lane: "+m)
		}
		if lane.Kind == tree.Sequence {
			way.Body = lane.Body
			n.Mistakes = append(n.Mistakes, lane.Mistakes...)
		}
		n.Cases = append(n.Cases, way)
	}
	plain := shapeOf(reflect.TypeFor[S]()).plain
	c.question[n] = func(_ context.Context, raw []byte, q *plan.Question) run.Answered {
		lanes := make(map[string]Outcome[S], len(q.Ways))
		for _, w := range q.Ways {
			o, err := outcome[S](w, plain)
			if err != nil {
				return run.Answered{Block: (&stateError{err}).Error()}
			}
			lanes[w.Name] = o
		}
		return joined(raw, q, plain, func(s *S) error { return p.merge(s, lanes) })
	}
	return n
}

// outcome reads how a lane or an item ended.
func outcome[T any](w plan.Way, plain bool) (o Outcome[T], err error) {
	if w.Err != nil {
		o.Err = failure(w.Err)
	}
	return o, decode(w.State, &o.Value, plain)
}

// joined runs the function that takes the outcomes of a block into the state.
func joined[S any](raw []byte, q *plan.Question, plain bool, fn func(*S) error) run.Answered {
	patch, after, err := change(raw, maxLimit, plain, fn)
	if s, ok := asErr[*stateError](err); ok {
		return run.Answered{Block: s.Error()}
	}
	if err == nil {
		err = checkPayload(after, q.Limit)
		if err != nil {
			err = &resultError{err}
		}
	}
	if err != nil {
		code := q.Code()
		if r, ok := asErr[*resultError](err); ok {
			code = r.code()
		} else if _, ok := asErr[*payloadError](err); ok {
			code = "payload"
		}
		return run.Answered{Err: record(err, code, q.Path, 0)}
	}
	return run.Answered{Ending: &plan.Ending{Happened: plan.Yes, Patch: patch, Step: &journal.Transition{Before: raw, After: after}}}
}
