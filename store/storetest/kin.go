package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func familyLists(e *env) {
	p, ids := e.parent(3)
	q, others := e.parent(2)
	c := e.takeAll(e.lease())[ids[0]]
	b := c.child()
	b.Workflow, b.Tags = "other", []string{"x"}
	c = e.advance(c, c.bears(b))
	e.advance(c, c.park(store.Failed))
	e.lists(store.Filter{Parent: p.id}, ids[2], ids[1], ids[0])
	e.lists(store.Filter{Parent: q.id}, others[1], others[0])
	e.lists(store.Filter{Parent: c.id}, b.ID)
	e.lists(store.Filter{Parent: b.ID})
	e.lists(store.Filter{Parent: newID()})
	e.lists(store.Filter{TopLevel: true}, q.id, p.id)
	e.lists(store.Filter{TopLevel: true, Parent: p.id})
	e.lists(store.Filter{TopLevel: true, Statuses: []store.Status{store.Running}, Workflow: flow}, q.id, p.id)
	e.lists(store.Filter{Parent: p.id, Statuses: []store.Status{store.Failed}}, c.id)
	e.lists(store.Filter{Parent: p.id, Statuses: []store.Status{store.Failed, store.Running}}, ids[2], ids[1], c.id)
	e.lists(store.Filter{Parent: p.id, Workflow: "other"})
	e.lists(store.Filter{Parent: c.id, Workflow: "other", Tags: []string{"x"}, Version: new(version), Queue: queue}, b.ID)
	e.lists(store.Filter{Parent: p.id, IDPrefix: ids[1].String()}, ids[1])
	var got []store.ID
	f := store.Filter{Parent: p.id, Limit: 2, Count: true}
	for more := true; more; more = f.Cursor != "" {
		page := e.list(f)
		if page.Count != 3 {
			e.failf("a page of children counts %d of 3", page.Count)
		}
		for _, x := range page.Executions {
			got = append(got, x.ID)
		}
		f.Cursor = page.Cursor
	}
	if !slices.Equal(got, []store.ID{ids[2], ids[1], ids[0]}) {
		e.failf("pages of children: %v", got)
	}
}

// endAs ends what is there of some executions.
func (e *env) endAs(s store.Status, list ...run) {
	e.tb.Helper()
	for _, r := range list {
		e.advance(r, r.park(s))
	}
}

func familyPruned(e *env) {
	p, list := e.family(2)
	b, d := list[0].child(), list[0].child()
	d.Detached = true
	list[0] = e.advance(list[0], list[0].bears(b, d))
	e.endAs(store.Completed, p, list[0], list[1])
	all := e.takeAll(e.lease())
	lone := e.running()
	e.endAs(store.Completed, lone)
	e.prunes(store.PruneRequest{Count: true}, 1)
	e.prunes(store.PruneRequest{}, 1) // two below are open
	e.gone(lone.id, "what has no family")
	e.endAs(store.Failed, all[b.ID])
	e.prunes(store.PruneRequest{}, 0) // the detached one is
	for _, id := range []store.ID{p.id, list[0].id, list[1].id, b.ID, d.ID} {
		e.load(id)
	}
	e.endAs(store.Cancelled, all[d.ID])
	e.prunes(store.PruneRequest{Count: true}, 5)
	e.prunes(store.PruneRequest{}, 5)
	for _, id := range []store.ID{p.id, list[0].id, list[1].id, b.ID, d.ID} {
		e.gone(id, "a family that has ended")
	}
	e.lists(store.Filter{Parent: p.id})
	e.lists(store.Filter{})
	r := e.running()
	again := r.child()
	again.ID = b.ID
	e.advance(r, r.bears(again))
	if rec := e.whole(b.ID); rec.Length != 1 || rec.Inbox != 0 || rec.Parent != r.id || rec.Status != store.Pending {
		e.failf("a child began with what was there before: %s", describe(rec.Execution))
	}
}

func familyPrunedAge(e *env) {
	const age = 60 * time.Millisecond
	p, list := e.family(1)
	e.endAs(store.Completed, p)
	ended := e.load(p.id).Ended
	e.until("the parent is old enough", func() bool { return e.now().Sub(ended) > age })
	e.endAs(store.Completed, list...)
	last := e.load(list[0].id).Ended
	var res store.Pruned
	e.until("the family is old enough", func() bool {
		var err error
		res, err = e.st.Prune(e.ctx(), store.PruneRequest{Age: age})
		e.ok(err, "prune")
		return res.Removed > 0
	})
	if res.Removed != 2 || res.Now.Sub(last) < age {
		e.failf("%d of a family of 2 went %s after the last end, the age is %s", res.Removed, res.Now.Sub(last), age)
	}
}

func familyPrunedFilter(e *env) {
	r := e.running()
	b := r.child()
	b.Workflow, b.Version = "other", "v2"
	r = e.advance(r, r.bears(b))
	req := usual(e.lease())
	req.Definitions = []store.Definition{{Workflow: "other", Version: "v2"}}
	rec := e.claimAs(req).Records[0]
	e.endAs(store.Failed, run{rec.ID, req.Owner, rec.Epoch, rec.Length})
	e.endAs(store.Completed, r)
	for _, count := range []bool{true, false} {
		e.prunes(store.PruneRequest{Workflow: "other", Count: count}, 0)
		e.prunes(store.PruneRequest{Version: new("v2"), Count: count}, 0)
		e.prunes(store.PruneRequest{Statuses: []store.Status{store.Failed}, Count: count}, 0)
		e.prunes(store.PruneRequest{Workflow: flow, Version: new(version), Statuses: []store.Status{store.Completed}, Count: count}, 2)
	}
}

func familyPrunedLarge(e *env) {
	p, list := e.family(5)
	b := list[0].child()
	list[0] = e.advance(list[0], list[0].bears(b))
	e.endAs(store.Completed, append(list, p, e.takeAll(e.lease())[b.ID])...)
	removed := 0
	for removed < 7 {
		res, err := e.st.Prune(e.ctx(), store.PruneRequest{Limit: 3})
		e.ok(err, "prune")
		if res.Removed < 1 || res.Removed > 3 || removed+res.Removed < 7 && !res.More {
			e.failf("Prune with a limit of 3 removed %d of a family of 7, more %v", res.Removed, res.More)
		}
		removed += res.Removed
		there := map[store.ID]bool{}
		page := e.list(store.Filter{})
		for _, x := range page.Executions {
			there[x.ID] = true
		}
		for _, x := range page.Executions {
			if x.Parent != uuid.Nil && !there[x.Parent] {
				e.failf("a parent went before its child: %s", describe(x))
			}
		}
	}
	// A small one is not torn apart.
	p, list = e.family(2)
	e.endAs(store.Completed, append(list, p)...)
	p2, list2 := e.family(2)
	e.endAs(store.Completed, append(list2, p2)...)
	res, err := e.st.Prune(e.ctx(), store.PruneRequest{Limit: 4})
	e.ok(err, "prune")
	if left := e.list(store.Filter{Count: true}).Count; res.Removed != 3 || !res.More || left != 3 {
		e.failf("of two families of 3, Prune with a limit of 4 removed %d, more %v, and %d are left", res.Removed, res.More, left)
	}
	e.prunes(store.PruneRequest{}, 3)
}

func familyRestart(e *env) {
	p, list := e.family(2)
	e.advance(list[0], list[0].ends(store.Completed, "done"))
	e.restart()
	e.told(p.id, "after a restart", store.ChildTopic(list[0].id))
	e.lists(store.Filter{Parent: p.id}, list[1].id, list[0].id)
	e.advance(p, p.leaves(store.Cancelled))
	e.restart()
	e.told(list[1].id, "after a restart", "parent")
}
