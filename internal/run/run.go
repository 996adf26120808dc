package run

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// run is one execution in this worker's hands.
type run struct {
	id       store.ID
	def      *Definition
	epoch    int64
	base     int // rows that are durable
	priority int
	depth    int
	tags     []string
	parent   store.ID         // zero: none
	detached bool             // nothing of the parent's ends it
	undoing  bool             // it is claimed as compensating
	expires  int64            // when its own time is over; 0: never
	since    time.Time        // when this worker learned that it owns the run
	hist     *journal.History // with the facts that are not durable yet

	inbox   []store.Message          // untaken, by number
	reports map[string]store.Message // of children that were spawned, by topic: see await.go
	seen    int64                    // messages ever accepted, as known here
	batch   batch                    // what the next write will say
	sent    *batch                   // the write in flight
	streams *streams                 // nil: no body has opened one
	tx      *Visit                   // has a transaction open: until that ends nothing else is written
	owes    bool                     // the next row may carry a snapshot
	weight  int                      // bytes that who loads it reads

	visits   map[string]*Visit
	token    *queue // a slot that is held and not in use
	plan     plan.Plan
	ran      []bool           // which of the plan's bodies ran when it was made
	looks    int              // how often it was seen which visits are planned
	gathers  time.Time        // items have ended; until then those that end are left to be taken together
	created  time.Time        // by the store's clock
	need     need             // what it lacks to go on
	lent     map[string]int64 // what it has of the limits of queues, durably
	refused  []string         // places whose beginnings were refused; none of them has begun
	full     map[string]int64 // queues whose limits had no room, and when they may; 0: not known
	asked    time.Time        // the first question since the last write, with which that waits
	held     time.Time        // waiting for an answer until then
	fetching bool             // a Load is under way for new messages
	again    bool             // news came while a Load was under way, which may have read before it
	told     bool             // news came while the write was under way that lets it go
	rebuild  bool             // a Load is under way, and until then nothing can be done
	stuck    *journal.Error   // why it is to be blocked, once what runs has ended
}

// batch is what one write says, and what waits for it to be durable.
type batch struct {
	facts     []journal.Fact
	took      []int64
	loose     []int64 // of those, what no fact names: answers to orders, and ends of items that came too late
	opens     []store.Wait
	children  []child
	blobs     []blob
	tells     []tell
	shut      map[string][]string      // ids of rows of waits, by the shutKey of what closes them
	heard     map[string]store.Message // what came by its topic to waits that are open in the store, by shutKey
	logs      []store.Log
	chunks    []store.Chunk
	sealed    int       // so many of chunks have left before: they stay as they are
	fires     bool      // it fires a timer
	seen      int64     // the messages that were known then
	heardSeen int64     // the messages that were known when the first of heard was given to its wait
	notBefore time.Time // the timer's deadline
	starts    []*Visit
	replies   []reply
	release   *store.Release
	lent      map[string]int64 // what the run has of queues once it has landed, if that changes
	row       bool
	weight    int  // bytes that who loads the run reads once it has landed
	last      bool // it only blocks
	err       *journal.Error
}

// child is an execution that begins with the record of a call.
type child struct {
	key   string // of the call
	begin store.Begin
}

// blob is a piece of the list of an Each, or what a body keeps.
type blob struct {
	key string // of the call, as for a child
	Blob
}

// tell is a message to a child, which a fact brings about.
type tell struct {
	key string // of the fact, or ofEnd
	store.Deliver
	recall bool // an order to go back
}

type reply struct {
	v *Visit
	r CallReply
}

// close says that a wait is over, or with a topic that this of several has come.
func (b *batch) close(path, call, topic string, ids []string) {
	if b.shut == nil {
		b.shut = make(map[string][]string)
	}
	b.shut[shutKey(path, call, topic)] = ids
}

// shutKey is callKey, but for one of several topics.
func shutKey(path, call, topic string) string {
	if topic == "" {
		return callKey(path, call)
	}
	return callKey(path, call) + "\x00" + topic
}

// shuts is the ids of all rows that the batch closes, in order.
func (b *batch) shuts() []string {
	var ids []string
	for _, list := range b.shut {
		ids = append(ids, list...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// stillOpen is the waits that the batch opens and does not close: a store
// closes first, so one that it does both to would stay open. undo needs all.
func (b *batch) stillOpen() []store.Wait {
	if len(b.shut) == 0 {
		return b.opens
	}
	shut := b.shuts()
	return slices.DeleteFunc(slices.Clone(b.opens), func(w store.Wait) bool {
		_, is := slices.BinarySearch(shut, w.ID)
		return is
	})
}

func (b *batch) empty() bool { return len(b.facts) == 0 && len(b.replies) == 0 }

func (r *run) releasing() bool { return r.sent != nil && r.sent.release != nil }

func (r *run) sorted() []*Visit { return r.sortedIf(func(*Visit) bool { return true }) }

// sortedIf is the visits that are so, in a stable order.
func (r *run) sortedIf(so func(v *Visit) bool) (list []*Visit) {
	for _, v := range r.visits {
		if so(v) {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b *Visit) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// weightOf is how many bytes were read to load a record.
func weightOf(rec *store.Record) int {
	n := len(rec.Snapshot)
	for i := range rec.Rows {
		n += journal.Weight(len(rec.Rows[i].Body))
	}
	return n
}

// adopt takes a claimed execution, with a slot of its queue.
func (w *Worker) adopt(rec *store.Record, now time.Time) {
	r := &run{
		id: rec.ID, def: w.defs[[2]string{rec.Workflow, rec.Version}], epoch: rec.Epoch, base: rec.Length,
		priority: rec.Priority, depth: rec.Depth, tags: rec.Tags, parent: rec.Parent, detached: rec.Detached, undoing: rec.Status == store.Compensating,
		since: now, seen: rec.Inbox, inbox: rec.Messages, visits: make(map[string]*Visit),
	}
	r.weight = weightOf(rec)
	w.forgo(rec)
	w.runs[r.id] = r
	if q := w.queue(rec.Queue); q != nil && q.free() > 0 {
		q.used++
		r.token = q
	}
	hist, err := Replay(rec)
	r.hist = hist
	switch {
	case err != nil:
		r.hist = journal.NewHistory()
		w.block(r, "the journal cannot be read: "+err.Error(), err)
	case rec.Stalls >= stallLimit:
		w.block(r, fmt.Sprintf("%d workers in a row ended with this run in their hands before anything was recorded", rec.Stalls), nil)
	case r.def == nil:
		w.block(r, "this worker claimed a workflow that it does not have", nil)
	default:
		w.lives(r, rec.Created)
		w.drive(r, now)
	}
}

// forgo lets go what this worker still thinks of an execution that it has
// claimed just now.
func (w *Worker) forgo(rec *store.Record) {
	old := w.runs[rec.ID]
	switch {
	case old == nil:
	case old.releasing() && rec.Epoch == old.epoch+1: // its release has landed, the answer is on its way
		delete(w.runs, old.id)
		delete(w.timed, old)
		delete(w.alarms, old)
		w.unhold(old)
	case old.base == 0 && rec.Epoch == old.epoch: // it has begun, but not here
		w.notBegun(old)
	default: // it was taken, and has come back before that was noticed
		w.drop(old, ErrTaken)
	}
}

// Replay folds what was loaded into a history.
func Replay(rec *store.Record) (*journal.History, error) {
	h := journal.NewHistory()
	if rec.Snapshot != nil {
		var err error
		if h, err = journal.Restore(rec.Snapshot); err != nil {
			return nil, err
		}
	}
	for _, row := range rec.Rows {
		facts, err := journal.Decode(row.Body)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", row.Seq, err)
		}
		if err := h.Apply(journal.Row{Seq: row.Seq, Epoch: row.Epoch, Facts: facts}); err != nil {
			return nil, err
		}
	}
	if h.Length != rec.Length {
		return nil, fmt.Errorf("%w: %d rows are there, %d were loaded", journal.ErrCorrupt, rec.Length, h.Length)
	}
	return h, nil
}

// add records a fact: it counts for the plan at once, and lands with the next
// write.
func (w *Worker) add(r *run, f journal.Fact) {
	seq := r.base + 1
	if r.sent != nil {
		seq++
	}
	if err := r.hist.Fold(&f, seq); err != nil {
		w.block(r, "a fact contradicts the journal: "+err.Error(), err)
		return
	}
	if r.batch.facts == nil {
		r.batch.facts = make([]journal.Fact, 0, 2) // mostly an end and a beginning
	}
	r.batch.facts = append(r.batch.facts, f)
}

// block stops one run, and only it, until other code or an operator helps.
func (w *Worker) block(r *run, text string, err error) {
	fingerprint := ""
	if r.def != nil {
		fingerprint = r.def.Fingerprint
	}
	e := &journal.Error{Code: "blocked", Message: text}
	if r.sent != nil { // its verdict decides first
		r.stuck = e
		return
	}
	w.do.Note("a run is blocked: "+text, r.id, err)
	w.unhold(r)
	r.batch = batch{last: true, facts: w.cutShort(r), release: &store.Release{Status: store.Blocked, Blocked: fingerprint, ErrorCode: e.Code, Error: EncodeError(e)}, err: e}
	w.send(r)
}

// cutShort stops what runs of a run that is to be blocked. The facts say of
// every body that is open in the journal that it did not crash.
func (w *Worker) cutShort(r *run) (facts []journal.Fact) {
	handed := func(path string) {
		facts = append(facts, journal.Fact{Kind: journal.Handed, Path: path, Epoch: r.epoch, At: r.hist.Last})
	}
	for _, v := range r.sorted() {
		delete(r.visits, v.Path)
		if v.pendingStart(r) {
			w.free(v)
			continue
		}
		w.old[placeKey{v.Execution, v.Path}]++
		w.refuse(v)
		w.stopVisit(v, ErrTaken)
		if r.tx == v { // the end of its context rolls it back
			r.tx = nil
		}
		if v.Question == nil && v.Mode != plan.Reconcile {
			handed(v.Path)
		}
	}
	for _, f := range r.batch.facts {
		if endsBody(&f) && !f.Derived {
			handed(f.Path)
		}
	}
	return facts
}

// endsBody tells whether a fact says that a body has ended in order.
func endsBody(f *journal.Fact) bool {
	if f.Derived {
		return false
	}
	switch f.Kind {
	case journal.Done, journal.Failed, journal.Waited, journal.Cancelled, journal.Handed:
		return true
	case journal.Delayed:
		return f.Why == journal.ByError || f.Why == journal.BySnooze || f.Why == journal.ByLoss
	}
	return false
}

// drop lets a run go without a write: somebody else has it, or may soon.
func (w *Worker) drop(r *run, cause error) {
	if w.runs[r.id] == r {
		delete(w.runs, r.id)
	}
	delete(w.timed, r)
	delete(w.mortal, r)
	delete(w.alarms, r)
	w.unhold(r)
	begun := false
	for _, v := range r.sorted() {
		if v.pendingStart(r) {
			if r.base > 0 { // it may be recorded as begun
				w.cutOff(r, v.Path)
			}
			w.free(v)
			continue
		}
		begun = true
		w.old[placeKey{v.Execution, v.Path}]++
		w.cutOff(r, v.Path)
		w.refuse(v)
		w.stopVisit(v, cause)
	}
	w.unrecorded(r)
	w.unrefused(r)
	r.visits = nil
	if begun && errors.Is(cause, ErrTaken) {
		w.do.Note("the run was cancelled or has another owner; this worker stops its step", r.id, nil)
	}
}

// unrecorded reports bodies that have ended and whose end is lost with the run:
// they did not crash. Should the end have landed all the same, the report
// changes nothing.
func (w *Worker) unrecorded(r *run) {
	facts := r.batch.facts
	if r.sent != nil {
		facts = append(r.sent.facts[:len(r.sent.facts):len(r.sent.facts)], facts...)
	}
	for _, f := range facts {
		if endsBody(&f) && !f.Derived {
			w.cutOff(r, f.Path)
			w.report(r.id, f.Path, r.epoch)
		}
	}
}

// cutOff notes a body that this process lets go: should the run come back here
// before the report of it does, it is known all the same that nothing crashed.
func (w *Worker) cutOff(r *run, path string) {
	if len(w.cut) >= maxCut { // of runs that others took: there the report must do
		clear(w.cut)
	}
	w.cut[placeKey{r.id, path}] = r.epoch
}

// letGo gives up an execution that this incarnation owns and does not drive.
func (w *Worker) letGo(id store.ID) {
	w.do.Commit(w.letting(id, store.Running, store.Pending), nil)
	w.do.Commit(w.letting(id, store.Compensating, store.Compensating), nil)
}

// letting is the write that gives up an execution.
func (w *Worker) letting(id store.ID, from, to store.Status) store.Write {
	return store.Write{Control: &store.Control{
		ID: id, Owner: w.lease.who, From: []store.Status{from}, Release: store.Release{Status: to},
	}}
}

// pendingStart tells whether the shell does not have the visit yet.
func (v *Visit) pendingStart(r *run) bool {
	return slices.Contains(r.batch.starts, v) || r.sent != nil && slices.Contains(r.sent.starts, v)
}

// unhold gives back the unused slot.
func (w *Worker) unhold(r *run) {
	if r.token != nil {
		r.token.used--
		r.token = nil
	}
}

// free gives back a visit's slot.
func (w *Worker) free(v *Visit) {
	w.redeem(v)
	if q := w.queue(v.Queue); q != nil {
		q.used--
	}
	w.unsuspect(v)
}

func (w *Worker) unsuspect(v *Visit) {
	if w.suspect == v {
		w.suspect = nil
	}
}

// refuse answers a call that will not be recorded.
func (w *Worker) refuse(v *Visit) {
	if v.asking != nil {
		v.asking = nil
		w.do.Reply(v, CallReply{Err: ErrGone})
	}
}

func (w *Worker) stopVisit(v *Visit, cause error) {
	if v.cause == nil {
		v.cause = cause
		w.do.Stop(v, cause)
		w.lingers(v)
	}
}

// EncodeError writes an error as it is kept beside an execution.
func EncodeError(e *journal.Error) []byte {
	if e == nil {
		return nil
	}
	return encodeJSON(e)
}

// halted tells whether nothing can be added any more: the run is being blocked.
func (r *run) halted() bool { return r.stuck != nil || r.releasing() }
