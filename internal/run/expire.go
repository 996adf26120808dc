package run

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/internal/journal"
)

// lives notes when the time of a run is over, if it has a limit. created is by
// the store's clock.
func (w *Worker) lives(r *run, created time.Time) {
	r.created = created.Truncate(time.Microsecond)
	if r.hist.Limit == 0 || r.hist.Back != nil {
		return
	}
	r.expires = min(max(micros(created), r.hist.From)+r.hist.Limit, journal.Latest)
	w.mortal[r] = w.clock.local(fromMicros(r.expires))
}

// expire ends a run whose time is over. The write is refused if the store's clock
// says that it is too early.
func (w *Worker) expire(r *run, at int64) bool {
	if r.expires == 0 || r.hist.Late != nil || r.hist.Back != nil {
		return false
	}
	if at < r.expires {
		w.mortal[r] = w.clock.local(fromMicros(r.expires))
		return false
	}
	delete(w.mortal, r)
	if deadline := fromMicros(r.expires); deadline.After(r.batch.notBefore) {
		r.batch.notBefore = deadline
	}
	w.add(r, journal.Fact{Kind: journal.Expired, At: at, Derived: true, Err: &journal.Error{
		Code: "run_timeout", Message: fmt.Sprintf("the run has taken longer than its timeout of %s", time.Duration(r.hist.Limit)*time.Microsecond),
	}})
	return true
}
