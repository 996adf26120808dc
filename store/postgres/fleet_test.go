package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// errCut is what a worker gets whose line is cut.
var errCut = errors.New("the line is cut")

// line is a worker's way to the store. Cut, nothing gets through any more: to
// all others the worker is dead. Frozen, everything waits until it thaws: the
// worker is paused.
type line struct {
	store.Store
	mu   sync.Mutex
	dead bool
	ice  chan struct{} // closed when it thaws; nil: not frozen
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
}

func (l *line) freeze() (thaw func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ice := make(chan struct{})
	l.ice = ice
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(ice)
		l.ice = nil
	}
}

// pass returns when a call may go through. That a frozen one is late, nobody tells it.
func (l *line) pass() error {
	for {
		l.mu.Lock()
		dead, ice := l.dead, l.ice
		l.mu.Unlock()
		if dead {
			return errCut
		}
		if ice == nil {
			return nil
		}
		<-ice
	}
}

func (l *line) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	if err := l.pass(); err != nil {
		return store.Result{}, err
	}
	return l.Store.Commit(context.WithoutCancel(ctx), writes)
}

func (l *line) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	if err := l.pass(); err != nil {
		return store.Claimed{}, err
	}
	return l.Store.Claim(ctx, req)
}

func (l *line) Renew(ctx context.Context, x store.Lease) (store.Renewal, error) {
	if err := l.pass(); err != nil {
		return store.Renewal{}, err
	}
	return l.Store.Renew(ctx, x)
}

func (l *line) Expire(ctx context.Context) (int, error) {
	if err := l.pass(); err != nil {
		return 0, err
	}
	return l.Store.Expire(ctx)
}

func (l *line) Retire(ctx context.Context, who store.Incarnation) error {
	if err := l.pass(); err != nil {
		return err
	}
	return l.Store.Retire(ctx, who)
}

func (l *line) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	if err := l.pass(); err != nil {
		return store.Record{}, err
	}
	return l.Store.Load(ctx, id, whole)
}

// member is an engine of a fleet, with a worker.
type member struct {
	*durable.Engine
	name string
	line *line
	said *said
	done chan struct{} // closed when Run has returned
}

// said is what an engine logged.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), what)
}

// fleet is several engines on one database.
type fleet struct {
	t      *testing.T
	url    string
	schema string
	n      int
}

func newFleet(t *testing.T) *fleet {
	url, schema := fresh(t)
	return &fleet{t: t, url: url, schema: schema}
}

// OpenStore implements store.Opener.
func (l *line) OpenStore(context.Context) (store.Store, error) { return l, nil }

// join opens an engine that works until the test ends.
func (f *fleet) join(cfg durable.Config) *member {
	f.t.Helper()
	st, err := postgres.Open(f.url, postgres.Schema(f.schema)).OpenStore(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	f.n++
	m := &member{name: fmt.Sprint("worker ", f.n), line: &line{Store: st}, said: new(said), done: make(chan struct{})}
	cfg.Name, cfg.Logger = m.name, slog.New(slog.NewTextHandler(m.said, nil))
	if cfg.Lease == 0 {
		cfg.Lease = 2 * time.Second
	}
	if m.Engine, err = durable.Open(f.t.Context(), m.line, cfg); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		defer close(m.done)
		_ = m.Run(context.WithoutCancel(f.t.Context()))
	}()
	f.t.Cleanup(func() {
		m.line.cut()
		m.StopNow()
		_ = m.Close()
		<-m.done
	})
	return m
}

// query reads one value of the database.
func (f *fleet) query(into any, statement string, args ...any) {
	f.t.Helper()
	c, err := pgx.Connect(f.t.Context(), f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(f.t.Context())) }()
	if err := c.QueryRow(f.t.Context(), strings.ReplaceAll(statement, "durable.", pgx.Identifier{f.schema}.Sanitize()+"."), args...).Scan(into); err != nil {
		f.t.Fatalf("%v: %s", err, statement)
	}
}

// eventually returns when something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("after a minute, still not: %s", what)
		}
	}
}

// entry is a body that began.
type entry struct {
	run     durable.ID
	path    string
	epoch   int64
	attempt int
	at      time.Time
}

// ledger is what bodies really did.
type ledger struct {
	mu      sync.Mutex
	entries []entry
}

func (l *ledger) began(ctx context.Context) entry {
	info, _ := durable.Info(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	e := entry{info.Execution, info.Path, info.Epoch, info.Attempt, time.Now()}
	l.entries = append(l.entries, e)
	return e
}

func (l *ledger) of(id durable.ID) (list []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.run == id {
			list = append(list, e)
		}
	}
	return list
}

// held is a workflow whose step waits, in its first body, until it is let go or
// its context ends; deaf bodies ignore that.
func held(l *ledger, deaf bool) (flow *durable.Workflow[parcel], begun, free chan struct{}) {
	begun, free = make(chan struct{}, 10), make(chan struct{})
	flow = durable.Define("held", durable.Step("hold", func(ctx context.Context, p *parcel) error {
		first := len(l.of(l.began(ctx).run)) == 1
		begun <- struct{}{}
		ended := ctx.Done()
		if deaf {
			ended = nil
		}
		if first {
			select {
			case <-free:
			case <-ended:
				return ctx.Err()
			}
		}
		p.Signed = "by a later body"
		if first {
			p.Signed = "by the first body"
		}
		return nil
	}))
	return flow, begun, free
}

func TestQU4_FleetReplacesADeadWorker(t *testing.T) {
	t.Parallel()
	f, l := newFleet(t), new(ledger)
	flow, begun, _ := held(l, false)
	cfg := durable.Config{Workflows: []durable.Definition{flow}}
	one := f.join(cfg)
	r, err := flow.Start(t.Context(), one.Engine, parcel{})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	two := f.join(cfg)
	var expires time.Time
	f.query(&expires, "SELECT max(l.expires) FROM durable.lease l JOIN durable.execution e ON e.owner = l.who WHERE e.id = $1", r.ID.String())
	one.line.cut()
	p, err := flow.Attach(two.Engine, r.ID).Wait(t.Context())
	if err != nil || p.Signed != "by a later body" {
		t.Errorf("%+v, %v", p, err)
	}
	bodies := l.of(r.ID)
	if len(bodies) != 2 || bodies[1].attempt != 2 || bodies[1].epoch <= bodies[0].epoch {
		t.Errorf("bodies: %+v", bodies)
	}
	if bodies[1].at.Before(expires) {
		t.Errorf("taken over at %s, before the lease ended at %s", bodies[1].at, expires)
	}
}

// Leases and polls last an hour: only the handover and its hint can be in time.
func TestQU11_FleetGoesOnAfterACleanStop(t *testing.T) {
	t.Parallel()
	f, l := newFleet(t), new(ledger)
	flow, begun, _ := held(l, false)
	cfg := durable.Config{
		Workflows: []durable.Definition{flow}, Lease: time.Hour, ShutdownGrace: -1,
		Queues: map[string]durable.Queue{"default": {PollInterval: time.Hour}},
	}
	one := f.join(cfg)
	r, err := flow.Start(t.Context(), one.Engine, parcel{})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	two := f.join(cfg)
	eventually(t, "the second worker has looked around and listens", func() bool {
		var n int
		f.query(&n, "SELECT count(*) FROM durable.lease")
		var listening int
		f.query(&listening, "SELECT count(*) FROM pg_stat_activity WHERE query ~* '^listen' AND strpos(query, $1) > 0", postgres.Channel(f.schema))
		return n == 2 && listening == 2
	})
	if err := one.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := flow.Attach(two.Engine, r.ID).Wait(t.Context()); err != nil || p.Signed != "by a later body" {
		t.Errorf("%+v, %v", p, err)
	}
	if bodies := l.of(r.ID); len(bodies) != 2 || bodies[1].attempt != 1 {
		t.Errorf("a stop uses up no attempt: %+v", bodies)
	}
}

// A worker that is paused for longer than its lease comes back: what it wants to
// write is refused, it says so once, and the record is the other's.
func TestQU5_FleetRefusesAWorkerThatWasPaused(t *testing.T) {
	t.Parallel()
	f, l := newFleet(t), new(ledger)
	flow, begun, free := held(l, true)
	cfg := durable.Config{Workflows: []durable.Definition{flow}}
	one := f.join(cfg)
	r, err := flow.Start(t.Context(), one.Engine, parcel{})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	two := f.join(cfg)
	thaw := one.line.freeze()
	close(free) // its body ends, and what it did waits in the line
	p, err := flow.Attach(two.Engine, r.ID).Wait(t.Context())
	if err != nil || p.Signed != "by a later body" {
		t.Errorf("%+v, %v", p, err)
	}
	thaw()
	// It works again, under a new name, and has changed nothing.
	another, err := flow.Start(t.Context(), one.Engine, parcel{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := another.Wait(t.Context()); err == nil {
		x, err := two.Execution(t.Context(), r.ID, durable.WithSteps)
		if err != nil || !strings.Contains(string(x.State), "by a later body") {
			t.Errorf("after the pause: %+v, %v", x, err)
		}
		done := 0
		for _, s := range x.Steps {
			if s.Status == "done" {
				done++
			}
		}
		if done != 1 || len(l.of(r.ID)) != 2 {
			t.Errorf("%d records of %d bodies, want 1 of 2", done, len(l.of(r.ID)))
		}
	} else {
		t.Error(err)
	}
	if n := one.said.count("the lease is lost"); n != 1 {
		t.Errorf("it said %d times that its lease is lost, want once:\n%s", n, one.said.text.String())
	}
}

// A run that a worker owns and does not drive is let go.
func TestQU8_FleetLetsGoWhatNobodyDrives(t *testing.T) {
	t.Parallel()
	f, l := newFleet(t), new(ledger)
	flow, _, free := held(l, false)
	close(free)
	one := f.join(durable.Config{Workflows: []durable.Definition{flow}, Lease: 500 * time.Millisecond, Queues: map[string]durable.Queue{"elsewhere": durable.Elsewhere}})
	r, err := flow.Start(t.Context(), one.Engine, parcel{}, durable.InQueue("elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has a lease", func() bool {
		var n int
		f.query(&n, "SELECT count(*) FROM durable.lease")
		return n == 1
	})
	var id uuid.UUID // a claim whose reply was lost leaves the same
	f.query(&id, "UPDATE durable.execution SET owner = (SELECT who FROM durable.lease), status = 'running', epoch = epoch + 1, due = NULL WHERE id = $1 RETURNING id", r.ID.String())
	eventually(t, "it is let go", func() bool {
		x, err := one.Execution(t.Context(), r.ID)
		return err == nil && x.Status == durable.Pending && x.Worker == ""
	})
	if len(l.of(r.ID)) != 0 {
		t.Error("a body ran")
	}
}

// Two pools of workers on one database, each with a queue of its own: a run goes
// to and fro, and each body runs where it belongs.
func TestQU1_FleetOfTwoPools(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	var mu sync.Mutex
	where := map[string]map[string]int{}
	define := func(pool string) *durable.Workflow[parcel] {
		step := func(name, queue string) durable.Node[parcel] {
			return durable.Step(name, func(context.Context, *parcel) error {
				mu.Lock()
				defer mu.Unlock()
				if where[queue] == nil {
					where[queue] = map[string]int{}
				}
				where[queue][pool]++
				return nil
			}).Queue(queue)
		}
		return durable.Define("pools", step("a", "cpu"), step("b", "gpu"), step("c", "cpu")).Queue("cpu")
	}
	cpu, gpu := define("cpu"), define("gpu")
	var members []*member
	for range 2 {
		members = append(members,
			f.join(durable.Config{Workflows: []durable.Definition{cpu}, Queues: map[string]durable.Queue{"cpu": {}, "gpu": durable.Elsewhere}}),
			f.join(durable.Config{Workflows: []durable.Definition{gpu}, Queues: map[string]durable.Queue{"gpu": {}, "cpu": durable.Elsewhere}}))
	}
	const runs = 40
	started, err := gpu.StartMany(t.Context(), members[1].Engine, make([]parcel, runs), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range started {
		if _, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if where["cpu"]["cpu"] != 2*runs || where["gpu"]["gpu"] != runs || where["cpu"]["gpu"]+where["gpu"]["cpu"] != 0 {
		t.Errorf("bodies by queue and pool: %v", where)
	}
}
