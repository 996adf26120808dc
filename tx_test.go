package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store/sqlite"
)

// shared is an engine in a bubble on a file that the test uses, too.
type shared struct {
	env
	db *sql.DB
}

// onShared runs a test on a SQLite file with a table of the user's.
func onShared(t *testing.T, cfg durable.Config, test func(t *testing.T, s shared)) {
	t.Helper()
	path := sqlitePath(t)
	opener := sqlite.Open(path, sqlite.WatchEvery(-1))
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		defer func() { _ = db.Close() }()
		s := shared{env{e, opener}, db}
		s.exec(t, "CREATE TABLE account (name TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT")
		test(t, s)
	}, durabletest.Store(opener))
}

func (s shared) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := s.db.ExecContext(context.Background(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func (s shared) begin(t *testing.T) *sql.Tx {
	t.Helper()
	tx, err := s.db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func (s shared) rows(t *testing.T) (n int) {
	t.Helper()
	if err := s.db.QueryRowContext(context.Background(), "SELECT count(*) FROM account").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// put adds a row in a transaction.
func put(ctx context.Context, tx *sql.Tx, name string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO account (name, cents) VALUES (?, 1)", name)
	return err
}

// book is a step that writes a row exactly once.
func book(name string) *durable.StepNode[note] {
	return body(name, func(ctx context.Context, n *note) error {
		n.Trace = append(n.Trace, name)
		return durable.Tx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, name) })
	})
}

func TestRS9_RowsAndRecordCommitTogether(t *testing.T) {
	w := durable.Define("w", book("a"), mark("b"), book("c"))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		r, err := w.Start(t.Context(), s.Engine.Engine, note{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantTrace(t, got, "a", "b", "c")
		if n := s.rows(t); n != 2 {
			t.Errorf("%d rows, want 2", n)
		}
	})
}

func TestRS9_FailuresAfterTxRollBack(t *testing.T) {
	boom := errors.New("boom")
	for name, end := range map[string]func() error{
		"error":  func() error { return boom },
		"panic":  func() error { panic("boom") },
		"cancel": func() error { return durable.CancelRun("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
				if err := durable.Tx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, "a") }); err != nil {
					return err
				}
				return end()
			}))
			onShared(t, serve(w), func(t *testing.T, s shared) {
				r, err := w.Start(t.Context(), s.Engine.Engine, note{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Wait(t.Context()); err == nil {
					t.Error("the run completed")
				}
				if n := s.rows(t); n != 0 {
					t.Errorf("%d rows, want none", n)
				}
			})
		})
	}
}

func TestRS9_TxTimeout(t *testing.T) {
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
		return durable.Tx(ctx, func(tx *sql.Tx) error {
			if err := put(ctx, tx, "a"); err != nil {
				return err
			}
			return rest(ctx, 6*time.Second)
		})
	}))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		r, err := w.Start(t.Context(), s.Engine.Engine, note{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Wait(t.Context())
		wantFailure(t, err, durable.Failed, "tx_timeout", "a")
		if n := s.rows(t); n != 0 {
			t.Errorf("%d rows, want none", n)
		}
	})
}
