package sqlite

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	if err := store.Check(writes); err != nil {
		return store.Result{}, s.explain("commit", err)
	}
	if err := fail.Err(fail.CommitBefore); err != nil {
		return store.Result{}, s.explain("commit", err)
	}
	verdicts := make([]store.Verdict, len(writes))
	now, err := s.update(ctx, "commit", func(t *tx) error {
		for i := range writes {
			if i > 0 {
				fail.Point(fail.CommitBetween)
			}
			v, err := t.apply(&writes[i])
			if err != nil {
				return fmt.Errorf("write %d: %w", i, err)
			}
			verdicts[i] = v
		}
		fail.Point(fail.CommitFlush)
		return nil
	})
	if err != nil {
		return store.Result{}, err
	}
	if err := fail.Err(fail.CommitAfter); err != nil {
		return store.Result{}, s.explain("commit", err)
	}
	return store.Result{Now: now, Verdicts: verdicts}, nil
}

func (t *tx) apply(w *store.Write) (store.Verdict, error) {
	switch {
	case w.Advance != nil:
		return t.advance(w.Advance)
	case w.Begin != nil:
		return t.begin(w.Begin)
	case w.Deliver != nil:
		return t.deliver(w.Deliver)
	default:
		return t.control(w.Control)
	}
}

// alive tells whether an incarnation's lease has not run out.
func (t *tx) alive(who store.Incarnation) (bool, error) {
	if who == uuid.Nil {
		return false, nil
	}
	if live, known := t.live[who]; known {
		return live, nil
	}
	live, err := t.one("SELECT 1 FROM lease WHERE who = ? AND expires > ?", func(row) {}, who, t.now)
	if err != nil {
		return false, err
	}
	if t.live == nil {
		t.live = map[store.Incarnation]bool{}
	}
	t.live[who] = live
	return live, nil
}
