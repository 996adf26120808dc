package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func releaseClauses() []clause {
	return []clause{
		{"release/pending is due now and keeps the epoch", "QU-11, G8", releasePending},
		{"release/pending may be due later", "G12, RT-4", releaseLater},
		{"release/moves to another queue", "QU-2", releaseQueue},
		{"release/waiting with a wait and no due is never claimed", "QU-9", releaseWaiting},
		{"release/waiting with a due is claimed when it is due", "G11, SL-1", releaseWaitingDue},
		{"release/waiting without a wait is refused", "QU-9", releaseNoWait},
		{"release/waiting after shutting the last wait is refused", "QU-9", releaseShutWait},
		{"release/waiting on a wait opened before", "QU-9", releaseOldWait},
		{"release/running and unknown statuses are refused", "QU-9", releaseIllegal},
		{"release/ended statuses keep code and error, close waits, keep messages", "CN-4, EV-5", releaseEnded},
		{"release/ended executions are never claimed", "CN-2, G15", releaseEndedStays},
		{"release/blocked keeps its reason and its waits", "G20, VR-3", releaseBlocked},
		{"release/a reason is gone once the execution goes on", "QY-2", releaseReasonGone},
		{"release/compensating is claimed and stays compensating", "G14", releaseCompensating},
		{"release/compensating does not go forward again", "G14, CN-2", releaseCompensatingOnly},
		{"release/shut closes, absent ones are ignored", "EV-7", waitsShut},
		{"release/an open wait cannot be opened again", "IN-5", waitsUnique},
	}
}

func releasePending(e *env) {
	r := e.running()
	r = e.advance(r, r.park(store.Pending))
	rec := e.load(r.id)
	if rec.Status != store.Pending || rec.Owner != uuid.Nil || rec.Epoch != r.epoch || rec.Due.After(rec.Now) {
		e.failf("released, but %s", describe(rec.Execution))
	}
	if next := e.takeover(r.id); next.epoch != r.epoch+1 {
		e.failf("the next owner has epoch %d after %d", next.epoch, r.epoch)
	}
}

func releaseLater(e *env) {
	r := e.running()
	a := r.park(store.Pending)
	a.Release.Due = e.now().Add(time.Hour)
	e.advance(r, a)
	if rec := e.load(r.id); !rec.Due.Equal(a.Release.Due) {
		e.failf("due %v became %v", a.Release.Due, rec.Due)
	}
	e.nobody("a retry in an hour")
}

func releaseQueue(e *env) {
	r := e.running()
	a := r.park(store.Pending)
	a.Release.Queue = "slow"
	e.advance(r, a)
	e.nobody("moved to another queue")
	req := usual(e.lease())
	req.Queues = map[string]int{"slow": 5}
	if c := e.claimAs(req); len(c.Records) != 1 || c.Records[0].Queue != "slow" {
		e.failf("not found in the queue it was moved to")
	}
}

func releaseWaiting(e *env) {
	r := e.waiting("t")
	rec := e.load(r.id)
	if rec.Status != store.Waiting || rec.Owner != uuid.Nil || !rec.Due.IsZero() {
		e.failf("waiting for a message, but %s", describe(rec.Execution))
	}
	e.nobody("waiting for a message")
}

func releaseWaitingDue(e *env) {
	r := e.running()
	a := r.waitFor(r.wait("sleep", ""))
	a.Release.Due = e.now().Add(30 * time.Millisecond)
	e.advance(r, a)
	who := e.lease()
	e.until("the sleeper is claimed", func() bool {
		c := e.claim(who)
		if len(c.Records) > 0 && c.Now.Before(a.Release.Due) {
			e.failf("woken at %v, due at %v", c.Now, a.Release.Due)
		}
		return len(c.Records) == 1
	})
	if rec := e.load(r.id); rec.Status != store.Running || len(e.waits(r.id)) != 1 {
		e.failf("a claimed sleeper is running and its wait still open: %s", describe(rec.Execution))
	}
}

func releaseNoWait(e *env) {
	r := e.running()
	a := r.waitFor()
	e.refused("to wait for nothing", advancing(a))
	a.Release.Due = e.now().Add(time.Hour)
	e.refused("to wait for nothing but a time", advancing(a))
	e.untouched(r)
}

func releaseShutWait(e *env) {
	r := e.running()
	a := r.next("opens")
	a.Open = []store.Wait{r.wait("w", "t")}
	r = e.advance(r, a)
	b := r.waitFor()
	b.Shut = []string{a.Open[0].ID}
	e.refused("to wait with the last wait shut by the same write", advancing(b))
	if rec := e.load(r.id); rec.Length != r.base || len(e.waits(r.id)) != 1 {
		e.failf("the refused write left a trace: %s", describe(rec.Execution))
	}
}

func releaseOldWait(e *env) {
	r := e.running()
	a := r.next("opens")
	a.Open = []store.Wait{r.wait("w", "t")}
	r = e.advance(r, a)
	e.advance(r, r.waitFor())
	e.one(delivering(send(r.id, "t", "m")), store.Applied, "send")
	e.takeover(r.id)
}

func releaseIllegal(e *env) {
	r := e.running()
	for _, s := range []store.Status{store.Running, "", "asleep"} {
		e.refused("release to "+string(s), advancing(r.park(s)))
	}
	e.untouched(r)
}

func releaseEnded(e *env) {
	for _, s := range []store.Status{store.Completed, store.Failed, store.Cancelled, store.Compensated, store.CompensationFailed} {
		r := e.running()
		e.one(delivering(send(r.id, "t", "m")), store.Applied, "send")
		a := r.next("opens")
		a.Open = []store.Wait{r.wait("w", "t")}
		r = e.advance(r, a)
		b := r.park(s)
		b.Release.ErrorCode, b.Release.Error, b.Release.Due = "panic", []byte("why"), e.now()
		r = e.advance(r, b)
		rec := e.load(r.id)
		if rec.Status != s || rec.Owner != uuid.Nil || rec.ErrorCode != "panic" || string(rec.Error) != "why" || !rec.Due.IsZero() || rec.Ended.IsZero() {
			e.failf("ended as %s, but %s, code %q, ended %v", s, describe(rec.Execution), rec.ErrorCode, rec.Ended)
		}
		if len(e.waits(r.id)) != 0 || len(rec.Messages) != 1 {
			e.failf("ended as %s: %d waits (want 0), %d messages (want 1)", s, len(e.waits(r.id)), len(rec.Messages))
		}
	}
}

func releaseEndedStays(e *env) {
	r := e.running()
	e.advance(r, r.park(store.Cancelled))
	e.nobody("ended")
	e.expire(0)
	if rec := e.load(r.id); rec.Status != store.Cancelled {
		e.failf("an ended execution changed: %s", describe(rec.Execution))
	}
}

func releaseBlocked(e *env) {
	r := e.running()
	a := r.park(store.Blocked)
	a.Open = []store.Wait{r.wait("w", "t")}
	a.Release.ErrorCode, a.Release.Error, a.Release.Blocked = "no_place", []byte("why"), "now"
	r = e.advance(r, a)
	rec := e.load(r.id)
	if rec.Status != store.Blocked || rec.ErrorCode != "no_place" || string(rec.Error) != "why" || !slices.Equal(rec.Blocked, []string{"now"}) || !rec.Due.IsZero() {
		e.failf("blocked, but %s, code %q, fingerprint %q", describe(rec.Execution), rec.ErrorCode, rec.Blocked)
	}
	if len(e.waits(r.id)) != 1 {
		e.failf("blocking closed the wait")
	}
	e.nobody("blocked by the code that asks")
}

func releaseReasonGone(e *env) {
	r := e.running()
	a := r.park(store.Blocked)
	a.Release.ErrorCode, a.Release.Error, a.Release.Blocked = "no_place", []byte("why"), "old"
	e.advance(r, a)
	s := e.takeover(r.id)
	if rec := e.load(r.id); rec.ErrorCode != "" || len(rec.Error) != 0 || !slices.Equal(rec.Blocked, []string{"old"}) {
		e.failf("running with code %q, fingerprints %q", rec.ErrorCode, rec.Blocked)
	}
	b := s.park(store.Pending)
	b.Release.ErrorCode, b.Release.Error, b.Release.Blocked = "x", []byte("x"), "x"
	e.advance(s, b)
	if rec := e.load(r.id); rec.ErrorCode != "" || len(rec.Error) != 0 || len(rec.Blocked) != 0 {
		e.failf("pending with code %q, fingerprint %q", rec.ErrorCode, rec.Blocked)
	}
}

func releaseCompensating(e *env) {
	r := e.running()
	r = e.advance(r, r.park(store.Compensating))
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Due.IsZero() || rec.Owner != uuid.Nil {
		e.failf("released to undo, but %s", describe(rec.Execution))
	}
	s := e.takeover(r.id)
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Owner != s.owner || s.epoch != r.epoch+1 {
		e.failf("claimed to undo, but %s", describe(rec.Execution))
	}
	s = e.advance(s, s.next("undid one"))
	e.lapse(s.owner)
	e.expire(1)
	if rec := e.load(r.id); rec.Status != store.Compensating || rec.Epoch != s.epoch+1 {
		e.failf("expired while undoing, but %s", describe(rec.Execution))
	}
	s = e.takeover(r.id)
	e.advance(s, s.park(store.Compensated))
}

func releaseCompensatingOnly(e *env) {
	r := e.running()
	e.advance(r, r.park(store.Compensating))
	s := e.takeover(r.id)
	for _, st := range []store.Status{store.Pending, store.Completed, store.Cancelled, store.Failed} {
		e.refused("from compensating to "+string(st), advancing(s.park(st)))
	}
	a := s.park(store.Compensating)
	a.Release.Due = e.now().Add(time.Hour)
	e.advance(s, a)
	e.nobody("an undo to be tried again in an hour")
}

func waitsShut(e *env) {
	r := e.running()
	a := r.next("opens two")
	a.Open = []store.Wait{r.wait("a", "t"), r.wait("b", "t")}
	r = e.advance(r, a)
	b := r.next("shuts one")
	b.Shut = []string{a.Open[0].ID, "never opened"}
	e.advance(r, b)
	if ws := e.waits(r.id); len(ws) != 1 || ws[0].Name != "b" {
		e.failf("after shutting a of a, b there are %+v", ws)
	}
}

func waitsUnique(e *env) {
	r, other := e.running(), e.running()
	w := r.wait("w", "t")
	a := r.next("opens")
	a.Open = []store.Wait{w}
	r = e.advance(r, a)
	b := r.next("opens it again")
	b.Open = []store.Wait{w}
	e.refused("a wait that this execution has open", advancing(b))
	c := other.next("opens another's")
	c.Open = []store.Wait{w}
	e.refused("a wait that another execution has open", advancing(c))
	e.untouched(other)
	d := r.next("shuts")
	d.Shut = []string{w.ID}
	e.advance(r, d)
}
