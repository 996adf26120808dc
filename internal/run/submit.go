package run

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// caller waits for the verdict on a write of its own.
type caller struct {
	done  chan Settled // holds one
	eager any          // the run of an eager start
	gone  bool         // nobody waits any more
}

func (r *Runner) submit(it Item) {
	r.cmu.Lock()
	r.committer.Add(it)
	r.cmu.Unlock()
	signal(r.gathered)
}

// ErrUnknown means that a write was sent and nobody knows whether it landed.
var ErrUnknown = errors.New("the outcome is unknown: the change may have been made")

// Do commits a write of a caller and returns its verdict. If ctx ends first,
// the write is withdrawn if it has not been sent; otherwise the error wraps
// ErrUnknown.
func (r *Runner) Do(ctx context.Context, w store.Write) (store.Verdict, error) {
	c := &caller{done: make(chan Settled, 1)}
	return r.await(ctx, c, Item{Write: w, Ref: c})
}

// Start begins an execution: eagerly in this process if it may, else as
// pending for any worker.
func (r *Runner) Start(ctx context.Context, b store.Begin, limit time.Duration, input []byte) (store.Verdict, error) {
	fail.Point(fail.StartBefore)
	defer fail.Point(fail.StartAfter)
	c := &caller{done: make(chan Settled, 1)}
	w := store.Write{}
	r.event(func(wk *Worker, now time.Time) {
		if write, ref, ok := wk.Begin(b, input, now); ok {
			w, c.eager = write, ref
		}
	})
	eager := c.eager
	if eager != nil {
		v, err := r.await(ctx, c, Item{Write: w, Ref: c})
		if err != nil || v.Code != store.Superseded {
			return v, err
		}
		c = &caller{done: make(chan Settled, 1)} // the lease ended: as pending, then
	}
	b.Row, b.Owner = BeginRow(&b, limit, input, time.Now()), store.Incarnation{}
	v, err := r.await(ctx, c, Item{Write: store.Write{Begin: &b}, Ref: c})
	if err == nil {
		if eager != nil {
			r.event(func(w *Worker, now time.Time) { w.BegunInstead(eager, v) })
		}
		r.Poke(b.Queue)
	}
	return v, err
}

func (r *Runner) await(ctx context.Context, c *caller, it Item) (store.Verdict, error) {
	r.submit(it)
	select {
	case s := <-c.done:
		return s.Verdict, s.Err
	case <-ctx.Done():
	case <-r.life.Done():
	}
	r.cmu.Lock()
	c.gone = true
	before := len(r.committer.queue)
	r.committer.Forget(func(x Item) bool { return x.Ref == c })
	withdrawn := len(r.committer.queue) < before
	r.cmu.Unlock()
	if withdrawn && c.eager != nil {
		r.event(func(w *Worker, now time.Time) {
			w.Begun(c.eager, store.Verdict{Code: store.Superseded}, nil, now, now, time.Time{})
		})
	}
	select {
	case s := <-c.done: // it came at the same moment
		return s.Verdict, s.Err
	default:
	}
	cause := context.Cause(ctx)
	if ctx.Err() == nil {
		cause = errors.New("the engine was closed")
	}
	if withdrawn {
		return store.Verdict{}, fmt.Errorf("nothing was written: %w", cause)
	}
	return store.Verdict{}, fmt.Errorf("%w: %w", ErrUnknown, cause)
}

// commitLoop sends batches: what gathers while one is flushed is the next.
func (r *Runner) commitLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		r.cmu.Lock()
		now := time.Now()
		batch := r.committer.Next(now)
		at, patience := r.committer.RetryAt(now), r.committer.Patience()
		r.cmu.Unlock()
		if batch != nil {
			// What comes of it is settled while the next one leaves.
			r.task(func() { r.flush(batch, patience) })
			continue
		}
		if at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
		select {
		case <-r.gathered:
		case <-timer.C:
		case <-r.life.Done():
			return
		}
	}
}

func (r *Runner) flush(b *Batch, patience time.Duration) {
	// Not r.life: a batch that has begun is finished also while closing.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := r.store.Commit(ctx, b.Writes)
	now := time.Now()
	r.cmu.Lock()
	failing := r.committer.Failing()
	settled := r.committer.Done(b, res, err, now)
	r.cmu.Unlock()
	signal(r.gathered)
	switch {
	case err != nil && !failing:
		r.log.Warn("a commit failed; trying again", "writes", len(b.Writes), "error", err)
	case err == nil && failing:
		r.log.Info("commits succeed again")
	}
	if len(settled) > 0 {
		r.settle(settled, now)
		// The bodies that this began may end at once: let them, so that what
		// they say is in the next batch and not in the one after.
		runtime.Gosched()
	}
}

// settle hands verdicts to the worker and to callers.
func (r *Runner) settle(settled []Settled, now time.Time) {
	r.event(func(w *Worker, _ time.Time) {
		for i := range settled {
			s := &settled[i]
			switch ref := s.Ref.(type) {
			case *run, freed:
				w.Committed(ref, s.Verdict, s.Err, s.Asked, now, s.StoreNow)
			case *caller:
				if ref.eager != nil {
					w.Begun(ref.eager, s.Verdict, s.Err, s.Asked, now, s.StoreNow)
				}
			}
		}
	})
	for i := range settled {
		if c, ok := settled[i].Ref.(*caller); ok {
			c.done <- settled[i]
		}
	}
}
