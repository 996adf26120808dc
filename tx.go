package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// Tx runs fn in a transaction of the engine's own database. What fn writes in it
// and the record that the step is done become durable together, or neither
// does: exactly once, also through crashes, retries and takeovers. If the body then fails,
// panics, snoozes or cancels the run, or another worker has taken the run, all is rolled back.
//
// T is pgx.Tx on PostgreSQL and *sql.Tx on SQLite; the store in memory has no
// transactions. fn must not end the transaction, and must not keep it. An error of fn
// rolls back and is returned as it is; return it from the step, too.
//
// Tx is the last durable thing that a body does: after it, and within fn, durable calls
// are errors, a second Tx as well. From its begin until the step has returned and all is
// committed it may take 5 seconds, then it is rolled back and the attempt fails with code
// tx_timeout. When another transaction was in the way (a deadlock or a serialization
// failure) the body is run again from its top, without using an attempt, up to 8 times before
// it fails with tx_conflict. Trouble of the database fails no step: it is done again until the
// database is well. Other codes: tx_ended when fn ended the transaction,
// tx_failed when the database refused to commit, tx_unusable.
//
// On SQLite nobody else can write to the file while fn runs.
func Tx[T any](ctx context.Context, fn func(tx T) error) error {
	b, _, err := enter(ctx, "Tx", "")
	if err != nil {
		return err
	}
	if b.h.Mode == plan.Reconcile {
		return fmt.Errorf("%w: Tx: a Reconcile function only finds out what happened", ErrNotInStep)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	tx, err := b.h.BeginTx()
	switch {
	case errors.Is(err, store.ErrNoTransactions):
		return &txError{"tx_unusable", true, fmt.Errorf("Tx: %w; use PostgreSQL or SQLite, or write elsewhere with the idempotency key of Info", err)}
	case err != nil:
		return callGone(ctx, fmt.Errorf("Tx: %w", err))
	}
	b.tx, b.inside = tx, "Tx"
	defer func() { b.inside = "" }()
	user, ok := tx.User().(T)
	if !ok {
		b.dropTx()
		return &txError{"tx_unusable", true, fmt.Errorf("Tx: %w: its function takes a %s, and this store gives another type: pgx.Tx on PostgreSQL, *sql.Tx on SQLite", ErrBadTx, typeName[T]())}
	}
	begun := time.Now()
	if err := fn(user); err != nil {
		b.conflict = tx.Again(err)
		b.dropTx()
		if time.Since(begun) >= run.TxLimit && !b.conflict {
			return &txError{"tx_timeout", false, fmt.Errorf("Tx: %w (%s): %w", store.ErrTxTimeout, run.TxLimit, err)}
		}
		return err
	}
	return nil
}

// txError is a failure of a transaction, with the code that the attempt gets.
type txError struct {
	code  string
	final bool
	err   error
}

func (e *txError) Error() string { return e.err.Error() }
func (e *txError) Unwrap() error { return e.err }

// dropTx rolls the body's transaction back, if one is open.
func (b *body) dropTx() {
	if b.tx != nil {
		b.h.RollbackTx(b.tx)
		b.tx, b.dropped = nil, true
	}
}

// The body is run so often, and with such pauses, while other transactions are
// in the way.
const (
	txTries = 8
	txPause = 20 * time.Millisecond
)

// concludeTx ends the body's transaction, after the body: committed if the body
// is done, else rolled back. It returns true if the body should be run again.
func (b *body) concludeTx(end plan.Ending, c *stepCode, try int) (plan.Ending, bool) {
	mayAgain := try < txTries && !b.h.Node.AtMostOnce
	if b.tx == nil {
		return end, b.conflict && end.Err != nil && mayAgain
	}
	if end.Err != nil || end.Snooze || end.Block != "" {
		b.dropTx()
		return end, false
	}
	b.logs.end()
	tx := b.tx
	b.tx, b.dropped = nil, true
	err := b.h.CommitTx(tx, end)
	if err == nil {
		return end, false
	}
	failed := &txError{"tx_failed", false, fmt.Errorf("Tx: %w", err)}
	switch {
	case (errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrTrouble)) && mayAgain:
		return end, true
	case errors.Is(err, store.ErrTrouble): // which fails no run
		b.h.LetGo()
		return end, false
	case errors.Is(err, store.ErrConflict):
		failed.code = "tx_conflict"
	case errors.Is(err, store.ErrTxTimeout):
		failed.code = "tx_timeout"
	case errors.Is(err, store.ErrTxEnded):
		failed.code = "tx_ended"
	}
	return ending(failed, c, b.h), false
}

// StartTx starts the workflow in a transaction of the caller's on the engine's
// database: a pgx.Tx or *sql.Tx on PostgreSQL, a *sql.Tx on SQLite, of a *sql.DB that the
// caller has opened on the same file. The run exists exactly if that transaction commits, and
// begins within a poll interval after it; until then nobody sees it, Wait included.
//
// Keys work as in Start. A key that another open transaction has just used is waited for.
// After ErrBadTx, ErrKeyConflict and mistakes in the arguments the transaction is as it was;
// after other errors roll it back.
//
// While a *sql.Tx on SQLite is open nobody else can write to the file.
func (w *Workflow[S]) StartTx(ctx context.Context, e *Engine, tx any, input S, opts ...StartOption) (*Run[S], error) {
	raw, err := encode(&input, e.cfg.MaxPayload)
	if err != nil {
		return nil, fmt.Errorf("start %s: the input: %w", w.tree.Name, err)
	}
	id, existing, err := e.startTx(ctx, tx, w.tree.Name, w.tree.Version, raw, opts)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", w.tree.Name, err)
	}
	return &Run[S]{ID: id, Existing: existing, engine: e, workflow: w.tree.Name, plain: w.state.plain}, nil
}

func (e *Engine) startTx(ctx context.Context, tx any, name, version string, raw []byte, opts []StartOption) (ID, bool, error) {
	b, err := e.beginning(name, version, raw, opts)
	if err != nil {
		return ID{}, false, err
	}
	b.Row = run.BeginRow(&b, e.defs[[2]string{name, version}].tree.Timeout, raw, time.Now())
	v, err := e.commitIn(ctx, tx, store.Write{Begin: &b})
	if err != nil {
		return ID{}, false, err
	}
	return started(&b, v)
}

// commitIn applies a write in a caller's transaction.
func (e *Engine) commitIn(ctx context.Context, tx any, w store.Write) (store.Verdict, error) {
	t, ok := e.store.(store.Transactor)
	if !ok {
		return store.Verdict{}, store.ErrNoTransactions
	}
	r, err := t.CommitIn(ctx, tx, []store.Write{w})
	if err != nil {
		return store.Verdict{}, err
	}
	return r.Verdicts[0], nil
}

// SendEventTx is SendEvent in a transaction of the caller's: see StartTx for
// which. The event is there exactly if that commits. Until it ends, whoever changes that one
// run waits for it, so keep it short.
func (e *Engine) SendEventTx(ctx context.Context, tx any, id ID, name string, payload any, opts ...ActOption) error {
	d, err := e.event(id, name, payload, opts)
	if err != nil {
		return err
	}
	if err := e.deliverTx(ctx, tx, d); err != nil {
		return fmt.Errorf("send event %q to run %s: %w", name, id, err)
	}
	return nil
}

// ProvideInputTx is ProvideInput in a transaction of the caller's: see StartTx
// for which. The answer counts exactly if that commits; the wait is looked for as the
// transaction sees it. Until it ends, whoever changes that one run waits for it.
func (e *Engine) ProvideInputTx(ctx context.Context, tx any, id ID, wait string, value any, opts ...ActOption) error {
	err := e.provideTx(ctx, tx, id, wait, value, opts)
	if err != nil {
		return fmt.Errorf("answer %q of run %s: %w", wait, id, err)
	}
	return nil
}

func (e *Engine) provideTx(ctx context.Context, tx any, id ID, wait string, value any, opts []ActOption) error {
	o, err := acting(forProvideInput, opts)
	if err != nil {
		return err
	}
	t, ok := e.store.(store.Transactor)
	if !ok {
		return store.ErrNoTransactions
	}
	status, open, err := t.WaitsIn(ctx, tx, id)
	if err != nil {
		return err
	}
	w, err := named(open, wait, inputKinds()...)
	if w == nil && err == nil {
		err = notOpen(status)
	}
	var d *store.Deliver
	if err == nil {
		d, err = e.answering(w, value, o)
	} else if mayBeEarly(err, o, wait) {
		d, err = e.earlyAnswer(id, wait, value, o)
	}
	if err != nil {
		return err
	}
	return e.deliverTx(ctx, tx, d)
}

func (e *Engine) deliverTx(ctx context.Context, tx any, d *store.Deliver) error {
	v, err := e.commitIn(ctx, tx, store.Write{Deliver: d})
	if err != nil {
		return err
	}
	return delivered(d, v)
}
