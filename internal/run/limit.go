package run

import (
	"slices"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// Rate is how many bodies may begin in any window of a length, over all workers.
type Rate struct {
	N   int
	Per time.Duration
}

// maxRefusalRest is how long at most a worker leaves a queue alone in which
// others were faster.
const maxRefusalRest = 100 * time.Millisecond

// limited tells whether other workers have a say in what begins in the queue.
func (q *queue) limited() bool { return q.global > 0 || q.rate.N > 0 }

// loan is what a run takes of Global. Its end is far away: it ends with the
// ownership, however that ends.
func (q *queue) loan(bodies int64) store.Hold {
	return store.Hold{
		Name: "queue:" + q.name, Amount: bodies, Limit: int64(q.global),
		Until: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	}
}

// tokens is what starts take of Rate.
func (q *queue) tokens(starts int64) store.Hold {
	return store.Hold{Name: "rate:" + q.name, Amount: starts, Limit: int64(q.rate.N), Window: q.rate.Per}
}

// needs is what each run of the queue is going to take.
func (q *queue) needs() (list []store.Hold) {
	if q.global > 0 {
		list = append(list, q.loan(1))
	}
	if q.rate.N > 0 {
		list = append(list, q.tokens(1))
	}
	return list
}

// holds is what a write must take and give back, so that the run holds what its
// bodies need as soon as it has landed. A release ends all that it holds.
func (w *Worker) holds(r *run, b *batch) (list []store.Hold) {
	if !w.limited || b.release != nil {
		return nil
	}
	for _, q := range w.queues {
		if q.global > 0 {
			if n := r.bodies(q.name); n != r.lent[q.name] {
				list = append(list, q.loan(n))
				if b.lent == nil {
					b.lent = make(map[string]int64)
				}
				b.lent[q.name] = n
			}
		}
		if q.rate.N > 0 {
			starts := int64(0)
			for _, v := range b.starts {
				if v.Queue == q.name {
					starts++
				}
			}
			if starts > 0 {
				list = append(list, q.tokens(starts))
			}
		}
	}
	return list
}

// bodies counts those of a run that run in a queue, or will when they are
// recorded as begun.
func (r *run) bodies(queue string) (n int64) {
	for _, v := range r.visits {
		if v.Question == nil && v.Queue == queue {
			n++
		}
	}
	return n
}

// holdsTooMuch tells whether a run holds what no body of it needs.
func (r *run) holdsTooMuch() bool {
	for name, n := range r.lent {
		if n > r.bodies(name) {
			return true
		}
	}
	return false
}

// heldNow takes what a write that has landed took and gave back.
func (w *Worker) heldNow(r *run, b *batch) {
	for name, n := range b.lent {
		if n < r.lent[name] {
			w.queue(name).poke()
		}
		if r.lent == nil {
			r.lent = make(map[string]int64)
		}
		r.lent[name] = n
	}
	for _, v := range b.starts {
		if q := w.queue(v.Queue); q != nil {
			q.refusals = 0
		}
	}
}

// returnAll says that a run has let go all that it held.
func (w *Worker) returnAll(r *run) {
	for name, n := range r.lent {
		if n > 0 {
			w.queue(name).poke()
		}
	}
	r.lent = nil
}

// pledge counts a body that is about to take from shared limits; until it has,
// claims would count too much room.
func (w *Worker) pledge(v *Visit) {
	if q := w.queue(v.Queue); q != nil && q.limited() {
		v.pledged = true
		q.pledged++
	}
}

// redeem ends a pledge: the body begins, or never will.
func (w *Worker) redeem(v *Visit) {
	if v.pledged {
		v.pledged = false
		w.queue(v.Queue).pledged--
	}
}

// full takes a refusal: others were faster. What bodies said is written all the
// same; those that were to begin make room for their run to be put off.
func (w *Worker) full(r *run, b *batch, v store.Verdict, now time.Time) {
	if r.full == nil {
		r.full = make(map[string]int64)
	}
	for _, s := range b.starts {
		q := w.queue(s.Queue)
		if q == nil || !q.limited() {
			continue
		}
		r.full[q.name] = 0
		if !v.At.IsZero() {
			r.full[q.name] = micros(v.At.Add(time.Microsecond - 1))
		}
		q.refusals++
		q.rests = now.Add(min(time.Millisecond<<min(q.refusals, 7), maxRefusalRest))
		q.wake = true
		// News is written again at once, without these.
		news := b.fires || r.batch.fires
		if v.At.IsZero() && !news && len(r.visits) > len(b.starts)+len(r.batch.starts) { // other lanes keep the run here
			r.full[q.name] = micros(w.clock.high(now.Add(min(time.Millisecond<<min(q.refusals, 10), time.Second))))
		}
	}
	// A report that is taken again may be what others follow from.
	instead := func(f journal.Fact) bool {
		return f.Kind == journal.Failed && f.Err != nil && f.Err.Code == journalLimit || f.Kind == journal.Handed && f.Message != 0
	}
	if b.fires || r.batch.fires || slices.ContainsFunc(b.facts, instead) || slices.ContainsFunc(r.batch.facts, instead) {
		w.undo(r, b, afterNews) // a message may have come meanwhile, which wins
		return
	}
	w.undo(r, b, func(f *journal.Fact) bool { return f.Kind == journal.Tried })
}

// singly tells whether a body of the run has to wait for another of it, since their
// queues have limits: a write takes all that it needs or nothing, so that lanes which
// begin together might never fit, and one whose queue is full would hold up the others.
func (w *Worker) singly(r *run, name string) bool {
	q := w.queue(name)
	if q == nil || !q.limited() {
		return false
	}
	begins := func(v *Visit) bool { return v.pledged }
	return slices.ContainsFunc(r.batch.starts, begins) || q.global > 0 && r.bodies(name) >= int64(q.global)
}

// refusedAndLanded tells whether a run that was refused a beginning has a row that
// this worker does not know: the refused write has arrived once more. While a write
// is on its way the row may be that, and its verdict tells.
func (r *run) refusedAndLanded(rows int) bool {
	return len(r.refused) > 0 && r.sent == nil && rows > r.base
}

// unrefused lets a run go that was refused a beginning and whose journal is not
// what it should be: the same write may have arrived once more, when nothing
// refused it any longer. What it says has begun never did.
func (w *Worker) unrefused(r *run) {
	if len(r.refused) == 0 {
		return
	}
	for _, path := range r.refused {
		w.cutOff(r, path)
		w.report(r.id, path, r.epoch)
	}
	r.refused = nil
	w.letGo(r.id)
}

// shut tells whether no body may begin in a queue now; if it may later, that is
// noted.
func (w *Worker) shut(r *run, name string, now time.Time) bool {
	if q := w.queue(name); q != nil && q.paused() {
		r.lack(name)
		return true
	}
	at, full := r.full[name]
	if at != 0 && at <= micros(w.clock.low(now)) {
		delete(r.full, name)
		return false
	}
	if full && at != 0 {
		r.delay(at, name)
	} else if full {
		r.want(name)
	}
	return full
}
