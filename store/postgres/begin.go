package postgres

import (
	"bytes"
	"context"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

const (
	addExecution = `
		INSERT INTO durable.execution (id, workflow, version, queue, key, priority, tags, status, due, owner, epoch, created, changed, input_hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13)
		ON CONFLICT DO NOTHING`
	byKey = `SELECT id, input_hash FROM durable.execution WHERE workflow = $1 AND key = $2`
)

func (t *tx) begin(ctx context.Context, b *store.Begin) (store.Verdict, error) {
	owned := b.Owner != uuid.Nil
	if owned && !t.alive[b.Owner] {
		v, err := t.begun(ctx, b)
		if v.Code == 0 {
			v.Code = store.Superseded
		}
		return v, err
	}
	x := &head{status: store.Pending}
	var due any = t.now
	switch {
	case owned:
		x.status, x.owner, x.epoch, due = store.Running, b.Owner, 1, nil
	case !b.Due.IsZero():
		due = stamp(b.Due)
	}
	tags := b.Tags
	if tags == nil {
		tags = []string{}
	}
	made, err := t.changes(ctx, addExecution,
		[16]byte(b.ID), b.Workflow, b.Version, b.Queue, textOrNull(b.Key), b.Priority, tags, x.status, due, idOrNull(x.owner), x.epoch, t.now, b.InputHash)
	switch {
	case err != nil:
		return store.Verdict{}, err
	case made == 0:
		// What was in the way has been committed by now, so it is seen.
		return t.begun(ctx, b)
	}
	t.heads[b.ID] = x
	t.append(b.ID, x, b.Row)
	t.hints = t.hints || !owned
	return store.Verdict{Code: store.Applied}, nil
}

// begun judges a Begin whose ID or key is there; the zero verdict if neither is.
func (t *tx) begun(ctx context.Context, b *store.Begin) (v store.Verdict, err error) {
	if t.heads[b.ID] == nil {
		if err := t.fetch(ctx, b.ID); err != nil {
			return v, err
		}
	}
	if t.heads[b.ID] != nil {
		return store.Verdict{Code: store.Landed}, nil
	}
	var id uuid.UUID
	var hash []byte
	found, err := t.one(ctx, byKey, []any{b.Workflow, textOrNull(b.Key)}, (*nullable)(&id), &hash)
	if found {
		v = store.Verdict{Code: store.Exists, ID: id, Same: bytes.Equal(hash, b.InputHash)}
	}
	return v, err
}
