package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// guest is a transaction for user code. Until user code has left it, it holds no
// lock of ours: what it was given time for must not keep others waiting. Then it
// takes its owner's lease, as every batch does, and the write is judged.
type guest struct {
	s *Store
	c *pgxpool.Conn
	q pgx.Tx
	// number is the transaction's own. It has another if user code has ended it
	// and begun a new one.
	number string

	ctx    context.Context // ends with the transaction's time
	cancel context.CancelFunc
	timer  func() bool
	gone   chan struct{} // closed when it has been cut off for lack of time
	done   atomic.Bool   // Commit or Rollback were called
	ended  atomic.Bool   // user code called Commit or Rollback
}

const (
	// The server ends the transaction of a client that has vanished. $1 is in
	// milliseconds. The number makes it a transaction that writes, which it will be.
	enterGuest = `
		SELECT set_config('statement_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $1, true),
			pg_current_xact_id()::text`
	// Our statements are planned as on our own connections.
	leaveGuest = `
		SELECT pg_current_xact_id()::text, set_config('enable_seqscan', 'off', true),
			set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true)`
	// What the server adds to the time that a transaction has: we are to be first.
	guestMargin = time.Second
)

// Begin implements store.Transactor.
func (s *Store) Begin(ctx context.Context, limit time.Duration) (store.Tx, error) {
	const doing = "begin a transaction"
	if err := s.enter(ctx); err != nil {
		return nil, explain(doing, err)
	}
	c, err := s.user.Acquire(ctx)
	if err != nil {
		return nil, explain(doing, err)
	}
	g := &guest{s: s, c: c, gone: make(chan struct{})}
	// READ COMMITTED: what is read after the lease is locked must not be older.
	g.q, err = c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err == nil {
		patience := strconv.FormatInt((limit + guestMargin).Milliseconds(), 10)
		var ignored string
		err = g.q.QueryRow(ctx, enterGuest, patience).Scan(&ignored, &ignored, &g.number)
	}
	if err != nil {
		c.Release() // dropped if the transaction is open
		return nil, explain(doing, err)
	}
	g.ctx, g.cancel = context.WithTimeoutCause(ctx, limit, store.ErrTxTimeout)
	g.timer = context.AfterFunc(g.ctx, g.expire)
	return g, nil
}

// expire takes the transaction from user code while that may be using it: the
// one thing that can be done then is to close the connection. The server rolls back.
func (g *guest) expire() {
	_ = g.c.Conn().PgConn().Conn().Close()
	close(g.gone)
}

// leave takes the transaction from user code. It returns false if its time was
// over first.
func (g *guest) leave() bool {
	if g.timer() {
		return true
	}
	<-g.gone
	return false
}

// User implements store.Tx.
func (g *guest) User() any { return guestTx{g.q, g} }

// Again implements store.Tx.
func (g *guest) Again(err error) bool {
	return err != nil && g.ctx.Err() == nil && (raced(err) || g.passes(err))
}

// Rollback implements store.Tx.
func (g *guest) Rollback() {
	if g.done.CompareAndSwap(false, true) {
		g.leave()
		g.release()
	}
}

// release gives the connection back. The pool drops it if it is broken or busy,
// and then, too, the server rolls back.
func (g *guest) release() {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
	defer cancel()
	_ = g.q.Rollback(ctx) // user code that has kept it finds it closed
	g.cancel()
	g.c.Release()
}

// Commit implements store.Tx.
func (g *guest) Commit(ctx context.Context, a store.Advance) (store.Result, error) {
	const doing = "commit a transaction"
	back := func(err error) (store.Result, error) {
		return store.Result{}, explain(doing, fmt.Errorf("%w: %w", store.ErrRolledBack, err))
	}
	if !g.done.CompareAndSwap(false, true) {
		return back(pgx.ErrTxClosed)
	}
	defer g.release()
	if !g.leave() {
		return back(context.Cause(g.ctx))
	}
	res, err := g.record(ctx, a)
	switch {
	case err != nil && raced(err):
		return back(fmt.Errorf("%w: %w", store.ErrConflict, err))
	case err != nil && g.passes(err):
		return back(fmt.Errorf("%w: %w", store.ErrTrouble, err))
	case err != nil: // no COMMIT was sent
		return back(err)
	case res.Verdicts[0].Code != store.Applied:
		return res, nil
	}
	if err := fail.Err(fail.TxFlush); err != nil {
		return back(fmt.Errorf("%w: %w", store.ErrTrouble, err))
	}
	err = g.q.Commit(ctx)
	switch {
	case err == nil:
		if a.Release != nil || len(a.Children) > 0 {
			g.s.hint()
		}
		return res, nil
	case raced(err):
		return back(fmt.Errorf("%w: %w", store.ErrConflict, err))
	case refused(err) && g.passes(err):
		return back(fmt.Errorf("%w: %w", store.ErrTrouble, err))
	case refused(err):
		return back(err)
	}
	return store.Result{}, explain(doing, err)
}

// passes tells whether an error has nothing to do with what was asked: the
// connection is gone, or the server lacks something.
func (g *guest) passes(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return g.c.Conn().IsClosed()
	}
	switch e.Code[:2] {
	case "53", "57", "58": // insufficient resources, operator intervention, system errors
		return true
	}
	return g.c.Conn().IsClosed()
}

// refused tells whether a COMMIT has surely not happened. What ends the session
// may come after it has.
func refused(err error) bool {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return true
	}
	var e *pgconn.PgError
	return errors.As(err, &e) && e.SeverityUnlocalized == "ERROR" && e.Code != "40003" && e.Code[:2] != "08"
}

// record judges and applies the write after all that user code did.
func (g *guest) record(ctx context.Context, a store.Advance) (store.Result, error) {
	writes := []store.Write{{Advance: &a}}
	if err := check(writes); err != nil {
		return store.Result{}, err
	}
	if g.ended.Load() {
		return store.Result{}, store.ErrTxEnded
	}
	switch g.q.Conn().PgConn().TxStatus() {
	case 'I':
		return store.Result{}, store.ErrTxEnded
	case 'E':
		return store.Result{}, errors.New("a statement in the transaction failed and its error was not returned; PostgreSQL then rolls everything back")
	}
	var number, ignored string
	if err := g.q.QueryRow(ctx, leaveGuest).Scan(&number, &ignored, &ignored, &ignored); err != nil {
		return store.Result{}, err
	}
	if number != g.number {
		return store.Result{}, store.ErrTxEnded
	}
	res := store.Result{Verdicts: make([]store.Verdict, 1)}
	if q := quickOf(writes); len(q.steps) > 0 {
		// Without a lock on the execution, which somebody's open transaction may have.
		var b pgx.Batch
		b.Queue(g.s.schema.of(shareLeases), [][16]byte(locksOf(writes, q.steps).leases))
		g.s.schema.queueSteps(&b, steps, stepArgs(writes, q.steps), writes, q.steps, res.Verdicts, &res.Now)
		g.s.schema.queueBlobs(&b, blobsOf(writes, q.steps))
		if err := g.q.SendBatch(ctx, &b).Close(); err != nil || !unjudged(res.Verdicts[0]) {
			return res, err
		}
	}
	t := &tx{querier: g.q, s: g.s, patient: true}
	if err := t.commit(ctx, writes, res.Verdicts); err != nil {
		return store.Result{}, err
	}
	res.Now = t.now
	t.finish()
	return res, t.flush(ctx)
}

// guestTx is the transaction as user code sees it.
type guestTx struct {
	pgx.Tx
	g *guest
}

// Commit refuses: the transaction ends with the step.
func (t guestTx) Commit(context.Context) error { return t.refuse("Commit") }

// Rollback refuses, too, and dooms the transaction.
func (t guestTx) Rollback(context.Context) error { return t.refuse("Rollback") }

func (t guestTx) refuse(what string) error {
	t.g.ended.Store(true)
	return fmt.Errorf("postgres: %s: %w", what, store.ErrTxEnded)
}
