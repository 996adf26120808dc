package postgres

import (
	"context"
	"time"

	"github.com/durable-go/durable/store"
)

const (
	tokenSum = `SELECT coalesce(sum(amount), 0)::bigint FROM durable.token WHERE name = $1 AND until > $2`
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
	var taken int64
	if _, err := t.one(ctx, tokenSum, []any{h.Name, t.now}, &taken); err != nil || taken+h.Amount <= h.Limit {
		return err == nil, at, err
	}
	at, err = t.tokensFree(ctx, h.Name, taken+h.Amount-h.Limit)
	return false, at, err
}

// tokensFree is when so much of a name that is taken will have come free; zero
// if never.
func (t *tx) tokensFree(ctx context.Context, name string, amount int64) (at time.Time, err error) {
	_, err = t.one(ctx, tokenFree, []any{name, t.now, amount}, (*instant)(&at))
	return at, err
}

// takeToken takes a token that fits.
func (t *tx) takeToken(h *store.Hold) {
	t.exec(dropTokens, h.Name, t.now)
	t.exec(addToken, h.Name, stamp(t.now.Add(h.Window)), h.Amount)
}
