package memory

import (
	"slices"

	"github.com/durable-go/durable/store"
)

// hold sets holds of an execution that is being edited. If one does not fit it
// returns false, and the caller drops the edit.
func (t *tx) hold(x *execution, holds []store.Hold) bool {
	for _, h := range holds {
		mine := slices.DeleteFunc(slices.Clone(x.holds), func(o store.Hold) bool { return o.Name == h.Name })
		if h.Amount > 0 {
			if t.held(h.Name, x.ID)+h.Amount > h.Limit {
				return false
			}
			mine = append(mine, h)
		}
		x.holds = mine
	}
	return true
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
