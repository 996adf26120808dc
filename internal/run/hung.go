package run

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// User code cannot be stopped, it can only be told. What goes on after its context
// has ended keeps its slot, and the next body of its place does not begin in this
// process until it ends. After a while it is reported; after Config.HungAfter its run
// is let go without it.

const (
	// hungReport is how long after the end of its context user code may still run
	// before it is reported.
	hungReport = 10 * time.Second
	// hungListed is how many of them a worker names in its report.
	hungListed = 50
	// A run that was claimed by the worker in which an old body of it still runs is put
	// off, for others to claim it: so long at least that they learn of it, see
	// queue.yield.
	minOldPause = 4 * time.Second
	maxOldPause = time.Minute
)

// Hung is user code that ignores the end of its context.
type Hung struct {
	ID       store.ID  `json:"id"`
	Workflow string    `json:"workflow"`
	Path     string    `json:"path"`
	Queue    string    `json:"queue"`
	Since    time.Time `json:"since"`          // when its context ended, by the store's clock
	Left     bool      `json:"left,omitempty"` // its run goes on without it
}

// linger is user code that runs although its context has ended.
type linger struct {
	since time.Time // when it ended
	told  bool
	left  time.Time // when the run went on without it; zero: not yet
}

// lingers notes that the context of a visit ends now.
func (w *Worker) lingers(v *Visit) {
	if v.begun && !v.over && w.lingering[v] == nil {
		w.lingering[v] = &linger{}
		w.ending = append(w.ending, v)
	}
}

// gone says that a visit's goroutine is over.
func (w *Worker) gone(v *Visit) {
	v.over = true
	if l := w.lingering[v]; l != nil {
		delete(w.lingering, v)
		w.hungNews = w.hungNews || l.told
	}
}

// TimedOut says that the step's own timeout has ended the context of a visit.
func (w *Worker) TimedOut(v *Visit, now time.Time) {
	if v.over || v.cause != nil || v.suspend != nil {
		return
	}
	v.timedOut = true
	w.lingers(v)
	w.pump(now)
}

// pumpLingering reports and hands over what ignores the end of its context.
func (w *Worker) pumpLingering(now time.Time) {
	for _, v := range w.ending {
		if l := w.lingering[v]; l != nil {
			l.since = now
			w.hungAt = earlier(w.hungAt, now.Add(w.hungReport()))
		}
	}
	w.ending = nil
	if w.hungAt.IsZero() || now.Before(w.hungAt) {
		return
	}
	w.hungAt = time.Time{}
	for _, v := range w.hungList() {
		if next := w.hung(v, w.lingering[v], now); !next.IsZero() {
			w.hungAt = earlier(w.hungAt, next)
		}
	}
}

func (w *Worker) hungReport() time.Duration { return min(hungReport, w.cfg.HungAfter) }

// hungList is what lingers, in a stable order.
func (w *Worker) hungList() []*Visit {
	list := make([]*Visit, 0, len(w.lingering))
	for v := range w.lingering {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b *Visit) int {
		if c := compareIDs(a.Execution, b.Execution); c != 0 {
			return c
		}
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return int(a.Epoch - b.Epoch)
	})
	return list
}

// hung does with a visit what is due, and tells when to look again; zero: never.
func (w *Worker) hung(v *Visit, l *linger, now time.Time) time.Time {
	if at := l.since.Add(w.hungReport()); now.Before(at) {
		return at
	}
	if !l.told {
		l.told, w.hungNews = true, true
		w.counts.Hung++
		w.do.Note(fmt.Sprintf("a step ignores the end of its context: %s of %s, since %s", v.Path, v.Workflow, w.hungReport()), v.Execution, nil)
	}
	r := v.run
	switch at := l.since.Add(w.cfg.HungAfter); {
	case !l.left.IsZero():
		return time.Time{}
	case r == nil || w.runs[r.id] != r || r.visits[v.Path] != v: // let go long since
		l.left, w.hungNews = now, true
		return time.Time{}
	case now.Before(at):
		return at
	case w.stopping: // its time is the grace
		return now.Add(w.cfg.HungAfter)
	case !w.abandon(v, now):
		return now.Add(time.Second)
	}
	w.drive(r, now)
	return time.Time{}
}

// abandon lets a run go on without a body that ignores the end of its context;
// false: not now. What it did not say itself is recorded as for one that returns
// late. Its slot stays taken.
func (w *Worker) abandon(v *Visit, now time.Time) bool {
	r := v.run
	if v.pendingStart(r) {
		return false // it will not begin, see start
	}
	if r.tx == v {
		if r.sent != nil {
			return false // its transaction is being committed: it is about to end
		}
		r.tx = nil // rolled back by the end of its context
	}
	delete(r.visits, v.Path)
	w.old[placeKey{v.Execution, v.Path}]++
	v.run, v.left = nil, true
	if l := w.lingering[v]; l != nil {
		l.left, w.hungNews = now, true
	}
	w.unsuspect(v)
	w.refuse(v)
	if v.Question == nil {
		end := plan.Ending{Err: &journal.Error{Code: "error", Path: v.Path, Attempt: v.Attempt, Message: "the step was cut off"}}
		if v.timedOut {
			end = timedOut(v)
		}
		w.finish(r, v, end, v.suspend != nil, now)
	}
	w.do.Note("a step ignores the end of its context; its run goes on without it: "+v.Path, v.Execution, nil)
	return true
}

// timedOut is the end of a body that ran into its timeout.
func timedOut(v *Visit) plan.Ending {
	return plan.Ending{Timeout: true, Err: &journal.Error{
		Code: "step_timeout", Path: v.Path, Attempt: v.Attempt,
		Message: fmt.Sprintf("the step ran longer than its timeout of %s", timeout(v)),
	}}
}

// oldPause is how long a run is put off of which an old body still runs here. It
// grows, since each time costs a claim and a write.
func (w *Worker) oldPause(id store.ID, now time.Time) time.Duration {
	pause := minOldPause
	for v, l := range w.lingering {
		if v.Execution == id && !l.left.IsZero() {
			pause = max(pause, min(now.Sub(l.left)/4, maxOldPause))
		}
	}
	return pause
}

// hungNow is what a worker says of itself: those that were reported, the oldest first.
func (w *Worker) hungNow() (list []Hung, count int) {
	for _, v := range w.hungList() {
		l := w.lingering[v]
		if !l.told {
			continue
		}
		list = append(list, Hung{
			ID: v.Execution, Workflow: v.Workflow, Path: v.Path, Queue: v.Queue,
			Since: w.clock.low(l.since).UTC().Truncate(time.Millisecond), Left: !l.left.IsZero(),
		})
	}
	slices.SortStableFunc(list, func(a, b Hung) int { return a.Since.Compare(b.Since) })
	return list[:min(len(list), hungListed)], len(list)
}

// inherit takes over the bodies that still run of a worker of this process that has stopped.
func (w *Worker) inherit(old *Worker) {
	for v, l := range old.lingering {
		w.lingering[v] = l
		w.old[placeKey{v.Execution, v.Path}]++
		if q := w.queue(v.Queue); q != nil {
			q.used++
		}
	}
	w.ending = old.ending
	w.hungAt = old.hungAt
	w.hungNews = len(w.lingering) > 0
}

// Gone says that a body has ended which an earlier worker of this process began.
func (w *Worker) Gone(v *Visit) {
	if w.lingering[v] != nil {
		w.ended(v)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
