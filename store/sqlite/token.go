package sqlite

import (
	"time"

	"github.com/durable-go/durable/store"
)

const (
	tokenSum = "SELECT ifnull(sum(amount), 0) FROM token WHERE name = ? AND until > ?"
	// The first moment by which so much has come free.
	tokenFree = `
		SELECT until FROM (SELECT until, sum(amount) OVER (ORDER BY until) AS freed FROM token WHERE name = ?1 AND until > ?2)
		WHERE freed >= ?3 ORDER BY until LIMIT 1`
	dropTokens = "DELETE FROM token WHERE name = ? AND until <= ?"
	addToken   = `
		INSERT INTO token (name, until, amount) VALUES (?, ?, ?)
		ON CONFLICT (name, until) DO UPDATE SET amount = amount + excluded.amount`
)

// tokens is what is taken of a name and still counts.
func (t *tx) tokens(name string) (sum int64, err error) {
	_, err = t.one(tokenSum, func(r row) { sum = r.int(0) }, name, t.now)
	return sum, err
}

// tokensFree is when so much of a name that is taken will have come free;
// zero if never.
func (t *tx) tokensFree(name string, amount int64) (at time.Time, err error) {
	_, err = t.one(tokenFree, func(r row) { at = r.time(0) }, name, t.now, amount)
	return at, err
}

// takeToken takes a token that fits.
func (t *tx) takeToken(h *store.Hold) error {
	if _, err := t.exec(dropTokens, h.Name, t.now); err != nil {
		return err
	}
	_, err := t.exec(addToken, h.Name, t.now+windowMicros(h.Window), h.Amount)
	return err
}

// windowMicros rounds up, so that no token is free before its time.
func windowMicros(d time.Duration) int64 { return int64((d-1)/time.Microsecond) + 1 }
