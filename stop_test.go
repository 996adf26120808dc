package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// most counts how many bodies run at once.
type most struct {
	mu        sync.Mutex
	now, peak int
}

func (m *most) in() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	m.peak = max(m.peak, m.now)
}

func (m *most) out() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
}

func TestQU1_ManyWorkersOneOwner(t *testing.T) {
	var bodies tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		bodies.add(fmt.Sprint(n.N))
		return rest(ctx, time.Millisecond)
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		bodies.reset()
		for range 3 {
			e.Join(serve(w))
		}
		in := make([]note, 200)
		for i := range in {
			in[i].N = i
		}
		runs, err := w.StartMany(context.Background(), e.Engine.Engine, in, nil)
		if err != nil {
			t.Fatal(err)
		}
		e.Sleep(7 * time.Hour)
		for _, r := range runs {
			if x, err := e.Execution(context.Background(), r.ID); err != nil || x.Status != durable.Completed {
				t.Fatalf("%+v, %v", x, err)
			}
		}
		got := bodies.all()
		slices.Sort(got)
		if len(got) != 200 || len(slices.Compact(got)) != 200 {
			t.Errorf("%d bodies of %d runs", len(bodies.all()), len(slices.Compact(got)))
		}
	})
}

// QU-2 but for global limits and rates.
func TestQueues_SlotsOfTheStepsQueue(t *testing.T) {
	var plain, ai most
	slow := func(name string, m *most) *durable.StepNode[note] {
		return body(name, func(ctx context.Context, n *note) error {
			m.in()
			defer m.out()
			if err := rest(ctx, time.Second); err != nil {
				return err
			}
			return durable.Sleep(ctx, time.Minute) // holds no slot
		})
	}
	w := durable.Define("w", slow("a", &plain), slow("b", &ai).Queue("ai"), slow("c", &plain))
	cfg := serve(w)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 7}, "ai": {Concurrency: 3}}
	onStores(t, cfg, func(t *testing.T, e env) {
		plain, ai = most{}, most{}
		runs, err := w.StartMany(context.Background(), e.Engine.Engine, make([]note, 50), nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for _, r := range runs {
			if _, err := r.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if plain.peak != 7 || ai.peak != 3 {
			t.Errorf("at most %d and %d bodies at once, want 7 and 3", plain.peak, ai.peak)
		}
		if d := time.Since(began); d > 5*time.Minute {
			t.Errorf("50 runs took %s", d)
		}
	})
}

// A freed slot is refilled at once: the poll is six hours.
func TestQU3_NobodyWaitsForThePoll(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error { return rest(ctx, time.Millisecond) }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		began := time.Now()
		runs, err := w.StartMany(context.Background(), e.Engine.Engine, make([]note, 200), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if _, err := r.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("200 runs of a millisecond in 10 slots took %s", d)
		}
	})
}

func TestQU4_ADeadWorkerIsReplacedWithinTheLease(t *testing.T) {
	var begun tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		begun.add(time.Now().Format(time.RFC3339Nano))
		if info.Crashes == 0 && n.Kind == "dies" {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return rest(ctx, 20*time.Minute)
	}).Timeout(durable.NoTimeout))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		begun.reset()
		run := durabletest.Start(e.Engine, w, note{Kind: "dies"})
		synctest.Wait()
		crash := time.Now()
		e.Crash()
		run.Done()
		got := begun.all()
		again, err := time.Parse(time.RFC3339Nano, got[len(got)-1])
		if err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		if d := again.Sub(crash); d > 11*time.Second {
			t.Errorf("the step began again %s after the crash", d)
		}
		begun.reset() // a long body under a living worker is never taken away
		e.Join(cfg)
		durabletest.Start(e.Engine, w, note{}).Done()
		if n := len(begun.all()); n != 1 {
			t.Errorf("%d bodies under a living worker", n)
		}
	})
}

// QU-11 but for a stop in an outage.
func TestStop_Matrix(t *testing.T) {
	var causes tally
	quick := func(ctx context.Context, n *note) error { return rest(ctx, 10*time.Second) }
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		switch {
		case n.Kind == "quick" || info.Epoch > 1 && n.Kind != "deaf":
			return quick(ctx, n)
		case n.Kind == "deaf" && len(causes.all()) == 0:
			causes.add("deaf")
			<-time.After(time.Hour)
			n.Kind = "dropped"
			return nil
		case n.Kind == "deaf":
			return nil
		}
		<-ctx.Done()
		causes.add(fmt.Sprint(errors.Is(context.Cause(ctx), durable.ErrStopping)))
		return context.Cause(ctx)
	}).Timeout(durable.NoTimeout), mark("after"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		stop := func() time.Duration {
			began := time.Now()
			if err := e.Engine.Engine.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		t.Log("idle, and twice")
		if d := stop() + stop(); d > time.Second {
			t.Errorf("idle: %s", d)
		}
		e.Restart()

		t.Log("a body that ends within the grace")
		run := durabletest.Start(e.Engine, w, note{Kind: "quick"})
		synctest.Wait()
		if d := stop(); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("a body of 10 s: %s", d)
		}
		if x := run.Look(); x.Status != durable.Pending || x.Worker != "" || len(x.Steps) != 1 || x.Steps[0].Status != "done" {
			t.Errorf("it is %s with %q: %q", x.Status, x.Worker, steps(x))
		}
		began := time.Now()
		e.Restart()
		wantTrace(t, run.Done(), "after")
		if d := time.Since(began); d > time.Second {
			t.Errorf("the next worker began after %s", d)
		}

		t.Log("a body that goes on until its context ends")
		causes.reset()
		run = durabletest.Start(e.Engine, w, note{Kind: "slow"})
		synctest.Wait()
		if d := stop(); d < 30*time.Second || d > 31*time.Second {
			t.Errorf("a body that waits for its context: %s", d)
		}
		e.Restart()
		run.Done()
		if got := causes.all(); !slices.Equal(got, []string{"true"}) {
			t.Errorf("causes %q", got)
		}

		t.Log("at once")
		run = durabletest.Start(e.Engine, w, note{Kind: "slow"})
		synctest.Wait()
		e.StopNow()
		e.StopNow()
		if d := stop(); d > time.Second {
			t.Errorf("StopNow: %s", d)
		}
		e.Restart()
		run.Done()

		t.Log("a body that ignores even that")
		causes.reset()
		run = durabletest.Start(e.Engine, w, note{Kind: "deaf"})
		synctest.Wait()
		if d := stop(); d > 33*time.Second {
			t.Errorf("a deaf body: %s", d)
		}
		e.Restart()
		if got := run.Done(); got.Kind != "deaf" {
			t.Errorf("what the deaf body left counts: %+v", got)
		}
		e.Sleep(2 * time.Hour)
		if got := run.Done(); got.Kind != "deaf" {
			t.Errorf("later: %+v", got)
		}
	})
}

func TestQU13_WithoutRunNothingExecutes(t *testing.T) {
	var bodies tally
	w := durable.Define("w", body("s", func(context.Context, *note) error {
		bodies.add("s")
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		bodies.reset()
		if err := e.Engine.Engine.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		run := durabletest.Start(e.Engine, w, note{})
		run.Event("e", 1)
		e.Sleep(24 * time.Hour)
		if x := run.Look(); x.Status != durable.Pending || len(bodies.all()) != 0 {
			t.Errorf("it is %s after %d bodies", x.Status, len(bodies.all()))
		}
		idle, err := durable.Open(context.Background(), e.opener, serve(w))
		if err != nil {
			t.Fatal(err)
		}
		if err := idle.Close(); err != nil {
			t.Error(err)
		}
		other := e.Join(serve(w)) // two on one store work under the same leases
		run.On(other).Done()
	})
}

// outage is a store that can be away.
type outage struct {
	store.Store
	mu   sync.Mutex
	away bool
	late bool // what it is asked happens, and the answer is lost
	n    int
}

func (o *outage) OpenStore(context.Context) (store.Store, error) { return o, nil }
func (o *outage) Close() error                                   { return nil }

func (o *outage) set(away, late bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away, o.late, o.n = away, late, 0
}

func (o *outage) gone() (away, late bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n++
	return o.away, o.late
}

var errAway = errors.New("the database is away")

func (o *outage) Commit(ctx context.Context, w []store.Write) (store.Result, error) {
	away, late := o.gone()
	if away && !late {
		return store.Result{}, errAway
	}
	r, err := o.Store.Commit(ctx, w)
	if away {
		return store.Result{}, errAway
	}
	return r, err
}

func (o *outage) Claim(ctx context.Context, q store.ClaimRequest) (store.Claimed, error) {
	if away, _ := o.gone(); away {
		return store.Claimed{}, errAway
	}
	return o.Store.Claim(ctx, q)
}

func (o *outage) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	if away, _ := o.gone(); away {
		return store.Renewal{}, errAway
	}
	return o.Store.Renew(ctx, l)
}

func TestQU7_QU8_TheStoreIsAway(t *testing.T) {
	var bodies tally
	w := durable.Define("w", body("a", func(ctx context.Context, n *note) error {
		bodies.add("a")
		n.Trace = append(n.Trace, "a")
		return rest(ctx, 3*time.Second)
	}), mark("b"))
	for _, late := range []bool{false, true} {
		inner, err := memory.New().OpenStore(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		db := &outage{Store: inner}
		cfg := serve(w)
		cfg.Lease = 10 * time.Second
		t.Run(fmt.Sprintf("the change is made %t", late), func(t *testing.T) {
			durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
				for _, d := range []time.Duration{5 * time.Second, 10 * time.Minute} {
					bodies.reset()
					run := durabletest.Start(e, w, note{})
					synctest.Wait()
					db.set(true, late)
					e.Sleep(d)
					db.mu.Lock()
					asked := db.n
					db.mu.Unlock()
					db.set(false, false)
					if limit := int(d.Seconds())*10 + 20; asked > limit {
						t.Errorf("asked %d times in %s", asked, d)
					}
					wantTrace(t, run.Done(), "a", "b")
					if n := len(bodies.all()); n > 1 && d < 9*time.Second {
						t.Errorf("an outage shorter than the lease cost %d bodies", n)
					}
					for _, s := range run.Look().Steps {
						if s.Attempt != 1 || s.Status != "done" {
							t.Errorf("after %s: %q", d, steps(run.Look()))
							break
						}
					}
				}
			}, durabletest.Store(db))
		})
	}
}

// Whoever starts Run on a goroutine and then changes his mind may close at any
// moment. Under the race detector this also finds a Run that begins unseen.
func TestStop_WhileRunBegins(t *testing.T) {
	for range 300 {
		e, err := durable.Open(t.Context(), memory.New(), serve())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- e.Run(context.Background()) }()
		if err := errors.Join(e.Close(), <-done); err != nil {
			t.Fatal(err)
		}
	}
}
