package durabletest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/line"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

const (
	// longLease and longPoll stand in for the production defaults: a heartbeat
	// every few seconds would make a virtual year expensive. Nothing else
	// changes: work is woken by push, and after a crash the runs are taken over
	// when the lease of the dead worker is over.
	longLease = 6 * time.Hour
	longPoll  = 6 * time.Hour
	// patience is how long, in virtual time, a run may stand still although it
	// waits for nobody before the test fails.
	patience = 30 * 24 * time.Hour
)

// Option changes the surroundings of a test.
type Option func(*world)

// Store makes the engines of a test work on a store of the caller's instead of
// memory. It is opened inside the bubble, once for each engine. A SQLite file
// wants sqlite.WatchEvery(-1): else it is looked at every few milliseconds of
// virtual time.
func Store(opener store.Opener) Option {
	return func(w *world) { w.opener = opener }
}

// Context is what engines run with. Steps see its values, such as the client of package ai; its end
// does not reach them.
func Context(ctx context.Context) Option {
	return func(w *world) { w.ctx = context.WithoutCancel(ctx) }
}

// Run runs test in a bubble of virtual time with an engine that works. Unless
// cfg says otherwise, leases last six hours, queues are polled every six hours, and
// what the engine logs goes to the test's output.
func Run(t *testing.T, cfg durable.Config, test func(t *testing.T, e *Engine), opts ...Option) {
	t.Helper()
	done := make(chan struct{})
	defer close(done)
	go watchTime(os.Stderr, lookEvery, done)
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, changed: make(chan struct{}), used: make(map[string]bool), opener: memory.New(), ctx: context.Background()}
		for _, opt := range opts {
			opt(w)
		}
		defer w.close()
		test(t, w.join(cfg))
	})
}

// Engine is an engine under test, and the worker in it. All that a
// *durable.Engine can do works on it; after Restart, Crash or Deploy the
// embedded engine is another one on the same data. It is for the goroutine of
// the test only.
type Engine struct {
	*durable.Engine
	world   *world
	cfg     durable.Config
	link    *line.Line
	crashes int
}

// Join opens another engine on the same store, with a worker: a second process.
func (e *Engine) Join(cfg durable.Config) *Engine {
	e.world.t.Helper()
	return e.world.join(cfg)
}

// Restart stops the engine in order (running steps get the ShutdownGrace, runs
// are handed over) and opens it anew.
func (e *Engine) Restart() {
	e.world.t.Helper()
	e.shut()
	e.open()
}

// Deploy is Restart with another configuration: other code.
func (e *Engine) Deploy(cfg durable.Config) {
	e.world.t.Helper()
	e.cfg = cfg
	e.Restart()
}

// Crash is what a killed process looks like to the others: from now on nothing
// of the engine reaches the store, its leases run out and nothing is handed
// over. The contexts of its steps end, since goroutines cannot be killed; what
// they still do is lost. Then the engine is opened anew.
func (e *Engine) Crash() {
	e.world.t.Helper()
	e.link.Cut()
	e.bury()
	e.crashes++
	e.open()
}

// CrashAfter makes the engine crash as soon as it has changed the store n
// times from now on, before it learns of the last change. It is opened anew
// when the test next waits: in Settle, Done, End or Sleep. Tests that call it
// for n = 1, 2, 3 … until Crashes stays 0 have seen every point at which a
// process can die.
func (e *Engine) CrashAfter(n int) {
	e.link.CutAfter(n, e.bury)
}

// Crashes is how often the engine has crashed.
func (e *Engine) Crashes() int { return e.crashes }

// Sleep lets virtual time pass, and scripted answers and events happen. What
// can happen at the end of it has happened when it returns.
func (e *Engine) Sleep(d time.Duration) {
	e.world.t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		news := e.world.news()
		e.world.step()
		select {
		case <-news:
		case <-end.C:
			e.world.step()
			return
		}
	}
}

func (e *Engine) open() {
	e.world.t.Helper()
	cfg := e.cfg
	if cfg.Lease == 0 {
		cfg.Lease = longLease
	}
	queues := map[string]durable.Queue{"default": {}}
	for name, q := range cfg.Queues {
		queues[name] = q
	}
	for name, q := range queues {
		if q.PollInterval == 0 && q != durable.Elsewhere {
			q.PollInterval = longPoll
			queues[name] = q
		}
	}
	cfg.Queues = queues
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(e.world.t.Output(), nil))
	}
	e.world.lease = max(e.world.lease, cfg.Lease)
	e.link = line.New(e.world.opener, e.world.tell)
	engine, err := durable.Open(context.Background(), e.link, cfg)
	if err != nil {
		e.world.t.Fatalf("open the engine: %v", err)
	}
	e.Engine = engine
	go func() {
		if err := engine.Run(e.world.ctx); err != nil {
			e.world.t.Errorf("run the engine: %v", err)
		}
	}()
	synctest.Wait() // it serves
}

// shut ends the engine in order.
func (e *Engine) shut() {
	if err := e.Engine.Close(); err != nil && !errors.Is(err, line.ErrDead) {
		e.world.t.Errorf("close the engine: %v", err)
	}
}

// bury ends what is left of an engine whose link is cut: the line alone would
// leave its bodies at work. It takes until its lease is over, so nobody waits
// for it but the end of the test.
func (e *Engine) bury() {
	engine := e.Engine
	engine.StopNow()
	e.world.dead.Go(func() { _ = engine.Close() })
}
