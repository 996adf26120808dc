package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func advanceClauses() []clause {
	return []clause{
		{"advance/appends a row", "G3", advanceAppends},
		{"advance/again has landed, once", "QU-8, G3", advanceAgain},
		{"advance/another row on that base has not landed", "G3, QU-8", advanceOther},
		{"advance/again after later rows has landed", "QU-8, G3", advanceAgainLater},
		{"advance/again after a release has landed", "QU-8", advanceAgainReleased},
		{"advance/again after a takeover has landed", "QU-8", advanceAgainTakenOver},
		{"advance/wrong owner alone", "G7, QU-5", advanceWrongOwner},
		{"advance/wrong epoch alone", "G7, QU-5", advanceWrongEpoch},
		{"advance/base too low, row of an older epoch", "G7, G3", advanceLowBase},
		{"advance/base too high", "G3", advanceHighBase},
		{"advance/unknown execution", "G7", advanceUnknown},
		{"advance/of a pending, waiting, blocked or ended execution", "G7, CN-2", advanceUnowned},
		{"advance/unseen message", "G10, EV-8", advanceUnseen},
		{"advance/seen counts all messages ever", "G10", advanceSeenAll},
		{"advance/early", "G11, SL-5", advanceEarly},
		{"advance/unseen is told before early", "G10, EV-8", advanceUnseenEarly},
		{"advance/takes messages", "G9, EV-3", advanceTakes},
		{"advance/verdict tells the inbox", "G10", advanceInbox},
		{"advance/without a row keeps the length", "G3", advanceBare},
		{"advance/without a row needs the current base", "G3", advanceBareBase},
		{"advance/without a row may not touch more", "G3", advanceBareMore},
	}
}

func advanceAppends(e *env) {
	r := e.running()
	r = e.advance(r, r.next("two"))
	r = e.advance(r, r.next("three"))
	rec := e.load(r.id)
	if rec.Length != 3 || string(rec.Rows[1].Body) != "two" || string(rec.Rows[2].Body) != "three" {
		e.failf("rows are %+v", rec.Rows)
	}
	if rec.Owner != r.owner || rec.Status != store.Running || rec.Rows[2].Epoch != r.epoch {
		e.failf("an advance without a release keeps the owner: %s", describe(rec.Execution))
	}
	if rec.Rows[2].At.IsZero() || rec.Rows[2].At.After(rec.Now) {
		e.failf("row written at %v, now is %v", rec.Rows[2].At, rec.Now)
	}
}

func advanceAgain(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	a := r.next("two")
	a.Took = []int64{1}
	a.Open = []store.Wait{r.wait("w", "t")}
	a.Logs = []store.Log{{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: "hello"}}
	e.one(advancing(a), store.Applied, "advance")
	e.one(advancing(a), store.Landed, "the same advance again")
	rec := e.load(r.id)
	logs, err := e.st.Logs(e.ctx(), r.id, time.Time{})
	e.ok(err, "logs")
	if rec.Length != 2 || len(e.waits(r.id)) != 1 || len(logs) != 1 || len(rec.Messages) != 0 {
		e.failf("a landed write had its effects twice: %s, %d waits, %d logs", describe(rec.Execution), len(e.waits(r.id)), len(logs))
	}
}

func advanceAgainLater(e *env) {
	r := e.running()
	a := r.next("two")
	a.Open = []store.Wait{r.wait("w", "t")}
	r = e.advance(r, a)
	b := r.next("three")
	b.Shut = []string{a.Open[0].ID}
	e.advance(r, b)
	e.one(advancing(a), store.Landed, "an older write again")
	if ws := e.waits(r.id); len(ws) != 0 {
		e.failf("the repeated write opened its wait again")
	}
	if rec := e.load(r.id); rec.Length != 3 {
		e.failf("the repeated write changed the length to %d", rec.Length)
	}
}

func advanceAgainReleased(e *env) {
	r := e.running()
	a := r.park(store.Completed)
	e.one(advancing(a), store.Applied, "end")
	e.one(advancing(a), store.Landed, "the same end again")
}

func advanceAgainTakenOver(e *env) {
	r := e.running()
	a := r.park(store.Pending)
	e.one(advancing(a), store.Applied, "let go")
	s := e.takeover(r.id)
	s = e.advance(s, s.next("by the next owner"))
	e.one(advancing(a), store.Landed, "the old owner's write that had landed")
	rec := e.load(r.id)
	if rec.Owner != s.owner || rec.Length != 3 {
		e.failf("the repeated write changed what the next owner has: %s", describe(rec.Execution))
	}
}

func advanceWrongOwner(e *env) {
	r := e.running()
	a := r.next("stranger")
	a.Owner = e.lease()
	e.one(advancing(a), store.Superseded, "another live worker with the right epoch and base")
	a.Owner = uuid.Nil
	e.one(advancing(a), store.Superseded, "nobody with the right epoch and base")
	e.untouched(r)
}

func advanceWrongEpoch(e *env) {
	r := e.running()
	for _, epoch := range []int64{r.epoch - 1, r.epoch + 1} {
		a := r.next("old life")
		a.Epoch = epoch
		e.one(advancing(a), store.Superseded, "the right owner and base with another epoch")
	}
	e.untouched(r)
}

func advanceLowBase(e *env) {
	id := e.pending()
	r := e.takeover(id)
	e.advance(r, r.park(store.Pending))
	s := e.takeover(id)
	a := s.next("over the old owner's row")
	a.Base = 1
	e.one(advancing(a), store.Superseded, "a base whose next row is of an older epoch")
	a.Base = 0
	e.one(advancing(a), store.Superseded, "a base before the first row")
	e.untouched(s)
}

func advanceHighBase(e *env) {
	r := e.running()
	a := r.next("gap")
	a.Base++
	e.one(advancing(a), store.Superseded, "a base beyond the journal")
	e.untouched(r)
}

func advanceUnknown(e *env) {
	r := run{id: newID(), owner: e.lease(), epoch: 1, base: 1}
	e.one(advancing(r.next("x")), store.Superseded, "an execution that does not exist")
}

func advanceUnowned(e *env) {
	for _, s := range []store.Status{store.Pending, store.Waiting, store.Blocked, store.Completed, store.Cancelled} {
		r := e.running()
		a := r.park(s)
		if s == store.Waiting {
			a.Open = []store.Wait{r.wait("w", "t")}
		}
		r = e.advance(r, a)
		e.one(advancing(r.next("late")), store.Superseded, "an advance after the release to "+string(s))
		if rec := e.load(r.id); rec.Status != s || rec.Length != r.base {
			e.failf("it changed: %s", describe(rec.Execution))
		}
	}
}

func advanceUnseen(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	a := r.next("timer fired")
	a.Seen = 0
	if v := e.one(advancing(a), store.Unseen, "a writer that has not seen the message"); v.Inbox != 1 {
		e.failf("the verdict says %d messages, want 1", v.Inbox)
	}
	e.untouched(r)
	a.Seen = 1
	e.one(advancing(a), store.Applied, "a writer that has seen it")
}

func advanceSeenAll(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	a := r.next("took it")
	a.Took = []int64{1}
	r = e.advance(r, a)
	b := r.next("x")
	b.Seen = 0
	e.one(advancing(b), store.Unseen, "a taken message counts as accepted")
	b.Seen = 7
	e.one(advancing(b), store.Applied, "to know of more than there are harms nobody")
}

func advanceEarly(e *env) {
	r := e.running()
	a := r.next("fired")
	a.NotBefore = e.now().Add(time.Hour)
	e.one(advancing(a), store.Early, "an hour before its time")
	e.untouched(r)
	a.NotBefore = e.now().Add(30 * time.Millisecond)
	e.until("the timer may fire", func() bool {
		res, err := e.st.Commit(e.ctx(), []store.Write{advancing(a)})
		e.ok(err, "commit")
		if v := res.Verdicts[0]; v.Code != store.Early && v.Code != store.Applied {
			e.failf("verdict %s", codeName(v.Code))
		} else if v.Code == store.Early {
			return false
		}
		if res.Now.Before(a.NotBefore) {
			e.failf("fired at %v, which is before %v", res.Now, a.NotBefore)
		}
		return true
	})
}

func advanceUnseenEarly(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	a := r.next("fired")
	a.Seen, a.NotBefore = 0, e.now().Add(time.Hour)
	e.one(advancing(a), store.Unseen, "both unseen and early")
	e.untouched(r)
}

func advanceTakes(e *env) {
	r := e.running()
	for _, d := range []string{"m1", "m2", "m3"} {
		e.one(delivering(send(r.id, "t", d)), store.Applied, "send")
	}
	a := r.next("took the second")
	a.Took = []int64{2}
	e.advance(r, a)
	rec := e.load(r.id)
	if len(rec.Messages) != 2 || rec.Messages[0].Seq != 1 || rec.Messages[1].Seq != 3 || rec.Inbox != 3 {
		e.failf("after taking 2 of 1, 2, 3 there are %+v", rec.Messages)
	}
}

func advanceInbox(e *env) {
	r := e.running()
	e.one(delivering(send(r.id, "t", "m1")), store.Applied, "send")
	e.one(delivering(send(r.id, "t", "m2")), store.Applied, "send")
	a := r.next("x")
	if v := e.one(advancing(a), store.Applied, "advance"); v.Inbox != 2 {
		e.failf("Applied says %d messages, want 2", v.Inbox)
	}
	if v := e.one(advancing(a), store.Landed, "again"); v.Inbox != 2 {
		e.failf("Landed says %d messages, want 2", v.Inbox)
	}
}

func advanceBare(e *env) {
	r := e.running()
	a := r.bare()
	a.Logs = []store.Log{{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: "hello"}}
	e.one(advancing(a), store.Applied, "only logs")
	v := e.commit(advancing(a))[0]
	if v.Code != store.Applied && v.Code != store.Landed {
		e.failf("only logs, again: verdict %s", codeName(v.Code))
	}
	logs, err := e.st.Logs(e.ctx(), r.id, time.Time{})
	e.ok(err, "logs")
	if rec := e.load(r.id); rec.Length != 1 || len(logs) != 1 {
		e.failf("length %d, %d logs; want 1 and 1", rec.Length, len(logs))
	}
	e.advance(r, r.next("the base is what it was"))
}

func advanceBareBase(e *env) {
	r := e.running()
	old := r.bare()
	old.Logs = []store.Log{{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: "hello"}}
	e.advance(r, r.next("two"))
	e.one(advancing(old), store.Superseded, "only logs, for a base that is out of date: nothing was written, so it may not say Landed")
}

func advanceBareMore(e *env) {
	r := e.running()
	w := r.wait("w", "t")
	for what, spoil := range map[string]func(*store.Advance){
		"a release":  func(a *store.Advance) { a.Release = &store.Release{Status: store.Pending} },
		"a wait":     func(a *store.Advance) { a.Open = []store.Wait{w} },
		"a message":  func(a *store.Advance) { a.Took = []int64{1} },
		"a snapshot": func(a *store.Advance) { a.Snapshot = []byte("s") },
		"a shut":     func(a *store.Advance) { a.Shut = []string{w.ID} },
		"an alter":   func(a *store.Advance) { a.Alter = []store.Wait{w} },
	} {
		a := r.bare()
		spoil(&a)
		e.refused("no row, but "+what, advancing(a))
	}
	e.untouched(r)
}

// untouched asserts that the run still is as its owner knows it.
func (e *env) untouched(r run) {
	e.tb.Helper()
	rec := e.load(r.id)
	if rec.Owner != r.owner || rec.Epoch != r.epoch || rec.Length != r.base || rec.Status != store.Running {
		e.failf("a refused write left a trace: %s, want owner, epoch %d, length %d", describe(rec.Execution), r.epoch, r.base)
	}
	if ws := e.waits(r.id); len(ws) != 0 {
		e.failf("a refused write left %d waits", len(ws))
	}
}

// A write that was refused may arrive once more, when nothing refuses it any
// longer: what its writer tried instead must not pass for it.
func advanceOther(e *env) {
	r := e.running()
	e.advance(r, r.next("this"))
	e.one(advancing(r.next("that")), store.Superseded, "another row of the same owner on the same base")
	e.one(advancing(r.park(store.Pending)), store.Superseded, "another row, with a release")
	e.one(advancing(r.next("this")), store.Landed, "the row that is there")
	if rec := e.whole(r.id); rec.Length != 2 || string(rec.Rows[1].Body) != "this" || rec.Status != store.Running {
		e.failf("the journal has changed: %s", describe(rec.Execution))
	}
}
