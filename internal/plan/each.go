package plan

import (
	"fmt"
	"slices"

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
	total, rest := p.Answer.Items, p.Ways.Rest(parent, n.Name)
	room := ahead
	if n.Concurrency > 0 {
		room = n.Concurrency - rest.Begun
	}
	b := e.block(n)
	units := rest.Units(room, total)
	for _, u := range units {
		if u.Place == nil {
			if room <= 0 {
				continue
			}
			room--
		}
		if s := e.unit(&b, path, n, u, len(units)); s == missing {
			return s
		}
	}
	switch {
	case b.failed:
		return e.fail(&b)
	case b.open || p.Ways.Low < total:
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

// derived is what there is to do in an item in which one body should run, or one wait is
// open and nothing else: so most items stand, most of the time. It depends on what has
// happened there, and on nothing else.
type derived struct {
	node  *tree.Node // the Each
	turns int        // of the item's place
	body  Body
	wait  Wait
}

// unit evaluates an item. What was derived of it for the plan before still holds if
// nothing has happened there; so a plan costs what has changed since, and no more than a
// glance at all else. more is how much else there may be.
func (e *eval) unit(b *block, path string, n *tree.Node, u *journal.Unit, more int) state {
	turns := u.Place.Turns()
	d, ok := u.Memo.(*derived)
	if ok && d.node == n && d.turns == turns {
		if b.open = true; d.body.Node != nil {
			e.plan.Bodies = append(roomy(e.plan.Bodies, more), d.body)
		} else {
			e.plan.Waits = append(roomy(e.plan.Waits, more), d.wait)
		}
		return open
	}
	bodies, waits, others := len(e.plan.Bodies), len(e.plan.Waits), e.plan.others()
	at := u.Place.Path()
	if at == "" {
		at = beside(path, n, u.Element)
	}
	s := e.way(b, at, n.Body, u.Place)
	if s != open || e.plan.others() != others {
		return s
	}
	bodies, waits = len(e.plan.Bodies)-bodies, len(e.plan.Waits)-waits
	if bodies+waits != 1 {
		return s
	}
	if !ok {
		d = new(derived)
		u.Memo = d
	}
	if *d = (derived{node: n, turns: turns}); bodies == 1 {
		d.body = e.plan.Bodies[len(e.plan.Bodies)-1]
	} else {
		d.wait = e.plan.Waits[len(e.plan.Waits)-1]
	}
	return s
}

// others is how much is planned beside bodies and waits.
func (p *Plan) others() int {
	return len(p.Questions) + len(p.Spreads) + len(p.Opens) + len(p.Facts) + len(p.Closes)
}

// roomy makes room at the end of a list that is full, for so many more.
func roomy[T any](list []T, more int) []T {
	if len(list) < cap(list) {
		return list
	}
	return slices.Grow(list, more)
}
