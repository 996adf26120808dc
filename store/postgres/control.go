package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

const (
	isLastRow = `SELECT body = $3 FROM durable.journal WHERE execution = $1 AND seq = $2`
	setStatus = `
		UPDATE durable.execution SET status = $2, due = $3, owner = NULL, epoch = $4, changed = $5, ended = $6, waits = $7,
			queue = coalesce($8, queue), error_code = $9, error = $10, blocked = $11
		WHERE id = $1`
)

func (t *tx) control(ctx context.Context, c *store.Control) (store.Verdict, error) {
	x := t.heads[c.ID]
	if x == nil {
		return store.Verdict{Code: store.NotFound}, nil
	}
	if len(c.Row) > 0 {
		landed := false
		if _, err := t.one(ctx, isLastRow, []any{[16]byte(c.ID), x.length, c.Row}, &landed); err != nil {
			return store.Verdict{}, err
		}
		if landed {
			return store.Verdict{Code: store.Landed}, nil
		}
	}
	switch {
	case !slices.Contains(c.From, x.status):
		return store.Verdict{Code: store.Ended, Status: x.status}, nil
	case c.Owner != uuid.Nil && x.owner != c.Owner:
		return store.Verdict{Code: store.Superseded}, nil
	}
	x.epoch++
	if len(c.Row) > 0 {
		t.append(c.ID, x, c.Row)
	}
	return store.Verdict{Code: store.Applied}, t.release(c.ID, x, &c.Release)
}

// release ends an ownership: the execution is parked or has ended.
func (t *tx) release(id store.ID, x *head, r *store.Release) error {
	if !store.Legal(x.status, r.Status) || r.Status == store.Running || !r.Status.Valid() {
		return fmt.Errorf("execution %s cannot go from %s to %q: %w", id, x.status, r.Status, store.ErrRefused)
	}
	if r.Status == store.Waiting && x.waits == 0 {
		return fmt.Errorf("execution %s would wait without an open wait: %w", id, store.ErrRefused)
	}
	var due, ended any
	var detail []byte
	var code, blocked string
	switch {
	case r.Status.Ended():
		t.shutAll(id, x)
		ended, code, detail = t.now, r.ErrorCode, r.Error
	case r.Status == store.Blocked:
		code, detail, blocked = r.ErrorCode, r.Error, r.Blocked
	case !r.Due.IsZero():
		due = stamp(r.Due)
	case r.Status != store.Waiting:
		due = t.now
	}
	t.letGo(id, x)
	x.status, x.owner = r.Status, uuid.Nil
	t.exec(setStatus, [16]byte(id), r.Status, due, x.epoch, t.now, ended, x.waits, textOrNull(r.Queue), code, detail, blocked)
	t.hints = true
	return nil
}
