//go:build linux

package pgtest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/internal/pgtest"
)

// A cluster is real: with fsync, restarted after a crash with what was
// committed, in recovery when told; with a pooler before it.
func TestCluster(t *testing.T) {
	c, err := pgtest.New("max_connections=30")
	if errors.Is(err, pgtest.ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ask := func(url, statement string) string {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		var text string
		if err := conn.QueryRow(t.Context(), statement, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatalf("%s: %v", statement, err)
		}
		return text
	}
	url := c.URL("postgres")
	if got := ask(url, "select current_setting('fsync') || current_setting('max_connections')"); got != "on30" {
		t.Errorf("settings %s", got)
	}
	ask(url, "create table t as select 7 as n")
	if err := errors.Join(c.Stop(), c.Start("max_connections=40")); err != nil {
		t.Fatal(err)
	}
	if got := ask(url, "select n || current_setting('max_connections') from t"); got != "740" {
		t.Errorf("after a crash: %s", got)
	}
	b, err := pgtest.NewBouncer(c, 4)
	if errors.Is(err, pgtest.ErrNoBouncer) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(b.URL("postgres"), "select n::text from t"); got != "7" {
		t.Errorf("by the pooler: %s", got)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.Stop(), c.Standby(), c.Start("max_connections=40")); err != nil {
		t.Fatal(err)
	}
	if got := ask(url, "select pg_is_in_recovery()::text"); !strings.HasPrefix(got, "t") {
		t.Errorf("in recovery: %s", got)
	}
}
