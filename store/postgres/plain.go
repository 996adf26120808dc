package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/durable-go/durable/store"
)

// Plain steps: rows and nothing else, by owners. The execution is read and not
// locked: the lease that the transaction holds keeps owner and epoch as they
// are, and the row that must be there before and the key that must be free keep the base.
// Without a time ($7) it asks the clock: then it runs right after the locks.
// Back come the time, who was written, and the inboxes of those that could be.
//
// The LIMITs pin the plan: one look into a primary key per row. A plain join,
// planned while the tables are small and then kept, reads all of the journal each
// time, or all that the owner has.
const plainSteps = `
	WITH clock AS MATERIALIZED (SELECT coalesce($7::timestamptz, clock_timestamp()) AS now),
	fits AS MATERIALIZED (
		SELECT w.id, w.base, w.epoch, w.body, x.inbox
		FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[]) AS w (id, owner, epoch, base, seen, body)
		CROSS JOIN LATERAL (SELECT e.owner, e.epoch, e.inbox FROM durable.execution e WHERE e.id = w.id LIMIT 1) AS x
		CROSS JOIN LATERAL (SELECT FROM durable.journal j WHERE j.execution = w.id AND j.seq = w.base LIMIT 1) AS before
		WHERE x.owner = w.owner AND x.epoch = w.epoch AND (w.seen < 0 OR x.inbox <= w.seen)
	),
	written AS (
		INSERT INTO durable.journal (execution, seq, epoch, at, body)
		SELECT fits.id, fits.base + 1, fits.epoch, clock.now, fits.body FROM fits, clock
		ON CONFLICT DO NOTHING
		RETURNING execution
	)
	SELECT clock.now, ARRAY(SELECT execution FROM written), ARRAY(SELECT id FROM fits), ARRAY(SELECT inbox FROM fits) FROM clock`

// plain lists the writes that plainSteps can take, by their places: rows
// with nothing beside them, of executions that get no message in the same batch.
func plain(writes []store.Write) (fast []int) {
	told := map[store.ID]bool{}
	for _, w := range writes {
		if w.Deliver != nil {
			told[w.Deliver.ID] = true
		}
	}
	for i, w := range writes {
		a := w.Advance
		if a == nil || len(a.Row) == 0 || a.Owner == uuid.Nil || a.Base < 0 || a.Base > maxBase || told[a.ID] {
			continue
		}
		if a.NotBefore.IsZero() && a.Release == nil && a.Snapshot == nil &&
			len(a.Took)+len(a.Open)+len(a.Shut)+len(a.Logs)+len(a.Blobs)+len(a.Holds) == 0 {
			fast = append(fast, i)
		}
	}
	return fast
}

const maxBase = 1<<31 - 2 // what the column holds, less one

// stepArgs are the arguments of plainSteps; now is nil or a time.
func stepArgs(writes []store.Write, fast []int, now any) []any {
	n := len(fast)
	id, owner, epoch := make(ids, n), make(ids, n), make([]int64, n)
	base, seen, body := make([]int32, n), make([]int64, n), make([][]byte, n)
	for k, i := range fast {
		a := writes[i].Advance
		id[k], owner[k], epoch[k], base[k], seen[k], body[k] = a.ID, a.Owner, a.Epoch, int32(a.Base), a.Seen, a.Row
	}
	return []any{[][16]byte(id), [][16]byte(owner), epoch, base, seen, body, now}
}

// readSteps gives verdicts to those that were written, and returns the time.
func readSteps(r pgx.Row, writes []store.Write, fast []int, verdicts []store.Verdict) (now time.Time, err error) {
	var written, fits ids
	var inboxes []int64
	if err := r.Scan((*instant)(&now), (*[][16]byte)(&written), (*[][16]byte)(&fits), &inboxes); err != nil {
		return now, err
	}
	inbox := make(map[store.ID]int64, len(fits))
	for k, id := range fits {
		inbox[id] = inboxes[k]
	}
	applied := make(map[store.ID]bool, len(written))
	for _, id := range written {
		applied[id] = true
	}
	for _, i := range fast {
		if id := writes[i].Advance.ID; applied[id] {
			verdicts[i] = store.Verdict{Code: store.Applied, Inbox: inbox[id]}
		}
	}
	return now, nil
}

// plain writes plain steps within a transaction that has their owners' leases.
func (t *tx) plain(ctx context.Context, writes []store.Write, fast []int, verdicts []store.Verdict) error {
	_, err := readSteps(t.QueryRow(ctx, t.s.schema.of(plainSteps), stepArgs(writes, fast, t.now)...), writes, fast, verdicts)
	return err
}

// commitPlain commits a batch of plain steps only, in one round trip. Those
// that were not written have no verdict.
func (s *Store) commitPlain(ctx context.Context, writes []store.Write, verdicts []store.Verdict) (now time.Time, err error) {
	if err := s.enter(ctx); err != nil {
		return time.Time{}, err
	}
	fast := make([]int, len(writes))
	for i := range fast {
		fast[i] = i
	}
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer c.Release() // dropped if the transaction is still open
	var b pgx.Batch
	b.Queue("begin isolation level read committed read write")
	b.Queue(s.schema.of(shareLeases), [][16]byte(locksOf(writes, fast).leases))
	b.Queue(s.schema.of(plainSteps), stepArgs(writes, fast, nil)...).QueryRow(func(r pgx.Row) (err error) {
		now, err = readSteps(r, writes, fast, verdicts)
		return err
	})
	ended := ""
	b.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
		ended = tag.String()
		return nil
	})
	if err := c.SendBatch(ctx, &b).Close(); err != nil {
		return time.Time{}, err
	}
	if ended != "COMMIT" {
		return time.Time{}, pgx.ErrTxCommitRollback
	}
	return now, nil
}
