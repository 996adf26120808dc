package plan

import (
	"fmt"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// back plans a run that goes back: one undo at a time, what was done last first.
// What failed to be undone does not stop the others.
//
// Children that a step has called and that have completed will stand in the same
// list, after the undo of the step that called them.
func (e *eval) back(w *tree.Workflow) Plan {
	h := e.hist
	e.plan.Outcome = Compensated
	for i := len(h.Undos) - 1; i >= 0; i-- {
		u := &h.Undos[i]
		switch {
		case u.Ended():
			if u.Place.Failed {
				e.plan.Outcome = CompensationFailed
			}
			continue
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
