package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// A body's transaction holds what user code writes and, in the end, the record
// of the step: the one write of a run that does not go through the committer.
// While it is open nothing else of that run is written, so that "did it commit?"
// can be answered by epoch and length, and since a write of the run could wait for the
// transaction, which waits for the run.

// TxLimit is how long a body's transaction may be open, from its begin to its
// commit.
const TxLimit = 5 * time.Second

// askForTx takes a body's wish to open a transaction. The answer comes when
// nothing of the run is on its way to the store.
func (w *Worker) askForTx(r *run) bool {
	if r.tx != nil || !r.batch.empty() || len(r.batch.starts) > 0 || len(r.batch.took) > 0 {
		return false
	}
	for _, v := range r.sortedIf(func(v *Visit) bool { return v.asking != nil }) {
		if v.asking.Tx {
			r.tx, v.asking = v, nil
			w.do.Reply(v, CallReply{})
			return true
		}
	}
	return false
}

// inTheWayOfTx tells whether a body wants to open a transaction, and messages that say
// nothing any more, which otherwise go with the next write, keep it from that.
func (r *run) inTheWayOfTx() bool {
	if len(r.batch.took) == 0 || r.tx != nil {
		return false
	}
	for _, v := range r.visits {
		if v.asking != nil && v.asking.Tx {
			return true
		}
	}
	return false
}

// ConcludeTx makes the write with which a body's transaction ends. If it returns
// false, the transaction must be rolled back: the run has gone, or must not
// go on from here. The body is over with TxCommitted or TxLost, and goes on with TxUndone.
func (w *Worker) ConcludeTx(v *Visit, end plan.Ending, now time.Time) (store.Advance, bool) {
	r := v.run
	if r == nil || w.runs[r.id] != r || r.tx != v || r.sent != nil || r.stuck != nil {
		return store.Advance{}, false
	}
	if v.cause != nil && !errors.Is(v.cause, ErrStopping) {
		return store.Advance{}, false
	}
	b := plan.Body{Path: v.Path, Node: v.Node, Place: r.hist.At(v.Path), Mode: v.Mode}
	f := plan.Judge(b, end, micros(w.clock.high(now)), 0)
	plan.Decide(r.def.Tree, r.hist, v.Node, &f)
	if f.Kind != journal.Done {
		return store.Advance{}, false
	}
	f.At = micros(w.clock.low(now))
	sent := batch{facts: []journal.Fact{f}, row: true}
	for _, b := range v.Keeps {
		sent.blobs = append(sent.blobs, blob{callKey(v.Path, endCall), b})
	}
	sent.chunks = r.takeEnds(v.Ends)
	row := journal.Encode(sent.facts)
	sent.weight = r.weight + journal.Weight(len(row))
	r.sent = &sent
	// No condition besides the fence: a write that was refused for a message or a
	// timer would have to do the body over. What follows is the next write's.
	return store.Advance{
		ID: r.id, Owner: w.lease.who, Epoch: r.epoch, Base: r.base, Seen: -1, Row: row, Blobs: sent.bodies(), Chunks: sent.chunks,
	}, true
}

// TxUndone says that a body's transaction was rolled back, for certain. The body
// has not ended.
func (w *Worker) TxUndone(v *Visit, now time.Time) {
	r := v.run
	if r == nil || r.tx != v {
		return
	}
	r.tx, r.sent = nil, nil
	w.drive(r, now)
	w.pump(now)
}

// TxCommitted takes the verdict on a body's transaction, and with it the end of
// the body.
func (w *Worker) TxCommitted(v *Visit, verdict store.Verdict, asked, now, storeNow time.Time) {
	w.setClock(asked, now, storeNow)
	r := w.ended(v)
	switch {
	case r == nil: // let go meanwhile; if it did not land, it was in order
		w.handBack(v, now)
	case verdict.Code != store.Applied: // rolled back: the run is somebody else's
		w.drop(r, ErrTaken)
		r.tx, r.sent = nil, nil
	default:
		w.keepTx(r, verdict, now)
	}
	w.pump(now)
}

// keepTx goes on after a body's transaction.
func (w *Worker) keepTx(r *run, v store.Verdict, now time.Time) {
	b := r.sent
	r.tx, r.sent = nil, nil
	r.base, r.weight = r.base+1, b.weight
	r.hist.Length = r.base
	w.keptNow(r.id, b)
	w.streamedNow(r, b)
	r.owes = r.owes || r.base%journal.SnapshotEvery == 0
	for i := range b.facts {
		if err := r.hist.Fold(&b.facts[i], r.base); err != nil {
			w.block(r, "a fact contradicts the journal: "+err.Error(), err)
			return
		}
	}
	if v.Inbox > r.seen {
		w.fetch(r)
	}
	w.drive(r, now)
}

// TxLost says that nobody knows whether a body's transaction has been committed,
// or that the database is in no state to do it, and ends the body. To read would be to guess: the commit may still be on its
// way. So the run is let go, under a new epoch, which waits for the transaction to be over: who
// claims it next reads what is true. If that is that nothing happened, the body
// was in order all the same, and begins again as no crash.
func (w *Worker) TxLost(v *Visit, now time.Time) {
	r := w.ended(v)
	if r == nil {
		w.handBack(v, now)
		w.pump(now)
		return
	}
	w.cutOff(r, v.Path)
	w.handBack(v, now)
	w.drop(r, ErrTaken)
	from, to := store.Running, store.Pending
	if r.undoing {
		from, to = store.Compensating, store.Compensating
	}
	w.do.Commit(w.letting(r.id, from, to), freed{})
	w.pump(now)
}

// freed marks a write after which this worker may want to claim a run again.
type freed struct{}

// BeginTx opens a transaction for the body. It waits until nothing of the run is
// on its way to the store, and asks the store again while that is away. The
// transaction ends by CommitTx or RollbackTx.
func (h *Handle) BeginTx() (store.Tx, error) {
	t, ok := h.runner.store.(store.Transactor)
	if !ok {
		return nil, store.ErrNoTransactions
	}
	if _, err := h.Call(&CallRequest{Tx: true}); err != nil {
		return nil, err
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, maxRetryPause) {
		tx, err := t.Begin(h.ctx, TxLimit)
		if err == nil {
			return tx, nil
		}
		if errors.Is(err, store.ErrNoTransactions) || errors.Is(err, store.ErrRefused) || !h.patient(pause, err) {
			h.undoTx()
			return nil, err
		}
	}
}

// patient waits before a transaction is asked for again; false: the body is over.
func (h *Handle) patient(pause time.Duration, err error) bool {
	if h.ctx.Err() != nil {
		return false
	}
	h.runner.log.Warn("a step's transaction could not begin; trying again", "execution", h.Execution.String(), "path", h.Path, "error", err)
	return rest(h.ctx, pause)
}

func (h *Handle) undoTx() {
	h.event(func(w *Worker, now time.Time) { w.TxUndone(h.Visit, now) })
}

// RollbackTx rolls back a transaction of the body.
func (h *Handle) RollbackTx(tx store.Tx) {
	tx.Rollback()
	h.undoTx()
}

// LetGo ends the body: the run is to be taken up again, by whomever, as soon as
// the database is well enough to say so.
func (h *Handle) LetGo() {
	h.settled = true
	h.end(func(w *Worker, now time.Time) { w.TxLost(h.Visit, now) })
}

// CommitTx commits a transaction of the body together with its end. With nil the
// body is over, whatever became of the transaction; an error says that it was
// rolled back and the body may go on.
func (h *Handle) CommitTx(tx store.Tx, end plan.Ending) error {
	h.stop() // from here on the transaction's own limit counts
	if cause := context.Cause(h.ctx); cause != nil {
		h.RollbackTx(tx)
		return fmt.Errorf("%w: %w", store.ErrRolledBack, cause)
	}
	var (
		a  store.Advance
		ok bool
	)
	h.event(func(w *Worker, now time.Time) { a, ok = w.ConcludeTx(h.Visit, end, now) })
	if !ok {
		h.RollbackTx(tx)
		return fmt.Errorf("%w: %w", store.ErrRolledBack, ErrGone)
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	fail.Point(fail.TxBefore)
	res, err := tx.Commit(ctx, a)
	if err == nil {
		err = fail.Err(fail.TxAfter)
	}
	switch {
	case err == nil:
		h.settled = true
		h.end(func(w *Worker, now time.Time) { w.TxCommitted(h.Visit, res.Verdicts[0], asked, now, res.Now) })
	case errors.Is(err, store.ErrRolledBack):
		h.undoTx()
		return err
	default:
		h.runner.log.Warn("a step's transaction may or may not have been committed; the run is taken up again to find out",
			"execution", h.Execution.String(), "path", h.Path, "error", err)
		h.LetGo()
	}
	return nil
}
