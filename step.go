package durable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// StepNode is a step of a workflow over S.
type StepNode[S any] struct {
	n         *tree.Node
	body      func(ctx context.Context, s *S) error
	reconcile func(ctx context.Context, s *S) error
	undo      func(ctx context.Context, s *S) error
	retryIf   func(error) bool
	undoIf    func(error) bool
}

// Step is a named function. It changes the state, or fails; a failed attempt
// leaves no trace in the state. Its context ends when the step times out, the
// run is cancelled, the worker stops or loses its lease; context.Cause tells
// which. Without Retry it has one attempt.
func Step[S any](name string, fn func(ctx context.Context, s *S) error) *StepNode[S] {
	s := &StepNode[S]{n: &tree.Node{Kind: tree.Step, Name: name}, body: fn}
	if fn == nil {
		s.mistake("the function is nil")
	}
	return s
}

func (s *StepNode[S]) mistake(text string) { s.n.Mistakes = append(s.n.Mistakes, text) }

// Retry is a policy for failed attempts.
type Retry struct {
	MaxAttempts int              // attempts in all, at least 1
	Backoff     Backoff          // how the pause grows; default Exponential
	Base        time.Duration    // default 1 s
	Max         time.Duration    // longest pause before jitter; default 30 s
	Jitter      float64          // share of the pause by which it varies; default 0.25; NoJitter for none
	If          func(error) bool // only errors for which it is true are retried; default all
}

// Backoff is how the pause after a failed attempt grows with the number n of
// failures.
type Backoff = tree.Backoff

// The ways in which a pause grows.
const (
	Exponential = tree.Exponential // min(Base·2ⁿ, Max): 2, 4, 8, 16, 30, 30 s by default
	Linear      = tree.Linear      // min(Base·n, Max)
	Constant    = tree.Constant    // Base
)

// NoJitter as Retry.Jitter keeps pauses exact.
const NoJitter = -1

// NoTimeout as a step's Timeout lets its body run as long as it likes.
const NoTimeout time.Duration = -1

func (r *Retry) policy() *tree.Retry {
	return &tree.Retry{MaxAttempts: r.MaxAttempts, Backoff: r.Backoff, Base: r.Base, Max: r.Max, Jitter: r.Jitter}
}

// Retry sets the policy for failed attempts: errors, panics and timeouts.
func (s *StepNode[S]) Retry(r Retry) *StepNode[S] {
	s.n.Retry, s.retryIf = r.policy(), r.If
	return s
}

// Timeout is how long one run of the body may take; time in which it is
// suspended does not count. When it is over, the body's context ends and the
// attempt fails with code step_timeout. The default is 10 minutes.
func (s *StepNode[S]) Timeout(d time.Duration) *StepNode[S] {
	if d <= 0 && d != NoTimeout {
		s.mistake(fmt.Sprintf("Timeout is %s; give a positive time, or NoTimeout", d))
	}
	s.n.Timeout = d
	return s
}

// Queue names the queue whose slots the step uses.
func (s *StepNode[S]) Queue(name string) *StepNode[S] {
	if name == "" {
		s.mistake("Queue: the name is empty")
	}
	s.n.Queue = name
	return s
}

// AtMostOnce says that the body must not begin twice in one visit. When it is
// cut off (crash, lost lease, timeout, stop), the step is in doubt: Reconcile
// asks the outside what happened, or a person answers an input named in_doubt.
// Such a step cannot be retried and cannot wait.
func (s *StepNode[S]) AtMostOnce() *StepNode[S] {
	s.n.AtMostOnce = true
	return s
}

// Reconcile gives an AtMostOnce step a function that finds out what became of
// a body that was cut off. It returns Happened (and what it did to the state
// is the step's result), DidNotHappen (and the body runs once more), or an
// error (and it is asked again later; after 5 errors a person is).
func (s *StepNode[S]) Reconcile(fn func(ctx context.Context, s *S) error) *StepNode[S] {
	if fn == nil {
		s.mistake("Reconcile: the function is nil")
	}
	s.n.Reconciles, s.reconcile = true, fn
	return s
}

// Compensate gives the step a function that undoes it, should the run fail after
// it, or be cancelled with AndCompensate. Compensations run one at a time, what was
// done last first, each once for every time that the step was done: passes of loops,
// items, lanes and visits after a Goto count one by one. Steps that were begun and cut
// off (a timeout, a lane that was cancelled, a process that died) are undone too, since
// nobody knows how far they came: StepInfo.InDoubt tells. A step whose last attempt
// returned an error is not.
//
// fn sees the state as it was right after its step, or right before it if in doubt.
// What it changes there is recorded with it and reaches nobody else. It may make
// durable calls, and wait; like a step it runs at least once. Info gives the step's
// idempotency key. It runs in the step's queue, for at most 10 minutes at a time.
//
// An error, a panic and a timeout are failed attempts. There are 5, with exponential pauses,
// unless a policy says otherwise. A compensation that fails for good does not stop
// the others; the run then ends as compensation_failed.
func (s *StepNode[S]) Compensate(fn func(ctx context.Context, s *S) error, policy ...Retry) *StepNode[S] {
	if fn == nil {
		s.mistake("Compensate: the function is nil")
	}
	if s.undo != nil {
		s.mistake("Compensate is given twice")
	}
	if len(policy) > 1 {
		s.mistake("Compensate: give at most one Retry")
	}
	s.undo, s.n.Undo = fn, &tree.Retry{MaxAttempts: tree.DefaultUndos}
	if len(policy) > 0 {
		s.n.Undo, s.undoIf = policy[0].policy(), policy[0].If
	}
	return s
}

func (s *StepNode[S]) build(c *codes, _ *S) *tree.Node {
	state := shapeOf(reflect.TypeFor[S]())
	n := placed(s.n)
	c.steps[n] = &stepCode{
		retryIf: s.retryIf,
		undoIf:  s.undoIf,
		undo: func(ctx context.Context, raw []byte, limit int) (patch, after []byte, err error) {
			return change(raw, limit, state.plain, func(v *S) error { return s.undo(ctx, v) })
		},
		body: func(ctx context.Context, raw []byte, limit int) (patch, after []byte, err error) {
			return change(raw, limit, state.plain, func(v *S) error { return s.body(ctx, v) })
		},
		reconcile: func(ctx context.Context, raw []byte, limit int) (patch, after []byte, err error) {
			happened := false
			patch, after, err = change(raw, limit, state.plain, func(v *S) error {
				err := s.reconcile(ctx, v)
				if happened = isErr(err, Happened); happened {
					return nil
				}
				if err == nil {
					return errors.New("Reconcile returned nil; return durable.Happened, durable.DidNotHappen or an error")
				}
				return err
			})
			return patch, after, err
		},
	}
	c.question[n] = func(_ context.Context, raw []byte, q *plan.Question) run.Answered {
		return resolve[S](raw, q, state.plain)
	}
	return n
}

// stepCode is a step's functions without their type. They return the patch and
// the state that it leads to.
type stepCode struct {
	body      func(ctx context.Context, raw []byte, limit int) (patch, after []byte, err error)
	reconcile func(ctx context.Context, raw []byte, limit int) (patch, after []byte, err error)
	undo      func(ctx context.Context, raw []byte, limit int) (patch, after []byte, err error)
	retryIf   func(error) bool
	undoIf    func(error) bool
}

// change decodes the state, lets fn change it, and returns the patch and the
// new state.
func change[S any](raw []byte, limit int, plain bool, fn func(*S) error) (patch, after []byte, err error) {
	var s S
	if err := decode(raw, &s, plain); err != nil {
		return nil, nil, &stateError{err}
	}
	before, err := encode(&s, maxLimit)
	if err != nil {
		return nil, nil, &resultError{err}
	}
	if err := fn(&s); err != nil {
		return nil, nil, err
	}
	left, err := encode(&s, limit)
	if err != nil {
		return nil, nil, &resultError{err}
	}
	patch, after = journal.Change(raw, before, left)
	if len(after) > limit { // members that S does not know count too
		return nil, nil, &resultError{checkPayload(after, limit)}
	}
	return patch, after, nil
}

// maxLimit is more than any payload may have.
const maxLimit = 64 << 20

// stateError: the stored state does not fit the type of the running code.
type stateError struct{ err error }

func (e *stateError) Error() string {
	return "what is stored does not fit the type of the state, or in an Each of the item, in this code: " + e.err.Error()
}

// resultError: the body ran, and what it left cannot be kept.
type resultError struct{ err error }

func (e *resultError) Error() string { return e.err.Error() }
func (e *resultError) Unwrap() error { return e.err }

func (e *resultError) code() string {
	if errors.Is(e.err, ErrTooLarge) {
		return "too_large"
	}
	return "encode"
}

// Doubt is the answer to an input named in_doubt.
type Doubt struct {
	Outcome string          `json:"outcome"` // done, run (it did not happen: run it), or fail
	State   json.RawMessage `json:"state,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// resolve turns a person's answer about a body in doubt into its ending.
func resolve[S any](raw []byte, q *plan.Question, plain bool) run.Answered {
	var (
		in answer
		d  Doubt
	)
	err := json.Unmarshal(q.InDoubt, &in)
	if err == nil {
		err = json.Unmarshal(in.Value, &d)
	}
	switch {
	case err != nil:
		return run.Answered{Ending: &plan.Ending{Final: true, Err: record(err, "error", q.Path, 0)}}
	case d.Outcome == "run":
		return run.Answered{Ending: &plan.Ending{Happened: plan.No}}
	case d.Outcome == "fail":
		text := "a person decided that the step failed"
		if d.Error != "" {
			text = d.Error
		}
		return run.Answered{Ending: &plan.Ending{Final: true, Err: record(errors.New(text), "permanent", q.Path, 0)}}
	case d.State == nil:
		return run.Answered{Ending: &plan.Ending{Happened: plan.Yes}}
	}
	patch, _, err := change(raw, maxLimit, plain, func(s *S) error {
		*s = *new(S)
		return decode(d.State, s, plain)
	})
	if err != nil {
		return run.Answered{Ending: &plan.Ending{Final: true, Err: record(err, "encode", q.Path, 0)}}
	}
	return run.Answered{Ending: &plan.Ending{Happened: plan.Yes, Patch: patch}}
}
