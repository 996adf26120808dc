package run

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// Call takes a durable call of a body that has no record yet. The answer comes
// by Effects.Reply.
func (w *Worker) Call(v *Visit, c *CallRequest, now time.Time) {
	r := v.run
	if r == nil || w.runs[r.id] != r || r.visits[v.Path] != v || v.cause != nil && !errors.Is(v.cause, ErrStopping) {
		w.do.Reply(v, CallReply{Err: ErrGone})
		return
	}
	v.asking = c
	w.keep(r, callKey(v.Path, c.Key), c.Blobs)
	w.endStreams(r, c.Ends)
	if c.Tx {
		w.drive(r, now)
		w.pump(now)
		return
	}
	if c.Wait == nil {
		f := journal.Fact{Kind: journal.Called, Path: v.Path, Call: c.Key, Data: c.Data, Err: c.Err, Undo: c.Undo, At: micros(w.clock.low(now))}
		if c.Child != nil {
			f.Child = c.Child.ID.String()
			r.batch.children = append(r.batch.children, child{callKey(v.Path, c.Key), *c.Child})
		}
		w.add(r, f)
		call := &journal.Call{State: journal.Value, Data: c.Data, Err: c.Err}
		if c.Err != nil {
			call.State = journal.Broken
		}
		r.batch.replies = append(r.batch.replies, reply{v, CallReply{Call: call}})
	} else {
		w.arm(c, now)
	}
	w.drive(r, now)
	w.pump(now)
}

// deadline is when a wait ends, counted so that it never lasts less than asked.
func deadline(c *CallRequest, now time.Time) int64 {
	switch {
	case !c.At.IsZero():
		return max(micros(Within(c.At)), 1)
	case c.For <= 0:
		return 1 // long ago: take what is there
	}
	return min(micros(Within(now.Add(c.For)))+1, journal.Latest)
}

// Log takes a log entry of a body. Entries are kept with the next write, at
// the latest after a moment.
func (w *Worker) Log(v *Visit, l store.Log, now time.Time) {
	r := v.run
	if r == nil || w.runs[r.id] != r {
		return
	}
	l.At = w.clock.low(now)
	r.batch.logs = append(r.batch.logs, l)
	if _, ok := w.timed[r]; !ok {
		w.timed[r] = now.Add(logDelay)
	}
	w.pump(now)
}

// flushLogs writes log entries and chunks of streams that nothing else carries.
func (w *Worker) flushLogs(r *run, now time.Time) {
	if len(r.batch.chunks) > 0 { // they have gathered before
		w.send(r)
		return
	}
	if len(r.batch.logs) == 0 {
		return
	}
	if t, ok := w.timed[r]; ok && now.Before(t) {
		return
	}
	w.send(r)
}

// Returned takes the end of a body's goroutine.
func (w *Worker) Returned(v *Visit, end plan.Ending, suspended bool, now time.Time) {
	r := w.ended(v)
	w.counts.Ended++
	if r == nil {
		w.counts.Cut++
		if !v.left {
			w.handBack(v, now)
		}
		w.pump(now)
		return
	}
	w.finish(r, v, end, suspended, now)
	w.drive(r, now)
	w.pump(now)
}

// finish records how a body ended, as far as the plan still has it.
func (w *Worker) finish(r *run, v *Visit, end plan.Ending, suspended bool, now time.Time) {
	at := micros(w.clock.low(now))
	switch {
	case errors.Is(v.cause, ErrNotPlanned) && r.hist.At(v.Path) == nil:
	case errors.Is(v.cause, ErrNotPlanned), errors.Is(v.cause, ErrStopping) && (end.Err != nil && !end.Timeout) && !suspended:
		if v.Mode != plan.Reconcile {
			w.add(r, journal.Fact{Kind: journal.Handed, Path: v.Path, Epoch: r.epoch, At: at})
		}
	case end.Block != "":
		r.stuck = &journal.Error{Code: "blocked", Path: v.Path, Message: end.Block}
		w.add(r, journal.Fact{Kind: journal.Handed, Path: v.Path, Epoch: r.epoch, At: at})
	case suspended:
		r.batch.took = append(r.batch.took, v.suspend.refused...)
		w.open(r, v.Path, v.suspend, at)
	default:
		b := plan.Body{Path: v.Path, Node: v.Node, Place: r.hist.At(v.Path), Mode: v.Mode}
		f := plan.Judge(b, end, micros(w.clock.high(now)), w.do.Draw())
		plan.Decide(r.def.Tree, r.hist, v.Node, &f)
		f.At = at // what is to come is counted from the latest, what was from the earliest
		if f.Kind == journal.Done {
			w.keep(r, callKey(v.Path, endCall), v.Keeps)
			w.endStreams(r, v.Ends)
		}
		w.add(r, f)
	}
}

// ended takes a visit off its run. It returns nil if the run has gone.
func (w *Worker) ended(v *Visit) *run {
	r := v.run
	w.gone(v)
	w.unsuspect(v)
	if r == nil || w.runs[r.id] != r || r.visits[v.Path] != v {
		w.free(v)
		k := placeKey{v.Execution, v.Path}
		if w.old[k]--; w.old[k] <= 0 {
			delete(w.old, k)
		}
		return nil
	}
	delete(r.visits, v.Path)
	if q := w.queue(v.Queue); r.token == nil {
		r.token = q // the next body of the run may use the slot
	} else if q != nil {
		q.used--
	}
	return r
}

// handBack reports to the run's next owner that this body was stopped and did
// not crash.
func (w *Worker) handBack(v *Visit, now time.Time) {
	if v.Question != nil || v.Mode == plan.Reconcile {
		return
	}
	w.report(v.Execution, v.Path, v.Epoch)
}

// report tells the run's next owner of a body that has ended in order. A rollback, which
// may have been put off for that body, is due then: this worker looks, too.
func (w *Worker) report(id store.ID, path string, epoch int64) {
	w.do.Commit(store.Write{Deliver: &store.Deliver{
		ID: id, Topic: TopicHanded,
		Payload: encodeJSON(handedBack{Epoch: epoch, Path: path}),
		Dedupe:  "handed:" + path + ":" + itoa(epoch),
	}}, freed{})
}

// Answered takes the answer to a question.
func (w *Worker) Answered(v *Visit, a Answered, now time.Time) {
	r := w.ended(v)
	if r == nil {
		w.pump(now)
		return
	}
	r.held = time.Time{}
	delete(w.timed, r)
	if len(r.batch.logs) > 0 {
		w.timed[r] = now.Add(logDelay)
	}
	if a.Block != "" {
		r.stuck = &journal.Error{Code: "blocked", Path: v.Path, Message: a.Block}
	} else if !a.None && (v.cause == nil || errors.Is(v.cause, ErrStopping)) && r.stillAsks(v.Path) && r.mayBegin(v, a) {
		w.answer(r, v, a, now)
	}
	w.drive(r, now)
	w.pump(now)
}

// stillAsks tells whether the plan has a question that was answered now. While nothing
// is driven (the journal is read anew, or a transaction is open) nobody has looked.
func (r *run) stillAsks(path string) bool {
	if !r.rebuild && r.tx == nil || r.stuck != nil {
		return true
	}
	p := plan.Eval(r.def.Tree, r.hist)
	return p.Has(path)
}

// answer records what user code said to a question.
func (w *Worker) answer(r *run, v *Visit, a Answered, now time.Time) {
	if len(a.Begins) > 0 {
		w.scatter(r, v, a.Begins, micros(w.clock.low(now)))
		return
	}
	c := a.Wait
	if c == nil {
		f := w.judgeAnswer(r, v, a, now)
		f.Derived = true
		if f.Answer != nil && f.Answer.Spread {
			w.listed(r, v, a, f)
		} else {
			w.conclude(r, f)
		}
		return
	}
	w.arm(c, now)
	c.derived = true
	w.open(r, v.Path, c, micros(w.clock.low(now)))
}

func (w *Worker) judgeAnswer(r *run, v *Visit, a Answered, now time.Time) journal.Fact {
	at := micros(w.clock.low(now))
	switch {
	case a.Err != nil:
		return journal.Fact{Kind: journal.Failed, Path: v.Path, Err: a.Err, At: at}
	case a.Ending != nil:
		b := plan.Body{Path: v.Path, Node: v.Node, Place: r.hist.At(v.Path)}
		if a.Ending.Err == nil {
			b.Mode = plan.Reconcile
		}
		return plan.Judge(b, *a.Ending, at, 0)
	}
	if err := plan.OverLimit(v.Node, a.Answer, v.Path); err != nil {
		return journal.Fact{Kind: journal.Failed, Path: v.Path, Err: err, At: at}
	}
	return journal.Fact{Kind: journal.Answered, Path: v.Path, Answer: a.Answer, Data: a.Items, At: at}
}

// Begin starts an execution in this worker's hands, if it may: ruling 14. It
// returns the write to commit with the returned reference, or false; then the
// caller begins it as pending.
func (w *Worker) Begin(b store.Begin, input []byte, now time.Time) (store.Write, any, bool) {
	def := w.defs[[2]string{b.Workflow, b.Version}]
	q := w.queue(b.Queue)
	if w.runs[b.ID] != nil || def == nil || q == nil || !q.roomForMore() || q.limited() || q.paused() || w.stopping || !w.lease.alive(now) || !b.Due.IsZero() {
		return store.Write{}, nil, false
	}
	r := &run{
		id: b.ID, def: def, epoch: 1, priority: b.Priority, tags: b.Tags, since: now,
		visits: make(map[string]*Visit), hist: journal.NewHistory(),
	}
	w.add(r, began(&b, def.Tree.Timeout, input, micros(w.clock.low(now))))
	q.used++
	r.token = q
	if p := plan.Eval(def.Tree, r.hist); len(p.Bodies) == 1 && len(p.Questions) == 0 && w.queueOf(r, p.Bodies[0].Node) == q.name {
		w.begin(r, p.Bodies[0], now)
	}
	r.batch.row = true
	r.hist.Length = 1
	sent := r.batch
	r.batch, r.sent = batch{}, &sent
	b.Row, b.Owner = journal.Encode(sent.facts), w.lease.who
	w.runs[r.id] = r
	return store.Write{Begin: &b}, r, true
}

// BeginRow is the first journal row of an execution that begins as pending.
// limit is how long it may take; 0: for ever.
func BeginRow(b *store.Begin, limit time.Duration, input []byte, at time.Time) []byte {
	return journal.Encode([]journal.Fact{began(b, limit, input, micros(at))})
}

// Fork gives a Begin the first journal row of an execution that goes on from another: with what that one has done, of which h is the history, and
// the mark that says from where. If these are many facts, it has a snapshot, so that nobody folds them again.
func Fork(b *store.Begin, limit time.Duration, input []byte, done []journal.Fact, h *journal.History, mark journal.Fact) error {
	first := began(b, limit, input, mark.At)
	b.Row = journal.Encode(slices.Concat([]journal.Fact{first}, done, []journal.Fact{mark}))
	if err := h.GoesOn(&first, &mark); err != nil || len(done) < journal.SnapshotEvery {
		return err
	}
	b.Snapshot = h.Snapshot()
	return nil
}

func began(b *store.Begin, limit time.Duration, input []byte, at int64) journal.Fact {
	f := journal.Fact{Kind: journal.Began, Call: b.Queue, Data: input, At: at, Limit: limit.Microseconds()}
	if limit > 0 && !b.Due.IsZero() {
		f.Until = micros(b.Due)
	}
	return f
}

// Begun takes the verdict on an eager start. It reports whether the execution
// is in this worker's hands.
func (w *Worker) Begun(ref any, v store.Verdict, err error, asked, now, storeNow time.Time) bool {
	r := ref.(*run)
	if err == nil && v.Code == store.Landed { // it is there, but somebody else may have begun it
		w.doubtful[r.id] = r
		w.do.Load(r.id)
		return w.runs[r.id] == r
	}
	if err == nil && v.Code == store.Applied {
		r.since = now // a renewal that was asked before may not have seen it
		w.lives(r, storeNow)
		w.Committed(ref, v, nil, asked, now, storeNow)
		return true
	}
	w.notBegun(r)
	w.pump(now)
	return false
}

// BegunInstead takes the verdict on the start as pending that followed an eager one
// which the store refused, since the lease had ended. The eager one may have been on its
// way twice, and have landed the other time: then nobody ran what it recorded as begun, and
// that is reported.
func (w *Worker) BegunInstead(ref any, v store.Verdict) {
	if r := ref.(*run); v.Code == store.Landed && len(r.sent.starts) > 0 {
		w.doubtful[r.id] = r
		w.do.Load(r.id)
	}
}

// notBegun lets an eager start go that did not land: nothing of it is recorded.
func (w *Worker) notBegun(r *run) {
	if w.runs[r.id] != r {
		return
	}
	for _, v := range r.sent.starts {
		delete(r.visits, v.Path)
		w.free(v)
	}
	w.drop(r, ErrTaken)
}

// landedBefore goes on after an eager start that is said to have landed before:
// if it is ours and nothing has happened since, it runs; if it is ours and was
// let go meanwhile, what it recorded as begun is reported.
func (w *Worker) landedBefore(r *run, rec *store.Record, now time.Time) {
	ours := len(rec.Rows) > 0 && rec.Rows[0].Seq == 1 && bytes.Equal(rec.Rows[0].Body, journal.Encode(r.sent.facts))
	switch {
	case ours && w.runs[r.id] == r && rec.Owner == w.lease.who && rec.Epoch == r.epoch && rec.Length == 1:
		r.since = now
		w.lives(r, rec.Created)
		w.merge(r, rec)
		w.Committed(r, store.Verdict{Code: store.Landed}, nil, now, now, time.Time{})
		return
	case ours:
		for _, v := range r.sent.starts {
			w.handBack(v, now)
		}
	}
	w.notBegun(r)
	w.pump(now)
}
