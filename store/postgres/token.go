package postgres

import (
	"context"
	"time"

	"github.com/durable-go/durable/store"
)

const (
	readTokens = `SELECT coalesce(sum(amount), 0)::bigint FROM durable.token WHERE name = $1 AND until > $2`
	// The first moment by which so much has come free.
	tokenFree = `
		SELECT until FROM (SELECT until, sum(amount) OVER (ORDER BY until) AS freed FROM durable.token WHERE name = $1 AND until > $2) AS ahead
		WHERE freed >= $3 ORDER BY until LIMIT 1`
	dropTokens = `DELETE FROM durable.token WHERE name = $1 AND until <= $2`
	addToken   = `
		INSERT INTO durable.token AS k (name, until, amount) VALUES ($1, $2, $3)
		ON CONFLICT (name, until) DO UPDATE SET amount = k.amount + excluded.amount`
)

// tokenFits tells whether a token fits, and if not, when it would; zero if
// never. Its name is locked.
func (t *tx) tokenFits(ctx context.Context, h *store.Hold) (fits bool, at time.Time, err error) {
	b, err := t.book(ctx, h.Name)
	if err != nil || b.taken+h.Amount <= h.Limit {
		return err == nil, at, err
	}
	_, err = t.one(ctx, tokenFree, []any{h.Name, t.now, b.taken + h.Amount - h.Limit}, (*instant)(&at))
	return false, at, err
}

// takeToken takes a token that fits.
func (t *tx) takeToken(h *store.Hold) {
	t.books[h.Name].taken += h.Amount
	t.exec(dropTokens, h.Name, t.now)
	t.exec(addToken, h.Name, stamp(t.now.Add(h.Window)), h.Amount)
}
