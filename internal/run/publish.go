package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

const (
	publishAgain    = 50 * time.Millisecond // after a failure, then twice as long each time
	publishAgainMax = 2 * time.Second
)

// Publish publishes. While nobody knows whether it has happened it asks again, which is
// harmless; if ctx ends first, the error wraps ErrUnknown.
func (r *Runner) Publish(ctx context.Context, p store.Publication) (store.Published, error) {
	if ctx.Err() != nil {
		return store.Published{}, fmt.Errorf("nothing was written: %w", context.Cause(ctx))
	}
	for pause := publishAgain; ; pause = min(2*pause, publishAgainMax) {
		res, err := r.store.Publish(ctx, p)
		if err == nil {
			r.event(func(w *Worker, now time.Time) { w.Published(p.Topic, now) })
			return res, nil
		}
		if errors.Is(err, store.ErrRefused) {
			return store.Published{}, err
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
			continue
		case <-ctx.Done():
			err = errors.Join(context.Cause(ctx), err)
		case <-r.life.Done():
			err = errors.Join(errors.New("the engine was closed"), err)
		}
		again.Stop()
		return store.Published{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
}

// Published says that something was published for a topic: runs that wait for it may be
// due, or be in this worker's hands.
func (w *Worker) Published(topic string, now time.Time) {
	for _, r := range w.runs {
		if r.base > 0 && r.listens(topic) {
			w.fetch(r)
		}
	}
	w.Poke("", now)
}

// listens tells whether a wait of the run has a topic.
func (r *run) listens(topic string) bool {
	has := func(t journal.Topic) bool { return t.Topic == topic }
	for _, o := range r.plan.Waits {
		if o.Wait.Topic == topic || slices.ContainsFunc(o.Wait.Topics, has) {
			return true
		}
	}
	return false
}
