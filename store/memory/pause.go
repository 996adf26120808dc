package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/durable-go/durable/store"
)

// SetPaused implements store.Store.
func (s *Store) SetPaused(ctx context.Context, queue, by string, paused bool) error {
	now, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	d := s.data
	switch {
	case d.isPaused(queue) == paused:
		return nil
	case paused:
		d.pauses[queue] = store.Pause{Queue: queue, Since: now, By: by}
	default:
		delete(d.pauses, queue)
	}
	s.changed()
	return nil
}

func (d *data) isPaused(queue string) bool {
	_, is := d.pauses[queue]
	return is
}

// paused lists what is paused.
func (d *data) paused() []store.Pause {
	return slices.SortedFunc(maps.Values(d.pauses), func(a, b store.Pause) int { return cmp.Compare(a.Queue, b.Queue) })
}

// Survey implements store.Store.
func (s *Store) Survey(ctx context.Context) (store.Survey, error) {
	now, err := s.enter(ctx)
	if err != nil {
		return store.Survey{}, err
	}
	defer s.leave()
	seen := store.Survey{Now: now, Paused: s.data.paused()}
	for _, l := range s.data.leases {
		l.Report = bytes.Clone(l.Report)
		seen.Leases = append(seen.Leases, l)
	}
	slices.SortFunc(seen.Leases, func(a, b store.Living) int { return cmp.Or(cmp.Compare(a.Name, b.Name), compareIDs(a.Who, b.Who)) })
	return seen, nil
}
