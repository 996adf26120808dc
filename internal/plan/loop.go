package plan

import (
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

func (e *eval) loop(n *tree.Node, path string, parent, p *journal.Place) state {
	if p == nil || p.Answer == nil {
		e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n})
		return open
	}
	way := tree.PassElement(n.Name, p.Answer.Pass)
	pass := child(parent, way)
	at := pass.Path()
	if at == "" {
		at = beside(path, n, way)
	}
	s := e.sequence(at, n.Body, pass)
	if s == finished {
		e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n, Pass: p.Answer.Pass + 1})
		return open
	}
	return s
}
