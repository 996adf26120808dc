package storetest

import (
	"context"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func familyBugs() []bug {
	return []bug{
		{"reports are lost", []string{"family/an end is told to the parent", "family/many ends in one batch", "race/a hundred children end at once"}, onRelease(func(r *store.Release) { r.Report = nil })},
		{"notices are lost", []string{"family/an end is told to the children", "race/a child ends while its parent is cancelled"}, onRelease(func(r *store.Release) { r.Family = nil })},
		{"a report comes twice", []string{"family/an end that is written twice is told once", "family/many ends in one batch"}, sendingAgain(reportAgain)},
		{"a report wakes nobody", []string{"family/a report wakes as a message does"}, onRelease(func(r *store.Release) {
			if len(r.Report) > 0 && r.Family == nil {
				r.Family = &store.Notice{Topic: "elsewhere"}
				r.Report = nil
			}
		})},
		{"a report forgets its topic", []string{"family/a report with a topic of its own"}, onRelease(func(r *store.Release) { r.Topic = "" })},
		{"a notice misses one of the family", []string{"family/an end is told to the children"}, detachingOne},
		{"a notice reaches the detached", []string{"family/a notice reaches neither the detached nor the ended"}, onChildren(func(b *store.Begin) { b.Detached = false })},
		{"a child begins without the row", []string{"family/a refused write begins no child", "race/a parent is cancelled while it begins children"}, orphaning},
		{"what a row tells is lost", []string{"family/a row tells children"}, onAdvance(func(a *store.Advance, _ store.Record) { a.Tell = nil })},
		{"orders to go back are lost", []string{"recall/a completed child goes back", "recall/what cannot go back is answered at once"}, onAdvance(func(a *store.Advance, _ store.Record) { a.Recall = nil })},
		{"an order is a message and no more", []string{"recall/a completed child goes back", "recall/what could not be undone is tried again"}, onAdvance(func(a *store.Advance, _ store.Record) {
			a.Tell, a.Recall = append(a.Tell, a.Recall...), nil
		})},
		{"the second end of a child is told under the old name", []string{"recall/the second end of a child is told under another name"}, onRelease(func(r *store.Release) { r.Dedupe = "" })},
		{"children are lost", []string{"family/a child begins with a row of its parent"}, onAdvance(func(a *store.Advance, _ store.Record) { a.Children = nil })},
		{"a child forgets its depth", []string{"family/a child begins with a row of its parent"}, onChildren(func(b *store.Begin) { b.Depth = 0 })},
		{"a family is pruned while a child is open", []string{"prune/a family goes when all have ended"}, func() func(store.Store) store.Store {
			h := &hidden{ids: map[store.ID]bool{}}
			return func(st store.Store) store.Store { return hasty{st, h} }
		}},
		{"lists ignore the parent", []string{"list/by parent and top level"}, listing(func(f *store.Filter) { f.Parent = uuid.Nil })},
		{"lists ignore who is top", []string{"list/by parent and top level"}, listing(func(f *store.Filter) { f.TopLevel = false })},
	}
}

// onRelease changes how executions end.
func onRelease(spoil func(r *store.Release)) func() func(store.Store) store.Store {
	return on(func(_ store.Store, w store.Write) store.Write {
		switch {
		case w.Advance != nil && w.Advance.Release != nil:
			a, r := *w.Advance, *w.Advance.Release
			spoil(&r)
			a.Release = &r
			return store.Write{Advance: &a}
		case w.Control != nil:
			c := *w.Control
			spoil(&c.Release)
			return store.Write{Control: &c}
		}
		return w
	})
}

func onChildren(spoil func(b *store.Begin)) func() func(store.Store) store.Store {
	return onAdvance(func(a *store.Advance, _ store.Record) {
		children := append([]store.Begin(nil), a.Children...)
		for i := range children {
			spoil(&children[i])
		}
		a.Children = children
	})
}

// detachingOne makes the last child of each write one that a notice passes over.
func detachingOne() func(store.Store) store.Store {
	return onAdvance(func(a *store.Advance, _ store.Record) {
		if n := len(a.Children); n > 0 {
			a.Children = append([]store.Begin(nil), a.Children...)
			a.Children[n-1].Detached = true
		}
	})()
}

// again sends what a write tells once more, under another name, whenever the write comes.
type again struct {
	store.Store
	n    *atomic.Int64
	send func(st store.Store, w store.Write, n int64)
}

func sendingAgain(send func(st store.Store, w store.Write, n int64)) func() func(store.Store) store.Store {
	return func() func(store.Store) store.Store {
		n := new(atomic.Int64)
		return func(st store.Store) store.Store { return again{st, n, send} }
	}
}

func (a again) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	r, err := a.Store.Commit(ctx, writes)
	for i, v := range r.Verdicts {
		if v.Code == store.Applied || v.Code == store.Landed {
			a.send(a.Store, writes[i], a.n.Add(1))
		}
	}
	return r, err
}

func reportAgain(st store.Store, w store.Write, n int64) {
	if w.Advance == nil || w.Advance.Release == nil || len(w.Advance.Release.Report) == 0 {
		return
	}
	rec, err := st.Load(context.Background(), w.Advance.ID, false)
	if err != nil || rec.Parent == uuid.Nil {
		return
	}
	topic := store.ChildTopic(rec.ID)
	_, _ = st.Commit(context.Background(), []store.Write{delivering(store.Deliver{
		ID: rec.Parent, Topic: topic, Payload: w.Advance.Release.Report, Dedupe: topic + string(rune('a'+n)),
	})})
}

// orphaning begins children before it knows what becomes of their parent's row.
func orphaning() func(store.Store) store.Store {
	return on(func(st store.Store, w store.Write) store.Write {
		if w.Advance == nil || len(w.Advance.Children) == 0 {
			return w
		}
		rec, err := st.Load(context.Background(), w.Advance.ID, true)
		if err != nil || rec.Owner == uuid.Nil && !rec.Status.Ended() {
			return w
		}
		for _, b := range w.Advance.Children {
			b.Parent, b.Detached, b.Depth = uuid.Nil, false, 0
			_, _ = st.Commit(context.Background(), []store.Write{beginning(b)})
		}
		return w
	})()
}

// hasty prunes the parents of children that are open.
type hasty struct {
	store.Store
	*hidden
}

func (h hasty) Prune(ctx context.Context, req store.PruneRequest) (store.Pruned, error) {
	p, err := h.Store.Prune(ctx, req)
	page, _ := h.List(ctx, store.Filter{TopLevel: true, Statuses: []store.Status{store.Completed, store.Failed, store.Cancelled}})
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range page.Executions {
		if !h.ids[x.ID] {
			h.ids[x.ID] = true
			p.Removed++
		}
	}
	return p, err
}

type lister struct {
	store.Store
	spoil func(f *store.Filter)
}

func listing(spoil func(f *store.Filter)) func() func(store.Store) store.Store {
	return func() func(store.Store) store.Store {
		return func(st store.Store) store.Store { return lister{st, spoil} }
	}
}

func (l lister) List(ctx context.Context, f store.Filter) (store.Page, error) {
	l.spoil(&f)
	return l.Store.List(ctx, f)
}
