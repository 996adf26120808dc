package sqlite

import (
	"time"

	"github.com/durable-go/durable/store"
)

// hold sets all holds or none. An execution's own earlier amount makes room for
// its new one. at is when a token that does not fit would.
func (t *tx) hold(x *head, holds []store.Hold) (fits bool, at time.Time, err error) {
	for _, h := range holds {
		if h.Amount <= 0 {
			continue
		}
		if h.Window > 0 {
			taken, err := t.tokens(h.Name)
			if err == nil && taken+h.Amount > h.Limit {
				at, err = t.tokensFree(h.Name, taken+h.Amount-h.Limit)
				return false, at, err
			} else if err != nil {
				return false, at, err
			}
			continue
		}
		others, err := t.lent(h.Name, x.n)
		if err != nil {
			return false, at, err
		}
		if others+h.Amount > h.Limit {
			return false, at, nil
		}
	}
	for _, h := range holds {
		if h.Window > 0 {
			err = t.takeToken(&h)
		} else if h.Amount <= 0 {
			_, err = t.exec("DELETE FROM hold WHERE name = ? AND execution = ?", h.Name, x.n)
		} else {
			x.held = true
			_, err = t.exec(`INSERT INTO hold (name, execution, amount, until) VALUES (?, ?, ?, ?)
				ON CONFLICT (name, execution) DO UPDATE SET amount = excluded.amount, until = excluded.until`, h.Name, x.n, h.Amount, micros(h.Until))
		}
		if err != nil {
			return false, at, err
		}
	}
	return true, at, nil
}

// lent is what all executions but one have of a name; but is 0 if none.
func (t *tx) lent(name string, but int64) (sum int64, err error) {
	_, err = t.one("SELECT ifnull(sum(amount), 0) FROM hold WHERE name = ? AND execution <> ? AND until > ?",
		func(r row) { sum = r.int(0) }, name, but, t.now)
	return sum, err
}

// letGo ends all holds of an execution.
func (t *tx) letGo(x *head) error {
	if !x.held {
		return nil
	}
	x.held = false
	_, err := t.exec("DELETE FROM hold WHERE execution = ?", x.n)
	return err
}
