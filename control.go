package durable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/schema"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// ActOption says more about an action.
type ActOption func(*actOptions)

type actOptions struct {
	by   string
	id   string
	keep bool

	keeps   bool // Keep was given
	keepFor time.Duration
}

// By names who acts, for the record.
func By(name string) ActOption { return func(o *actOptions) { o.by = name } }

// EventID makes sending safe to repeat: an event with an id that was already
// used in that run, or within Keep for that name and key, is acknowledged without effect.
func EventID(id string) ActOption { return func(o *actOptions) { o.id = id } }

func acting(opts []ActOption) actOptions {
	var o actOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
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
	o := acting(opts)
	if err := o.noKeep(); err != nil {
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
// that the step asked for; a refused one changes nothing and the error names
// each field. Errors: ErrNotFound, ErrNoSuchWait (answered, timed out, not yet
// open), ErrAmbiguous, ErrInvalid, ErrRunDone.
func (e *Engine) ProvideInput(ctx context.Context, id ID, wait string, value any, opts ...ActOption) error {
	o := acting(opts)
	w, err := e.openInput(ctx, id, wait)
	if err != nil {
		return fmt.Errorf("answer %q of run %s: %w", wait, id, err)
	}
	d, err := e.answering(w, value, o)
	if err == nil {
		err = e.deliver(ctx, d)
	}
	if err != nil {
		return fmt.Errorf("answer %q of run %s: %w", wait, id, err)
	}
	return nil
}

// answering checks an answer and makes its message.
func (e *Engine) answering(w *store.Wait, value any, o actOptions) (*store.Deliver, error) {
	if err := o.noKeep(); err != nil {
		return nil, err
	}
	raw, err := e.payload(value)
	if err != nil {
		return nil, err
	}
	if raw, err = checkAnswer(w, raw); err != nil {
		return nil, err
	}
	envelope, err := encode(answer{Value: raw, By: o.by, At: time.Now().UTC()}, maxLimit)
	if err != nil {
		return nil, err
	}
	return &store.Deliver{ID: w.Execution, Wait: w.ID, Payload: envelope, Dedupe: "answer:" + w.ID + ":" + uuid.NewString()}, nil
}

// inputKinds are the kinds of waits that people answer.
func inputKinds() []string { return []string{"input", "approval", "in_doubt"} }

// openInput finds the wait that a name or id means.
func (e *Engine) openInput(ctx context.Context, id ID, wait string) (*store.Wait, error) {
	page, err := e.store.Waits(ctx, store.WaitFilter{Execution: id, Kinds: inputKinds(), Limit: 1000})
	if err != nil {
		return nil, err
	}
	if w, err := named(page.Waits, wait); w != nil || err != nil {
		return w, err
	}
	rec, err := e.store.Load(ctx, id, false)
	if err != nil {
		return nil, err
	}
	return nil, notOpen(rec.Status)
}

// named finds the one input that a name or id means; nil if there is none.
func named(open []store.Wait, wait string) (*store.Wait, error) {
	var found []*store.Wait
	for i := range open {
		if w := &open[i]; (w.ID == wait || w.Name == wait) && slices.Contains(inputKinds(), w.Kind) {
			found = append(found, w)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, w := range found {
		ids[i] = w.ID
	}
	return nil, fmt.Errorf("%w: answer one by its id: %s", ErrAmbiguous, strings.Join(ids, ", "))
}

// notOpen says why there is no such input.
func notOpen(status store.Status) error {
	if status.Ended() {
		return fmt.Errorf("%w: it is %s", ErrRunDone, status)
	}
	return fmt.Errorf("%w: it was answered, has timed out, or is not asked yet", ErrNoSuchWait)
}

// checkAnswer checks an answer against what was asked, and gives it the form
// in which the body reads it.
func checkAnswer(w *store.Wait, raw []byte) ([]byte, error) {
	if w.Kind == "approval" && (string(raw) == "true" || string(raw) == "false") {
		raw = []byte(`{"approved":` + string(raw) + `}`)
	}
	if w.Kind == "in_doubt" {
		return raw, checkDoubt(raw)
	}
	var q question
	if err := json.Unmarshal(w.Detail, &q); err != nil {
		return nil, fmt.Errorf("the stored question cannot be read: %w", err)
	}
	if q.Schema == nil {
		return raw, nil
	}
	if err := schema.Check(q.Schema, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return raw, nil
}

func checkDoubt(raw []byte) error {
	var d Doubt
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("%w: give {\"outcome\": \"done\", \"run\" or \"fail\"}: %w", ErrInvalid, err)
	}
	switch d.Outcome {
	case "done", "run", "fail":
		return nil
	}
	return fmt.Errorf("%w: outcome is %q; give \"done\" (it happened), \"run\" (it did not: run it) or \"fail\"", ErrInvalid, d.Outcome)
}

// Cancel ends a run for good. From its return on nothing changes the run any
// more; the context of a running step ends soon after. Cancelling twice is
// harmless. Errors: ErrNotFound, ErrRunDone.
func (e *Engine) Cancel(ctx context.Context, id ID, reason string, opts ...ActOption) error {
	o := acting(opts)
	if err := o.noKeep(); err != nil {
		return fmt.Errorf("cancel run %s: %w", id, err)
	}
	cause := &journal.Error{Code: "cancelled", Message: cut(reason, maxErrorText)}
	if cause.Message == "" {
		cause.Message = "cancelled"
	}
	raw, err := encode(cause, maxLimit)
	if err != nil {
		return err
	}
	fact := journal.Fact{Kind: journal.Cancelled, Err: cause, Data: []byte(o.by), At: time.Now().UnixMicro()}
	v, err := e.runner.Do(ctx, store.Write{Control: &store.Control{
		ID: id, Row: journal.Encode([]journal.Fact{fact}),
		From: []store.Status{store.Pending, store.Running, store.Waiting, store.Blocked},
		Release: store.Release{
			Status: store.Cancelled, ErrorCode: cause.Code, Error: raw,
			Report: run.ChildReport{ID: id, Status: store.Cancelled, Error: cause}.Encode(), Family: run.Notice(id, cause.Message),
		},
	}})
	switch {
	case err != nil:
		return fmt.Errorf("cancel run %s: %w", id, err)
	case v.Code == store.Applied || v.Code == store.Landed:
		e.runner.Taken(id)
		e.cancelBlocked(ctx, id, cause.Message)
		e.hub.tell(id, ended{status: store.Cancelled, err: cause})
		return nil
	case v.Code == store.NotFound:
		return fmt.Errorf("cancel run %s: %w", id, ErrNotFound)
	case v.Code == store.Ended && v.Status == store.Cancelled:
		return nil
	case v.Code == store.Ended:
		return fmt.Errorf("cancel run %s: %w: it is %s", id, ErrRunDone, v.Status)
	}
	return fmt.Errorf("cancel run %s: %w", id, errors.New("the store refused it"))
}

// cancelBlocked cancels children that no worker takes up to hear of it: those that
// are blocked. The others have a message.
func (e *Engine) cancelBlocked(ctx context.Context, parent ID, reason string) {
	page, err := e.store.List(ctx, store.Filter{Parent: parent, Statuses: []store.Status{store.Blocked}, Limit: 1000})
	if err != nil {
		e.log.Warn("blocked children of a cancelled run could not be looked for", "execution", parent.String(), "error", err)
		return
	}
	for _, x := range page.Executions {
		if x.Detached {
			continue
		}
		if err := e.Cancel(ctx, x.ID, "by its parent "+parent.String()+": "+reason); err != nil && !errors.Is(err, ErrRunDone) {
			e.log.Warn("a blocked child of a cancelled run could not be cancelled", "execution", x.ID.String(), "error", err)
		}
	}
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
