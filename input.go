package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/schema"
)

// Prompt is the question that people see.
func Prompt(text string) WaitOption { return func(o *waitOptions) { o.prompt = text } }

// Details is shown to the people who answer. It travels as JSON.
func Details(v any) WaitOption { return func(o *waitOptions) { o.details = v } }

// answer is the payload of an input's message.
type answer struct {
	Value json.RawMessage `json:"value"`
	By    string          `json:"by,omitempty"`
	At    time.Time       `json:"at"`
}

// question is the detail of an input's wait.
type question struct {
	Prompt    string          `json:"prompt,omitempty"`
	Details   json.RawMessage `json:"details,omitempty"`
	Schema    json.RawMessage `json:"schema,omitempty"`
	Error     string          `json:"error,omitempty"`
	Choices   []InputChoice   `json:"choices,omitempty"`
	Several   bool            `json:"several,omitempty"`
	Multiline bool            `json:"multiline,omitempty"`
	Fields    []schema.Field  `json:"fields,omitempty"`
	Notes     []journal.Note  `json:"notes,omitempty"` // put there while it is open
}

// WaitForInput asks people for a T. The question is listed by
// engine.PendingInputs until somebody answers with engine.ProvideInput; an
// answer is checked against T before it is accepted.
func WaitForInput[T any](ctx context.Context, name string, opts ...WaitOption) (T, error) {
	return ask[T](ctx, "input", name, opts, func(*waitOptions) (question, error) { return typed(reflect.TypeFor[T]()) }, answered[T])
}

// answered reads an answer as a T.
func answered[T any](raw []byte, v *T) error {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return err
	}
	return decode(a.Value, v, false)
}

// typed is the question for a value of a type.
func typed(t reflect.Type) (question, error) {
	s, err := schema.For(t)
	if err != nil {
		return question{}, fmt.Errorf("%s cannot be asked for: %w", t, err)
	}
	return question{Schema: s}, nil
}

// Approval is the answer to WaitForApproval.
type Approval struct {
	Approved bool      `json:"approved"`
	Comment  string    `json:"comment,omitempty"`
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at,omitzero"`
}

// approvalForm is what an approval may be answered with; a plain boolean works
// too.
type approvalForm struct {
	Approved bool   `json:"approved"`
	Comment  string `json:"comment,omitempty"`
}

// WaitForApproval asks people for a yes or no, with an optional comment.
func WaitForApproval(ctx context.Context, name string, opts ...WaitOption) (Approval, error) {
	return ask(ctx, "approval", name, opts, func(*waitOptions) (question, error) { return typed(reflect.TypeFor[approvalForm]()) }, approved)
}

// approved reads the answer to an approval.
func approved(raw []byte, v *Approval) error {
	var (
		a answer
		f approvalForm
	)
	if err := json.Unmarshal(raw, &a); err != nil {
		return err
	}
	if err := json.Unmarshal(a.Value, &f); err != nil {
		return err
	}
	*v = Approval{f.Approved, f.Comment, a.By, a.At}
	return nil
}

func ask[T any](ctx context.Context, kind, name string, opts []WaitOption, what func(*waitOptions) (question, error), read func([]byte, *T) error) (T, error) {
	var zero T
	b, key, err := enter(ctx, kind, name)
	if err != nil {
		return zero, err
	}
	w := &journal.Wait{Kind: kind, Name: name}
	if b.h.Calls[key] == nil {
		o := waiting(opts)
		q, err := what(&o)
		if err == nil {
			w, err = inquire[T](kind, name, q, &o, b.engine.cfg.MaxPayload)
		}
		if err != nil {
			return zero, fmt.Errorf("%s %q: %w", kind, name, err)
		}
	}
	return await(ctx, b, key, w, opts, read)
}

// inquire makes the wait of a question to people. It needs no body.
func inquire[T any](kind, name string, q question, o *waitOptions, limit int) (*journal.Wait, error) {
	if err := o.suit(kind); err != nil {
		return nil, err
	}
	var err error
	q.Prompt = o.prompt
	if o.details != nil {
		if q.Details, err = encode(o.details, limit); err != nil {
			return nil, fmt.Errorf("Details: %w", err)
		}
	}
	w := &journal.Wait{Kind: kind, Name: name, Topic: earlyTopic(name)}
	if w.Detail, err = encode(q, 2*limit); err != nil {
		return nil, err
	}
	if o.has && kind != "input" && kind != "approval" { // there the type says all
		raw, err := encode(o.value, limit)
		if err == nil {
			_, err = fit(kind, w.Detail, raw)
		}
		if err != nil {
			return nil, fmt.Errorf("OnTimeout: %w", err)
		}
	}
	return w, nil
}

// suit refuses options that have no meaning for a kind of wait.
func (o *waitOptions) suit(kind string) error {
	switch {
	case o.sized && kind != "text" && kind != "choice":
		return fmt.Errorf("%w: Length is for texts, and for how many are chosen", ErrInvalid)
	case o.multiline && kind != "text":
		return fmt.Errorf("%w: Multiline is for texts", ErrInvalid)
	}
	return nil
}
