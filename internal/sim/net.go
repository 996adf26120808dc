package sim

import (
	"context"
	"errors"
	"time"

	"github.com/durable-go/durable/store"
)

// What a lost call looks like to whoever made it.
var (
	errLost = errors.New("sim: the connection was cut")
	errDown = errors.New("sim: the database is down")
)

// storeTimeout is the shell's deadline for one call.
const storeTimeout = 30 * second

// call sends a request to the store and brings the answer back, with delays
// both ways and the faults of the seed. back is called exactly once, unless
// the process dies.
func call[T any](p *process, op string, timeout time.Duration, at func() (T, error), back func(T, error)) {
	s := p.s
	there, home := s.delay(), s.delay()
	var zero T
	heard := false
	answer := func(v T, err error) {
		if !heard {
			heard = true
			back(v, err)
		}
	}
	arrive := func(reply bool) func() {
		return func() {
			v, err := zero, s.trouble(op)
			if err == nil {
				v, err = at()
			}
			if reply {
				s.at(p, home, func() { answer(v, err) })
			}
		}
	}
	lost, mute, twice := s.chance(s.LoseRequest), s.chance(s.LoseReply), s.chance(s.Duplicate)
	cut := s.between(0, 2*second)
	if s.chance(0.1) {
		cut = timeout
	}
	again := s.between(0, 10*second)
	if late := s.between(0, 3*second); s.chance(s.Late) && !s.calm() {
		home += late
	}
	if s.calm() {
		lost, mute, twice = false, false, false
	}
	switch {
	case lost:
		p.troubled = true
		s.logf("%s %s: the request is lost", p.name, op)
	case mute:
		p.troubled = true
		s.mark("reply of " + op + " lost")
		s.at(nil, there, arrive(false))
	default:
		s.at(nil, there, arrive(true))
	}
	if twice && op == "commit" {
		s.mark("commit delivered twice")
		s.at(nil, there+again, arrive(false))
	}
	if lost || mute {
		s.at(p, max(cut, there+home), func() { answer(zero, errLost) })
	} else if there+home > timeout {
		p.troubled = true
		s.at(p, timeout, func() { answer(zero, context.DeadlineExceeded) })
	}
}

// delay is the time one way.
func (s *Sim) delay() time.Duration {
	d := s.between(s.Delay/10, s.Delay)
	if s.now < s.db.slowUntil {
		d += s.between(0, 3*second)
	}
	return d
}

// trouble is why the store does not even look at a request.
func (s *Sim) trouble(op string) error {
	switch {
	case s.now < s.db.downUntil:
		return errDown
	case s.now < s.db.fullUntil && op != "load":
		return store.ErrFull
	}
	return nil
}

// hint tells the other processes that something has changed.
func (s *Sim) hint(from *process) {
	for _, p := range s.processes {
		if p == from || p.dead || p.hinted {
			continue
		}
		d := s.between(0, s.Delay+time.Millisecond)
		if s.chance(s.LoseHint) && (!s.calm() || s.LoseHint == 1) {
			continue
		}
		p.hinted = true
		s.at(p, d, func() {
			p.hinted = false
			p.w.Hint(p.local())
		})
	}
}
