package run

import "time"

// Queue is how a worker serves a queue.
type Queue struct {
	Concurrency  int           // bodies at once in this process
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
}

func (q *queue) free() int { return q.slots - q.used }

// wants tells whether a claim should ask for this queue now.
func (q *queue) wants(now time.Time) bool {
	return q.free() > 0 && (q.wake || !now.Before(q.next))
}

// poke says that something may be due in the queue.
func (q *queue) poke() { q.wake, q.empty = true, false }
