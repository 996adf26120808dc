package run

import (
	"time"

	"github.com/durable-go/durable/store"
)

// lease is the state machine of one incarnation's claim to be alive.
//
// Trust counts from before a renewal was asked: a slow reply must not lengthen
// it. It ends a tenth before the lease does, so that bodies are stopped while
// the store still honours the owner.
type lease struct {
	who      store.Incarnation
	duration time.Duration

	held    bool      // the store has confirmed it at least once
	trusted time.Time // until then, by the local monotonic clock
	asked   time.Time // when the renewal in flight was asked; zero: none
	next    time.Time // when to ask again
	steady  time.Time // since when renewals have held without a failure
	failed  bool      // a renewal has failed since the process began
}

func newLease(who store.Incarnation, duration time.Duration) lease {
	return lease{who: who, duration: duration}
}

// alive tells whether bodies may begin and go on.
func (l *lease) alive(now time.Time) bool { return l.held && now.Before(l.trusted) }

// due tells whether a renewal should leave now.
func (l *lease) due(now time.Time) bool { return l.asked.IsZero() && !now.Before(l.next) }

// confirm takes a successful renewal.
func (l *lease) confirm(now time.Time) {
	if l.steady.IsZero() {
		l.steady = l.asked
	}
	l.held = true
	l.trusted = l.asked.Add(l.duration - l.duration/10)
	l.next = l.asked.Add(l.duration * 3 / 10)
	l.asked = time.Time{}
}

// miss takes a renewal whose outcome is unknown.
func (l *lease) miss(now time.Time) {
	l.asked = time.Time{}
	l.steady = time.Time{}
	l.failed = true
	l.next = now.Add(l.duration / 20)
}

// mayExpireOthers tells whether this worker may take over from others: after
// an outage, only when its own renewals have held for one lease time, since
// the others may be about to come back.
func (l *lease) mayExpireOthers(now time.Time) bool {
	from, ok := l.patient()
	return ok && l.alive(now) && !now.Before(from)
}

// patient is until when this worker leaves others alone; not ok: until its
// next renewal at least.
func (l *lease) patient() (until time.Time, ok bool) {
	if !l.failed {
		return time.Time{}, true
	}
	return l.steady.Add(l.duration), !l.steady.IsZero()
}
