package durable_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
	"github.com/durable-go/durable/store/sqlite"
)

// onWeather plays a case on every store under each kind of storm: in virtual time in memory and
// on SQLite, in real time on PostgreSQL. unit is how long a short while is there. Under the
// race detector it is in memory only, as onStores.
func onWeather(t *testing.T, define func(unit time.Duration) forecast) {
	t.Helper()
	inBubbles(t, define)
	if raced {
		return
	}
	for _, storm := range []string{killed, stopped} {
		t.Run(storm+"/postgres", func(t *testing.T) { onPostgres(t, define, storm) })
	}
}

// allWeather says whether each case meets all storms on every store, which takes long.
func allWeather() bool { return os.Getenv("WEATHER") == "all" }

// inBubbles is onWeather in virtual time only: for what is large. Without WEATHER=all orderly stops are in memory only.
func inBubbles(t *testing.T, define func(unit time.Duration) forecast) {
	t.Helper()
	for _, storm := range []string{killed, stopped} {
		t.Run(storm+"/memory", func(t *testing.T) { inBubble(t, memory.New(), define(virtualUnit), storm) })
		if raced || storm == stopped && !allWeather() {
			continue
		}
		t.Run(storm+"/sqlite", func(t *testing.T) {
			inBubble(t, sqlite.Open(sqlitePath(t), sqlite.WatchEvery(-1)), define(virtualUnit), storm)
		})
	}
}

// The clock in a bubble. Who is held up at a turnstile is still there when a pass ends.
const (
	virtualUnit = 10 * time.Second
	virtualPass = virtualUnit / 2
	virtualHold = virtualPass + time.Second
)

func inBubble(t *testing.T, opener store.Opener, f forecast, storm string) {
	t.Helper()
	gate := &turnstile{opener: opener, hold: virtualHold}
	durabletest.Run(t, f.config(), func(t *testing.T, e *durabletest.Engine) {
		watch, err := durable.Open(context.Background(), opener, f.config())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = watch.Close() }()
		f.everywhere(t, &bubble{e: e, gate: gate, eye: watch}, storm, 1, 1)
	}, durabletest.Store(gate))
}

// bubble is a ground in virtual time.
type bubble struct {
	e     *durabletest.Engine
	gate  *turnstile
	eye   *durable.Engine
	stops int
}

func (b *bubble) engine() *durable.Engine { return b.e.Engine }

func (b *bubble) watch() *durable.Engine { return b.eye }

func (b *bubble) struck() int { return b.e.Crashes() + b.stops }

func (b *bubble) after(n int, storm string) {
	b.e.CrashAfter(0)
	b.gate.after(0)
	switch storm {
	case killed:
		b.e.CrashAfter(n)
	case stopped:
		b.gate.after(n)
	}
}

func (b *bubble) pass() {
	b.e.Sleep(virtualPass)
	if b.gate.pass() {
		b.stops++
		b.e.Restart()
	}
}

func (b *bubble) load(id durable.ID) (store.Record, error) { return load(b.gate.opener, id) }

func load(opener store.Opener, id durable.ID) (store.Record, error) {
	s, err := opener.OpenStore(context.Background())
	if err != nil {
		return store.Record{}, err
	}
	defer func() { _ = s.Close() }()
	return s.Load(context.Background(), id, true)
}

// turnstile is a store that holds up its n-th commit when it is done, until it is passed: so
// an engine can be stopped at any point. Who waits in vain goes on after hold, since it may be
// the test itself.
type turnstile struct {
	opener store.Opener
	hold   time.Duration

	mu   sync.Mutex
	left int
	held chan struct{} // closed while somebody is held up
	free chan struct{}
}

func (s *turnstile) after(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.held, s.free = n, make(chan struct{}), make(chan struct{})
}

// pass lets through who is held up, and says whether there was somebody since after.
func (s *turnstile) pass() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.held:
		close(s.free)
		s.held = nil
		return true
	default:
		return false
	}
}

// stop is closed when somebody is held up.
func (s *turnstile) stop() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

func (s *turnstile) OpenStore(ctx context.Context) (store.Store, error) {
	inner, err := s.opener.OpenStore(ctx)
	return turned{inner, s}, err
}

type turned struct {
	store.Store
	gate *turnstile
}

func (s turned) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	r, err := s.Store.Commit(ctx, writes)
	if err == nil && len(writes) > 0 {
		s.gate.turn()
	}
	return r, err
}

func (s *turnstile) turn() {
	s.mu.Lock()
	last := s.left == 1
	if s.left > 0 {
		s.left--
	}
	free := s.free
	if last {
		close(s.held)
	}
	s.mu.Unlock()
	if !last {
		return
	}
	hold := time.NewTimer(s.hold)
	defer hold.Stop()
	select {
	case <-free:
	case <-hold.C:
	}
}
