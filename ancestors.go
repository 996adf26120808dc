package durable

import (
	"context"
	"fmt"
	"sync"
)

// Ancestor is a run above another one: it has called or spawned it, or that which did so.
type Ancestor struct {
	ID       ID
	Workflow string
}

// Ancestors returns the runs above the run of the step whose context it is given: the one that has begun it (for an item that is
// spread, the one that has the list), and so on to the root, which is the last. A run that was started by itself has none. It
// never changes, and is read once. While the database is away it waits. Errors: ErrNotInStep.
func Ancestors(ctx context.Context) ([]Ancestor, error) {
	b := bodyOf(ctx)
	if b == nil {
		return nil, fmt.Errorf("%w: Ancestors: the context is not that of a step; pass the ctx that the step was given", ErrNotInStep)
	}
	var list []Ancestor
	for id := b.h.Parent; id != (ID{}); {
		k, err := b.engine.kinOf(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("Ancestors: run %s: %w", id, err)
		}
		list = append(list, Ancestor{id, k.workflow})
		id = k.parent
	}
	return list, nil
}

// lineage remembers which run has begun which: that never changes.
type lineage struct {
	mu   sync.Mutex
	runs map[ID]kin
}

type kin struct {
	workflow string
	parent   ID
}

// maxKin is how many runs are remembered that have children. What is forgotten is read again.
const maxKin = 10_000

func (e *Engine) kinOf(ctx context.Context, id ID) (kin, error) {
	l := &e.lineage
	l.mu.Lock()
	k, ok := l.runs[id]
	l.mu.Unlock()
	if ok {
		return k, nil
	}
	err := persist(ctx, func() error {
		rec, err := e.store.Load(ctx, id, false)
		k = kin{rec.Workflow, rec.Parent}
		return err
	})
	if err != nil {
		return kin{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil || len(l.runs) >= maxKin {
		l.runs = make(map[ID]kin)
	}
	l.runs[id] = k
	return k, nil
}
