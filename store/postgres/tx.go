package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// tx is a write transaction.
type tx struct {
	pgx.Tx
	s     *Store
	now   time.Time                  // the store's clock for all of it, once locks are held
	heads map[store.ID]*head         // of executions that are locked and exist
	alive map[store.Incarnation]bool // of leases that are locked: has it not run out?
	later pgx.Batch                  // statements whose answers nobody needs
	hints bool                       // somebody else may want to know
}

// head is what a write must know of its execution before it may touch it. While
// the execution is locked it is exact, but for length: a plain step of the
// owner may be on its way in. The journal's key then makes one of the two race.
type head struct {
	status store.Status
	owner  store.Incarnation
	epoch  int64
	length int
	inbox  int64
	waits  int64 // open
	held   bool  // it has holds
}

// update runs fn in a write transaction: again, from its beginning, if another
// one was in the way and nothing has happened.
func (s *Store) update(ctx context.Context, doing string, fn func(ctx context.Context, t *tx) error) error {
	for try := 1; ; try++ {
		err := s.enter(ctx)
		if err == nil {
			err = s.attempt(ctx, fn)
		}
		switch {
		case err == nil:
			return nil
		case !raced(err) || try == raceTries:
			return explain(doing, err)
		}
	}
}

func (s *Store) attempt(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	q, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return err
	}
	defer rollback(ctx, q)
	t := &tx{Tx: q, s: s}
	if err := fn(ctx, t); err != nil {
		return err
	}
	if t.hints {
		t.exec(notify, s.schema.channel(), s.token)
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	return t.Commit(ctx)
}

// exec notes a statement that runs before the next one whose answer is needed.
func (t *tx) exec(statement string, args ...any) { t.later.Queue(t.s.schema.of(statement), args...) }

// flush runs what exec has noted, in one round trip.
func (t *tx) flush(ctx context.Context) error {
	if t.later.Len() == 0 {
		return nil
	}
	b := t.later
	t.later = pgx.Batch{}
	return t.SendBatch(ctx, &b).Close()
}

// changes runs a statement and returns how many rows it changed.
func (t *tx) changes(ctx context.Context, statement string, args ...any) (int64, error) {
	if err := t.flush(ctx); err != nil {
		return 0, err
	}
	tag, err := t.Exec(ctx, t.s.schema.of(statement), args...)
	return tag.RowsAffected(), err
}

// one reads one row, if there is one.
func (t *tx) one(ctx context.Context, statement string, args []any, into ...any) (bool, error) {
	if err := t.flush(ctx); err != nil {
		return false, err
	}
	return found(t.QueryRow(ctx, t.s.schema.of(statement), args...).Scan(into...))
}

// found tells no row from a failure.
func found(err error) (bool, error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
