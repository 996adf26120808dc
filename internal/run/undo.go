package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// TopicHalt is the topic of the message that ends a rollback after the undo
// that is running.
const TopicHalt = "halt"

// UndoFar is how far away a rollback is due that waits for a message only. It
// may be woken for nothing: then it is put off again.
const UndoFar = 100 * 365 * 24 * time.Hour

// turn begins the rollback: nothing of the run is going on any more, here, and
// what it waits for is no longer wanted.
func (w *Worker) turn(r *run, p plan.Plan, at int64) {
	for _, c := range r.hist.OpenCalls("") {
		r.batch.close(c.Path, c.Call, "", rowsOf(c.Wait))
		r.dismiss(c, callKey("", ""), "what called it goes back", true)
	}
	r.dismissItems(r.hist.OpenItems(""), callKey("", ""), "what it is an item of goes back", true)
	w.add(r, journal.Fact{Kind: journal.Turned, Err: p.Err, At: at, Derived: true, Undo: true})
}

// mustTurn tells whether the run goes back and its header does not say so yet.
// Only letting it go changes that.
func (r *run) mustTurn() bool { return r.hist.Back != nil && !r.undoing }

// takeHalt takes the wish of an operator that the rollback ends.
func (w *Worker) takeHalt(r *run, at int64) bool {
	if r.hist.Back == nil {
		return false
	}
	for i, m := range r.inbox {
		if m.Topic == TopicHalt {
			r.inbox = append(r.inbox[:i:i], r.inbox[i+1:]...)
			r.batch.took = append(r.batch.took, m.Seq)
			w.add(r, journal.Fact{Kind: journal.Halted, Message: m.Seq, Data: m.Payload, At: at})
			r.haltKin(m)
			return true
		}
	}
	return false
}

// parkUndoing is how a run is let go in the middle of its rollback.
func (w *Worker) parkUndoing(r *run, rel *store.Release) {
	if rel.Status == store.Waiting && rel.Due.IsZero() && !(r.mustTurn() && len(r.plan.Kin) > 0) { // only what goes back gives orders
		rel.Due = fromMicros(r.hist.Last).Add(UndoFar)
		if r.waitsForOpen() {
			rel.Due = w.clock.high(r.since).Add(openLook)
		}
	}
	rel.Status = store.Compensating
	if r.mustTurn() { // nobody has looked at its messages and clocks
		rel.Due = time.Time{}
	}
	if r.mustTurn() && len(r.plan.Bodies) > 0 {
		rel.Queue = w.queueOf(r, r.plan.Bodies[0].Node)
	}
}

// stillRuns tells whether a body of an execution that was let go still runs here.
func (w *Worker) stillRuns(id store.ID) bool {
	for k := range w.old {
		if k.id == id {
			return true
		}
	}
	return false
}

// overLimit tells whether there are too many facts for a body to begin. A
// rollback must go on with a full journal, so each undo counts for itself.
func (w *Worker) overLimit(r *run, b plan.Body) bool {
	if b.Mode == plan.Undo {
		return b.Place != nil && b.Place.Live >= w.cfg.JournalLimit
	}
	return r.hist.Live >= w.cfg.JournalLimit
}

// States that undos see are not stored: they are derived, once for many of them,
// from the whole journal.
const (
	undoStatesKept  = 8        // runs whose states are kept at once
	undoStatesBytes = 16 << 20 // of one run
)

// undoStates keeps what was derived. What an undo sees never changes.
type undoStates struct {
	mu   sync.Mutex
	runs []undoStatesOf // the newest last
}

type undoStatesOf struct {
	id     store.ID
	states map[int][]byte
}

func (u *undoStates) get(id store.ID, n int) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.runs {
		if r.id == id {
			return r.states[n]
		}
	}
	return nil
}

func (u *undoStates) put(id store.ID, states map[int][]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.runs[:0:0]
	for _, r := range u.runs {
		if r.id != id {
			kept = append(kept, r)
		}
	}
	kept = append(kept, undoStatesOf{id, states})
	u.runs = kept[max(len(kept)-undoStatesKept, 0):]
}

func (u *undoStates) drop(id store.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, r := range u.runs {
		if r.id == id {
			u.runs = append(u.runs[:i:i], u.runs[i+1:]...)
			return
		}
	}
}

// undoState is the state that a compensation sees. It asks the store until it
// knows, or the body is no longer wanted.
func (h *Handle) undoState() ([]byte, error) {
	r, n := h.runner, h.Undoes.N
	if s := r.undo.get(h.Execution, n); s != nil {
		return s, nil
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, maxRetryPause) {
		rec, err := r.store.Load(h.ctx, h.Execution, true)
		switch {
		case err == nil:
			states, err := statesOf(&rec)
			if err == nil && states[n] == nil {
				err = fmt.Errorf("%w: it does not say what %s is to undo", journal.ErrCorrupt, h.Path)
			}
			if err != nil {
				return nil, err
			}
			r.undo.put(h.Execution, states)
			return states[n], nil
		case errors.Is(err, store.ErrNotFound):
			return nil, err
		}
		if h.ctx.Err() != nil || !rest(h.ctx, pause) {
			return nil, context.Cause(h.ctx)
		}
	}
}

// statesOf derives the states that the undos of a run see which are still to come.
func statesOf(rec *store.Record) (map[int][]byte, error) {
	rows := make([]journal.Row, len(rec.Rows))
	hist := journal.NewHistory()
	for i, row := range rec.Rows {
		facts, err := journal.Decode(row.Body)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", row.Seq, err)
		}
		rows[i] = journal.Row{Seq: row.Seq, Epoch: row.Epoch, Facts: facts}
		if err := hist.Apply(rows[i]); err != nil {
			return nil, err
		}
	}
	left := make(map[int]bool)
	for i := range hist.Undos {
		if !hist.Undos[i].Ended() {
			left[hist.Undos[i].N] = true
		}
	}
	return journal.UndoStates(rows, undoStatesBytes, func(n int) bool { return left[n] })
}
