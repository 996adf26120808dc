package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/durable-go/durable/store/storetest"
)

// users are users with a *sql.DB of their own on a file, and one on another.
func users(path string) func(tb testing.TB) storetest.Users {
	return func(tb testing.TB) storetest.Users {
		return storetest.SQLUsers(tb, database(tb, path), func() *sql.DB { return database(tb, filepath.Join(tb.TempDir(), "elsewhere.db")) })
	}
}

func database(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		tb.Fatal(err)
	}
	return db
}
