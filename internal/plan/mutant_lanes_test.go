package plan_test

import (
	"slices"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// refold is an engine in which folding a fact does something more.
func refold(more func(h *journal.History, f *journal.Fact)) engine {
	e := genuine()
	e.apply = func(h *journal.History, r journal.Row) error {
		err := h.Apply(r)
		for i := range r.Facts {
			more(h, &r.Facts[i])
		}
		return err
	}
	return e
}

// redecide is an engine whose decisions go elsewhere.
func redecide(change func(h *journal.History, f *journal.Fact)) engine {
	e := genuine()
	e.decide = func(w *tree.Workflow, h *journal.History, n *tree.Node, f *journal.Fact) {
		plan.Decide(w, h, n, f)
		if f.Answer != nil && f.Answer.Way == journal.WayGoto {
			change(h, f)
		}
	}
	return e
}

// retree is an engine that plans for another tree.
func retree(change func(n *tree.Node)) engine {
	e := genuine()
	e.eval = func(w *tree.Workflow, h *journal.History) plan.Plan {
		c := *w
		c.Root = retreed(w.Root, change)
		return plan.Eval(&c, h)
	}
	return e
}

func retreed(n *tree.Node, change func(n *tree.Node)) *tree.Node {
	c := *n
	list := func(nodes []*tree.Node) (out []*tree.Node) {
		for _, n := range nodes {
			out = append(out, retreed(n, change))
		}
		return out
	}
	c.Body, c.Default, c.Cases = list(n.Body), list(n.Default), nil
	for _, k := range n.Cases {
		c.Cases = append(c.Cases, tree.Case{Key: k.Key, Body: list(k.Body)})
	}
	change(&c)
	return &c
}

// above is the place above a path, and the path's last element.
func above(h *journal.History, path string) (*journal.Place, string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return h.Root, path
	}
	return h.At(path[:i]), path[i+1:]
}

// beside calls fn for the other lanes and items beside the one at a path.
func beside(h *journal.History, path string, fn func(p *journal.Place)) {
	p, element := above(h, path)
	name, _, way := journal.Element(element)
	if p == nil || !way {
		return
	}
	for other, c := range p.Children() {
		if of, _, way := journal.Element(other); way && of == name && other != element {
			fn(c)
		}
	}
}

// laneMutants are engines with a bug in what runs side by side, in decisions and
// in nodes that wait.
func laneMutants() map[string]engine {
	restored := func(forget func(p *journal.Place)) engine {
		return forgetful(func(_ *journal.History, p *journal.Place) { forget(p) })
	}
	return map[string]engine{
		"a join begins with the first lane that ends": refold(func(h *journal.History, f *journal.Fact) {
			if f.Kind == journal.Closed {
				beside(h, f.Path, func(p *journal.Place) { p.Closed = true })
			}
		}),
		"a lane sees what another has changed": refold(func(h *journal.History, f *journal.Fact) {
			if i := strings.LastIndexByte(f.Path, '/'); f.Kind == journal.Done && i > 0 {
				if from := h.At(f.Path[:i]); from != nil && from.Own != nil {
					beside(h, f.Path[:i], func(p *journal.Place) { p.Own = from.Own })
				}
			}
		}),
		"what a lane changes is the run's at once": refold(func(h *journal.History, f *journal.Fact) {
			if i := strings.LastIndexByte(f.Path, '/'); f.Kind == journal.Done && i > 0 {
				if from := h.At(f.Path[:i]); from != nil && from.Own != nil {
					h.State = from.Own
				}
			}
		}),
		"a closed item runs again": restored(func(p *journal.Place) { p.Closed = false }),
		"a snapshot forgets what items there are": restored(func(p *journal.Place) {
			if p.Ways != nil {
				p.Answer = nil
			}
		}),
		"a snapshot forgets the states of lanes":    restored(func(p *journal.Place) { p.Own = nil }),
		"a snapshot forgets where a decision goes":  restored(func(p *journal.Place) { p.Next = "" }),
		"a snapshot forgets how often it went back": restored(func(p *journal.Place) { p.Jumps = 0 }),
		"a snapshot forgets the order of failures":  restored(func(p *journal.Place) { p.FailedSeq = -p.FailedSeq }),
		"a snapshot forgets the errors of lanes": restored(func(p *journal.Place) {
			if p.Closed {
				p.LastErr = nil
			}
		}),
		"a snapshot forgets which items are over":    restored(func(p *journal.Place) { forgetLow(p) }),
		"a conflict of two lanes is not noticed":     replan(func(p *plan.Plan, _ *journal.History) { blessed(p) }),
		"of two failures the later counts":           replan(later),
		"a lane that is settled cancels the others":  replan(func(p *plan.Plan, _ *journal.History) { unsettled(p) }),
		"an item more than Concurrency":              retree(func(n *tree.Node) { n.Concurrency += min(n.Concurrency, 1) }),
		"an item less than Concurrency":              retree(func(n *tree.Node) { n.Concurrency += min(max(n.Concurrency-1, 0), 1) * -1 }),
		"nothing is settled":                         retree(func(n *tree.Node) { n.Settle = false }),
		"nobody is asked what the lanes come to":     retree(func(n *tree.Node) { n.Joins = false }),
		"the lanes come to another order":            replan(func(p *plan.Plan, _ *journal.History) { reversed(p) }),
		"a wait node waits a second time":            restored(func(p *journal.Place) { forgetEnds(p) }),
		"a wait node that is skipped waits after it": restored(func(p *journal.Place) { forgetSkip(p) }),
		"going back forgets too little": redecide(func(_ *journal.History, f *journal.Fact) {
			if len(f.Answer.Drop) > 1 {
				f.Answer.Drop = []string{f.Answer.Case}
			}
		}),
		"going back forgets too much": refold(func(h *journal.History, f *journal.Fact) {
			if f.Kind == journal.Done && f.Answer != nil && len(f.Answer.Drop) > 0 {
				p, _ := above(h, f.Path)
				p.Clear()
				p.Next = ""
			}
		}),
		"going back does not count": refold(func(h *journal.History, f *journal.Fact) {
			if p, _ := above(h, f.Path); f.Kind == journal.Done && f.Answer != nil && len(f.Answer.Drop) > 0 {
				p.Jumps = 0
			}
		}),
		"a goto that is refused is done": redecide(func(*journal.History, *journal.Fact) {}).refusing(),
		"a late report undoes a goto": refold(func(h *journal.History, f *journal.Fact) {
			if p, _ := above(h, f.Path); p != nil && f.Kind == journal.Handed {
				p.Next = ""
			}
		}),
		"a block begins anew after a crash": restored(func(p *journal.Place) {
			if p.Answer != nil && p.Answer.Way == journal.WayLanes {
				p.Answer = nil
			}
		}),
		"what is done in a lane is done again": restored(func(p *journal.Place) {
			if p.Own != nil {
				p.Clear()
				p.Newest = ""
			}
		}),
	}
}

// refusing takes refusals for successes.
func (e engine) refusing() engine {
	decide := e.decide
	e.decide = func(w *tree.Workflow, h *journal.History, n *tree.Node, f *journal.Fact) {
		was := *f
		if decide(w, h, n, f); f.Kind == journal.Failed {
			was.Answer = &journal.Answer{Way: journal.WayNext}
			*f = was
		}
	}
	return e
}

func forgetLow(p *journal.Place) {
	for _, c := range p.Children() {
		if c.Ways != nil {
			c.Ways.Low = c.Ways.High
		}
	}
}

func forgetEnds(p *journal.Place) {
	if p.Attempt > 0 { // a body's wait
		return
	}
	for key, c := range p.Calls {
		if c.State != journal.Open {
			delete(p.Calls, key)
		}
	}
}

func forgetSkip(p *journal.Place) {
	if p.Answer != nil && p.Answer.Way == journal.WaySkip {
		p.Answer = nil
	}
}

// blessed takes conflicts for agreements.
func blessed(p *plan.Plan) {
	for i := range p.Facts {
		if f := &p.Facts[i]; f.Kind == journal.Failed {
			f.Kind, f.Err = journal.Done, nil
		}
	}
}

func later(p *plan.Plan, h *journal.History) {
	if p.Outcome != plan.Failed {
		return
	}
	newest := 0
	var visit func(x *journal.Place)
	visit = func(x *journal.Place) {
		if x.FailedSeq > newest {
			newest, p.Err = x.FailedSeq, x.LastErr
		}
		for _, c := range x.Children() {
			visit(c)
		}
	}
	visit(h.Root)
}

func unsettled(p *plan.Plan) {
	if slices.ContainsFunc(p.Closes, func(f journal.Fact) bool { return f.Err != nil }) {
		p.Bodies = nil
	}
}

func reversed(p *plan.Plan) {
	for i := range p.Questions {
		q := &p.Questions[i]
		q.Ways = slices.Clone(q.Ways)
		slices.Reverse(q.Ways)
	}
}
