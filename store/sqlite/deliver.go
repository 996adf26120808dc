package sqlite

import (
	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

func (t *tx) deliver(d *store.Deliver) (store.Verdict, error) {
	x, err := t.head(d.ID)
	if err != nil || x == nil {
		return store.Verdict{Code: store.NotFound}, err
	}
	if code, err := t.acceptable(x, d); err != nil || code != store.Applied {
		v := store.Verdict{Code: code}
		if code == store.Ended {
			v.Status = x.status
		}
		return v, err
	}
	if err := t.put(x, d, false); err != nil {
		return store.Verdict{}, err
	}
	fail.Point(fail.DeliverBetween)
	wakes := d.Wait != ""
	if !wakes {
		if wakes, err = t.listens(x, d.Topic); err != nil {
			return store.Verdict{}, err
		}
	}
	if d.Wait != "" && !d.Keep {
		if _, err := t.exec("DELETE FROM wait WHERE id = ?", d.Wait); err != nil {
			return store.Verdict{}, err
		}
		x.waits--
	}
	return store.Verdict{Code: store.Applied}, t.heard(x, wakes, false)
}

// put puts a message into an inbox. heard is to follow.
func (t *tx) put(x *head, d *store.Deliver, kin bool) error {
	if _, err := t.exec("INSERT INTO accepted (execution, dedupe) VALUES (?, ?)", x.n, d.Dedupe); err != nil {
		return err
	}
	x.inbox++
	_, err := t.exec("INSERT INTO message (execution, seq, topic, wait, at, payload, kin) VALUES (?, ?, ?, ?, ?, ?, ?)",
		x.n, x.inbox, d.Topic, d.Wait, t.now, d.Payload, bit(kin))
	return err
}

// listens tells whether a message with this topic wakes an execution.
func (t *tx) listens(x *head, topic string) (bool, error) {
	if x.status != store.Waiting || topic == "" {
		return false, nil
	}
	return t.one("SELECT 1 FROM wait WHERE execution = ? AND topic = ? LIMIT 1", func(row) {}, x.n, topic)
}

// heard writes what a message has changed in the header.
func (t *tx) heard(x *head, wakes, first bool) error {
	due := any(nil)
	switch {
	case x.status == store.Waiting && wakes:
		x.status, due = store.Pending, t.now
	case x.status == store.Compensating && x.owner == uuid.Nil:
		due = t.now
	}
	_, err := t.exec("UPDATE execution SET inbox = ?2, waits = ?3, status = ?4, due = CASE WHEN ?6 THEN created ELSE ifnull(?5, due) END WHERE n = ?1",
		x.n, x.inbox, x.waits, x.status, due, bit(wakes && first && x.status == store.Pending))
	return err
}

// used tells whether a dedupe name was used before.
func (t *tx) used(x *head, d *store.Deliver) (bool, error) {
	return t.one("SELECT 1 FROM accepted WHERE execution = ? AND dedupe = ?", func(row) {}, x.n, d.Dedupe)
}

// acceptable judges a message without changing anything.
func (t *tx) acceptable(x *head, d *store.Deliver) (store.Code, error) {
	used, err := t.used(x, d)
	switch {
	case err != nil:
		return 0, err
	case used:
		return store.Landed, nil
	case x.status.Ended():
		return store.Ended, nil
	}
	if d.Wait != "" {
		open, err := t.one("SELECT 1 FROM wait WHERE id = ? AND execution = ?", func(row) {}, d.Wait, x.n)
		if err != nil || !open {
			return store.NoSuchWait, err
		}
	}
	if d.Max > 0 && x.inbox >= int64(d.Max) {
		var untaken int64
		if _, err := t.one("SELECT count(*) FROM message WHERE execution = ? AND kin = 0", func(r row) { untaken = r.int(0) }, x.n); err != nil {
			return 0, err
		}
		if untaken >= int64(d.Max) {
			return store.Full, nil
		}
	}
	return store.Applied, nil
}
