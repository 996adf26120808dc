package run

import (
	"time"

	"github.com/durable-go/durable/internal/journal"
)

// storeClock estimates the store's clock from its replies. A reply that was
// asked for at local time a, arrived at local time r and says T bounds the
// store's clock at local time t: at least T+(t-r), at most T+(t-a). Local
// times must come from a monotonic clock.
type storeClock struct {
	asked, replied time.Time
	said           time.Time
}

// sample takes a reply, and tells by how much the store's clock is further than it can have come since the last one:
// it was set, or this machine was asleep.
func (c *storeClock) sample(asked, replied, said time.Time) (ahead time.Duration) {
	if said.IsZero() {
		return 0
	}
	if !c.said.IsZero() {
		ahead = max(0, said.Sub(c.high(replied)))
	}
	c.asked, c.replied, c.said = asked, replied, said
	return ahead
}

// clockStep is how far the store's clock is set forwards, at least, for what is due to be looked at anew. Clocks that run at
// slightly other speeds stay below it.
const clockStep = 10 * time.Millisecond

// setClock takes the store's time from a reply. If that is set forwards, what is due in runs of this worker is due sooner.
func (w *Worker) setClock(asked, now, said time.Time) {
	ahead := w.clock.sample(asked, now, said)
	if ahead < clockStep {
		return
	}
	for r, t := range w.alarms {
		w.alarms[r] = t.Add(-ahead)
	}
	for r, t := range w.mortal {
		w.mortal[r] = t.Add(-ahead)
	}
}

// low is a time that the store's clock has surely reached.
func (c *storeClock) low(now time.Time) time.Time { return c.said.Add(now.Sub(c.replied)) }

// high is a time that the store's clock has surely not passed. Deadlines are
// counted from it, so that a sleep is never shorter than asked for.
func (c *storeClock) high(now time.Time) time.Time { return c.said.Add(now.Sub(c.asked)) }

// local is the local time at which the store's clock has surely reached t.
func (c *storeClock) local(t time.Time) time.Time { return c.replied.Add(t.Sub(c.said)) }

// micros is a time as facts hold it.
func micros(t time.Time) int64 { return t.UnixMicro() }

// Within is a time that somebody has given, as facts, stores and JSON can hold it: what is
// after the year 9999 is its end, and what is before 1970 is long ago just as well.
func Within(t time.Time) time.Time {
	switch first, last := time.UnixMicro(1), time.UnixMicro(journal.Latest); {
	case t.IsZero():
		return t
	case t.Before(first):
		return first.UTC()
	case t.After(last):
		return last.UTC()
	}
	return t
}

// fromMicros is the inverse of micros; 0 is the zero time.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
