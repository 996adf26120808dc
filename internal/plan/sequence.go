package plan

import (
	"fmt"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// sequence goes on at the newest recorded child while that is open, then after
// the furthest recorded child. So a node that a deploy put before that place
// does not run late, and one that it removed before that place is not missed.
func (e *eval) sequence(path string, nodes []*tree.Node, p *journal.Place) state {
	next := 0
	switch {
	case p == nil:
	case p.Next != "": // a decision said so
		if next = tree.Index(nodes, p.Next); next < 0 {
			return e.missing(tree.Join(path, p.Next), fmt.Sprintf(
				"the run goes to %q, which this code does not have; deploy code that has it", tree.Join(path, p.Next)))
		}
	case p.Newest != "":
		at := tree.Index(nodes, p.Newest)
		if at < 0 {
			return e.missing(tree.Join(path, p.Newest), fmt.Sprintf(
				"the run stands at %q, which this code does not have; deploy code that has it", tree.Join(path, p.Newest)))
		}
		if s := e.node(nodes[at], path, p); s != finished {
			return s
		}
		if next = furthest(nodes, p, at) + 1; next < len(nodes) {
			p = nil // nothing has happened from here on
		}
	}
	for ; next < len(nodes); next++ {
		if s := e.node(nodes[next], path, p); s != finished {
			return s
		}
	}
	return finished
}

// furthest is the last of nodes where something happened; at is one of them.
func furthest(nodes []*tree.Node, p *journal.Place, at int) int {
	for i := len(nodes) - 1; i > at; i-- {
		if p.Child(nodes[i].Name) != nil {
			return i
		}
	}
	return at
}
