package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// guest is a transaction for user code. It has a connection of its own, opened
// for it, so that what user code sets, attaches or leaves behind reaches nothing of
// ours. While it is open nobody else can write: it holds the writer's token, so that our
// own commits queue instead of asking SQLite again and again.
//
// User code gets a *sql.Tx over that connection whose Commit and Rollback do
// nothing but say that they are not its to call.
type guest struct {
	s    *Store
	c    *conn
	db   *sql.DB
	user *sql.Tx

	ctx    context.Context // ends with the transaction's time
	cancel context.CancelFunc
	timer  func() bool
	left   atomic.Bool   // user code is to have no part in it any more
	gone   chan struct{} // closed when it has been rolled back for lack of time

	ended  atomic.Bool // user code called Commit or Rollback
	broken error       // SQLite has rolled it back by itself
}

// Begin implements store.Transactor.
func (s *Store) Begin(ctx context.Context, limit time.Duration) (store.Tx, error) {
	const doing = "begin a transaction"
	select {
	case <-s.done:
		return nil, s.explain(doing, errClosed)
	default:
	}
	c, err := s.openGuest()
	if err != nil {
		return nil, s.explain(doing, err)
	}
	g := &guest{s: s, c: c, gone: make(chan struct{})}
	if err := g.begin(ctx, limit); err != nil {
		return nil, s.explain(doing, errors.Join(err, c.close()))
	}
	return g, nil
}

// openGuest opens a connection for user code. What it does must be as durable
// as our own commits; foreign keys are on, since nobody can turn them on within a
// transaction.
func (s *Store) openGuest() (*conn, error) {
	synchronous := "synchronous(2)"
	if s.options.relaxed {
		synchronous = "synchronous(1)"
	}
	return connect(s.path, nil, synchronous,
		"foreign_keys(1)",
		"wal_autocheckpoint("+strconv.Itoa(checkpointAt)+")",
		"journal_size_limit("+strconv.Itoa(logLimit)+")",
	)
}

// begin waits for its turn. Of all that want one, a single guest waits for the
// writer's token: else a row of them would keep renewals waiting for longer than leases last.
func (g *guest) begin(ctx context.Context, limit time.Duration) error {
	s := g.s
	select {
	case <-s.guests:
	case <-s.done:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.enter(ctx); err != nil {
		s.guests <- struct{}{}
		return err
	}
	err := (&tx{conn: g.c, s: s}).start(ctx)
	if err == nil {
		// Whoever ends the transaction loses this mark.
		_, err = g.c.exec("SAVEPOINT durable_guest")
	}
	if err == nil {
		g.db = sql.OpenDB(guestConnector{g})
		g.db.SetMaxOpenConns(1)
		if g.user, err = g.db.BeginTx(context.Background(), nil); err != nil {
			err = errors.Join(err, g.db.Close())
		}
	}
	if err != nil {
		s.unlock()
		s.guests <- struct{}{}
		return err
	}
	g.ctx, g.cancel = context.WithTimeoutCause(ctx, limit, store.ErrTxTimeout)
	g.timer = context.AfterFunc(g.ctx, func() {
		if g.leave() {
			g.close()
			close(g.gone)
		}
	})
	return nil
}

// leave takes the transaction from user code. It returns false if that has
// happened before.
func (g *guest) leave() bool {
	if !g.left.CompareAndSwap(false, true) {
		return false
	}
	// Waits for a statement that runs, which ctx interrupts, and closes all rows.
	g.cancel()
	_ = g.user.Rollback()
	return true
}

// close rolls back what is not committed and makes room for others.
func (g *guest) close() {
	_, _ = g.c.exec("ROLLBACK")
	_ = g.db.Close()
	_ = g.c.close()
	g.s.written++
	g.s.unlock()
	g.s.guests <- struct{}{}
}

// User implements store.Tx.
func (g *guest) User() any { return g.user }

// Again implements store.Tx.
func (g *guest) Again(err error) bool { return g.ctx.Err() == nil && passes(err) }

// Rollback implements store.Tx.
func (g *guest) Rollback() {
	g.timer()
	if g.leave() {
		g.close()
		close(g.gone)
	}
	<-g.gone
}

// Commit implements store.Tx.
func (g *guest) Commit(_ context.Context, a store.Advance) (store.Result, error) {
	const doing = "commit a transaction"
	timely := g.timer()
	cause := context.Cause(g.ctx)
	if !timely || !g.leave() {
		g.timer()
		<-g.gone
		return store.Result{}, g.s.explain(doing, fmt.Errorf("%w: %w", store.ErrRolledBack, cause))
	}
	defer close(g.gone)
	defer g.close()
	res, err := g.record(a)
	if passes(err) {
		err = fmt.Errorf("%w: %w", store.ErrTrouble, err)
	}
	if err != nil {
		return store.Result{}, g.s.explain(doing, fmt.Errorf("%w: %w", store.ErrRolledBack, err))
	}
	if res.Verdicts[0].Code != store.Applied {
		return res, nil
	}
	if err := fail.Err(fail.TxFlush); err != nil {
		return store.Result{}, g.s.explain(doing, fmt.Errorf("%w: %w: %w", store.ErrRolledBack, store.ErrTrouble, err))
	}
	if _, err := g.c.exec("COMMIT"); err != nil {
		switch { // what SQLite says before it writes
		case errors.Is(kind(err), store.ErrFull):
			err = fmt.Errorf("%w: %w: %w", store.ErrRolledBack, store.ErrTrouble, err)
		case errors.Is(kind(err), store.ErrRefused):
			err = fmt.Errorf("%w: %w", store.ErrRolledBack, err)
		}
		return store.Result{}, g.s.explain(doing, err)
	}
	return res, nil
}

// record judges and applies the write after all that user code did.
func (g *guest) record(a store.Advance) (store.Result, error) {
	w := store.Write{Advance: &a}
	if err := store.Check([]store.Write{w}); err != nil {
		return store.Result{}, err
	}
	if g.ended.Load() {
		return store.Result{}, store.ErrTxEnded
	}
	if g.broken != nil {
		return store.Result{}, g.broken
	}
	if _, err := g.c.exec("RELEASE durable_guest"); err != nil {
		return store.Result{}, fmt.Errorf("%w: %w", store.ErrTxEnded, err)
	}
	t := &tx{conn: g.c, s: g.s, heads: &heads{}, now: time.Now().UnixMicro()}
	v, err := t.apply(&w)
	return store.Result{Now: fromMicros(t.now), Verdicts: []store.Verdict{v}}, err
}
