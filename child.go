package durable

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// maxChildDepth is how deep children may have children.
const maxChildDepth = 32

// CallOption changes how a child is begun or awaited: Timeout and OnTimeout, Tags,
// Priority, InQueue, At, Detached, and Assignee, Reminder and Escalate for who waits. Each call refuses
// those that are not for it.
type CallOption interface{ child(o *callOptions) }

type callOptions struct {
	used
	start    startOptions
	wait     waitOptions
	detached bool
}

func (opt StartOption) child(o *callOptions) { opt(&o.start) }
func (opt WaitOption) child(o *callOptions)  { opt(&o.wait) }

type childOption func(o *callOptions)

func (opt childOption) child(o *callOptions) { opt(o) }

// Detached lets a spawned child live on when the run that spawned it is cancelled.
func Detached() CallOption {
	return childOption(func(o *callOptions) {
		o.use("Detached", forSpawn)
		o.detached = true
	})
}

// ChildError is how a child ended that did not complete.
type ChildError struct {
	ID       ID
	Workflow string
	Status   Status
	Cause    *Failure // nil if nothing was recorded
}

func (e *ChildError) Error() string {
	text := fmt.Sprintf("child %s of %s is %s", e.ID, e.Workflow, e.Status)
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *ChildError) Unwrap() error {
	if e.Cause == nil {
		return nil
	}
	return e.Cause
}

// Spawned is a run that a step has spawned, with the type of its state. It can be kept
// in a state, to be awaited by a later step.
type Spawned[C any] struct {
	ID ID `json:"id"`
}

// Call runs a workflow as a child, suspends this run until it has ended, and returns its
// last state. The child begins in the same write as the wait for it: it is begun once, whatever
// happens. It inherits tags and priority, and the queue unless its workflow names one; Tags,
// Priority, InQueue and At say otherwise.
//
// A child that did not complete is a *ChildError. When the step is retried, children that
// completed are kept, and those that failed are begun anew. With Timeout the child is
// cancelled when the time is over, and the call returns the value of OnTimeout, or ErrTimeout.
// When the run is cancelled, or fails meanwhile, the child is cancelled. If the run goes back later (see
// StepNode.Compensate), a child that completed and has something to undo goes back with it, after the compensation of
// this step.
//
// Children may have children, 32 deep. A workflow may call itself: declare its
// variable first and define it in an init function.
func Call[C any](ctx context.Context, workflow *Workflow[C], input C, opts ...CallOption) (C, error) {
	var zero C
	if workflow == nil {
		return zero, Permanent(errors.New("Call: the workflow is nil"))
	}
	b, key, err := enter(ctx, "call", workflow.Name())
	if err != nil {
		return zero, err
	}
	if c := b.h.Calls[key]; c != nil {
		return called[C](b, key, c, nil)
	}
	o, err := calling(forCall, opts)
	if err != nil {
		return zero, Permanent(fmt.Errorf("call %s: %w", workflow.Name(), err))
	}
	begin, err := b.engine.child(b.h.Visit, workflow.definition(), input, key, o)
	if err != nil {
		return zero, fmt.Errorf("call %s: %w", workflow.Name(), err)
	}
	w := &journal.Wait{Kind: "call", Name: workflow.Name(), Topic: store.ChildTopic(begin.ID)}
	if o.wait.timed && o.wait.timeout <= 0 { // it is over before it could begin
		begin = nil
	}
	return awaitChild[C](ctx, b, key, w, o, begin)
}

// Spawn begins a workflow as a child and goes on. The child is recorded with the call:
// it is begun once. It lives on when this run completes or fails; when this run is cancelled,
// it is cancelled too, unless it is Detached. Await waits for its end. A retry of the step keeps the child, unless
// the failed attempt has awaited it and it did not complete: then another one begins.
func Spawn[C any](ctx context.Context, workflow *Workflow[C], input C, opts ...CallOption) (Spawned[C], error) {
	var spawned Spawned[C]
	if workflow == nil {
		return spawned, Permanent(errors.New("Spawn: the workflow is nil"))
	}
	b, key, err := enter(ctx, "spawn", workflow.Name())
	if err != nil {
		return spawned, err
	}
	c := b.h.Calls[key]
	if c == nil {
		o, err := calling(forSpawn, opts)
		if err != nil {
			return spawned, Permanent(fmt.Errorf("spawn %s: %w", workflow.Name(), err))
		}
		begin, err := b.engine.child(b.h.Visit, workflow.definition(), input, key, o)
		if err != nil {
			return spawned, fmt.Errorf("spawn %s: %w", workflow.Name(), err)
		}
		raw, err := encode(Spawned[C]{begin.ID}, maxLimit)
		if err != nil {
			return spawned, err
		}
		if err := context.Cause(ctx); err != nil {
			return spawned, err
		}
		if c, err = b.call(&run.CallRequest{Key: key, Data: raw, Child: begin}); err != nil {
			return spawned, callGone(ctx, err)
		}
	}
	if err := decode(c.Data, &spawned, false); err != nil {
		b.stuck(key, err)
	}
	return spawned, nil
}

// Await waits for the end of a child that this run has spawned, and returns its last
// state, also if it has ended before. Several may await it. Once a step has awaited a child that completed, that goes
// back with the run as if it had been called here, unless it is Detached. A child that did not complete is a
// *ChildError. Timeout ends the waiting, not the child. While the database is away it waits.
//
// When the step that has spawned a child and awaited it in the same visit is retried, a child that did not complete is
// spawned anew, as by Call. One that an earlier step has spawned stays as it ended.
func Await[C any](ctx context.Context, spawned Spawned[C], opts ...CallOption) (C, error) {
	var zero C
	b, key, err := enter(ctx, "await", spawned.ID.String())
	if err != nil {
		return zero, err
	}
	if c := b.h.Calls[key]; c != nil {
		return called[C](b, key, c, nil)
	}
	o, err := calling(forAwait, opts)
	if err != nil {
		return zero, Permanent(fmt.Errorf("await child %s: %w", spawned.ID, err))
	}
	if spawned.ID == (ID{}) {
		return zero, Permanent(errors.New("await: the Spawned is empty; give what Spawn has returned, and keep it in the state if another step awaits it"))
	}
	var rec store.Record
	err = persist(ctx, func() (err error) {
		rec, err = b.engine.store.Load(ctx, spawned.ID, false)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return zero, Permanent(fmt.Errorf("await child %s: there is no such run; give what Spawn has returned in this run", spawned.ID))
	case context.Cause(ctx) != nil:
		return zero, context.Cause(ctx)
	case err != nil:
		return zero, fmt.Errorf("await child %s: %w", spawned.ID, err)
	case rec.Parent != b.h.Execution:
		return zero, Permanent(fmt.Errorf("await %s: it is no child of this run", spawned.ID))
	case rec.Status.Ended(): // whoever awaited it first has taken the message
		h, err := run.Replay(&rec)
		if err != nil {
			return zero, fmt.Errorf("await child %s: %w", spawned.ID, err)
		}
		return recordEnd[C](ctx, b, key, &rec, h)
	}
	w := &journal.Wait{Kind: "call", Name: rec.Workflow, Topic: store.ChildTopic(spawned.ID)}
	return awaitChild[C](ctx, b, key, w, o, nil)
}

// recordEnd records the end of a child that has ended.
func recordEnd[C any](ctx context.Context, b *body, key string, rec *store.Record, h *journal.History) (C, error) {
	var zero C
	report := run.ChildReport{ID: rec.ID, Workflow: rec.Workflow, Status: rec.Status, Error: storedError(rec.Error)}
	req := &run.CallRequest{Key: key}
	if report.Status == store.Completed {
		report.State, req.Undo = h.State, h.Undoable() && !rec.Detached
	} else {
		req.Err = &journal.Error{Code: "child", Path: b.h.Path, Message: "the child has not completed"}
	}
	req.Data = report.Encode()
	c, err := b.call(req)
	if err != nil {
		return zero, callGone(ctx, err)
	}
	return called[C](b, key, c, req.Data)
}

// calling reads the options of a call. It refuses those that are not for it.
func calling(call takers, opts []CallOption) (callOptions, error) {
	var o callOptions
	o.start.priority = unranked
	for _, opt := range opts {
		opt.child(&o)
	}
	all := used{slices.Concat(o.options, o.start.options, o.wait.options)}
	return o, all.only(call)
}

// unranked is no priority: it is inherited.
const unranked = -1 << 31

// child checks a child of a visit and makes its beginning.
func (e *Engine) child(v *run.Visit, d *definition, input any, key string, o callOptions) (*store.Begin, error) {
	if e.defs[[2]string{d.tree.Name, d.tree.Version}] == nil {
		return nil, Permanent(fmt.Errorf("%w %q version %q: add it to Config.Workflows", ErrUnknownWorkflow, d.tree.Name, d.tree.Version))
	}
	if v.Depth+1 > maxChildDepth {
		return nil, Permanent(fmt.Errorf("children are nested deeper than %d; give what has no end a Loop instead", maxChildDepth))
	}
	raw, err := encode(input, e.cfg.MaxPayload)
	if err != nil {
		return nil, &resultError{fmt.Errorf("the input: %w", err)}
	}
	if o.start.priority == unranked {
		o.start.priority = v.Priority
	}
	if o.start.queue == "" && d.tree.Queue == "" {
		o.start.queue = v.RunQueue
	}
	if err := e.checkStart(&o.start, d); err != nil {
		return nil, Permanent(err)
	}
	tags := slices.Clone(v.Tags)
	for _, tag := range o.start.tags {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	begin := &store.Begin{
		ID: childID(v, key), Workflow: d.tree.Name, Version: d.tree.Version, Queue: o.start.queue, Priority: o.start.priority,
		Tags: tags, Due: o.start.at,
		Parent: v.Execution, Detached: o.detached, Depth: v.Depth + 1,
	}
	begin.Row = run.BeginRow(begin, d.tree.Timeout, raw, time.Now())
	return begin, nil
}

// childID is a child's id: the time, so that ids sort by age, and for the rest what
// follows from the place of the call.
func childID(v *run.Visit, key string) ID {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
		id[6] = id[6]&0x0f | 0x70
	}
	sum := sha256.Sum256([]byte(v.Execution.String() + "\x00" + v.Path + "\x00" + v.Generation + "\x00" + key + "\x00" + strconv.Itoa(v.Attempt)))
	copy(id[9:], sum[:7]) // behind the variant bits
	return id
}

// awaitChild suspends until a child has ended.
func awaitChild[C any](ctx context.Context, b *body, key string, w *journal.Wait, o callOptions, begin *store.Begin) (C, error) {
	var zero C
	req, err := request[C](w, o.wait, b.engine.cfg.MaxPayload)
	if err != nil {
		return zero, err
	}
	req.Child = begin
	c, err := b.wait(ctx, key, req)
	if err != nil {
		return zero, err
	}
	return called[C](b, key, c, nil)
}

// called reads how a child ended. report stands in for what the record does not have.
func called[C any](b *body, key string, c *journal.Call, report []byte) (C, error) {
	var v C
	if c.State == journal.TimedOut {
		if !c.Has {
			return v, fmt.Errorf("%s: %w", key, ErrTimeout)
		}
		if err := decode(c.Data, &v, false); err != nil {
			b.stuck(key, err)
		}
		return v, nil
	}
	if c.State == journal.Withdrawn {
		return v, fmt.Errorf("%s: %w", key, withdrawn(c))
	}
	data := c.Data
	if len(data) == 0 {
		data = report
	}
	var r run.ChildReport
	if err := json.Unmarshal(data, &r); err != nil {
		return v, fmt.Errorf("%s: the report of the child cannot be read: %w", key, err)
	}
	if r.Status != store.Completed {
		return v, &ChildError{ID: r.ID, Workflow: r.Workflow, Status: r.Status, Cause: failure(r.Error)}
	}
	if err := decode(r.State, &v, false); err != nil {
		b.stuck(key, err)
	}
	return v, nil
}
