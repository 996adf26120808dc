package storetest

import (
	"time"

	"github.com/durable-go/durable/store"
)

func holdClauses() []clause {
	return []clause{
		{"hold/up to the limit and no further", "G18, QU-2", holdLimit},
		{"hold/all or nothing", "G18", holdAll},
		{"hold/setting it again replaces it", "G18", holdReplace},
		{"hold/zero gives it back and always fits", "G18", holdZero},
		{"hold/ends with the release", "G18, QU-2", holdRelease},
		{"hold/ends with an expiry, a retirement, a control", "G18, QU-4", holdTaken},
		{"hold/ends when its time is over", "G18", holdUntil},
		{"hold/names do not disturb each other", "G18", holdNames},
		{"hold/two in one batch", "G18", holdBatch},
	}
}

// holding is a write that takes an amount of a limit of 3.
func (e *env) holding(r run, name string, amount int64) store.Advance {
	a := r.bare()
	a.Holds = []store.Hold{{Name: name, Amount: amount, Limit: 3, Until: e.now().Add(time.Hour)}}
	return a
}

func holdLimit(e *env) {
	a, b, c := e.running(), e.running(), e.running()
	e.advance(a, e.holding(a, "gpu", 2))
	e.advance(b, e.holding(b, "gpu", 1))
	e.one(advancing(e.holding(c, "gpu", 1)), store.Full, "the fourth of three")
	d := c.next("with a row")
	d.Holds = e.holding(c, "gpu", 1).Holds
	e.one(advancing(d), store.Full, "the fourth of three, with a row")
	e.untouched(c)
}

func holdAll(e *env) {
	a, b := e.running(), e.running()
	e.advance(a, e.holding(a, "gpu", 3))
	both := e.holding(b, "cpu", 3)
	both.Holds = append(both.Holds, e.holding(b, "gpu", 1).Holds...)
	e.one(advancing(both), store.Full, "one of two does not fit")
	e.advance(a, e.holding(a, "cpu", 3)) // so b has none of it
}

func holdReplace(e *env) {
	a, b := e.running(), e.running()
	for _, n := range []int64{3, 3, 1, 2} {
		e.advance(a, e.holding(a, "gpu", n))
	}
	e.advance(b, e.holding(b, "gpu", 1))
	e.one(advancing(e.holding(a, "gpu", 3)), store.Full, "more than is left")
	e.one(advancing(e.holding(b, "gpu", 2)), store.Full, "the old amount must still count")
}

func holdZero(e *env) {
	a, b := e.running(), e.running()
	e.advance(a, e.holding(a, "gpu", 3))
	give := e.holding(b, "gpu", 0)
	give.Holds[0].Limit = 1
	e.advance(b, give)
	give = e.holding(a, "gpu", 0)
	give.Holds[0].Limit = 0
	e.advance(a, give)
	e.advance(b, e.holding(b, "gpu", 3))
}

func holdRelease(e *env) {
	for _, s := range []store.Status{store.Pending, store.Completed, store.Blocked} {
		a, b := e.running(), e.running()
		a = e.advance(a, e.holding(a, string(s), 3))
		e.advance(a, a.park(s))
		e.advance(b, e.holding(b, string(s), 3))
	}
}

func holdTaken(e *env) {
	expired, retired, cancelled, next := e.running(), e.running(), e.running(), e.running()
	e.advance(expired, e.holding(expired, "a", 3))
	e.advance(retired, e.holding(retired, "b", 3))
	e.advance(cancelled, e.holding(cancelled, "c", 3))
	e.lapse(expired.owner)
	e.expire(1)
	e.ok(e.st.Retire(e.ctx(), retired.owner), "retire")
	e.one(controlling(cancel(cancelled.id)), store.Applied, "cancel")
	for _, name := range []string{"a", "b", "c"} {
		e.advance(next, e.holding(next, name, 3))
	}
}

func holdUntil(e *env) {
	a, b := e.running(), e.running()
	short := e.holding(a, "gpu", 3)
	short.Holds[0].Until = e.now().Add(30 * time.Millisecond)
	e.advance(a, short)
	e.until("the hold is over", func() bool {
		r, err := e.st.Commit(e.ctx(), []store.Write{advancing(e.holding(b, "gpu", 3))})
		e.ok(err, "commit")
		if r.Verdicts[0].Code == store.Applied && r.Now.Before(short.Holds[0].Until) {
			e.failf("a hold until %v was over at %v", short.Holds[0].Until, r.Now)
		}
		return r.Verdicts[0].Code == store.Applied
	})
}

func holdNames(e *env) {
	a, b := e.running(), e.running()
	for _, name := range []string{"gpu", "GPU", "gpu ", "g_u", "%"} {
		e.advance(a, e.holding(a, name, 3))
	}
	e.advance(b, e.holding(b, "other", 3))
	e.one(advancing(e.holding(b, "gpu", 1)), store.Full, "the fourth of three")
}

func holdBatch(e *env) {
	a, b, c := e.running(), e.running(), e.running()
	v := e.commit(advancing(e.holding(a, "gpu", 2)), advancing(e.holding(b, "gpu", 2)), advancing(e.holding(c, "gpu", 1)))
	if v[0].Code != store.Applied || v[1].Code != store.Full || v[2].Code != store.Applied {
		e.failf("2, 2 and 1 of 3 in one batch: %s, %s, %s", codeName(v[0].Code), codeName(v[1].Code), codeName(v[2].Code))
	}
}
