package plan

import (
	"encoding/json"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// maxAskings is how often the outside is asked what became of a body before a
// person is.
const maxAskings = 5

func (e *eval) step(n *tree.Node, path string, p *journal.Place) state {
	if p != nil && p.Open == 0 && p.InDoubt && n.AtMostOnce {
		return e.inDoubt(n, path, p)
	}
	e.body(Body{Path: path, Node: n, Place: p})
	return open
}

// body plans a body, or its open waits.
func (e *eval) body(b Body) {
	waiting := false
	if b.Place != nil && b.Place.Open == 0 {
		for _, key := range callOrder(b.Place) {
			c := b.Place.Calls[key]
			e.plan.Waits = append(e.plan.Waits, Wait{Path: b.Path, Call: key, Wait: c.Wait, opened: c.Seq})
			waiting = true
		}
	}
	if !waiting {
		e.plan.Bodies = append(e.plan.Bodies, b)
	}
}

// inDoubt resolves a body that was begun and whose end nobody knows: ask the
// outside, then a person; never run it again silently.
func (e *eval) inDoubt(n *tree.Node, path string, p *journal.Place) state {
	if n.Reconciles && p.Asked < maxAskings {
		e.plan.Bodies = append(e.plan.Bodies, Body{Path: path, Node: n, Place: p, Mode: Reconcile})
		return open
	}
	c := p.Calls[journal.InDoubtCall]
	switch {
	case c == nil:
		w := &journal.Wait{Kind: "in_doubt", Name: "in_doubt"}
		detail := map[string]string{"prompt": "This step was begun and cut off, and it must not run twice by itself. Find out whether it happened."}
		if p.LastErr != nil {
			detail["error"] = p.LastErr.Message
		}
		w.Detail, _ = json.Marshal(detail) // a map of strings always encodes
		e.plan.Opens = append(e.plan.Opens, Wait{Path: path, Call: journal.InDoubtCall, Wait: w})
	case c.State == journal.Open:
		e.plan.Waits = append(e.plan.Waits, Wait{Path: path, Call: journal.InDoubtCall, Wait: c.Wait, opened: c.Seq})
	default:
		e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n, InDoubt: c.Data})
	}
	return open
}

// after tells whether call a was opened after call b.
func after(p *journal.Place, a, b string) bool {
	x, y := p.Calls[a].Seq, p.Calls[b].Seq
	return x > y || x == y && a > b
}

// callOrder is the keys of the open calls of p in the order of their opening.
func callOrder(p *journal.Place) []string {
	var keys []string
	for key, c := range p.Calls {
		if c.State != journal.Open {
			continue
		}
		i := len(keys)
		for i > 0 && after(p, keys[i-1], key) {
			i--
		}
		keys = append(keys[:i], append([]string{key}, keys[i:]...)...)
	}
	return keys
}
