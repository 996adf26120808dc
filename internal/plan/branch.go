package plan

import (
	"fmt"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

func (e *eval) branch(n *tree.Node, path string, parent, p *journal.Place) state {
	if p == nil || p.Answer == nil {
		e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n})
		return open
	}
	// The way is part of the node's path element: by_type[invoice].
	if p.Answer.Way == journal.WayDefault {
		if !n.Else {
			return e.missing(path+"["+tree.DefaultWay+"]", fmt.Sprintf("the run is inside the default of branch %q, which this code does not have", path))
		}
		return e.sequence(path+"["+tree.DefaultWay+"]", n.Default, child(parent, tree.DefaultElement(n.Name)))
	}
	for i := range n.Cases {
		if c := &n.Cases[i]; c.Key == p.Answer.Case {
			way := child(parent, c.Element(n))
			return e.sequence(wayPath(c, n, path, way), c.Body, way)
		}
	}
	way := beside(path, n, tree.CaseElement(n.Name, p.Answer.Case))
	return e.missing(way, fmt.Sprintf("the run is inside %q, a case that this code does not have; deploy code that has it", way))
}
