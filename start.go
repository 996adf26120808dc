package durable

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// StartOption changes a start.
type StartOption func(*startOptions)

type startOptions struct {
	used
	key      string
	tags     []string
	priority int
	at       time.Time
	queue    string
	version  *string
	edit     *edit
}

// Key makes the start happen once: a second start of the same workflow with
// the same key and input gives the same run; with another input it is
// ErrKeyConflict. Keys live as long as the run is kept.
func Key(key string) StartOption {
	return func(o *startOptions) {
		o.use("Key", forStart|forFork)
		o.key = key
	}
}

// Tags labels the run, to find it by. At most 32.
func Tags(tags ...string) StartOption {
	return func(o *startOptions) {
		o.use("Tags", forBegins|forFork)
		o.tags = append(o.tags, tags...)
	}
}

// Priority from -1000 to 1000 puts a run before others of its queue; default 0,
// higher goes first.
func Priority(n int) StartOption {
	return func(o *startOptions) {
		o.use("Priority", forBegins|forFork)
		o.priority = n
	}
}

// At delays the start: no step begins before t, by the store's clock. A time after the year 9999 is
// its end.
func At(t time.Time) StartOption {
	return func(o *startOptions) {
		o.use("At", forBegins|forFork)
		o.at = run.Within(t)
	}
}

// InQueue starts the run in another queue than its workflow's.
func InQueue(name string) StartOption {
	return func(o *startOptions) {
		o.use("InQueue", forBegins|forFork)
		o.queue = name
	}
}

// Run is a started execution with the type of its state.
type Run[S any] struct {
	ID       ID
	Existing bool // the key was used before: this is that run
	engine   *Engine
	workflow string
	plain    bool
}

// Start starts the workflow. When it returns nil, the run is durable. A start
// whose error wraps ErrUnknown may have happened; with a Key it is safe to
// start again.
func (w *Workflow[S]) Start(ctx context.Context, e *Engine, input S, opts ...StartOption) (*Run[S], error) {
	raw, err := encode(&input, e.cfg.MaxPayload)
	if err != nil {
		return nil, fmt.Errorf("start %s: the input: %w", w.tree.Name, err)
	}
	id, existing, err := e.start(ctx, w.tree.Name, w.tree.Version, raw, opts)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", w.tree.Name, err)
	}
	return &Run[S]{ID: id, Existing: existing, engine: e, workflow: w.tree.Name, plain: w.state.plain}, nil
}

// startsAtOnce is how many starts StartMany has on their way; they share
// flushes.
const startsAtOnce = 512

// StartMany starts many runs, sharing commits. each may be nil; else it gives
// the options of input i. Runs that could not be started are nil in the
// result, and their errors are joined.
func (w *Workflow[S]) StartMany(ctx context.Context, e *Engine, inputs []S, each func(i int) []StartOption) ([]*Run[S], error) {
	var (
		runs  = make([]*Run[S], len(inputs))
		errs  = make([]error, len(inputs))
		slots = make(chan struct{}, startsAtOnce)
		all   sync.WaitGroup
	)
	for i := range inputs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			var opts []StartOption
			if each != nil {
				opts = each(i)
			}
			if runs[i], errs[i] = w.Start(ctx, e, inputs[i], opts...); errs[i] != nil {
				errs[i] = fmt.Errorf("input %d: %w", i, errs[i])
			}
		})
	}
	all.Wait()
	return runs, errors.Join(errs...)
}

// Attach gives a handle on an execution of this workflow that was started
// elsewhere. It does not look whether there is one.
func (w *Workflow[S]) Attach(e *Engine, id ID) *Run[S] {
	return &Run[S]{ID: id, Existing: true, engine: e, workflow: w.tree.Name, plain: w.state.plain}
}

func (e *Engine) start(ctx context.Context, name, version string, raw []byte, opts []StartOption) (ID, bool, error) {
	b, err := e.beginning(name, version, raw, opts)
	if err != nil {
		return ID{}, false, err
	}
	v, err := e.runner.Start(ctx, b, e.defs[[2]string{name, version}].tree.Timeout, raw)
	if err != nil {
		return ID{}, false, err
	}
	return started(&b, v)
}

// beginning checks a start and makes its write, but for the row.
func (e *Engine) beginning(name, version string, raw []byte, opts []StartOption) (store.Begin, error) {
	d := e.defs[[2]string{name, version}]
	if d == nil || tree.IsItem(name) {
		return store.Begin{}, fmt.Errorf("%w %q version %q: add it to Config.Workflows", ErrUnknownWorkflow, name, version)
	}
	var o startOptions
	for _, opt := range opts {
		opt(&o)
	}
	if err := errors.Join(o.only(forStart), e.checkStart(&o, d)); err != nil {
		return store.Begin{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.Begin{}, err
	}
	b := store.Begin{
		ID: id, Workflow: name, Version: version, Queue: o.queue, Priority: o.priority,
		Key: o.key, Tags: o.tags, Due: o.at,
	}
	if o.key != "" {
		b.InputHash = canonicalHash(raw)
	}
	return b, nil
}

// started says what a verdict on a start means.
func started(b *store.Begin, v store.Verdict) (ID, bool, error) {
	switch {
	case v.Code == store.Applied || v.Code == store.Landed:
		return b.ID, false, nil
	case v.Code == store.Exists && v.Same:
		return v.ID, true, nil
	case v.Code == store.Exists:
		return ID{}, false, fmt.Errorf("%w: key %q belongs to run %s", ErrKeyConflict, b.Key, v.ID)
	}
	return ID{}, false, fmt.Errorf("the store refused the start (verdict %d)", v.Code)
}

// checkStart checks the options and fills their defaults.
func (e *Engine) checkStart(o *startOptions, d *definition) error {
	if o.queue == "" {
		o.queue = d.tree.Queue
	}
	if o.queue == "" {
		o.queue = defaultQueue
	}
	slices.Sort(o.tags)
	o.tags = slices.Compact(o.tags)
	return errors.Join(e.startMistakes(o)...)
}

// startMistakes is all that is wrong with options, whose queue and priority may be those of
// another run.
func (e *Engine) startMistakes(o *startOptions) (list []error) {
	if o.queue != "" && !e.cfg.declared(o.queue) {
		list = append(list, fmt.Errorf("%w %q: add it to Config.Queues, or name it durable.Elsewhere there if other workers serve it", ErrUnknownQueue, o.queue))
	}
	if m := tree.TextMistake(o.key); o.key != "" && m != "" {
		list = append(list, fmt.Errorf("%w: the key: %s", ErrInvalid, m))
	}
	if o.priority != unranked && (o.priority < -maxPriority || o.priority > maxPriority) {
		list = append(list, fmt.Errorf("%w: the priority %d is not between -%d and %d", ErrInvalid, o.priority, maxPriority, maxPriority))
	}
	if len(o.tags) > maxTags {
		list = append(list, fmt.Errorf("%w: %d tags, the limit is %d", ErrInvalid, len(o.tags), maxTags))
	}
	for _, tag := range o.tags {
		if m := tree.TextMistake(tag); m != "" {
			list = append(list, fmt.Errorf("%w: the tag %q: %s", ErrInvalid, tag, m))
		}
	}
	return list
}

// canonicalHash is equal for JSON texts that differ in the order of members
// only.
func canonicalHash(raw []byte) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) == nil {
		if b, err := json.Marshal(v); err == nil {
			raw = b
		}
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

// Wait waits until the run has ended and returns its state, from any process.
// A run that did not complete gives a *RunError. The end of ctx, and Engine.Close, end only the
// waiting.
func (r *Run[S]) Wait(ctx context.Context) (S, error) {
	var s S
	end, err := r.engine.await(ctx, r.ID)
	if err != nil {
		return s, err
	}
	if end.status != store.Completed {
		return s, &RunError{ID: r.ID, Workflow: r.workflow, Status: end.status, Cause: failure(end.err)}
	}
	if err := decode(end.state, &s, r.plain); err != nil {
		return s, fmt.Errorf("run %s: %w", r.ID, &stateError{err})
	}
	return s, nil
}

// The pauses between two looks while waiting for a run of another process; each
// is twice the one before. While a run is in the hands of this process nobody
// looks: the worker tells, however long that takes on a busy machine.
const (
	firstLook = 5 * time.Millisecond
	lastLook  = time.Second
	ownCheck  = 50 * time.Millisecond // whether it still is
)

// await waits for the end of an execution: told by this process's worker, or
// seen in the store.
func (e *Engine) await(ctx context.Context, id ID) (ended, error) {
	told, cancel := e.hub.wait(id)
	defer cancel()
	first := time.Duration(0)
	if e.runner.Drives(id) {
		first = ownCheck
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	for pause := firstLook; ; {
		select {
		case end := <-told:
			if end.status.Ended() {
				return end, nil
			}
			continue
		case <-ctx.Done():
			return ended{}, fmt.Errorf("waiting for run %s: %w", id, context.Cause(ctx))
		case <-e.closed:
			select {
			case end := <-told: // just before
				if end.status.Ended() {
					return end, nil
				}
			default:
			}
			return ended{}, fmt.Errorf("waiting for run %s: %w", id, errEngineClosed)
		case <-timer.C:
		}
		if e.runner.Drives(id) {
			timer.Reset(ownCheck)
			continue
		}
		end, err := e.look(ctx, id)
		if end.status.Ended() || err != nil {
			return end, err
		}
		timer.Reset(pause)
		pause = min(2*pause, lastLook)
	}
}

// look asks the store how an execution ended. While it has not, that is one
// question about one row; what cannot be answered now is asked again later.
func (e *Engine) look(ctx context.Context, id ID) (ended, error) {
	page, err := e.store.List(ctx, store.Filter{IDPrefix: id.String(), Limit: 1})
	switch {
	case err != nil:
		return ended{}, nil
	case len(page.Executions) == 0:
		return ended{}, fmt.Errorf("run %s: %w", id, store.ErrNotFound)
	case !page.Executions[0].Status.Ended():
		return ended{}, nil
	}
	rec, err := e.store.Load(ctx, id, false)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ended{}, fmt.Errorf("run %s: %w", id, err)
	case err != nil:
		return ended{}, nil
	}
	h, err := run.Replay(&rec)
	if err != nil {
		return ended{}, fmt.Errorf("run %s: %w", id, err)
	}
	return ended{rec.Status, h.State, storedError(rec.Error)}, nil
}

func storedError(raw []byte) *journal.Error {
	if len(raw) == 0 {
		return nil
	}
	var e journal.Error
	if err := json.Unmarshal(raw, &e); err != nil {
		return &journal.Error{Code: "error", Message: string(raw)}
	}
	return &e
}
