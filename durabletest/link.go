package durabletest

import (
	"context"
	"errors"
	"sync"

	"github.com/durable-go/durable/store"
)

// errDead is what the calls of a crashed engine get.
var errDead = errors.New("durabletest: this engine has crashed")

// link is an engine's line to the store. It tells the test when something has
// changed, and it can be cut.
type link struct {
	store.Store
	world *world

	mu    sync.Mutex
	dead  bool
	left  int    // changes until the crash; 0: none is planned
	crash func() // called when it comes; must not block
}

// OpenStore makes the link an Opener of itself.
func (l *link) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := l.world.opener.OpenStore(ctx)
	l.Store = s
	return l, err
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

func (l *link) cutAfter(n int, crash func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.crash = n, crash
}

// up is an error once the line is cut.
func (l *link) up() error {
	if l.isCut() {
		return errDead
	}
	return nil
}

// change runs fn, which says whether it changed the store. If the crash comes
// with it, the answer is lost.
func (l *link) change(fn func() bool) error {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return errDead
	}
	// Changes come one at a time while a crash is planned, so that none slips
	// in after the last one.
	planned := l.left > 0
	if !planned {
		l.mu.Unlock()
	}
	changed := fn()
	if !planned {
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if planned && changed {
		if l.left--; l.left == 0 {
			l.dead = true
			l.crash()
		}
	}
	if changed {
		l.world.tell()
	}
	if l.dead {
		return errDead
	}
	return nil
}

func (l *link) Commit(ctx context.Context, writes []store.Write) (r store.Result, err error) {
	if dead := l.change(func() bool {
		r, err = l.Store.Commit(ctx, writes)
		return err == nil && len(writes) > 0
	}); dead != nil {
		return store.Result{}, dead
	}
	return r, err
}

func (l *link) Publish(ctx context.Context, p store.Publication) (res store.Published, err error) {
	if dead := l.change(func() bool {
		res, err = l.Store.Publish(ctx, p)
		return err == nil && res.Code == store.Applied
	}); dead != nil {
		return store.Published{}, dead
	}
	return res, err
}

func (l *link) Draw(ctx context.Context, d store.Drawing) (res store.Drawn, err error) {
	if dead := l.change(func() bool {
		res, err = l.Store.Draw(ctx, d)
		return err == nil && res.Code == store.Applied
	}); dead != nil {
		return store.Drawn{}, dead
	}
	return res, err
}

func (l *link) Settle(ctx context.Context, s store.Settling) (err error) {
	if dead := l.change(func() bool {
		err = l.Store.Settle(ctx, s)
		return err == nil
	}); dead != nil {
		return dead
	}
	return err
}

func (l *link) Claim(ctx context.Context, req store.ClaimRequest) (c store.Claimed, err error) {
	if dead := l.change(func() bool {
		c, err = l.Store.Claim(ctx, req)
		return err == nil && len(c.Records) > 0
	}); dead != nil {
		return store.Claimed{}, dead
	}
	return c, err
}

func (l *link) Expire(ctx context.Context) (n int, err error) {
	if dead := l.change(func() bool {
		n, err = l.Store.Expire(ctx)
		return err == nil && n > 0
	}); dead != nil {
		return 0, dead
	}
	return n, err
}

func (l *link) Prune(ctx context.Context, req store.PruneRequest) (p store.Pruned, err error) {
	if dead := l.change(func() bool {
		p, err = l.Store.Prune(ctx, req)
		return err == nil && p.Removed > 0 && !req.Count
	}); dead != nil {
		return store.Pruned{}, dead
	}
	return p, err
}

func (l *link) Renew(ctx context.Context, lease store.Lease) (store.Renewal, error) {
	if err := l.up(); err != nil {
		return store.Renewal{}, err
	}
	return l.Store.Renew(ctx, lease)
}

func (l *link) SetPaused(ctx context.Context, queue, by string, paused bool) error {
	if err := l.up(); err != nil {
		return err
	}
	defer l.world.tell()
	return l.Store.SetPaused(ctx, queue, by, paused)
}

func (l *link) Survey(ctx context.Context) (store.Survey, error) {
	if err := l.up(); err != nil {
		return store.Survey{}, err
	}
	return l.Store.Survey(ctx)
}

func (l *link) Retire(ctx context.Context, who store.Incarnation) error {
	if err := l.up(); err != nil {
		return err
	}
	defer l.world.tell()
	return l.Store.Retire(ctx, who)
}

func (l *link) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	if err := l.up(); err != nil {
		return store.Record{}, err
	}
	return l.Store.Load(ctx, id, whole)
}
