package durable

import (
	"context"
	"sync"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// orphans are cancelled runs, and such as go back, whose children may be blocked: no worker takes those up
// to read that they are cancelled, too. They are looked for beside the worker. Should
// this process die before, such a child stays blocked until somebody has its code
// or cancels it; a run that goes back waits for it, and looks again now and then.
type orphans struct {
	mu   sync.Mutex
	list []orphan
	news chan struct{}
}

type orphan struct {
	parent ID
	reason string
	undo   bool
}

// bereave notes a run that has ended, if its children are to end with it.
func (o *orphans) bereave(id ID, status Status, err *journal.Error) {
	back := status == store.Compensating
	if err == nil || !back && (!status.Ended() || status == store.Completed || err.Code != "cancelled") {
		return
	}
	o.mu.Lock()
	o.list = append(o.list, orphan{id, err.Message, back})
	o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
}

func (o *orphans) take() (list []orphan) {
	o.mu.Lock()
	defer o.mu.Unlock()
	list, o.list = o.list, nil
	return list
}

// cancelOrphans works until ctx ends.
func (e *Engine) cancelOrphans(ctx context.Context) {
	for {
		for _, o := range e.orphans.take() {
			if ctx.Err() == nil {
				e.cancelBlocked(ctx, o.parent, o.reason, o.undo)
			}
		}
		select {
		case <-e.orphans.news:
		case <-ctx.Done():
			return
		}
	}
}
