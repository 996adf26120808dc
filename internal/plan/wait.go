package plan

import (
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// wait evaluates a node that waits: it asks what to wait for, waits, and asks
// what the end of the wait comes to.
func (e *eval) wait(n *tree.Node, path string, p *journal.Place) state {
	if p == nil || len(p.Calls) == 0 {
		e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n})
		return open
	}
	for key, c := range p.Calls { // it has one
		if c.State == journal.Open {
			e.plan.Waits = append(e.plan.Waits, Wait{Path: path, Call: key, Wait: c.Wait, opened: c.Seq})
		} else {
			e.plan.Questions = append(e.plan.Questions, Question{Path: path, Node: n, Ended: c, Call: key})
		}
	}
	return open
}

// waited is the kind of node that makes such a wait.
func waited(calls map[string]*journal.Call) tree.Kind {
	for key := range calls {
		switch kind, _, _ := strings.Cut(key, ":"); kind {
		case "event":
			return tree.Event
		case "sleep":
			return tree.Pause
		case "call":
			return tree.Child
		}
	}
	return tree.Input
}
