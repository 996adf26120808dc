package durable

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// BranchNode takes one of several ways, by a value of type K.
type BranchNode[S any, K comparable] struct {
	n     *tree.Node
	on    func(*S) K
	ways  [][]Node[S]
	other []Node[S]
}

// Branch asks on once and takes the case that is equal to its answer, else the
// Default, else goes on. The answer is recorded and decides for ever. on sees
// the state as stored; what it changes is dropped. It should only look: it may
// be asked again if the process dies before the answer is stored.
func Branch[S any, K comparable](name string, on func(s *S) K) *BranchNode[S, K] {
	b := &BranchNode[S, K]{n: &tree.Node{Kind: tree.Branch, Name: name}, on: on}
	if on == nil {
		b.n.Mistakes = append(b.n.Mistakes, "the function is nil")
	}
	return b
}

// Case is the way for values equal to key. It may be empty.
func (b *BranchNode[S, K]) Case(key K, nodes ...Node[S]) *BranchNode[S, K] {
	text, err := written(key)
	if err != nil {
		b.n.Mistakes = append(b.n.Mistakes, fmt.Sprintf("the case key %v cannot be written: %v", key, err))
	} else if m := tree.TextMistake(text); m != "" && text != "" {
		b.n.Mistakes = append(b.n.Mistakes, fmt.Sprintf("the case key %q: %s", text, m))
	}
	b.n.Cases = append(b.n.Cases, tree.Case{Key: text})
	b.ways = append(b.ways, nodes)
	return b
}

// Default is the way when no case fits. It may be empty.
func (b *BranchNode[S, K]) Default(nodes ...Node[S]) *BranchNode[S, K] {
	if b.n.Else {
		b.n.Mistakes = append(b.n.Mistakes, "Default is given twice")
	}
	b.n.Else, b.other = true, nodes
	return b
}

func (b *BranchNode[S, K]) build(c *codes, _ *S) *tree.Node {
	n := placed(b.n)
	for i, nodes := range b.ways {
		n.Cases[i].Body = build(c, n, nodes)
	}
	n.Default = build(c, n, b.other)
	plain := shapeOf(reflect.TypeFor[S]()).plain
	c.question[n] = func(_ context.Context, raw []byte, q *plan.Question) run.Answered {
		var s S
		if err := decode(raw, &s, plain); err != nil {
			return run.Answered{Block: (&stateError{err}).Error()}
		}
		text, err := written(b.on(&s))
		if err != nil {
			return run.Answered{Err: record(err, "branch", q.Path, 0)}
		}
		return run.Answered{Answer: b.way(text)}
	}
	return n
}

// way is the answer that a written value gives.
func (b *BranchNode[S, K]) way(text string) *journal.Answer {
	a := &journal.Answer{Way: journal.WayNone, Value: cut(text, tree.MaxName)}
	for _, way := range b.n.Cases {
		if way.Key == text {
			a.Way, a.Case = journal.WayCase, text
			return a
		}
	}
	if b.n.Else {
		a.Way = journal.WayDefault
	}
	return a
}

// written is a case key as it stands in paths and journals: text as it is,
// numbers in decimal, everything else as JSON.
func written(key any) (string, error) {
	v := reflect.ValueOf(key)
	switch {
	case !v.IsValid():
		return "null", nil
	case ownJSON(v.Type()):
	case v.Kind() == reflect.String:
		return v.String(), nil
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool()), nil
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), nil
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), nil
	}
	b, err := encode(key, maxLimit)
	return string(b), err
}
