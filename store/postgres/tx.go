package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable/store"
)

// querier is a connection, or a transaction on one.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

const (
	beginWrite  = `begin isolation level read committed read write`
	beginRead   = `begin isolation level repeatable read read only`
	commitTx    = `commit`
	rollbackTx  = `rollback`
	isCommitted = "COMMIT"
)

// tx is a write transaction. Statements whose answers nobody needs are kept
// until one is needed, its begin and its commit too, so that a transaction is
// as few round trips as it has questions.
type tx struct {
	querier
	s     *Store
	now   time.Time                  // the store's clock for all of it, once locks are held
	heads map[store.ID]*head         // of executions that exist
	have  map[store.ID]bool          // executions that are locked
	alive map[store.Incarnation]bool // of leases that are locked: has it not run out?
	begun map[store.ID]bool          // executions that this transaction has made: is it their begin's turn?
	later pgx.Batch                  // statements whose answers nobody needs
	draft draft                      // rows to be written, a statement per table
	books map[string]*book           // what counts of names of holds that are locked
	kept  map[string][]kept          // publications of topics that are locked, oldest first
	hints bool                       // somebody else may want to know

	controlled bool // a Control has changed something
	kin        kin  // families of what may end
	patience   patience

	// patient waits for executions that others hold. The engine does not: a
	// stranger's open transaction must not hold up a batch.
	patient bool
}

// update runs fn in a write transaction: again, from its beginning, if another
// one was in the way and nothing has happened.
func (s *Store) update(ctx context.Context, doing string, fn func(ctx context.Context, t *tx) error) error {
	for try := 1; ; try++ {
		err := s.enter(ctx)
		if err == nil {
			err = s.attempt(ctx, s.write, fn)
		}
		switch {
		case err == nil:
			return nil
		case !raced(err) || try == raceTries:
			return explain(doing, err)
		}
	}
}

func (s *Store) attempt(ctx context.Context, pool *pgxpool.Pool, fn func(ctx context.Context, t *tx) error) error {
	c, err := s.acquire(ctx, pool)
	if err != nil {
		return err
	}
	defer leave(c)
	t := &tx{querier: c.Conn(), s: s}
	t.later.Queue(beginWrite)
	if err := fn(ctx, t); err != nil {
		rollback(ctx, c.Conn())
		return err
	}
	if err := t.applied(ctx); err != nil {
		rollback(ctx, c.Conn())
		return err
	}
	t.finish()
	ended := ""
	t.later.Queue(commitTx).Exec(func(tag pgconn.CommandTag) error {
		ended = tag.String()
		return nil
	})
	if err := t.flush(ctx); err != nil {
		rollback(ctx, c.Conn())
		return err
	}
	if ended != isCommitted {
		return pgx.ErrTxCommitRollback
	}
	if t.hints {
		s.hint()
	}
	return nil
}

// rollback ends a transaction, if one is open. The pool drops a connection on
// which that fails.
func rollback(ctx context.Context, c *pgx.Conn) {
	if c.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_, _ = c.Exec(ctx, rollbackTx)
}

// exec notes a statement that runs before the next one whose answer is needed.
func (t *tx) exec(statement string, args ...any) { t.later.Queue(t.s.schema.of(statement), args...) }

// read notes a statement and says what becomes of its rows.
func (t *tx) read(statement string, args []any, row func(pgx.CollectableRow) error) {
	read(t.s.schema, &t.later, statement, args, row)
}

func read(in schema, b *pgx.Batch, statement string, args []any, row func(pgx.CollectableRow) error) {
	b.Queue(in.of(statement), args...).Query(func(rows pgx.Rows) error { return each(rows, row) })
}

// flush runs what has been noted, in one round trip.
func (t *tx) flush(ctx context.Context) error {
	if t.later.Len() == 0 {
		return nil
	}
	b := t.later
	t.later = pgx.Batch{}
	return t.SendBatch(ctx, &b).Close()
}

// changes runs a statement and returns how many rows it changed.
func (t *tx) changes(ctx context.Context, statement string, args ...any) (n int64, err error) {
	t.later.Queue(t.s.schema.of(statement), args...).Exec(func(tag pgconn.CommandTag) error {
		n = tag.RowsAffected()
		return nil
	})
	err = t.flush(ctx)
	return n, err
}

// one reads one row, if there is one.
func (t *tx) one(ctx context.Context, statement string, args []any, into ...any) (found bool, err error) {
	t.read(statement, args, func(r pgx.CollectableRow) error {
		found = true
		return r.Scan(into...)
	})
	err = t.flush(ctx)
	return found && err == nil, err
}

// query asks one question.
func query(ctx context.Context, q querier, statement string, args []any, row func(pgx.CollectableRow) error) error {
	rows, err := q.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	return each(rows, row)
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
