package run

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/store"
)

// Code runs user code for the runner: package durable knows the functions and
// types behind a visit.
type Code interface {
	// Body runs the step of a visit on the calling goroutine.
	Body(ctx context.Context, h *Handle) plan.Ending
	// Ask runs the question of a visit.
	Ask(ctx context.Context, v *Visit) Answered
	// Ended tells, durably, how an execution ended. It must not block.
	Ended(id store.ID, status store.Status, state []byte, err *journal.Error)
	// Noticed tells, durably, of a notice at an open wait. It may take its time.
	Noticed(id store.ID, path, call string, n journal.Note)
	// Streamed tells that streams of an execution have something new. It must not block.
	Streamed(id store.ID)
}

// storeTimeout is the deadline of one call of the store: a stalled connection
// must not hold the committer for ever.
const storeTimeout = 30 * time.Second

// Runner is the shell around the machines: goroutines, the clock, the store
// and the bodies.
type Runner struct {
	store store.Store
	code  Code
	log   notes

	mu    sync.Mutex // the worker's
	w     *Worker    // nil while not running
	last  *Worker    // the newest one
	armed time.Time  // when the run loop will tick
	kick  chan struct{}
	base  context.Context // of bodies
	past  Counts          // of workers that have stopped

	cmu       sync.Mutex // the committer's; may be taken while mu is held
	committer Committer
	gathered  chan struct{}

	undo  undoStates
	life  context.Context // ends at Close
	end   context.CancelFunc
	tasks sync.WaitGroup
}

// NewRunner returns a runner whose committer works until Close.
func NewRunner(s store.Store, code Code, log *slog.Logger) *Runner {
	life, end := context.WithCancel(context.Background())
	r := &Runner{
		store: s, code: code, log: notes{log: log}, life: life, end: end,
		kick: make(chan struct{}, 1), gathered: make(chan struct{}, 1),
	}
	if w, ok := s.(store.Wide); ok {
		r.committer.Width = w.CommitsAtOnce()
	}
	r.task(r.commitLoop)
	return r
}

// gone says that user code has ended which an earlier worker began.
func (r *Runner) gone(v *Visit) {
	if r.event(func(w *Worker, now time.Time) {
		w.Gone(v)
		w.Tick(now)
	}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		r.last.Gone(v)
	}
}

// Close ends the committer and waits for everything that the runner started,
// except bodies that ignore the end of their context and a logger that stands.
func (r *Runner) Close() {
	r.end()
	r.tasks.Wait()
	r.log.wait()
}

func (r *Runner) task(fn func()) {
	r.tasks.Add(1)
	go func() {
		defer r.tasks.Done()
		fn()
	}()
}

// event runs fn on the worker, if there is one, and sees to the timer.
func (r *Runner) event(fn func(w *Worker, now time.Time)) (ran bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.w == nil {
		return false
	}
	now := time.Now()
	fn(r.w, now)
	if r.w.Stopped() {
		signal(r.kick)
	}
	if at := r.w.Deadline(now); !at.IsZero() && (r.armed.IsZero() || at.Before(r.armed)) {
		r.armed = at
		signal(r.kick)
	}
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, then hands everything over and returns. stopNow,
// when closed, ends the contexts of bodies at once.
func (r *Runner) Run(ctx context.Context, cfg Config, stopNow <-chan struct{}) error {
	r.mu.Lock()
	if r.w != nil {
		r.mu.Unlock()
		return errors.New("this engine is already running")
	}
	if r.life.Err() != nil {
		r.mu.Unlock()
		return errors.New("this engine is closed")
	}
	w := NewWorker(cfg, effects{r})
	if r.last != nil {
		w.inherit(r.last)
	}
	r.last = w
	r.w, r.base = w, context.WithoutCancel(ctx)
	w.Run(time.Now())
	r.mu.Unlock()

	watch, unwatch := context.WithCancel(r.life)
	defer unwatch()
	if hints := r.store.Watch(watch); hints != nil {
		r.task(func() {
			for range hints {
				r.event(func(w *Worker, now time.Time) { w.Hint(now) })
			}
		})
	} else {
		r.log.Info("the store gives no hints here (behind a pooler nobody can listen): what other processes do is found by polling")
	}
	r.loop(ctx, w, stopNow)

	r.mu.Lock()
	r.past.add(&w.counts)
	r.w = nil
	r.mu.Unlock()
	fail.Point(fail.RetireBefore)
	end, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := r.store.Retire(end, w.Who()); err != nil {
		r.log.Warn("the lease could not be ended; other workers wait until it expires", "error", err)
	}
	fail.Point(fail.RetireAfter)
	r.log.wait()
	return nil
}

// loop ticks the worker until it has stopped.
func (r *Runner) loop(ctx context.Context, w *Worker, stopNow <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for {
		select {
		case <-timer.C:
		case <-r.kick:
		case <-done:
			done = nil
			fail.Point(fail.StopBefore)
			r.event(func(w *Worker, now time.Time) { w.Stop(now) })
		case <-stopNow:
			stopNow, done = nil, nil
			r.event(func(w *Worker, now time.Time) { w.StopNow(now) })
		}
		r.mu.Lock()
		now := time.Now()
		w.Tick(now)
		stopped := w.Stopped()
		r.armed = w.Deadline(now)
		at := r.armed
		r.mu.Unlock()
		if stopped {
			return
		}
		if at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
	}
}

// Poke says that something may be due in a queue; "" is any.
func (r *Runner) Poke(queue string) {
	r.event(func(w *Worker, now time.Time) { w.Poke(queue, now) })
}

// Told says which queues are paused, as the store said when it was asked.
func (r *Runner) Told(list []store.Pause, asked time.Time) {
	r.event(func(w *Worker, now time.Time) { w.Told(list, asked, now) })
}

// Running tells how many executions are in this worker's hands.
func (r *Runner) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.w == nil {
		return 0
	}
	return r.w.Running()
}

// Drives tells whether an execution is in this worker's hands.
func (r *Runner) Drives(id store.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.w != nil && r.w.runs[id] != nil
}

// effects is what the worker does to the world.
type effects struct{ r *Runner }

func (e effects) Renew(l store.Lease) {
	e.r.call(max(l.Duration/3, 10*time.Millisecond), func(ctx context.Context) {
		n, err := e.r.store.Renew(ctx, l)
		e.r.event(func(w *Worker, now time.Time) { w.Renewed(l.Who, n, err, now) })
	})
}

func (e effects) Claim(req store.ClaimRequest) {
	e.r.call(minPatience, func(ctx context.Context) {
		c, err := e.r.store.Claim(ctx, req)
		e.r.event(func(w *Worker, now time.Time) {
			w.Claimed(req.Owner, c, err, now)
			signal(e.r.kick)
		})
	})
}

func (e effects) Expire() {
	e.r.call(storeTimeout, func(ctx context.Context) {
		n, err := e.r.store.Expire(ctx)
		e.r.event(func(w *Worker, now time.Time) { w.Expired(n, err, now) })
	})
}

func (e effects) Retire(who store.Incarnation) {
	e.r.call(storeTimeout, func(ctx context.Context) {
		if err := e.r.store.Retire(ctx, who); err != nil {
			e.r.log.Warn("a lost lease could not be ended; it expires by itself", "error", err)
		}
	})
}

func (e effects) Load(id store.ID) {
	e.r.call(minPatience, func(ctx context.Context) {
		for pause := 20 * time.Millisecond; ; pause = min(2*pause, maxRetryPause) {
			fail.Point(fail.Load)
			rec, err := e.r.store.Load(ctx, id, false)
			if err != nil && !errors.Is(err, store.ErrNotFound) && rest(ctx, pause) {
				continue
			}
			if e.r.life.Err() == nil {
				e.r.event(func(w *Worker, now time.Time) { w.Loaded(id, rec, err, now) })
			}
			return
		}
	})
}

// call runs fn on its own goroutine with a deadline.
func (r *Runner) call(timeout time.Duration, fn func(ctx context.Context)) {
	r.task(func() {
		ctx, cancel := context.WithTimeout(r.life, timeout)
		defer cancel()
		fn(ctx)
	})
}

func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (e effects) Commit(w store.Write, ref any) { e.r.submit(Item{Write: w, Ref: ref}) }

func (e effects) Start(v *Visit) { e.r.start(e.r.w, v) }

func (e effects) Stop(v *Visit, cause error) {
	if h, ok := v.Handle.(*Handle); ok {
		h.cancel(cause)
	}
}

func (e effects) Reply(v *Visit, c CallReply) { v.Handle.(*Handle).reply <- c }

func (e effects) Ended(id store.ID, status store.Status, state []byte, err *journal.Error) {
	e.r.undo.drop(id)
	e.r.code.Ended(id, status, state, err)
}

func (e effects) Noticed(id store.ID, path, call string, n journal.Note) {
	e.r.task(func() { e.r.code.Noticed(id, path, call, n) })
}

func (e effects) Streamed(id store.ID) { e.r.code.Streamed(id) }

func (e effects) Note(text string, id store.ID, err error) {
	args := []any{}
	if id != (store.ID{}) {
		args = append(args, "execution", id.String())
	}
	if err != nil {
		args = append(args, "error", err)
	}
	e.r.log.Warn(text, args...)
}

func (e effects) Draw() float64 { return rand.Float64() }

func (e effects) NewIncarnation() store.Incarnation { return uuid.New() }

// Delivered says that a message was accepted for an execution.
func (r *Runner) Delivered(id store.ID) {
	fail.Point(fail.Wake)
	r.event(func(w *Worker, now time.Time) { w.Delivered(id, now) })
}

// Taken says that an execution was changed from outside its owner.
func (r *Runner) Taken(id store.ID) {
	r.event(func(w *Worker, now time.Time) { w.Taken(id, now) })
}
