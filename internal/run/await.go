package run

import (
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// The end of a child is told with one message, and a child that was spawned may be awaited
// in several lanes. Who asks looks first whether the child has ended; then no message is
// needed. So the report is given to all waits for it that are open when it is taken, with that
// same write, and kept in mind for those who looked before and wait afterwards. They
// run here at that time, and whoever begins later finds that the child has ended.

// isAwait tells whether a call awaits a child that was spawned.
func isAwait(call string) bool { return strings.HasPrefix(call, "await:") }

// remember keeps a report in mind, as long as something of the run runs here.
func (r *run) remember(call string, m store.Message) {
	if !isAwait(call) {
		return
	}
	if r.reports == nil {
		r.reports = make(map[string]store.Message)
	}
	r.reports[m.Topic] = m
}

// remembers finds the report for a wait that another one has taken.
func (r *run) remembers(call string, wait *journal.Wait) (store.Message, bool) {
	if !isAwait(call) {
		return store.Message{}, false
	}
	m, ok := r.reports[wait.Topic]
	return m, ok
}

// giveAgain gives an open wait a report that another wait has taken.
func (w *Worker) giveAgain(r *run, o plan.Wait, m store.Message, at int64) {
	for _, heard := range r.batch.heard {
		if heard.Seq == m.Seq { // with this write: that may be refused, for both
			r.batch.heard[shutKey(o.Path, o.Call, "")] = m
			break
		}
	}
	r.batch.close(o.Path, o.Call, "", rowsOf(o.Wait))
	w.add(r, received(o.Path, o.Call, m, at))
}
