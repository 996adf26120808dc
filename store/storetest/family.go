package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func familyClauses() []clause {
	return []clause{
		{"family/a child begins with a row of its parent", "CH-2", familyBegins},
		{"family/a refused write begins no child", "CH-2, G7", familyFenced},
		{"family/the same write again begins nothing twice", "CH-2, QU-8", familyAgain},
		{"family/an id that exists is left alone", "CH-2", familyExists},
		{"family/what makes no sense is refused", "CH-2", familyRefused},
		{"family/a refused batch begins no child", "CH-2, QU-9", familyBatchRefused},
		{"family/an end is told to the parent", "CH-1, CH-2", familyReport},
		{"family/a report wakes as a message does", "CH-2, G9", familyReportWakes},
		{"family/a report with a topic of its own", "EA-6", familyReportTopic},
		{"family/a report makes a parent due whose rollback is parked", "CO-5, G9", familyReportCompensating},
		{"family/a report needs no room", "CH-2, EV-9", familyReportRoom},
		{"family/an end that is written twice is told once", "CH-2, QU-8", familyReportOnce},
		{"family/an end without a report tells nothing", "CH-1", familySilent},
		{"family/a refused end tells nothing", "CH-2, G7", familyReportFenced},
		{"family/a parent that has ended hears nothing", "CH-4", familyParentEnded},
		{"family/an end from outside is told, too", "CN-4, CH-1", familyReportControl},
		{"family/an end is told to the children", "CH-4, CN-4", familyNotice},
		{"family/a notice wakes whatever is not owned", "CH-4", familyNoticeWakes},
		{"family/a notice reaches neither the detached nor the ended", "CH-4", familyNoticeSpares},
		{"family/a notice goes one level", "CH-4", familyNoticeLevel},
		{"family/a notice that is written twice comes once", "CH-4, QU-8", familyNoticeOnce},
		{"family/a refused end gives no notice", "CH-4, G7", familyNoticeFenced},
		{"family/children that begin with the end of their parent", "CH-4", familyNoticeBorn},
		{"family/an owner sees a notice before it ends", "CH-4, CN-2", familyUnseen},
		{"family/all in one batch, in order", "CH-2, QU-9", familyBatch},
		{"family/many ends in one batch", "CH-2, EA-6", familyMany},
		{"family/a row tells children", "CH-5, PA-5", familyTold},
		{"family/a row tells nobody else", "CH-5, G7", familyToldSpares},
		{"list/by parent and top level", "QY-2, CH-6", familyLists},
		{"prune/a family goes when all have ended", "RN-1", familyPruned},
		{"prune/the age of a family is that of its last end", "RN-1", familyPrunedAge},
		{"prune/a family counts as many as it is, and its root decides", "RN-1, CL-3", familyPrunedFilter},
		{"prune/a family larger than the limit goes children first", "RN-1", familyPrunedLarge},
		{"family/a restart forgets nothing", "CH-2", familyRestart},
	}
}

// child is the plainest child of a run.
func (r run) child() store.Begin {
	b := start()
	b.Parent, b.Depth = r.id, 1
	return b
}

// bears is a write that begins children.
func (r run) bears(children ...store.Begin) store.Advance {
	a := r.next(fmt.Sprint("bears ", len(children)))
	a.Children = children
	return a
}

// ends is an end that is told to the parent.
func (r run) ends(s store.Status, report string) store.Advance {
	a := r.park(s)
	a.Release.Report = []byte(report)
	return a
}

// leaves is an end that is told to the children.
func (r run) leaves(s store.Status) store.Advance {
	a := r.park(s)
	a.Release.Family = &store.Notice{Topic: "parent", Payload: []byte("gone")}
	return a
}

// parent makes a run that has so many children, all pending.
func (e *env) parent(n int) (run, []store.ID) {
	e.tb.Helper()
	r := e.running()
	children, list := make([]store.Begin, n), make([]store.ID, n)
	for i := range children {
		children[i] = r.child()
		list[i] = children[i].ID
	}
	return e.advance(r, r.bears(children...)), list
}

// takeAll claims all there is and returns it by ID.
func (e *env) takeAll(who store.Incarnation) map[store.ID]run {
	e.tb.Helper()
	all := map[store.ID]run{}
	req := usual(who)
	req.Queues[queue] = 1000
	for _, rec := range e.claimAs(req).Records {
		all[rec.ID] = run{rec.ID, who, rec.Epoch, rec.Length}
	}
	return all
}

// family makes a parent that waits for nothing and so many children, all owned.
func (e *env) family(n int) (run, []run) {
	e.tb.Helper()
	p, ids := e.parent(n)
	all := e.takeAll(e.lease())
	list := make([]run, n)
	for i, id := range ids {
		if list[i] = all[id]; list[i].id != id {
			e.failf("a child cannot be claimed: %s", describe(e.load(id).Execution))
		}
	}
	return p, list
}

// told asserts which topics are in an inbox.
func (e *env) told(id store.ID, why string, topics ...string) {
	e.tb.Helper()
	rec := e.load(id)
	var got []string
	for _, m := range rec.Messages {
		got = append(got, m.Topic)
	}
	if !slices.Equal(got, topics) || rec.Inbox != int64(len(topics)) {
		e.failf("%s: the inbox has %q (%d), want %q", why, got, rec.Inbox, topics)
	}
}

// isDue asserts that an execution can be claimed now.
func (e *env) isDue(id store.ID, why string) {
	e.tb.Helper()
	if rec := e.load(id); rec.Status != store.Pending || rec.Due.IsZero() || rec.Due.After(rec.Now) {
		e.failf("%s must be pending and due: %s", why, describe(rec.Execution))
	}
}

func (e *env) gone(id store.ID, why string) {
	e.tb.Helper()
	_, err := e.st.Load(e.ctx(), id, false)
	e.is(err, store.ErrNotFound, why)
}

func familyBegins(e *env) {
	r := e.running()
	b, c := r.child(), r.child()
	b.Workflow, b.Version, b.Queue, b.Priority, b.Tags, b.Depth, b.Detached = "other", "v9", "slow", 7, []string{"x", "y"}, 3, true
	b.InputHash, b.Row = awkward(), awkward()
	c.Due = e.now().Add(time.Hour)
	e.advance(r, r.bears(b, c))
	got := e.whole(b.ID)
	want := store.Execution{
		ID: b.ID, Workflow: "other", Version: "v9", Queue: "slow", Priority: 7, Tags: []string{"x", "y"}, Status: store.Pending,
		Length: 1, Parent: r.id, Detached: true, Depth: 3,
	}
	slices.Sort(got.Tags)
	want.Due, want.Created, want.Changed = got.Due, got.Created, got.Changed
	if d := differ(want, got.Execution); d != "" {
		e.failf("a child began as another: %s", d)
	}
	if len(got.Rows) != 1 || got.Rows[0].Seq != 1 || got.Rows[0].Epoch != 0 || string(got.Rows[0].Body) != string(b.Row) || got.Due.After(got.Now) || got.Created.IsZero() {
		e.failf("a child began with %d rows, due %v", len(got.Rows), got.Due)
	}
	if later := e.load(c.ID); !later.Due.Equal(c.Due) || later.Detached || later.Depth != 1 || later.Parent != r.id {
		e.failf("a second child: %s, parent %s", describe(later.Execution), later.Parent)
	}
	if is := e.load(r.id); is.Parent != uuid.Nil || is.Length != r.base+1 || is.Owner != r.owner {
		e.failf("the parent: %s", describe(is.Execution))
	}
	req := usual(e.lease())
	req.Queues, req.Definitions = map[string]int{"slow": 5}, []store.Definition{{Workflow: "other", Version: "v9"}}
	if c := e.claimAs(req); len(c.Records) != 1 || c.Records[0].Parent != r.id || c.Records[0].Depth != 3 || !c.Records[0].Detached {
		e.failf("a child is claimed with what it is: %+v", c.Records)
	}
}

func familyFenced(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	var tried []store.ID
	try := func(why string, want store.Code, spoil func(a *store.Advance)) {
		b := r.child()
		a := r.bears(b)
		spoil(&a)
		e.one(advancing(a), want, why)
		tried = append(tried, b.ID)
	}
	try("another epoch", store.Superseded, func(a *store.Advance) { a.Epoch++ })
	try("another owner", store.Superseded, func(a *store.Advance) { a.Owner = e.lease() })
	try("an old base", store.Superseded, func(a *store.Advance) { a.Base-- })
	try("an unseen message", store.Unseen, func(a *store.Advance) { a.Seen = 0 })
	try("too early", store.Early, func(a *store.Advance) { a.NotBefore = e.now().Add(time.Hour) })
	try("no room", store.Full, func(a *store.Advance) {
		a.Holds = []store.Hold{{Name: "gpu", Amount: 2, Limit: 1, Until: e.now().Add(time.Hour)}}
	})
	e.one(controlling(cancel(r.id)), store.Applied, "cancel the parent")
	try("a parent that was cancelled", store.Superseded, func(*store.Advance) {})
	for _, id := range tried {
		e.gone(id, "a child of a write that was not applied")
	}
	e.lists(store.Filter{Parent: r.id})
}

func familyAgain(e *env) {
	r := e.running()
	b := r.child()
	a := r.bears(b)
	r = e.advance(r, a)
	for range 2 {
		e.one(advancing(a), store.Landed, "the same write again")
	}
	c := e.takeover(b.ID)
	e.advance(c, c.next("goes on"))
	e.one(advancing(a), store.Landed, "the same write, when the child has gone on")
	if rec := e.load(b.ID); rec.Length != 2 || rec.Owner != c.owner {
		e.failf("a write that had landed changed the child: %s", describe(rec.Execution))
	}
	e.lists(store.Filter{Parent: r.id}, b.ID)
}

func familyExists(e *env) {
	r, other := e.running(), e.running()
	b := r.child()
	r = e.advance(r, r.bears(b))
	again := b
	again.Row, again.Workflow = []byte("another"), "other"
	e.advance(r, r.bears(again, r.child()))
	if rec := e.whole(b.ID); len(rec.Rows) != 1 || string(rec.Rows[0].Body) != "began" || rec.Workflow != flow {
		e.failf("a second beginning changed a child: %s", describe(rec.Execution))
	}
	b.Parent, b.Row = other.id, []byte("a third")
	e.advance(other, other.bears(b))
	if rec := e.whole(b.ID); rec.Parent != r.id || string(rec.Rows[0].Body) != "began" {
		e.failf("a child went to another parent: %s", describe(rec.Execution))
	}
	e.lists(store.Filter{Parent: other.id})
}

func familyRefused(e *env) {
	r := e.running()
	for why, spoil := range map[string]func(a *store.Advance){
		"no row of the parent": func(a *store.Advance) { a.Row = nil },
		"no row of the child":  func(a *store.Advance) { a.Children[0].Row = nil },
		"no parent":            func(a *store.Advance) { a.Children[0].Parent = uuid.Nil },
		"another parent":       func(a *store.Advance) { a.Children[0].Parent = newID() },
		"an owner":             func(a *store.Advance) { a.Children[0].Owner = r.owner },
		"a key":                func(a *store.Advance) { a.Children[0].Key = "k" },
		"one twice":            func(a *store.Advance) { a.Children = append(a.Children, a.Children[0]) },
		"itself":               func(a *store.Advance) { a.Children[0].ID = r.id },
		"a topic of no report": func(a *store.Advance) { a.Release = &store.Release{Status: store.Completed, Topic: "x"} },
		"a report of no end":   func(a *store.Advance) { a.Release = &store.Release{Status: store.Pending, Report: []byte("x")} },
		"a notice of no end": func(a *store.Advance) {
			a.Release = &store.Release{Status: store.Pending, Family: &store.Notice{Topic: "t"}}
		},
		"a notice without topic": func(a *store.Advance) { a.Release = &store.Release{Status: store.Failed, Family: &store.Notice{}} },
	} {
		a := r.bears(r.child())
		spoil(&a)
		e.refused(why, advancing(a))
	}
	e.refused("a parent in a write of its own", beginning(r.child()))
	b := start()
	b.Detached = true
	e.refused("detached from nobody", beginning(b))
	b.Detached, b.Depth = false, 1
	e.refused("depth below nobody", beginning(b))
	c := r.child()
	own := start()
	own.ID = c.ID
	e.refused("a child that begins by itself, too", advancing(r.bears(c)), beginning(own))
	e.refused("a child that is controlled, too", advancing(r.bears(c)), controlling(cancel(c.ID)))
	e.untouched(r)
	e.lists(store.Filter{}, r.id)
}

func familyBatchRefused(e *env) {
	r, other := e.running(), e.running()
	b := r.child()
	e.refused("a batch with a write that cannot be", advancing(r.bears(b)), advancing(other.park(store.Running)))
	e.gone(b.ID, "a child of a refused batch")
	e.untouched(r)
}

func familyReport(e *env) {
	for _, s := range []store.Status{store.Completed, store.Failed, store.Cancelled, store.Compensated, store.CompensationFailed} {
		p, list := e.family(1)
		c := list[0]
		a := c.ends(s, "")
		a.Release.Report = awkward()
		e.advance(c, a)
		rec := e.load(p.id)
		if rec.Inbox != 1 || len(rec.Messages) != 1 || rec.Owner != p.owner || rec.Epoch != p.epoch || rec.Status != store.Running {
			e.failf("a child ended as %s, and its parent: %s, %d messages", s, describe(rec.Execution), len(rec.Messages))
		}
		m := rec.Messages[0]
		if m.Seq != 1 || m.Topic != store.ChildTopic(c.id) || string(m.Payload) != string(awkward()) || m.Wait != "" || m.At.IsZero() {
			e.failf("a child ended as %s, and its parent was told %+v", s, m)
		}
		t := p.next("took")
		t.Took, t.Seen = []int64{1}, 1
		p = e.advance(p, t)
		e.emptied(p.id, 1)
	}
}

// emptied asserts that an inbox is empty again after so many messages.
func (e *env) emptied(id store.ID, ever int64) {
	e.tb.Helper()
	if rec := e.load(id); len(rec.Messages) != 0 || rec.Inbox != ever {
		e.failf("the inbox has %d messages of %d, want none of %d", len(rec.Messages), rec.Inbox, ever)
	}
}

func familyReportWakes(e *env) {
	p, list := e.family(3)
	w := p.wait("w", store.ChildTopic(list[1].id))
	a := p.waitFor(w)
	a.Release.Due = e.now().Add(time.Hour)
	e.advance(p, a)
	e.advance(list[0], list[0].ends(store.Completed, "first"))
	if rec := e.load(p.id); rec.Status != store.Waiting || !rec.Due.Equal(a.Release.Due) || rec.Inbox != 1 {
		e.failf("a child that is not waited for ended: %s", describe(rec.Execution))
	}
	e.advance(list[1], list[1].ends(store.Failed, "second"))
	e.isDue(p.id, "a parent that waits for a child")
	if len(e.waits(p.id)) != 1 {
		e.failf("a report must leave the wait to its owner")
	}
	e.advance(list[2], list[2].ends(store.Completed, "third"))
	p = e.takeover(p.id)
	e.told(p.id, "three ended", store.ChildTopic(list[0].id), store.ChildTopic(list[1].id), store.ChildTopic(list[2].id))
}

func familyReportTopic(e *env) {
	p, list := e.family(3)
	ends := func(c run, topic string) store.Advance {
		a := c.ends(store.Completed, "done")
		a.Release.Topic = topic
		return a
	}
	e.advance(p, p.waitFor(p.wait("w", "items")))
	e.advance(list[0], ends(list[0], "others"))
	if rec := e.load(p.id); rec.Status != store.Waiting {
		e.failf("a report of another topic woke it: %s", describe(rec.Execution))
	}
	e.advance(list[1], ends(list[1], "items"))
	e.isDue(p.id, "a parent that waits for that topic")
	if rec := e.load(p.id); !rec.Due.Equal(rec.Created) {
		e.failf("a parent that was created at %s is due since %s", rec.Created, rec.Due)
	}
	c := list[2]
	e.one(advancing(ends(c, "items")), store.Applied, "the end of a child")
	e.one(advancing(ends(c, "items")), store.Landed, "the same again")
	e.told(p.id, "three ended", "others", "items", "items")
}

func familyReportCompensating(e *env) {
	r, children := e.family(2)
	a := r.park(store.Compensating)
	a.Release.Due = e.now().Add(time.Hour)
	r = e.advance(r, a)
	e.nobody("a rollback that waits")
	end := children[0].park(store.Completed)
	end.Release.Report = []byte("done")
	e.advance(children[0], end)
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Due.After(rec.Now) || len(rec.Messages) != 1 {
		e.failf("a report must make it due: %s, %+v", describe(rec.Execution), rec.Messages)
	}
	s := e.takeover(r.id)
	end = children[1].park(store.Completed)
	end.Release.Report = []byte("done")
	e.advance(children[1], end)
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Owner != s.owner || len(rec.Messages) != 2 {
		e.failf("a report must not disturb the owner: %s, %+v", describe(rec.Execution), rec.Messages)
	}
}

func familyReportRoom(e *env) {
	p, list := e.family(2)
	d := send(p.id, "t", "m1")
	d.Max = 1
	e.one(delivering(d), store.Applied, "send")
	e.advance(list[0], list[0].ends(store.Completed, "though the inbox is full"))
	d.Dedupe = "m2"
	e.one(delivering(d), store.Full, "the second of one")
	t := p.next("took the first")
	t.Took = []int64{1}
	p = e.advance(p, t)
	e.one(delivering(d), store.Applied, "one of one, as reports do not count")
	e.advance(list[1], list[1].ends(store.Completed, "and another"))
	if rec := e.load(p.id); rec.Inbox != 4 || len(rec.Messages) != 3 {
		e.failf("two reports and two messages, one taken: %d of %d", len(rec.Messages), rec.Inbox)
	}
}

func familyReportOnce(e *env) {
	p, list := e.family(1)
	c := list[0]
	a := c.ends(store.Completed, "done")
	e.one(advancing(a), store.Applied, "the end of a child")
	for range 2 {
		e.one(advancing(a), store.Landed, "the same end again")
	}
	e.told(p.id, "an end that came three times", store.ChildTopic(c.id))
	t := p.next("took")
	t.Took = []int64{1}
	p = e.advance(p, t)
	e.one(advancing(a), store.Landed, "the same end, when the report is taken")
	e.emptied(p.id, 1)
}

func familySilent(e *env) {
	p, list := e.family(3)
	e.advance(list[0], list[0].park(store.Completed))
	e.advance(list[1], list[1].park(store.Pending))
	e.one(controlling(cancel(list[2].id)), store.Applied, "cancel without a report")
	e.told(p.id, "no report")
	r := e.running()
	e.advance(r, r.ends(store.Completed, "to nobody"))
}

func familyReportFenced(e *env) {
	p, list := e.family(1)
	c := list[0]
	a := c.ends(store.Completed, "done")
	a.Epoch++
	e.one(advancing(a), store.Superseded, "the end of a child by somebody else")
	a.Epoch, a.NotBefore = c.epoch, e.now().Add(time.Hour)
	e.one(advancing(a), store.Early, "an end before its time")
	e.refused("a batch that cannot be", advancing(c.ends(store.Completed, "done")), advancing(p.park(store.Running)))
	e.told(p.id, "no end was applied")
	e.advance(c, c.ends(store.Failed, "failed"))
	e.told(p.id, "an end was applied", store.ChildTopic(c.id))
}

func familyParentEnded(e *env) {
	p, list := e.family(1)
	e.advance(p, p.park(store.Completed))
	e.advance(list[0], list[0].ends(store.Completed, "too late"))
	e.told(p.id, "a parent that has ended")
}

func familyReportControl(e *env) {
	p, list := e.family(1)
	e.advance(p, p.waitFor(p.wait("w", store.ChildTopic(list[0].id))))
	c := cancel(list[0].id)
	c.Report = []byte("cancelled")
	e.one(controlling(c), store.Applied, "cancel a child")
	e.one(controlling(c), store.Landed, "the same again")
	e.told(p.id, "a child was cancelled", store.ChildTopic(list[0].id))
	e.isDue(p.id, "the parent")
}
