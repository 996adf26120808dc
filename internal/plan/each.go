package plan

import (
	"fmt"
	"strconv"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// ahead is how many items that have not begun are in a plan when nothing else
// bounds them: what a worker begins at most with one write, and few enough to look at
// each time.
const ahead = 64

func (e *eval) each(n *tree.Node, path string, parent, p *journal.Place) state {
	if p == nil || p.Answer == nil {
		e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n})
		return open
	}
	if n.Spread != p.Answer.Spread {
		return e.missing(path, fmt.Sprintf("the items of %q have begun, and this code has changed its Spread; deploy code that has it as it was", path))
	}
	if n.Spread {
		return e.spread(n, path, p)
	}
	total, ways := p.Answer.Items, p.Ways
	room := ahead
	if n.Concurrency > 0 {
		room = n.Concurrency - begun(n, ways, parent)
	}
	b := e.block(n)
	under := path + "["
	for i := ways.Low; i < total && (i < ways.High || room > 0); i++ {
		way := under + strconv.Itoa(i) + "]"
		switch item := parent.Children[way[len(path)-len(n.Name):]]; {
		case item == nil && room <= 0, item != nil && item.Closed:
		default:
			if item == nil {
				room--
			}
			if s := b.way(way, n.Body, item); s == missing {
				return s
			}
		}
	}
	switch {
	case b.failed:
		return b.fail()
	case b.open || ways.Low < total:
		return open
	case !n.Joins:
		e.plan.Facts = append(e.plan.Facts, journal.Fact{Kind: journal.Done, Path: path})
		return open
	}
	q := Question{Path: path, Node: n, Join: true, Ways: make([]Way, total)}
	for i := range total {
		item := child(parent, tree.PassElement(n.Name, i))
		q.Ways[i] = Way{State: item.Own, Err: item.LastErr}
	}
	e.plan.Questions = append(e.plan.Questions, q)
	return open
}

// begun counts the items that have begun and have not ended.
func begun(n *tree.Node, ways *journal.Ways, parent *journal.Place) (count int) {
	for i := ways.Low; i < ways.High; i++ {
		if item := child(parent, tree.PassElement(n.Name, i)); item != nil && !item.Closed {
			count++
		}
	}
	return count
}
