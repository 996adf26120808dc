package durable

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// waitNode is a node that waits: what all kinds of them have in common. Its functions
// only look and compute: each is asked once and its answer recorded, but may be asked again
// if the process dies before that.
type waitNode[S any] struct {
	n     *tree.Node
	when  func(*S) bool
	opens func(ctx context.Context, s *S, limit int) (*run.CallRequest, error) // what to wait for
	fits  func(call string) string                                             // why what came for that call cannot be taken by this code; nil: it always can
	ends  func(s *S, c *journal.Call) error                                    // takes what came into the state
}

func newWaitNode[S any](kind tree.Kind, name string) waitNode[S] {
	return waitNode[S]{n: &tree.Node{Kind: kind, Name: name}}
}

func (w *waitNode[S]) mistake(text string) { w.n.Mistakes = append(w.n.Mistakes, text) }

func (w *waitNode[S]) only(fn func(*S) bool) {
	if fn == nil {
		w.mistake("When: the function is nil")
	}
	w.when = fn
}

func (w *waitNode[S]) build(c *codes, _ *S) *tree.Node {
	plain := shapeOf(reflect.TypeFor[S]()).plain
	n := placed(w.n)
	c.question[n] = func(ctx context.Context, raw []byte, q *plan.Question) run.Answered {
		if q.Ended != nil {
			return w.end(raw, q, plain)
		}
		return w.open(ctx, raw, q, plain)
	}
	return n
}

// open asks whether to wait, and for what.
func (w *waitNode[S]) open(ctx context.Context, raw []byte, q *plan.Question, plain bool) run.Answered {
	var s S
	if err := decode(raw, &s, plain); err != nil {
		return run.Answered{Block: (&stateError{err}).Error()}
	}
	if w.when != nil && !w.when(&s) {
		return run.Answered{Answer: &journal.Answer{Way: journal.WaySkip}}
	}
	req, err := w.opens(ctx, &s, q.Limit)
	if err != nil {
		return run.Answered{Err: record(err, "permanent", q.Path, 0)}
	}
	return run.Answered{Wait: req}
}

// end takes what the wait came to into the state.
func (w *waitNode[S]) end(raw []byte, q *plan.Question, plain bool) run.Answered {
	if q.Ended.State == journal.TimedOut && !q.Ended.Has && w.n.Kind != tree.Pause {
		return run.Answered{Err: record(fmt.Errorf("%s %q: %w", w.n.Kind, w.n.Name, ErrTimeout), "wait_timeout", q.Path, 0)}
	}
	if q.Ended.State == journal.Withdrawn {
		return run.Answered{Err: record(fmt.Errorf("%s %q: %w", w.n.Kind, w.n.Name, withdrawn(q.Ended)), "permanent", q.Path, 0)}
	}
	if e := q.Ended.Err; e != nil {
		return run.Answered{Err: &journal.Error{Code: "child", Path: q.Path, Message: e.Message, Chain: e.Chain}}
	}
	if w.fits != nil {
		if problem := w.fits(q.Call); problem != "" {
			return run.Answered{Block: problem}
		}
	}
	if w.ends == nil {
		return run.Answered{Ending: &plan.Ending{Happened: plan.Yes}}
	}
	return joined(raw, q, plain, func(s *S) error { return w.ends(s, q.Ended) })
}

// EventNode waits for an event.
type EventNode[S, T any] struct {
	waitNode[S]
	event   string
	key     func(*S) string
	timed   bool
	timeout time.Duration
	has     bool
	value   T
}

// Event waits for engine.SendEvent with the node's name, or the one that Named gives,
// and takes its payload into the state. No body runs meanwhile and no slot is held. An event
// that was sent before is taken at once. It is the same as a step with WaitForEvent in it, but
// graphs show it.
func Event[S, T any](name string, into func(s *S, v T)) *EventNode[S, T] {
	e := &EventNode[S, T]{waitNode: newWaitNode[S](tree.Event, name), event: name}
	if into == nil {
		e.mistake("the function is nil")
	}
	carried[T](e.n, "the type of the event")
	e.opens = func(_ context.Context, s *S, limit int) (*run.CallRequest, error) {
		var about correlations
		if e.key != nil {
			about = correlations{{key: e.key(s)}}
		}
		if err := about.check(e.event); err != nil {
			return nil, err
		}
		topic := about.topic(e.event)
		req := &run.CallRequest{
			Key:   "event:" + e.event + "#1",
			Wait:  &journal.Wait{Kind: "event", Name: e.event, Topic: topic.Topic, Shared: topic.Shared},
			Timed: e.timed, For: e.timeout,
		}
		return req, withDefault(req.Wait, e.has, e.value, limit)
	}
	e.ends = func(s *S, c *journal.Call) error {
		var v T
		if err := decode(c.Data, &v, false); err != nil {
			return &payloadError{fmt.Errorf("event %q: %w %s: %w", e.event, ErrPayload, typeName[T](), err)}
		}
		into(s, v)
		return nil
	}
	return e
}

// Named says which event it waits for, if that is not the node's name.
func (e *EventNode[S, T]) Named(event string) *EventNode[S, T] {
	if m := tree.TextMistake(event); m != "" {
		e.mistake("Named: " + m)
	}
	e.event = event
	return e
}

// Correlate makes it wait for what engine.Publish publishes for the key that fn gives,
// instead of what is sent to the run. fn is asked once, before the wait opens.
func (e *EventNode[S, T]) Correlate(fn func(s *S) string) *EventNode[S, T] {
	if fn == nil {
		e.mistake("Correlate: the function is nil")
	}
	e.key = fn
	return e
}

// Timeout ends the wait d after it opened: the run fails with code wait_timeout, or goes
// on with the value of OnTimeout.
func (e *EventNode[S, T]) Timeout(d time.Duration) *EventNode[S, T] {
	e.timed, e.timeout = true, d
	return e
}

// OnTimeout is what the wait comes to when it times out.
func (e *EventNode[S, T]) OnTimeout(v T) *EventNode[S, T] {
	e.has, e.value = true, v
	return e
}

// When is asked once, before the wait opens; false passes the node by.
func (e *EventNode[S, T]) When(fn func(s *S) bool) *EventNode[S, T] {
	e.only(fn)
	return e
}

func (e *EventNode[S, T]) build(c *codes, s *S) *tree.Node {
	n := e.waitNode.build(c, s)
	if e.has && !e.timed {
		n.Mistakes = append(n.Mistakes, "OnTimeout without Timeout never happens; give both")
	}
	return n
}

// carried notes what JSON cannot carry of a type that comes from outside.
func carried[T any](n *tree.Node, what string) {
	for _, m := range shapeOf(reflect.TypeFor[T]()).mistakes {
		n.Mistakes = append(n.Mistakes, what+" "+typeName[T]()+": "+m)
	}
}

// withDefault gives a wait the value of its timeout.
func withDefault(w *journal.Wait, has bool, value any, limit int) error {
	if !has {
		return nil
	}
	raw, err := encode(value, limit)
	if err != nil {
		return fmt.Errorf("OnTimeout: %w", err)
	}
	w.HasValue, w.Default = true, raw
	return nil
}

// payloadError: what came does not fit the type of the wait.
type payloadError struct{ err error }

func (e *payloadError) Error() string { return e.err.Error() }
func (e *payloadError) Unwrap() error { return e.err }

// PauseNode lets time pass.
type PauseNode[S any] struct{ waitNode[S] }

// Pause suspends the run for as long as fn says, counted from when it stands there. A
// time of zero or less goes on at once.
func Pause[S any](name string, fn func(s *S) time.Duration) *PauseNode[S] {
	p := &PauseNode[S]{newWaitNode[S](tree.Pause, name)}
	if fn == nil {
		p.mistake("the function is nil")
	}
	p.opens = func(_ context.Context, s *S, _ int) (*run.CallRequest, error) {
		return &run.CallRequest{Key: "sleep:" + "#1", Wait: &journal.Wait{Kind: "sleep", Name: name}, Timed: true, For: fn(s)}, nil
	}
	return p
}

// When is asked once, before the pause begins; false passes it by.
func (p *PauseNode[S]) When(fn func(s *S) bool) *PauseNode[S] {
	p.only(fn)
	return p
}
