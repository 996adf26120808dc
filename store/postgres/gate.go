package postgres

import (
	"context"
	"sync"
	"time"
)

// gate paces attempts to connect while the server is away: all who want a
// connection share one pace, so that many runs that wait for the database ask
// no more often than one. The first attempts are free, and so are all once one
// succeeds.
type gate struct {
	free int           // attempts in a row that need not wait
	pace time.Duration // between those after them

	mu     sync.Mutex
	tries  int           // since the last success
	next   time.Time     // of the next attempt
	opened chan struct{} // closed by the next success
	count  int64         // of successes
}

func newGate(free int, pace time.Duration) *gate {
	return &gate{free: free, pace: pace, opened: make(chan struct{})}
}

// enter waits until an attempt may be made.
func (g *gate) enter(ctx context.Context) error {
	g.mu.Lock()
	now := time.Now()
	at := now
	if g.tries++; g.tries > g.free {
		if g.next.After(now) {
			at = g.next
		}
		g.next = at.Add(g.pace)
	}
	opened := g.opened
	g.mu.Unlock()
	if at.Equal(now) {
		return ctx.Err()
	}
	t := time.NewTimer(at.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
	case <-opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// pass says that an attempt succeeded.
func (g *gate) pass() {
	g.mu.Lock()
	g.count++
	g.mu.Unlock()
	g.open()
}

// open says that the server is there.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tries, g.next = 0, time.Time{}
	close(g.opened)
	g.opened = make(chan struct{})
}

func (g *gate) passed() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

// Connections is how many were made for the engine's own use since the handle
// was opened.
func (s *Store) Connections() int64 { return s.alive.passed() + s.work.passed() }
