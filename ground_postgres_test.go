package durable_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/line"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// The clock of PostgreSQL is the real one.
const (
	realUnit = 20 * time.Millisecond
	realPass = 5 * time.Millisecond
	realHold = 200 * time.Millisecond
	// lands share the work: commits and engines that open mostly wait.
	lands = 4
)

// postgresURL finds a server as the tests of store/postgres do.
func postgresURL(t *testing.T) string {
	t.Helper()
	if url := os.Getenv("DURABLE_TEST_POSTGRES_URL"); url != "" {
		return url
	}
	for _, user := range []string{"postgres", "root"} {
		url := "postgres://" + user + "@127.0.0.1:5432/postgres?sslmode=disable"
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		c, err := pgx.Connect(ctx, url)
		cancel()
		if err == nil {
			_ = c.Close(t.Context())
			return url
		}
	}
	t.Skip("SKIPPED: there is no PostgreSQL at 127.0.0.1:5432, and DURABLE_TEST_POSTGRES_URL is not set; scripts/postgres starts one")
	return ""
}

// onPostgres plays a case in several schemas at once. Real time is dear: unless WEATHER is "all", a kill comes after every eighth
// change, and an orderly stop, which loses nothing, after every sixteenth.
func onPostgres(t *testing.T, define func(unit time.Duration) forecast, storm string) {
	t.Helper()
	url := postgresURL(t)
	stride := map[string]int{killed: 8, stopped: 16}[storm]
	if allWeather() {
		stride = 1
	}
	var all sync.WaitGroup
	defer all.Wait()
	for first := range lands {
		all.Go(func() {
			f := define(realUnit)
			l := newLand(t, url, f.config())
			defer l.close()
			f.everywhere(t, l, storm, first*stride+1, lands*stride)
		})
	}
}

// land is a ground in real time: a schema of its own, with one engine.
type land struct {
	t      *testing.T
	cfg    durable.Config
	admin  *pgx.Conn
	schema string
	opener store.Opener
	gate   *turnstile
	view   store.Store     // of the test
	eye    *durable.Engine // of the test, too
	tick   *time.Ticker

	line  *line.Line
	e     *durable.Engine
	died  chan struct{}  // closed when the engine is killed
	gone  sync.WaitGroup // engines that are being closed
	count int
}

func newLand(t *testing.T, url string, cfg durable.Config) *land {
	t.Helper()
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	l := &land{t: t, cfg: cfg, admin: admin, schema: fmt.Sprintf("durable weather %016x", rand.Uint64()), tick: time.NewTicker(realPass)}
	l.cfg.Logger = slog.New(slog.DiscardHandler)
	l.opener = postgres.Open(url, postgres.Schema(l.schema))
	l.gate = &turnstile{opener: l.opener, hold: realHold}
	if l.view, err = l.opener.OpenStore(ctx); err != nil {
		t.Fatal(err)
	}
	if l.eye, err = durable.Open(ctx, l.opener, l.cfg); err != nil {
		t.Fatal(err)
	}
	l.open()
	return l
}

func (l *land) table(name string) string { return pgx.Identifier{l.schema, name}.Sanitize() }

func (l *land) exec(statement string) {
	l.t.Helper()
	if _, err := l.admin.Exec(context.Background(), statement); err != nil {
		l.t.Errorf("%s: %v", statement, err)
	}
}

// open begins an engine, and nobody waits for the leases of those before it.
func (l *land) open() {
	l.t.Helper()
	died := make(chan struct{})
	l.died, l.line = died, line.New(l.gate, func() {})
	e, err := durable.Open(context.Background(), mortal{l.line}, l.cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	l.e = e
	l.gone.Go(func() {
		if err := e.Run(context.Background()); err != nil {
			l.t.Errorf("run the engine: %v", err)
		}
	})
}

func (l *land) engine() *durable.Engine { return l.e }

func (l *land) watch() *durable.Engine { return l.eye }

func (l *land) struck() int { return l.count }

func (l *land) after(n int, storm string) {
	l.line.CutAfter(0, nil)
	l.gate.after(0)
	switch storm {
	case killed:
		e, died := l.e, l.died
		l.line.CutAfter(n, func() {
			e.StopNow()
			l.gone.Go(func() { _ = e.Close() }) // who still asks it is told
			close(died)
		})
	case stopped:
		l.gate.after(n)
	}
}

func (l *land) pass() {
	select {
	case <-l.died:
	case <-l.gate.stop():
	case <-l.tick.C:
	}
	switch {
	case l.line.IsCut():
		dead := l.line.Store
		l.gone.Go(func() { _ = dead.Close() }) // its connections go, as those of a process
		l.exec("update " + l.table("lease") + " set expires = clock_timestamp()")
	case l.gate.pass():
		if err := l.e.Close(); err != nil {
			l.t.Errorf("close the engine: %v", err)
		}
	default:
		return
	}
	l.count++
	l.open()
}

func (l *land) load(id durable.ID) (store.Record, error) {
	return l.view.Load(context.Background(), id, true)
}

// close ends all, and looks whether anything is left open.
func (l *land) close() {
	ctx := context.Background()
	l.tick.Stop()
	if l.e != nil {
		if err := l.e.Close(); err != nil && !l.line.IsCut() {
			l.t.Errorf("close the engine: %v", err)
		}
	}
	l.gone.Wait()
	if l.eye != nil {
		if err := l.eye.Close(); err != nil {
			l.t.Errorf("close the engine that looks on: %v", err)
		}
	}
	if l.view != nil {
		if !l.t.Failed() {
			for _, left := range []string{"select count(*) from " + l.table("execution") + " where ended is null", "select count(*) from " + l.table("wait")} {
				n := 0
				if err := l.admin.QueryRow(ctx, left).Scan(&n); err != nil || n > 0 {
					l.t.Errorf("in the end %s is %d, %v", left, n, err)
				}
			}
		}
		if err := l.view.Close(); err != nil {
			l.t.Errorf("close the store: %v", err)
		}
	}
	l.exec("drop schema if exists " + pgx.Identifier{l.schema}.Sanitize() + " cascade")
	_ = l.admin.Close(ctx)
}

// mortal lets a killed engine know that it has lost its lease and its runs, so that it ends soon.
type mortal struct{ *line.Line }

func (m mortal) OpenStore(ctx context.Context) (store.Store, error) {
	_, err := m.Line.OpenStore(ctx)
	return m, err
}

func (m mortal) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	r, err := m.Line.Renew(ctx, l)
	if m.IsCut() {
		return store.Renewal{}, store.ErrLeaseLost
	}
	return r, err
}

func (m mortal) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	r, err := m.Line.Commit(ctx, writes)
	if !m.IsCut() || slices.ContainsFunc(writes, func(w store.Write) bool { return w.Advance == nil }) {
		return r, err
	}
	r = store.Result{Verdicts: make([]store.Verdict, len(writes))}
	for i := range r.Verdicts {
		r.Verdicts[i].Code = store.Superseded
	}
	return r, nil
}
