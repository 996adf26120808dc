package run

import (
	"time"

	"github.com/durable-go/durable/internal/journal"
)

// pumpStop ends contexts when the grace is over, and hands over what does not
// end even then.
func (w *Worker) pumpStop(now time.Time) {
	if w.stopped == 0 && !now.Before(w.stopAt) {
		w.stopped = 1
		for _, r := range w.sorted() {
			for _, v := range r.sorted() {
				w.stopVisit(v, ErrStopping)
			}
		}
	}
	if w.stopped == 1 && !now.Before(w.stopAt.Add(abandonAfter)) {
		w.stopped = 2
		for _, r := range w.sorted() {
			if w.doubtful[r.id] == r {
				w.notBegun(r)
			}
		}
		clear(w.doubtful)
		for _, r := range w.sorted() {
			for _, v := range r.sorted() {
				w.abandon(v, now)
			}
			w.drive(r, now)
		}
	}
}

// abandon hands over the place of a body that ignores the end of its context.
// Its slot stays taken.
func (w *Worker) abandon(v *Visit, now time.Time) {
	r := v.run
	if v.pendingStart(r) {
		return // it will not begin, see start
	}
	if r.tx == v {
		if r.sent != nil {
			return // its transaction is being committed: it is about to end
		}
		r.tx = nil // rolled back by the end of its context
	}
	delete(r.visits, v.Path)
	w.old[placeKey{v.Execution, v.Path}]++
	v.run = nil
	w.unsuspect(v)
	w.refuse(v)
	if v.Question == nil {
		w.add(r, journal.Fact{Kind: journal.Handed, Path: v.Path, Epoch: r.epoch, At: micros(w.clock.low(now))})
	}
	w.do.Note("a step ignores the end of its context; its run is handed over", v.Execution, nil)
}
