package plan

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// CrashLimit is how many times in a row the process may die in one visit.
const CrashLimit = 5

// Ending is how one run of a body ended, as far as the body tells.
type Ending struct {
	Patch   []byte              // success: the change of the state
	Step    *journal.Transition // success: what Patch comes to; nil: not known
	Err     *journal.Error      // failure
	Final   bool                // failure: no retry, whatever the policy
	After   time.Duration       // failure: retry after exactly this, if HasWait
	HasWait bool                // After was given
	Snooze  bool                // come back after After; no failure
	Timeout bool                // failure: the step's own timeout ended it
	Cancel  bool                // the body cancels the run; Err holds the reason
	Block   string              // the code cannot read what is recorded: why
	Answer  *journal.Answer     // success of a decision: where it goes
	Happened
}

// Happened is what Reconcile found out.
type Happened uint8

// The findings.
const (
	NotAsked Happened = iota
	Yes               // it happened: Patch is its change of the state
	No                // it did not happen: begin again
)

// Attempt is the number that the next Tried of a place gets.
func Attempt(p *journal.Place) int {
	if p == nil {
		return 1
	}
	return p.NextAttempt()
}

// Judge turns the ending of a body into the fact that records it. now is the
// store's clock in microseconds, at least; draw in [0, 1) is the jitter.
func Judge(b Body, end Ending, now int64, draw float64) journal.Fact {
	p := b.Place
	if p == nil {
		p = &journal.Place{}
	}
	f := journal.Fact{Path: b.Path, At: now, Attempt: max(p.Attempt, 1)}
	switch b.Mode {
	case Reconcile:
		f = judgeReconcile(f, p, end, now, draw)
	case Undo:
		return judgeUndo(b, f, p, end, now, draw)
	default:
		f = judgeRun(b, f, p, end, now, draw)
	}
	f.Undo = f.Kind == journal.Done && b.Node.Undo != nil
	return f
}

func judgeRun(b Body, f journal.Fact, p *journal.Place, end Ending, now int64, draw float64) journal.Fact {
	switch {
	case end.Cancel:
		f.Kind, f.Err, f.Data = journal.Cancelled, end.Err, []byte("step "+b.Path)
	case end.Snooze:
		f.Kind, f.Why, f.Until = journal.Delayed, journal.BySnooze, later(now, end.After)
	case end.Err == nil:
		f.Kind, f.Data, f.Step, f.Answer = journal.Done, end.Patch, end.Step, end.Answer
	case b.Node.AtMostOnce && end.Timeout:
		f.Kind, f.Why, f.Err = journal.Delayed, journal.ByLoss, end.Err
	default:
		return failing(f, b.Node.Retry, p, end, now, draw)
	}
	return f
}

// failing is the fact for an attempt that failed: retried, or for good.
func failing(f journal.Fact, policy *tree.Retry, p *journal.Place, end Ending, now int64, draw float64) journal.Fact {
	f.Err = end.Err
	if end.Final || policy == nil || p.Failures+1 >= policy.MaxAttempts {
		f.Kind = journal.Failed
		return f
	}
	wait := end.After
	if !end.HasWait {
		wait = policy.Delay(p.Failures+1, draw)
	}
	f.Kind, f.Why, f.Until = journal.Delayed, journal.ByError, later(now, wait)
	return f
}

func judgeReconcile(f journal.Fact, p *journal.Place, end Ending, now int64, draw float64) journal.Fact {
	switch {
	case end.Err != nil || end.Snooze:
		f.Kind, f.Why, f.Err = journal.Delayed, journal.ByAsking, end.Err
		f.Until = later(now, tree.Retry{}.Delay(p.Asked+1, draw))
	case end.Happened == Yes:
		f.Kind, f.Data, f.Step = journal.Done, end.Patch, end.Step
	case len(p.Crashed) >= CrashLimit && p.Calls[journal.InDoubtCall] == nil:
		f.Kind, f.Err = journal.Failed, crashLimit(f.Path, f.Attempt, len(p.Crashed))
	case p.Lost >= CrashLimit && p.Calls[journal.InDoubtCall] == nil:
		f.Kind, f.Err = journal.Failed, &journal.Error{
			Code: "step_timeout", Path: f.Path, Attempt: f.Attempt,
			Message: fmt.Sprintf("the step timed out %d times, and each time it had not happened", p.Lost),
		}
	default:
		f.Kind = journal.Cleared
	}
	return f
}

// JudgeCrash is the fact for a body whose process died at an older epoch.
func JudgeCrash(b Body, now int64, draw float64) journal.Fact {
	p := b.Place
	n := len(p.Crashed) + 1
	f := journal.Fact{Kind: journal.Delayed, Why: journal.ByCrash, Path: b.Path, At: now, Attempt: p.Attempt, Epoch: p.Open}
	f.Err = &journal.Error{
		Code: "crash", Path: b.Path, Attempt: p.Attempt,
		Message: fmt.Sprintf("the worker process ended while attempt %d was running", p.Attempt),
	}
	switch {
	case n >= CrashLimit && (b.Mode == Undo || !b.Node.AtMostOnce):
		f.Kind, f.Why, f.Err = journal.Failed, 0, crashLimit(b.Path, p.Attempt, n)
	case n > 1:
		f.Until = later(now, tree.Retry{}.Delay(n-1, draw))
	}
	return f
}

func crashLimit(path string, attempt, n int) *journal.Error {
	return &journal.Error{
		Code: "crash_limit", Path: path, Attempt: attempt,
		Message: fmt.Sprintf("the worker process ended %d times in a row while this step was running", n),
	}
}

func later(now int64, d time.Duration) int64 {
	if d <= 0 {
		return now
	}
	us := d.Microseconds()
	if d%time.Microsecond != 0 {
		us++ // never early
	}
	if now > journal.Latest-us {
		return journal.Latest
	}
	return now + us
}

// OverLimit is the error of an answer that would begin one pass too many, or
// too many items.
func OverLimit(n *tree.Node, a *journal.Answer, path string) *journal.Error {
	if n.Spread && a.Items > tree.MaxSpread {
		return &journal.Error{Code: "items", Path: path, Message: fmt.Sprintf("there are %d items; the limit is %d", a.Items, tree.MaxSpread)}
	}
	if n.Kind == tree.Each && !n.Spread && a.Items > tree.MaxItems {
		return &journal.Error{Code: "items", Path: path, Message: fmt.Sprintf("there are %d items; the limit within one run is %d (Spread has a higher one)", a.Items, tree.MaxItems)}
	}
	if n.Kind != tree.Loop || a.Way != journal.WayAgain || a.Pass < n.Passes() {
		return nil
	}
	return &journal.Error{
		Code: "loop_limit", Path: path,
		Message: fmt.Sprintf("the loop has run %d passes and would go on; its limit is %d (see Loop.Max)", a.Pass, n.Passes()),
	}
}
