package ai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// fleet is workers on one PostgreSQL, each with an engine and a client of its own, as processes have. They die at moments of
// chance, between a write and its reply, and others take their places.
type fleet struct {
	t       *testing.T
	opener  store.Opener
	cfg     durable.Config
	client  func() *Client
	seed    uint64
	every   int // changes of a worker until it dies, on the average; 0: none dies
	kills   atomic.Int64
	most    int64 // kills
	ctx     context.Context
	running sync.WaitGroup

	boss *durable.Engine // from outside: starts, answers and reads; never dies
}

var errDead = errors.New("this worker is dead")

// kills is how many workers may die in a test on PostgreSQL: AI_KILLS, 12 without.
func killsOf(t *testing.T) int64 {
	n, err := strconv.ParseInt(os.Getenv("AI_KILLS"), 10, 64)
	if err != nil || n < 1 {
		n = 12
	}
	return n
}

// pgOpener is a schema of its own, which is dropped when the test ends.
func pgOpener(t *testing.T) store.Opener {
	t.Helper()
	url := os.Getenv("DURABLE_TEST_POSTGRES_URL")
	if url == "" {
		url = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Skip("SKIPPED: there is no PostgreSQL at 127.0.0.1:5432, and DURABLE_TEST_POSTGRES_URL is not set; scripts/postgres starts one")
		}
		_ = c.Close(t.Context())
	}
	schema := fmt.Sprintf("durable ai %016x", rand.Uint64())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.Close(ctx) }()
		if _, err := c.Exec(ctx, "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade"); err != nil {
			t.Error(err)
		}
	})
	return postgres.Open(url, postgres.Schema(schema))
}

// newFleet makes a fleet and the engine that stands outside.
func newFleet(t *testing.T, every int, client func() *Client, ws ...durable.Definition) *fleet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	f := &fleet{t: t, opener: pgOpener(t), client: client, seed: rand.Uint64(), every: every, most: killsOf(t), ctx: ctx}
	t.Logf("the seed is %d", f.seed)
	f.cfg = durable.Config{Workflows: ws, Lease: time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	var err error
	if f.boss, err = durable.Open(ctx, f.opener, f.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		f.running.Wait()
		_ = f.boss.Close()
	})
	return f
}

// work keeps so many workers alive until the fleet's context ends.
func (f *fleet) work(workers int) {
	for i := range workers {
		chance := rand.New(rand.NewPCG(f.seed, uint64(i)))
		f.running.Go(func() {
			for f.ctx.Err() == nil {
				f.live(chance)
			}
		})
	}
}

// live is the life of one worker.
func (f *fleet) live(chance *rand.Rand) {
	ctx, die := context.WithCancel(f.ctx)
	defer die()
	m := &mortal{opener: f.opener, dies: func() {
		f.kills.Add(1)
		die()
	}}
	if f.every > 0 && f.kills.Load() < f.most {
		m.left = 1 + chance.IntN(2*f.every)
	}
	e, err := durable.Open(ctx, m, f.cfg)
	if err != nil {
		return
	}
	_ = e.Run(WithClient(ctx, f.client()))
	_ = e.Close()
}

// mortal is a worker's line to the store. It breaks for good after so many changes, and the reply to the last one is lost.
type mortal struct {
	store.Store
	opener store.Opener
	dies   func()

	mu   sync.Mutex
	left int
	dead bool
}

func (m *mortal) OpenStore(ctx context.Context) (s store.Store, err error) {
	m.Store, err = m.opener.OpenStore(ctx)
	return m, err
}

func (m *mortal) up() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	return nil
}

// changed counts a change that was made.
func (m *mortal) changed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left > 0 {
		if m.left--; m.left == 0 {
			m.dead = true
			m.dies()
		}
	}
	if m.dead {
		return errDead
	}
	return nil
}

func change[T any](m *mortal, fn func() (T, error)) (v T, err error) {
	if err = m.up(); err == nil {
		if v, err = fn(); err == nil {
			err = m.changed()
		}
	}
	return v, err
}

func (m *mortal) Commit(ctx context.Context, w []store.Write) (store.Result, error) {
	if len(w) == 0 {
		return m.Store.Commit(ctx, w)
	}
	return change(m, func() (store.Result, error) { return m.Store.Commit(ctx, w) })
}

func (m *mortal) Draw(ctx context.Context, d store.Drawing) (store.Drawn, error) {
	return change(m, func() (store.Drawn, error) { return m.Store.Draw(ctx, d) })
}

func (m *mortal) Settle(ctx context.Context, s store.Settling) error {
	_, err := change(m, func() (int, error) { return 0, m.Store.Settle(ctx, s) })
	return err
}

func (m *mortal) Claim(ctx context.Context, req store.ClaimRequest) (store.Claimed, error) {
	if err := m.up(); err != nil {
		return store.Claimed{}, err
	}
	return m.Store.Claim(ctx, req)
}

func (m *mortal) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	if err := m.up(); err != nil {
		return store.Renewal{}, err
	}
	return m.Store.Renew(ctx, l)
}

func (m *mortal) Retire(ctx context.Context, who store.Incarnation) error { // who dies does not say so
	if err := m.up(); err != nil {
		return err
	}
	return m.Store.Retire(ctx, who)
}

// answer gives answers to what is asked until all runs have ended.
func (f *fleet) answer(ids []durable.ID, answer func(in *durable.PendingInput) any) {
	f.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		page, err := f.boss.PendingInputs(f.ctx, durable.InputFilter{Limit: 1000})
		if err != nil {
			f.t.Fatal(err)
		}
		for i := range page.Inputs {
			in := &page.Inputs[i]
			if v := answer(in); v != nil {
				_ = f.boss.ProvideInput(f.ctx, in.Execution, in.ID, v) // it may have been answered by its time, or end just now
			}
		}
		open := 0
		for _, id := range ids {
			x, err := f.boss.Execution(f.ctx, id)
			if err != nil {
				f.t.Fatal(err)
			}
			switch {
			case x.Status == durable.Completed:
			case x.Status.Ended() || x.Status == durable.Blocked:
				f.t.Fatalf("run %s is %s: %v", id, x.Status, x.Error)
			default:
				open++
			}
		}
		if open == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.t.Fatalf("%d runs do not end", open)
		}
	}
}

// AI-29 on PostgreSQL: 50 children on three workers that die at moments of chance never send more than the budget of their run, which
// is raised again and again, and end with all that were asked for; the counters hold what the records say.
func TestAI29_Postgres(t *testing.T) {
	for _, name := range []string{"called", "spread"} {
		t.Run(name, func(t *testing.T) {
			const n = 50
			var allowed, sent atomic.Int64
			allowed.Store(10)
			p := slow{func(context.Context) (*Response, error) {
				if sent.Add(1) > allowed.Load() {
					t.Errorf("%d requests, and the budget is %d", sent.Load(), allowed.Load())
				}
				return answer("a"), nil
			}}
			ws := fan(n)[name]
			w := ws[0].(*durable.Workflow[doc])
			f := newFleet(t, 12, func() *Client { return newClient(t, Config{Budgets: map[string]Budget{"w": {Calls: 10}}}, p) }, ws...)
			r, err := w.Start(f.ctx, f.boss, doc{})
			if err != nil {
				t.Fatal(err)
			}
			f.work(3)
			answered := map[string]bool{}
			f.answer([]durable.ID{r.ID}, func(in *durable.PendingInput) any {
				if answered[in.ID] {
					return nil
				}
				answered[in.ID] = true
				if len(answered)%15 > 0 {
					return map[string]any{"do": "try again"}
				}
				to := allowed.Add(15)
				return map[string]any{"do": "raise", "calls": to}
			})
			spent := treeSpending(t, f.ctx, f.boss, r.ID)
			count, err := f.boss.Counter(f.ctx, r.ID, "ai:calls:"+r.ID.String())
			if err != nil || count.All < int64(spent.Calls) || count.All > allowed.Load() || int64(spent.Calls) < sent.Load() || sent.Load() < n {
				t.Errorf("%d were sent, the records have %d, the counter %d, the budget is %d: %v", sent.Load(), spent.Calls, count.All, allowed.Load(), err)
			}
			t.Logf("%d kills, %d sent, the records have %d, the counter %d, the budget is %d", f.kills.Load(), sent.Load(), spent.Calls, count.All, allowed.Load())
		})
	}
}

// task is the state of an agent on PostgreSQL.
type task struct {
	N      int
	Result *AgentResult
}

// AI-8, AI-11 on PostgreSQL: agents on four workers that die at moments of chance, and on others then, pay each turn once but for what is
// shown as possibly paid, run no tool twice that may not, and wait for people, whose answers are lost with no worker.
func TestAI8_AgentWeatherPostgres(t *testing.T) {
	const runs = 6
	lines := []func(*Request) Response{
		calls("look", `{"order":"1"}`, "note", `{"order":"1"}`),
		calls("refund", `{"order":"1"}`, "refund", `{"order":"2"}`, "look", `{"order":"2"}`),
		calls("book", `{"order":"1"}`, "book", `{"order":"2"}`),
		speak("done"),
	}
	models, done := make([]*played, runs), make([]*effects, runs)
	providers, aliases := map[string]Provider{}, map[string]string{}
	for i := range runs {
		models[i], done[i] = &played{lines: lines}, new(effects)
		providers[fmt.Sprint("p", i)], aliases[fmt.Sprint("smart", i)] = models[i], fmt.Sprintf("p%d:one", i)
	}
	w := durable.Define("talk", durable.Step("s", func(ctx context.Context, c *task) (err error) {
		c.Result, err = Agent{Name: "a", Model: fmt.Sprint("smart", c.N), Tools: kit(done[c.N])}.Run(ctx, "do it")
		return err
	}).Retry(durable.Retry{MaxAttempts: 50, Base: time.Millisecond, Max: 10 * time.Millisecond}))
	f := newFleet(t, 6, func() *Client {
		c, err := New(Config{Getenv: noEnv, Providers: providers, Aliases: aliases})
		if err != nil {
			t.Error(err)
		}
		return c
	}, w)
	var ids []durable.ID
	byRun := map[durable.ID]int{}
	for i := range runs {
		r, err := w.Start(f.ctx, f.boss, task{N: i})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
		byRun[r.ID] = i
	}
	f.work(4)
	f.answer(ids, func(in *durable.PendingInput) any {
		q := Question{Prompt: in.Prompt, Schema: in.Schema}
		switch {
		case strings.HasPrefix(in.Name, "approve:"):
			q.Details = decoded[ApprovalDetails](t, in.Details)
		case strings.HasPrefix(in.Name, "doubt:"):
			q.Details = decoded[DoubtDetails](t, in.Details)
		}
		return human(done[byRun[in.Execution]])(in.Name, q)
	})
	possibly := 0
	for i, id := range ids {
		calls, err := Calls(f.ctx, f.boss, id)
		if err != nil {
			t.Fatal(err)
		}
		var sum Sum
		for k := range calls {
			sum.Add(&calls[k])
		}
		if sum.Answers != 4 || sum.PossiblyPaid != sum.Requests-4 || models[i].requests() > sum.Requests {
			t.Errorf("run %d: %d requests, recorded %+v", i, models[i].requests(), sum)
		}
		possibly += sum.PossiblyPaid
		for _, what := range []string{"note 1", "refund 1", "refund 2"} {
			if n := done[i].of(what); n != 1 {
				t.Errorf("run %d: %s ran %d times: %s", i, what, n, done[i])
			}
		}
	}
	t.Logf("%d kills in %d runs, %d requests possibly paid without an answer", f.kills.Load(), runs, possibly)
}

// AI-16 on PostgreSQL: what one worker is told by a provider's rate limit all wait for, and no more are on their way at once than may be,
// over all workers.
func TestShared_Postgres(t *testing.T) {
	var mu sync.Mutex
	now, most, sent := 0, 0, 0
	var told, early time.Time
	p := slow{func(context.Context) (*Response, error) {
		mu.Lock()
		defer mu.Unlock()
		if sent++; sent == 5 {
			told = time.Now()
			return nil, &Error{Kind: RateLimited, Status: 429, RetryAfter: 4 * time.Second}
		}
		if !told.IsZero() && time.Since(told) < 3900*time.Millisecond && time.Since(told) > 1500*time.Millisecond && now == 0 {
			early = time.Now() // no other was on its way, so it was asked for since
		}
		now++
		most = max(most, now)
		mu.Unlock()
		elapse(30 * time.Millisecond)
		mu.Lock()
		now--
		return answer("a"), nil
	}}
	w := define(func(ctx context.Context, d *doc) error {
		_, err := GenerateText(ctx, "smart", fmt.Sprint(d.N))
		return err
	})
	f := newFleet(t, 0, func() *Client {
		return newClient(t, Config{Shared: true, Limits: map[string]Limit{"fake:*": {Concurrent: 2}}}, p)
	}, w)
	f.cfg.Lease = 10 * time.Second // nobody dies
	var ids []durable.ID
	for n := range 12 {
		r, err := w.Start(f.ctx, f.boss, doc{N: n})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	f.work(2)
	f.answer(ids, func(*durable.PendingInput) any { return nil })
	if most > 2 || sent != 13 || !early.IsZero() {
		t.Errorf("%d at once, %d sent, told at %s, one sent at %s", most, sent, told, early)
	}
}
