package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	if err := store.Check(writes); err != nil {
		return store.Result{}, fmt.Errorf("memory: %w", err)
	}
	now, err := s.enter(ctx)
	if err != nil {
		return store.Result{}, err
	}
	defer s.leave()
	t := s.data.begin(now)
	res := store.Result{Now: now, Verdicts: make([]store.Verdict, 0, len(writes))}
	for _, w := range writes {
		v, err := t.apply(w)
		if err != nil {
			return store.Result{}, err
		}
		res.Verdicts = append(res.Verdicts, v)
	}
	if len(t.edits) > 0 {
		s.changed()
	}
	t.install()
	return res, nil
}

func (t *tx) apply(w store.Write) (store.Verdict, error) {
	switch {
	case w.Begin != nil:
		return t.applyBegin(w.Begin), nil
	case w.Advance != nil:
		return t.applyAdvance(w.Advance)
	case w.Deliver != nil:
		return t.applyDeliver(w.Deliver), nil
	default:
		return t.applyControl(w.Control)
	}
}

func (t *tx) applyBegin(b *store.Begin) store.Verdict {
	if t.look(b.ID) != nil {
		return store.Verdict{Code: store.Landed}
	}
	k := key{b.Workflow, b.Key}
	if id, taken := t.keys.get(k); taken && b.Key != "" {
		return store.Verdict{Code: store.Exists, ID: id, Same: bytes.Equal(t.look(id).inputHash, b.InputHash)}
	}
	if b.Owner != uuid.Nil && !t.alive(b.Owner, t.now) {
		return store.Verdict{Code: store.Superseded}
	}
	x := t.create(b)
	if b.Owner != uuid.Nil {
		x.Status, x.Owner, x.Epoch = store.Running, b.Owner, 1
	}
	x.append(t.now, b.Row)
	if b.Snapshot != nil {
		x.snapshot, x.snapshotSeq = bytes.Clone(b.Snapshot), 1
	}
	t.keepBlobs(b.ID, b.Blobs)
	if b.Key != "" {
		t.keys.over[k] = b.ID
	}
	return store.Verdict{Code: store.Applied}
}

// create makes an execution that is pending and has no row yet.
func (t *tx) create(b *store.Begin) *execution {
	x := &execution{inputHash: bytes.Clone(b.InputHash), Execution: store.Execution{
		ID: b.ID, Workflow: b.Workflow, Version: b.Version, Queue: b.Queue, Key: b.Key, Priority: b.Priority,
		Tags: slices.Clone(b.Tags), Created: t.now, Parent: b.Parent, Detached: b.Detached, Depth: b.Depth,
	}}
	x.park(t.now, store.Pending, b.Due)
	t.add(x)
	return x
}

func (t *tx) applyAdvance(a *store.Advance) (store.Verdict, error) {
	x := t.look(a.ID)
	switch {
	case x == nil:
		return store.Verdict{Code: store.Superseded}, nil
	case len(a.Row) > 0 && a.Base >= 0 && a.Base < x.Length && x.rows[a.Base].Epoch == a.Epoch && bytes.Equal(x.rows[a.Base].Body, a.Row):
		return store.Verdict{Code: store.Landed, Inbox: x.Inbox}, nil
	case a.Owner == uuid.Nil || x.Owner != a.Owner || x.Epoch != a.Epoch || x.Length != a.Base:
		return store.Verdict{Code: store.Superseded}, nil
	case a.Seen >= 0 && x.Inbox > a.Seen:
		return store.Verdict{Code: store.Unseen, Inbox: x.Inbox}, nil
	case !a.NotBefore.IsZero() && t.now.Before(a.NotBefore):
		return store.Verdict{Code: store.Early}, nil
	case len(a.Recall) > 0 && x.Status != store.Compensating:
		return store.Verdict{}, fmt.Errorf("memory: execution %s is %s and recalls children: %w", x.ID, x.Status, store.ErrRefused)
	}
	x = t.edit(a.ID)
	was := *x
	if fits, at := t.hold(x, a.Holds); !fits {
		t.undo(was)
		return store.Verdict{Code: store.Full, At: at}, nil
	}
	if len(a.Row) > 0 {
		x.append(t.now, a.Row)
	}
	if a.Snapshot != nil {
		x.snapshot, x.snapshotSeq = bytes.Clone(a.Snapshot), x.Length
	}
	x.take(a.Took)
	x.shut(a.Shut...)
	took, err := t.open(x, a)
	if err != nil {
		return store.Verdict{}, err
	}
	x.alter(a.Alter)
	t.log(a.ID, a.Logs)
	t.stream(a.ID, a.Chunks)
	t.keepBlobs(a.ID, a.Blobs)
	t.bear(a.Children)
	t.tellAll(a.ID, a.Tell)
	if r := a.Parting(took); r != nil {
		if err := t.release(x, r); err != nil {
			return store.Verdict{}, err
		}
	}
	if err := t.recallAll(x, a.Recall); err != nil {
		return store.Verdict{}, err
	}
	return store.Verdict{Code: store.Applied, Inbox: x.Inbox}, nil
}

func (t *tx) applyControl(c *store.Control) (store.Verdict, error) {
	x := t.look(c.ID)
	switch {
	case x == nil:
		return store.Verdict{Code: store.NotFound}, nil
	case len(c.Row) > 0 && bytes.Equal(x.rows[x.Length-1].Body, c.Row):
		return store.Verdict{Code: store.Landed}, nil
	case !slices.Contains(c.From, x.Status):
		return store.Verdict{Code: store.Ended, Status: x.Status}, nil
	case c.Owner != uuid.Nil && x.Owner != c.Owner || c.Before != 0 && x.Epoch >= c.Before:
		return store.Verdict{Code: store.Superseded}, nil
	}
	x = t.edit(c.ID)
	x.Epoch++
	if len(c.Row) > 0 {
		x.append(t.now, c.Row)
	}
	if err := t.release(x, &c.Release); err != nil {
		return store.Verdict{}, err
	}
	return store.Verdict{Code: store.Applied}, nil
}
