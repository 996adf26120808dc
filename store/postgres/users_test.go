package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/durable-go/durable/store/storetest"
)

// sqlUsers work with database/sql in a schema: pgx's adapter stands for any
// driver.
func sqlUsers(url, schema string) func(tb testing.TB) storetest.Users {
	return func(tb testing.TB) storetest.Users {
		return storetest.SQLUsers(tb, database(tb, url, schema), func() *sql.DB { return elsewhere(tb, url) })
	}
}

// elsewhere is another database, which is dropped when the test ends.
func elsewhere(tb testing.TB, url string) *sql.DB {
	tb.Helper()
	name := fmt.Sprintf("durable_test_%016x", rand.Uint64())
	execute(tb, url, "create database "+name)
	tb.Cleanup(func() { execute(tb, url, "drop database "+name+" with (force)") })
	config, err := pgx.ParseConfig(url)
	if err != nil {
		tb.Fatal(err)
	}
	config.Database = name
	return stdlib.OpenDB(*config)
}

// database is one whose tables without a schema are in that one.
func database(tb testing.TB, url, schema string) *sql.DB {
	tb.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		tb.Fatal(err)
	}
	config.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	return stdlib.OpenDB(*config)
}

// pgxUsers work with pgx.
type pgxUsers struct {
	storetest.Users
	tb          testing.TB
	url, schema string
}

func newPgxUsers(url, schema string) func(tb testing.TB) storetest.Users {
	return func(tb testing.TB) storetest.Users {
		return pgxUsers{sqlUsers(url, schema)(tb), tb, url, schema}
	}
}

func (u pgxUsers) Begin() any { return u.on(u.url) }

func (u pgxUsers) on(url string) pgx.Tx {
	u.tb.Helper()
	c, err := pgx.Connect(u.tb.Context(), url)
	if err != nil {
		u.tb.Fatal(err)
	}
	u.tb.Cleanup(func() { _ = c.Close(context.Background()) })
	tx, err := c.Begin(u.tb.Context())
	if err != nil {
		u.tb.Fatal(err)
	}
	return tx
}

func (u pgxUsers) Commit(tx any) error   { return tx.(pgx.Tx).Commit(u.tb.Context()) }
func (u pgxUsers) Rollback(tx any) error { return tx.(pgx.Tx).Rollback(u.tb.Context()) }

func (u pgxUsers) Put(tx any, name string) error {
	return u.exec(tx, "INSERT INTO "+pgx.Identifier{u.schema, "users_row"}.Sanitize()+" (name) VALUES ($1)", name)
}

func (u pgxUsers) Exec(tx any, statement string) error {
	return u.exec(tx, strings.ReplaceAll(statement, "users_row", pgx.Identifier{u.schema, "users_row"}.Sanitize()))
}

func (u pgxUsers) exec(tx any, statement string, args ...any) error {
	_, err := tx.(pgx.Tx).Exec(u.tb.Context(), statement, args...)
	return err
}

func (u pgxUsers) Strangers() map[string]any {
	ended := u.on(u.url)
	_ = ended.Rollback(u.tb.Context())
	return map[string]any{"an ended transaction": ended}
}
