package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// grower draws a tree with every kind of node, as the random tests of the planner do.
type grower struct {
	rng    *rand.Rand
	left   int // nodes to come
	serial int
}

func (g *grower) workflow() *tree.Workflow {
	root := &tree.Node{Kind: tree.Sequence}
	for g.left > 0 {
		root.Body = append(root.Body, g.some(4)...)
	}
	return tree.Place(&tree.Workflow{Name: "drawn", Root: root})
}

// some is one to four nodes beside each other, fewer if none are left.
func (g *grower) some(depth int) (list []*tree.Node) {
	for n := 1 + g.rng.IntN(4); n > 0 && g.left > 0; n-- {
		list = append(list, g.node(depth))
	}
	return list
}

// inside is some, and at least one.
func (g *grower) inside(depth int) []*tree.Node {
	if g.left == 0 {
		g.left++
	}
	return g.some(depth)
}

func (g *grower) node(depth int) *tree.Node {
	g.left--
	g.serial++
	n := &tree.Node{Name: fmt.Sprint("n", g.serial), Kind: tree.Step, Retry: &tree.Retry{MaxAttempts: 3, Base: time.Millisecond}}
	kind := g.rng.IntN(20)
	if depth == 0 || g.left == 0 {
		kind = 10 + kind/2
	}
	switch kind {
	case 0, 1:
		n.Kind, n.Body = tree.Sequence, g.inside(depth-1)
	case 2, 3:
		n.Kind, n.Body = tree.Loop, g.inside(depth-1)
	case 4, 5:
		n.Kind, n.Else = tree.Branch, true
		n.Cases = []tree.Case{{Key: "x", Body: g.inside(depth - 1)}}
		if g.left > 0 {
			n.Default = g.some(depth - 1)
		}
	case 6, 7:
		n.Kind = tree.Parallel
		for i := range 1 + g.rng.IntN(3) {
			n.Cases = append(n.Cases, tree.Case{Key: fmt.Sprint("lane", i), Body: g.inside(depth - 1)})
		}
	case 8, 9:
		n.Kind, n.Body, n.Concurrency = tree.Each, g.inside(depth-1), g.rng.IntN(4)
		n.Joins = g.rng.IntN(2) == 0
	case 10:
		n.Kind = tree.Decision
	case 11:
		n.Kind = []tree.Kind{tree.Input, tree.Event, tree.Pause, tree.Child}[g.rng.IntN(4)]
	}
	return n
}

// execution is all that happens to a run of a tree.
type execution struct {
	rng   *rand.Rand
	tree  *tree.Workflow
	nodes int
	hist  *journal.History
	facts []journal.Fact
	back  int // how often a decision went back
}

// live lets a run happen: something of its plan at a time, until it has ended.
func (x *execution) live() error {
	x.hist = journal.NewHistory()
	if err := x.add(journal.Fact{Kind: journal.Began, Data: []byte(`{"n":0,"text":"some text","list":[1,2,3]}`)}); err != nil {
		return err
	}
	for range 10_000 {
		p := plan.Eval(x.tree, x.hist)
		if p.Outcome != plan.Going {
			return nil
		}
		if err := x.add(x.next(p)); err != nil {
			return err
		}
	}
	return errors.New("an execution has no end")
}

func (x *execution) add(f journal.Fact) error {
	f.At = 1_700_000_000_000_000 + int64(1000*len(x.facts))
	x.facts = append(x.facts, f)
	return x.hist.Fold(&f, 1)
}

// patch is what a body changes: a member of its own, since lanes must agree.
func (x *execution) patch(n *tree.Node) []byte {
	return fmt.Appendf(nil, `[["set","/%s",%d]]`, n.Name, len(x.facts))
}

// next is what happens next of what is planned.
func (x *execution) next(p plan.Plan) journal.Fact {
	switch {
	case len(p.Facts) > 0:
		return p.Facts[0]
	case len(p.Closes) > 0:
		return p.Closes[0]
	case len(p.Questions) > 0:
		return x.answer(p.Questions[0])
	}
	if i := x.rng.IntN(len(p.Bodies) + len(p.Waits)); i < len(p.Bodies) {
		return x.body(p.Bodies[i])
	}
	w := p.Waits[0]
	return journal.Fact{Kind: journal.Received, Path: w.Path, Call: w.Call, Data: []byte("2")}
}

// body begins a body, or ends it: one in ten attempts fails and is made again.
func (x *execution) body(b plan.Body) journal.Fact {
	if b.Place == nil || b.Place.Open == 0 {
		return journal.Fact{Kind: journal.Tried, Path: b.Path, Attempt: plan.Attempt(b.Place), Epoch: 1}
	}
	end := plan.Ending{Patch: x.patch(b.Node)}
	if x.rng.IntN(10) == 0 && b.Place.Failures == 0 {
		end = plan.Ending{Err: &journal.Error{Code: "error", Message: "no"}}
	} else if b.Node.Kind == tree.Decision {
		end.Answer = &journal.Answer{Way: journal.WayNext}
		if before := tree.Siblings(x.tree, b.Path)[0]; before != b.Node && x.back < 2 {
			x.back++
			end.Answer = &journal.Answer{Way: journal.WayGoto, Case: before.Name}
		}
	}
	f := plan.Judge(b, end, 0, 0.5)
	plan.Decide(x.tree, x.hist, b.Node, &f)
	return f
}

// answer answers a question: lists of three items, two passes of a loop.
func (x *execution) answer(q plan.Question) journal.Fact {
	f := journal.Fact{Kind: journal.Answered, Path: q.Path, Answer: &journal.Answer{}}
	switch n := q.Node; {
	case q.Join:
		return journal.Fact{Kind: journal.Done, Path: q.Path, Data: x.patch(q.Node)}
	case n.Kind.Waits() && q.Ended != nil:
		return journal.Fact{Kind: journal.Done, Path: q.Path, Data: x.patch(q.Node)}
	case n.Kind.Waits():
		call := map[tree.Kind]string{tree.Input: "input", tree.Event: "event", tree.Pause: "sleep", tree.Child: "call"}[n.Kind]
		return journal.Fact{Kind: journal.Waited, Path: q.Path, Call: call + ":x#1", Wait: &journal.Wait{ID: "w", Kind: call, Name: "x"}}
	case n.Kind == tree.Each:
		f.Answer.Way, f.Answer.Items, f.Data = journal.WayItems, 3, []byte(`[{"n":1},{"n":2},{"n":3}]`)
	case n.Kind == tree.Loop && q.Pass < 2:
		f.Answer.Way, f.Answer.Pass = journal.WayAgain, q.Pass
	case n.Kind == tree.Loop:
		f.Answer.Way, f.Answer.Pass = journal.WayLeave, q.Pass
	case x.rng.IntN(2) == 0:
		f.Answer.Way = journal.WayDefault
	default:
		f.Answer.Way, f.Answer.Case = journal.WayCase, n.Cases[0].Key
	}
	return f
}
