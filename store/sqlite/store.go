// Package sqlite is the store on one SQLite file: for one machine, with one or
// several processes, without anything to install.
//
// It knows SQL, locks, files and what SQLite's errors mean; it does not know
// what is in a row or a payload. Only package store's contract is behind it,
// and only the engine calls it.
//
// One connection writes, under a lock; a few others read. A commit is one
// IMMEDIATE transaction, flushed before Commit returns (see Relaxed). Fencing
// needs no locks of its own: there is one writer in a process, and SQLite
// admits one process at a time, so what is read within the transaction holds
// until it ends.
package sqlite

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/durable-go/durable/store"
)

// Store is an open database file.
type Store struct {
	path    string
	options options

	writing chan struct{} // holds a token while nobody writes
	writer  *conn         // guarded by the token; nil if it must be opened anew
	heads   heads         // guarded by the token
	written int64         // transactions since tidy last looked; guarded by the token

	readers chan *conn // a nil stands for one that is not open yet

	guests chan struct{} // holds a token while no user code has a transaction

	done   chan struct{} // closed by Close
	once   sync.Once
	closed error // of the first Close
	wg     sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// tx is a write transaction. now is the store's clock for all of it.
type tx struct {
	*conn
	s     *Store
	heads *heads // of this connection
	now   int64
	live  map[store.Incarnation]bool // leases asked about so far
}

// update runs fn in a write transaction. It commits if fn returns nil and else
// rolls back; after it the connection is healthy or will be opened anew.
//
// ctx is obeyed until the transaction begins. From then on it finishes, so that
// a caller that gives up early does not turn what is known into a guess.
func (s *Store) update(ctx context.Context, doing string, fn func(t *tx) error) (now time.Time, err error) {
	if err := s.lock(ctx); err != nil {
		return time.Time{}, s.explain(doing, err)
	}
	defer s.unlock()
	t := &tx{conn: s.writer, s: s, heads: &s.heads}
	err = t.run(ctx, fn)
	if err != nil {
		s.heads.forget()
		s.heal()
		return time.Time{}, s.explain(doing, err)
	}
	s.written++
	return fromMicros(t.now), nil
}

func (t *tx) run(ctx context.Context, fn func(t *tx) error) error {
	if err := t.start(ctx); err != nil {
		return err
	}
	if err := t.heads.check(t.conn); err != nil {
		return err
	}
	// Read after the lock is held: who waited for it must not judge by the
	// time at which he began to wait.
	t.now = time.Now().UnixMicro()
	if err := fn(t); err != nil {
		return err
	}
	_, err := t.exec("COMMIT")
	return err
}

// start begins the transaction as soon as no other connection has one.
//
// SQLite's own waiting sleeps longer each time, up to 100 ms, while a busy
// neighbour leaves gaps of 50 µs between its commits: under load it starves for
// many seconds, until leases are lost. Asking every millisecond or so finds a
// gap soon. Random pauses keep two that wait from going in step.
func (t *tx) start(ctx context.Context) error {
	var pause *time.Timer
	for begun := time.Now(); ; {
		_, err := t.exec("BEGIN IMMEDIATE")
		if !busy(err) || time.Since(begun) > busyTimeout {
			return err
		}
		if d := minPause + rand.N(maxPause-minPause); pause == nil {
			pause = time.NewTimer(d)
			defer pause.Stop()
		} else {
			pause.Reset(d)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.s.done:
			return errClosed
		}
	}
}

// lock waits for the writer and makes sure that there is one.
func (s *Store) lock(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if s.writer != nil {
		return nil
	}
	w, err := s.openWriter()
	if err != nil {
		s.unlock()
		return err
	}
	s.writer = w
	return nil
}

// enter takes the token.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.done:
		return errClosed
	default:
	}
	select {
	case <-s.writing:
		return nil
	case <-s.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) unlock() { s.writing <- struct{}{} }

// heal ends a transaction that failed. SQLite may have ended it already, which
// is the one error that does not matter.
func (s *Store) heal() {
	_, _ = s.writer.exec("ROLLBACK")
	// Outside of a transaction a second one can begin; inside it cannot.
	if _, err := s.writer.exec("BEGIN"); err == nil {
		if _, err = s.writer.exec("ROLLBACK"); err == nil {
			return
		}
	}
	_ = s.writer.close()
	s.writer = nil
}

// view runs fn on a reading connection, within one state of the database.
func (s *Store) view(ctx context.Context, doing string, fn func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return s.explain(doing, err)
	}
	select {
	case <-s.done:
		return s.explain(doing, errClosed)
	default:
	}
	var c *conn
	select {
	case c = <-s.readers:
	case <-s.done:
		return s.explain(doing, errClosed)
	case <-ctx.Done():
		return s.explain(doing, ctx.Err())
	}
	err := error(nil)
	if c == nil {
		c, err = s.openReader()
	}
	if err == nil {
		if err = snapshot(c, fn); err != nil && kind(err) == nil && !expected(err) {
			// Rare, and a new connection is cheap.
			_ = c.close()
			c = nil
		}
	}
	s.readers <- c
	if err != nil {
		return s.explain(doing, err)
	}
	return nil
}

// expected tells an answer from a failure.
func expected(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadCursor)
}

func snapshot(c *conn, fn func(c *conn) error) error {
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	err := fn(c)
	_, end := c.exec("ROLLBACK")
	return errors.Join(err, end)
}

// Close waits for what is running, then closes all connections. The last
// process to close also folds the log back into the file.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.done)
		<-s.writing // never given back
		s.wg.Wait()
		var errs []error
		for range cap(s.readers) {
			if c := <-s.readers; c != nil {
				errs = append(errs, c.close())
			}
		}
		if s.writer != nil {
			// Last, so that it is the one that removes the log.
			errs = append(errs, s.writer.close())
		}
		if err := errors.Join(errs...); err != nil {
			s.closed = s.explain("close", err)
		}
	})
	return s.closed
}
