package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

const (
	addRow = `INSERT INTO durable.journal (execution, seq, epoch, at, body) VALUES ($1, $2, $3, $4, $5)`
	rowOf  = `SELECT FROM durable.journal WHERE execution = $1 AND seq = $2 AND epoch = $3`

	setSnapshot = `
		INSERT INTO durable.snapshot (execution, seq, body) VALUES ($1, $2, $3)
		ON CONFLICT (execution) DO UPDATE SET seq = excluded.seq, body = excluded.body`
	takeMessages = `DELETE FROM durable.message WHERE execution = $1 AND seq = ANY($2)`
	addBlob      = `INSERT INTO durable.blob (execution, hash, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
)

// advance is for writes that carry more than a row, and for judging those that did not go in.
func (t *tx) advance(ctx context.Context, a *store.Advance) (store.Verdict, error) {
	x := t.heads[a.ID]
	switch {
	case x == nil:
		return store.Verdict{Code: store.Superseded}, nil
	case a.Owner == uuid.Nil || x.owner != a.Owner || x.epoch != a.Epoch || x.length != a.Base:
		return t.late(ctx, x, a)
	case a.Seen >= 0 && x.inbox > a.Seen:
		return store.Verdict{Code: store.Unseen, Inbox: x.inbox}, nil
	case !a.NotBefore.IsZero() && t.now.Before(stamp(a.NotBefore)):
		return store.Verdict{Code: store.Early}, nil
	}
	if len(a.Holds) > 0 {
		if fits, err := t.hold(ctx, a.ID, x, a.Holds); err != nil || !fits {
			return store.Verdict{Code: store.Full}, err
		}
	}
	if len(a.Row) > 0 {
		t.append(a.ID, x, a.Row)
	}
	if err := t.carry(ctx, x, a); err != nil {
		return store.Verdict{}, err
	}
	if a.Release != nil {
		if err := t.release(a.ID, x, a.Release); err != nil {
			return store.Verdict{}, err
		}
	}
	return store.Verdict{Code: store.Applied, Inbox: x.inbox}, nil
}

// late tells a write that had landed before from one that is out of date.
func (t *tx) late(ctx context.Context, x *head, a *store.Advance) (store.Verdict, error) {
	if len(a.Row) == 0 || a.Base < 0 || a.Base >= x.length {
		return store.Verdict{Code: store.Superseded}, nil
	}
	landed, err := t.one(ctx, rowOf, []any{[16]byte(a.ID), a.Base + 1, a.Epoch})
	if err != nil || !landed {
		return store.Verdict{Code: store.Superseded}, err
	}
	return store.Verdict{Code: store.Landed, Inbox: x.inbox}, nil
}

// append adds a journal row under the execution's present epoch. If a plain
// step of the same owner takes its place, the transaction fails and is done again.
func (t *tx) append(id store.ID, x *head, body []byte) {
	x.length++
	t.exec(addRow, [16]byte(id), x.length, x.epoch, t.now, body)
}

// carry writes what comes with a row.
func (t *tx) carry(ctx context.Context, x *head, a *store.Advance) error {
	id := [16]byte(a.ID)
	if a.Snapshot != nil {
		t.exec(setSnapshot, id, x.length, a.Snapshot)
	}
	if len(a.Took) > 0 {
		t.exec(takeMessages, id, a.Took)
	}
	if err := t.shut(ctx, a.ID, x, a.Shut); err != nil {
		return err
	}
	t.open(a.ID, x, a.Open)
	for i := range a.Logs {
		t.log(a.ID, &a.Logs[i])
	}
	for _, body := range a.Blobs {
		hash := sha256.Sum256(body)
		if body == nil {
			body = []byte{}
		}
		t.exec(addBlob, id, hex.EncodeToString(hash[:]), body)
	}
	return nil
}
