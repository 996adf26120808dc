package storetest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func pauseClauses() []clause {
	return []clause{
		{"pause/nothing is claimed from a paused queue", "QU-10, QU-1", pauseClaims},
		{"pause/claims, renewals and surveys tell", "QU-10", pauseTold},
		{"pause/pausing again changes nothing", "QU-10", pauseAgain},
		{"pause/survives a restart, until it is undone", "QU-10", pauseRestart},
		{"pause/an owner writes on", "QU-10", pauseOwner},
		{"pause/gives a hint", "QU-10, QU-3", pauseHints},
		{"survey/leases with their reports", "QU-10", surveyLeases},
		{"survey/a lease is there until it is ended", "QU-10", surveyEnded},
	}
}

func (e *env) pause(queue, by string) {
	e.tb.Helper()
	e.ok(e.st.SetPaused(e.ctx(), queue, by, true), "pause")
}

func (e *env) resume(queue string) {
	e.tb.Helper()
	e.ok(e.st.SetPaused(e.ctx(), queue, "", false), "resume")
}

func (e *env) survey() store.Survey {
	e.tb.Helper()
	s, err := e.st.Survey(e.ctx())
	e.ok(err, "survey")
	return s
}

func pauseClaims(e *env) {
	due, blocked := e.pending(), e.running()
	a := blocked.park(store.Blocked)
	a.Release.Blocked = "old"
	e.advance(blocked, a)
	other := start()
	other.Queue = "other"
	e.begin(other)
	later := start()
	later.Due = e.now().Add(time.Hour)
	e.begin(later)
	e.pause(queue, "ann")
	req := usual(e.lease())
	req.Queues["other"] = 10
	c := e.claimAs(req)
	if len(c.Records) != 1 || c.Records[0].ID != other.ID {
		e.failf("claimed %d, want the one that is not in the paused queue", len(c.Records))
	}
	if c.More[queue] {
		e.failf("more is said to be in a paused queue")
	}
	if !c.NextDue.Equal(later.Due) {
		e.failf("NextDue is %v, want %v as if the limit were 0", c.NextDue, later.Due)
	}
	e.resume(queue)
	if c = e.claim(e.lease()); len(c.Records) != 2 || c.Records[0].ID != due {
		e.failf("claimed %d of 2 after the pause", len(c.Records))
	}
}

func pauseTold(e *env) {
	before := e.now()
	who := e.lease()
	e.pause("b", "bob")
	e.pause("a", "")
	c := e.claimAs(store.ClaimRequest{Owner: who})
	rn, err := e.st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour})
	e.ok(err, "renew")
	s := e.survey()
	for what, got := range map[string][]store.Pause{"claim": c.Paused, "renewal": rn.Paused, "survey": s.Paused} {
		if len(got) != 2 || got[0].Queue != "a" || got[0].By != "" || got[1].Queue != "b" || got[1].By != "bob" {
			e.failf("the %s tells %+v", what, got)
		}
		if got[1].Since.Before(before) || got[1].Since.After(s.Now) {
			e.failf("the %s says since %v; want between %v and %v", what, got[1].Since, before, s.Now)
		}
	}
	e.resume("b")
	if c = e.claimAs(store.ClaimRequest{Owner: who}); len(c.Paused) != 1 || c.Paused[0].Queue != "a" {
		e.failf("after a resume a claim tells %+v", c.Paused)
	}
	e.resume("a")
	if s := e.survey(); len(s.Paused) != 0 {
		e.failf("nothing is paused, and a survey tells %+v", s.Paused)
	}
}

func pauseAgain(e *env) {
	e.pause(queue, "ann")
	before := e.survey().Paused
	e.until("time passes", func() bool { return e.now().After(before[0].Since.Add(2 * time.Millisecond)) })
	e.pause(queue, "bob")
	if d := differ(before, e.survey().Paused); d != "" {
		e.failf("pausing again: %s", d)
	}
	e.resume(queue)
	e.resume(queue)
	e.pause(queue, "bob")
	if after := e.survey().Paused; after[0].By != "bob" || !after[0].Since.After(before[0].Since) {
		e.failf("paused anew: %+v", after)
	}
}

func pauseRestart(e *env) {
	e.pending()
	e.pause(queue, "ann")
	before := e.survey().Paused
	e.restart()
	e.nobody("the queue is paused")
	if d := differ(before, e.survey().Paused); d != "" {
		e.failf("before and after a restart: %s", d)
	}
	e.resume(queue)
	e.restart()
	if n := len(e.claim(e.lease()).Records); n != 1 {
		e.failf("claimed %d after a resume and a restart", n)
	}
}

func pauseOwner(e *env) {
	r := e.running()
	e.pause(queue, "ann")
	r = e.advance(r, r.next("goes on"))
	e.advance(r, r.park(store.Pending))
	e.one(beginning(start()), store.Applied, "begin in a paused queue")
	e.nobody("the queue is paused")
}

func pauseHints(e *env) {
	ctx, cancel := context.WithCancel(e.ctx())
	defer cancel()
	hints := e.st.Watch(ctx)
	if hints == nil {
		return // this store has none, which is allowed
	}
	other, paused := e.open(), false
	e.until("a pause or a resume through another handle gives a hint", func() bool {
		paused = !paused
		e.ok(other.SetPaused(e.ctx(), queue, "ann", paused), "pause")
		select {
		case _, open := <-hints:
			return open
		default:
			return false
		}
	})
}

func surveyLeases(e *env) {
	if s := e.survey(); len(s.Leases) != 0 {
		e.failf("nobody is there, and a survey tells %+v", s.Leases)
	}
	a, b := uuid.New(), uuid.New()
	for _, l := range []store.Lease{
		{Who: a, Name: "b", Duration: time.Hour, New: true, Report: awkward()},
		{Who: b, Name: "a", Duration: 2 * time.Hour, New: true},
	} {
		_, err := e.st.Renew(e.ctx(), l)
		e.ok(err, "create a lease")
	}
	s := e.survey()
	if len(s.Leases) != 2 || s.Leases[0].Who != b || s.Leases[1].Who != a || s.Leases[0].Name != "a" {
		e.failf("a survey tells %+v", s.Leases)
	}
	if string(s.Leases[1].Report) != string(awkward()) || len(s.Leases[0].Report) != 0 {
		e.failf("reports came back as %q and %q", s.Leases[1].Report, s.Leases[0].Report)
	}
	if left := s.Leases[0].Expires.Sub(s.Now); left < time.Hour || left > 2*time.Hour {
		e.failf("a lease of two hours ends in %v", left)
	}
	_, err := e.st.Renew(e.ctx(), store.Lease{Who: a, Name: "c", Duration: time.Hour, Report: []byte("next")})
	e.ok(err, "renew")
	if s = e.survey(); string(s.Leases[1].Report) != "next" || s.Leases[1].Name != "c" {
		e.failf("after a renewal a survey tells %+v", s.Leases)
	}
}

func surveyEnded(e *env) {
	dead, left := e.lease(), e.lease()
	e.lapse(dead)
	s := e.survey()
	if len(s.Leases) != 2 {
		e.failf("two leases are there, and a survey tells %d", len(s.Leases))
	}
	for _, l := range s.Leases {
		if (l.Who == dead) == l.Expires.After(s.Now) {
			e.failf("at %v: %+v", s.Now, l)
		}
	}
	e.expire(0)
	e.ok(e.st.Retire(e.ctx(), left), "retire")
	if s = e.survey(); len(s.Leases) != 0 {
		e.failf("all are ended, and a survey tells %+v", s.Leases)
	}
}
