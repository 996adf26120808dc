package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	renewLease = `UPDATE durable.lease SET expires = $2, name = $3 WHERE who = $1 AND expires > $4`
	// One that is there but has expired stays as it is.
	newLease   = `INSERT INTO durable.lease (who, expires, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	nextExpiry = `SELECT min(expires) FROM durable.lease WHERE who <> $1`
	readOwned  = `SELECT id, epoch, inbox FROM durable.execution WHERE owner = $1 ORDER BY id`

	// The clock is asked again for a lease that was renewed while we waited for it.
	seizeExpired = `SELECT who FROM durable.lease WHERE expires <= clock_timestamp() ORDER BY who FOR UPDATE`
	dropLeases   = `DELETE FROM durable.lease WHERE who = ANY($1)`
	lockOwned    = `SELECT FROM durable.execution WHERE owner = ANY($1) ORDER BY id FOR NO KEY UPDATE`
	dropOwned    = `DELETE FROM durable.hold WHERE execution IN (SELECT id FROM durable.execution WHERE owner = ANY($1))`
	// An owner that was lost without a new row since the last time counts on.
	countStalls = `
		UPDATE durable.execution e SET
			stalls = CASE WHEN stall_length = length THEN stalls + 1 ELSE 1 END,
			stall_length = length
		FROM (SELECT o.id, (SELECT max(seq) FROM durable.journal WHERE execution = o.id) AS length FROM durable.execution o WHERE o.owner = ANY($1)) AS of
		WHERE e.id = of.id`
	disownAll = `
		UPDATE durable.execution SET
			owner = NULL, epoch = epoch + 1, status = CASE WHEN status = 'compensating' THEN status ELSE 'pending' END, due = $2, changed = $2
		WHERE owner = ANY($1)`
)

// Renew implements store.Store.
func (s *Store) Renew(ctx context.Context, l store.Lease) (answer store.Renewal, err error) {
	lost := fmt.Errorf("incarnation %s: %w", l.Who, store.ErrLeaseLost)
	err = s.update(ctx, "renew", func(ctx context.Context, t *tx) error {
		answer = store.Renewal{}
		if l.Who == uuid.Nil {
			return lost
		}
		if err := t.lock(ctx, locks{}); err != nil {
			return err
		}
		who, expires := [16]byte(l.Who), t.now.Add(l.Duration)
		n, err := t.changes(ctx, renewLease, who, expires, l.Name, t.now)
		if err == nil && n == 0 && l.New {
			n, err = t.changes(ctx, newLease, who, expires, l.Name)
		}
		if err == nil && n == 0 {
			err = lost
		}
		if err != nil {
			return err
		}
		answer.Now = t.now
		var b pgx.Batch
		t.read(&b, nextExpiry, []any{who}, func(r pgx.CollectableRow) error { return r.Scan((*instant)(&answer.NextExpiry)) })
		t.read(&b, readOwned, []any{who}, func(r pgx.CollectableRow) error {
			var o store.Owned
			err := r.Scan((*nullable)(&o.ID), &o.Epoch, &o.Inbox)
			answer.Owned = append(answer.Owned, o)
			return err
		})
		return t.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return store.Renewal{}, err
	}
	return answer, nil
}

// Expire implements store.Store.
func (s *Store) Expire(ctx context.Context) (released int, err error) {
	err = s.update(ctx, "expire", func(ctx context.Context, t *tx) error {
		released = 0
		rows, err := t.Query(ctx, s.schema.of(seizeExpired))
		if err != nil {
			return err
		}
		var gone ids
		if err := each(rows, func(r pgx.CollectableRow) error {
			var who uuid.UUID
			err := r.Scan((*nullable)(&who))
			gone.add(who)
			return err
		}); err != nil || len(gone) == 0 {
			return err
		}
		released, err = t.disown(ctx, gone, true)
		return err
	})
	return released, err
}

// Retire implements store.Store.
func (s *Store) Retire(ctx context.Context, who store.Incarnation) error {
	return s.update(ctx, "retire", func(ctx context.Context, t *tx) error {
		if _, err := t.Exec(ctx, s.schema.of(seizeLeases), [][16]byte{who}); err != nil {
			return err
		}
		_, err := t.disown(ctx, ids{who}, false)
		return err
	})
}

// disown takes from incarnations their leases, which are locked, and what they own.
func (t *tx) disown(ctx context.Context, gone ids, count bool) (int, error) {
	if err := t.lock(ctx, locks{}); err != nil { // for the time
		return 0, err
	}
	who := [][16]byte(gone)
	t.exec(dropLeases, who)
	t.exec(lockOwned, who)
	t.exec(dropOwned, who)
	if count {
		t.exec(countStalls, who)
	}
	n, err := t.changes(ctx, disownAll, who, t.now)
	t.hints = n > 0
	return int(n), err
}
