package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/durable-go/durable/store"
)

var _ store.Transactor = (*Store)(nil)

// CommitIn implements store.Transactor. It takes the *sql.Tx of a *sql.DB that
// has this store's file open.
func (s *Store) CommitIn(ctx context.Context, outer any, writes []store.Write) (res store.Result, err error) {
	const doing = "write in a transaction"
	if err := store.CheckIn(writes); err != nil {
		return store.Result{}, s.explain(doing, err)
	}
	res.Verdicts = make([]store.Verdict, len(writes))
	err = s.within(ctx, outer, doing, func(t *tx) error {
		for i := range writes {
			v, err := t.apply(&writes[i])
			if err != nil {
				return fmt.Errorf("write %d: %w", i, err)
			}
			res.Verdicts[i] = v
		}
		res.Now = fromMicros(t.now)
		return nil
	})
	if err != nil {
		return store.Result{}, err
	}
	return res, nil
}

// WaitsIn implements store.Transactor.
func (s *Store) WaitsIn(ctx context.Context, outer any, id store.ID) (status store.Status, waits []store.Wait, err error) {
	err = s.within(ctx, outer, "waits in a transaction", func(t *tx) error {
		x, err := t.head(id)
		if err != nil {
			return err
		}
		if x == nil {
			return fmt.Errorf("execution %s: %w", id, store.ErrNotFound)
		}
		status = x.status
		waits, err = t.waits(store.WaitFilter{Execution: id}, waitCursor{Deadline: -forever}, 1<<31-1)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	return status, waits, nil
}

// within runs fn in a caller's transaction. If fn fails, what it wrote is taken
// back, and the transaction is as it was.
//
// ctx is obeyed until the first statement: SQLite may roll a whole transaction
// back when a statement in it is interrupted.
func (s *Store) within(ctx context.Context, outer any, doing string, fn func(t *tx) error) error {
	q, ok := outer.(*sql.Tx)
	if !ok || q == nil {
		return s.explain(doing, fmt.Errorf("a %T was given; give the open *sql.Tx of a *sql.DB on this file: %w", outer, store.ErrBadTx))
	}
	if err := ctx.Err(); err != nil {
		return s.explain(doing, err)
	}
	select {
	case <-s.done:
		return s.explain(doing, errClosed)
	default:
	}
	c := &conn{raw: outside{q}, stmts: map[string]driver.Stmt{}}
	if err := s.recogniseFile(c); err != nil {
		return s.explain(doing, err)
	}
	if _, err := c.exec("SAVEPOINT durable_call"); err != nil {
		return s.explain(doing, err)
	}
	err := fn(&tx{conn: c, s: s, heads: &heads{}, now: time.Now().UnixMicro()})
	if err != nil {
		_, back := c.exec("ROLLBACK TO durable_call")
		err = errors.Join(err, back)
	}
	if _, end := c.exec("RELEASE durable_call"); end != nil {
		err = errors.Join(err, end)
	}
	if err != nil {
		return s.explain(doing, err)
	}
	return nil
}

// recogniseFile refuses transactions on other files.
func (s *Store) recogniseFile(c *conn) error {
	var file string
	_, err := c.one("SELECT file FROM pragma_database_list WHERE name = 'main'", func(r row) { file = r.text(0) })
	switch {
	case errors.Is(err, sql.ErrTxDone):
		return fmt.Errorf("%w: it has ended: %w", store.ErrBadTx, err)
	case busy(err):
		return err
	case err != nil:
		return fmt.Errorf("%w: it cannot say which file it is on: %w", store.ErrBadTx, err)
	}
	theirs, err := os.Stat(file)
	if err == nil {
		var ours os.FileInfo
		if ours, err = os.Stat(s.path); err == nil && os.SameFile(ours, theirs) {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("it is on %q, and this store on %q: %w", file, s.path, store.ErrBadTx), err)
}

// outside lets our statements run in a *sql.Tx of whatever driver. It is a
// driver's connection, since that is what our statements know.
type outside struct{ q *sql.Tx }

func (o outside) Prepare(query string) (driver.Stmt, error) { return outsideStmt{o.q, query}, nil }
func (o outside) Close() error                              { return nil }
func (o outside) Begin() (driver.Tx, error)                 { return nil, errors.ErrUnsupported }

type outsideStmt struct {
	q     *sql.Tx
	query string
}

func (s outsideStmt) Close() error  { return nil }
func (s outsideStmt) NumInput() int { return -1 }

// Exec and Query without a context are never called.
func (s outsideStmt) Exec([]driver.Value) (driver.Result, error) { return nil, errors.ErrUnsupported }

func (s outsideStmt) Query([]driver.Value) (driver.Rows, error) { return nil, errors.ErrUnsupported }

func (s outsideStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.q.ExecContext(ctx, s.query, values(args)...)
}

func (s outsideStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.q.QueryContext(ctx, s.query, values(args)...)
	if err != nil {
		return nil, err
	}
	columns, err := rows.Columns()
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	return &outsideRows{rows, columns}, nil
}

// values are arguments as database/sql takes them.
func values(args []driver.NamedValue) []any {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a.Value
	}
	return list
}

type outsideRows struct {
	rows    *sql.Rows
	columns []string
}

func (r *outsideRows) Columns() []string { return r.columns }
func (r *outsideRows) Close() error      { return r.rows.Close() }

func (r *outsideRows) Next(into []driver.Value) error {
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	list, places := make([]any, len(into)), make([]any, len(into))
	for i := range list {
		places[i] = &list[i]
	}
	err := r.rows.Scan(places...)
	for i := range list {
		into[i] = list[i]
	}
	return err
}
