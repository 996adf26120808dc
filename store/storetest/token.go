package storetest

import (
	"time"

	"github.com/durable-go/durable/store"
)

func tokenClauses() []clause {
	return []clause{
		{"token/up to the limit in any window", "G18, QU-2", tokenWindow},
		{"token/stays when the execution is parked, ended, taken", "G18", tokenStays},
		{"token/taking again adds", "G18", tokenAdds},
		{"token/a repeated write takes it once", "G18, QU-8", tokenOnce},
		{"token/a refused write takes none", "G18", tokenRefused},
		{"token/At tells when so many fit", "G18, QU-3", tokenAt},
		{"token/survives a restart", "G18", tokenRestart},
		{"token/malformed holds are refused", "DF-1", holdMalformed},
		{"need/no more are claimed than holds leave room for", "G18, QU-2", needHold},
		{"need/no more are claimed than tokens leave room for", "G18, QU-2", needToken},
		{"need/NextDue tells when a token comes free", "G18, QU-3", needNext},
		{"need/of one queue does not narrow another", "QU-1", needOther},
		{"need/a claim takes no hold", "G18", needTakesNone},
	}
}

// token is a write that takes an amount of a limit of 3 for a time.
func token(r run, name string, amount int64, window time.Duration) store.Advance {
	a := r.next("with a token")
	a.Holds = []store.Hold{{Name: name, Amount: amount, Limit: 3, Window: window}}
	return a
}

// tokenWindow takes tokens as fast as it can and looks at when they were given.
func tokenWindow(e *env) {
	const window, limit = 20 * time.Millisecond, 3
	r := e.running()
	var given []time.Time
	e.until("ten tokens are given", func() bool {
		a := token(r, "rate", 1, window)
		res, err := e.st.Commit(e.ctx(), []store.Write{advancing(a)})
		e.ok(err, "commit")
		switch v := res.Verdicts[0]; v.Code {
		case store.Applied:
			r.base++
			given = append(given, res.Now)
		case store.Full:
			if !v.At.After(res.Now) || v.At.After(res.Now.Add(window+time.Millisecond)) {
				e.failf("full at %v, and At is %v", res.Now, v.At)
			}
		default:
			e.failf("a token got verdict %s", codeName(v.Code))
		}
		return len(given) == 10
	})
	for i := limit; i < len(given); i++ {
		if d := given[i].Sub(given[i-limit]); d < window {
			e.failf("tokens %d to %d of %d came within %v, and the window is %v", i-limit+1, i+1, limit, d, window)
		}
	}
}

func tokenStays(e *env) {
	parked, ended, cancelled, expired, retired := e.running(), e.running(), e.running(), e.running(), e.running()
	for i, r := range []run{parked, ended, cancelled, expired, retired} {
		name := string(rune('a' + i))
		took := e.advance(r, token(r, name, 3, time.Hour))
		switch i {
		case 0:
			e.advance(took, took.park(store.Pending))
		case 1:
			e.advance(took, took.park(store.Completed))
		case 2:
			e.one(controlling(cancel(r.id)), store.Applied, "cancel")
		case 3:
			e.lapse(r.owner)
			e.expire(1)
		case 4:
			e.ok(e.st.Retire(e.ctx(), r.owner), "retire")
		}
		next := e.running()
		e.one(advancing(token(next, name, 1, time.Hour)), store.Full, "the fourth of three, when who took them has gone")
	}
}

func tokenAdds(e *env) {
	r := e.running()
	r = e.advance(r, token(r, "rate", 1, time.Hour))
	r = e.advance(r, token(r, "rate", 2, time.Hour))
	e.one(advancing(token(r, "rate", 1, time.Hour)), store.Full, "the fourth of three by one execution")
	other := e.running()
	e.advance(other, token(other, "other", 3, time.Hour))
	loan := e.holding(other, "rate", 3) // a loan of that name is another limit
	other.base++
	loan.Base = other.base
	e.advance(other, loan)
}

func tokenOnce(e *env) {
	r := e.running()
	a := token(r, "rate", 2, time.Hour)
	e.advance(r, a)
	e.one(advancing(a), store.Landed, "the same write again")
	next := e.running()
	e.advance(next, token(next, "rate", 1, time.Hour))
	e.one(advancing(token(e.running(), "rate", 1, time.Hour)), store.Full, "the fourth of three")
}

func tokenRefused(e *env) {
	full, r := e.running(), e.running()
	e.advance(full, e.holding(full, "gpu", 3))
	a := token(r, "rate", 3, time.Hour)
	a.Holds = append(a.Holds, e.holding(r, "gpu", 1).Holds...)
	e.one(advancing(a), store.Full, "a token fits and a loan does not")
	a = token(r, "rate", 3, time.Hour)
	a.Epoch++
	e.one(advancing(a), store.Superseded, "a token of nobody")
	e.untouched(r)
	e.advance(r, token(r, "rate", 3, time.Hour))
}

func tokenAt(e *env) {
	first, second, r := e.running(), e.running(), e.running()
	t1 := e.when(advancing(token(first, "rate", 2, time.Hour)))
	t2 := e.when(advancing(token(second, "rate", 1, 2*time.Hour)))
	for amount, want := range map[int64]time.Time{1: t1.Add(time.Hour), 2: t1.Add(time.Hour), 3: t2.Add(2 * time.Hour), 4: {}} {
		v := e.one(advancing(token(r, "rate", amount, time.Hour)), store.Full, "more than is left")
		if d := v.At.Sub(want); v.At.IsZero() != want.IsZero() || d < 0 || d > time.Millisecond {
			e.failf("%d of 3 fit at %v; want %v", amount, v.At, want)
		}
	}
	e.advance(r, e.holding(r, "gpu", 3))
	v := e.one(advancing(e.holding(second.after(1), "gpu", 1)), store.Full, "the fourth of three")
	if !v.At.IsZero() {
		e.failf("a loan comes free at %v: nobody can know that", v.At)
	}
}

// after is the run some rows later.
func (r run) after(rows int) run {
	r.base += rows
	return r
}

// when commits a write that must be applied and tells the store's time.
func (e *env) when(w store.Write) time.Time {
	e.tb.Helper()
	res, err := e.st.Commit(e.ctx(), []store.Write{w})
	e.ok(err, "commit")
	if res.Verdicts[0].Code != store.Applied {
		e.failf("verdict %s, want Applied", codeName(res.Verdicts[0].Code))
	}
	return res.Now
}

func tokenRestart(e *env) {
	r := e.running()
	e.advance(r, token(r, "rate", 3, time.Hour))
	e.restart()
	e.one(advancing(token(e.running(), "rate", 1, time.Hour)), store.Full, "the fourth of three after a restart")
}

func holdMalformed(e *env) {
	r := e.running()
	a := token(r, "rate", 1, time.Hour)
	a.Row = nil
	e.refused("a token without a row", advancing(a))
	e.refused("a token without an amount", advancing(token(r, "rate", 0, time.Hour)))
	e.refused("a negative window", advancing(token(r, "rate", 1, -time.Hour)))
	a = token(r, "rate", 1, time.Hour)
	a.Holds = append(a.Holds, a.Holds[0])
	e.refused("two of one name", advancing(a))
	e.untouched(r)
}

// needing asks for the usual queue with a need of one of three.
func needing(who store.Incarnation, limit int, window time.Duration) store.ClaimRequest {
	req := usual(who)
	req.Queues[queue] = limit
	req.Needs = map[string][]store.Hold{queue: {{Name: "shared", Amount: 1, Limit: 3, Window: window}}}
	return req
}

func needHold(e *env) {
	holder := e.running()
	holder = e.advance(holder, e.holding(holder, "shared", 1))
	for range 5 {
		e.pending()
	}
	c := e.claimAs(needing(e.lease(), 4, 0))
	if len(c.Records) != 2 || c.More[queue] {
		e.failf("room for 2: claimed %d, more=%v", len(c.Records), c.More[queue])
	}
	e.advance(holder, e.holding(holder, "shared", 3))
	if c = e.claimAs(needing(e.lease(), 4, 0)); len(c.Records) != 0 || c.More[queue] {
		e.failf("room for none: claimed %d, more=%v", len(c.Records), c.More[queue])
	}
	give := e.holding(holder, "shared", 0)
	e.advance(holder, give)
	if c = e.claimAs(needing(e.lease(), 2, 0)); len(c.Records) != 2 || !c.More[queue] {
		e.failf("room for 3, limit 2: claimed %d, more=%v", len(c.Records), c.More[queue])
	}
}

func needToken(e *env) {
	holder := e.running()
	e.advance(holder, token(holder, "shared", 2, time.Hour))
	for range 3 {
		e.pending()
	}
	for _, want := range []int{1, 1} { // nobody has taken the token yet
		if c := e.claimAs(needing(e.lease(), 4, time.Hour)); len(c.Records) != want || c.More[queue] {
			e.failf("room for %d: claimed %d, more=%v", want, len(c.Records), c.More[queue])
		}
	}
	req := needing(e.lease(), 4, time.Hour)
	req.Needs[queue] = append(req.Needs[queue], store.Hold{Name: "other", Amount: 1, Limit: 0})
	if c := e.claimAs(req); len(c.Records) != 0 {
		e.failf("one of two needs has no room: claimed %d", len(c.Records))
	}
}

func needNext(e *env) {
	near := func(c store.Claimed, want time.Time, why string) {
		e.tb.Helper()
		if d := c.NextDue.Sub(want); c.NextDue.IsZero() || d < -time.Minute || d > time.Minute {
			e.failf("%s: NextDue is %v, want about %v", why, c.NextDue, want)
		}
	}
	now := e.now()
	if c := e.claimAs(needing(e.lease(), 10, time.Hour)); !c.NextDue.IsZero() {
		e.failf("nothing is there and tokens are free: NextDue is %v", c.NextDue)
	}
	for range 4 {
		e.pending()
	}
	c := e.claimAs(needing(e.lease(), 10, 2*time.Hour))
	if len(c.Records) != 3 {
		e.failf("claimed %d of 3", len(c.Records))
	}
	near(c, now.Add(2*time.Hour), "three were taken, who will take three tokens")
	holder := e.running()
	holder = e.advance(holder, token(holder, "shared", 1, time.Hour))
	e.advance(holder, token(holder, "shared", 2, 3*time.Hour))
	near(e.claimAs(needing(e.lease(), 10, 2*time.Hour)), now.Add(time.Hour), "the first of three tokens comes free")
	later := start()
	later.Due = now.Add(30 * time.Minute)
	e.begin(later)
	near(e.claimAs(needing(e.lease(), 10, 2*time.Hour)), later.Due, "one is due before a token comes free")
}

func needOther(e *env) {
	holder := e.running()
	e.advance(holder, e.holding(holder, "shared", 3))
	b := start()
	b.Queue = "other"
	id := e.begin(b)
	e.pending()
	req := needing(e.lease(), 10, 0)
	req.Queues["other"] = 10
	if c := e.claimAs(req); len(c.Records) != 1 || c.Records[0].ID != id {
		e.failf("claimed %d, want the one of the queue that needs nothing", len(c.Records))
	}
}

func needTakesNone(e *env) {
	for range 3 {
		e.pending()
	}
	c := e.claimAs(needing(e.lease(), 10, 0))
	if len(c.Records) != 3 {
		e.failf("claimed %d of 3", len(c.Records))
	}
	r := e.running()
	e.advance(r, e.holding(r, "shared", 3))
	mine := c.Records[0]
	late := store.Advance{ID: mine.ID, Owner: mine.Owner, Epoch: mine.Epoch, Base: mine.Length, Seen: -1}
	late.Holds = []store.Hold{{Name: "shared", Amount: 1, Limit: 3, Until: e.now().Add(time.Hour)}}
	e.one(advancing(late), store.Full, "claimed, and somebody was faster")
}
