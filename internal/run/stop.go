package run

import "time"

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
