package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/durable-go/durable/store"
)

// logKey is what a log entry is known by within its execution.
type logKey struct {
	path    string
	attempt int
	n       int
}

type loggedBy struct {
	id    store.ID
	entry store.Log
}

// log remembers entries for install.
func (t *tx) log(id store.ID, entries []store.Log) {
	for _, l := range entries {
		l.At, l.Attrs = l.At.Round(0), bytes.Clone(l.Attrs)
		t.logs = append(t.logs, loggedBy{id, l})
	}
}

// keepLog appends an entry unless it is there already.
func (d *data) keepLog(l loggedBy) {
	if d.logs[l.id] == nil {
		d.logs[l.id] = map[logKey]store.Log{}
	}
	k := logKey{l.entry.Path, l.entry.Attempt, l.entry.N}
	if _, there := d.logs[l.id][k]; !there {
		d.logs[l.id][k] = l.entry
	}
}

// Logs implements store.Store.
func (s *Store) Logs(ctx context.Context, id store.ID, since time.Time) ([]store.Log, error) {
	if _, err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var found []store.Log
	for _, l := range s.data.logs[id] {
		if !l.At.Before(since) {
			l.Attrs = bytes.Clone(l.Attrs)
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b store.Log) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.N, b.N))
	})
	return found, nil
}
