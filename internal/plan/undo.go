package plan

import (
	"fmt"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// back plans a run that goes back: one undo at a time, what was done last first.
// What failed to be undone does not stop the others.
//
// Children that a step has called and that have completed stand in the same
// list, after the undo of the step that called them. Those that had not ended come
// before everything else, all at once.
func (e *eval) back(w *tree.Workflow) Plan {
	h := e.hist
	for i := len(h.Undos) - 1; i >= 0; i-- {
		if u := &h.Undos[i]; u.Kin != nil && u.Kin.Open && !u.Ended() {
			e.kin(u)
		}
	}
	if len(e.plan.Kin)+len(e.plan.Facts) > 0 {
		e.plan.Outcome = Going
		return e.plan
	}
	e.plan.Outcome = Compensated
	for i := len(h.Undos) - 1; i >= 0; i-- {
		u := &h.Undos[i]
		switch {
		case u.Ended():
			if u.Place.Failed {
				e.plan.Outcome = CompensationFailed
			}
			continue
		case u.Kin != nil:
			if !e.kin(u) {
				e.plan.Outcome = CompensationFailed
				continue
			}
			e.plan.Outcome = Going
			return e.plan
		case h.Back.Halted && (u.Place == nil || u.Place.Open == 0):
			e.plan.Outcome = CompensationFailed
			continue
		}
		n := tree.Find(w, u.Path)
		if n == nil || n.Undo == nil {
			e.missing(u.Path, fmt.Sprintf("the run goes back and %q is to be undone, which this code cannot; deploy code that has this step with its compensation", u.Path))
			return Plan{Outcome: Blocked, Err: e.plan.Err}
		}
		e.plan.Outcome = Going
		e.body(Body{Path: u.At(), Node: n, Place: u.Place, Mode: Undo})
		return e.plan
	}
	e.plan.Err = h.Back.Err
	return e.plan
}

// recallsAtOnce is how many items go back at once, at most.
const recallsAtOnce = 100

// Kin is children that go back, of one entry in the list of undos.
type Kin struct {
	Undo *journal.Undo
	Tell []journal.Range // are to be told now
}

// kin plans an undo of children: false if nothing of it is to happen any more, although
// it has not ended.
func (e *eval) kin(u *journal.Undo) bool {
	k, halted := u.Kin, e.hist.Back.Halted
	told := journal.Count(k.Told)
	switch {
	case told+len(k.Todo) == 0:
		f := journal.Fact{Kind: journal.Done, Path: u.At(), Attempt: u.Round(), Err: k.Err}
		if k.Err != nil {
			f.Kind = journal.Failed
		}
		e.plan.Facts = append(e.plan.Facts, f)
		return true
	case halted && told == 0:
		return false
	}
	c := Kin{Undo: u}
	if !halted {
		c.Tell = journal.Last(k.Todo, recallsAtOnce-told)
	}
	e.plan.Kin = append(e.plan.Kin, c)
	return true
}

// judgeUndo turns the ending of a compensation into the fact that records it.
// It has a policy of its own, and cannot cancel what is being rolled back.
func judgeUndo(b Body, f journal.Fact, p *journal.Place, end Ending, now int64, draw float64) journal.Fact {
	switch {
	case end.Snooze:
		f.Kind, f.Why, f.Until = journal.Delayed, journal.BySnooze, later(now, end.After)
	case end.Err == nil:
		f.Kind, f.Data = journal.Done, end.Patch
	default:
		end.Final = end.Final || end.Cancel
		return failing(f, b.Node.Undo, p, end, now, draw)
	}
	return f
}

// Marked tells whether the beginning of a body is to be marked: what it does may
// have to be undone.
func (b Body) Marked() bool { return b.Mode == Run && b.Node.Undo != nil }
