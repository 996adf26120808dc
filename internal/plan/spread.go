package plan

import (
	"fmt"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// Spread is the items of an Each that are executions of their own.
type Spread struct {
	Path   string
	Node   *tree.Node
	Spread *journal.Spread
}

// Items says of which items a question is.
type Items struct {
	At          int64 // as in journal.Spread
	From, Count int
	Parts       []journal.Part // of the whole list
}

// spreadAtOnce is how many items begin with one write, at most.
const spreadAtOnce = 1000

// spread evaluates an Each whose items are executions of their own.
func (e *eval) spread(n *tree.Node, path string, p *journal.Place) state {
	s, total := p.Spread, p.Answer.Items
	if s.Err != nil && !n.Settle {
		e.plan.Facts = append(e.plan.Facts, journal.Fact{Kind: journal.Failed, Path: path, Err: s.Err})
		return open
	}
	running := s.Open()
	if running > 0 {
		e.plan.Spreads = append(e.plan.Spreads, Spread{path, n, s})
	}
	q := Question{Path: path, Node: n, Spread: &Items{At: s.At, From: s.Begun, Parts: p.Answer.Parts}}
	q.Spread.Count = min(total-s.Begun, n.Ahead()-running, spreadAtOnce)
	switch {
	case q.Spread.Count > 0:
		e.plan.Questions = append(e.plan.Questions, q)
	case running > 0 || s.Begun < total:
	case !n.Joins:
		e.plan.Facts = append(e.plan.Facts, journal.Fact{Kind: journal.Done, Path: path})
	default:
		q.Join, q.Spread.From, q.Spread.Count = true, 0, total
		e.plan.Questions = append(e.plan.Questions, q)
	}
	return open
}

// ItemError is the error of a spread Each one of whose items did not end well: err is what
// its execution ended with.
func ItemError(path string, number int, status string, err *journal.Error) *journal.Error {
	item := tree.PassElement(path, number)
	if err == nil || status == "cancelled" {
		e := &journal.Error{Code: "child", Path: item, Message: fmt.Sprintf("item %d is %s", number, status)}
		if err != nil {
			e.Message += ": " + err.Message
		}
		return e
	}
	e := *err
	e.Path = tree.Join(item, err.Path)
	if err.Path == "" {
		e.Path = item
	}
	return &e
}
