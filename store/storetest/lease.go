package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func leaseClauses() []clause {
	return []clause{
		{"lease/must be created", "QU-5", leaseUnknown},
		{"lease/created again while alive", "QU-8", leaseTwice},
		{"lease/expired is never renewed", "G7, QU-5", leaseExpired},
		{"lease/identity is the incarnation, not the name", "G7, QU-5", leaseName},
		{"lease/renewal tells all that is owned", "G8, G9", leaseOwned},
		{"lease/renewal keeps it alive", "QU-4", leaseRenewed},
		{"lease/renewal tells when the next other lease ends", "G8, QU-4", leaseNext},
		{"lease/renewal tells what is due in queues", "QU-3, G11", leaseDue},
		{"expire/leaves the living alone", "QU-4", expireLiving},
		{"expire/releases with a new epoch, due now", "G8, QU-5", expireReleases},
		{"expire/counts stalls in a row", "G13, RT-11", expireStalls},
		{"expire/a new row resets the stalls", "G13, RT-11", expireStallsReset},
		{"expire/happens once", "G13", expireOnce},
		{"retire/releases at once, without a stall", "QU-11, G8", retireReleases},
		{"retire/does not touch counted stalls", "G13, QU-11", retireKeepsStalls},
		{"retire/unknown and twice are harmless", "QU-11", retireUnknown},
		{"fence/all writes of an expired owner are refused", "G7, QU-5", fenceExpired},
		{"fence/all writes of a replaced owner are refused", "G7, QU-5", fenceReplaced},
		{"fence/a retired owner is refused", "G7, QU-11", fenceRetired},
		{"fence/a write counts until somebody expires the owner", "G7", fenceLapsed},
	}
}

func (e *env) renew(who store.Incarnation) error {
	_, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Name: "worker", Duration: time.Hour})
	return err
}

func leaseUnknown(e *env) {
	e.is(e.renew(uuid.New()), store.ErrLeaseLost, "renew what was never created")
	e.is(e.renew(uuid.Nil), store.ErrLeaseLost, "renew nobody's lease")
}

func leaseTwice(e *env) {
	r := e.running()
	rn, err := e.st.Renew(e.ctx(), store.Lease{Who: r.owner, Name: "worker", Duration: time.Hour, New: true})
	e.ok(err, "create a lease again, as after a lost reply")
	if len(rn.Owned) != 1 {
		e.failf("creating it again lost what it owns")
	}
	e.untouched(r)
}

func leaseExpired(e *env) {
	who := e.lease()
	e.lapse(who)
	e.is(e.renew(who), store.ErrLeaseLost, "renew an expired lease")
	_, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour, New: true})
	e.is(err, store.ErrLeaseLost, "create an expired lease anew")
	e.expire(0)
	e.is(e.renew(who), store.ErrLeaseLost, "renew a deleted lease")
}

func leaseName(e *env) {
	dead, living := e.running(), e.running() // their leases have the same name
	e.lapse(dead.owner)
	e.ok(e.renew(living.owner), "renew the living")
	e.is(e.renew(dead.owner), store.ErrLeaseLost, "renew the dead")
	e.expire(1)
	e.untouched(living)
}

func leaseOwned(e *env) {
	who := e.lease()
	r, s := e.runningBy(who), e.runningBy(who)
	e.running()
	e.one(delivering(send(s.id, "t", "m1")), store.Applied, "send")
	ended := e.runningBy(who)
	e.advance(ended, ended.park(store.Completed))
	rn, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour})
	e.ok(err, "renew")
	got := map[store.ID]store.Owned{}
	for _, o := range rn.Owned {
		got[o.ID] = o
	}
	if len(rn.Owned) != 2 || got[r.id].Epoch != 1 || got[r.id].Inbox != 0 || got[s.id].Inbox != 1 || rn.Now.IsZero() {
		e.failf("owned are two, one with a message; the renewal says %+v", rn)
	}
}

func leaseRenewed(e *env) {
	r := e.running()
	for range 3 {
		e.ok(e.renew(r.owner), "renew")
		e.expire(0)
	}
	e.untouched(r)
}

func leaseNext(e *env) {
	one := uuid.New()
	next := func() time.Time {
		rn, err := e.st.Renew(e.ctx(), store.Lease{Who: one, Duration: time.Hour, New: true})
		e.ok(err, "renew")
		return rn.NextExpiry
	}
	if at := next(); !at.IsZero() {
		e.failf("a lone worker is told that another's lease ends at %s", at)
	}
	now, err := e.st.Renew(e.ctx(), store.Lease{Who: uuid.New(), Duration: 2 * time.Hour, New: true})
	e.ok(err, "renew another")
	if at := next(); at.Before(now.Now.Add(2*time.Hour-time.Minute)) || at.After(now.Now.Add(2*time.Hour+time.Minute)) {
		e.failf("the other lease ends about %s, the renewal says %s", now.Now.Add(2*time.Hour), at)
	}
	two := e.lease()
	e.lapse(two)
	if at := next(); at.IsZero() || at.After(now.Now.Add(time.Hour)) {
		e.failf("a lease that has run out and was not released is not told of: %s", at)
	}
	e.expire(0)
	if at := next(); at.Before(now.Now.Add(time.Hour)) {
		e.failf("a lease that was released is still told of: %s", at)
	}
}

func leaseDue(e *env) {
	who := uuid.New()
	says := func(when string, due time.Time, blocked bool) {
		e.tb.Helper()
		rn, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour, New: true, Queues: []string{queue, "slow", "unused"}})
		e.ok(err, "renew")
		if !rn.NextDue.Equal(due) || rn.Blocked != blocked {
			e.failf("%s: next due %v, blocked %v; want %v, %v", when, rn.NextDue, rn.Blocked, due, blocked)
		}
	}
	at := func(q, workflow string, due time.Time, priority int) store.ID {
		b := start()
		b.Queue, b.Workflow, b.Due, b.Priority = q, workflow, due, priority
		return e.begin(b)
	}
	now := e.now()
	says("nothing there", time.Time{}, false)
	at("unasked", flow, now.Add(-time.Hour), 0)
	e.waiting("t")
	owned, ended := e.running(), e.running()
	e.advance(ended, ended.park(store.Completed))
	says("waiting for a message, owned, ended, and in another queue", time.Time{}, false)
	at(queue, flow, now.Add(3*time.Hour), 10)
	at(queue, flow, now.Add(4*time.Hour), 10)
	says("one priority", now.Add(3*time.Hour), false)
	at("slow", "another", now.Add(2*time.Hour), -10)
	at("slow", flow, now.Add(5*time.Hour), 0)
	says("several queues and priorities, whatever the definition", now.Add(2*time.Hour), false)
	past := now.Add(-time.Minute)
	id := at(queue, flow, past, 0)
	says("what is due already", past, false)
	a := owned.park(store.Blocked)
	a.Release.Blocked = "now"
	e.advance(owned, a)
	says("one blocked", past, true)
	e.takeover(id)
	says("the due one is claimed", now.Add(2*time.Hour), true)
	rn, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour})
	e.ok(err, "renew")
	if !rn.NextDue.IsZero() || rn.Blocked {
		e.failf("asked about no queue, told %v, %v", rn.NextDue, rn.Blocked)
	}
}

func expireLiving(e *env) {
	r := e.running()
	e.expire(0)
	e.untouched(r)
	e.advance(r, r.next("goes on"))
}

func expireReleases(e *env) {
	r := e.running()
	e.lapse(r.owner)
	e.expire(1)
	rec := e.load(r.id)
	if rec.Status != store.Pending || rec.Owner != uuid.Nil || rec.Epoch != r.epoch+1 || rec.Due.IsZero() || rec.Due.After(rec.Now) || rec.Length != r.base {
		e.failf("expired, but %s", describe(rec.Execution))
	}
	if s := e.takeover(r.id); s.epoch != r.epoch+2 {
		e.failf("the next owner has epoch %d after %d", s.epoch, r.epoch)
	}
}

func (e *env) stalls(id store.ID, want int, when string) {
	e.tb.Helper()
	if rec := e.load(id); rec.Stalls != want {
		e.failf("%s: %d stalls, want %d", when, rec.Stalls, want)
	}
}

func expireStalls(e *env) {
	r := e.running()
	e.stalls(r.id, 0, "fresh")
	for i := 1; i <= 3; i++ {
		e.lapse(r.owner)
		e.expire(1)
		e.stalls(r.id, i, "expired without a row")
		r = e.takeover(r.id)
		e.stalls(r.id, i, "claimed after it")
	}
}

func expireStallsReset(e *env) {
	r := e.running()
	e.lapse(r.owner)
	e.expire(1)
	r = e.takeover(r.id)
	e.lapse(r.owner)
	e.expire(1)
	r = e.takeover(r.id)
	r = e.advance(r, r.next("progress"))
	e.stalls(r.id, 0, "after a new row")
	e.lapse(r.owner)
	e.expire(1)
	e.stalls(r.id, 1, "expired after a new row")
}

func expireOnce(e *env) {
	r := e.running()
	e.lapse(r.owner)
	e.expire(1)
	e.expire(0)
	if rec := e.load(r.id); rec.Epoch != r.epoch+1 || rec.Stalls != 1 {
		e.failf("the second Expire had an effect: %s, %d stalls", describe(rec.Execution), rec.Stalls)
	}
}

func retireReleases(e *env) {
	r, other := e.running(), e.running()
	e.ok(e.st.Retire(e.ctx(), r.owner), "retire")
	rec := e.load(r.id)
	if rec.Status != store.Pending || rec.Owner != uuid.Nil || rec.Epoch != r.epoch+1 || rec.Due.After(rec.Now) || rec.Stalls != 0 {
		e.failf("retired, but %s, %d stalls", describe(rec.Execution), rec.Stalls)
	}
	e.is(e.renew(r.owner), store.ErrLeaseLost, "renew a retired lease")
	e.untouched(other)
	e.takeover(r.id)
}

func retireKeepsStalls(e *env) {
	r := e.running()
	e.lapse(r.owner)
	e.expire(1)
	r = e.takeover(r.id)
	e.ok(e.st.Retire(e.ctx(), r.owner), "retire")
	e.stalls(r.id, 1, "retired after an expiry")
	r = e.takeover(r.id)
	e.lapse(r.owner)
	e.expire(1)
	e.stalls(r.id, 2, "expired again, still without a row")
}

func retireUnknown(e *env) {
	e.ok(e.st.Retire(e.ctx(), uuid.New()), "retire what never was")
	who := e.lease()
	e.ok(e.st.Retire(e.ctx(), who), "retire")
	e.ok(e.st.Retire(e.ctx(), who), "retire again")
}

// lateWrites are all that an owner that lost its run may still try.
func (e *env) lateWrites(r run) map[string]store.Advance {
	logs, holds, end, seen := r.bare(), r.bare(), r.park(store.Completed), r.next("fact")
	logs.Logs = []store.Log{{Path: "p", Attempt: 1, N: 1, At: e.now(), Text: "late"}}
	logs.Blobs = [][]byte{[]byte("late blob")}
	holds.Holds = []store.Hold{{Name: "limit", Amount: 1, Limit: 1, Until: e.now().Add(time.Hour)}}
	seen.Seen, seen.NotBefore = 0, e.now().Add(time.Hour)
	return map[string]store.Advance{
		"a row": r.next("fact"), "logs": logs, "holds": holds, "a release": end,
		"waits": r.waitFor(r.wait("w", "t")), "a timer": seen,
	}
}

// fenced asserts that nothing the old owner tries has an effect.
func (e *env) fenced(r run, when string) {
	e.tb.Helper()
	before := e.whole(r.id)
	for what, a := range e.lateWrites(r) {
		e.one(advancing(a), store.Superseded, when+", then "+what)
		a.Base = before.Length
		e.one(advancing(a), store.Superseded, when+", then "+what+" with the current length")
	}
	c := store.Control{ID: r.id, From: store.Statuses(), Owner: r.owner, Row: []byte("let go"), Release: store.Release{Status: store.Pending}}
	e.one(controlling(c), store.Superseded, when+", then letting it go")
	after := e.whole(r.id)
	before.Now, after.Now = time.Time{}, time.Time{}
	if d := differ(before, after); d != "" {
		e.failf("%s, a late write left a trace: %s", when, d)
	}
	logs, err := e.st.Logs(e.ctx(), r.id, time.Time{})
	e.ok(err, "logs")
	if len(logs) != 0 || len(e.waits(r.id)) != 0 {
		e.failf("%s, yet %d late logs and %d late waits landed", when, len(logs), len(e.waits(r.id)))
	}
	free := e.running()
	a := free.bare()
	a.Holds = []store.Hold{{Name: "limit", Amount: 1, Limit: 1, Until: e.now().Add(time.Hour)}}
	e.advance(free, a)
}

func fenceExpired(e *env) {
	r := e.running()
	e.lapse(r.owner)
	e.expire(1)
	e.fenced(r, "expired")
}

func fenceReplaced(e *env) {
	r := e.running()
	e.lapse(r.owner)
	e.expire(1)
	s := e.takeover(r.id)
	e.fenced(r, "expired and taken over")
	e.advance(s, s.next("the new owner goes on"))
}

func fenceRetired(e *env) {
	r := e.running()
	e.ok(e.st.Retire(e.ctx(), r.owner), "retire")
	e.fenced(r, "retired")
}

func fenceLapsed(e *env) {
	r := e.running()
	e.lapse(r.owner)
	r = e.advance(r, r.next("nobody expired it yet"))
	e.expire(1)
	e.one(advancing(r.next("now somebody has")), store.Superseded, "a write after Expire")
}
