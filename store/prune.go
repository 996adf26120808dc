package store

import (
	"fmt"
	"slices"
	"time"
)

// MaxPrune is how many executions one Prune removes at most: transactions stay
// short, and claims do not wait for them.
const MaxPrune = 1000

// PruneRequest asks to remove executions that have ended.
//
// A family goes as one: an execution without a parent, and all that are below it.
// Workflow, Version and Statuses are about the one without a parent. It matches if
// all others have ended, too, and the last end of them all is at least Age ago;
// then all go with it in one transaction, and each counts. A family that does not fit into what is
// left of the limit waits for the next call; one that is larger than the limit
// goes in several, children before their parents. So no child is ever there without its parent.
type PruneRequest struct {
	Workflow string        // "": all
	Version  *string       // nil: all
	Statuses []Status      // ended ones only; empty: all of them
	Age      time.Duration // ended at least so long ago by the store's clock; not negative
	Limit    int           // 0, and more than MaxPrune: MaxPrune
	Count    bool          // remove nothing, count all that match, whatever the limit
}

// Pruned answers a Prune.
type Pruned struct {
	Now time.Time
	// Removed is how many executions were removed; with Count, how many match.
	Removed int
	// More tells that the limit was reached, so that others may be left.
	More bool
}

// Check refuses what Prune must refuse. Stores call it first. The error wraps
// ErrRefused.
func (r PruneRequest) Check() error {
	if r.Age < 0 {
		return fmt.Errorf("an age of %s is negative: %w", r.Age, ErrRefused)
	}
	if r.Limit < 0 {
		return fmt.Errorf("a limit of %d is negative: %w", r.Limit, ErrRefused)
	}
	for _, s := range r.Statuses {
		if !s.Ended() {
			return fmt.Errorf("%q is not the status of what has ended: %w", s, ErrRefused)
		}
	}
	return nil
}

// Size is the limit that counts.
func (r PruneRequest) Size() int {
	if r.Limit == 0 || r.Limit > MaxPrune {
		return MaxPrune
	}
	return r.Limit
}

// Wanted is the statuses that count, each once.
func (r PruneRequest) Wanted() []Status {
	var list []Status
	for _, s := range Statuses() {
		if s.Ended() && (len(r.Statuses) == 0 || slices.Contains(r.Statuses, s)) {
			list = append(list, s)
		}
	}
	return list
}
