package durable

import (
	"context"
	"sync"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// orphans are cancelled runs, and such as go back, whose children may be blocked: no worker takes those up
// to read that they are cancelled, too. They are looked for beside the worker, for some minutes while the store is
// away. Should this process end before, such a child stays blocked until somebody has its code
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
	tries  int       // looks that have failed
	due    time.Time // for the next
}

const (
	orphanPause = time.Second     // after a look that failed; longer after each
	orphanTries = 12              // for about ten minutes
	lastOrphans = 5 * time.Second // what is left when the worker has stopped
)

// bereave notes a run that has ended, if its children are to end with it.
func (o *orphans) bereave(id ID, status Status, err *journal.Error) {
	back := status == store.Compensating
	if err == nil || !back && (!status.Ended() || status == store.Completed || err.Code != "cancelled") {
		return
	}
	o.note(orphan{parent: id, reason: err.Message, undo: back})
}

func (o *orphans) note(x orphan) {
	o.add(x)
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

// cancelOrphans works until ctx ends, and has one more look then.
func (e *Engine) cancelOrphans(ctx context.Context) {
	for {
		var again <-chan time.Time
		if next := e.lookForOrphans(ctx, time.Now()); !next.IsZero() {
			again = time.After(time.Until(next))
		}
		select {
		case <-e.orphans.news:
		case <-again:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastOrphans)
			defer cancel()
			e.lookForOrphans(last, time.Now().Add(time.Hour)) // whatever they wait for
			return
		}
	}
}

// lookForOrphans cancels what was noted and is due. What it could not is noted again; it tells when the next is due.
func (e *Engine) lookForOrphans(ctx context.Context, now time.Time) (next time.Time) {
	for _, o := range e.orphans.take() {
		if !o.due.After(now) {
			if e.cancelBlocked(ctx, o.parent, o.reason, o.undo) {
				continue
			}
			if o.tries++; o.tries >= orphanTries {
				continue
			}
			o.due = now.Add(min(orphanPause<<(o.tries-1), time.Minute))
		}
		e.orphans.add(o)
		if next.IsZero() || o.due.Before(next) {
			next = o.due
		}
	}
	return next
}

func (o *orphans) add(x orphan) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, x)
}
