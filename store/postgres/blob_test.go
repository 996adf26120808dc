package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// bodies counts what is stored of blobs that are shared.
func bodies(url, schema string) func(tb testing.TB) int {
	return func(tb testing.TB) (n int) {
		tb.Helper()
		c, err := pgx.Connect(tb.Context(), url)
		if err != nil {
			tb.Fatal(err)
		}
		defer func() { _ = c.Close(tb.Context()) }()
		if err := c.QueryRow(tb.Context(), "SELECT count(*) FROM "+pgx.Identifier{schema, "body"}.Sanitize()).Scan(&n); err != nil {
			tb.Fatal(err)
		}
		return n
	}
}
