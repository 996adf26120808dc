package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// shop is an engine on a schema with a table of the user's.
type shop struct {
	*durable.Engine
	pool   *pgxpool.Pool
	schema string
}

func (s shop) name(table string) string { return pgx.Identifier{s.schema, table}.Sanitize() }

// open makes a shop whose store is wrapped. Its poll interval is so long that
// only hints can be prompt.
func openShop(t *testing.T, wrap func(store.Store) store.Store, workflows ...durable.Definition) shop {
	t.Helper()
	url, schema := fresh(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := shop{pool: pool, schema: schema}
	s.Engine, err = durable.Open(t.Context(), wrapped{postgres.New(pool, postgres.Schema(schema)), wrap}, durable.Config{
		Workflows: workflows, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Queues: map[string]durable.Queue{"default": {PollInterval: time.Hour}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.exec(t, "create table "+s.name("account")+" (name text primary key)")
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.WithoutCancel(t.Context())) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s shop) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func (s shop) put(ctx context.Context, tx pgx.Tx, name string) error {
	_, err := tx.Exec(ctx, "insert into "+s.name("account")+" (name) values ($1)", name)
	return err
}

func (s shop) rows(t *testing.T) (n int) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), "select count(*) from "+s.name("account")).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

type wrapped struct {
	store.Opener
	wrap func(store.Store) store.Store
}

func (w wrapped) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := w.Opener.OpenStore(ctx)
	if err == nil && w.wrap != nil {
		s = w.wrap(s)
	}
	return s, err
}

// cut is a store whose first commit of a body's transaction is spoilt.
type cut struct {
	store.Store
	store.Transactor
	spoil func(ctx context.Context, tx store.Tx, a store.Advance) (store.Result, error)
	done  *atomic.Bool
}

func (c cut) Begin(ctx context.Context, limit time.Duration) (store.Tx, error) {
	tx, err := c.Transactor.Begin(ctx, limit)
	return cutTx{tx, c}, err
}

type cutTx struct {
	store.Tx
	c cut
}

func (x cutTx) Commit(ctx context.Context, a store.Advance) (store.Result, error) {
	if x.c.done.CompareAndSwap(false, true) {
		return x.c.spoil(ctx, x.Tx, a)
	}
	return x.Tx.Commit(ctx, a)
}

type sale struct {
	N int `json:"n"`
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestRS9_RowsAndRecord(t *testing.T) {
	var (
		s      shop
		bodies atomic.Int32
	)
	errCut := errors.New("the connection was cut")
	flow := durable.Define("sale",
		durable.Step("book", func(ctx context.Context, x *sale) error {
			bodies.Add(1)
			x.N++
			return durable.Tx(ctx, func(tx pgx.Tx) error { return s.put(ctx, tx, "a") })
		}),
		durable.Step("thank", func(_ context.Context, x *sale) error {
			x.N++
			return nil
		}))
	for name, c := range map[string]struct {
		spoil  func(ctx context.Context, tx store.Tx, a store.Advance) (store.Result, error)
		bodies int32
	}{
		"nothing happens": {nil, 1},
		"committed, and the reply is lost": {func(ctx context.Context, tx store.Tx, a store.Advance) (store.Result, error) {
			_, err := tx.Commit(ctx, a)
			return store.Result{}, errors.Join(errCut, err)
		}, 1},
		"not committed, and nobody says so": {func(_ context.Context, tx store.Tx, _ store.Advance) (store.Result, error) {
			tx.Rollback()
			return store.Result{}, errCut
		}, 2},
		"the server ends the connection before the commit": {func(ctx context.Context, tx store.Tx, a store.Advance) (store.Result, error) {
			s.exec(t, "select pg_terminate_backend($1)", int32(tx.User().(pgx.Tx).Conn().PgConn().PID()))
			r, err := tx.Commit(ctx, a)
			if !errors.Is(err, store.ErrRolledBack) || !errors.Is(err, store.ErrTrouble) {
				t.Errorf("a connection that broke before the commit: %+v, %v", r, err)
			}
			return r, err
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			bodies.Store(0)
			var wrap func(st store.Store) store.Store
			if c.spoil != nil {
				wrap = func(st store.Store) store.Store { return cut{st, st.(store.Transactor), c.spoil, new(atomic.Bool)} }
			}
			s = openShop(t, wrap, flow)
			r, err := flow.Start(ctx, s.Engine, sale{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Wait(ctx)
			if err != nil || got.N != 2 {
				t.Errorf("%+v, %v", got, err)
			}
			if n := s.rows(t); n != 1 || bodies.Load() != c.bodies {
				t.Errorf("%d rows and %d bodies, want 1 and %d", n, bodies.Load(), c.bodies)
			}
			x, err := s.Execution(ctx, r.ID, durable.WithSteps)
			if err != nil || len(x.Steps) == 0 {
				t.Fatal(err)
			}
			for _, step := range x.Steps {
				if step.Attempt != 1 {
					t.Errorf("step %s used attempt %d", step.Path, step.Attempt)
				}
			}
		})
	}
}

// A serialization failure or a deadlock in fn, and one at the commit, do the body
// again without using an attempt.
func TestRS9_Conflicts(t *testing.T) {
	ctx := within(t)
	var (
		s      shop
		bodies atomic.Int32
	)
	raise := func(code string) string {
		return fmt.Sprintf("do $$ begin raise exception 'in the way' using errcode = '%s'; end $$", code)
	}
	flow := durable.Define("sale", durable.Step("book", func(ctx context.Context, x *sale) error {
		n := bodies.Add(1)
		return durable.Tx(ctx, func(tx pgx.Tx) error {
			if err := s.put(ctx, tx, "a"); err != nil {
				return err
			}
			switch n {
			case 1:
				_, err := tx.Exec(ctx, raise("40001"))
				return fmt.Errorf("my own words: %w", err)
			case 2:
				_, err := tx.Exec(ctx, raise("40P01"))
				return err
			case 3: // found by a constraint that is looked at when all is committed
				_, err := tx.Exec(ctx, "insert into "+s.name("late")+" values (1)")
				return err
			case 4: // the connection breaks
				_, err := tx.Exec(ctx, "select pg_terminate_backend(pg_backend_pid())")
				return err
			}
			return nil
		})
	}))
	s = openShop(t, nil, flow)
	s.exec(t, "create table "+s.name("late")+" (n int)")
	s.exec(t, "create function "+s.name("late")+"() returns trigger language plpgsql as $$ begin raise exception 'in the way' using errcode = '40001'; end $$")
	s.exec(t, "create constraint trigger late after insert on "+s.name("late")+" deferrable initially deferred for each row execute function "+s.name("late")+"()")
	r, err := flow.Start(ctx, s.Engine, sale{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if n := s.rows(t); n != 1 || bodies.Load() != 5 {
		t.Errorf("%d rows and %d bodies, want 1 and 5", n, bodies.Load())
	}
}

// A run that is cancelled while its transaction is open writes nothing.
func TestRS9_ARunThatWasTakenWritesNothing(t *testing.T) {
	ctx := within(t)
	var s shop
	flow := durable.Define("sale", durable.Step("book", func(ctx context.Context, x *sale) error {
		info, _ := durable.Info(ctx)
		return durable.Tx(ctx, func(tx pgx.Tx) error {
			if err := s.put(ctx, tx, "a"); err != nil {
				return err
			}
			return s.Cancel(context.WithoutCancel(ctx), info.Execution, "while it is open")
		})
	}))
	s = openShop(t, nil, flow)
	r, err := flow.Start(ctx, s.Engine, sale{})
	if err != nil {
		t.Fatal(err)
	}
	var end *durable.RunError
	if _, err := r.Wait(ctx); !errors.As(err, &end) || end.Status != durable.Cancelled {
		t.Errorf("the run ended with %v", err)
	}
	if n := s.rows(t); n != 0 {
		t.Errorf("%d rows of a cancelled run", n)
	}
}

// Committed or not, by pgx or by database/sql: a start and an event share the
// caller's fate, and begin as soon as it commits though the poll interval is an hour.
func TestST8_StartsAndEvents(t *testing.T) {
	flow := durable.Define("sale", durable.Step("wait", func(ctx context.Context, x *sale) (err error) {
		x.N, err = durable.WaitForEvent[int](ctx, "paid")
		return err
	}))
	s := openShop(t, nil, flow)
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = db.Close() }()
	for name, begin := range map[string]func() (tx any, end func(commits bool) error){
		"pgx": func() (any, func(bool) error) {
			tx, err := s.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return tx, func(commits bool) error {
				if commits {
					return tx.Commit(t.Context())
				}
				return tx.Rollback(t.Context())
			}
		},
		"database/sql": func() (any, func(bool) error) {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return tx, func(commits bool) error {
				if commits {
					return tx.Commit()
				}
				return tx.Rollback()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			var last *durable.Run[sale]
			for _, commits := range []bool{false, true} {
				tx, end := begin()
				r, err := flow.StartTx(ctx, s.Engine, tx, sale{}, durable.Key(name))
				if err != nil {
					t.Fatal(err)
				}
				if err := end(commits); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Execution(ctx, r.ID); (err == nil) != commits {
					t.Errorf("committed %v: %v", commits, err)
				}
				last = r
			}
			until(t, "it waits", func() bool {
				x, err := s.Execution(ctx, last.ID)
				return err == nil && x.Status == durable.Waiting
			})
			tx, end := begin()
			if err := s.SendEventTx(ctx, tx, last.ID, "paid", 7); err != nil {
				t.Fatal(err)
			}
			if err := end(false); err != nil {
				t.Fatal(err)
			}
			tx, end = begin()
			if err := s.SendEventTx(ctx, tx, last.ID, "paid", 8); err != nil {
				t.Fatal(err)
			}
			if err := end(true); err != nil {
				t.Fatal(err)
			}
			if got, err := last.Wait(ctx); err != nil || got.N != 8 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("in vain: " + what)
		}
	}
}
