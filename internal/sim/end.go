package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// In a calm world nobody may wait for the poll or a heartbeat.
const (
	promptly = 200 * time.Millisecond
	hinted   = second + promptly // a cancel reaches the owner by a hint
)

// ended looks at a run that has just ended.
func (s *Sim) ended(w *work) {
	w.closed, w.ends = true, append(w.ends, w.status)
	s.mark(string(w.status))
	var err string
	if len(w.hist.State) > 0 {
		var st state
		if e := json.Unmarshal(w.hist.State, &st); e != nil || st.Run != w.n {
			err = fmt.Sprint("it does not decode: ", e)
		} else if !slices.Equal(st.Log, w.model.log) {
			err = fmt.Sprintf("the scripts say %q", w.model.log)
		}
	}
	if err != "" {
		s.fail("state", "%s ends with %s; %s", w, w.hist.State, err)
	}
	s.agrees(w)
	s.judgeUndone(w)
}

// agrees compares the status of a run with what its journal means.
func (s *Sim) agrees(w *work) {
	want := map[plan.Outcome]store.Status{
		plan.Completed: store.Completed, plan.Failed: store.Failed, plan.Cancelled: store.Cancelled,
		plan.Compensated: store.Compensated, plan.CompensationFailed: store.CompensationFailed,
	}
	outcome := plan.Eval(w.flow.defs[s.lastVariant()].Tree, w.hist).Outcome
	if p := w.owners[w.epoch]; p != nil && w.definition(p) != nil && outcome == plan.Blocked {
		outcome = plan.Eval(w.definition(p), w.hist).Outcome
	}
	if s.Deploy && w.status != store.Cancelled {
		return // it ended under the code that its last owner had
	}
	if want[outcome] != w.status {
		s.fail("doctor", "%s is %s, and its journal says outcome %d", w, w.status, outcome)
	}
}

// blocked looks at a run that has just been blocked. It may stay so only if
// the database refuses it.
func (s *Sim) blocked(w *work, r *store.Release) {
	if w.blocks++; w.blocks > 40 {
		s.fail("hot loop", "%s is blocked for the %dth time in a row", w, w.blocks)
	}
	w.closed = w.poison != "" && strings.Contains(string(r.Error), "refuse")
	if !s.Deploy && !w.closed && !strings.Contains(string(r.Error), "workers in a row ended") {
		s.fail("VR-3", "%s is blocked for no reason: %s", w, r.Error)
	}
	w.stalled = strings.Contains(string(r.Error), "workers in a row ended")
	if w.stalled {
		s.mark("stall limit")
	}
}

// over tells whether the seed has come to its end.
func (s *Sim) over() bool {
	if s.closing {
		return len(s.processes) == 0 || len(s.heap.list) == 0
	}
	if s.now < s.Until {
		return false
	}
	for _, w := range s.works {
		if !w.closed {
			return false
		}
	}
	s.closing = true
	s.logf("all has ended; the workers are told to stop")
	for _, p := range s.processes {
		s.at(p, 0, func() { p.stop(false) })
	}
	return len(s.processes) == 0
}

func (s *Sim) unfinished() string {
	text := ""
	for _, w := range s.works {
		if !w.closed {
			text += fmt.Sprintf(" %s is %s (begun=%v, row %d, due %s, %d waits)", w, w.status, w.begun, w.rows, w.due, len(w.waits))
		}
	}
	for _, p := range s.processes {
		text += fmt.Sprintf(" %s (leaving=%v, stopped=%v, runs=%d, bodies=%d, idle=%v)", p.name, p.leaving, p.w.Stopped(), p.w.Running(), len(p.bodies), p.c.Idle())
	}
	return text
}

// watch looks at a calm world after every event: nothing may lie about.
func (s *Sim) watch() {
	if !s.Calm || s.closing || s.fault != nil {
		return
	}
	now := s.clock()
	for _, w := range s.works {
		if !w.begun || w.closed {
			if w.cancelled && w.closed {
				s.watchCancelled(w)
			}
			continue
		}
		since, slow := w.since, time.Duration(0)
		switch owned := w.owner != (store.Incarnation{}); {
		case w.status == store.Blocked:
		case !owned:
			if s.busyAt(w) {
				continue
			}
			if w.due.IsZero() || now.Before(w.due) {
				continue
			}
			since = max(since, w.due.Sub(begin()))
			if s.crowding() > 0 {
				room, ok := s.roomSince(w.queue)
				if !ok {
					continue
				}
				since, slow = max(since, room), refilled-promptly
			}
			if s.Sagas { // a worker leaves the next undo of some run to others
				slow += refilled
			}
			if s.now > since+promptly+slow {
				s.fail("calm", "%s is due since %s and nobody has claimed it", w, since)
			}
		default:
			p := w.owners[w.epoch]
			s.watchLanes(w, p)
			s.watchTime(w)
			if p.dead || p.left {
				if s.now > max(since, p.died)+s.Lease+second {
					s.fail("G8", "%s belongs to a worker that died at %s", w, p.died)
				}
				continue
			}
			if p.busy(w) {
				w.since = s.now
			} else if s.now > since+max(promptly, s.crowding()) { // in which others may be faster
				s.fail("calm", "%s is in the hands of %s, which does nothing about it since %s", w, p.name, since)
			}
		}
		for _, m := range w.inbox {
			patience := promptly + slow
			if (s.Lanes || s.Children) && w.owner != (store.Incarnation{}) { // its owner learns it by a hint
				patience = hinted + promptly
			}
			if m.topic == run.TopicCancel && !m.taken && w.status == store.Running && s.now > max(m.at, since)+hinted+promptly && w.going() {
				s.fail("calm", "%s has been cancelled by its parent, and its owner does not know", w)
			}
			if s.now > max(m.at, since)+hinted+promptly && s.disobeyed(w, m) {
				s.fail("calm", "the order %d to %s is there and not carried out", m.seq, w)
			}
			if x := w.listens(m); x != nil && !m.taken && s.now > max(m.at, x.since, since)+patience && !s.givenUp(w, x) {
				s.fail("calm", "message %d of %s is there and not taken", m.seq, w)
			}
		}
	}
}

// crowding is how long what a queue refuses may take, 0 if none is limited.
func (s *Sim) crowding() time.Duration {
	if len(s.Global)+len(s.Rates)+s.Holds > 0 {
		return refilled
	}
	return 0
}

// watchCancelled bounds how long the body of a cancelled run goes on.
func (s *Sim) watchCancelled(w *work) {
	for _, p := range s.processes {
		for _, b := range p.bodies {
			if b.w == w && b.stopped == nil && s.now > w.since+hinted {
				s.fail("G15", "%s is cancelled, and %s still lets %s run", w, p.name, b.v.Path)
			}
		}
	}
}

// busy tells whether a body of a run runs in the process.
func (p *process) busy(w *work) bool {
	return slices.ContainsFunc(p.bodies, func(b *body) bool { return b.w == w })
}

// inspect is the doctor on the end state.
func (s *Sim) inspect() {
	for _, w := range s.works {
		rec, err := s.db.mem.Load(context.Background(), w.id, true)
		if err != nil {
			s.fail("G1", "%s cannot be loaded: %v", w, err)
			return
		}
		h, err := run.Replay(&rec)
		switch {
		case err != nil:
			s.fail("doctor", "%s: %v", w, err)
		case rec.Status != w.status || rec.Length != w.rows || rec.Owner != w.owner:
			s.fail("doctor", "%s is %s with %d rows; the world knows %s and %d", w, rec.Status, rec.Length, w.status, w.rows)
		case string(h.State) != string(w.hist.State):
			s.fail("doctor", "%s has state %s; the world knows %s", w, h.State, w.hist.State)
		}
		s.inspectRows(w, &rec)
		s.inspectInbox(w, &rec)
		s.inspectCrashes(w)
		s.inspectTx(w)
		page, err := s.db.mem.Waits(context.Background(), store.WaitFilter{Execution: w.id})
		if err != nil || w.status.Ended() && len(page.Waits) > 0 {
			s.fail("doctor", "%s has ended and has %d open waits (%v)", w, len(page.Waits), err)
		}
		if w.cancelled && w.status != store.Cancelled {
			s.fail("G15", "%s was cancelled, with an acknowledgement, and is %s", w, w.status)
		}
	}
}

func (s *Sim) inspectRows(w *work, rec *store.Record) {
	epoch := int64(0)
	for i, row := range rec.Rows {
		if row.Seq != i+1 || row.Epoch < epoch {
			s.fail("doctor", "row %d of %s comes after %d rows, epoch %d after %d", row.Seq, w, i, row.Epoch, epoch)
		}
		epoch = row.Epoch
	}
	if h, err := journal.Restore(w.hist.Snapshot()); w.hist.Cancel == nil && (err != nil || string(h.State) != string(w.hist.State)) {
		s.fail("doctor", "a snapshot of %s does not give it back: %v", w, err)
	}
}

func (s *Sim) inspectInbox(w *work, rec *store.Record) {
	var there, want []int64
	for _, m := range rec.Messages {
		there = append(there, m.Seq)
	}
	for _, m := range w.inbox {
		if !m.taken {
			want = append(want, m.seq)
		}
	}
	if !slices.Equal(there, want) {
		s.fail("G9", "%s has messages %v unread; %v were accepted and not taken", w, there, want)
	}
	for again, first := range w.again {
		if w.used[again] && w.used[first] {
			s.fail("G9", "message %q of %s was accepted twice: its sender took a lost reply for a failure", first, w)
		}
	}
}

// inspectCrashes explains every crash that is in the journal: the process died,
// or it lives and has tried to say that it stopped the body in order (RT-10).
func (s *Sim) inspectCrashes(w *work) {
	for _, c := range w.crashes {
		by := w.owners[c.epoch]
		if by != nil && !by.killed && !c.back && !w.handed[c.path+":"+strconv.FormatInt(c.epoch, 10)] {
			s.fail("RT-10", "%s is said to have crashed at %s in epoch %d; its worker lives and never said that it stopped the body", w, c.path, c.epoch)
		}
	}
}
