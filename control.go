package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// ActOption says more about an action.
type ActOption func(*actOptions)

type actOptions struct {
	used
	by         string
	id         string
	early      bool
	keepPaused bool
	undo       bool
	force      bool

	keeps   bool // Keep was given
	keepFor time.Duration
}

// By names who acts, for the record. Events have no such record.
func By(name string) ActOption {
	return func(o *actOptions) {
		o.use("By", forProvideInput|forCancel|forRetry|forCancelWait|forExtendWait|forPauseQueue|forDrainQueue)
		o.by = name
	}
}

// EventID makes SendEvent and Publish safe to repeat: an event with an id that was already
// used in that run, or within Keep for that name and key, is acknowledged without effect.
// Answers need none: the second one to a question is ErrNoSuchWait.
func EventID(id string) ActOption {
	return func(o *actOptions) {
		o.use("EventID", forSendEvent|forPublish)
		o.id = id
	}
}

// Early lets ProvideInput keep an answer whose question is not open yet: the next
// question of that name takes it, if it fits then. If it does not, the question opens as usual, and
// PendingInput.Notes shows the answer as refused. Kept answers count as messages that wait in the
// run's inbox. wait must be a name. An answer that follows another one, to a question that was asked
// once, is kept for a next question that may never come: leave Early out where that is wrong.
func Early() ActOption {
	return func(o *actOptions) {
		o.use("Early", forProvideInput)
		o.early = true
	}
}

// AndCompensate lets Cancel undo what the run has done: see StepNode.Compensate.
func AndCompensate() ActOption {
	return func(o *actOptions) {
		o.use("AndCompensate", forCancel)
		o.undo = true
	}
}

// Force lets Cancel end a rollback that is going on: the compensation that runs
// ends, no other begins, and the run is compensation_failed.
func Force() ActOption {
	return func(o *actOptions) {
		o.use("Force", forCancel)
		o.force = true
	}
}

// acting reads the options of a call. It refuses those that are not for it.
func acting(call takers, opts []ActOption) (actOptions, error) {
	var o actOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o, o.only(call)
}

// SendEvent sends an event to a run. It is kept until a WaitForEvent of that
// name takes it, also when it comes before the wait. Errors: ErrNotFound,
// ErrRunDone, ErrInboxFull, ErrTooLarge.
func (e *Engine) SendEvent(ctx context.Context, id ID, name string, payload any, opts ...ActOption) error {
	d, err := e.event(id, name, payload, opts)
	if err != nil {
		return err
	}
	if err := e.deliver(ctx, d); err != nil {
		return fmt.Errorf("send event %q to run %s: %w", name, id, err)
	}
	return nil
}

// event checks an event and makes its message.
func (e *Engine) event(id ID, name string, payload any, opts []ActOption) (*store.Deliver, error) {
	o, err := acting(forSendEvent, opts)
	if err != nil {
		return nil, fmt.Errorf("send event %q: %w", name, err)
	}
	if m := tree.TextMistake(name); m != "" {
		return nil, fmt.Errorf("send event: %w: the name: %s", ErrInvalid, m)
	}
	raw, err := e.payload(payload)
	if err != nil {
		return nil, fmt.Errorf("send event %q: %w", name, err)
	}
	dedupe := "event:" + o.id
	if o.id == "" {
		dedupe = "once:" + uuid.NewString()
	} else if m := tree.TextMistake(o.id); m != "" {
		return nil, fmt.Errorf("send event %q: %w: the event id: %s", name, ErrInvalid, m)
	}
	return &store.Deliver{ID: id, Topic: eventTopic(name), Payload: raw, Dedupe: dedupe, Max: maxInbox}, nil
}

// payload encodes a value, or takes raw JSON as it is.
func (e *Engine) payload(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return compact(raw, e.cfg.MaxPayload)
	}
	return encode(v, e.cfg.MaxPayload)
}

func (e *Engine) deliver(ctx context.Context, d *store.Deliver) error {
	v, err := e.runner.Do(ctx, store.Write{Deliver: d})
	if err != nil {
		return err
	}
	if err := delivered(d, v); err != nil {
		return err
	}
	e.runner.Delivered(d.ID)
	return nil
}

// delivered says what a verdict on a message means.
func delivered(d *store.Deliver, v store.Verdict) error {
	switch v.Code {
	case store.Applied, store.Landed:
		return nil
	case store.NotFound:
		return ErrNotFound
	case store.Ended:
		return fmt.Errorf("%w: it is %s", ErrRunDone, v.Status)
	case store.Full:
		return fmt.Errorf("%w: %d messages wait there for somebody to take them", ErrInboxFull, d.Max)
	case store.NoSuchWait:
		return ErrNoSuchWait
	}
	return fmt.Errorf("the store refused the message (verdict %d)", v.Code)
}

// ProvideInput answers an open input of a run. wait is the input's name, or its
// id when several of that name are open. The value is checked against the type
// that the step asked for, with the form that the question was opened with; a refused one
// changes nothing and the error is an *AnswerError with all that is wrong, by field. Errors:
// ErrNotFound, ErrNoSuchWait (answered, timed out, not yet open; see Early), ErrAmbiguous, ErrInvalid,
// ErrRunDone.
func (e *Engine) ProvideInput(ctx context.Context, id ID, wait string, value any, opts ...ActOption) error {
	if err := e.provide(ctx, id, wait, value, opts); err != nil {
		return fmt.Errorf("answer %q of run %s: %w", wait, id, err)
	}
	return nil
}

func (e *Engine) provide(ctx context.Context, id ID, wait string, value any, opts []ActOption) error {
	o, err := acting(forProvideInput, opts)
	if err != nil {
		return err
	}
	w, err := e.openInput(ctx, id, wait)
	var d *store.Deliver
	if err == nil {
		d, err = e.answering(w, value, o)
	} else if mayBeEarly(err, o, wait) {
		d, err = e.earlyAnswer(id, wait, value, o)
	}
	if err != nil {
		return err
	}
	return e.deliver(ctx, d)
}

// answering checks an answer and makes its message.
func (e *Engine) answering(w *store.Wait, value any, o actOptions) (*store.Deliver, error) {
	raw, err := e.payload(value)
	if err != nil {
		return nil, err
	}
	if raw, err = fit(w.Kind, w.Detail, raw); err != nil {
		return nil, err
	}
	envelope, err := encode(answer{Value: raw, By: o.by, At: time.Now().UTC()}, maxLimit)
	if err != nil {
		return nil, err
	}
	return &store.Deliver{ID: w.Execution, Wait: w.ID, Payload: envelope, Dedupe: "answer:" + w.ID + ":" + uuid.NewString()}, nil
}

// openInput finds the wait that a name or id means.
func (e *Engine) openInput(ctx context.Context, id ID, wait string) (*store.Wait, error) {
	open, err := e.waitsOf(ctx, id, inputKinds())
	if err != nil {
		return nil, err
	}
	if w, err := named(open, wait); w != nil || err != nil {
		return w, err
	}
	rec, err := e.store.Load(ctx, id, false)
	if err != nil {
		return nil, err
	}
	return nil, notOpen(rec.Status)
}

// earlyAnswer makes the message of an answer whose question is not asked yet.
func (e *Engine) earlyAnswer(id ID, name string, value any, o actOptions) (*store.Deliver, error) {
	if m := tree.TextMistake(name); m != "" {
		return nil, fmt.Errorf("%w: the name: %s", ErrInvalid, m)
	}
	raw, err := e.payload(value)
	if err != nil {
		return nil, err
	}
	envelope, err := encode(answer{Value: raw, By: o.by, At: time.Now().UTC()}, maxLimit)
	if err != nil {
		return nil, err
	}
	return &store.Deliver{ID: id, Topic: earlyTopic(name), Payload: envelope, Dedupe: "early:" + uuid.NewString(), Max: maxInbox}, nil
}

// Unblock lets a blocked run go on: a worker takes it up again, and blocks it
// again if its code still cannot. Code with another shape or state type takes
// blocked runs up by itself; this is for what no fingerprint shows, such as a
// changed type of a recorded result. Errors: ErrNotFound, ErrNotBlocked.
func (e *Engine) Unblock(ctx context.Context, id ID) error {
	v, err := e.runner.Do(ctx, store.Write{Control: &store.Control{
		ID: id, From: []store.Status{store.Blocked}, Release: store.Release{Status: store.Pending},
	}})
	switch {
	case err != nil:
		return fmt.Errorf("unblock run %s: %w", id, err)
	case v.Code == store.Applied || v.Code == store.Landed:
		e.runner.Poke("")
		return nil
	case v.Code == store.NotFound:
		return fmt.Errorf("unblock run %s: %w", id, ErrNotFound)
	}
	return fmt.Errorf("unblock run %s: %w: it is %s", id, ErrNotBlocked, v.Status)
}
