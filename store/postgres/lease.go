package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

const (
	// One statement. Who waited for the lease's lock judges by the time after it,
	// since a row that has changed meanwhile is looked at anew.
	//
	// The look into queues jumps from one priority to the next.
	renewLease = `
		WITH RECURSIVE renewed AS (
			UPDATE durable.lease SET expires = clock_timestamp() + $2::interval, name = $3, report = $5 WHERE who = $1 AND expires > clock_timestamp()
			RETURNING expires - $2::interval AS now
		),
		line (queue, priority) AS (
			SELECT asked.queue, (SELECT max(e.priority) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = asked.queue)
			FROM unnest($4::text[]) AS asked (queue)
			UNION ALL
			SELECT line.queue, (SELECT max(e.priority) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = line.queue AND e.priority < line.priority)
			FROM line WHERE line.priority IS NOT NULL
		)
		SELECT renewed.now, (SELECT min(expires) FROM durable.lease WHERE who <> $1), ` + pauseColumns + `, owned.id, owned.epoch, owned.inbox,
			(SELECT min((SELECT min(e.due) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = line.queue AND e.priority = line.priority))
				FROM line WHERE line.priority IS NOT NULL),
			EXISTS (SELECT FROM unnest($4::text[]) AS asked (queue)
				WHERE (SELECT TRUE FROM durable.execution e WHERE e.status = 'blocked' AND e.queue = asked.queue LIMIT 1))
		FROM renewed LEFT JOIN (SELECT id, epoch, inbox FROM durable.execution WHERE owner = $1) AS owned ON TRUE
		ORDER BY owned.id`
	// One that is there but has expired stays as it is.
	newLease = `INSERT INTO durable.lease (who, expires, name, report) VALUES ($1, clock_timestamp() + $2::interval, $3, $4) ON CONFLICT DO NOTHING`

	// The clock is asked again for a lease that was renewed while we waited for it.
	seizeExpired = `SELECT who FROM durable.lease WHERE expires <= clock_timestamp() ORDER BY who FOR UPDATE`
	dropLeases   = `DELETE FROM durable.lease WHERE who = ANY($1)`
	lockOwned    = `SELECT FROM durable.execution WHERE owner = ANY($1) ORDER BY id FOR NO KEY UPDATE`
	dropOwned    = `DELETE FROM durable.hold WHERE execution = ANY (ARRAY(SELECT id FROM durable.execution WHERE owner = ANY($1)))`
	// An owner that was lost without a new row since the last time counts on.
	countStalls = `
		UPDATE durable.execution e SET (stalls, stall_length) = (
			SELECT CASE WHEN e.stall_length = l.length THEN e.stalls + 1 ELSE 1 END, l.length
			FROM (SELECT max(seq) AS length FROM durable.journal WHERE execution = e.id) AS l
		)
		WHERE owner = ANY($1)`
	disownAll = `
		UPDATE durable.execution SET
			owner = NULL, epoch = epoch + 1, status = CASE WHEN status = 'compensating' THEN status ELSE 'pending' END, due = $2, changed = $2, blocked = ''
		WHERE owner = ANY($1)`
)

// Renew implements store.Store. It has a connection of its own.
func (s *Store) Renew(ctx context.Context, l store.Lease) (answer store.Renewal, err error) {
	if err := s.enter(ctx); err != nil {
		return answer, explain("renew", err)
	}
	if l.Who == uuid.Nil {
		return answer, explain("renew", fmt.Errorf("incarnation %s: %w", l.Who, store.ErrLeaseLost))
	}
	if err := fail.Err(fail.RenewBefore); err != nil {
		return answer, explain("renew", err)
	}
	renewed := false
	err = s.use(ctx, s.beat, func(c *pgx.Conn) error {
		if answer, renewed, err = s.renew(ctx, c, l); err != nil || renewed || !l.New {
			return err
		}
		if _, err = c.Exec(ctx, s.schema.of(newLease), [16]byte(l.Who), l.Duration, l.Name, l.Report); err == nil {
			answer, renewed, err = s.renew(ctx, c, l) // for what it tells
		}
		return err
	})
	if err == nil {
		err = fail.Err(fail.RenewAfter)
	}
	if err == nil && !renewed {
		err = fmt.Errorf("incarnation %s: %w", l.Who, store.ErrLeaseLost)
	}
	if err != nil {
		return store.Renewal{}, explain("renew", err)
	}
	s.tendLater()
	return answer, nil
}

func (s *Store) renew(ctx context.Context, c *pgx.Conn, l store.Lease) (answer store.Renewal, renewed bool, err error) {
	err = query(ctx, c, s.schema.of(renewLease), []any{[16]byte(l.Who), l.Duration, l.Name, l.Queues, l.Report}, func(r pgx.CollectableRow) error {
		var o store.Owned
		var epoch, inbox *int64
		var p pauses
		err := r.Scan((*instant)(&answer.Now), (*instant)(&answer.NextExpiry), &p.queues, &p.since, &p.by, (*nullable)(&o.ID), &epoch, &inbox,
			(*instant)(&answer.NextDue), &answer.Blocked)
		answer.Paused = p.list()
		if renewed = true; epoch != nil {
			o.Epoch, o.Inbox = *epoch, *inbox
			answer.Owned = append(answer.Owned, o)
		}
		return err
	})
	return answer, renewed, err
}

// Expire implements store.Store.
func (s *Store) Expire(ctx context.Context) (released int, err error) {
	fail.Point(fail.ExpireBefore)
	err = s.update(ctx, "expire", func(ctx context.Context, t *tx) error {
		released = 0
		var gone ids
		t.read(seizeExpired, nil, func(r pgx.CollectableRow) error {
			var who uuid.UUID
			err := r.Scan((*nullable)(&who))
			gone.add(who)
			return err
		})
		if err := t.flush(ctx); err != nil || len(gone) == 0 {
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
		t.exec(seizeLeases, [][16]byte{who})
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
	if fail.On {
		if err := t.flush(ctx); err != nil {
			return 0, err
		}
		fail.Point(fail.DisownBetween)
	}
	t.exec(lockOwned, who)
	t.exec(dropOwned, who)
	if count {
		t.exec(countStalls, who)
	}
	n, err := t.changes(ctx, disownAll, who, t.now)
	t.hints = n > 0
	return int(n), err
}
