package storetest

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/sqlite"
)

// txBug is a mistake of a Transactor, put on one that has none.
type txBug struct {
	name    string
	clauses []string
	plant   func(st plain) store.Store
}

// plain is a store that is a Transactor.
type plain interface {
	store.Store
	store.Transactor
}

func txBugs() []txBug {
	return []txBug{
		{"starts and messages outside the transaction", []string{
			"outside/a start shares the caller's fate", "outside/a message shares the caller's fate, and wakes", "outside/an answer closes its wait",
		}, func(st plain) store.Store { return besides{st} }},
		{"what is written in it is forgotten", []string{"outside/a start shares the caller's fate", "guest/messages in it share its fate"}, func(st plain) store.Store { return forgetful{st} }},
		{"any value is a transaction", []string{"outside/strangers are refused"}, func(st plain) store.Store { return credulous{st} }},
		{"writes of owners in it", []string{"outside/writes of owners are refused"}, func(st plain) store.Store { return lax{st} }},
		{"waits as everybody sees them", []string{"outside/waits are those that the transaction sees"}, func(st plain) store.Store { return farsighted{st} }},
		{"the record without the rows", []string{"guest/rows and record are durable together"}, guests(func(st plain, tx store.Tx) store.Tx { return rowless{tx, st} })},
		{"the fence is not looked at", []string{"guest/a refused record takes the rows with it"}, guests(func(st plain, tx store.Tx) store.Tx { return unfenced{tx, st} })},
		{"time does not end", []string{"guest/time is up", "guest/time is up while user code works"}, func(st plain) store.Store { return endless{st} }},
		{"the context does not end it", []string{"guest/the context ends it"}, func(st plain) store.Store { return deaf{st} }},
		{"rolling back keeps it open", []string{"guest/rolled back is neither"}, guests(func(_ plain, tx store.Tx) store.Tx { return sticky{tx} })},
		{"an ended transaction counts as committed", []string{
			"guest/user code cannot end it", "guest/user code that ends it by a statement is found out", "guest/a malformed record is rolled back",
		}, guests(func(_ plain, tx store.Tx) store.Tx { return optimist{tx} })},
		{"no transactions at all, though users have them", []string{"guest/others go on afterwards", "outside/everything of a start is kept"}, func(st plain) store.Store { return struct{ store.Store }{st} }},
	}
}

type besides struct{ plain }

// CommitIn commits in a transaction of its own, after the caller's has been put
// aside: on one file they cannot both be open.
func (s besides) CommitIn(ctx context.Context, tx any, writes []store.Write) (store.Result, error) {
	if err := store.CheckIn(writes); err != nil {
		return store.Result{}, err
	}
	if _, err := tx.(*sql.Tx).ExecContext(ctx, "ROLLBACK"); err != nil {
		return store.Result{}, err
	}
	r, err := s.Commit(ctx, writes)
	_, again := tx.(*sql.Tx).ExecContext(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		err = again
	}
	return r, err
}

type forgetful struct{ plain }

func (s forgetful) CommitIn(_ context.Context, _ any, writes []store.Write) (r store.Result, err error) {
	for range writes {
		r.Verdicts = append(r.Verdicts, store.Verdict{Code: store.Applied})
	}
	return r, nil
}

type credulous struct{ plain }

func (s credulous) CommitIn(ctx context.Context, tx any, writes []store.Write) (store.Result, error) {
	r, err := s.plain.CommitIn(ctx, tx, writes)
	if err != nil {
		return s.Commit(ctx, writes)
	}
	return r, nil
}

type lax struct{ plain }

func (s lax) CommitIn(ctx context.Context, tx any, writes []store.Write) (store.Result, error) {
	if store.CheckIn(writes) != nil {
		return store.Result{Verdicts: make([]store.Verdict, len(writes))}, nil
	}
	return s.plain.CommitIn(ctx, tx, writes)
}

type farsighted struct{ plain }

func (s farsighted) WaitsIn(ctx context.Context, _ any, id store.ID) (store.Status, []store.Wait, error) {
	rec, err := s.Load(ctx, id, false)
	if err != nil {
		return "", nil, err
	}
	p, err := s.Waits(ctx, store.WaitFilter{Execution: id})
	return rec.Status, p.Waits, err
}

type endless struct{ plain }

func (s endless) Begin(ctx context.Context, _ time.Duration) (store.Tx, error) {
	return s.plain.Begin(ctx, punctual+time.Second)
}

type deaf struct{ plain }

func (s deaf) Begin(ctx context.Context, limit time.Duration) (store.Tx, error) {
	return s.plain.Begin(context.WithoutCancel(ctx), limit)
}

type hosts struct {
	plain
	spoil func(st plain, tx store.Tx) store.Tx
}

func (s hosts) Begin(ctx context.Context, limit time.Duration) (store.Tx, error) {
	tx, err := s.plain.Begin(ctx, min(limit, time.Second)) // for those that nobody ends
	if err != nil {
		return nil, err
	}
	return s.spoil(s.plain, tx), nil
}

func guests(spoil func(st plain, tx store.Tx) store.Tx) func(plain) store.Store {
	return func(st plain) store.Store { return hosts{st, spoil} }
}

type rowless struct {
	store.Tx
	st plain
}

func (x rowless) Commit(ctx context.Context, a store.Advance) (store.Result, error) {
	x.Rollback()
	return x.st.Commit(ctx, []store.Write{{Advance: &a}})
}

type unfenced struct {
	store.Tx
	st plain
}

func (x unfenced) Commit(ctx context.Context, a store.Advance) (store.Result, error) {
	is, err := x.st.Load(ctx, a.ID, true)
	if err != nil {
		return store.Result{}, err
	}
	a.Owner, a.Epoch, a.Base = is.Owner, is.Epoch, is.Length
	return x.Tx.Commit(ctx, a)
}

type sticky struct{ store.Tx }

func (sticky) Rollback() {}

type optimist struct{ store.Tx }

func (x optimist) Commit(ctx context.Context, a store.Advance) (store.Result, error) {
	r, err := x.Tx.Commit(ctx, a)
	if err != nil {
		r = store.Result{Verdicts: []store.Verdict{{Code: store.Applied}}}
	}
	return r, nil
}

func onFile(tb testing.TB, plant func(store.Store) store.Store) Harness {
	path := filepath.Join(tb.TempDir(), "durable.db")
	open := func(path string) *sql.DB {
		db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
		if err != nil {
			tb.Fatalf("open the file: %v", err)
		}
		return db
	}
	return Harness{
		Opener: spoilt{sqlite.Open(path), plant},
		Users: func(tb testing.TB) Users {
			return SQLUsers(tb, open(path), func() *sql.DB { return open(filepath.Join(tb.TempDir(), "elsewhere.db")) })
		},
	}
}

func TestRS9_ClausesCatchPlantedBugsOfTransactions(t *testing.T) {
	caught := map[string]bool{}
	for _, b := range txBugs() {
		for _, name := range b.clauses {
			caught[name] = true
			t.Run(b.name+"/"+name, func(t *testing.T) {
				c := named(t, name)
				failures := record(t, func(tb testing.TB) {
					c.on(tb, onFile(tb, func(st store.Store) store.Store { return b.plant(st.(plain)) }))
				})
				if len(failures) == 0 {
					t.Fatal("the clause passed")
				}
				t.Log(failures[0])
				if want := c.guards + " broken"; !strings.HasPrefix(failures[0], want) {
					t.Errorf("the clause failed for another reason: %s", failures[0])
				}
			})
		}
	}
	for _, c := range append(outsideClauses(), guestClauses()...) {
		switch c.name {
		case "outside/only a Transactor has transactions", "outside/verdicts leave the rest of the transaction alone":
			continue // see below, and Commit's own clauses
		}
		if !caught[c.name] {
			t.Errorf("no planted bug is for the clause %s", c.name)
		}
		if failures := record(t, func(tb testing.TB) { c.on(tb, onFile(tb, func(st store.Store) store.Store { return st })) }); len(failures) > 0 {
			t.Errorf("%s, without a bug: %s", c.name, failures[0])
		}
	}
	h := onFile(t, func(st store.Store) store.Store { return st })
	h.Users = nil
	if failures := record(t, func(tb testing.TB) { named(t, "outside/only a Transactor has transactions").on(tb, h) }); len(failures) == 0 {
		t.Error("a Transactor without users passed")
	}
}
