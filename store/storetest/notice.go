package storetest

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

func familyNotice(e *env) {
	for _, s := range []store.Status{store.Completed, store.Failed, store.Cancelled} {
		p, list := e.family(3)
		a := p.leaves(s)
		a.Release.Family.Payload = awkward()
		e.advance(p, a)
		for _, c := range list {
			rec := e.load(c.id)
			if len(rec.Messages) != 1 || rec.Inbox != 1 || rec.Owner != c.owner || rec.Epoch != c.epoch || rec.Status != store.Running {
				e.failf("the parent ended as %s, and a child: %s, %d messages", s, describe(rec.Execution), len(rec.Messages))
			}
			if m := rec.Messages[0]; m.Seq != 1 || m.Topic != "parent" || string(m.Payload) != string(awkward()) || m.Wait != "" || m.At.IsZero() {
				e.failf("the parent ended as %s, and a child was told %+v", s, m)
			}
		}
		r, err := e.st.Renew(e.ctx(), store.Lease{Who: list[0].owner, Duration: time.Hour})
		e.ok(err, "renew")
		for _, o := range r.Owned {
			if o.Inbox != 1 {
				e.failf("a renewal does not tell of the notice: %+v", o)
			}
		}
	}
}

func familyNoticeWakes(e *env) {
	p, list := e.family(7)
	hour := e.now().Add(time.Hour)
	sleeps := list[0].waitFor(list[0].wait("w", ""))
	sleeps.Release.Due = hour
	e.advance(list[0], sleeps)
	e.advance(list[1], list[1].waitFor(list[1].wait("w", "another topic")))
	retries := list[2].park(store.Pending)
	retries.Release.Due = hour
	e.advance(list[2], retries)
	e.advance(list[3], list[3].park(store.Pending))
	blocks := list[4].park(store.Blocked)
	blocks.Release.Blocked = "now"
	e.advance(list[4], blocks)
	undoes := list[5].park(store.Compensating)
	undoes.Release.Due = hour
	e.advance(list[5], undoes)
	c := cancel(p.id)
	c.Family = &store.Notice{Topic: "parent"}
	e.one(controlling(c), store.Applied, "cancel the parent")
	for i, why := range []string{"one that sleeps", "one that waits for a message", "one that retries in an hour", "one that is due"} {
		e.isDue(list[i].id, why)
	}
	for i, s := range map[int]store.Status{4: store.Blocked, 5: store.Compensating, 6: store.Running} {
		if rec := e.load(list[i].id); rec.Status != s || rec.Epoch != list[i].epoch {
			e.failf("one that was %s: %s", s, describe(rec.Execution))
		}
	}
	if rec := e.load(list[5].id); !rec.Due.Equal(hour) {
		e.failf("an undo that is due in an hour: %s", describe(rec.Execution))
	}
	if len(e.waits(list[0].id)) != 1 || len(e.waits(list[1].id)) != 1 {
		e.failf("a notice must leave waits to the owner")
	}
	for _, c := range list {
		e.told(c.id, "every child", "parent")
	}
	if got := e.takeAll(e.lease()); len(got) != 4 {
		e.failf("%d of 4 can be claimed", len(got))
	}
}

func familyNoticeSpares(e *env) {
	r := e.running()
	b, c, d := r.child(), r.child(), r.child()
	b.Detached = true
	d.Due = e.now().Add(time.Hour)
	r = e.advance(r, r.bears(b, c, d))
	done := e.takeAll(e.lease())[c.ID]
	e.advance(done, done.park(store.Completed))
	stranger, own := e.pending(), e.running()
	e.advance(r, r.leaves(store.Cancelled))
	e.told(b.ID, "one that is detached")
	e.told(c.ID, "one that has ended")
	e.told(d.ID, "one that is open", "parent")
	e.told(stranger, "a stranger")
	e.told(own.id, "a stranger that runs")
	e.told(r.id, "the parent itself")
	if rec := e.load(b.ID); rec.Status != store.Running {
		e.failf("one that is detached: %s", describe(rec.Execution))
	}
}

func familyNoticeLevel(e *env) {
	p, list := e.family(1)
	c := list[0]
	b := c.child()
	c = e.advance(c, c.bears(b))
	e.advance(p, p.leaves(store.Cancelled))
	e.told(c.id, "a child", "parent")
	e.told(b.ID, "a child of a child, before the child has ended")
	a := c.leaves(store.Cancelled)
	a.Took, a.Seen, a.Release.Report = []int64{1}, 1, []byte("so do I")
	e.advance(c, a)
	e.told(b.ID, "a child of a child", "parent")
	e.told(p.id, "a parent that has ended")
}

func familyNoticeOnce(e *env) {
	p, list := e.family(1)
	a := p.leaves(store.Failed)
	e.one(advancing(a), store.Applied, "an end")
	e.one(advancing(a), store.Landed, "the same end again")
	e.told(list[0].id, "an end that came twice", "parent")
	q, list := e.family(1)
	c := cancel(q.id)
	c.Family = &store.Notice{Topic: "parent"}
	e.one(controlling(c), store.Applied, "a cancel")
	e.one(controlling(c), store.Landed, "the same again")
	e.told(list[0].id, "a cancel that came twice", "parent")
}

func familyNoticeFenced(e *env) {
	p, list := e.family(1)
	a := p.leaves(store.Failed)
	a.Base++
	e.one(advancing(a), store.Superseded, "an end out of date")
	c := cancel(p.id)
	c.From, c.Family = []store.Status{store.Waiting}, &store.Notice{Topic: "parent"}
	e.one(controlling(c), store.Ended, "a cancel of what is not waiting")
	c = cancel(newID())
	c.Family = &store.Notice{Topic: "parent"}
	e.one(controlling(c), store.NotFound, "a cancel of nobody")
	e.told(list[0].id, "no end was applied")
}

func familyNoticeBorn(e *env) {
	p, list := e.family(1)
	b, c := p.child(), p.child()
	c.Detached = true
	a := p.leaves(store.Cancelled)
	a.Children = []store.Begin{b, c}
	e.advance(p, a)
	e.told(list[0].id, "an older child", "parent")
	e.told(b.ID, "a child that began with the end", "parent")
	e.told(c.ID, "a detached one that began with the end")
}

func familyUnseen(e *env) {
	p, list := e.family(1)
	c := list[0]
	e.advance(p, p.leaves(store.Cancelled))
	a := c.ends(store.Completed, "done")
	a.Seen = 0
	if v := e.one(advancing(a), store.Unseen, "an end that does not know of the notice"); v.Inbox != 1 {
		e.failf("the verdict says %d messages, want 1", v.Inbox)
	}
}

// familyBatch is about what one batch does in its order.
func familyBatch(e *env) {
	p, list := e.family(2)
	b := p.child()
	v := e.commit(delivering(send(b.ID, "t", "too early")), advancing(p.bears(b)), delivering(send(b.ID, "t", "m1")), delivering(send(b.ID, "t", "m1")),
		advancing(list[0].ends(store.Completed, "first")), delivering(send(p.id, store.ChildTopic(list[0].id), store.ChildTopic(list[0].id))))
	for i, want := range []store.Code{store.NotFound, store.Applied, store.Applied, store.Landed, store.Applied, store.Landed} {
		if v[i].Code != want {
			e.failf("write %d: %s, want %s", i, codeName(v[i].Code), codeName(want))
		}
	}
	p.base++
	e.told(b.ID, "a child that began in the batch", "t")
	e.told(p.id, "one ended", store.ChildTopic(list[0].id))
	// The report comes before the parent's end, which does not know of it, and after it.
	last := p.leaves(store.Completed)
	last.Seen = 1
	own := list[1].ends(store.Completed, "second")
	own.Seen = 0
	v = e.commit(advancing(own), advancing(last))
	if v[0].Code != store.Applied || v[1].Code != store.Unseen || v[1].Inbox != 2 {
		e.failf("a report and then the parent's end: %s, %s", codeName(v[0].Code), codeName(v[1].Code))
	}
	c := e.takeover(b.ID)
	last.Seen = 2
	own = c.ends(store.Completed, "third")
	own.Seen = 1
	v = e.commit(advancing(last), advancing(own))
	if v[0].Code != store.Applied || v[1].Code != store.Unseen || v[1].Inbox != 2 {
		e.failf("the parent's end and then a child's: %s, %s", codeName(v[0].Code), codeName(v[1].Code))
	}
}

func familyMany(e *env) {
	const n = 100
	p, list := e.family(n)
	e.advance(p, p.waitFor(p.wait("w", store.ChildTopic(list[n-1].id))))
	var batch []store.Write
	for i, c := range list {
		batch = append(batch, advancing(c.ends(store.Completed, fmt.Sprint(i))))
	}
	for i, v := range e.commit(batch...) {
		if v.Code != store.Applied {
			e.failf("end %d: %s", i, codeName(v.Code))
		}
	}
	rec := e.load(p.id)
	if rec.Inbox != n || len(rec.Messages) != n {
		e.failf("%d ended, and %d were told of %d", n, len(rec.Messages), rec.Inbox)
	}
	for i, m := range rec.Messages {
		if string(m.Payload) != fmt.Sprint(i) {
			e.failf("message %d is %q", i, m.Payload)
		}
	}
	e.isDue(p.id, "the parent")
}
