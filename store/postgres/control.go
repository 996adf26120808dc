package postgres

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func (t *tx) control(c *store.Control) (store.Verdict, error) {
	x := t.heads[c.ID]
	switch {
	case x == nil:
		return store.Verdict{Code: store.NotFound}, nil
	case x.isLast:
		return store.Verdict{Code: store.Landed}, nil
	case !slices.Contains(c.From, x.status):
		return store.Verdict{Code: store.Ended, Status: x.status}, nil
	case c.Owner != uuid.Nil && x.owner != c.Owner || c.Before != 0 && x.epoch >= c.Before:
		return store.Verdict{Code: store.Superseded}, nil
	}
	x.epoch++
	t.controlled = true
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
	p := &parking{status: r.Status, queue: r.Queue}
	switch {
	case r.Status.Ended():
		t.shutAll(id, x)
		p.ended, p.code, p.detail = t.now, r.ErrorCode, r.Error
	case r.Status == store.Blocked:
		p.code, p.detail, p.blocked = r.ErrorCode, r.Error, store.JoinBlocked(store.AddBlocked(x.blocked, r.Blocked))
	case !r.Due.IsZero():
		p.due = stamp(r.Due)
	case r.Status != store.Waiting:
		p.due = t.now
	}
	t.letGo(id, x)
	p.waits, p.inbox = x.waits, x.inbox
	x.status, x.owner, x.parked, x.counts, x.woken, x.first = r.Status, uuid.Nil, p, false, false, false
	t.hints = t.hints || !r.Status.Ended()
	if r.Status.Ended() {
		t.tellFamily(id, r)
	}
	return nil
}
