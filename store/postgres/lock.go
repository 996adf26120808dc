package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	// Each kind of lock is taken by one statement, in an order that all share.
	shareLeases = `SELECT who, expires FROM durable.lease WHERE who = ANY($1) ORDER BY who FOR KEY SHARE`
	seizeLeases = `SELECT who, expires FROM durable.lease WHERE who = ANY($1) ORDER BY who FOR UPDATE`
	lockHeads   = `SELECT FROM durable.execution WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`
	lockNumbers = `SELECT pg_advisory_xact_lock(n) FROM (SELECT n FROM unnest($1::bigint[]) AS n ORDER BY n) AS ordered`
	readClock   = `SELECT clock_timestamp()`
	// A statement of its own: who waits for a row's lock gets the newest row, but
	// everything else as it was before the wait.
	readHeads = `
		SELECT e.id, e.status, e.owner, e.epoch, e.inbox, e.waits,
			(SELECT max(seq) FROM durable.journal WHERE execution = e.id),
			EXISTS (SELECT FROM durable.hold WHERE execution = e.id)
		FROM durable.execution e WHERE e.id = ANY($1)`
	readOwners = `SELECT DISTINCT owner FROM durable.execution WHERE id = ANY($1) AND owner IS NOT NULL`
)

// locks is what some writes need before they may be judged.
type locks struct {
	leases     ids
	executions ids
	names      []string // of holds
	controlled ids      // executions that may be taken from an owner
}

// locksOf: plain writes need their owner's lease only.
func locksOf(writes []store.Write, plain []int) locks {
	var l locks
	for i, w := range writes {
		switch {
		case w.Begin != nil:
			l.leases.add(w.Begin.Owner)
		case w.Deliver != nil:
			l.executions.add(w.Deliver.ID)
		case w.Control != nil:
			l.executions.add(w.Control.ID)
			l.controlled.add(w.Control.ID)
		case w.Advance != nil:
			l.leases.add(w.Advance.Owner)
			if _, is := slices.BinarySearch(plain, i); is {
				continue
			}
			l.executions.add(w.Advance.ID)
			for _, h := range w.Advance.Holds {
				if h.Amount > 0 {
					l.names = append(l.names, h.Name)
				}
			}
		}
	}
	return l
}

// lock takes all locks and then asks for the time and the heads.
func (t *tx) lock(ctx context.Context, l locks) error {
	leases := shareLeases
	if len(l.controlled) > 0 {
		// One strength for all keeps the order; controls are rare.
		leases = seizeLeases
		owners, err := t.owners(ctx, l.controlled)
		if err != nil {
			return err
		}
		l.leases.add(owners...)
	}
	var b pgx.Batch
	expires := map[store.Incarnation]time.Time{}
	if len(l.leases) > 0 {
		t.read(&b, leases, []any{[][16]byte(l.leases)}, func(r pgx.CollectableRow) error {
			var who uuid.UUID
			var at time.Time
			err := r.Scan((*nullable)(&who), &at)
			expires[who] = at
			return err
		})
	}
	if len(l.executions) > 0 {
		b.Queue(t.s.schema.of(lockHeads), [][16]byte(l.executions))
	}
	if len(l.names) > 0 {
		numbers := make([]int64, len(l.names))
		for i, n := range l.names {
			numbers[i] = t.s.schema.lock("hold " + n)
		}
		b.Queue(lockNumbers, numbers)
	}
	t.read(&b, readClock, nil, func(r pgx.CollectableRow) error { return r.Scan((*instant)(&t.now)) })
	t.queueHeads(&b, l.executions)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	t.alive = map[store.Incarnation]bool{}
	for who, at := range expires {
		t.alive[who] = t.now.Before(at)
	}
	for _, id := range l.controlled {
		if x := t.heads[uuid.UUID(id)]; x != nil && x.owner != uuid.Nil && !l.leases.has(x.owner) {
			return errRaced // claimed since we asked who has it
		}
	}
	return nil
}

// fetch locks and reads the head of an execution that was not expected to be there.
func (t *tx) fetch(ctx context.Context, id store.ID) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	var b pgx.Batch
	b.Queue(t.s.schema.of(lockHeads), [][16]byte{id})
	t.queueHeads(&b, ids{id})
	return t.SendBatch(ctx, &b).Close()
}

func (t *tx) queueHeads(b *pgx.Batch, of ids) {
	if t.heads == nil {
		t.heads = make(map[store.ID]*head, len(of))
	}
	if len(of) == 0 {
		return
	}
	t.read(b, readHeads, []any{[][16]byte(of)}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		x := new(head)
		err := r.Scan((*nullable)(&id), &x.status, (*nullable)(&x.owner), &x.epoch, &x.inbox, &x.waits, &x.length, &x.held)
		t.heads[id] = x
		return err
	})
}

func (t *tx) owners(ctx context.Context, of ids) (owners []uuid.UUID, err error) {
	rows, err := t.Query(ctx, t.s.schema.of(readOwners), [][16]byte(of))
	if err != nil {
		return nil, err
	}
	err = each(rows, func(r pgx.CollectableRow) error {
		var who uuid.UUID
		err := r.Scan((*nullable)(&who))
		owners = append(owners, who)
		return err
	})
	return owners, err
}

// read adds a statement to a batch and says what becomes of its rows.
func (t *tx) read(b *pgx.Batch, statement string, args []any, row func(pgx.CollectableRow) error) {
	b.Queue(t.s.schema.of(statement), args...).Query(func(rows pgx.Rows) error { return each(rows, row) })
}

// each calls fn for every row.
func each(rows pgx.Rows, fn func(pgx.CollectableRow) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ids is a set of executions or incarnations, as the driver takes arrays.
type ids [][16]byte

func (s *ids) add(more ...uuid.UUID) {
	for _, id := range more {
		if id != uuid.Nil && !s.has(id) {
			*s = append(*s, id)
		}
	}
}

func (s ids) has(id uuid.UUID) bool {
	return slices.ContainsFunc(s, func(x [16]byte) bool { return bytes.Equal(x[:], id[:]) })
}
