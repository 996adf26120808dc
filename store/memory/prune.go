package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"

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
	wanted, gone := req.Wanted(), map[store.ID]bool{}
	for _, id := range d.ids {
		x := d.executions[id]
		if !slices.Contains(wanted, x.Status) || x.Ended.Add(req.Age).After(now) ||
			req.Workflow != "" && x.Workflow != req.Workflow || req.Version != nil && x.Version != *req.Version {
			continue
		}
		if res.Removed++; req.Count {
			continue
		}
		gone[id] = true
		if res.More = len(gone) == req.Size(); res.More {
			break
		}
	}
	if len(gone) > 0 {
		d.remove(gone)
		s.changed()
	}
	return res, nil
}

// remove forgets ended executions, which no queue, owner, wait or hold knows.
func (d *data) remove(gone map[store.ID]bool) {
	for id := range gone {
		if x := d.executions[id]; x.Key != "" {
			delete(d.keys, key{x.Workflow, x.Key})
		}
		delete(d.executions, id)
		delete(d.logs, id)
	}
	d.ids = slices.DeleteFunc(d.ids, func(id store.ID) bool { return gone[id] })
	maps.DeleteFunc(d.dedupes, func(k dedupe, _ bool) bool { return gone[k.id] })
	maps.DeleteFunc(d.blobs, func(b blob, _ []byte) bool { return gone[b.id] })
}
