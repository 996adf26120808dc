package journal

import (
	"fmt"
	"strings"
)

// Outcome is how an attempt stands or how it ended, for people.
type Outcome string

// The outcomes.
const (
	OutcomeRunning  Outcome = "running"   // begun, no end recorded
	OutcomeWaiting  Outcome = "waiting"   // suspended in a wait
	OutcomeSnoozed  Outcome = "snoozed"   // asked to come back later; the same attempt goes on
	OutcomeStopped  Outcome = "stopped"   // stopped in order by its worker; the same attempt goes on
	OutcomeDone     Outcome = "done"      // succeeded, or a question was answered
	OutcomeFailed   Outcome = "failed"    // failed, and so did the run
	OutcomeRetrying Outcome = "retrying"  // failed, and another attempt follows
	OutcomeCrashed  Outcome = "crashed"   // its process died
	OutcomeLost     Outcome = "lost"      // cut off, and nobody knows how it ended
	OutcomeInDoubt  Outcome = "in_doubt"  // the outside or a person is asked what became of it
	OutcomeSkipped  Outcome = "skipped"   // a wait that was not wanted; an undo that was not begun since the rollback was stopped
	OutcomeCanceled Outcome = "cancelled" // the run was cancelled before it ended
)

// Attempt is one attempt of a step's body, or one answered question. Times are
// microseconds since 1970.
type Attempt struct {
	Path   string
	Kind   string // "step", "branch", "loop", "parallel", "each", "wait" or "compensate"
	Number int    // of a step: from 1; 0 if its body never began. Of a loop: the pass that was asked for

	Outcome  Outcome
	Start    int64 // when it first began
	End      int64 // when it ended; 0 while it may go on
	Until    int64 // retrying, crashed, snoozed: when the body begins again, at the earliest
	Resumed  int   // how often the body began again in this attempt, after a wait, snooze or stop
	Waiting  int64 // microseconds spent in waits that have ended
	Epoch    int64 // of the owner that began it last
	FirstRow int   // the row that recorded its beginning
	LastRow  int   // the row that recorded the newest fact of it

	Err    *Error
	Patch  []byte     // done: its change of the state, nil for none
	Answer *Answer    // a question: what was answered
	Waits  []WaitSpan // in the order of opening
	Calls  int        // durable calls recorded in it
	Done   []DoneCall // those that did something: no waits, and no children

	Children []string // executions that it began; of an undo of a child: that one
	Undo     string   // of a step: the path at which it is undone if the run goes back
	Undoes   string   // of an undo: the path of the step
	InDoubt  bool     // of an undo: the step was cut off

	Inherited bool // another run did it, from which this one was forked
}

// DoneCall is a recorded call of a function.
type DoneCall struct {
	Call string // kind:name#count, of an All with /number
	At   int64
	Data []byte // its result
	Err  *Error // or why there is none
}

// WaitSpan is one wait of an attempt.
type WaitSpan struct {
	Call   string // kind:name#count
	Kind   string
	Name   string
	Opened int64
	Ended  int64    // 0 while it is open
	By     string   // what ended it: "message", "timeout", "cancelled", "" while it is open
	Notes  []Note   // what happened to it while it was open
	Got    []string // of several topics: those of which something has come
}

// Attempts lists what happened in an execution, for people: one entry for each
// attempt of a body and each question that was answered, in the order of their
// beginning. Rows are all rows from the first on; unlike a History the list
// forgets nothing, so passes of loops that have ended are in it.
//
// A body that was suspended, put off by a snooze or stopped in order and that
// began again is still the same attempt. Whether a body that was cut off is in
// doubt, the journal says only once somebody is asked about it; before, its
// outcome is crashed, stopped or lost.
func Attempts(rows []Row) []Attempt {
	v := view{last: make(map[string]int)}
	if marked(rows) {
		v.hist = NewHistory()
	}
	for _, r := range rows {
		for i := range r.Facts {
			v.row = r.Seq
			v.take(&r.Facts[i])
			v.link(&r.Facts[i])
		}
	}
	v.skipped()
	return v.list
}

// marked tells whether anything may have to be undone.
func marked(rows []Row) bool {
	for _, r := range rows {
		for i := range r.Facts {
			if r.Facts[i].Undo || r.Facts[i].Kind == Turned {
				return true
			}
		}
	}
	return false
}

// link says of attempts what undoes them, or what they undo.
func (v *view) link(f *Fact) {
	if v.hist == nil {
		return
	}
	if v.hist.Fold(f, v.row) != nil {
		v.hist = nil // what is corrupt is not worth explaining
		return
	}
	i, ok := v.last[f.Path]
	if !ok {
		return
	}
	a := &v.list[i]
	if u := v.hist.UndoAt(f.Path); u != nil && v.hist.Back != nil {
		a.InDoubt, a.Children = !u.Done, u.children(a.Children)
	} else if p := v.hist.At(f.Path); p != nil && a.Kind == "step" {
		a.Undo = ""
		if p.Undo > 0 {
			a.Undo = (&Undo{N: p.Undo, Path: f.Path}).At()
		}
	}
}

// skipped adds the undos that did not come to an end since the rollback was
// stopped.
func (v *view) skipped() {
	if v.hist == nil || v.hist.Back == nil || !v.hist.Back.Halted {
		return
	}
	for i := len(v.hist.Undos) - 1; i >= 0; i-- {
		u := &v.hist.Undos[i]
		if u.Ended() || u.Place != nil && u.Place.Open != 0 {
			continue
		}
		if last, ok := v.last[u.At()]; ok && v.list[last].End == 0 {
			v.list[last].Outcome, v.list[last].End = OutcomeSkipped, v.hist.Last
			continue
		}
		v.add(Attempt{Path: u.At(), Kind: "compensate", Outcome: OutcomeSkipped, Undoes: u.Path, InDoubt: !u.Done, Children: u.children(nil)})
	}
}

type view struct {
	list []Attempt
	last map[string]int // number in list, by path
	cut  []cutOff       // how entries in doubt ended
	row  int
	hist *History // nil: nothing is to be undone
}

type cutOff struct {
	entry   int
	outcome Outcome
}

func (v *view) take(f *Fact) {
	switch f.Kind {
	case Began, Halted, Revived, Recalled:
	case Forked:
		for i := range v.list {
			v.list[i].Inherited = true
		}
	case Cancelled, Turned, Expired:
		v.cancelled(f, "")
	case Tried:
		v.tried(f)
	case Answered:
		v.answered(f)
	case Failed:
		v.failed(f)
	case Closed:
		v.cancelled(f, f.Path+"/")
	default:
		if _, ok := v.last[f.Path]; !ok && f.Kind == Waited && f.Wait != nil {
			v.add(Attempt{Path: f.Path, Kind: "wait", Outcome: OutcomeRunning, Start: f.At})
		} else if f.Kind == Recalling && (!ok || v.list[v.last[f.Path]].End != 0) {
			step, _, _ := CutUndo(f.Path)
			v.add(Attempt{Path: f.Path, Kind: "compensate", Number: f.Attempt, Outcome: OutcomeWaiting, Start: f.At, Undoes: step})
		}
		if i, ok := v.last[f.Path]; ok {
			a := &v.list[i]
			a.LastRow = v.row
			v.happened(i, a, f)
		}
	}
}

// cancelled ends what is left open under a prefix: of a run that is over or goes
// back, of a lane or item that failed.
func (v *view) cancelled(f *Fact, under string) {
	for i := range v.list {
		a := &v.list[i]
		if !strings.HasPrefix(a.Path, under) || v.last[a.Path] != i {
			continue // or another attempt went on from it
		}
		switch a.Outcome {
		case OutcomeRunning, OutcomeWaiting, OutcomeSnoozed, OutcomeStopped, OutcomeInDoubt:
			a.Outcome, a.End, a.Until, a.LastRow = OutcomeCanceled, f.At, 0, v.row
		}
	}
}

func (v *view) add(a Attempt) *Attempt {
	a.FirstRow, a.LastRow = v.row, v.row
	v.last[a.Path] = len(v.list)
	v.list = append(v.list, a)
	return &v.list[len(v.list)-1]
}

func (v *view) tried(f *Fact) {
	if i, ok := v.last[f.Path]; ok {
		switch a := &v.list[i]; a.Outcome {
		case OutcomeRunning, OutcomeWaiting, OutcomeSnoozed, OutcomeStopped:
			a.Outcome, a.Until, a.Epoch, a.LastRow = OutcomeRunning, 0, f.Epoch, v.row
			a.Resumed++
			return
		}
	}
	a := v.add(Attempt{Path: f.Path, Kind: "step", Number: f.Attempt, Outcome: OutcomeRunning, Start: f.At, Epoch: f.Epoch})
	if step, _, ok := CutUndo(f.Path); ok {
		a.Kind, a.Undoes = "compensate", step
	}
}

func (v *view) answered(f *Fact) {
	a := v.add(Attempt{Path: f.Path, Kind: "branch", Outcome: OutcomeDone, Start: f.At, End: f.At, Answer: f.Answer})
	if f.Answer == nil {
		return
	}
	switch f.Answer.Way {
	case WayAgain, WayLeave:
		a.Kind, a.Number = "loop", f.Answer.Pass
	case WayLanes:
		a.Kind, a.Outcome, a.End = "parallel", OutcomeRunning, 0
	case WayItems:
		a.Kind, a.Outcome, a.End = "each", OutcomeRunning, 0
	case WaySkip:
		a.Kind, a.Outcome = "wait", OutcomeSkipped
	}
}

// failed ends the attempt that is open. A question that could not be answered,
// and a body that was not allowed to begin, have none yet.
func (v *view) failed(f *Fact) {
	i, ok := v.last[f.Path]
	if !ok || v.list[i].asks() || v.list[i].Outcome == OutcomeRetrying {
		a := Attempt{Path: f.Path, Kind: "step", Start: f.At}
		if step, _, is := CutUndo(f.Path); is {
			a.Kind, a.Undoes = "compensate", step
		}
		switch {
		case ok && v.list[i].asks():
			a.Kind, a.Number = v.list[i].Kind, v.list[i].Number+1
		case f.Err != nil && f.Err.Code == "branch":
			a.Kind = "branch"
		case f.Err != nil && f.Err.Code == "items":
			a.Kind = "each"
		case f.Err != nil && (f.Err.Code == "loop" || f.Err.Code == "loop_limit"):
			a.Kind = "loop"
		}
		v.add(a)
		i = v.last[f.Path]
	}
	a := &v.list[i]
	a.Outcome, a.End, a.Until, a.Err, a.LastRow = OutcomeFailed, f.At, 0, f.Err, v.row
}

// asks tells whether the entry is an answered question.
func (a *Attempt) asks() bool { return a.Kind == "branch" || a.Kind == "loop" }

// happened takes a fact about the newest attempt of its place.
func (v *view) happened(i int, a *Attempt, f *Fact) {
	switch f.Kind {
	case Done:
		a.Outcome, a.End, a.Until, a.Patch, a.Err = OutcomeDone, f.At, 0, f.Data, nil
		if f.Answer != nil { // a decision's
			a.Answer = f.Answer
		}
	case Delayed:
		v.delayed(i, a, f)
	case Handed:
		v.handed(a, f)
	case Cleared:
		for n := len(v.cut) - 1; n >= 0; n-- {
			if v.cut[n].entry == i {
				a.Outcome = v.cut[n].outcome
				break
			}
		}
		if a.Outcome == OutcomeStopped { // it did not happen: what follows is another attempt
			a.Outcome = OutcomeLost
		}
		if a.End == 0 {
			a.End = f.At
		}
	case Called:
		a.Calls++
		if f.Child != "" {
			a.Children = append(a.Children, f.Child)
		} else {
			a.Done = append(a.Done, DoneCall{f.Call, f.At, f.Data, f.Err})
		}
	case Waited:
		if f.Wait == nil {
			return
		}
		if f.Child != "" {
			a.Children = append(a.Children, f.Child)
		}
		if f.Call == InDoubtCall {
			v.doubt(i, a)
		} else {
			a.Outcome = OutcomeWaiting
		}
		a.Waits = append(a.Waits, WaitSpan{Call: f.Call, Kind: f.Wait.Kind, Name: f.Wait.Name, Opened: f.At})
	case Gathered:
		a.gathered(f)
	case Received:
		a.gathered(f)
		a.endWait(f, "message")
	case Fired:
		a.endWait(f, "timeout")
	case Revoked:
		a.endWait(f, "cancelled")
	case Altered:
		a.note(f)
	}
}

func (v *view) delayed(i int, a *Attempt, f *Fact) {
	a.Until = f.Until
	if f.Err != nil {
		a.Err = f.Err
	}
	switch f.Why {
	case BySnooze:
		a.Outcome = OutcomeSnoozed
	case ByCrash:
		a.Outcome, a.End = OutcomeCrashed, f.At
	case ByLoss:
		a.Outcome, a.End = OutcomeLost, f.At
	case ByAsking:
		v.doubt(i, a)
	default:
		a.Outcome, a.End = OutcomeRetrying, f.At
	}
}

// doubt remembers how the attempt was cut off.
func (v *view) doubt(i int, a *Attempt) {
	if a.Outcome != OutcomeInDoubt {
		v.cut = append(v.cut, cutOff{i, a.Outcome})
		a.Outcome = OutcomeInDoubt
	}
}

// handed marks the attempt that its worker stopped in order. The report may
// come after the next owner took it for crashed.
func (v *view) handed(newest *Attempt, f *Fact) {
	if newest.Epoch == f.Epoch {
		switch newest.Outcome {
		case OutcomeRunning:
			newest.Outcome = OutcomeStopped
		case OutcomeCrashed:
			newest.Outcome, newest.End, newest.Until, newest.Err = OutcomeStopped, 0, 0, nil
		}
		return
	}
	for i := range v.list {
		if a := &v.list[i]; a.Path == f.Path && a.Epoch == f.Epoch && a.Outcome == OutcomeCrashed {
			a.Outcome, a.Err = OutcomeStopped, nil
		}
	}
}

// gathered notes what has come for a wait with several topics. One that was never
// opened has no entry before it ends.
func (a *Attempt) gathered(f *Fact) {
	for i := len(a.Waits) - 1; i >= 0 && f.Topic != ""; i-- {
		if w := &a.Waits[i]; w.Call == f.Call && w.By == "" {
			w.Got = append(w.Got, f.Topic)
			return
		}
	}
}

func (a *Attempt) endWait(f *Fact, by string) {
	for i := len(a.Waits) - 1; i >= 0; i-- {
		if w := &a.Waits[i]; w.Call == f.Call && w.By == "" {
			w.Ended, w.By = f.At, by
			a.Waiting += max(w.Ended-w.Opened, 0)
			return
		}
	}
	w := WaitSpan{Call: f.Call, Opened: f.At, Ended: f.At, By: by} // it never had to wait
	w.Kind, w.Name, _ = strings.Cut(f.Call, ":")
	if i := strings.LastIndexByte(w.Name, '#'); i >= 0 {
		w.Name = w.Name[:i]
	}
	a.Waits = append(a.Waits, w)
}

// note keeps what happened to the open wait of a call.
func (a *Attempt) note(f *Fact) {
	for i := len(a.Waits) - 1; i >= 0; i-- {
		if w := &a.Waits[i]; w.Call == f.Call && w.By == "" && f.Note != nil {
			w.Notes = addNote(w.Notes, *f.Note)
			return
		}
	}
}

// StateAfter returns the state on which bodies at a path work after row n: what
// Began, or the way into the lane or item, gave, changed by every Done up to there. It is nil for n < 1. Rows are all rows from the first on;
// a journal shorter than n is an error.
func StateAfter(rows []Row, n int, path string) ([]byte, error) {
	if n < 1 {
		return nil, nil
	}
	if n > len(rows) {
		return nil, fmt.Errorf("there is no row %d: the journal has %d", n, len(rows))
	}
	h := NewHistory()
	for _, r := range rows[:n] {
		if err := h.Apply(r); err != nil {
			return nil, err
		}
	}
	return h.StateAt(path), nil
}
