package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/durable-go/durable/store"
)

// errClosed is what calls after Close get.
var errClosed = errors.New("the store is closed")

// kind finds the sentinel that a driver's error stands for, or nil: then the
// outcome is unknown.
func kind(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	if e.Code() == lib.SQLITE_IOERR_SHMSIZE {
		// The index of the log could not grow: the only way a full disk shows
		// before anything is written.
		return store.ErrFull
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_FULL:
		return store.ErrFull
	case lib.SQLITE_CONSTRAINT, lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH:
		return store.ErrRefused
	case lib.SQLITE_READONLY:
		return store.ErrReadOnly
	case lib.SQLITE_NOTADB:
		return store.ErrNotDatabase
	}
	return nil
}

// busy tells whether another connection had the lock for too long.
func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == lib.SQLITE_BUSY || e.Code()&0xff == lib.SQLITE_LOCKED)
}

// passes tells whether an error has nothing to do with what was asked: a full
// disk, a failing one, no memory, a busy neighbour.
func passes(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_CANTOPEN, lib.SQLITE_PROTOCOL:
		return true
	}
	return busy(err)
}

// explain names the path and the operation once, and adds the sentinel.
func (s *Store) explain(doing string, err error) error {
	if k := kind(err); k != nil && !errors.Is(err, k) {
		return fmt.Errorf("sqlite: %s: %s: %w: %w", s.path, doing, k, err)
	}
	return fmt.Errorf("sqlite: %s: %s: %w", s.path, doing, err)
}
