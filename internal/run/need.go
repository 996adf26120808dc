package run

import (
	"cmp"
	"slices"
	"time"

	"github.com/durable-go/durable/store"
)

// A run with lanes may have bodies that run, others that lack a slot, others that are
// put off, and waits, all at once.

// need is what a run lacks, beside what runs, to go on.
type need struct {
	ready  bool     // something could begin now: here if there were a slot, or elsewhere
	queue  string   // of that; if nothing is ready, of what is put off
	later  int64    // earliest time at which a body that is put off may begin
	yields bool     // others may begin a body of it, but not this process
	hungry []string // queues in which it would begin more here as soon as there is a slot, or no pause
}

// want says that something of the run could begin in a queue, and not here or
// not now.
func (r *run) want(queue string) {
	if !r.need.ready {
		r.need.ready, r.need.queue = true, queue
	}
}

// lack says that something of the run could begin here, if the queue had a slot or
// were not paused.
func (r *run) lack(queue string) {
	r.want(queue)
	if !slices.Contains(r.need.hungry, queue) {
		r.need.hungry = append(r.need.hungry, queue)
	}
}

// delay says that something of the run may begin in a queue at a time.
func (r *run) delay(until int64, queue string) {
	n := &r.need
	if n.later != 0 && n.later <= until {
		return
	}
	n.later = until
	if !n.ready {
		n.queue = queue
	}
}

// nextTime is when something of the run is due by itself, 0 if nothing is.
func (r *run) nextTime() int64 {
	at := r.need.later
	for _, o := range r.plan.Waits {
		if d := o.Wait.Due(); d != 0 && (at == 0 || d < at) {
			at = d
		}
	}
	return at
}

// setAlarm sees to it that what is put off in one lane goes on in time while
// bodies of others run. When nothing runs the run is let go, and the store does.
func (w *Worker) setAlarm(r *run, now time.Time) {
	delete(w.alarms, r)
	if w.runs[r.id] != r {
		return
	}
	if !r.gathers.IsZero() {
		w.alarms[r] = r.gathers
	}
	if at := r.nextTime(); at != 0 && len(r.visits) > 0 {
		if t := later(w.clock.local(fromMicros(at)), now.Add(time.Millisecond)); r.gathers.IsZero() || t.Before(r.gathers) {
			w.alarms[r] = t
		}
	}
}

// lend takes a slot for one more body or question of the run. Without one the run
// is hungry.
func (w *Worker) lend(r *run, name string, now time.Time) *queue {
	q := w.queue(name)
	if q == nil || q.free() <= 0 || w.owes(r, q, now) {
		if r.want(name); q != nil {
			r.lack(name)
		}
		return nil
	}
	w.lent(r, q, now)
	q.used++
	return q
}

// spare takes the slot that the run holds and does not use, if it may keep it.
func (w *Worker) spare(r *run, now time.Time) *queue {
	q := r.token
	if q == nil || w.owes(r, q, now) {
		return nil
	}
	r.token = nil
	w.lent(r, q, now)
	return q
}

// owes tells whether the next slot of a queue is for a claim and not for one more
// lane of a run that has one: while others may wait, the two take turns.
func (w *Worker) owes(r *run, q *queue, now time.Time) bool {
	return q.owed && q.asks(now, w.lease.asked) && r.uses(q.name)
}

// lent notes that a run gets a slot.
func (w *Worker) lent(r *run, q *queue, now time.Time) {
	q.owed = q.owed || q.asks(now, w.lease.asked) && r.uses(q.name)
}

// uses tells whether something of the run runs in a queue.
func (r *run) uses(queue string) bool {
	for _, v := range r.visits {
		if v.Queue == queue {
			return true
		}
	}
	return false
}

// feed lets runs go on that have bodies here and lacked slots for more. They
// come before what is to be claimed.
func (w *Worker) feed(now time.Time) {
	if len(w.hungry) == 0 {
		return
	}
	var list []*run
	for r := range w.hungry {
		if w.runs[r.id] != r || len(r.need.hungry) == 0 {
			delete(w.hungry, r)
		} else if slices.ContainsFunc(r.need.hungry, func(name string) bool { q := w.queue(name); return q.free() > 0 && !q.paused() && !w.owes(r, q, now) }) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *run) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), a.since.Compare(b.since), compareIDs(a.id, b.id))
	})
	for _, r := range list {
		delete(w.hungry, r)
		w.drive(r, now)
	}
}

// dueRuns takes the runs whose time has come, in a stable order.
func (w *Worker) dueRuns(now time.Time) []*run {
	var due []*run
	for r, t := range w.timed {
		if !now.Before(t) {
			due = append(due, r)
			delete(w.timed, r)
		}
	}
	for r, t := range w.alarms {
		if !now.Before(t) {
			delete(w.alarms, r)
			if !slices.Contains(due, r) {
				due = append(due, r)
			}
		}
	}
	for r, t := range w.mortal {
		if !now.Before(t) {
			delete(w.mortal, r) // if it cannot be driven now, it will be when that is over
			if !slices.Contains(due, r) {
				due = append(due, r)
			}
		}
	}
	slices.SortFunc(due, func(a, b *run) int { return compareIDs(a.id, b.id) })
	return due
}

// park says where a run goes on, and when.
func (w *Worker) park(r *run, rel *store.Release) {
	rel.Status, rel.Queue = store.Pending, r.need.queue
	if r.need.ready {
		if len(r.plan.Spreads) > 0 { // before those of its items that nobody has claimed yet
			rel.Due = r.created
		}
		return
	}
	due := r.nextTime()
	if x := r.expires; x != 0 && r.hist.Back == nil && (due == 0 || due > x) {
		due = x
	}
	rel.Due = fromMicros(due)
	if len(r.plan.Waits)+len(r.plan.Spreads)+len(r.plan.Kin) > 0 { // a message wakes it, too
		rel.Status = store.Waiting
		if rel.Queue == "" {
			rel.Queue = w.queueOfWaits(r)
		}
	}
}
