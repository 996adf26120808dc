package storetest

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

func recallClauses() []clause {
	return []clause{
		{"recall/a completed child goes back", "CO-3", recallCompleted},
		{"recall/what could not be undone is tried again", "CO-3, CO-6", recallAgain},
		{"recall/an open child has the order", "CO-3", recallOpen},
		{"recall/what cannot go back is answered at once", "CO-3", recallAnswered},
		{"recall/an answer makes the rollback due that it comes with", "CO-3, G9", recallParked},
		{"recall/an order that is written twice comes once", "CO-3, QU-8", recallOnce},
		{"recall/a refused write recalls nobody", "CO-3, G7", recallFenced},
		{"recall/what makes no sense is refused", "CO-3, G14", recallRefused},
		{"recall/the second end of a child is told under another name", "CO-3, CO-8", recallReported},
		{"recall/many in one row, with an end of one of them", "CO-3, QU-9", recallMany},
		{"recall/a restart forgets nothing", "CO-3", recallRestart},
		{"prune/a child that completed stays while its parent may go back", "CO-3, RN-1", recallPruned},
	}
}

// goesBack makes a parent that goes back and is owned, and so many children, all owned by others.
func (e *env) goesBack(n int) (run, []run) {
	e.tb.Helper()
	p, list := e.family(n)
	e.advance(p, p.park(store.Compensating))
	return e.takeover(p.id), list
}

// recalls is a write that orders children to go back.
func (r run) recalls(dedupe string, children ...store.ID) store.Advance {
	a := r.next(fmt.Sprint("recalls ", dedupe))
	for _, id := range children {
		a.Recall = append(a.Recall, store.Deliver{ID: id, Topic: "back", Payload: awkward(), Dedupe: dedupe})
	}
	return a
}

// answer asserts what the newest message says about an order to a child.
func (e *env) answer(p run, child store.ID, n int, status store.Status) {
	e.tb.Helper()
	rec := e.load(p.id)
	if rec.Inbox != int64(n) || len(rec.Messages) != n {
		e.failf("%d answers of %d, want %d", len(rec.Messages), rec.Inbox, n)
	}
	if m := rec.Messages[n-1]; m.Topic != store.RecallTopic(child) || string(m.Payload) != string(status) || m.Wait != "" {
		e.failf("an order to one that is %q is answered by %+v", status, m)
	}
}

func recallCompleted(e *env) {
	p, list := e.goesBack(2)
	c := list[0]
	end := c.ends(store.Completed, "done")
	end.Release.ErrorCode, end.Release.Error = "code", []byte("text")
	c = e.advance(c, end)
	e.advance(list[1], list[1].park(store.Completed))
	was := e.load(c.id)
	p = e.advance(p, p.recalls("one", c.id))
	rec := e.load(c.id)
	if rec.Status != store.Compensating || rec.Due.IsZero() || rec.Due.After(rec.Now) || !rec.Ended.IsZero() || rec.ErrorCode != "" || len(rec.Error) > 0 ||
		rec.Epoch != was.Epoch || rec.Length != was.Length || rec.Queue != was.Queue || rec.Parent != p.id {
		e.failf("a completed child that is recalled: %s", describe(rec.Execution))
	}
	if m := rec.Messages; len(m) != 1 || rec.Inbox != 1 || m[0].Topic != "back" || string(m[0].Payload) != string(awkward()) {
		e.failf("a completed child that is recalled was told %+v", m)
	}
	if other := e.load(list[1].id); other.Status != store.Completed || other.Inbox != 0 {
		e.failf("a child that is not recalled: %s", describe(other.Execution))
	}
	e.told(p.id, "nobody answers for a child that goes back", store.ChildTopic(c.id))
	c = e.takeover(c.id)
	a := c.park(store.Compensated)
	a.Took, a.Seen = []int64{1}, 1
	e.advance(c, a)
	if rec := e.load(c.id); rec.Status != store.Compensated || rec.Ended.IsZero() {
		e.failf("a child that went back: %s", describe(rec.Execution))
	}
}

func recallAgain(e *env) {
	p, list := e.goesBack(1)
	c := e.advance(list[0], list[0].park(store.Compensating))
	c = e.takeover(c.id)
	e.advance(c, c.park(store.CompensationFailed))
	e.advance(p, p.recalls("one", c.id))
	if rec := e.load(c.id); rec.Status != store.Compensating || rec.Due.After(rec.Now) || !rec.Ended.IsZero() || rec.Inbox != 1 {
		e.failf("a child whose rollback failed, recalled: %s", describe(rec.Execution))
	}
	e.takeover(c.id)
}

func recallOpen(e *env) {
	p, list := e.goesBack(5)
	hour := e.now().Add(time.Hour)
	e.advance(list[0], list[0].waitFor(list[0].wait("w", "another topic")))
	retries := list[1].park(store.Pending)
	retries.Release.Due = hour
	e.advance(list[1], retries)
	undoes := list[2].park(store.Compensating)
	undoes.Release.Due = hour
	e.advance(list[2], undoes)
	e.advance(list[3], list[3].park(store.Blocked))
	p = e.advance(p, p.recalls("one", list[0].id, list[1].id, list[2].id, list[3].id, list[4].id))
	e.isDue(list[0].id, "one that waits for something else")
	e.isDue(list[1].id, "one that retries in an hour")
	if rec := e.load(list[2].id); rec.Status != store.Compensating || rec.Due.After(rec.Now) {
		e.failf("one that goes back already: %s", describe(rec.Execution))
	}
	if rec := e.load(list[3].id); rec.Status != store.Blocked {
		e.failf("one that is blocked: %s", describe(rec.Execution))
	}
	if rec := e.load(list[4].id); rec.Status != store.Running || rec.Owner != list[4].owner || rec.Epoch != list[4].epoch {
		e.failf("one that runs: %s", describe(rec.Execution))
	}
	for _, c := range list {
		e.told(c.id, "an open child", "back")
	}
	e.told(p.id, "nobody answers for open children")
	end := list[4].park(store.Completed)
	end.Seen = 0
	e.one(advancing(end), store.Unseen, "an end that does not know of the order")
}

func recallAnswered(e *env) {
	p, list := e.goesBack(4)
	stranger, other := e.running(), e.running()
	e.endAs(store.Completed, stranger, other)
	n := 0
	expect := func(child store.ID, status store.Status) {
		n++
		p = e.advance(p, p.recalls("one", child))
		e.answer(p, child, n, status)
	}
	for i, s := range []store.Status{store.Failed, store.Cancelled} {
		e.endAs(s, list[i])
		expect(list[i].id, s)
	}
	c := e.advance(list[2], list[2].park(store.Compensating))
	e.endAs(store.Compensated, e.takeover(c.id))
	expect(c.id, store.Compensated)
	expect(stranger.id, "")
	expect(newID(), "")
	expect(p.id, "")
	if rec := e.load(stranger.id); rec.Status != store.Completed || rec.Inbox != 0 {
		e.failf("a stranger that is recalled: %s", describe(rec.Execution))
	}
	if rec := e.load(list[3].id); rec.Status != store.Running || rec.Inbox != 0 {
		e.failf("a child that is not recalled: %s", describe(rec.Execution))
	}
	p = e.advance(p, p.recalls("one", list[0].id))
	e.told(p.id, "one that is ordered again under the same name has been answered",
		store.RecallTopic(list[0].id), store.RecallTopic(list[1].id), store.RecallTopic(c.id), store.RecallTopic(stranger.id), e.load(p.id).Messages[4].Topic, store.RecallTopic(p.id))
}

func recallParked(e *env) {
	p, list := e.goesBack(2)
	e.endAs(store.Failed, list[0])
	a := p.recalls("one", list[0].id)
	a.Release = &store.Release{Status: store.Compensating, Due: e.now().Add(time.Hour)}
	if v := e.one(advancing(a), store.Applied, "an order with a release"); v.Inbox != 1 {
		e.failf("the verdict says %d messages, want 1", v.Inbox)
	}
	e.one(advancing(a), store.Landed, "the same again")
	p = e.takeover(p.id)
	e.answer(p, list[0].id, 1, store.Failed)
	e.endAs(store.Completed, list[1])
	a = p.recalls("two", list[1].id)
	a.Release = &store.Release{Status: store.Compensating, Due: e.now().Add(time.Hour)}
	e.advance(p, a)
	if rec := e.load(p.id); !rec.Due.Equal(a.Release.Due) || rec.Inbox != 1 {
		e.failf("a parent that waits for a child to go back: %s", describe(rec.Execution))
	}
	e.takeover(list[1].id)
}

func recallOnce(e *env) {
	p, list := e.goesBack(1)
	c := list[0]
	e.endAs(store.Completed, c)
	a := p.recalls("one", c.id)
	p = e.advance(p, a)
	e.one(advancing(a), store.Landed, "the same order again")
	e.told(c.id, "an order that came twice", "back")
	c = e.takeover(c.id)
	e.endAs(store.CompensationFailed, c)
	e.one(advancing(a), store.Landed, "the same order, when the child has ended")
	p = e.advance(p, p.recalls("one", c.id))
	if rec := e.load(c.id); rec.Status != store.CompensationFailed || rec.Inbox != 1 {
		e.failf("an order under a name that was used: %s", describe(rec.Execution))
	}
	e.told(p.id, "an order under a name that was used")
	e.advance(p, p.recalls("two", c.id))
	if rec := e.load(c.id); rec.Status != store.Compensating || rec.Inbox != 2 {
		e.failf("a second order: %s", describe(rec.Execution))
	}
}

func recallFenced(e *env) {
	p, list := e.goesBack(1)
	c := list[0]
	e.endAs(store.Completed, c)
	e.one(delivering(send(p.id, "t", "m1")), store.Applied, "send")
	try := func(why string, want store.Code, spoil func(a *store.Advance)) {
		a := p.recalls("one", c.id)
		spoil(&a)
		e.one(advancing(a), want, why)
	}
	try("another epoch", store.Superseded, func(a *store.Advance) { a.Epoch++ })
	try("another owner", store.Superseded, func(a *store.Advance) { a.Owner = e.lease() })
	try("an old base", store.Superseded, func(a *store.Advance) { a.Base-- })
	try("an unseen message", store.Unseen, func(a *store.Advance) { a.Seen = 0 })
	try("too early", store.Early, func(a *store.Advance) { a.NotBefore = e.now().Add(time.Hour) })
	if rec := e.load(c.id); rec.Status != store.Completed || rec.Inbox != 0 || rec.Ended.IsZero() {
		e.failf("no order was applied: %s", describe(rec.Execution))
	}
}

func recallRefused(e *env) {
	p, list := e.goesBack(2)
	e.endAs(store.Completed, list...)
	for why, spoil := range map[string]func(a *store.Advance){
		"without a row":    func(a *store.Advance) { a.Row = nil },
		"without a dedupe": func(a *store.Advance) { a.Recall[0].Dedupe = "" },
		"without a topic":  func(a *store.Advance) { a.Recall[0].Topic = "" },
		"twice":            func(a *store.Advance) { a.Recall = append(a.Recall, a.Recall[0]) },
	} {
		a := p.recalls("one", list[0].id)
		spoil(&a)
		e.refused("an order to a child "+why, advancing(a))
	}
	end := p.park(store.CompensationFailed)
	end.Release.Dedupe = "x"
	e.refused("a dedupe name of no report", advancing(end))
	q, kids := e.family(1)
	e.endAs(store.Completed, kids[0])
	e.refused("an order of one that does not go back", advancing(q.recalls("one", kids[0].id)))
	for _, c := range append(list, kids...) {
		if rec := e.load(c.id); rec.Status != store.Completed || rec.Inbox != 0 {
			e.failf("no order was accepted: %s", describe(rec.Execution))
		}
	}
	for _, s := range store.Statuses() {
		if back := s == store.Completed || s == store.CompensationFailed; store.Recallable(s) != back || s.Ended() && store.Legal(s, store.Compensating) != back {
			e.failf("whether %s may go back", s)
		}
		if s != store.Compensating && store.Legal(store.Completed, s) {
			e.failf("completed may become %s", s)
		}
	}
}

func recallReported(e *env) {
	p, list := e.goesBack(1)
	c := e.advance(list[0], list[0].ends(store.Completed, "first"))
	p = e.advance(p, p.recalls("one", c.id))
	c = e.takeover(c.id)
	silent := c.ends(store.CompensationFailed, "under the same name")
	silent.Took = []int64{1}
	e.advance(c, silent)
	e.told(p.id, "an end under a name that was used", store.ChildTopic(c.id))
	for i, order := range []string{"two", "three"} {
		a := p.recalls(order, c.id)
		a.Release = &store.Release{Status: store.Compensating, Due: e.now().Add(time.Hour)}
		e.advance(p, a)
		c = e.takeover(c.id)
		end := c.ends(store.CompensationFailed, order)
		end.Release.Topic, end.Release.Dedupe = store.RecallTopic(c.id), store.RecallDedupe(c.id, order)
		e.one(advancing(end), store.Applied, "an end after an order")
		e.one(advancing(end), store.Landed, "the same again")
		p = e.takeover(p.id) // it is due
		if rec := e.load(p.id); rec.Inbox != int64(i+2) || string(rec.Messages[i+1].Payload) != order || rec.Messages[i+1].Topic != store.RecallTopic(c.id) {
			e.failf("a parent was told %+v of a child that went back", rec.Messages)
		}
	}
	// The answer to an order that comes too late is the report of the child.
	e.endAs(store.CompensationFailed, p)
}

func recallMany(e *env) {
	const n = 40
	p, list := e.goesBack(n)
	var want []string
	ids := make([]store.ID, n)
	for i, c := range list {
		ids[i] = c.id
		if i < n/2 {
			e.endAs(store.Completed, c)
		} else if i < n-1 {
			e.endAs(store.Failed, c)
			want = append(want, store.RecallTopic(c.id))
		}
	}
	last := list[n-1]
	want = append(want, store.RecallTopic(last.id))
	for i, v := range e.commit(advancing(last.park(store.Cancelled)), advancing(p.recalls("one", ids...))) {
		if v.Code != store.Applied {
			e.failf("write %d: %s", i, codeName(v.Code))
		}
	}
	e.told(p.id, "those that cannot go back are answered, in the order of the orders", want...)
	for i, id := range ids[:n/2] {
		if rec := e.load(id); rec.Status != store.Compensating || rec.Inbox != 1 {
			e.failf("child %d: %s", i, describe(rec.Execution))
		}
	}
	if got := e.takeAll(e.lease()); len(got) != n/2 {
		e.failf("%d of %d can be claimed", len(got), n/2)
	}
}

func recallRestart(e *env) {
	p, list := e.goesBack(2)
	e.endAs(store.Completed, list[0])
	e.endAs(store.Failed, list[1])
	e.advance(p, p.recalls("one", list[0].id, list[1].id))
	e.restart()
	e.told(list[0].id, "after a restart", "back")
	e.told(p.id, "after a restart", store.RecallTopic(list[1].id))
	if rec := e.load(list[0].id); rec.Status != store.Compensating {
		e.failf("after a restart: %s", describe(rec.Execution))
	}
	e.takeover(list[0].id)
}

func recallPruned(e *env) {
	p, list := e.goesBack(2)
	e.endAs(store.Completed, list...)
	e.prunes(store.PruneRequest{}, 0)
	e.prunes(store.PruneRequest{Statuses: []store.Status{store.Completed}}, 0)
	e.advance(p, p.recalls("one", list[0].id))
	back := e.takeover(list[0].id)
	e.endAs(store.CompensationFailed, e.taken(p.id))
	e.prunes(store.PruneRequest{}, 0) // one of them goes back
	e.load(list[1].id)
	e.endAs(store.Compensated, back)
	e.prunes(store.PruneRequest{Count: true}, 3)
	e.prunes(store.PruneRequest{}, 3)
	e.gone(list[0].id, "a family that has ended")
}

// taken is an owned execution as its owner has it.
func (e *env) taken(id store.ID) run {
	e.tb.Helper()
	rec := e.load(id)
	return run{id, rec.Owner, rec.Epoch, rec.Length}
}
