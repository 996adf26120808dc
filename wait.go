package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
)

// WaitOption changes a wait.
type WaitOption func(*waitOptions)

type waitOptions struct {
	used
	timed   bool
	timeout time.Duration
	has     bool
	value   any
	prompt  string
	details any

	sized, multiline bool
	min, max         int
	assigned         bool
	to               string
	notices          []notice
	correlate        correlations
	schema           json.RawMessage
	isNamed          bool
	name             string // of a sleep
}

func waiting(opts []WaitOption) waitOptions {
	var o waitOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// Timeout ends the wait d after it opened, by the store's clock. Zero or less
// takes what is there or times out at once. Without it a wait lasts for ever.
func Timeout(d time.Duration) WaitOption {
	return func(o *waitOptions) {
		o.use("Timeout", forWaits)
		o.timed, o.timeout = true, d
	}
}

// OnTimeout is the value that a wait returns when it times out. Without it a
// timeout is ErrTimeout. The value must fit the type of the wait.
func OnTimeout(v any) WaitOption {
	return func(o *waitOptions) {
		o.use("OnTimeout", forWaits)
		o.has, o.value = true, v
	}
}

// Named gives a sleep a name: it is known by the name and the count of sleeps with it, like any
// other durable call, so that sleeps that come and go beside it in the code do not change which one it is.
// OpenWaits shows it, and CancelWait finds it by it. Only Sleep and SleepUntil take it; all other
// waits have names.
func Named(name string) WaitOption {
	return func(o *waitOptions) {
		o.use("Named", forSleep)
		o.isNamed, o.name = true, name
	}
}

// Sleep suspends the run for d. It holds no slot and no goroutine, and goes on
// after a restart. d of zero or less returns at once. A sleep is known by its count
// among those of the body that have no name; the only option is Named.
func Sleep(ctx context.Context, d time.Duration, opts ...WaitOption) error {
	return sleep(ctx, &run.CallRequest{Timed: true, For: d}, opts)
}

// SleepUntil suspends the run until t. A past t returns at once, and one after the year 9999 is its
// end. The only option is Named.
func SleepUntil(ctx context.Context, t time.Time, opts ...WaitOption) error {
	return sleep(ctx, &run.CallRequest{Timed: true, At: t}, opts)
}

// sleepName is the name that options give to a sleep, and "" for none.
func sleepName(opts []WaitOption) (string, error) {
	o := waiting(opts)
	if err := o.only(forSleep); err != nil {
		return "", fmt.Errorf("sleep: %w", err)
	}
	if m := tree.TextMistake(o.name); o.isNamed && m != "" {
		return "", fmt.Errorf("sleep: %w: Named: %s", ErrInvalid, m)
	}
	return o.name, nil
}

func sleep(ctx context.Context, req *run.CallRequest, opts []WaitOption) error {
	name, err := sleepName(opts)
	if err != nil {
		return err
	}
	b, key, err := enter(ctx, "sleep", name)
	if err != nil {
		return err
	}
	c := b.h.Calls[key]
	if c == nil {
		req.Wait = &journal.Wait{Kind: "sleep", Name: name}
		if c, err = b.wait(ctx, key, req); err != nil {
			return err
		}
	}
	if c.State == journal.Withdrawn {
		return fmt.Errorf("sleep: %w", withdrawn(c))
	}
	return nil
}

// wait makes a wait. It returns when the wait has ended, or not at all: then
// the body runs again later.
func (b *body) wait(ctx context.Context, key string, req *run.CallRequest) (*journal.Call, error) {
	if b.h.Node.AtMostOnce {
		return nil, fmt.Errorf("%w: a step that is AtMostOnce cannot wait, since its body would run again; wait in a step of its own", ErrNotInStep)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	req.Key = key
	c, err := b.call(req)
	if err != nil {
		return nil, callGone(ctx, err)
	}
	return c, nil
}

// WaitForEvent waits for engine.SendEvent with that name and returns its
// payload. An event that was sent before is taken at once: first come, first
// served. Each event ends one wait.
//
// With Correlate it waits for engine.Publish instead. A payload that does not fit T
// ends the wait with ErrPayload.
func WaitForEvent[T any](ctx context.Context, name string, opts ...WaitOption) (T, error) {
	b, key, err := enter(ctx, "event", name)
	if err != nil {
		var zero T
		return zero, err
	}
	o := waiting(opts)
	err = o.only(forEvent)
	if err == nil {
		err = o.correlate.check(name)
	}
	if err != nil {
		var zero T
		return zero, fmt.Errorf("event %q: %w", name, err)
	}
	t := o.correlate.topic(name)
	w := &journal.Wait{Kind: "event", Name: name, Topic: t.Topic, Shared: t.Shared}
	return await(ctx, b, key, w, opts, func(raw []byte, v *T) error { return decode(raw, v, false) })
}

// await runs a typed wait.
func await[T any](ctx context.Context, b *body, key string, w *journal.Wait, opts []WaitOption, read func([]byte, *T) error) (T, error) {
	var v T
	c := b.h.Calls[key]
	if c == nil {
		req, err := request[T](w, waiting(opts), b.engine.cfg.MaxPayload)
		if err != nil {
			return v, err
		}
		if c, err = b.wait(ctx, key, req); err != nil {
			return v, err
		}
	}
	switch c.State {
	case journal.TimedOut:
		if !c.Has {
			return v, fmt.Errorf("%s %q: %w", w.Kind, w.Name, ErrTimeout)
		}
		if err := decode(c.Data, &v, false); err != nil {
			b.stuck(key, err)
		}
		return v, nil
	case journal.Value:
		if err := read(c.Data, &v); err != nil {
			return v, fmt.Errorf("%s %q: %w %s: %w", w.Kind, w.Name, ErrPayload, typeName[T](), err)
		}
		return v, nil
	case journal.Withdrawn:
		return v, fmt.Errorf("%s %q: %w", w.Kind, w.Name, withdrawn(c))
	}
	panic(errNeverHere)
}

// request makes the request for a wait and checks its default. It needs no body.
func request[T any](w *journal.Wait, o waitOptions, limit int) (*run.CallRequest, error) {
	if err := o.watch(w); err != nil {
		return nil, fmt.Errorf("%s %q: %w", w.Kind, w.Name, err)
	}
	req := &run.CallRequest{Wait: w, Timed: o.timed, For: o.timeout}
	if !o.has {
		return req, nil
	}
	if !o.timed {
		return nil, fmt.Errorf("%s %q: OnTimeout without Timeout never happens; give both", w.Kind, w.Name)
	}
	raw, err := encode(o.value, limit)
	if err != nil {
		return nil, fmt.Errorf("%s %q: OnTimeout: %w", w.Kind, w.Name, err)
	}
	var v T
	if err := decode(raw, &v, false); err != nil {
		return nil, fmt.Errorf("%s %q: OnTimeout: %w: %T is not a %s: %w", w.Kind, w.Name, ErrInvalid, o.value, typeName[T](), err)
	}
	w.HasValue, w.Default = true, raw
	return req, nil
}
