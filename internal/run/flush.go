package run

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// flush writes what has gathered. When nothing runs any more, the same write
// lets the run go: it waits, is put off, needs another queue, or has ended.
func (w *Worker) flush(r *run, now time.Time) {
	if r.sent != nil {
		return
	}
	if w.waitsForAnswer(r, now) {
		return
	}
	w.unhold(r)
	if len(r.visits) == 0 { // whoever looked whether a child still runs has asked for its end by now
		r.reports = nil
	}
	if len(r.visits) == 0 && !w.gathering(r) {
		w.release(r)
	}
	if r.batch.empty() && r.batch.release == nil && len(r.batch.starts) == 0 && !r.holdsTooMuch() && !r.inTheWayOfTx() {
		if w.askForTx(r) {
			return
		}
		w.flushLogs(r, now)
		return
	}
	w.send(r)
}

// waitsForAnswer tells whether a question is out whose answer should land in
// the same write.
func (w *Worker) waitsForAnswer(r *run, now time.Time) bool {
	if !now.Before(r.held) {
		return false
	}
	for _, v := range r.visits {
		if v.Question != nil {
			return true
		}
	}
	return false
}

// release decides where the run stands now that nothing of it runs here.
func (w *Worker) release(r *run) {
	p := r.plan
	rel := &store.Release{}
	switch p.Outcome {
	case plan.Completed:
		rel.Status = store.Completed
	case plan.Failed:
		rel.Status, rel.ErrorCode, rel.Error = store.Failed, p.Err.Code, EncodeError(p.Err)
	case plan.Cancelled:
		rel.Status, rel.ErrorCode, rel.Error = store.Cancelled, p.Err.Code, EncodeError(p.Err)
	case plan.Compensated:
		rel.Status, rel.ErrorCode, rel.Error = store.Compensated, p.Err.Code, EncodeError(p.Err)
	case plan.CompensationFailed:
		rel.Status, rel.ErrorCode, rel.Error = store.CompensationFailed, p.Err.Code, EncodeError(p.Err)
	case plan.Blocked:
		rel.Status, rel.ErrorCode, rel.Error, rel.Blocked = store.Blocked, p.Err.Code, EncodeError(p.Err), r.def.Fingerprint
	default:
		w.park(r, rel)
		if r.hist.Back != nil {
			w.parkUndoing(r, rel)
		}
	}
	if rel.Status.Ended() {
		w.end(r, rel, p.Err)
	}
	r.batch.release, r.batch.err = rel, p.Err
}

// queueOfWaits is the queue in which the body that waits will go on.
func (w *Worker) queueOfWaits(r *run) string {
	if len(r.plan.Waits) == 0 {
		return r.hist.Queue
	}
	step, _, _ := journal.CutUndo(r.plan.Waits[0].Path)
	if n := tree.Find(r.def.Tree, step); n != nil {
		return w.queueOf(r, n)
	}
	return r.hist.Queue
}

// send makes the write and hands it to the committer.
func (w *Worker) send(r *run) {
	b := r.batch
	r.batch, r.asked = batch{}, time.Time{}
	a := &store.Advance{
		ID: r.id, Owner: w.lease.who, Epoch: r.epoch, Base: r.base, Seen: -1, NotBefore: b.notBefore,
		Took: b.took, Open: b.stillOpen(), Release: b.release, Logs: b.logs, Chunks: b.chunks,
	}
	for i := range b.children {
		a.Children = append(a.Children, b.children[i].begin)
	}
	a.Blobs = b.bodies()
	for i := range b.tells {
		if t := &b.tells[i]; t.recall {
			a.Recall = append(a.Recall, t.Deliver)
		} else {
			a.Tell = append(a.Tell, t.Deliver)
		}
	}
	if len(b.shut) > 0 {
		a.Shut = b.shuts()
	}
	a.Alter = r.altered(b.facts)
	if len(b.heard) > 0 || b.release != nil && (b.release.Status == store.Waiting || b.release.Status == store.Compensating || b.release.Status.Ended() && r.parent != store.ID{}) {
		a.Seen = r.seen
	}
	if b.fires {
		a.Seen = b.seen
	}
	if r.overtaken(&b) { // so that the store refuses it
		a.Seen = min(a.Seen, b.heardSeen)
	}
	a.Holds = w.holds(r, &b)
	// What changes more than logs has a row, by which it is known to have landed.
	if len(b.facts) > 0 || b.release != nil || len(a.Took) > 0 || len(b.starts) > 0 && len(a.Holds) > 0 {
		a.Row = journal.Encode(b.facts)
		b.row = true
		r.hist.Length = r.base + 1
		b.weight = r.weight + journal.Weight(len(a.Row))
		if (r.hist.Length%journal.SnapshotEvery == 0 || r.owes) && !b.last { // then the history holds what never landed
			r.owes = false
			if image := r.hist.Snapshot(); len(image) <= b.weight/2 { // else loading it saves little
				a.Snapshot, b.weight = image, len(image)
			}
		}
	}
	for _, v := range b.starts {
		if p := r.hist.At(v.Path); p != nil && v.Mode == plan.Run {
			v.Crashes = p.Died // a report may come with the write that begins it
		}
	}
	r.sent = &b
	w.do.Commit(store.Write{Advance: a}, r)
}

// Committed takes the verdict on the write of a run. asked is when its batch
// left.
func (w *Worker) Committed(ref any, v store.Verdict, err error, asked, now, storeNow time.Time) {
	if _, ok := ref.(freed); ok {
		w.Poke("", now)
		return
	}
	r, ok := ref.(*run)
	if !ok || r == nil || r.sent == nil {
		return
	}
	w.setClock(asked, now, storeNow)
	b := r.sent
	if w.runs[r.id] != r { // let go meanwhile
		r.sent = nil
		if err == nil && (v.Code == store.Applied || v.Code == store.Landed) {
			for _, v := range b.starts { // recorded as begun, and never was
				w.handBack(v, now)
			}
		}
		return
	}
	switch {
	case err != nil: // the database refuses this write and always will
		r.sent = nil
		w.refused(r, b, err)
	case v.Code == store.Applied || v.Code == store.Landed:
		r.sent = nil
		w.landed(r, b, v, now)
	case v.Code == store.Unseen || v.Code == store.Early:
		r.sent = nil
		r.giveBack(b)
		r.giveBack(&r.batch)
		w.undo(r, b, afterNews)
	case v.Code == store.Full:
		r.sent = nil
		w.full(r, b, v, now)
	case v.Code == store.Superseded || v.Code == store.NotFound || v.Code == store.Ended:
		w.drop(r, ErrTaken)
		r.sent = nil
	default:
		panic(fmt.Sprintf("run: an advance got verdict %d", v.Code))
	}
	w.pump(now)
}

// landed goes on after a write that is durable.
func (w *Worker) landed(r *run, b *batch, v store.Verdict, now time.Time) {
	if b.row {
		r.base, r.weight = r.base+1, b.weight
	}
	w.heldNow(r, b)
	w.keptNow(r.id, b)
	w.streamedNow(r, b)
	w.born(b)
	r.full, r.refused = nil, nil // there may be room by now
	w.tellNotices(r, b.facts)
	if b.release != nil {
		w.released(r, b, v.Inbox > r.seen || r.told)
		return
	}
	if !w.lease.alive(now) && len(b.starts) > 0 {
		// Too late to begin. The lease is let go before anything else happens;
		// the next owner learns that these bodies never began.
		for _, v := range b.starts {
			delete(r.visits, v.Path)
			w.free(v)
			w.handBack(v, now)
		}
		return
	}
	for _, v := range b.starts {
		w.start(r, v, now)
	}
	for _, x := range b.replies {
		if x.v.asking != nil { // else it was told that it is over
			x.v.asking = nil
			w.do.Reply(x.v, x.r)
		}
	}
	if v.Inbox > r.seen {
		w.fetch(r)
	}
	w.drive(r, now)
}

// start begins a body that is recorded as begun. If it was stopped before it
// could begin, that is recorded too: it is no crash.
func (w *Worker) start(r *run, v *Visit, now time.Time) {
	if v.cause == nil && !(w.stopping && !now.Before(w.stopAt)) {
		w.redeem(v)
		w.counts.Begun++
		v.begun = true
		w.do.Start(v)
		return
	}
	delete(r.visits, v.Path)
	w.free(v)
	if v.Mode == plan.Reconcile {
		return
	}
	at := micros(w.clock.low(now))
	w.add(r, journal.Fact{Kind: journal.Handed, Path: v.Path, Epoch: r.epoch, At: at})
	if v.Node.AtMostOnce && v.Mode == plan.Run { // for once nobody is in doubt
		w.add(r, journal.Fact{Kind: journal.Cleared, Path: v.Path, At: at})
	}
}

// released forgets a run that is parked or has ended. If it has got a message with this
// write, or meanwhile, it may be claimed at once.
func (w *Worker) released(r *run, b *batch, told bool) {
	delete(w.runs, r.id)
	delete(w.timed, r)
	delete(w.mortal, r)
	delete(w.alarms, r)
	w.returnAll(r)
	if b.release.Status == store.Compensating && r.waitsForOpen() {
		w.do.Ended(r.id, store.Compensating, nil, r.hist.Back.Err)
	}
	switch s := b.release.Status; {
	case s.Ended() || s == store.Blocked:
		w.do.Ended(r.id, s, r.hist.State, b.err)
		if s == store.Completed && r.parent != (store.ID{}) {
			w.do.Ended(r.id, store.Compensating, nil, nil) // it may go back with its parent
		}
		w.reported(r)
		if b.release.Family != nil {
			w.kin(r.id)
		}
	case b.release.Due.IsZero() && (s == store.Pending || s == store.Compensating), told:
		if q := w.queue(b.release.Queue); q != nil {
			q.poke()
		}
	case !b.release.Due.IsZero():
		if q := w.queue(b.release.Queue); q != nil {
			q.soon(w.clock.local(b.release.Due))
			if r.need.yields {
				q.yield(w.clock.local(b.release.Due))
			}
		}
	}
}

// fetch reads messages that came while the run is in this worker's hands. What reads already may have
// read before they came, and is followed by another.
func (w *Worker) fetch(r *run) {
	r.told = r.told || r.releasing()
	if r.fetching || r.rebuild {
		r.again = true
		return
	}
	r.fetching, r.again = true, false
	w.do.Load(r.id)
}

// Loaded takes the answer to Load.
func (w *Worker) Loaded(id store.ID, rec store.Record, err error, now time.Time) {
	r, doubt := w.runs[id], w.doubtful[id]
	if doubt == nil && (r == nil || !r.fetching && !r.rebuild) {
		return
	}
	if doubt != nil && errors.Is(err, store.ErrNotFound) { // it has ended, and is deleted
		delete(w.doubtful, id)
		w.notBegun(doubt)
		w.pump(now)
		return
	}
	gone := errors.Is(err, store.ErrNotFound) // somebody else has ended it, and it is deleted
	if err != nil && !gone {
		w.do.Load(id) // the shell waits between tries
		return
	}
	if doubt != nil {
		delete(w.doubtful, id)
		w.landedBefore(doubt, &rec, now)
		if r == nil || r == doubt || !r.fetching && !r.rebuild {
			return
		}
	}
	r.told = r.told || r.releasing()
	switch {
	case !gone && (rec.Epoch < r.epoch || rec.Epoch == r.epoch && (rec.Length < r.base || rec.Inbox < r.seen)):
		w.do.Load(id) // an answer from before the claim, the last write, or a message that is known
		return
	case gone || rec.Owner != w.lease.who || rec.Epoch != r.epoch:
		if r.releasing() {
			r.fetching = false
			return
		}
		w.drop(r, ErrTaken)
		w.pump(now)
		return
	case r.refusedAndLanded(rec.Length): // see unrefused
		w.drop(r, ErrTaken)
		w.pump(now)
		return
	}
	r.fetching = false
	w.merge(r, &rec)
	if r.rebuild {
		r.rebuild = false
		w.rebuild(r, &rec)
	}
	if r.again {
		w.fetch(r)
	}
	w.drive(r, now)
	w.pump(now)
}

// merge takes the messages that are new.
func (w *Worker) merge(r *run, rec *store.Record) {
	for _, m := range rec.Messages {
		if m.Seq > r.seen {
			r.inbox = append(r.inbox, m)
		}
	}
	r.seen = max(r.seen, rec.Inbox)
}

// rebuild derives the history anew and folds again what is not durable yet.
func (w *Worker) rebuild(r *run, rec *store.Record) {
	hist, err := Replay(rec)
	if err != nil {
		w.block(r, "the journal cannot be read: "+err.Error(), err)
		return
	}
	facts := r.batch.facts
	r.hist, r.batch.facts, r.base, r.weight = hist, nil, rec.Length, weightOf(rec)
	r.inbox = slices.DeleteFunc(slices.Clone(rec.Messages), func(m store.Message) bool { return slices.Contains(r.batch.took, m.Seq) })
	for _, f := range facts {
		w.add(r, f)
	}
}

// refused handles a write that the database will never take: the run is
// blocked, its neighbours in the batch go on.
func (w *Worker) refused(r *run, b *batch, err error) {
	r.batch.facts = append(b.facts, r.batch.facts...)
	r.batch.starts = append(b.starts, r.batch.starts...)
	if b.last {
		w.drop(r, ErrTaken) // not even that; the next heartbeat lets it go
		w.do.Note("a run can neither be written nor blocked", r.id, err)
		return
	}
	w.block(r, "the database refuses what the run wants to record: "+err.Error(), err)
}

// callKey names a call of a run.
func callKey(path, call string) string { return path + "\x00" + call }

// waitID names a wait. It follows from what opens it, so that opening it again
// after an unknown outcome gives the same.
func waitID(id store.ID, path, call string, base int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", id, path, call, base))
	return "w_" + hex.EncodeToString(sum[:10])
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("run: plain data does not encode: " + err.Error())
	}
	return b
}
