// Package postgres is the store on PostgreSQL 14 or newer: for several
// machines.
//
// A spike: passes the conformance suite; not yet recommended: durable.Open works
// with it, but operation under failover, pooling and load is the next step.
//
// It knows SQL, locks and what PostgreSQL's errors mean; it does not know what
// is in a row or a payload. Only package store's contract is behind it, and
// only the engine calls it.
//
// # The fence
//
// A worker's lease is one row, and its lock is what keeps apart the owner of
// an execution from whoever takes it away. A batch holds the lease of every
// owner in it FOR KEY SHARE until it is durable: batches do not wait for each
// other, nor for renewals, which do not touch the key. Expire, Retire and
// Control hold it FOR UPDATE before they look at what the worker owns. The lock is
// a statement of its own, so the snapshot of what follows is taken after it:
// under READ COMMITTED nothing of an old epoch can land. What is left is two
// writes of one owner on one base, and the journal's primary key refuses the second.
//
// So a plain step reads its execution's row and does not lock it. Whatever
// changes that row locks it first, all of a batch in the order of their IDs;
// leases come before executions, and executions before the names of holds.
//
// # Time
//
// A transaction asks the clock of the database once, after it has its locks:
// who waited for them must not judge by the time at which he began to wait.
package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable/store"
)

// Store is a handle on the tables in one schema.
type Store struct {
	pool   *pgxpool.Pool
	ours   bool // the pool is closed with the store
	schema schema
	token  string // marks our own notifications

	done chan struct{} // closed by Close
	once sync.Once
	wg   sync.WaitGroup // watchers
}

var _ store.Store = (*Store)(nil)

func newStore(pool *pgxpool.Pool, ours bool, in schema) *Store {
	return &Store{pool: pool, ours: ours, schema: in, token: uuid.NewString(), done: make(chan struct{})}
}

// enter refuses calls that must fail before anything is sent.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.done:
		return errClosed
	default:
		return nil
	}
}

// view runs fn within one state of the database.
func (s *Store) view(ctx context.Context, doing string, fn func(q pgx.Tx) error) error {
	if err := s.enter(ctx); err != nil {
		return explain(doing, err)
	}
	q, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return explain(doing, err)
	}
	defer rollback(ctx, q)
	if err := fn(q); err != nil {
		return explain(doing, err)
	}
	return nil
}

// rollback ends a transaction that may have ended already. The pool drops a
// connection on which that fails.
func rollback(ctx context.Context, q pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = q.Rollback(ctx)
}

// Close waits for what is running if the pool is ours, and else leaves the pool alone.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.wg.Wait()
		if s.ours {
			s.pool.Close()
		}
	})
	return nil
}

// Limits of a store, with their reasons.
const (
	// Who races with us again and again is either a bug or a livelock.
	raceTries = 10
	// A connection whose server does not answer a rollback is not worth keeping.
	rollbackTimeout = 5 * time.Second
	// A server that went away is asked again this often: hints are a courtesy,
	// polling is the safety net.
	watchPause = time.Second
	// A transaction whose client has vanished holds its locks until the server
	// gives it up, and a takeover waits for it.
	idleTransaction = 10 * time.Second
	// One value may have at most 1 GB on the wire, escapes included; batches
	// near that are a mistake.
	batchBytes = 256 << 20
)

var (
	// errClosed is what calls after Close get.
	errClosed = errors.New("the store is closed")
	// errRaced: what was read has changed before it could be locked. Nothing was
	// written, and the transaction is done again.
	errRaced = errors.New("another transaction was faster, again and again")
)
