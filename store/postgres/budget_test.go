package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// meter counts what goes to the server on all connections of a pool and of the
// stores made from it.
type meter struct {
	mu         sync.Mutex
	trips      int // times that something was sent after an answer
	statements []string
	renewals   chan time.Time // one for each renewal, before it is sent
}

func (m *meter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	m.said(d.SQL)
	return ctx
}
func (m *meter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (m *meter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	for _, q := range d.Batch.QueuedQueries {
		m.said(q.SQL)
	}
	return ctx
}
func (m *meter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (m *meter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (m *meter) said(sql string) {
	m.mu.Lock()
	m.statements = append(m.statements, sql)
	m.mu.Unlock()
	if strings.Contains(sql, "WITH RECURSIVE renewed") {
		select {
		case m.renewals <- time.Now():
		default:
		}
	}
}

// reset begins to count anew and returns what was counted.
func (m *meter) reset() (trips int, statements []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	trips, statements = m.trips, m.statements
	m.trips, m.statements = 0, nil
	return trips, statements
}

// wire is a connection whose round trips are counted.
type wire struct {
	net.Conn
	m        *meter
	answered bool
}

func (w *wire) Write(b []byte) (int, error) {
	w.m.mu.Lock()
	if w.answered {
		w.m.trips++
	}
	w.answered = false
	w.m.mu.Unlock()
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.m.mu.Lock()
	w.answered = true
	w.m.mu.Unlock()
	return n, err
}

// metered makes a pool whose connections are counted.
func metered(t *testing.T, url string) (*meter, *pgxpool.Pool) {
	t.Helper()
	m := &meter{renewals: make(chan time.Time, 100)}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = m
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return &wire{Conn: c, m: m}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return m, pool
}

// working opens an engine with a worker, which stops when the test ends.
func working(t *testing.T, pool *pgxpool.Pool, schema string, cfg durable.Config) *durable.Engine {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	e, err := durable.Open(t.Context(), postgres.New(pool, postgres.Schema(schema)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		e.Close()
	})
	return e
}

// threeSteps is the run that the budgets are about.
func threeSteps() *durable.Workflow[parcel] {
	step := func(name string) durable.Node[parcel] {
		return durable.Step(name, func(_ context.Context, p *parcel) error {
			p.Signed += name
			return nil
		})
	}
	return durable.Define("three", step("a"), step("b"), step("c"))
}

// A run of three steps, alone, is a commit at its beginning and one after each
// step, each of them one round trip.
func TestBudget_ThreeStepsAlone(t *testing.T) {
	url, schema := fresh(t)
	m, pool := metered(t, url)
	flow := threeSteps()
	e := working(t, pool, schema, durable.Config{Workflows: []durable.Definition{flow}, Queues: map[string]durable.Queue{
		"default": {PollInterval: time.Hour}, // what an idle worker asks has a budget of its own
	}, Lease: time.Hour})
	for range 5 { // until statements are prepared and the worker knows its queue to be empty
		run(t, e, flow)
	}
	m.reset()
	const runs = 10
	for range runs {
		run(t, e, flow)
	}
	trips, statements := m.reset()
	commits := 0
	for _, s := range statements {
		if s == "commit" {
			commits++
		}
	}
	if commits != 4*runs {
		t.Errorf("%d runs took %d commits, want 4 each", runs, commits)
	}
	if trips > 5*runs {
		t.Errorf("%d runs took %d round trips, want at most 5 each:\n%s", runs, trips, strings.Join(statements, "\n"))
	}
	t.Logf("%d round trips, %d statements for %d runs", trips, len(statements), runs)
}

func run(t *testing.T, e *durable.Engine, flow *durable.Workflow[parcel]) {
	t.Helper()
	r, err := flow.Start(t.Context(), e, parcel{})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := r.Wait(t.Context()); err != nil || p.Signed != "abc" {
		t.Fatalf("%+v, %v", p, err)
	}
}

// An idle worker with the usual settings asks once a second, whatever number of
// queues it serves: every third time along with its renewal.
func TestBudget_IdleWorker(t *testing.T) {
	t.Parallel()
	url, schema := fresh(t)
	m, pool := metered(t, url)
	working(t, pool, schema, durable.Config{
		Workflows: []durable.Definition{threeSteps()},
		Queues:    map[string]durable.Queue{"ai": {}, "mail": {}, "slow": {}},
	})
	at := func() time.Time {
		select {
		case at := <-m.renewals:
			return at
		case <-time.After(time.Minute):
			t.Fatal("a minute without a renewal")
			return time.Time{}
		}
	}
	at() // of a lease that is not there yet
	at() // for what it tells
	begin := at()
	m.reset()
	end := begin
	for range 2 {
		end = at()
	}
	trips, statements := m.reset()
	if limit := int(end.Sub(begin)/time.Second) + 4; len(statements) > limit || trips > limit {
		t.Errorf("in %s an idle worker sent %d statements in %d round trips, want %d at most:\n%s",
			end.Sub(begin), len(statements), trips, limit, strings.Join(statements, "\n"))
	}
}

// Who waits for a run that another process has looks at one row each time.
func TestBudget_WaitFromElsewhere(t *testing.T) {
	url, schema := fresh(t)
	_, pool := metered(t, url)
	hold := make(chan struct{})
	flow := durable.Define("held", durable.Step("hold", func(ctx context.Context, _ *parcel) error {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return ctx.Err()
	}))
	worker := working(t, pool, schema, durable.Config{Workflows: []durable.Definition{flow}})
	r, err := flow.Start(t.Context(), worker, parcel{})
	if err != nil {
		t.Fatal(err)
	}
	m, elsewhere := metered(t, url)
	other, err := durable.Open(t.Context(), postgres.New(elsewhere, postgres.Schema(schema)), durable.Config{Workflows: []durable.Definition{flow}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	m.reset()
	if _, err := flow.Attach(other, r.ID).Wait(ctx); ctx.Err() == nil {
		t.Fatalf("the run is held, and yet: %v", err)
	}
	_, statements := m.reset()
	// At 0, 5, 15, 35 … 1,275 ms.
	if n := len(statements); n == 0 || n > 10 {
		t.Errorf("in two seconds %d statements, want 1 to 10:\n%s", n, strings.Join(statements, "\n"))
	}
	for _, s := range statements {
		if !strings.Contains(s, "ORDER BY e.id DESC LIMIT") {
			t.Errorf("more than a look at a header: %s", s)
		}
	}
	close(hold)
	if _, err := flow.Attach(other, r.ID).Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// A step that names bodies, a small one, one that others have and one that is new, is one round trip.
func TestBudget_StepWithBodies(t *testing.T) {
	url, schema := fresh(t)
	m, pool := metered(t, url)
	st := open(t, postgres.New(pool, postgres.Schema(schema)))
	who := uuid.New()
	if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	begin := beginning()
	begin.Begin.Owner = who
	commit(t, st, begin)
	prompt := bytes.Repeat([]byte("prompt "), 1000)
	for base := 1; base <= 6; base++ {
		m.reset()
		for i, v := range commit(t, st, store.Write{Advance: &store.Advance{
			ID: begin.Begin.ID, Owner: who, Epoch: 1, Base: base, Row: []byte("row"), Seen: -1,
			Blobs: [][]byte{fmt.Append(nil, "small ", base), prompt, fmt.Appendf(nil, "%s, and then %d", prompt, base)},
		}}) {
			if v.Code != store.Applied {
				t.Fatalf("write %d: verdict %d", i, v.Code)
			}
		}
		trips, statements := m.reset()
		if base > 1 && trips != 1 { // the first time statements are prepared
			t.Errorf("step %d: %d round trips:\n%s", base, trips, strings.Join(statements, "\n"))
		}
	}
}
