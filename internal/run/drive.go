package run

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// TopicHanded is the topic of the message by which a worker reports that it
// stopped a body in order although it had already lost the run.
const TopicHanded = "handed"

// journalLimit is the code of the error when a run has too many facts.
const journalLimit = "journal_limit"

// handedBack is the payload of such a message.
type handedBack struct {
	Epoch int64  `json:"epoch"`
	Path  string `json:"path"`
}

// drive makes what runs equal to the plan. It is level-triggered: calling it
// once too often changes nothing.
func (w *Worker) drive(r *run, now time.Time) {
	if !w.lease.alive(now) { // the pump that follows lets everything go
		return
	}
	if w.runs[r.id] != r || r.rebuild || r.releasing() || r.base == 0 || r.tx != nil {
		return
	}
	w.gathered(r, now)
	for w.pass(r, now) {
		if w.runs[r.id] != r || r.releasing() {
			return
		}
	}
	if len(r.need.hungry) > 0 && len(r.visits) > 0 {
		w.hungry[r] = true
	}
	w.setAlarm(r, now)
	w.flush(r, now)
}

// pass evaluates the plan and acts on it; true means that a fact was added and
// the plan is out of date.
func (w *Worker) pass(r *run, now time.Time) bool {
	p := plan.Plan{Outcome: plan.Blocked, Err: r.stuck}
	if r.stuck == nil {
		p = plan.Eval(r.def.Tree, r.hist)
	}
	r.plan, r.need = p, need{}
	w.stopUnplanned(r, p)
	at := micros(w.clock.low(now))
	switch {
	case r.stuck == nil && w.takeRecall(r, at):
		return true
	case p.Outcome == plan.Turning && len(r.visits) == 0:
		w.turn(r, p, at)
		return true
	case p.Outcome != plan.Going || r.mustTurn():
		return false
	case w.takeHalt(r, at), w.expire(r, at):
		return true
	}
	switch {
	case w.takeHanded(r, at), w.takeCancel(r, at), w.takeAnswers(r, p, at, now), w.takeItems(r, p, at, now), w.takeMessages(r, p, at), w.fireTimers(r, p, at), w.findDead(r, p, now),
		w.recall(r, p, at):
		return true
	}
	w.answerCalls(r, at)
	if w.follow(r, p, at) {
		return true
	}
	for _, q := range p.Questions {
		w.ask(r, q, now)
	}
	if len(p.Opens) > 0 {
		for _, o := range p.Opens {
			w.open(r, o.Path, &CallRequest{Key: o.Call, Wait: o.Wait, derived: true}, at)
		}
		return true
	}
	for i := range p.Bodies {
		if !r.had(i) && w.begin(r, p.Bodies[i], now) {
			return true
		}
	}
	return false
}

// follow records what follows from what is recorded, and closes lanes and items
// of which nothing runs any more.
func (w *Worker) follow(r *run, p plan.Plan, at int64) bool {
	for _, f := range p.Facts {
		f.At, f.Derived = at, true
		if f.Kind == journal.Done {
			f = w.fitting(r, f)
		}
		if w.conclude(r, f); f.Kind == journal.Failed || r.halted() {
			return true
		}
	}
	added := len(p.Facts) > 0
	for _, f := range p.Closes {
		if r.busyUnder(f.Path) {
			continue
		}
		for _, c := range r.hist.OpenCalls(f.Path) {
			r.batch.close(c.Path, c.Call, "", rowsOf(c.Wait))
			r.dismiss(c, callKey(f.Path, ""), "what called it has failed", false)
		}
		f.At, f.Derived, added = at, true, true
		if w.conclude(r, f); r.halted() {
			return true
		}
	}
	return added
}

// fitting is a join, or its failure if the state has become too large.
func (w *Worker) fitting(r *run, f journal.Fact) journal.Fact {
	before := r.hist.StateAt(f.Path)
	after, err := journal.Apply(f.Data, before)
	if err != nil || w.cfg.StateLimit == 0 || len(after) <= w.cfg.StateLimit {
		f.Step = &journal.Transition{Before: before, After: after}
		return f
	}
	return journal.Fact{Kind: journal.Failed, Path: f.Path, At: f.At, Derived: true, Err: &journal.Error{
		Code: "too_large", Path: f.Path, Message: fmt.Sprintf("the lanes together make a state of %d bytes, the limit is %d (Config.MaxPayload)", len(after), w.cfg.StateLimit),
	}}
}

// busyUnder tells whether user code runs under a path.
func (r *run) busyUnder(path string) bool {
	for at := range r.visits {
		if i := len(path); len(at) > i && at[i] == '/' && at[:i] == path {
			return true
		}
	}
	return false
}

// stopUnplanned ends bodies that the plan no longer has.
func (w *Worker) stopUnplanned(r *run, p plan.Plan) {
	r.ran = r.ran[:0]
	if len(r.visits) == 0 {
		return
	}
	r.looks++
	planned := 0
	look := func(path string) bool {
		v := r.visits[path]
		if v != nil && v.looked != r.looks {
			v.looked = r.looks
			planned++
		}
		return v != nil
	}
	for i := range p.Bodies {
		r.ran = append(r.ran, look(p.Bodies[i].Path))
	}
	for i := range p.Questions {
		look(p.Questions[i].Path)
	}
	if planned == len(r.visits) {
		return
	}
	for _, v := range r.sorted() {
		if v.looked != r.looks {
			w.refuse(v) // or a message would be spent on it
			w.stopVisit(v, ErrNotPlanned)
		}
	}
}

// had tells whether the planned body i ran when its plan was made.
func (r *run) had(i int) bool { return i < len(r.ran) && r.ran[i] }

// takeHanded takes the reports of workers that stopped in order.
func (w *Worker) takeHanded(r *run, at int64) bool {
	for i, m := range r.inbox {
		if m.Topic != TopicHanded {
			continue
		}
		var h handedBack
		r.inbox = append(r.inbox[:i:i], r.inbox[i+1:]...)
		r.batch.took = append(r.batch.took, m.Seq)
		if json.Unmarshal(m.Payload, &h) == nil && r.hist.Tried(h.Path) && h.Epoch != r.epoch {
			w.add(r, journal.Fact{Kind: journal.Handed, Path: h.Path, Epoch: h.Epoch, Message: m.Seq, At: at})
		}
		return true
	}
	return false
}

// takeMessages gives untaken messages to open waits: the wait opened first,
// the message accepted first.
func (w *Worker) takeMessages(r *run, p plan.Plan, at int64) (taken bool) {
	if len(r.inbox)+len(r.reports) == 0 {
		return false
	}
	for _, o := range p.Waits {
		if m, ok := r.match(o.Wait, r.gotten(o.Path, o.Call)); ok {
			w.give(r, o, m, at)
			return true
		}
		if m, ok := r.remembers(o.Call, o.Wait); ok {
			w.giveAgain(r, o, m, at)
			return true
		}
	}
	r.dropOrders(p.Waits)
	return false
}

// fireTimers ends waits whose deadline has surely passed. The write is refused
// if a message came first, or if the store's clock says that it is too early.
func (w *Worker) fireTimers(r *run, p plan.Plan, at int64) (fired bool) {
	for _, o := range p.Waits {
		if due := o.Wait.Due(); due == 0 || due > at || r.asking(o.Wait) {
			continue
		}
		if o.Wait.Deadline == 0 || o.Wait.Deadline > at {
			w.notice(r, o, at)
			return true
		}
		r.batch.close(o.Path, o.Call, "", rowsOf(o.Wait))
		r.dismiss(o.At(), callKey(o.Path, o.Call), "the call's timeout is over", false)
		w.fire(r, journal.Fact{Kind: journal.Fired, Path: o.Path, Call: o.Call, At: at}, fromMicros(o.Wait.Deadline))
		fired = true
	}
	return fired
}

func (w *Worker) fire(r *run, f journal.Fact, deadline time.Time) {
	if !r.batch.fires { // what comes from now on may win
		r.batch.fires, r.batch.seen = true, r.seen
	}
	if deadline.After(r.batch.notBefore) {
		r.batch.notBefore = deadline
	}
	w.add(r, f)
}

// findDead records bodies that an earlier owner began and did not end.
func (w *Worker) findDead(r *run, p plan.Plan, now time.Time) bool {
	for i, b := range p.Bodies {
		if b.Place != nil && b.Place.Open != 0 && !r.had(i) && r.visits[b.Path] == nil {
			if key := (placeKey{r.id, b.Path}); w.cut[key] == b.Place.Open { // here, and in order
				delete(w.cut, key)
				w.add(r, journal.Fact{Kind: journal.Handed, Path: b.Path, Epoch: b.Place.Open, At: micros(w.clock.low(now))})
			} else {
				w.add(r, plan.JudgeCrash(b, micros(w.clock.high(now)), w.do.Draw()))
			}
			return true
		}
	}
	return false
}

// answerCalls answers the waits that bodies ask for: from the inbox, by a
// deadline that is already over, or by suspending the body.
func (w *Worker) answerCalls(r *run, at int64) {
	for _, v := range r.sortedIf(func(v *Visit) bool { return v.asking != nil }) {
		c := v.asking
		if c == nil || c.Wait == nil || c.Wait.ID != "" {
			continue
		}
		c.Wait.ID = waitID(r.id, v.Path, c.Key, r.base)
		call, suspends := w.answerCall(r, v.Path, c, at)
		if suspends {
			v.suspend, v.asking = c, nil
			w.lingers(v)
			w.do.Reply(v, CallReply{Suspend: true})
			continue
		}
		if call != nil {
			r.batch.replies = append(r.batch.replies, reply{v, CallReply{Call: call}})
		}
	}
}

// open records a wait.
func (w *Worker) open(r *run, path string, c *CallRequest, at int64) {
	wait, call := *c.Wait, c.Key
	if wait.ID == "" {
		wait.ID = waitID(r.id, path, call, r.base)
	}
	r.batch.opens = append(r.batch.opens, openings(r.id, path, call, &wait)...)
	f := journal.Fact{Kind: journal.Waited, Path: path, Call: call, Wait: &wait, At: at, Derived: c.derived}
	if c.Child != nil {
		f.Child = c.Child.ID.String()
		r.batch.children = append(r.batch.children, child{callKey(path, call), *c.Child})
	}
	w.add(r, f)
}

// ask puts a question to user code. It runs in a slot; the write that is due
// waits a moment for the answer.
func (w *Worker) ask(r *run, q plan.Question, now time.Time) {
	if r.visits[q.Path] != nil {
		return
	}
	name := w.queueOf(r, nil)
	if w.stopping {
		r.want(name)
		return
	}
	if q := w.queue(name); q != nil && q.paused() {
		r.lack(name)
		return
	}
	slot := w.spare(r, now)
	if slot == nil {
		if slot = w.lend(r, name, now); slot == nil {
			return
		}
	}
	v := w.visit(r, q.Path, q.Node, slot.name)
	q.Limit = w.cfg.StateLimit
	v.Question = &q
	r.visits[q.Path] = v
	if r.asked.IsZero() || r.batch.empty() { // not longer for each question that follows
		r.asked = now
	}
	r.held = r.asked.Add(holdForAnswer)
	w.timed[r] = r.held
	v.begun = true
	w.do.Start(v)
}

// begin begins a body, if it may begin now and a slot is free; true means that
// a fact was added that changes the plan.
func (w *Worker) begin(r *run, b plan.Body, now time.Time) bool {
	if r.visits[b.Path] != nil {
		return false
	}
	until := b.Until()
	if w.old[placeKey{r.id, b.Path}] > 0 || b.Mode == plan.Undo && w.stillRuns(r.id) { // an old body still runs here
		until = max(until, micros(w.clock.high(now).Add(w.oldPause(r.id, now))))
		r.need.yields = true
	}
	suspect := b.Place != nil && len(b.Place.Crashed) >= 2
	if suspect && w.suspect != nil {
		until = max(until, micros(w.clock.high(now).Add(suspectPause)))
	}
	if until > micros(w.clock.low(now)) {
		r.delay(until, w.queueOf(r, b.Node))
		return false
	}
	if w.overLimit(r, b) {
		w.add(r, journal.Fact{Kind: journal.Failed, Path: b.Path, Attempt: plan.Attempt(b.Place), At: micros(w.clock.low(now)), Err: &journal.Error{
			Code: journalLimit, Path: b.Path,
			Message: fmt.Sprintf("the run has %d facts, the limit is %d; use child workflows for more", r.hist.Live, w.cfg.JournalLimit),
		}})
		return true
	}
	if !w.takeSlot(r, b.Node, now) {
		return false
	}
	v := w.visit(r, b.Path, b.Node, w.queueOf(r, b.Node))
	v.Mode, v.Attempt = b.Mode, plan.Attempt(b.Place)
	if u := r.hist.UndoAt(b.Path); u != nil {
		v.Undoes = &journal.Undo{N: u.N, Path: u.Path, Visit: u.Visit, Done: u.Done}
	}
	if b.Place != nil {
		v.Failures, v.Crashes = b.Place.Failures, b.Place.Died
		v.Calls = maps.Clone(b.Place.Calls)
	}
	if suspect {
		w.suspect = v
	}
	r.visits[b.Path] = v
	w.pledge(v)
	if b.Mode != plan.Reconcile {
		w.add(r, journal.Fact{Kind: journal.Tried, Path: b.Path, Attempt: v.Attempt, Epoch: r.epoch, At: micros(w.clock.low(now)), Undo: b.Marked()})
	}
	r.batch.starts = append(r.batch.starts, v)
	return false
}

// takeSlot takes a slot for a body: the one that the run still holds, if it is
// of the right queue, or a free one.
func (w *Worker) takeSlot(r *run, n *tree.Node, now time.Time) bool {
	name := w.queueOf(r, n)
	if w.stopping {
		r.want(name)
		return false
	}
	if w.shut(r, name, now) {
		return false
	}
	if w.singly(r, name) {
		r.want(name)
		return false
	}
	if r.token != nil && r.token.name == name && w.spare(r, now) != nil {
		return true
	}
	return w.lend(r, name, now) != nil
}

func (w *Worker) queueOf(r *run, n *tree.Node) string {
	if n != nil && n.Queue != "" {
		return n.Queue
	}
	return r.hist.Queue
}

func (w *Worker) visit(r *run, path string, n *tree.Node, queue string) *Visit {
	return &Visit{
		Execution: r.id, Workflow: r.def.Tree.Name, Version: r.def.Tree.Version, Path: path, Node: n,
		Parent: r.parent, Depth: r.depth, Tags: r.tags, RunQueue: r.hist.Queue, State: r.hist.StateAt(path), Generation: r.hist.Visit(path), Epoch: r.epoch, Priority: r.priority, Queue: queue, run: r,
	}
}
