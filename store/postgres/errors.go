package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/durable-go/durable/store"
)

// kind finds the sentinel that an error of the server stands for, or nil: then
// the outcome is unknown.
//
// Only what the server says counts. When a connection breaks, pgx may call it
// safe to try again although the COMMIT has arrived (seen up to pgx 5.12), so
// nothing here asks pgconn.SafeToRetry.
func kind(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code {
	case "54000": // program_limit_exceeded: too large for an index, for example
		return store.ErrRefused
	case "53100": // disk_full
		return store.ErrFull
	case "25006": // read_only_sql_transaction
		return store.ErrReadOnly
	}
	switch e.Code[:2] {
	case "22", "23": // data exceptions, constraints
		return store.ErrRefused
	}
	return nil
}

// raced tells whether a transaction failed for certain and only because of
// another one, so that doing it again helps.
func raced(err error) bool {
	if errors.Is(err, errRaced) {
		return true
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return true
	case "23505": // unique_violation: another write of the same owner was faster
		return strings.HasPrefix(e.TableName, "journal_") // a partition of it
	}
	return false
}

// explain names the operation once, and adds the sentinel.
func explain(doing string, err error) error {
	if k := kind(err); k != nil && !errors.Is(err, k) {
		return fmt.Errorf("postgres: %s: %w: %w", doing, k, err)
	}
	return fmt.Errorf("postgres: %s: %w", doing, err)
}
