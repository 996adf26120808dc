package run

import (
	"slices"
	"time"
)

// Queue is how a worker serves a queue.
type Queue struct {
	Concurrency  int           // bodies at once in this process
	Global       int           // bodies at once over all workers; 0: no limit
	Rate         Rate          // starts of bodies over all workers; zero: no limit
	PollInterval time.Duration // safety net; wakes come by push
}

// queue is the slots of one queue and what is known about its backlog.
type queue struct {
	name     string
	slots    int
	used     int // running bodies, questions, and reservations of a claim in flight
	poll     time.Duration
	wake     bool      // something may be due: ask
	next     time.Time // ask at this time anyway
	told     bool      // since the last renewal was asked, it was learnt when something is due
	sure     bool      // since the last claim was asked, something has become due for certain
	empty    bool      // the last claim found nothing left, and nothing became due for certain since
	reserved int       // by the claim in flight
	owed     bool      // one more lane got a slot while a claim was wanted: the next is for the claim

	global   int
	rate     Rate
	pledged  int         // bodies that are about to take from the limits above
	refusals int         // in a row: others were faster
	rests    time.Time   // after a refusal, no claim before then
	yields   []time.Time // when runs are due that others should claim

	since     time.Time // it is paused since then; zero: it is not
	saidSince time.Time // as the last renewal reported
	saidBusy  int
}

func (q *queue) free() int { return q.slots - q.used }

// wants tells whether a claim should ask for this queue now. A look that is
// only due for safety leaves it to a renewal that is under way.
func (q *queue) wants(now, renewing time.Time) bool {
	return q.open() && q.yieldsUntil(now).IsZero() && q.asks(now, renewing)
}

// asks tells whether a claim is wanted, if there were a slot.
func (q *queue) asks(now, renewing time.Time) bool {
	return !now.Before(q.rests) && (q.wake || !now.Before(q.at(renewing)))
}

// open tells whether a claim may ask for this queue. Not while bodies are about
// to take from a shared limit: it would count their room as free.
func (q *queue) open() bool { return q.free() > 0 && q.pledged == 0 }

// when is the time at which a claim will be wanted, if nothing happens before. Zero: it
// is now, and only what the queue yields can hold it up.
func (q *queue) when(renewing time.Time) time.Time {
	if q.wake {
		return q.rests
	}
	return later(q.at(renewing), q.rests)
}

// at is when to ask anyway. renewing is when the renewal in flight was asked,
// zero if there is none.
func (q *queue) at(renewing time.Time) time.Time {
	if renewing.IsZero() {
		return q.next
	}
	return later(q.next, renewing.Add(glancePatience))
}

// glancePatience is how long a look for safety waits for a renewal, which
// looks, too.
const glancePatience = 100 * time.Millisecond

// yieldTime is how long around the time at which a run is due that others should
// claim no claim leaves: they know when that is by their renewals.
const yieldTime = 250 * time.Millisecond

// yield says that others should claim what is due at t.
func (q *queue) yield(t time.Time) { q.yields = append(q.yields, t) }

// yieldsUntil is when claims may leave again; zero: now.
func (q *queue) yieldsUntil(now time.Time) (until time.Time) {
	q.yields = slices.DeleteFunc(q.yields, func(t time.Time) bool { return now.Sub(t) >= yieldTime })
	for _, t := range q.yields {
		if t.Sub(now) <= yieldTime/5 {
			until = later(until, t.Add(yieldTime))
		}
	}
	return until
}

// soon says that something is due in the queue at t.
func (q *queue) soon(t time.Time) {
	q.told = true
	if t.Before(q.next) {
		q.next = t
	}
}

// quiet says that a look which was asked for at some time has found nothing
// due, and the first at due; zero: none.
func (q *queue) quiet(asked, due time.Time) {
	if q.told || q.wake {
		return // that look may not have seen it
	}
	q.next = later(q.next, asked.Add(q.poll))
	if !due.IsZero() && due.Before(q.next) {
		q.next = due
	}
}

// poke says that something may be due in the queue.
func (q *queue) poke() { q.wake, q.sure, q.empty = true, true, false }

// rumour says that somebody changed something, perhaps in this queue.
func (q *queue) rumour() { q.wake = true }

// roomForMore tells whether what begins here passes by nothing that is due: the
// last claim left nothing, and should a rumour since be true, there is a slot
// for it, too.
func (q *queue) roomForMore() bool { return q.empty && (q.free() > 1 || q.free() == 1 && !q.wake) }
