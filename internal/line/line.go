// Package line is an engine's line to its store, as tests want it: it tells when something has
// changed, and it can be cut, as a killed process is.
//
// It knows the contract with databases. It does not know the engine, nor time.
package line

import (
	"context"
	"errors"
	"sync"

	"github.com/durable-go/durable/store"
)

// ErrDead is what calls get once the line is cut.
var ErrDead = errors.New("this engine has crashed")

// Line is a store whose answers get lost for ever from a moment on. Make it with New.
type Line struct {
	store.Store
	opener  store.Opener
	changed func()
	turn    chan struct{} // full while a change is made that is counted

	mu    sync.Mutex
	dead  bool
	left  int    // changes until the crash; 0: none is planned
	crash func() // called when it comes; must not block
}

// New is a line to a store that is not open yet. changed is called after each change of the
// store, on the goroutine that made it, and must not block.
func New(opener store.Opener, changed func()) *Line {
	return &Line{opener: opener, changed: changed, turn: make(chan struct{}, 1)}
}

// OpenStore makes the line an Opener of itself, once.
func (l *Line) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := l.opener.OpenStore(ctx)
	l.Store = s
	return l, err
}

// Cut ends it now.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
}

// IsCut tells whether it has ended.
func (l *Line) IsCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// CutAfter ends it with the n-th change of the store from now on, whose answer is lost. crash is
// called at that moment and must not block.
func (l *Line) CutAfter(n int, crash func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.crash = n, crash
}

// up is an error once the line is cut.
func (l *Line) up() error {
	if l.IsCut() {
		return ErrDead
	}
	return nil
}

// change runs fn, which says whether it changed the store. If the crash comes
// with it, the answer is lost.
func (l *Line) change(ctx context.Context, fn func() bool) error {
	l.mu.Lock()
	dead, planned := l.dead, l.left > 0
	l.mu.Unlock()
	if dead {
		return ErrDead
	}
	// Changes come one at a time while a crash is planned, so that none slips
	// in after the last one. One that is made may wait, for time to pass too: so
	// the others wait for it at a channel.
	if planned {
		select {
		case l.turn <- struct{}{}:
			defer func() { <-l.turn }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if l.IsCut() {
			return ErrDead
		}
	}
	changed := fn()
	l.mu.Lock()
	defer l.mu.Unlock()
	if planned && changed && l.left > 0 {
		if l.left--; l.left == 0 {
			l.dead = true
			l.crash()
		}
	}
	if changed {
		l.changed()
	}
	if l.dead {
		return ErrDead
	}
	return nil
}

// Commit implements store.Store.
func (l *Line) Commit(ctx context.Context, writes []store.Write) (r store.Result, err error) {
	if dead := l.change(ctx, func() bool {
		r, err = l.Store.Commit(ctx, writes)
		return err == nil && len(writes) > 0
	}); dead != nil {
		return store.Result{}, dead
	}
	return r, err
}

// Publish implements store.Store.
func (l *Line) Publish(ctx context.Context, p store.Publication) (res store.Published, err error) {
	if dead := l.change(ctx, func() bool {
		res, err = l.Store.Publish(ctx, p)
		return err == nil && res.Code == store.Applied
	}); dead != nil {
		return store.Published{}, dead
	}
	return res, err
}

// Draw implements store.Store.
func (l *Line) Draw(ctx context.Context, d store.Drawing) (res store.Drawn, err error) {
	if dead := l.change(ctx, func() bool {
		res, err = l.Store.Draw(ctx, d)
		return err == nil && res.Code == store.Applied
	}); dead != nil {
		return store.Drawn{}, dead
	}
	return res, err
}

// Settle implements store.Store.
func (l *Line) Settle(ctx context.Context, s store.Settling) (err error) {
	if dead := l.change(ctx, func() bool {
		err = l.Store.Settle(ctx, s)
		return err == nil
	}); dead != nil {
		return dead
	}
	return err
}

// Claim implements store.Store.
func (l *Line) Claim(ctx context.Context, req store.ClaimRequest) (c store.Claimed, err error) {
	if dead := l.change(ctx, func() bool {
		c, err = l.Store.Claim(ctx, req)
		return err == nil && len(c.Records) > 0
	}); dead != nil {
		return store.Claimed{}, dead
	}
	return c, err
}

// Expire implements store.Store.
func (l *Line) Expire(ctx context.Context) (n int, err error) {
	if dead := l.change(ctx, func() bool {
		n, err = l.Store.Expire(ctx)
		return err == nil && n > 0
	}); dead != nil {
		return 0, dead
	}
	return n, err
}

// Prune implements store.Store.
func (l *Line) Prune(ctx context.Context, req store.PruneRequest) (p store.Pruned, err error) {
	if dead := l.change(ctx, func() bool {
		p, err = l.Store.Prune(ctx, req)
		return err == nil && p.Removed > 0 && !req.Count
	}); dead != nil {
		return store.Pruned{}, dead
	}
	return p, err
}

// Renew implements store.Store.
func (l *Line) Renew(ctx context.Context, lease store.Lease) (store.Renewal, error) {
	if err := l.up(); err != nil {
		return store.Renewal{}, err
	}
	return l.Store.Renew(ctx, lease)
}

// SetPaused implements store.Store.
func (l *Line) SetPaused(ctx context.Context, queue, by string, paused bool) error {
	if err := l.up(); err != nil {
		return err
	}
	defer l.changed()
	return l.Store.SetPaused(ctx, queue, by, paused)
}

// Survey implements store.Store.
func (l *Line) Survey(ctx context.Context) (store.Survey, error) {
	if err := l.up(); err != nil {
		return store.Survey{}, err
	}
	return l.Store.Survey(ctx)
}

// Retire implements store.Store.
func (l *Line) Retire(ctx context.Context, who store.Incarnation) error {
	if err := l.up(); err != nil {
		return err
	}
	defer l.changed()
	return l.Store.Retire(ctx, who)
}

// Load implements store.Store.
func (l *Line) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	if err := l.up(); err != nil {
		return store.Record{}, err
	}
	return l.Store.Load(ctx, id, whole)
}
