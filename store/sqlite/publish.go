package sqlite

import (
	"context"

	"github.com/durable-go/durable/store"
)

const (
	sweepPublications = `DELETE FROM publication WHERE n IN (SELECT n FROM publication INDEXED BY publication_until WHERE until <= ?1 ORDER BY until LIMIT ?2)`
	readPublication   = `SELECT until, got FROM publication WHERE topic = ?1 AND dedupe = ?2`
	dropPublication   = `DELETE FROM publication WHERE topic = ?1 AND dedupe = ?2`
	addPublication    = `INSERT INTO publication (topic, dedupe, until, got, payload) VALUES (?1, ?2, ?3, ?4, CASE WHEN ?4 = 0 THEN ?5 END)`
	oldestKept        = `SELECT n, payload FROM publication INDEXED BY publication_kept WHERE topic = ?1 AND got = 0 AND until > ?2 ORDER BY n LIMIT 1`
	giveKept          = `UPDATE publication SET got = 1, payload = NULL WHERE n = ?1`

	// The oldest wait of each execution. The inbox still is as it was: its next number
	// is the message's.
	addPublished = `
		INSERT INTO message (execution, seq, topic, wait, at, payload)
		SELECT e.n, e.inbox + 1, ?1, (
			SELECT w.id FROM wait w INDEXED BY wait_shared WHERE w.shared = 1 AND w.topic = ?1 AND w.execution = e.n ORDER BY w.opened, w.id LIMIT 1), ?2, ?3
		FROM execution e WHERE e.n IN (SELECT execution FROM wait INDEXED BY wait_shared WHERE shared = 1 AND topic = ?1)`
	wakePublished = `
		UPDATE execution SET inbox = inbox + 1, waits = waits - 1,
			due = CASE WHEN status = 'waiting' OR status = 'compensating' AND owner IS NULL THEN ?2 ELSE due END, status = CASE WHEN status = 'waiting' THEN 'pending' ELSE status END
		WHERE n IN (SELECT execution FROM wait INDEXED BY wait_shared WHERE shared = 1 AND topic = ?1)`
	shutPublished = `
		DELETE FROM wait INDEXED BY wait_shared WHERE shared = 1 AND topic = ?1 AND id = (
			SELECT w.id FROM wait w INDEXED BY wait_shared WHERE w.shared = 1 AND w.topic = ?1 AND w.execution = wait.execution ORDER BY w.opened, w.id LIMIT 1)`
)

// Publish implements store.Store.
func (s *Store) Publish(ctx context.Context, p store.Publication) (res store.Published, err error) {
	if err := p.Check(); err != nil {
		return store.Published{}, s.explain("publish", err)
	}
	now, err := s.update(ctx, "publish", func(t *tx) (err error) {
		res, err = t.publish(&p)
		return err
	})
	if err != nil {
		return store.Published{}, err
	}
	res.Now = now
	return res, nil
}

func (t *tx) publish(p *store.Publication) (res store.Published, err error) {
	var until, got int64
	known, err := t.one(readPublication, func(r row) { until, got = r.int(0), r.int(1) }, p.Topic, p.Dedupe)
	switch {
	case err != nil:
		return res, err
	case known && t.now < until:
		return store.Published{Code: store.Landed, Got: int(got)}, nil
	case known:
		if _, err := t.exec(dropPublication, p.Topic, p.Dedupe); err != nil {
			return res, err
		}
	}
	n, err := t.changes(addPublished, p.Topic, t.now, p.Payload)
	if err == nil && n > 0 {
		t.heads.forget() // those of everybody who has got it
		_, err = t.exec(wakePublished, p.Topic, t.now)
		if err == nil {
			_, err = t.exec(shutPublished, p.Topic)
		}
	}
	if err == nil {
		_, err = t.exec(addPublication, p.Topic, p.Dedupe, t.now+max(p.Keep.Microseconds(), 1), n, p.Payload)
	}
	if err == nil {
		err = t.sweepPublications()
	}
	return store.Published{Code: store.Applied, Got: int(n)}, err
}

// takeKept gives an execution the oldest publication that is kept for a wait that it
// is to open. It reports whether there was one.
func (t *tx) takeKept(x *head, w *store.Wait) (bool, error) {
	var n int64
	var payload []byte
	there, err := t.one(oldestKept, func(r row) { n, payload = r.int(0), r.bytes(1) }, w.Topic, t.now)
	if err != nil || !there {
		return false, err
	}
	x.inbox++
	if _, err := t.exec("INSERT INTO message (execution, seq, topic, wait, at, payload) VALUES (?, ?, ?, ?, ?, ?)",
		x.n, x.inbox, w.Topic, w.ID, t.now, payload); err != nil {
		return false, err
	}
	if _, err := t.exec("UPDATE execution SET inbox = ?2 WHERE n = ?1", x.n, x.inbox); err != nil {
		return false, err
	}
	_, err = t.exec(giveKept, n)
	return err == nil, err
}

// sweepPublications removes some whose time is over.
func (t *tx) sweepPublications() error {
	_, err := t.exec(sweepPublications, t.now, store.SweepPublications)
	return err
}
