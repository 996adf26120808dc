package postgres

import (
	"context"
	"time"

	"github.com/durable-go/durable/store"
)

const (
	readLoans = `SELECT execution, amount FROM durable.hold WHERE name = $1 AND until > $2`
	setHold   = `
		INSERT INTO durable.hold (name, execution, amount, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name, execution) DO UPDATE SET amount = excluded.amount, until = excluded.until`
	dropHold  = `DELETE FROM durable.hold WHERE name = $1 AND execution = $2`
	dropHolds = `DELETE FROM durable.hold WHERE execution = $1`
)

// hold sets all holds or none. An execution's own earlier amount makes room for
// its new one. The names are locked, so nobody else adds to a sum meanwhile. at
// is when a token that does not fit would.
func (t *tx) hold(ctx context.Context, id store.ID, x *head, holds []store.Hold) (fits bool, at time.Time, err error) {
	for _, h := range holds {
		if h.Amount <= 0 {
			continue
		}
		if h.Window > 0 {
			if fits, at, err := t.tokenFits(ctx, &h); err != nil || !fits {
				return false, at, err
			}
			continue
		}
		b, err := t.book(ctx, h.Name)
		if err != nil {
			return false, at, err
		}
		if b.lent-b.loans[id]+h.Amount > h.Limit {
			return false, at, nil
		}
	}
	for _, h := range holds {
		if h.Window > 0 {
			t.takeToken(&h)
			continue
		}
		t.lend(id, &h)
		if h.Amount <= 0 {
			t.exec(dropHold, h.Name, [16]byte(id))
			t.hints = true // somebody may have waited for it
			continue
		}
		x.held = true
		t.exec(setHold, h.Name, [16]byte(id), h.Amount, stamp(h.Until))
	}
	return true, at, nil
}

// letGo ends all holds of an execution.
func (t *tx) letGo(id store.ID, x *head) {
	if x.held {
		x.held = false
		t.hints = true // somebody may have waited for it
		t.exec(dropHolds, [16]byte(id))
		for _, b := range t.books {
			b.lent -= b.loans[id]
			delete(b.loans, id)
		}
	}
}
