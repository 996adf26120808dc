package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// advance is for writes that carry more than quick statements take, and for
// judging those that did not go in.
func (t *tx) advance(ctx context.Context, a *store.Advance) (store.Verdict, error) {
	x := t.heads[a.ID]
	switch {
	case x == nil:
		return store.Verdict{Code: store.Superseded}, nil
	case a.Owner == uuid.Nil || x.owner != a.Owner || x.epoch != a.Epoch || x.length != a.Base:
		return x.late(a), nil
	case a.Seen >= 0 && x.inbox > a.Seen:
		return store.Verdict{Code: store.Unseen, Inbox: x.inbox}, nil
	case !a.NotBefore.IsZero() && t.now.Before(stamp(a.NotBefore)):
		return store.Verdict{Code: store.Early}, nil
	case len(a.Recall) > 0 && x.status != store.Compensating:
		return store.Verdict{}, fmt.Errorf("execution %s is %s and recalls children: %w", a.ID, x.status, store.ErrRefused)
	}
	if len(a.Holds) > 0 {
		if fits, at, err := t.hold(ctx, a.ID, x, a.Holds); err != nil || !fits {
			return store.Verdict{Code: store.Full, At: at}, err
		}
	}
	if len(a.Row) > 0 {
		t.append(a.ID, x, a.Row)
	}
	took, err := t.carry(ctx, x, a)
	if err != nil {
		return store.Verdict{}, err
	}
	t.bear(a.Children)
	t.tellAll(a.ID, a.Tell)
	if r := a.Parting(took); r != nil {
		if err := t.release(a.ID, x, r); err != nil {
			return store.Verdict{}, err
		}
	}
	if err := t.recallAll(a.ID, a.Recall); err != nil {
		return store.Verdict{}, err
	}
	return store.Verdict{Code: store.Applied, Inbox: x.inbox}, nil
}

// late tells a write that had landed before from one that is out of date.
func (x *head) late(a *store.Advance) store.Verdict {
	if len(a.Row) == 0 || a.Base < 0 || a.Base >= x.length {
		return store.Verdict{Code: store.Superseded}
	}
	if epoch, there := x.rowAt[a.Base+1]; !there || epoch != a.Epoch {
		return store.Verdict{Code: store.Superseded}
	}
	return store.Verdict{Code: store.Landed, Inbox: x.inbox}
}

// append adds a journal row under the execution's present epoch. If a plain
// step of the same owner takes its place, the transaction fails and is done again.
func (t *tx) append(id store.ID, x *head, body []byte) {
	x.length++
	t.draft.rows = append(t.draft.rows, rowDraft{id, x.length, x.epoch, body})
}

// carry writes what comes with a row. It reports whether something that was published is
// there for a wait that it was to open.
func (t *tx) carry(ctx context.Context, x *head, a *store.Advance) (took bool, err error) {
	d := &t.draft
	if a.Snapshot != nil {
		d.snapshots = append(d.snapshots, rowDraft{id: a.ID, seq: x.length, body: a.Snapshot})
	}
	if err := t.take(ctx, x, a); err != nil {
		return false, err
	}
	t.shut(a.ID, x, a.Shut)
	took = t.open(a.ID, x, a)
	t.alter(a.ID, a.Alter)
	for i := range a.Logs {
		d.logs = append(d.logs, logDraft{a.ID, &a.Logs[i]})
	}
	for i := range a.Chunks {
		d.chunks = append(d.chunks, chunkDraft{a.ID, &a.Chunks[i]})
	}
	for _, body := range a.Blobs {
		d.blobs = append(d.blobs, newBlobDraft(a.ID, body))
	}
	return took, nil
}

const takeNow = `
	WITH gone AS (DELETE FROM durable.message WHERE execution = $1 AND seq = ANY($2) RETURNING kin)
	SELECT count(*) FROM gone WHERE NOT kin`

// take removes messages. Who counts what is left, for a delivery that follows
// in the batch, needs to know at once how many there were.
func (t *tx) take(ctx context.Context, x *head, a *store.Advance) error {
	if x.untaken == 0 || len(a.Took) == 0 {
		for _, seq := range a.Took {
			t.draft.took = append(t.draft.took, messageRef{a.ID, seq})
		}
		return nil
	}
	t.draft.queue(t) // a message of this very batch may be among them
	var n int64
	_, err := t.one(ctx, takeNow, []any{[16]byte(a.ID), a.Took}, &n)
	x.untaken -= n
	return err
}
