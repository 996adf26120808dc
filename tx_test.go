package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/sqlite"
)

// shared is an engine in a bubble on a file that the test uses, too.
type shared struct {
	env
	db  *sql.DB
	cut *cutter
}

// onShared runs a test on a SQLite file with a table of the user's.
func onShared(t *testing.T, cfg durable.Config, test func(t *testing.T, s shared)) {
	t.Helper()
	path := sqlitePath(t)
	opener := sqlite.Open(path, sqlite.WatchEvery(-1))
	cut := &cutter{Opener: opener}
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		s := shared{env{e, opener}, openFile(t, path), cut}
		defer func() { _ = s.db.Close() }()
		s.exec(t, "CREATE TABLE account (name TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT")
		test(t, s)
	}, durabletest.Store(cut))
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
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

// rows are the names in the user's table.
func (s shared) rows(t *testing.T) (list []string) {
	t.Helper()
	rows, err := s.db.QueryContext(context.Background(), "SELECT name FROM account ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		list = append(list, name)
	}
	return list
}

func (s shared) wantRows(t *testing.T, want ...string) {
	t.Helper()
	if got := s.rows(t); !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// run starts a workflow and waits for its end.
func (s shared) run(t *testing.T, w *durable.Workflow[note]) (durable.ID, note, error) {
	t.Helper()
	r, err := w.Start(t.Context(), s.Engine.Engine, note{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Wait(t.Context())
	return r.ID, got, err
}

// cutter spoils the next commits of bodies' transactions: one for each fault.
type cutter struct {
	store.Opener
	faults []fault
	begins int
}

type fault func(ctx context.Context, tx store.Tx, a store.Advance) (store.Result, error)

var errCut = errors.New("the connection was cut")

func cutBefore(_ context.Context, tx store.Tx, _ store.Advance) (store.Result, error) {
	tx.Rollback()
	return store.Result{}, errCut
}

func cutAfter(ctx context.Context, tx store.Tx, a store.Advance) (store.Result, error) {
	if r, err := tx.Commit(ctx, a); err != nil || r.Verdicts[0].Code != store.Applied {
		return store.Result{}, fmt.Errorf("planned to land: %+v, %w", r, err)
	}
	return store.Result{}, errCut
}

func conflict(_ context.Context, tx store.Tx, _ store.Advance) (store.Result, error) {
	tx.Rollback()
	return store.Result{}, fmt.Errorf("%w: %w", store.ErrRolledBack, store.ErrConflict)
}

func trouble(_ context.Context, tx store.Tx, _ store.Advance) (store.Result, error) {
	tx.Rollback()
	return store.Result{}, fmt.Errorf("%w: %w", store.ErrRolledBack, store.ErrTrouble)
}

func superseded(ctx context.Context, tx store.Tx, a store.Advance) (store.Result, error) {
	a.Epoch--
	return tx.Commit(ctx, a)
}

func (c *cutter) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := c.Opener.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	return cutStore{s, s.(store.Transactor), c}, nil
}

type cutStore struct {
	store.Store
	store.Transactor
	c *cutter
}

func (s cutStore) Begin(ctx context.Context, limit time.Duration) (store.Tx, error) {
	s.c.begins++
	tx, err := s.Transactor.Begin(ctx, limit)
	return cutTx{tx, s.c}, err
}

type cutTx struct {
	store.Tx
	c *cutter
}

func (x cutTx) Commit(ctx context.Context, a store.Advance) (store.Result, error) {
	if len(x.c.faults) == 0 {
		return x.Tx.Commit(ctx, a)
	}
	f := x.c.faults[0]
	x.c.faults = x.c.faults[1:]
	return f(ctx, x.Tx, a)
}

// put adds a row in a transaction.
func put(ctx context.Context, tx *sql.Tx, name string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO account (name, cents) VALUES (?, 1)", name)
	return err
}

// book is a step that writes a row exactly once.
func book(name string, seen *tally) *durable.StepNode[note] {
	return body(name, func(ctx context.Context, n *note) error {
		seen.add(name)
		n.Trace = append(n.Trace, name)
		durable.Logger(ctx).Info("booking")
		return durable.Tx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, name) })
	})
}

func TestRS9_RowsAndRecordCommitTogether(t *testing.T) {
	seen := &tally{}
	w := durable.Define("w", book("a", seen), mark("b"), book("c", seen))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		id, got, err := s.run(t, w)
		if err != nil {
			t.Fatal(err)
		}
		wantTrace(t, got, "a", "b", "c")
		s.wantRows(t, "a", "c")
		if done := kinds(s.facts(t, id), journal.Done); len(done) != 3 {
			t.Errorf("done facts %v", done)
		}
		x, err := s.Execution(t.Context(), id, durable.WithSteps)
		if err != nil {
			t.Fatal(err)
		}
		if got := steps(x); !slices.Equal(got, []string{"a 1 done", "b 1 done", "c 1 done"}) {
			t.Errorf("steps %q", got)
		}
		if logs, err := s.Logs(t.Context(), id, time.Time{}); err != nil || len(logs) != 2 {
			t.Errorf("%d log entries, error %v", len(logs), err)
		}
	})
}

// kinds are the paths of the facts of a kind.
func kinds(facts []journal.Fact, kind journal.Kind) (paths []string) {
	for _, f := range facts {
		if f.Kind == kind {
			paths = append(paths, f.Path)
		}
	}
	return paths
}

// Whatever becomes of a commit whose reply is lost, the rows are there once, no
// attempt is used up, no crash is counted, and it takes no lease and no poll interval.
func TestRS9_LostReplies(t *testing.T) {
	for name, c := range map[string]struct {
		faults []fault
		bodies int
	}{
		"it landed":                       {[]fault{cutAfter}, 1},
		"it did not":                      {[]fault{cutBefore}, 2},
		"three times it did not":          {[]fault{cutBefore, cutBefore, cutBefore}, 4},
		"it did not, and then it did":     {[]fault{cutBefore, cutAfter}, 2},
		"conflicts":                       {[]fault{conflict, conflict, conflict}, 4},
		"trouble":                         {slices.Repeat([]fault{trouble}, 20), 21},
		"a conflict, and then it is lost": {[]fault{conflict, cutBefore, conflict}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			seen := &tally{}
			w := durable.Define("w", mark("a"), book("b", seen), mark("c"))
			onShared(t, serve(w), func(t *testing.T, s shared) {
				s.cut.faults = c.faults
				begun := time.Now()
				id, got, err := s.run(t, w)
				if err != nil {
					t.Fatal(err)
				}
				wantTrace(t, got, "a", "b", "c")
				s.wantRows(t, "b")
				if n := seen.of("b"); n != c.bodies {
					t.Errorf("%d bodies, want %d", n, c.bodies)
				}
				if took := time.Since(begun); took > 30*time.Second {
					t.Errorf("it took %s", took)
				}
				facts := s.facts(t, id)
				if d := kinds(facts, journal.Delayed); len(d) > 0 {
					t.Errorf("attempts were used up: %q", d)
				}
				if d := kinds(facts, journal.Done); !slices.Equal(d, []string{"a", "b", "c"}) {
					t.Errorf("done facts %q", d)
				}
			})
		})
	}
}

// An owner that was replaced writes neither rows nor record.
func TestRS9_ASupersededOwnerWritesNothing(t *testing.T) {
	seen := &tally{}
	w := durable.Define("w", book("a", seen))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onShared(t, cfg, func(t *testing.T, s shared) {
		s.cut.faults = []fault{func(ctx context.Context, tx store.Tx, a store.Advance) (store.Result, error) {
			r, err := superseded(ctx, tx, a)
			if err != nil || r.Verdicts[0].Code != store.Superseded {
				t.Errorf("%+v, %v", r, err)
			}
			s.wantRows(t)
			return r, err
		}}
		if _, _, err := s.run(t, w); err != nil { // this process lets it go and takes it up again
			t.Fatal(err)
		}
		s.wantRows(t, "a")
		if n := seen.of("a"); n != 2 {
			t.Errorf("%d bodies, want 2", n)
		}
	})
}

// The process dies after each change of the store, and the next one goes on.
func TestRS9_CrashAtEveryChange(t *testing.T) {
	crashes := 0
	for n := 1; ; n++ {
		seen := &tally{}
		w := durable.Define("w", book("a", seen), book("b", seen))
		crashed := false
		onShared(t, serve(w), func(t *testing.T, s shared) {
			s.CrashAfter(n)
			r := durabletest.Start(s.env.Engine, w, note{}, durable.Key("once"))
			got := r.Done()
			crashed = s.Crashes() > 0
			wantTrace(t, got, "a", "b")
			s.wantRows(t, "a", "b")
			if d := kinds(s.facts(t, r.ID), journal.Done); !slices.Equal(d, []string{"a", "b"}) {
				t.Errorf("crash %d: done facts %q", n, d)
			}
		})
		if !crashed || t.Failed() {
			break
		}
		crashes++
	}
	if crashes < 3 {
		t.Errorf("only %d crashes", crashes)
	}
}

func TestRS9_WhatDoesNotEndWellRollsBack(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		end  func() error
		code string
	}{
		"an error":     {func() error { return boom }, "error"},
		"a panic":      {func() error { panic("boom") }, "panic"},
		"a cancel":     {func() error { return durable.CancelRun("boom") }, "cancelled"},
		"a large mind": {func() error { return nil }, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
				if err := durable.Tx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, "a") }); err != nil {
					return err
				}
				if c.code == "too_large" {
					n.Kind = strings.Repeat("x", 5000)
				}
				return c.end()
			}))
			cfg := serve(w)
			cfg.MaxPayload = 4096
			onShared(t, cfg, func(t *testing.T, s shared) {
				_, _, err := s.run(t, w)
				var end *durable.RunError
				if !errors.As(err, &end) || end.Cause == nil || end.Cause.Code != c.code {
					t.Errorf("ended with %v, want code %q", err, c.code)
				}
				s.wantRows(t)
			})
		})
	}
}

// Retries, snoozes and waits around a transaction: it is done in the attempt that
// succeeds, and what was recorded before it is not done again.
func TestRS9_RetriesAndSnoozes(t *testing.T) {
	seen := &tally{}
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
		seen.add("body")
		got, err := durable.Do(ctx, "price", func(context.Context) (int, error) {
			seen.add("do")
			return 42, nil
		})
		if err != nil {
			return err
		}
		if err := durable.Sleep(ctx, time.Minute); err != nil {
			return err
		}
		if err := durable.Tx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, fmt.Sprint("a", got)) }); err != nil {
			return err
		}
		switch seen.of("body") {
		case 2: // the first after the sleep
			return errors.New("boom")
		case 3:
			return durable.Snooze(time.Hour)
		}
		return nil
	}).Retry(durable.Retry{MaxAttempts: 2}))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		s.cut.faults = []fault{conflict, conflict}
		if _, _, err := s.run(t, w); err != nil {
			t.Fatal(err)
		}
		s.wantRows(t, "a42")
		if seen.of("do") != 1 || seen.of("body") != 6 {
			t.Errorf("%d bodies and %d calls, want 6 and 1", seen.of("body"), seen.of("do"))
		}
	})
}

func TestRS9_ConflictsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		node   func(*durable.StepNode[note]) *durable.StepNode[note]
		bodies int
	}{
		"a step":       {func(n *durable.StepNode[note]) *durable.StepNode[note] { return n }, 8},
		"at most once": {func(n *durable.StepNode[note]) *durable.StepNode[note] { return n.AtMostOnce() }, 1},
		"the policy's If": {func(n *durable.StepNode[note]) *durable.StepNode[note] {
			return n.Retry(durable.Retry{MaxAttempts: 2, If: func(err error) bool { return !errors.Is(err, store.ErrConflict) }})
		}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			seen := &tally{}
			w := durable.Define("w", c.node(book("a", seen)))
			onShared(t, serve(w), func(t *testing.T, s shared) {
				s.cut.faults = slices.Repeat([]fault{conflict}, 100)
				_, _, err := s.run(t, w)
				wantFailure(t, err, durable.Failed, "tx_conflict", "a")
				s.wantRows(t)
				if n := seen.of("a"); n != c.bodies {
					t.Errorf("%d bodies, want %d", n, c.bodies)
				}
			})
		})
	}
}

func TestRS9_TxTimeout(t *testing.T) {
	for name, fn := range map[string]func(ctx context.Context, tx *sql.Tx) error{
		"in fn, which says so": func(ctx context.Context, tx *sql.Tx) error {
			_ = rest(ctx, 6*time.Second)
			return put(ctx, tx, "b")
		},
		"in fn, which does not": func(ctx context.Context, _ *sql.Tx) error { return rest(ctx, 6*time.Second) },
		"after it":              func(context.Context, *sql.Tx) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
				err := durable.Tx(ctx, func(tx *sql.Tx) error {
					if err := put(ctx, tx, "a"); err != nil {
						return err
					}
					return fn(ctx, tx)
				})
				if err == nil {
					err = rest(ctx, 7*time.Second)
				}
				return err
			}))
			onShared(t, serve(w), func(t *testing.T, s shared) {
				r, err := w.Start(t.Context(), s.Engine.Engine, note{})
				if err != nil {
					t.Fatal(err)
				}
				s.Sleep(time.Millisecond)
				begun := time.Now()
				s.Sleep(5*time.Second - time.Millisecond)
				free := make(chan time.Duration, 1)
				go func() { // everybody else waits for exactly so long
					if err := s.SendEvent(context.Background(), r.ID, "e", 1); err != nil {
						t.Error(err)
					}
					free <- time.Since(begun)
				}()
				_, err = r.Wait(t.Context())
				wantFailure(t, err, durable.Failed, "tx_timeout", "a")
				s.wantRows(t)
				if waited := <-free; waited > 5*time.Second+time.Millisecond {
					t.Errorf("others could write after %s", waited)
				}
			})
		})
	}
}

func TestRS9_TxIsTheLastCall(t *testing.T) {
	fine := func(*sql.Tx) error { return nil }
	type attempt struct {
		name string
		call func(ctx context.Context) error
		want error
		text string
	}
	for _, c := range []attempt{
		{"a second Tx", func(ctx context.Context) error {
			return errors.Join(durable.Tx(ctx, fine), durable.Tx(ctx, fine))
		}, durable.ErrNotInStep, "the last durable thing"},
		{"a call after it", func(ctx context.Context) error {
			return errors.Join(durable.Tx(ctx, fine), durable.Sleep(ctx, time.Hour))
		}, durable.ErrNotInStep, "the last durable thing"},
		{"a call after one that failed", func(ctx context.Context) error {
			_ = durable.Tx(ctx, func(*sql.Tx) error { return errors.New("boom") })
			return durable.Sleep(ctx, time.Hour)
		}, durable.ErrNotInStep, "the last durable thing"},
		{"a call in it", func(ctx context.Context) error {
			return durable.Tx(ctx, func(*sql.Tx) error { return durable.Sleep(ctx, time.Hour) })
		}, durable.ErrNotInStep, "do not nest"},
		{"it in a Do", func(ctx context.Context) error {
			_, err := durable.Do(ctx, "do", func(ctx context.Context) (int, error) { return 0, durable.Tx(ctx, fine) })
			return err
		}, nil, "do not nest"},
		{"it on another goroutine", func(ctx context.Context) error {
			err := make(chan error)
			go func() { err <- durable.Tx(ctx, fine) }()
			return <-err
		}, durable.ErrNotInStep, "goroutine"},
		{"another type", func(ctx context.Context) error {
			return durable.Tx(ctx, func(*sql.DB) error { return nil })
		}, durable.ErrBadTx, "*sql.DB"},
		{"Commit in it", func(ctx context.Context) error { return durable.Tx(ctx, (*sql.Tx).Commit) }, store.ErrTxEnded, "Commit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got error
			w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
				got = c.call(ctx)
				return nil
			}))
			onShared(t, serve(w), func(t *testing.T, s shared) {
				if _, _, err := s.run(t, w); err != nil {
					t.Fatal(err)
				}
				wantError(t, got, c.want, c.text)
			})
		})
	}
	wantError(t, durable.Tx(t.Context(), fine), durable.ErrNotInStep)
}

// Code that ends the transaction all the same is told so, and nothing is recorded.
func TestRS9_UserCodeEndsTheTransaction(t *testing.T) {
	for name, end := range map[string]func(tx *sql.Tx) error{"Commit": (*sql.Tx).Commit, "Rollback": (*sql.Tx).Rollback} {
		t.Run(name, func(t *testing.T) {
			w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
				return durable.Tx(ctx, func(tx *sql.Tx) error {
					if err := put(ctx, tx, "a"); err != nil {
						return err
					}
					_ = end(tx)
					return nil
				})
			}))
			onShared(t, serve(w), func(t *testing.T, s shared) {
				_, _, err := s.run(t, w)
				wantFailure(t, err, durable.Failed, "tx_ended", "a")
				s.wantRows(t)
			})
		})
	}
}

func TestRS9_WithoutTransactions(t *testing.T) {
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
		return durable.Tx(ctx, func(*sql.Tx) error {
			t.Error("fn was called")
			return nil
		})
	}).Retry(durable.Retry{MaxAttempts: 5}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		r, err := w.Start(t.Context(), e.Engine.Engine, note{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Wait(t.Context())
		wantFailure(t, err, durable.Failed, "tx_unusable", "a")
		wantError(t, err, nil, "this store has no transactions")
		_, err = w.StartTx(t.Context(), e.Engine.Engine, new(sql.Tx), note{})
		wantError(t, err, durable.ErrNoTransactions)
		wantError(t, e.SendEventTx(t.Context(), new(sql.Tx), r.ID, "e", 1), durable.ErrNoTransactions)
		wantError(t, e.ProvideInputTx(t.Context(), new(sql.Tx), r.ID, "i", 1), durable.ErrNoTransactions)
	})
}

// A stop, or the step's own timeout, ends a transaction too.
func TestRS9_EndsOfContextsRollBack(t *testing.T) {
	var open atomic.Bool
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
		return durable.Tx(ctx, func(tx *sql.Tx) error {
			if err := put(ctx, tx, "a"); err != nil {
				return err
			}
			if open.CompareAndSwap(false, true) {
				return rest(ctx, 4*time.Second)
			}
			return nil
		})
	}).Timeout(2*time.Second).Retry(durable.Retry{MaxAttempts: 2}))
	t.Run("step timeout", func(t *testing.T) {
		onShared(t, serve(w), func(t *testing.T, s shared) {
			id, _, err := s.run(t, w)
			if err != nil {
				t.Fatal(err)
			}
			s.wantRows(t, "a")
			for _, f := range s.facts(t, id) {
				if f.Kind == journal.Delayed && f.Err.Code != "step_timeout" {
					t.Errorf("the attempt failed with %+v", f.Err)
				}
			}
		})
	})
	t.Run("stop", func(t *testing.T) {
		open.Store(false)
		cfg := serve(w)
		cfg.ShutdownGrace = time.Second
		onShared(t, cfg, func(t *testing.T, s shared) {
			r, err := w.Start(t.Context(), s.Engine.Engine, note{})
			if err != nil {
				t.Fatal(err)
			}
			s.Sleep(time.Millisecond)
			s.Restart()
			if _, err := w.Attach(s.Engine.Engine, r.ID).Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.wantRows(t, "a")
			if d := kinds(s.facts(t, r.ID), journal.Delayed); len(d) > 0 {
				t.Errorf("the stop used up attempts: %q", d)
			}
		})
	})
}

// What is recorded before a transaction is not done again when the body is run
// again for a conflict, in fn or at the commit.
func TestRS9_CallsBeforeAConflict(t *testing.T) {
	seen := &tally{}
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
		seen.add("body")
		for _, name := range []string{"x", "y"} {
			if _, err := durable.Do(ctx, name, func(context.Context) (int, error) {
				seen.add(name)
				return 1, nil
			}); err != nil {
				return err
			}
		}
		return durable.Tx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, "a") })
	}))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		s.cut.faults = []fault{conflict, conflict}
		id, _, err := s.run(t, w)
		if err != nil {
			t.Fatal(err)
		}
		if seen.of("body") != 3 || seen.of("x") != 1 || seen.of("y") != 1 {
			t.Errorf("done: %q", seen.all())
		}
		if calls := kinds(s.facts(t, id), journal.Called); len(calls) != 2 {
			t.Errorf("calls %q", calls)
		}
	})
}

// While a transaction is open nothing else of the run is written: on SQLite it
// would wait for the transaction, and on every store it would be in its way.
func TestRS9_LogsAndMessagesWaitForTheTransaction(t *testing.T) {
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
		durable.Logger(ctx).Info("before")
		_ = rest(ctx, 300*time.Millisecond)
		return durable.Tx(ctx, func(tx *sql.Tx) error {
			durable.Logger(ctx).Info("in it")
			_ = rest(ctx, 3*time.Second)
			return put(ctx, tx, "a")
		})
	}))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		id, _, err := s.run(t, w)
		if err != nil {
			t.Fatal(err)
		}
		s.wantRows(t, "a")
		if logs, err := s.Logs(t.Context(), id, time.Time{}); err != nil || len(logs) != 2 {
			t.Errorf("%d log entries, error %v", len(logs), err)
		}
	})
}

// A run whose every second row is a transaction's has snapshots all the same,
// whichever of two it is.
func TestRS9_SnapshotsAreNotMissed(t *testing.T) {
	t.Run("odd", func(t *testing.T) { manyRows(t, 0) })
	t.Run("even", func(t *testing.T) {
		manyRows(t, 1, mark("first"), mark("second"))
	})
}

func manyRows(t *testing.T, odd int, before ...durable.Node[note]) {
	t.Helper()
	w := durable.Define("w", append(before, durable.Loop("pass", func(n *note) bool { return n.N < 200 },
		body("a", func(ctx context.Context, n *note) error {
			n.N++
			return durable.Tx(ctx, func(tx *sql.Tx) error { return put(ctx, tx, fmt.Sprintf("a%03d", n.N)) })
		})))...)
	onShared(t, serve(w), func(t *testing.T, s shared) {
		id, got, err := s.run(t, w)
		if err != nil || got.N != 200 {
			t.Fatal(got.N, err)
		}
		if n := len(s.rows(t)); n != 200 {
			t.Errorf("%d rows", n)
		}
		st, err := s.opener.OpenStore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		rec, err := st.Load(t.Context(), id, false)
		if err != nil || rec.SnapshotSeq < journal.SnapshotEvery || rec.Length%2 != odd {
			t.Errorf("%d rows and the snapshot at %d, error %v", rec.Length, rec.SnapshotSeq, err)
		}
	})
}

func TestST8_StartTxSharesTheCallersFate(t *testing.T) {
	w := durable.Define("w", mark("a"))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		for _, commits := range []bool{false, true} {
			tx := s.begin(t)
			name := fmt.Sprint("committed ", commits)
			if err := put(t.Context(), tx, name); err != nil {
				t.Fatal(err)
			}
			r, err := w.StartTx(t.Context(), s.Engine.Engine, tx, note{}, durable.Key(name), durable.Tags("x"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Wait(t.Context()); !errors.Is(err, durable.ErrNotFound) {
				t.Errorf("before the commit: %v", err)
			}
			if !commits {
				if err := tx.Rollback(); err != nil {
					t.Fatal(err)
				}
				if s.count(t) != 0 {
					t.Error("a rolled back start exists")
				}
				continue
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			got, err := r.Wait(t.Context()) // the poll interval brings it about
			if err != nil {
				t.Fatal(err)
			}
			wantTrace(t, got, "a")
		}
		s.wantRows(t, "committed true")
	})
}

func TestST8_KeysAndMistakes(t *testing.T) {
	w := durable.Define("w", mark("a"))
	other := durable.Define("other", mark("a"))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		e := s.Engine.Engine
		first, err := w.Start(t.Context(), e, note{N: 1}, durable.Key("k"))
		if err != nil {
			t.Fatal(err)
		}
		tx := s.begin(t)
		same, err := w.StartTx(t.Context(), e, tx, note{N: 1}, durable.Key("k"))
		if err != nil || !same.Existing || same.ID != first.ID {
			t.Errorf("the same key and input: %+v, %v", same, err)
		}
		_, err = w.StartTx(t.Context(), e, tx, note{N: 2}, durable.Key("k"))
		wantError(t, err, durable.ErrKeyConflict, first.ID.String())
		_, err = w.StartTx(t.Context(), e, tx, note{}, durable.InQueue("nowhere"))
		wantError(t, err, durable.ErrUnknownQueue)
		_, err = other.StartTx(t.Context(), e, tx, note{})
		wantError(t, err, durable.ErrUnknownWorkflow)
		if err := put(t.Context(), tx, "after mistakes"); err != nil {
			t.Error(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		s.wantRows(t, "after mistakes")
		elsewhere := openFile(t, filepath.Join(t.TempDir(), "elsewhere.db"))
		defer func() { _ = elsewhere.Close() }()
		stranger, err := elsewhere.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stranger.Rollback() }()
		for _, bad := range []any{nil, (*sql.Tx)(nil), s.db, "tx", tx, stranger} {
			_, err = w.StartTx(t.Context(), e, bad, note{})
			wantError(t, err, durable.ErrBadTx)
			wantError(t, s.SendEventTx(t.Context(), bad, first.ID, "e", 1), durable.ErrBadTx)
			wantError(t, s.ProvideInputTx(t.Context(), bad, first.ID, "i", 1), durable.ErrBadTx)
		}
		if n := s.count(t); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
	})
}

func TestST8_EventsAndAnswersShareTheCallersFate(t *testing.T) {
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) (err error) {
		if n.N, err = durable.WaitForEvent[int](ctx, "e"); err != nil {
			return err
		}
		n.Kind, err = durable.WaitForInput[string](ctx, "i")
		return err
	}))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		ctx := t.Context()
		r, err := w.Start(ctx, s.Engine.Engine, note{})
		if err != nil {
			t.Fatal(err)
		}
		s.Sleep(time.Millisecond)
		in := func(commits bool, fn func(tx *sql.Tx) error) {
			t.Helper()
			tx := s.begin(t)
			if err := fn(tx); err != nil {
				t.Error(err)
			}
			end := tx.Rollback
			if commits {
				end = tx.Commit
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			s.Sleep(7 * time.Hour) // longer than the poll interval
		}
		waits := func() string {
			p, err := s.PendingInputs(ctx, durable.InputFilter{})
			if err != nil || len(p.Inputs) > 1 {
				t.Fatal(p, err)
			}
			if len(p.Inputs) == 1 {
				return p.Inputs[0].Name
			}
			return ""
		}
		in(false, func(tx *sql.Tx) error { return s.SendEventTx(ctx, tx, r.ID, "e", 7) })
		if got := waits(); got != "" {
			t.Errorf("an event that was rolled back was taken: it waits for %q", got)
		}
		in(true, func(tx *sql.Tx) error { return s.SendEventTx(ctx, tx, r.ID, "e", 8, durable.EventID("x")) })
		if got := waits(); got != "i" {
			t.Fatalf("it waits for %q", got)
		}
		in(true, func(tx *sql.Tx) error {
			wantError(t, s.ProvideInputTx(ctx, tx, r.ID, "i", 42), durable.ErrInvalid)
			wantError(t, s.ProvideInputTx(ctx, tx, r.ID, "j", "x"), durable.ErrNoSuchWait)
			wantError(t, s.SendEventTx(ctx, tx, durable.ID{1}, "e", 1), durable.ErrNotFound)
			wantError(t, s.ProvideInputTx(ctx, tx, durable.ID{1}, "i", "x"), durable.ErrNotFound)
			return s.SendEventTx(ctx, tx, r.ID, "e", 9, durable.EventID("x")) // sent before
		})
		in(false, func(tx *sql.Tx) error { return s.ProvideInputTx(ctx, tx, r.ID, "i", "no") })
		if got := waits(); got != "i" {
			t.Fatalf("after answers that do not count it waits for %q", got)
		}
		in(true, func(tx *sql.Tx) error {
			if err := s.ProvideInputTx(ctx, tx, r.ID, "i", "yes", durable.By("me")); err != nil {
				return err
			}
			wantError(t, s.ProvideInputTx(ctx, tx, r.ID, "i", "again"), durable.ErrNoSuchWait)
			return nil
		})
		got, err := r.Wait(ctx)
		if err != nil || got.N != 8 || got.Kind != "yes" {
			t.Errorf("%+v, %v", got, err)
		}
		in(true, func(tx *sql.Tx) error {
			wantError(t, s.SendEventTx(ctx, tx, r.ID, "e", 1), durable.ErrRunDone)
			wantError(t, s.ProvideInputTx(ctx, tx, r.ID, "i", "x"), durable.ErrRunDone)
			return nil
		})
	})
}
