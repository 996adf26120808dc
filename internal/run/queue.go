package run

import "time"

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
	empty    bool      // the last claim found nothing left, and no wake came since
	reserved int       // by the claim in flight

	global   int
	rate     Rate
	pledged  int       // bodies that are about to take from the limits above
	refusals int       // in a row: others were faster
	rests    time.Time // after a refusal, no claim before then

	since     time.Time // it is paused since then; zero: it is not
	saidSince time.Time // as the last renewal reported
	saidBusy  int
}

func (q *queue) free() int { return q.slots - q.used }

// wants tells whether a claim should ask for this queue now.
func (q *queue) wants(now time.Time) bool {
	return q.open() && !now.Before(q.rests) && (q.wake || !now.Before(q.next))
}

// open tells whether a claim may ask for this queue. Not while bodies are about
// to take from a shared limit: it would count their room as free.
func (q *queue) open() bool { return q.free() > 0 && q.pledged == 0 }

// when is the time at which a claim will be wanted, if nothing happens before.
func (q *queue) when() time.Time {
	if q.wake && !q.rests.IsZero() {
		return q.rests
	}
	return later(q.next, q.rests)
}

// poke says that something may be due in the queue.
func (q *queue) poke() { q.wake, q.empty = true, false }
