package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// Prune implements store.Store.
func (s *Store) Prune(ctx context.Context, req store.PruneRequest) (store.Pruned, error) {
	if err := req.Check(); err != nil {
		return store.Pruned{}, fmt.Errorf("memory: prune: %w", err)
	}
	now, err := s.enter(ctx)
	if err != nil {
		return store.Pruned{}, err
	}
	defer s.leave()
	d, res := s.data, store.Pruned{Now: now}
	d.sweep(now)
	d.sweepDraws(now)
	wanted, gone := req.Wanted(), map[store.ID]bool{}
	for _, id := range d.ids {
		x := d.executions[id]
		if x.Parent != uuid.Nil || !slices.Contains(wanted, x.Status) ||
			req.Workflow != "" && x.Workflow != req.Workflow || req.Version != nil && x.Version != *req.Version {
			continue
		}
		family, all := d.family(id), req.Size()
		if !d.over(family, now.Add(-req.Age)) {
			continue
		}
		if req.Count {
			res.Removed += len(family)
			continue
		}
		if left := all - len(gone); len(family) > left {
			if res.More = true; len(gone) > 0 {
				break
			}
			family = family[:left]
		}
		for _, id := range family {
			gone[id] = true
		}
		if res.More = res.More || len(gone) == all; res.More {
			break
		}
	}
	if len(gone) > 0 {
		res.Removed = len(gone)
		d.remove(gone)
		s.changed()
	}
	return res, nil
}

// family is an execution and all that are below it, children before their parents.
func (d *data) family(id store.ID) (list []store.ID) {
	for _, child := range slices.SortedFunc(maps.Keys(d.children[id]), compareIDs) {
		list = append(list, d.family(child)...)
	}
	return append(list, id)
}

// over tells whether all of a family had ended by a time.
func (d *data) over(family []store.ID, by time.Time) bool {
	return !slices.ContainsFunc(family, func(id store.ID) bool {
		x := d.executions[id]
		return !x.Status.Ended() || x.Ended.After(by)
	})
}

// remove forgets ended executions, which no queue, owner, wait or hold knows.
func (d *data) remove(gone map[store.ID]bool) {
	for id := range gone {
		if x := d.executions[id]; x.Key != "" {
			delete(d.keys, key{x.Workflow, x.Key})
		}
		if x := d.executions[id]; x.Parent != uuid.Nil {
			delete(d.children[x.Parent], id)
		}
		delete(d.children, id)
		delete(d.executions, id)
		delete(d.logs, id)
		delete(d.streams, id)
		d.blobs.forget(id)
	}
	d.ids = slices.DeleteFunc(d.ids, func(id store.ID) bool { return gone[id] })
	maps.DeleteFunc(d.dedupes, func(k dedupe, _ bool) bool { return gone[k.id] })
	maps.DeleteFunc(d.draws, func(c store.Counter, _ []draw) bool { return gone[c.Of] })
}
