package sqlite

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

func (t *tx) control(c *store.Control) (store.Verdict, error) {
	x, err := t.head(c.ID)
	if err != nil || x == nil {
		return store.Verdict{Code: store.NotFound}, err
	}
	if len(c.Row) > 0 {
		landed := false
		if _, err := t.one("SELECT body FROM journal WHERE execution = ? AND seq = ?",
			func(r row) { landed = bytes.Equal(r.bytes(0), c.Row) }, x.n, x.length); err != nil {
			return store.Verdict{}, err
		}
		if landed {
			return store.Verdict{Code: store.Landed}, nil
		}
	}
	switch {
	case !slices.Contains(c.From, x.status):
		return store.Verdict{Code: store.Ended, Status: x.status}, nil
	case c.Owner != uuid.Nil && x.owner != c.Owner || c.Before != 0 && x.epoch >= c.Before:
		return store.Verdict{Code: store.Superseded}, nil
	}
	x.epoch++
	if len(c.Row) > 0 {
		if err := t.append(x, c.Row); err != nil {
			return store.Verdict{}, err
		}
	}
	fail.Point(fail.Control)
	return store.Verdict{Code: store.Applied}, t.release(c.ID, x, &c.Release)
}

// release ends an ownership: the execution is parked or has ended.
func (t *tx) release(id store.ID, x *head, r *store.Release) error {
	if !store.Legal(x.status, r.Status) || r.Status == store.Running {
		return fmt.Errorf("execution %s cannot go from %s to %q: %w", id, x.status, r.Status, store.ErrRefused)
	}
	if r.Status == store.Waiting && x.waits == 0 {
		return fmt.Errorf("execution %s would wait without an open wait: %w", id, store.ErrRefused)
	}
	var due, ended, detail any
	var code string
	var blocked []string
	switch {
	case r.Status.Ended():
		if err := t.shutAll(x); err != nil {
			return err
		}
		ended, code, detail = t.now, r.ErrorCode, r.Error
	case r.Status == store.Blocked:
		code, detail, blocked = r.ErrorCode, r.Error, store.AddBlocked(x.blocked, r.Blocked)
	case !r.Due.IsZero():
		due = micros(r.Due)
	case r.Status != store.Waiting:
		due = t.now
	}
	if err := t.letGo(x); err != nil {
		return err
	}
	fail.Point(fail.Release)
	x.status, x.owner, x.blocked = r.Status, uuid.Nil, blocked
	_, err := t.exec(`
		UPDATE execution SET status = ?2, due = ?3, owner = NULL, epoch = ?4, changed = ?5, ended = ?6, waits = ?7,
			queue = ifnull(?8, queue), error_code = ?9, error = ?10, blocked = ?11
		WHERE n = ?1`,
		x.n, r.Status, due, x.epoch, t.now, ended, x.waits, textOrNull(r.Queue), code, detail, store.JoinBlocked(blocked))
	if err != nil || !r.Status.Ended() {
		return err
	}
	return t.tellFamily(id, x, r)
}
