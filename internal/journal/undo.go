package journal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A run that goes back undoes what it did. The fold, which knows no tree, keeps
// a list for that: facts of steps that have a compensation carry a mark. The list
// outlives the places: passes, items and visits that are over are still to be
// undone.

// Undo is a step that is undone if the run goes back: it is done, or it was
// begun and nobody knows how far it came.
type Undo struct {
	N     int    `json:"n"`               // its number in the run, from 1, never used again
	Path  string `json:"path"`            // of the step
	Visit string `json:"visit,omitempty"` // of the step: see History.Visit
	Done  bool   `json:"done,omitempty"`  // else it is in doubt
	Place *Place `json:"place,omitempty"` // what happened while it was undone; nil before
	Kin   *Kin   `json:"kin,omitempty"`   // not the step is undone, but children that it called
}

// At is the path at which the undo is recorded.
func (u *Undo) At() string { return u.Path + undoMark + strconv.Itoa(u.N) }

// Ended tells whether the undo has come to an end, good or bad.
func (u *Undo) Ended() bool { return u.Place != nil && (u.Place.Done || u.Place.Failed) }

// undoMark stands between a step's path and the number of its undo. No name
// contains it.
const undoMark = "~"

// CutUndo splits the path of an undo into the path of its step and its number.
func CutUndo(path string) (step string, n int, ok bool) {
	i := strings.LastIndex(path, undoMark)
	if i <= 0 || i < strings.LastIndexByte(path, ']') { // within the key of a way
		return path, 0, false
	}
	n, err := strconv.Atoi(path[i+1:])
	if err != nil || n < 1 {
		return path, 0, false
	}
	return path[:i], n, true
}

// Back says that the run goes back.
type Back struct {
	Err    *Error `json:"err"`              // why: it stays the run's error
	Halted bool   `json:"halted,omitempty"` // no further undo is to begin
}

// UndoAt is the undo that is recorded at a path, nil if there is none.
func (h *History) UndoAt(path string) *Undo {
	if step, n, ok := CutUndo(path); ok {
		if i := h.undoIndex(n); i >= 0 && h.Undos[i].Path == step {
			return &h.Undos[i]
		}
	}
	return nil
}

// undoIndex is mostly asked for what happened last. 0 is the number of what nothing undoes.
func (h *History) undoIndex(n int) int {
	if n == 0 {
		return -1
	}
	for i := len(h.Undos) - 1; i >= 0; i-- {
		if h.Undos[i].N == n {
			return i
		}
	}
	return -1
}

// note keeps the list: whatever a step was tried or done last stands at its end.
func (h *History) note(p *Place, f *Fact) {
	switch f.Kind {
	case Tried, Done:
		h.moveKin(p, f.Path)
		h.keep(p, f)
	case Called, Received:
		if f.Undo {
			h.completed(p, f)
		}
	case Delayed, Failed:
		if f.Undo && p.Spread != nil {
			h.openItems(p, f.Path)
		}
		// What an attempt that returned an error did, the step itself takes for
		// undone.
		if f.Kind == Delayed && f.Why != ByError || cutOffBy(f.Err) {
			return
		}
		h.unkeep(p)
	case Cleared: // it did not happen
		h.unkeep(p)
	}
}

// cutOffBy tells whether an attempt that ended so may have done anything.
func cutOffBy(e *Error) bool {
	if e == nil {
		return false
	}
	switch e.Code {
	case "step_timeout", "crash_limit", "encode", "too_large", "journal_limit":
		return true
	}
	return false
}

func (h *History) keep(p *Place, f *Fact) {
	u := Undo{N: p.Undo, Path: f.Path}
	if i := h.undoIndex(p.Undo); p.Undo > 0 && i >= 0 {
		u = h.Undos[i]
		h.Undos = slices.Delete(h.Undos, i, i+1)
	} else if !f.Undo {
		return
	} else {
		h.Numbered++
		h.Live++
		p.Undo, u.N, u.Visit = h.Numbered, h.Numbered, h.Visit(f.Path)
	}
	u.Done = f.Kind == Done
	h.Undos = append(h.Undos, u)
}

func (h *History) unkeep(p *Place) {
	if i := h.undoIndex(p.Undo); p.Undo > 0 && i >= 0 {
		h.Undos = slices.Delete(h.Undos, i, i+1)
		h.Live--
	}
	p.Undo = 0
}

// turn folds what concerns the rollback as a whole; false: it is no such fact.
func (h *History) turn(f *Fact) (bool, error) {
	switch f.Kind {
	case Turned:
		if h.Back != nil {
			return true, fmt.Errorf("%w: the run turned back twice", ErrCorrupt)
		}
		if f.Undo {
			h.openKin()
		}
		h.Back = &Back{Err: f.Err}
		h.Root, h.Live = &Place{}, len(h.Undos) // no way leads forward any more
		return true, nil
	case Halted, Revived:
		if h.Back == nil {
			return true, fmt.Errorf("%w: %s, and the run does not go back", ErrCorrupt, f.Kind)
		}
		h.Back.Halted = f.Kind == Halted
		for i := range h.Undos {
			if f.Kind != Revived {
				break
			}
			u := &h.Undos[i]
			u.again()
			if p := u.Place; p != nil {
				p.revive()
			}
		}
		return true, nil
	case Recalled:
		h.Recall = &Recall{Round: f.Attempt, Err: f.Err, Undo: f.Undo}
		return true, nil
	}
	return false, nil
}

// revive gives a visit that failed for good a fresh budget of attempts. What it waited
// for when the run ended is no longer open: the body asks for it anew.
func (p *Place) revive() {
	for key, c := range p.Calls {
		if c.State == Open {
			delete(p.Calls, key)
		}
	}
	if !p.Failed {
		return
	}
	p.Spent = p.attempts() + 1
	p.Failures, p.Died, p.Crashed, p.Failed, p.FailedSeq = 0, 0, nil, false, 0
}

// attempts is how many attempts of a visit have ended, but for one that ended it.
func (p *Place) attempts() int { return p.Spent + p.Failures + p.Died }

// NextAttempt is the number of the attempt that a Tried at the place would begin.
func (p *Place) NextAttempt() int { return p.attempts() + 1 }

// undone folds a fact about an undo. What its body changed in the state is not
// part of the run's.
func (h *History) undone(f *Fact) error {
	u := h.UndoAt(f.Path)
	switch {
	case u == nil:
		return fmt.Errorf("%w: %s at %s, and the run goes back", ErrCorrupt, f.Kind, f.Path)
	case u.Ended() && f.Kind != Handed:
		return fmt.Errorf("%w: %s at %s, which has ended", ErrCorrupt, f.Kind, f.Path)
	case u.Kin != nil && (f.Kind == Done || f.Kind == Failed) && len(u.Kin.Todo)+len(u.Kin.Told) > 0:
		return fmt.Errorf("%w: %s at %s, and not all children have answered", ErrCorrupt, f.Kind, f.Path)
	case u.Place == nil:
		u.Place = &Place{}
	}
	p := u.Place
	h.count(p, f)
	switch f.Kind {
	case Recalling:
		return u.ordered(f)
	case Done:
		p.Done = true
		p.close()
		return nil
	case Failed:
		h.Fails++
		p.Failed, p.LastErr, p.FailedSeq = true, f.Err, h.Fails
		p.close()
		return nil
	}
	return h.visited(p, f)
}

// UndoStates replays a journal and gives, by number, the states that undos
// see: that of the step's scope right after it was done or, in doubt, right before it
// was begun. Rows are all rows from the first on. Of what is wanted, those that are
// undone first come first: when they are more than limit bytes together the others are
// left out, but never the first.
func UndoStates(rows []Row, limit int, wanted func(n int) bool) (map[int][]byte, error) {
	var (
		h     = NewHistory()
		state = make(map[int][]byte)
		order []int // may name one twice: the last counts
		size  int
	)
	drop := func(n int) {
		size -= len(state[n])
		delete(state, n)
	}
	for _, r := range rows {
		for i := range r.Facts {
			f := &r.Facts[i]
			if err := h.Fold(f, r.Seq); err != nil {
				return nil, err
			}
			if h.Back != nil {
				return state, nil
			}
			if f.Kind != Tried && f.Kind != Done {
				continue
			}
			p := h.At(f.Path)
			if p == nil || p.Undo == 0 || !wanted(p.Undo) {
				continue
			}
			drop(p.Undo)
			order = slices.DeleteFunc(order, func(n int) bool { return n == p.Undo })
			order = append(order, p.Undo)
			state[p.Undo] = h.StateAt(f.Path)
			size += len(state[p.Undo])
			for size > limit && len(order) > 1 {
				drop(order[0])
				order = order[1:]
			}
		}
		h.Length = r.Seq
	}
	return state, nil
}
