package storetest

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/durable-go/durable/store"
)

// Users is what users do in the database of a store.Transactor.
type Users interface {
	// Begin opens a transaction, of a type that the store takes.
	Begin() any
	// Commit and Rollback end a transaction, also one that the store gave.
	Commit(tx any) error
	Rollback(tx any) error
	// Put adds a row to the users' table in a transaction, also in one that the store gave.
	Put(tx any, name string) error
	// Exec runs a statement in a transaction.
	Exec(tx any, statement string) error
	// Has tells whether everybody sees a row.
	Has(name string) bool
	// Strangers are values that are no open transaction on this database.
	Strangers() map[string]any
}

// SQLUsers are users that work with database/sql. elsewhere opens another
// database, without tables of a store; both are closed when the test ends.
func SQLUsers(tb testing.TB, db *sql.DB, elsewhere func() *sql.DB) Users {
	tb.Helper()
	u := sqlUsers{tb, db, elsewhere}
	tb.Cleanup(func() { _ = db.Close() })
	if _, err := db.ExecContext(context.WithoutCancel(tb.Context()), "CREATE TABLE IF NOT EXISTS users_row (name VARCHAR(100) PRIMARY KEY)"); err != nil {
		tb.Fatalf("the users' table: %v", err)
	}
	return u
}

type sqlUsers struct {
	tb        testing.TB
	db        *sql.DB
	elsewhere func() *sql.DB
}

func (u sqlUsers) on(db *sql.DB) *sql.Tx {
	u.tb.Helper()
	tx, err := db.BeginTx(u.tb.Context(), nil)
	if err != nil {
		u.tb.Fatalf("begin: %v", err)
	}
	u.tb.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (u sqlUsers) Begin() any            { return u.on(u.db) }
func (u sqlUsers) Commit(tx any) error   { return tx.(*sql.Tx).Commit() }
func (u sqlUsers) Rollback(tx any) error { return tx.(*sql.Tx).Rollback() }

func (u sqlUsers) Put(tx any, name string) error {
	_, err := tx.(*sql.Tx).ExecContext(u.tb.Context(), "INSERT INTO users_row (name) VALUES ($1)", name)
	return err
}

func (u sqlUsers) Exec(tx any, statement string) error {
	_, err := tx.(*sql.Tx).ExecContext(u.tb.Context(), statement)
	return err
}

func (u sqlUsers) Has(name string) bool {
	u.tb.Helper()
	var one int
	err := u.db.QueryRowContext(u.tb.Context(), "SELECT 1 FROM users_row WHERE name = $1", name).Scan(&one)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		u.tb.Fatalf("look for a row: %v", err)
	}
	return err == nil
}

func (u sqlUsers) Strangers() map[string]any {
	ended := u.on(u.db)
	_ = ended.Rollback()
	elsewhere := u.elsewhere()
	u.tb.Cleanup(func() { _ = elsewhere.Close() })
	return map[string]any{
		"nil": nil, "a nil transaction": (*sql.Tx)(nil), "a database": u.db, "a text": "tx",
		"an ended transaction": ended, "a transaction on another database": u.on(elsewhere),
	}
}

// transactor is the clause's store as a Transactor, with its users; ok is false if it has
// no transactions, and then the clause says nothing about it.
func (e *env) transactor() (t store.Transactor, u Users, ok bool) {
	e.tb.Helper()
	if e.h.Users == nil {
		return nil, nil, false
	}
	t, ok = e.st.(store.Transactor)
	if !ok {
		e.failf("the store is no Transactor")
	}
	return t, e.h.Users(e.tb), true
}
