package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/durable-go/durable/store"
)

// Commit implements store.Store. Plain steps go in by one statement, and if the
// batch has nothing else it is one round trip. What that statement did not take, and
// every other write, is judged one by one.
func (s *Store) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	if err := check(writes); err != nil {
		return store.Result{}, explain("commit", err)
	}
	res := store.Result{Verdicts: make([]store.Verdict, len(writes))}
	fast := plain(writes)
	if len(fast) > 0 && len(fast) == len(writes) {
		now, err := s.commitPlain(ctx, writes, res.Verdicts)
		switch {
		case raced(err):
			clear(res.Verdicts)
		case err != nil:
			return store.Result{}, explain("commit", err)
		}
		if res.Now = now; !slices.ContainsFunc(res.Verdicts, unjudged) {
			return res, nil
		}
		// Nothing of the others is written; each is its own precondition. By a
		// write that was refused, no caller can tell one transaction from two.
		fast = nil
	}
	judged := slices.Clone(res.Verdicts)
	err := s.update(ctx, "commit", func(ctx context.Context, t *tx) error {
		copy(res.Verdicts, judged)
		if err := t.commit(ctx, writes, fast, res.Verdicts); err != nil {
			return err
		}
		res.Now = t.now
		return nil
	})
	if err != nil {
		return store.Result{}, err
	}
	return res, nil
}

func unjudged(v store.Verdict) bool { return v.Code == 0 }

// commit judges and applies the writes that have no verdict yet.
func (t *tx) commit(ctx context.Context, writes []store.Write, fast []int, verdicts []store.Verdict) error {
	var rest []store.Write
	for i, w := range writes {
		if unjudged(verdicts[i]) {
			rest = append(rest, w)
		}
	}
	if err := t.lock(ctx, locksOf(rest, fast)); err != nil {
		return err
	}
	if len(fast) > 0 {
		if err := t.plain(ctx, writes, fast, verdicts); err != nil {
			return err
		}
		for _, i := range fast {
			if unjudged(verdicts[i]) {
				if err := t.fetch(ctx, writes[i].Advance.ID); err != nil {
					return err
				}
			}
		}
	}
	for i := range writes {
		if !unjudged(verdicts[i]) {
			continue
		}
		v, err := t.apply(ctx, &writes[i])
		if err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		verdicts[i] = v
	}
	return nil
}

func (t *tx) apply(ctx context.Context, w *store.Write) (store.Verdict, error) {
	switch {
	case w.Advance != nil:
		return t.advance(ctx, w.Advance)
	case w.Begin != nil:
		return t.begin(ctx, w.Begin)
	case w.Deliver != nil:
		return t.deliver(ctx, w.Deliver)
	default:
		return t.control(ctx, w.Control)
	}
}

// check refuses what the server would refuse less clearly.
func check(writes []store.Write) error {
	if err := store.Check(writes); err != nil {
		return err
	}
	size := 0
	for _, w := range writes {
		switch {
		case w.Advance != nil:
			size += len(w.Advance.Row) + len(w.Advance.Snapshot)
			for _, b := range w.Advance.Blobs {
				size += len(b)
			}
		case w.Begin != nil:
			size += len(w.Begin.Row)
		case w.Deliver != nil:
			size += len(w.Deliver.Payload)
		}
	}
	if size > batchBytes {
		return fmt.Errorf("a batch of %d bytes, more than %d: %w", size, batchBytes, store.ErrRefused)
	}
	return nil
}
