package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"slices"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// EachNode runs its nodes once for every item of a list.
type EachNode[S, T any] struct {
	n     *tree.Node
	items func(*S) []T
	nodes []Node[T]
	into  func(s *S, items iter.Seq2[int, Outcome[T]]) error
}

// Each asks for a list once, records it, and runs the nodes for every item: each item
// is a state of its own, with its own paths, from 0: pages[3]/ocr. Items begin in the
// order of the list, and side by side as far as Concurrency and the slots of queues
// allow. What an item does reaches the run's state through Into only.
//
// The first item that fails ends the others and fails the run; its path tells the
// number. IntoOutcomes lets all end. More than 1,000 items fail the run with code items;
// with Spread it is 100,000.
func Each[S, T any](name string, items func(s *S) []T, nodes ...Node[T]) *EachNode[S, T] {
	e := &EachNode[S, T]{n: &tree.Node{Kind: tree.Each, Name: name}, items: items, nodes: nodes}
	if items == nil {
		e.n.Mistakes = append(e.n.Mistakes, "the function is nil")
	}
	carried[T](e.n, "the item type")
	return e
}

// Concurrency is how many items may have begun and not ended at once; those that wait
// count. Without it only the slots of queues bound them, and with Spread it is 1,000.
func (e *EachNode[S, T]) Concurrency(n int) *EachNode[S, T] {
	if n < 1 {
		e.n.Mistakes = append(e.n.Mistakes, fmt.Sprintf("Concurrency is %d; give at least 1", n))
	}
	e.n.Concurrency = n
	return e
}

// Into takes the items back into the state when all have ended well: in the order of
// the list, whatever the order in which they ended. It should only compute.
func (e *EachNode[S, T]) Into(fn func(s *S, items []T)) *EachNode[S, T] {
	e.takes("Into", fn == nil)
	e.into = func(s *S, items iter.Seq2[int, Outcome[T]]) error {
		list := []T{}
		for _, o := range items {
			list = append(list, o.Value)
		}
		fn(s, list)
		return nil
	}
	return e
}

// IntoOutcomes lets all items end, also beside failed ones, and takes the value or
// error of each, in the order of the list. Its error fails the run with code merge.
func (e *EachNode[S, T]) IntoOutcomes(fn func(s *S, items []Outcome[T]) error) *EachNode[S, T] {
	e.takes("IntoOutcomes", fn == nil)
	e.n.Settle = true
	e.into = func(s *S, items iter.Seq2[int, Outcome[T]]) error {
		list := []Outcome[T]{}
		for _, o := range items {
			list = append(list, o)
		}
		return fn(s, list)
	}
	return e
}

// IntoSeq is IntoOutcomes for many items: it gives their numbers and outcomes one after
// another, in the order of the list, and those of a Spread are not all in memory at once: they
// are read while fn goes through them.
func (e *EachNode[S, T]) IntoSeq(fn func(s *S, items iter.Seq2[int, Outcome[T]]) error) *EachNode[S, T] {
	e.takes("IntoSeq", fn == nil)
	e.n.Settle, e.into = true, fn
	return e
}

func (e *EachNode[S, T]) takes(what string, isNil bool) {
	if isNil {
		e.n.Mistakes = append(e.n.Mistakes, what+": the function is nil")
	}
	if e.n.Joins {
		e.n.Mistakes = append(e.n.Mistakes, "two of Into, IntoOutcomes and IntoSeq are given; give one of them")
	}
	e.n.Joins = true
}

func (e *EachNode[S, T]) build(c *codes, _ *S) *tree.Node {
	n := placed(e.n)
	n.Body = build(c, n, e.nodes)
	plain, item := shapeOf(reflect.TypeFor[S]()).plain, shapeOf(reflect.TypeFor[T]())
	n.Reads = signature(reflect.TypeFor[T]())
	if n.Spread {
		c.items = append(c.items, itemType{n, item, reflect.TypeFor[T]()})
	}
	c.question[n] = func(ctx context.Context, raw []byte, q *plan.Question) run.Answered {
		switch {
		case q.Spread != nil && !q.Join:
			return beginItems(ctx, q)
		case q.Spread != nil:
			return e.gather(ctx, raw, q, plain, item.plain)
		case q.Join:
			return e.join(raw, q, plain, item.plain)
		}
		return e.list(ctx, raw, q, plain)
	}
	return n
}

// join takes the items into the state.
func (e *EachNode[S, T]) join(raw []byte, q *plan.Question, plain, itemPlain bool) run.Answered {
	items := make([]Outcome[T], len(q.Ways))
	for i, w := range q.Ways {
		var err error
		if items[i], err = outcome[T](w, itemPlain); err != nil {
			return run.Answered{Block: fmt.Sprintf("item %d of %s does not fit the type of this code: %v", i, q.Path, err)}
		}
	}
	return joined(raw, q, plain, func(s *S) error { return e.into(s, slices.All(items)) })
}

// list asks for the items.
func (e *EachNode[S, T]) list(ctx context.Context, raw []byte, q *plan.Question, plain bool) run.Answered {
	var s S
	if err := decode(raw, &s, plain); err != nil {
		return run.Answered{Block: (&stateError{err}).Error()}
	}
	items := e.items(&s)
	answer := &journal.Answer{Way: journal.WayItems, Items: len(items), Spread: e.n.Spread}
	if err := plan.OverLimit(e.n, answer, q.Path); err != nil {
		return run.Answered{Err: err}
	}
	list := make([]json.RawMessage, len(items))
	for i := range items {
		item, err := encode(&items[i], q.Limit)
		if err != nil {
			return run.Answered{Err: record(fmt.Errorf("item %d: %w", i, err), "items", q.Path, 0)}
		}
		list[i] = item
	}
	if e.n.Spread {
		a := inParts(list, answer, q.Path)
		askingOf(ctx).listed(&a)
		return a
	}
	all, err := encode(list, maxLimit)
	if err != nil {
		return run.Answered{Err: record(err, "items", q.Path, 0)}
	}
	return run.Answered{Answer: answer, Items: all}
}
