package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

func (e *eval) parallel(n *tree.Node, path string, parent, p *journal.Place) state {
	if p == nil || p.Answer == nil {
		e.plan.Facts = append(e.plan.Facts, journal.Fact{
			Kind: journal.Answered, Path: path, Answer: &journal.Answer{Way: journal.WayLanes, Items: len(n.Cases)},
		})
		return open
	}
	if lost := lostLane(n, parent); lost != "" {
		way := beside(path, n, lost)
		return e.missing(way, fmt.Sprintf("the run is inside %q, a lane that this code does not have; deploy code that has it", way))
	}
	b := e.block(n)
	for i := range n.Cases {
		lane := &n.Cases[i]
		way := child(parent, lane.Element(n))
		if s := e.way(&b, wayPath(lane, n, path, way), lane.Body, way); s == missing {
			return s
		}
	}
	switch {
	case b.failed:
		return e.fail(&b)
	case b.open:
		return open
	case n.Joins:
		q := Question{Path: path, Node: n, Join: true}
		for _, lane := range ended(n, parent) {
			q.Ways = append(q.Ways, Way{Name: lane.key, State: lane.place.Own, Err: lane.place.LastErr})
		}
		e.plan.Questions = append(e.plan.Questions, q)
		return open
	}
	e.plan.Facts = append(e.plan.Facts, e.merge(n, path, parent))
	return open
}

// lostLane is the path element of a lane that is open and not in the code.
func lostLane(n *tree.Node, parent *journal.Place) (lost string) {
	for element, p := range parent.Children() {
		if p.Closed || !isWay(n, element) {
			continue
		}
		_, key, _ := journal.Element(element)
		if slices.ContainsFunc(n.Cases, func(c tree.Case) bool { return c.Key == key }) {
			continue
		}
		if lost == "" || element < lost {
			lost = element
		}
	}
	return lost
}

// isWay tells whether a path element is that of a way into n.
func isWay(n *tree.Node, element string) bool {
	i := len(n.Name)
	return len(element) > i && element[i] == '[' && element[:i] == n.Name
}

// endedLane is a lane that has ended.
type endedLane struct {
	key   string
	place *journal.Place
}

// ended is all lanes of a block in which nothing is open: in the order of the
// code, then those that had ended before a deploy took them away. What they did
// counts.
func ended(n *tree.Node, parent *journal.Place) (list []endedLane) {
	for _, lane := range n.Cases {
		list = append(list, endedLane{lane.Key, child(parent, lane.Element(n))})
	}
	known := len(list)
	for element, p := range parent.Children() {
		if !isWay(n, element) {
			continue
		}
		if _, key, _ := journal.Element(element); !slices.ContainsFunc(n.Cases, func(c tree.Case) bool { return c.Key == key }) {
			list = append(list, endedLane{key, p})
		}
	}
	slices.SortFunc(list[known:], func(a, b endedLane) int { return strings.Compare(a.key, b.key) })
	return list
}

// merge is the join of lanes when no user code decides it.
func (e *eval) merge(n *tree.Node, path string, parent *journal.Place) journal.Fact {
	var lanes []journal.LaneState
	for _, lane := range ended(n, parent) {
		lanes = append(lanes, journal.LaneState{Name: lane.key, State: lane.place.Own})
	}
	before := e.hist.StateAt(path)
	after, err := journal.Join(before, lanes)
	if err != nil {
		return journal.Fact{Kind: journal.Failed, Path: path, Err: &journal.Error{Code: "merge_conflict", Path: path, Message: err.Error()}}
	}
	return journal.Fact{Kind: journal.Done, Path: path, Data: journal.Diff(before, after)}
}

// wayPath is the path of the way p into a case or lane of n, which is at path.
func wayPath(c *tree.Case, n *tree.Node, path string, p *journal.Place) string {
	if at := p.Path(); at != "" {
		return at
	}
	return c.Under(n, path)
}

// beside is the path of an element in the place of a node.
func beside(path string, n *tree.Node, element string) string {
	return path[:len(path)-len(n.Name)] + element
}

// block is ways that run side by side, while they are evaluated.
type block struct {
	settle bool
	before Plan // what was planned before the block
	open   bool // some way has not ended
	failed bool // and the block settles nothing
	first  int  // which of the run's failures
	err    *journal.Error
}

func (e *eval) block(n *tree.Node) block {
	return block{settle: n.Settle, before: e.plan}
}

// way evaluates one way, whose place is p.
func (e *eval) way(b *block, path string, body []*tree.Node, p *journal.Place) state {
	if p != nil && p.Closed {
		return finished
	}
	before := e.plan
	s := e.sequence(path, body, p)
	switch {
	case s == failed && !b.settle:
		if !b.failed || e.failedAt < b.first {
			b.first, b.err = e.failedAt, e.plan.Err
		}
		b.failed = true
	case s == failed:
		err := e.plan.Err
		e.plan = before // what else was in the way is to stop
		e.plan.Closes = append(e.plan.Closes, journal.Fact{Kind: journal.Closed, Path: path, Err: err})
		b.open = true
	case s == finished:
		e.plan.Closes = append(e.plan.Closes, journal.Fact{Kind: journal.Closed, Path: path})
		b.open = true
	case s == open:
		b.open = true
	}
	return s
}

// fail ends a block: nothing of it is planned any more.
func (e *eval) fail(b *block) state {
	e.plan = b.before
	e.plan.Err, e.failedAt = b.err, b.first
	return failed
}
