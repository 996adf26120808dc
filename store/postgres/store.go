// Package postgres is the store on PostgreSQL 14 or newer: for several
// machines.
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

	"github.com/durable-go/durable/store"
)

// Store is a handle on the tables in one schema.
type Store struct {
	conns
	schema schema
	token  string        // marks our own notifications
	hints  chan struct{} // holds one
	home   string        // tells our tables from those of another database

	done chan struct{} // closed by Close
	once sync.Once
	wg   sync.WaitGroup // watchers, and who looks after partitions

	drawing chan struct{} // has room for who draws from counters

	width   time.Duration   // of partitions
	life    context.Context // ends with Close
	end     context.CancelFunc
	tending sync.Mutex // of the next
	tended  struct {
		busy bool
		next time.Time
	}
}

var _ store.Store = (*Store)(nil)

func newStore(c conns, in schema, home string, width time.Duration) *Store {
	s := &Store{
		conns: c, schema: in, home: home, token: uuid.NewString(), hints: make(chan struct{}, 1), done: make(chan struct{}), width: width, drawing: make(chan struct{}, drawAtOnce),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.wg.Add(1)
	go s.tellOthers()
	return s
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

// view asks questions within one state of the database, in one round trip.
func (s *Store) view(ctx context.Context, doing string, ask func(b *pgx.Batch)) error {
	err := s.enter(ctx)
	if err == nil {
		err = s.use(ctx, s.read, func(c *pgx.Conn) error {
			var b pgx.Batch
			b.Queue(beginRead)
			ask(&b)
			b.Queue(commitTx)
			err := c.SendBatch(ctx, &b).Close()
			if err != nil {
				rollback(ctx, c)
			}
			return err
		})
	}
	if err != nil {
		return explain(doing, err)
	}
	return nil
}

// ask asks one question.
func (s *Store) ask(ctx context.Context, doing, statement string, args []any, row func(pgx.CollectableRow) error) error {
	err := s.enter(ctx)
	if err == nil {
		err = s.use(ctx, s.read, func(c *pgx.Conn) error { return query(ctx, c, s.schema.of(statement), args, row) })
	}
	if err != nil {
		return explain(doing, err)
	}
	return nil
}

// Close waits for what is running. A pool that the caller made stays open.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.tending.Lock()
		close(s.done)
		s.tending.Unlock()
		s.end()
		s.wg.Wait()
		s.conns.close()
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
	// A hint that finds no connection is not worth waiting for.
	hintTimeout = 5 * time.Second
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
