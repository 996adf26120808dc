package durable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Queue is how an engine serves a queue. A step that runs holds a slot of its
// queue; nothing else does.
type Queue struct {
	// Concurrency is how many bodies run at once in this process; default 10.
	Concurrency int
	// Global is how many bodies of this queue run at once in all processes on
	// the database; 0 is no limit. A body counts from the commit that records
	// its beginning to the one that records its end, or until its worker is
	// replaced. Questions of branches and loops do not count. Every process has
	// its own value: give all the same.
	Global int
	// Rate is how many bodies of this queue begin within any span of time, in all
	// processes together; zero is no limit.
	Rate Rate
	// PollInterval is the longest time between two looks for due runs; default
	// 1 s. Work that this process starts or wakes does not wait for it.
	PollInterval time.Duration
}

// Rate allows N bodies to begin in any span of length Per: Rate{N: 60, Per:
// time.Minute}. Attempts count, and so do a body that runs again after a wait and
// a Reconcile. All N may begin at once; there is no smoothing. The database's
// clock decides. N is at most 100,000, Per at least 1 ms.
type Rate struct {
	N   int
	Per time.Duration
}

// check says what is wrong with the limits of a queue.
func (q Queue) check(where string, e *DefinitionError) {
	if q.Global < 0 {
		e.add(where+".Global", fmt.Sprintf("it is %d; give a positive number, or 0 for no limit", q.Global))
	}
	switch r := q.Rate; {
	case r == Rate{}:
	case r.N < 1 || r.N > maxRate:
		e.add(where+".Rate", fmt.Sprintf("N is %d; give a number between 1 and %d, or no Rate for no limit", r.N, maxRate))
	case r.Per < minRateSpan:
		e.add(where+".Rate", fmt.Sprintf("Per is %s; give at least %s", r.Per, minRateSpan))
	}
}

// QueueState is what is known of a queue.
type QueueState struct {
	Name string `json:"name"`
	// Settings are those of this engine; nil if it does not declare the queue.
	Settings *Queue `json:"settings,omitempty"`
	// Paused tells that nothing begins in it, since when, and who said so.
	Paused      bool      `json:"paused"`
	PausedSince time.Time `json:"paused_since,omitzero"`
	PausedBy    string    `json:"paused_by,omitempty"`
	// Workers is how many live workers serve it.
	Workers int `json:"workers"`
	// Running is how many bodies and questions run in it, as those workers said
	// with their last heartbeat.
	Running int `json:"running"`
	// Hung is how many of them ignore the end of their context, see Engine.Hung.
	Hung int `json:"hung"`
}

// Queues lists what is known of queues, by name: those that this engine
// declares, those that live workers serve, and those that are paused.
func (e *Engine) Queues(ctx context.Context) ([]QueueState, error) {
	s, err := e.store.Survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}
	known := make(map[string]*QueueState)
	at := func(name string) *QueueState {
		if known[name] == nil {
			known[name] = &QueueState{Name: name}
		}
		return known[name]
	}
	for name, q := range e.cfg.Queues {
		at(name).Settings = &q
	}
	for _, p := range s.Paused {
		q := at(p.Queue)
		q.Paused, q.PausedSince, q.PausedBy = true, p.Since, p.By
	}
	reports, err := living(s)
	if err != nil {
		return nil, fmt.Errorf("list the queues: %w", err)
	}
	for _, r := range reports {
		for name, n := range r.Busy {
			at(name).Workers++
			at(name).Running += n
		}
		for _, h := range r.Hung { // of those that are named
			at(h.Queue).Hung++
		}
	}
	list := make([]QueueState, 0, len(known))
	for q := range maps.Values(known) {
		list = append(list, *q)
	}
	slices.SortFunc(list, func(a, b QueueState) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// living reads what live workers say about themselves.
func living(s store.Survey) (reports []run.Report, err error) {
	for _, l := range s.Leases {
		if !s.Now.Before(l.Expires) {
			continue
		}
		r, err := run.ReadReport(l.Report)
		if err != nil {
			return nil, fmt.Errorf("worker %q: %w", l.Name, err)
		}
		r.Worker = l.Name
		reports = append(reports, r)
	}
	return reports, nil
}

// PauseQueue stops new bodies of a queue on all workers, until ResumeQueue: a
// restart does not end the pause. Those that run go on to their end; their runs
// stop before the next body in this queue. Runs are accepted and wait, as do
// messages for them, and timers do not fire while the run is due in this queue.
// Other workers learn of it by a hint, at the latest with their next heartbeat;
// then they begin nothing. Pausing a paused queue changes nothing. By says who
// pauses. Errors: ErrUnknownQueue.
func (e *Engine) PauseQueue(ctx context.Context, name string, opts ...ActOption) error {
	o, err := acting(forPauseQueue, opts)
	if err == nil {
		err = e.pause(ctx, name, o, true)
	}
	if err != nil {
		return fmt.Errorf("pause queue %q: %w", name, err)
	}
	return nil
}

// ResumeQueue ends the pause of a queue. If it is not paused, nothing happens.
// Errors: ErrUnknownQueue.
func (e *Engine) ResumeQueue(ctx context.Context, name string) error {
	if err := e.pause(ctx, name, actOptions{}, false); err != nil {
		return fmt.Errorf("resume queue %q: %w", name, err)
	}
	return nil
}

func (e *Engine) pause(ctx context.Context, name string, o actOptions, paused bool) error {
	switch {
	case !e.cfg.declared(name):
		return fmt.Errorf("%w: it is not in Config.Queues", ErrUnknownQueue)
	case o.by != "" && tree.TextMistake(o.by) != "":
		return fmt.Errorf("%w: By: %s", ErrInvalid, tree.TextMistake(o.by))
	}
	if err := e.store.SetPaused(ctx, name, o.by, paused); err != nil {
		return err
	}
	// This process hears at once. If that fails, it hears as the others do.
	asked := time.Now()
	if s, err := e.store.Survey(ctx); err == nil {
		e.runner.Told(s.Paused, asked)
	}
	e.runner.Poke(name)
	return nil
}

// KeepPaused leaves a queue paused after DrainQueue.
func KeepPaused() ActOption {
	return func(o *actOptions) {
		o.use("KeepPaused", forDrainQueue)
		o.keepPaused = true
	}
}

// drainLook is how often DrainQueue looks at what workers say.
const drainLook = 100 * time.Millisecond

// DrainQueue pauses a queue and waits until no body of it runs on any worker, or
// until ctx ends: then left is how many still run, as far as workers have said,
// and the error wraps that of ctx. In the end the queue is resumed, unless
// KeepPaused is given or it was paused before. Workers say what runs with their
// heartbeats, about a second after the last body ended. A worker that has died counts until its
// lease is over. Errors: ErrUnknownQueue, and ErrResumed if somebody resumes the queue meanwhile.
func (e *Engine) DrainQueue(ctx context.Context, name string, opts ...ActOption) (left int, err error) {
	o, err := acting(forDrainQueue, opts)
	if err != nil {
		return 0, fmt.Errorf("drain queue %q: %w", name, err)
	}
	if !e.cfg.declared(name) {
		return 0, fmt.Errorf("drain queue %q: %w: it is not in Config.Queues", name, ErrUnknownQueue)
	}
	before, err := e.store.Survey(ctx)
	if err != nil {
		return 0, fmt.Errorf("drain queue %q: %w", name, err)
	}
	if err := e.pause(ctx, name, o, true); err != nil {
		return 0, fmt.Errorf("drain queue %q: %w", name, err)
	}
	left, err = e.drained(ctx, name)
	if _, was := pauseOf(before, name); !o.keepPaused && !was && !errors.Is(err, ErrResumed) {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainEnd)
		defer cancel()
		if undo := e.pause(end, name, actOptions{}, false); undo != nil {
			err = errors.Join(err, fmt.Errorf("it stays paused: %w", undo))
		}
	}
	if err != nil {
		return left, fmt.Errorf("drain queue %q: %w", name, err)
	}
	return 0, nil
}

// drainEnd is the patience with the store when a queue is resumed although the
// caller's context has ended.
const drainEnd = 10 * time.Second

func pauseOf(s store.Survey, name string) (store.Pause, bool) {
	for _, p := range s.Paused {
		if p.Queue == name {
			return p, true
		}
	}
	return store.Pause{}, false
}

// drained waits until every live worker has said that it knows of the pause and
// runs nothing.
func (e *Engine) drained(ctx context.Context, name string) (left int, err error) {
	look := time.NewTicker(drainLook)
	defer look.Stop()
	silent := 0
	for {
		s, err := e.store.Survey(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			e.log.Warn("draining a queue: the store does not answer; asking again", "queue", name, "error", err)
		case err == nil:
			if _, is := pauseOf(s, name); !is {
				return left, ErrResumed
			}
			if left, silent, err = atWork(s, name); err != nil {
				return left, err
			}
			if left+silent == 0 {
				return 0, nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return left, fmt.Errorf("%d bodies still run, and %d workers have not said that they know of the pause: %w", left, silent, context.Cause(ctx))
		}
	}
}

// atWork counts the bodies of a paused queue, and the workers that may not know
// of the pause yet.
func atWork(s store.Survey, name string) (left, silent int, err error) {
	p, _ := pauseOf(s, name)
	reports, err := living(s)
	if err != nil {
		return 0, 0, err
	}
	for _, r := range reports {
		n, serves := r.Busy[name]
		left += n
		if since := r.Paused[name]; (serves || r.Unknown) && !since.Equal(p.Since) {
			silent++
		}
	}
	return left, silent, nil
}
