package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// Commit implements store.Store. A batch that quick statements can take whole is
// one round trip. What they did not take, and every other write, is judged here
// by what is read under locks in one round trip, and written in another.
func (s *Store) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	err := check(writes)
	if err == nil {
		err = fail.Err(fail.CommitBefore)
	}
	if err != nil {
		return store.Result{}, explain("commit", err)
	}
	res, err := s.commit(ctx, writes)
	if err == nil {
		err = fail.Err(fail.CommitAfter)
	}
	return res, err
}

func (s *Store) commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	res := store.Result{Verdicts: make([]store.Verdict, len(writes))}
	if q := quickOf(writes); len(writes) > 0 && q.count() == len(writes) {
		now, err := s.commitQuick(ctx, writes, q, res.Verdicts)
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
	}
	judged := slices.Clone(res.Verdicts)
	tries, patience := 0, hopeful
	err := s.update(ctx, "commit", func(ctx context.Context, t *tx) error {
		copy(res.Verdicts, judged)
		if tries++; tries > 1 {
			t.clear(unjudgedBegins(writes, res.Verdicts))
		}
		t.patience = patience
		err := t.commit(ctx, writes, res.Verdicts)
		switch {
		case errors.Is(err, errKin):
			patience = waits
			judged = slices.Clone(res.Verdicts) // what is Busy stays so
			return errRaced
		case patience == waits && timedOut(err):
			patience = resigned
			return errRaced
		}
		res.Now = t.now
		return err
	})
	if err != nil {
		return store.Result{}, err
	}
	return res, nil
}

func unjudged(v store.Verdict) bool { return v.Code == 0 }

// unjudgedBegins are the executions that are yet to begin. If one has the id of one that
// was pruned, what that left behind is in its way.
func unjudgedBegins(writes []store.Write, verdicts []store.Verdict) (list ids) {
	for i, w := range writes {
		switch {
		case !unjudged(verdicts[i]):
		case w.Begin != nil:
			list = append(list, w.Begin.ID)
		case w.Advance != nil:
			for c := range w.Advance.Children {
				list = append(list, w.Advance.Children[c].ID)
			}
		}
	}
	return list
}

// commit judges the writes that have no verdict yet, in their order. What they
// change is written when the transaction ends.
func (t *tx) commit(ctx context.Context, writes []store.Write, verdicts []store.Verdict) error {
	var rest []int
	for i := range writes {
		if unjudged(verdicts[i]) {
			rest = append(rest, i)
		}
	}
	l := locksOf(writes, rest)
	t.kin = kinOf(writes, rest)
	if err := t.meet(ctx, &l); err != nil {
		return err
	}
	expires, err := t.seize(ctx, &l)
	if err != nil {
		return err
	}
	t.begun = map[store.ID]bool{}
	if begins := beginnings(writes, rest); len(begins) > 0 {
		t.s.schema.queueBegins(&t.later, writes, begins, func(_ time.Time, made ids) {
			for _, id := range made {
				t.begun[id] = false
			}
		})
	}
	t.readClock()
	t.readHeads(l.executions)
	t.evidence(writes, rest)
	t.kinEvidence()
	t.readKept(l.topics)
	if err := t.flush(ctx); err != nil {
		return err
	}
	if err := t.locked(&l, expires); err != nil {
		return err
	}
	if err := t.lackKin(writes, rest, verdicts); err != nil {
		return err
	}
	for n, i := range rest {
		if n > 0 {
			fail.Point(fail.CommitBetween)
		}
		if verdicts[i], err = t.apply(ctx, &writes[i]); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
	}
	return nil
}

func (t *tx) apply(ctx context.Context, w *store.Write) (store.Verdict, error) {
	if w.Begin == nil && (t.taken(idOf(w)) || t.kinTaken(w)) {
		return store.Verdict{Code: store.Busy}, nil
	}
	switch {
	case w.Advance != nil:
		return t.advance(ctx, w.Advance)
	case w.Begin != nil:
		return t.begin(ctx, w.Begin)
	case w.Deliver != nil:
		return t.deliver(w.Deliver), nil
	default:
		return t.control(w.Control)
	}
}

// taken tells whether an execution is there, but locked by somebody else.
func (t *tx) taken(id store.ID) bool {
	_, ours := t.begun[id]
	return t.heads[id] != nil && !t.have[id] && !ours
}

func idOf(w *store.Write) store.ID {
	switch {
	case w.Advance != nil:
		return w.Advance.ID
	case w.Control != nil:
		return w.Control.ID
	}
	return w.Deliver.ID
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
			for i := range w.Advance.Chunks {
				size += len(w.Advance.Chunks[i].Text)
			}
			for i := range w.Advance.Children {
				size += len(w.Advance.Children[i].Row)
			}
			for i := range w.Advance.Tell {
				size += len(w.Advance.Tell[i].Payload)
			}
			for i := range w.Advance.Recall {
				size += len(w.Advance.Recall[i].Payload)
			}
			size += told(w.Advance.Release)
		case w.Begin != nil:
			size += len(w.Begin.Row) + len(w.Begin.Snapshot)
			for _, b := range w.Begin.Blobs {
				size += len(b)
			}
		case w.Deliver != nil:
			size += len(w.Deliver.Payload)
		case w.Control != nil:
			size += len(w.Control.Row) + told(&w.Control.Release)
		}
	}
	if size > batchBytes {
		return fmt.Errorf("a batch of %d bytes, more than %d: %w", size, batchBytes, store.ErrRefused)
	}
	return nil
}

// told is how many bytes an end tells a family, once.
func told(r *store.Release) (size int) {
	if r == nil {
		return 0
	}
	if r.Family != nil {
		size = len(r.Family.Payload)
	}
	return size + len(r.Report)
}

// CommitsAtOnce implements store.Wide: while the server flushes one batch, it can
// judge another.
func (s *Store) CommitsAtOnce() int { return 2 }
