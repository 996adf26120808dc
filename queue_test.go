package durable_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// gauge sees how many bodies run, and when each began.
type gauge struct {
	mu     sync.Mutex
	now    int
	most   int
	starts []time.Time
}

func (g *gauge) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.most = max(g.most, g.now)
	g.starts = append(g.starts, time.Now())
}

func (g *gauge) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
}

func (g *gauge) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.starts)
}

// sharing is a config of which several engines share the queue "ai".
func sharing(q durable.Queue, workflows ...durable.Definition) durable.Config {
	if q.PollInterval == 0 {
		q.PollInterval = 200 * time.Millisecond // SQLite gives no hints here
	}
	return durable.Config{
		Workflows: workflows, Lease: time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Queues: map[string]durable.Queue{"ai": q},
	}
}

// working is a workflow of one step in "ai" that takes a while.
func working(g *gauge, d time.Duration) *durable.Workflow[note] {
	return durable.Define("work", body("work", func(ctx context.Context, _ *note) error {
		g.enter()
		defer g.leave()
		return rest(ctx, d)
	}).Queue("ai")).Queue("ai")
}

func TestQU2_GlobalOverAllWorkers(t *testing.T) {
	var g gauge
	flow := working(&g, time.Second)
	cfg := sharing(durable.Queue{Concurrency: 4, Global: 3}, flow)
	onStores(t, cfg, func(t *testing.T, e env) {
		g = gauge{}
		e.Join(cfg)
		e.Join(cfg)
		began := time.Now()
		var runs []*durabletest.Started[note]
		for range 12 {
			runs = append(runs, durabletest.Start(e.Engine, flow, note{}))
		}
		for _, r := range runs {
			r.Done()
		}
		if g.most != 3 || g.count() != 12 {
			t.Errorf("%d bodies at once and %d in all, want 3 and 12", g.most, g.count())
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("12 bodies of a second, 3 at once, took %v", took)
		}
		for _, r := range runs {
			if x := r.Look(); len(steps(x)) != 1 {
				t.Errorf("a refused beginning is an attempt: %v", steps(x))
			}
		}
	})
}

func TestQU2_RateOverAllWorkers(t *testing.T) {
	var g gauge
	flow := working(&g, 10*time.Millisecond)
	cfg := sharing(durable.Queue{Concurrency: 8, Rate: durable.Rate{N: 3, Per: time.Second}}, flow)
	onStores(t, cfg, func(t *testing.T, e env) {
		g = gauge{}
		e.Join(cfg)
		began := time.Now()
		var runs []*durabletest.Started[note]
		for range 10 {
			runs = append(runs, durabletest.Start(e.Engine, flow, note{}))
		}
		for _, r := range runs {
			r.Done()
		}
		for i := 3; i < len(g.starts); i++ {
			if d := g.starts[i].Sub(g.starts[i-3]); d < time.Second-time.Microsecond { // stores keep microseconds
				t.Errorf("bodies %d to %d began within %v", i-2, i+1, d)
			}
		}
		if took := time.Since(began); len(g.starts) != 10 || took > 3500*time.Millisecond {
			t.Errorf("%d starts, 3 a second, took %v", len(g.starts), took)
		}
	})
}

// A run that goes on from its own queue into a full one keeps what it has done,
// and no attempt is used up.
func TestQU2_RefusedBeginningKeepsWhatIsDone(t *testing.T) {
	var g gauge
	var done tally
	long := durable.Define("long", body("long", func(ctx context.Context, _ *note) error {
		g.enter()
		defer g.leave()
		return rest(ctx, time.Minute)
	}).Queue("ai")).Queue("ai")
	two := durable.Define("two",
		body("first", func(context.Context, *note) error { done.add("first"); return nil }),
		durable.Branch("which", func(*note) string { done.add("asked"); return "a" }).Case("a",
			body("second", func(context.Context, *note) error {
				g.enter()
				defer g.leave()
				done.add("second")
				return nil
			}).Queue("ai").Retry(durable.Retry{MaxAttempts: 1})),
		body("third", func(context.Context, *note) error { done.add("third"); return nil }))
	cfg := sharing(durable.Queue{Concurrency: 5, Global: 1}, long, two)
	onStores(t, cfg, func(t *testing.T, e env) {
		g, done = gauge{}, tally{}
		first := durabletest.Start(e.Engine, long, note{})
		e.Sleep(time.Second)
		run := durabletest.Start(e.Engine, two, note{})
		e.Sleep(10 * time.Second)
		if x := run.Look(); x.Status != durable.Pending || x.Queue != "ai" || x.Worker != "" {
			t.Errorf("the run is %s in queue %q, worker %q", x.Status, x.Queue, x.Worker)
		}
		if got := done.all(); !slices.Equal(got, []string{"first", "asked"}) {
			t.Errorf("done is %q", got)
		}
		first.Done()
		run.Done()
		if got := done.all(); !slices.Equal(got, []string{"first", "asked", "second", "third"}) {
			t.Errorf("done is %q", got)
		}
		if got := steps(run.Look()); !slices.Equal(got, []string{"first 1 done", "which[a]/second 1 done", "third 1 done"}) {
			t.Errorf("attempts are %q", got)
		}
		if n := len(e.record(t, run.ID).Rows); g.most != 1 || n > 8 {
			t.Errorf("%d bodies at once, %d rows: does it try again and again?", g.most, n)
		}
	})
}

// However a body ends, its slot is free for the next.
func TestQU2_SlotsComeBack(t *testing.T) {
	ends := map[string]func(ctx context.Context, n *note) error{
		"goes on elsewhere": func(context.Context, *note) error { return nil },
		"fails":             func(context.Context, *note) error { return durable.Permanent(errors.New("no")) },
		"panics":            func(context.Context, *note) error { panic("no") },
		"retries":           func(ctx context.Context, n *note) error { return durable.RetryAfter(errors.New("no"), 24*time.Hour) },
		"snoozes":           func(context.Context, *note) error { return durable.Snooze(24 * time.Hour) },
		"sleeps":            func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, 24*time.Hour) },
		"waits": func(ctx context.Context, _ *note) error {
			_, err := durable.WaitForEvent[string](ctx, "never", durable.Timeout(24*time.Hour))
			return err
		},
		"cancels": func(context.Context, *note) error { return durable.CancelRun("no") },
		"is cancelled from outside, or its worker dies": func(ctx context.Context, _ *note) error {
			return rest(ctx, 24*time.Hour)
		},
	}
	var current func(ctx context.Context, n *note) error
	first := durable.Define("first",
		body("ends", func(ctx context.Context, n *note) error { return current(ctx, n) }).Queue("ai").Retry(durable.Retry{MaxAttempts: 2}),
		body("long", func(ctx context.Context, n *note) error { return rest(ctx, 24*time.Hour) }).Timeout(durable.NoTimeout))
	next := durable.Define("next", mark("next").Queue("ai")).Queue("ai")
	cfg := sharing(durable.Queue{Concurrency: 5, Global: 1, PollInterval: time.Hour}, first, next)
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			onStores(t, cfg, func(t *testing.T, e env) {
				current = end
				one := durabletest.Start(e.Engine, first, note{})
				e.Sleep(time.Millisecond)
				two := durabletest.Start(e.Engine, next, note{})
				if name == "is cancelled from outside, or its worker dies" {
					e.Sleep(time.Second)
					if x := two.Look(); x.Status != durable.Pending {
						t.Fatalf("the next run is %s, although the first holds the only slot", x.Status)
					}
					if err := e.Cancel(t.Context(), one.ID, "enough"); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				two.Done()
				if took := time.Since(began); took > 500*time.Millisecond {
					t.Errorf("the slot was free after %v", took)
				}
			})
		})
	}
}

func TestQU2_SlotOfADeadWorker(t *testing.T) {
	var g gauge
	flow := working(&g, time.Second)
	cfg := sharing(durable.Queue{Concurrency: 5, Global: 1}, flow)
	onStores(t, cfg, func(t *testing.T, e env) {
		g = gauge{}
		one := durabletest.Start(e.Engine, flow, note{})
		e.Sleep(100 * time.Millisecond)
		if g.count() != 1 {
			t.Fatalf("%d bodies have begun", g.count())
		}
		e.Crash()
		two := durabletest.Start(e.Engine, flow, note{})
		one.Done()
		two.Done()
	})
}

// What begins with its start is recorded as begun by the row of the start.
func begunWith(t *testing.T, e env, id durable.ID) bool {
	t.Helper()
	facts, err := journal.Decode(e.record(t, id).Rows[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	return len(facts) == 2
}

func TestST10_EagerStarts(t *testing.T) {
	queues := map[string]durable.Queue{
		"free": {}, "paused": {}, "limited": {Global: 100}, "rated": {Rate: durable.Rate{N: 100, Per: time.Second}}, "one": {Concurrency: 1},
	}
	var order tally
	flow := durable.Define("flow", body("step", func(ctx context.Context, n *note) error {
		order.add(n.Kind)
		return rest(ctx, time.Second)
	}))
	cfg := serve(flow)
	cfg.Queues = queues
	onStores(t, cfg, func(t *testing.T, e env) {
		order.reset()
		if err := e.PauseQueue(t.Context(), "paused"); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"free": true, "paused": false, "limited": false, "rated": false} {
			run := durabletest.Start(e.Engine, flow, note{}, durable.InQueue(name))
			if got := begunWith(t, e, run.ID); got != want {
				t.Errorf("a start in queue %q begins at once: %v, want %v", name, got, want)
			}
		}
		e.Sleep(2 * time.Second)
		order.reset()
		durabletest.Start(e.Engine, flow, note{Kind: "running"}, durable.InQueue("one"))
		durabletest.Start(e.Engine, flow, note{Kind: "first in line"}, durable.InQueue("one"), durable.Priority(10))
		e.Sleep(time.Second) // at this moment the slot is free
		late := durabletest.Start(e.Engine, flow, note{Kind: "late"}, durable.InQueue("one"))
		if begunWith(t, e, late.ID) {
			t.Error("a start goes past a due run of higher priority")
		}
		late.Done()
		if got := order.all(); !slices.Equal(got, []string{"running", "first in line", "late"}) {
			t.Errorf("the order is %q", got)
		}
	})
}

func TestDF1_LimitsOfQueues(t *testing.T) {
	_, err := durable.Open(t.Context(), nil, durable.Config{Queues: map[string]durable.Queue{
		"a": {Global: -1},
		"b": {Rate: durable.Rate{N: 5}},
		"c": {Rate: durable.Rate{Per: time.Second}},
		"d": {Rate: durable.Rate{N: -1, Per: time.Second}},
		"e": {Rate: durable.Rate{N: 1, Per: -time.Second}},
		"f": {Rate: durable.Rate{N: 100_001, Per: time.Second}},
		"g": {Rate: durable.Rate{N: 1, Per: time.Microsecond}},
		"h": {Global: 1, Rate: durable.Rate{N: 1, Per: time.Millisecond}},
	}})
	var mistakes *durable.DefinitionError
	if !errors.As(err, &mistakes) {
		t.Fatal(err)
	}
	var where []string
	for _, m := range mistakes.Mistakes {
		where = append(where, m.Where)
	}
	slices.Sort(where)
	want := []string{"Open"}
	want = append([]string{`Config.Queues["a"].Global`}, want...)
	for _, name := range []string{"b", "c", "d", "e", "f", "g"} {
		want = append(want, fmt.Sprintf("Config.Queues[%q].Rate", name))
	}
	slices.Sort(want)
	if !slices.Equal(where, want) {
		t.Errorf("mistakes at %q, want %q", where, want)
	}
}

// queueState is what is known of a queue.
func queueState(t *testing.T, e *durable.Engine, name string) durable.QueueState {
	t.Helper()
	list, err := e.Queues(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range list {
		if q.Name == name {
			return q
		}
	}
	t.Fatalf("queue %q is not in the list: %+v", name, list)
	return durable.QueueState{}
}

func TestQU10_PauseResume(t *testing.T) {
	var g gauge
	flow := durable.Define("two",
		body("a", func(ctx context.Context, _ *note) error { g.enter(); defer g.leave(); return rest(ctx, 10*time.Second) }),
		body("b", func(ctx context.Context, _ *note) error { g.enter(); defer g.leave(); return nil }),
	).Queue("ai")
	cfg := sharing(durable.Queue{Concurrency: 5}, flow)
	onStores(t, cfg, func(t *testing.T, e env) {
		g = gauge{}
		other := e.Join(cfg)
		var running []*durabletest.Started[note]
		for i := range 4 {
			on := []*durabletest.Engine{e.Engine, other}[i%2]
			running = append(running, durabletest.Start(on, flow, note{}))
		}
		e.Sleep(5 * time.Second)
		if err := e.PauseQueue(t.Context(), "ai", durable.By("ann")); err != nil {
			t.Fatal(err)
		}
		e.Sleep(time.Second) // the other hears of it
		later := durabletest.Start(other, flow, note{})
		e.Sleep(time.Minute)
		if n := g.count(); n != 4 || g.now != 0 {
			t.Errorf("%d bodies have begun and %d run; the first four run to their end and no other begins", n, g.now)
		}
		for _, r := range append(running, later) {
			if x := r.Look(); x.Status != durable.Pending || x.Worker != "" {
				t.Errorf("a run is %s in the hands of %q while its queue is paused", x.Status, x.Worker)
			}
		}
		q := queueState(t, other.Engine, "ai")
		if !q.Paused || q.PausedBy != "ann" || time.Since(q.PausedSince) < time.Minute || q.Workers != 2 || q.Running != 0 || q.Settings.Concurrency != 5 {
			t.Errorf("the queue is %+v", q)
		}
		e.Restart()
		e.Sleep(time.Minute)
		if n := g.count(); n != 4 {
			t.Errorf("%d bodies have begun after a restart: the pause is forgotten", n)
		}
		if err := other.ResumeQueue(t.Context(), "ai"); err != nil {
			t.Fatal(err)
		}
		for _, r := range append(running, later) {
			r.On(e.Engine).Done()
		}
		if q := queueState(t, e.Engine.Engine, "ai"); g.count() != 10 || q.Paused || q.PausedBy != "" || !q.PausedSince.IsZero() {
			t.Errorf("%d bodies in all, want 10; %+v", g.count(), q)
		}
	})
}

func TestQU10_UnknownQueue(t *testing.T) {
	inMemory(t, sharing(durable.Queue{}, durable.Define("w", mark("a"))), func(t *testing.T, e env) {
		_, drain := e.DrainQueue(t.Context(), "typo")
		for _, err := range []error{e.PauseQueue(t.Context(), "typo"), e.ResumeQueue(t.Context(), "typo"), drain} {
			wantError(t, err, durable.ErrUnknownQueue, `"typo"`, "Config.Queues")
		}
		wantError(t, e.PauseQueue(t.Context(), "ai", durable.EventID("x")), durable.ErrInvalid, "EventID")
		wantError(t, e.PauseQueue(t.Context(), "ai", durable.KeepPaused()), durable.ErrInvalid, "KeepPaused")
		wantError(t, e.PauseQueue(t.Context(), "ai", durable.By("a\x00b")), durable.ErrInvalid, "By")
		list, err := e.Queues(t.Context())
		if err != nil || len(list) != 2 || list[0].Name != "ai" || list[1].Name != "default" || list[0].Paused {
			t.Errorf("bad calls have changed something: %+v, %v", list, err)
		}
	})
}

func TestQU10_Drain(t *testing.T) {
	var g gauge
	flow := working(&g, 10*time.Second)
	cfg := sharing(durable.Queue{Concurrency: 2}, flow)
	onStores(t, cfg, func(t *testing.T, e env) {
		g = gauge{}
		other := e.Join(cfg)
		for range 2 {
			durabletest.Start(other, flow, note{})
		}
		rest := durabletest.Start(other, flow, note{}, durable.At(time.Now().Add(3*time.Second)))
		e.Sleep(2 * time.Second)
		short, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		left, err := e.DrainQueue(short, "ai")
		if left != 2 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d are left, %v; want 2 and the deadline", left, err)
		}
		wantError(t, err, nil, `drain queue "ai"`, "2 bodies")
		if q := queueState(t, e.Engine.Engine, "ai"); q.Paused {
			t.Error("the queue stays paused although nobody asked for that")
		}
		began := time.Now()
		if left, err = e.DrainQueue(t.Context(), "ai", durable.KeepPaused(), durable.By("bob")); left != 0 || err != nil {
			t.Errorf("%d are left, %v", left, err)
		}
		if g.now != 0 || time.Since(began) > 20*time.Second {
			t.Errorf("%d bodies run after %v", g.now, time.Since(began))
		}
		if q := queueState(t, e.Engine.Engine, "ai"); !q.Paused || q.PausedBy != "bob" {
			t.Errorf("the queue should stay paused: %+v", q)
		}
		if left, err = e.DrainQueue(t.Context(), "ai"); left != 0 || err != nil {
			t.Errorf("%d are left, %v", left, err)
		}
		if q := queueState(t, e.Engine.Engine, "ai"); !q.Paused || q.PausedBy != "bob" {
			t.Errorf("the queue was paused before and should be so still: %+v", q)
		}
		if err := e.ResumeQueue(t.Context(), "ai"); err != nil {
			t.Fatal(err)
		}
		rest.Done()
	})
}

func TestQU10_DrainIsResumed(t *testing.T) {
	var g gauge
	flow := working(&g, 10*time.Second)
	cfg := sharing(durable.Queue{Concurrency: 2}, flow)
	onStores(t, cfg, func(t *testing.T, e env) {
		g = gauge{}
		run := durabletest.Start(e.Engine, flow, note{})
		e.Sleep(time.Second)
		time.AfterFunc(2*time.Second, func() {
			if err := e.ResumeQueue(context.Background(), "ai"); err != nil {
				t.Error(err)
			}
		})
		left, err := e.DrainQueue(t.Context(), "ai", durable.KeepPaused())
		if left != 1 || !errors.Is(err, durable.ErrResumed) {
			t.Errorf("%d are left, %v; want 1 and ErrResumed", left, err)
		}
		run.Done()
	})
}

// A worker that has died counts until its lease is over, and no longer.
func TestQU10_DrainWithADeadWorker(t *testing.T) {
	var g gauge
	flow := working(&g, time.Minute)
	cfg := sharing(durable.Queue{Concurrency: 2}, flow)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		g = gauge{}
		other := e.Join(cfg)
		run := durabletest.Start(other, flow, note{})
		e.Sleep(time.Second)
		other.Crash()
		began := time.Now()
		if left, err := e.DrainQueue(t.Context(), "ai"); left != 0 || err != nil {
			t.Errorf("%d are left, %v", left, err)
		}
		if d := time.Since(began); d < 5*time.Second || d > 12*time.Second {
			t.Errorf("the dead worker counted for %v, and its lease is 10 s", d)
		}
		run.On(e.Engine).Done()
	})
}

// forgetful is a store that says yes to a pause and does nothing.
type forgetful struct{ store.Store }

func (forgetful) SetPaused(context.Context, string, string, bool) error { return nil }

type forgetfulOpener struct{ inner store.Opener }

func (o forgetfulOpener) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := o.inner.OpenStore(ctx)
	return forgetful{s}, err
}

// What the tests above measure shows limits that do not hold.
func TestPlanted_LimitsThatDoNotHoldAreSeen(t *testing.T) {
	var g gauge
	flow := working(&g, time.Second)
	run := func(t *testing.T, cfg durable.Config, opener store.Opener, test func(e *durabletest.Engine)) {
		g = gauge{}
		durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
			e.Join(cfg)
			test(e)
			for range 8 {
				durabletest.Start(e, flow, note{})
			}
			e.Sleep(30 * time.Second)
		}, durabletest.Store(opener))
	}
	spoilt := func(spoil func(list []store.Hold) []store.Hold) store.Opener {
		return &liarOpener{memory.New(), func(w *store.Write) bool {
			if w.Advance != nil {
				w.Advance.Holds = spoil(w.Advance.Holds)
			}
			return false
		}}
	}
	none := func([]store.Hold) []store.Hold { return nil }
	global := sharing(durable.Queue{Concurrency: 4, Global: 3}, flow)
	rate := sharing(durable.Queue{Concurrency: 4, Rate: durable.Rate{N: 1, Per: 2 * time.Second}}, flow)
	t.Run("nothing is taken of Global", func(t *testing.T) {
		if run(t, global, spoilt(none), func(*durabletest.Engine) {}); g.most <= 3 {
			t.Errorf("%d bodies at once", g.most)
		}
	})
	t.Run("nothing is taken of Rate", func(t *testing.T) {
		if run(t, rate, spoilt(none), func(*durabletest.Engine) {}); g.starts[1].Sub(g.starts[0]) >= 2*time.Second {
			t.Errorf("bodies began at %v", g.starts)
		}
	})
	t.Run("a pause is forgotten", func(t *testing.T) {
		run(t, sharing(durable.Queue{}, flow), forgetfulOpener{memory.New()}, func(e *durabletest.Engine) {
			if err := e.PauseQueue(context.Background(), "ai"); err != nil {
				t.Fatal(err)
			}
		})
		if g.count() == 0 {
			t.Error("nothing began")
		}
	})
}
