package sqlite

import "github.com/durable-go/durable/store"

// hold sets all holds or none. An execution's own earlier amount makes room for
// its new one.
func (t *tx) hold(x *head, holds []store.Hold) (fits bool, err error) {
	for _, h := range holds {
		if h.Amount <= 0 {
			continue
		}
		var others int64
		if _, err := t.one("SELECT ifnull(sum(amount), 0) FROM hold WHERE name = ? AND execution <> ? AND until > ?",
			func(r row) { others = r.int(0) }, h.Name, x.n, t.now); err != nil {
			return false, err
		}
		if others+h.Amount > h.Limit {
			return false, nil
		}
	}
	for _, h := range holds {
		if h.Amount <= 0 {
			_, err = t.exec("DELETE FROM hold WHERE name = ? AND execution = ?", h.Name, x.n)
		} else {
			x.held = true
			_, err = t.exec(`INSERT INTO hold (name, execution, amount, until) VALUES (?, ?, ?, ?)
				ON CONFLICT (name, execution) DO UPDATE SET amount = excluded.amount, until = excluded.until`, h.Name, x.n, h.Amount, micros(h.Until))
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
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
