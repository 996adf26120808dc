package plan

import (
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

func (e *eval) loop(n *tree.Node, path string, parent *journal.Place) state {
	p := child(parent, n.Name)
	switch {
	case p == nil || p.Answer == nil && !p.Failed:
		e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n})
		return open
	case p.Failed:
		e.plan.Err = p.LastErr
		return failed
	case p.Answer.Way == journal.WayLeave:
		return finished
	}
	way := tree.PassElement(n.Name, p.Answer.Pass)
	s := e.sequence(path[:len(path)-len(n.Name)]+way, n.Body, child(parent, way))
	if s == finished {
		e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n, Pass: p.Answer.Pass + 1})
		return open
	}
	return s
}
