package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/durable-go/durable/store"
)

// kind finds the sentinel that an error of the server stands for, or nil: then
// the outcome is unknown, and the caller asks again.
//
// Only what the server says counts. When a connection breaks, pgx may call it
// safe to try again although the COMMIT has arrived (seen up to pgx 5.12), so
// nothing here asks pgconn.SafeToRetry.
//
// Refused is only what this very write brings about, whoever sends it: its data
// (22), constraints that they break (23), sizes that they exceed (54). All else
// may pass, some of it when somebody mends something: broken connections (08),
// races (40), rights (42501), resources (53), locks (55), an operator (57),
// disks (58), tables that are gone (42P01).
func kind(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return nil
	}
	switch e.Code {
	case "53100": // disk_full
		return store.ErrFull
	case "25006": // read_only_sql_transaction
		return store.ErrReadOnly
	}
	switch e.Code[:2] {
	case "22", "23", "54":
		return store.ErrRefused
	}
	return nil
}

// remedy is what somebody can do about an error that does not pass by itself.
func remedy(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code {
	case "42501":
		return "this user's rights on the tables were taken away; nothing is lost, and work goes on when they are granted again"
	case "42P01", "3F000":
		return "the tables are gone while they are in use; restore them, or stop this program"
	case "53300":
		return "the server has no connection left; raise max_connections, or close some"
	case "25006":
		return "the server takes no writes (a standby, perhaps after a failover, or default_transaction_read_only); connect to the primary"
	case "53100":
		return "the server's disk is full; work goes on when there is room"
	}
	return ""
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
	case "23514": // check_violation, of no constraint: its own partition has come while the row was on its way to the default one
		return e.ConstraintName == "" && strings.HasPrefix(e.TableName, "journal_")
	}
	return false
}

// tooMany tells whether the server has no connection left.
func tooMany(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "53300"
}

// explain names the operation once, and adds what to do and the sentinel.
func explain(doing string, err error) error {
	if text := remedy(err); text != "" && doing != "open" {
		doing += ": " + text
	}
	if k := kind(err); k != nil && !errors.Is(err, k) {
		return fmt.Errorf("postgres: %s: %w: %w", doing, k, err)
	}
	return fmt.Errorf("postgres: %s: %w", doing, err)
}
