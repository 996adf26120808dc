package store

import (
	"fmt"
	"slices"
	"strings"
)

// Check refuses what no state of a database could make right, as Commit
// must: see Write. Stores call it first. The error wraps ErrRefused and names
// the write by its place.
func Check(writes []Write) error {
	refuse := func(i int, why string) error { return fmt.Errorf("write %d: %s: %w", i, why, ErrRefused) }
	all := make(written, len(writes))
	for i := range writes {
		w := &writes[i]
		if why := mistake(w); why != "" {
			return refuse(i, why)
		}
		if len(writes) == 1 && (w.Advance == nil || len(w.Advance.Children) == 0) {
			break
		}
		if id, twice := all.note(w); twice {
			return refuse(i, "a second write to execution "+id.String())
		}
	}
	return nil
}

// mistake says what is wrong with a write, whatever else is in its batch.
func mistake(w *Write) string {
	var set int
	var why string
	if b := w.Begin; b != nil {
		set++
		switch {
		case len(b.Row) == 0:
			why = "a begin without a row"
		case b.Parent != ID{} || b.Detached || b.Depth != 0:
			why = "a begin of its own with a parent"
		}
	}
	if a := w.Advance; a != nil {
		set++
		why = advanceMistake(a)
	}
	if w.Control != nil {
		set++
	}
	if d := w.Deliver; d != nil {
		set++
		if d.Dedupe == "" {
			why = "a message without Dedupe"
		}
		if d.Keep && d.Wait == "" {
			why = "a wait to be kept is not named"
		}
	}
	if set != 1 {
		return "exactly one field must be set"
	}
	if r := released(w); r != nil && why == "" {
		if why = releaseMistake(r); strings.Contains(r.Blocked, " ") {
			why = "a fingerprint with a space"
		}
	}
	return why
}

func advanceMistake(a *Advance) string {
	if len(a.Row) == 0 && (len(a.Took) > 0 || len(a.Open)+len(a.Shut)+len(a.Alter) > 0 || a.Release != nil || a.Snapshot != nil) {
		return "an advance without a row may carry logs, chunks, blobs and holds only"
	}
	if slices.ContainsFunc(a.Open, func(w Wait) bool { return w.Shared && w.Topic == "" }) {
		return "a shared wait without a topic"
	}
	if why := chunkMistake(a.Chunks); why != "" {
		return why
	}
	if why := familyMistake(a); why != "" {
		return why
	}
	return holdMistake(a)
}

// written are the executions that a batch writes to, messages aside.
type written map[ID]bool

// note adds those of a write. It returns one that was there before.
func (b written) note(w *Write) (id ID, twice bool) {
	add := func(id ID) bool {
		was := b[id]
		b[id] = true
		return was
	}
	switch {
	case w.Begin != nil:
		return w.Begin.ID, add(w.Begin.ID)
	case w.Control != nil:
		return w.Control.ID, add(w.Control.ID)
	case w.Advance != nil:
		if add(w.Advance.ID) {
			return w.Advance.ID, true
		}
		for i := range w.Advance.Children {
			if id := w.Advance.Children[i].ID; add(id) {
				return id, true
			}
		}
	}
	return ID{}, false
}

// CheckIn is Check for Transactor.CommitIn, which takes fewer kinds of writes.
func CheckIn(writes []Write) error {
	for i, w := range writes {
		if w.Deliver == nil && (w.Begin == nil || w.Begin.Owner != Incarnation{} || len(w.Begin.Blobs) > 0 || w.Begin.Snapshot != nil) {
			return fmt.Errorf("write %d: in a caller's transaction executions can be begun as pending, without blobs and snapshots, and messages delivered: %w", i, ErrRefused)
		}
	}
	return Check(writes)
}

// holdMistake says what is wrong with the holds of a write.
func holdMistake(a *Advance) string {
	for i, h := range a.Holds {
		switch {
		case h.Window < 0:
			return "a hold with a negative window"
		case h.Window > 0 && h.Amount <= 0:
			return "a token without an amount"
		case h.Window > 0 && len(a.Row) == 0:
			return "a token without a row, by which it is known to have been taken"
		}
		for _, other := range a.Holds[:i] {
			if other.Name == h.Name {
				return "two holds of one name"
			}
		}
	}
	return ""
}

func released(w *Write) *Release {
	switch {
	case w.Advance != nil:
		return w.Advance.Release
	case w.Control != nil:
		return &w.Control.Release
	}
	return nil
}
