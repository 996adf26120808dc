package store

import (
	"fmt"
	"strings"
)

// Check refuses what no state of a database could make right, as Commit
// must: see Write. Stores call it first. The error wraps ErrRefused and names
// the write by its place.
func Check(writes []Write) error {
	refuse := func(i int, why string) error { return fmt.Errorf("write %d: %s: %w", i, why, ErrRefused) }
	var seen map[ID]bool
	if len(writes) > 1 {
		seen = make(map[ID]bool, len(writes))
	}
	for i, w := range writes {
		var set int
		var id ID
		if b := w.Begin; b != nil {
			set, id = set+1, b.ID
			if len(b.Row) == 0 {
				return refuse(i, "a begin without a row")
			}
		}
		if a := w.Advance; a != nil {
			set, id = set+1, a.ID
			if len(a.Row) == 0 && (len(a.Took) > 0 || len(a.Open) > 0 || len(a.Shut) > 0 || a.Release != nil || a.Snapshot != nil) {
				return refuse(i, "an advance without a row may carry logs, blobs and holds only")
			}
			if why := holdMistake(a); why != "" {
				return refuse(i, why)
			}
		}
		if c := w.Control; c != nil {
			set, id = set+1, c.ID
		}
		if d := w.Deliver; d != nil {
			set++
			if d.Dedupe == "" {
				return refuse(i, "a message without Dedupe")
			}
		}
		if r := released(&w); r != nil && strings.Contains(r.Blocked, " ") {
			return refuse(i, "a fingerprint with a space")
		}
		switch {
		case set != 1:
			return refuse(i, "exactly one field must be set")
		case w.Deliver != nil || seen == nil:
		case seen[id]:
			return refuse(i, "a second write to execution "+id.String())
		default:
			seen[id] = true
		}
	}
	return nil
}

// CheckIn is Check for Transactor.CommitIn, which takes fewer kinds of writes.
func CheckIn(writes []Write) error {
	for i, w := range writes {
		if w.Deliver == nil && (w.Begin == nil || w.Begin.Owner != Incarnation{}) {
			return fmt.Errorf("write %d: in a caller's transaction executions can be begun as pending, and messages delivered: %w", i, ErrRefused)
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
