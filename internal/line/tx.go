package line

import (
	"context"
	"time"

	"github.com/durable-go/durable/store"
)

// CommitIn passes on. What is written is a change of the store only if the
// caller commits, which nobody tells the line: whoever waits for that sleeps.
func (l *Line) CommitIn(ctx context.Context, tx any, writes []store.Write) (store.Result, error) {
	t, err := l.transactor()
	if err != nil {
		return store.Result{}, err
	}
	return t.CommitIn(ctx, tx, writes)
}

// WaitsIn implements store.Transactor.
func (l *Line) WaitsIn(ctx context.Context, tx any, id store.ID) (store.Status, []store.Wait, error) {
	t, err := l.transactor()
	if err != nil {
		return "", nil, err
	}
	return t.WaitsIn(ctx, tx, id)
}

// Begin implements store.Transactor.
func (l *Line) Begin(ctx context.Context, limit time.Duration) (store.Tx, error) {
	t, err := l.transactor()
	if err != nil {
		return nil, err
	}
	tx, err := t.Begin(ctx, limit)
	if err != nil {
		return nil, err
	}
	return lineTx{tx, l}, nil
}

func (l *Line) transactor() (store.Transactor, error) {
	if err := l.up(); err != nil {
		return nil, err
	}
	t, ok := l.Store.(store.Transactor)
	if !ok {
		return nil, store.ErrNoTransactions
	}
	return t, nil
}

// lineTx is a transaction whose commit is a change of the store.
type lineTx struct {
	store.Tx
	l *Line
}

// Commit implements store.Tx.
func (t lineTx) Commit(ctx context.Context, a store.Advance) (r store.Result, err error) {
	dead := t.l.change(ctx, func() bool {
		r, err = t.Tx.Commit(ctx, a)
		return err == nil && r.Verdicts[0].Code == store.Applied
	})
	if dead != nil {
		t.Tx.Rollback() // if it has not come to the commit
		return store.Result{}, dead
	}
	return r, err
}
