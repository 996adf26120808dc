package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/durable-go/durable/store"
)

// guestConnector gives a *sql.DB the one connection of a guest.
type guestConnector struct{ g *guest }

func (c guestConnector) Connect(context.Context) (driver.Conn, error) { return guestConn(c), nil }
func (c guestConnector) Driver() driver.Driver                        { return nil }

// guestConn is a guest's connection as user code's *sql.Tx sees it.
type guestConn struct{ g *guest }

var _ driver.ConnBeginTx = guestConn{}

func (c guestConn) Close() error              { return nil } // the guest closes it
func (c guestConn) Begin() (driver.Tx, error) { return guestEnd(c), nil }

// BeginTx finds the transaction begun.
func (c guestConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return c.Begin() }

func (c guestConn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

func (c guestConn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	if err := c.g.usable(); err != nil {
		return nil, err
	}
	s, err := c.g.c.raw.Prepare(query)
	if err != nil {
		return nil, err
	}
	return guestStmt{s, c.g}, nil
}

// guestEnd refuses to end the transaction: that is the engine's.
type guestEnd struct{ g *guest }

func (e guestEnd) Commit() error   { return e.refuse("Commit") }
func (e guestEnd) Rollback() error { return e.refuse("Rollback") }

func (e guestEnd) refuse(what string) error {
	if e.g.left.Load() { // we
		return nil
	}
	e.g.ended.Store(true)
	return fmt.Errorf("sqlite: %s: %w", what, store.ErrTxEnded)
}

// guestStmt runs a statement of user code. It is interrupted when the
// transaction's time is over.
type guestStmt struct {
	driver.Stmt
	g *guest
}

func (s guestStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	ctx, done, err := s.g.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	return r, s.g.look(err)
}

func (s guestStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	ctx, done, err := s.g.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	return r, s.g.look(err)
}

// usable is why a statement may not run.
func (g *guest) usable() error {
	if g.ctx.Err() != nil {
		return fmt.Errorf("sqlite: %w: %w", store.ErrRolledBack, context.Cause(g.ctx))
	}
	return g.broken
}

func (g *guest) enter(ctx context.Context) (context.Context, func(), error) {
	if err := g.usable(); err != nil {
		return nil, nil, err
	}
	both, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.ctx, cancel)
	return both, func() {
		stop()
		cancel()
	}, nil
}

// look finds out whether a statement that failed has cost the transaction: SQLite
// rolls all of it back when a change is interrupted, for example, and what
// follows would be committed one by one.
func (g *guest) look(err error) error {
	if err == nil {
		return nil
	}
	if g.ctx.Err() != nil {
		return fmt.Errorf("sqlite: %w: %w", store.ErrRolledBack, context.Cause(g.ctx))
	}
	if g.broken == nil {
		if _, in := g.c.exec("BEGIN"); in == nil { // inside one it fails
			_, back := g.c.exec("ROLLBACK")
			g.broken = fmt.Errorf("sqlite: SQLite has rolled the transaction back because of an earlier error: %w", err)
			if back != nil {
				g.broken = fmt.Errorf("%w: %w", g.broken, back)
			}
		}
	}
	return err
}
