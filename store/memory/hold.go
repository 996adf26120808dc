package memory

import (
	"slices"
	"time"

	"github.com/durable-go/durable/store"
)

// hold sets holds of an execution that is being edited. If one does not fit it
// returns false, and for a token when it would fit; the caller drops the edit.
func (t *tx) hold(x *execution, holds []store.Hold) (fits bool, at time.Time) {
	for _, h := range holds {
		if h.Window > 0 {
			if taken := t.taken(h.Name); taken+h.Amount > h.Limit {
				return false, t.freed(h.Name, taken+h.Amount-h.Limit)
			}
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(x.holds), func(o store.Hold) bool { return o.Name == h.Name })
		if h.Amount > 0 {
			if t.held(h.Name, x.ID)+h.Amount > h.Limit {
				return false, time.Time{}
			}
			mine = append(mine, h)
		}
		x.holds = mine
	}
	for _, h := range holds {
		if h.Window > 0 {
			t.takeToken(h)
		}
	}
	return true, time.Time{}
}

// held sums what all but one execution hold of a name.
func (t *tx) held(name string, but store.ID) int64 {
	var sum int64
	add := func(x *execution) {
		for _, h := range x.holds {
			if h.Name == name && x.ID != but && t.now.Before(h.Until) {
				sum += h.Amount
			}
		}
	}
	for id := range t.holds[name] {
		if t.edits[id] == nil {
			add(t.executions[id])
		}
	}
	for _, x := range t.edits {
		add(x)
	}
	return sum
}
