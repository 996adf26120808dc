package sim

import (
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// laneMutants are planted bugs in what runs side by side, and in decisions.
func laneMutants() []planted {
	lanes := func(o *Options) {
		m := o.Mutant
		*o = Draw(o.Seed + laneSeeds)
		o.Mutant = m
	}
	return []planted{
		{
			Mutant: Mutant{Name: "the wait of a failed lane stays open", Send: func(_ *process, w *store.Write) {
				if holds(w, func(f *journal.Fact) bool { return f.Kind == journal.Closed && f.Err != nil }) {
					w.Advance.Shut = nil
				}
			}},
			killers: []string{"PA-5", "doctor"}, draw: lanes,
		},
		{
			Mutant:  Mutant{Name: "Concurrency of items is forgotten", Config: retree(func(n *tree.Node) { n.Concurrency = 0 })},
			killers: []string{"EA-2", "G2"}, draw: lanes,
		},
		{
			Mutant:  Mutant{Name: "nothing is settled", Config: retree(func(n *tree.Node) { n.Settle = false })},
			killers: []string{"G2", "doctor"}, draw: lanes,
		},
		{
			Mutant: Mutant{Name: "going back forgets nothing", Send: edit(func(f *journal.Fact) {
				if f.Answer != nil {
					a := *f.Answer
					a.Drop = nil
					f.Answer = &a
				}
			})},
			killers: []string{"G2", "G3", "state", "journal", "doctor", "G6", "G12", "VR-3"}, draw: lanes,
		},
		{
			Mutant: Mutant{Name: "a lane that failed ends well", Send: edit(func(f *journal.Fact) {
				if f.Kind == journal.Closed {
					f.Err = nil
				}
			})},
			killers: []string{"G2"}, draw: lanes,
		},
		{
			Mutant: Mutant{Name: "lanes that have ended are forgotten", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Kind == journal.Closed })
			}},
			killers: []string{"G2", "G6", "PA-5", "doctor"}, draw: lanes,
		},
		{
			Mutant: Mutant{Name: "a decision is taken again", Read: func(_ *database, r *store.Record) {
				forget(r, func(f *journal.Fact) bool { return f.Kind == journal.Done && f.Answer != nil })
			}},
			killers: []string{"G2", "G3", "G6", "VR-3", "RT-10"}, draw: lanes,
		},
	}
}

// retree changes the trees that workers have.
func retree(change func(n *tree.Node)) func(c *run.Config) {
	return func(c *run.Config) {
		for i, d := range c.Definitions {
			w := *d.Tree
			w.Root = clone(w.Root)
			c.Definitions[i] = &run.Definition{Tree: tree.Place(&w), Fingerprint: d.Fingerprint}
			tree.Walk(&w, change)
		}
	}
}

// edit changes facts that are written.
func edit(change func(f *journal.Fact)) func(*process, *store.Write) {
	return func(_ *process, w *store.Write) {
		if w.Advance == nil || len(w.Advance.Row) == 0 {
			return
		}
		a := *w.Advance
		list, err := journal.Decode(a.Row)
		if err != nil {
			panic(err)
		}
		for i := range list {
			change(&list[i])
		}
		a.Row = journal.Encode(list)
		w.Advance = &a
	}
}
