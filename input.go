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
func Prompt(text string) WaitOption {
	return func(o *waitOptions) {
		o.use("Prompt", forQuestions)
		o.prompt = text
	}
}

// Details is shown to the people who answer. It travels as JSON.
func Details(v any) WaitOption {
	return func(o *waitOptions) {
		o.use("Details", forQuestions)
		o.details = v
	}
}

// Schema is the JSON Schema (draft 2020-12, or the one that its $schema names) that an answer to
// WaitForInput must fit, instead of the one that follows from the type: ProvideInput refuses
// others and says every mistake by its field. The body gets what was accepted, decoded as the
// type of the wait, which may be json.RawMessage. OnTimeout must fit it too. It is kept
// with the wait. A schema that is wrong, larger than Config.MaxPayload, or that refers to other
// documents is an error at the call.
func Schema(raw json.RawMessage) WaitOption {
	return func(o *waitOptions) {
		o.use("Schema", forInput)
		o.schema = append(json.RawMessage{}, raw...)
	}
}

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
	return ask[T](ctx, forInput, "input", name, opts, func(o *waitOptions) (question, error) { return inputOf(reflect.TypeFor[T](), o) }, answered[T])
}

// inputOf is the question for a value of a type, or for one that fits a given schema.
func inputOf(t reflect.Type, o *waitOptions) (question, error) {
	if o.schema == nil {
		return typed(t)
	}
	raw, err := compact(o.schema, maxPayload)
	if err == nil {
		err = schema.Valid(raw)
	}
	if err != nil {
		return question{}, fmt.Errorf("%w: Schema: %w", ErrInvalid, err)
	}
	return question{Schema: raw}, nil
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
	return ask(ctx, forApproval, "approval", name, opts, func(*waitOptions) (question, error) { return typed(reflect.TypeFor[approvalForm]()) }, approved)
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

func ask[T any](ctx context.Context, call takers, kind, name string, opts []WaitOption, what func(*waitOptions) (question, error), read func([]byte, *T) error) (T, error) {
	var zero T
	b, key, err := enter(ctx, kind, name)
	if err != nil {
		return zero, err
	}
	w := &journal.Wait{Kind: kind, Name: name}
	if b.h.Calls[key] == nil {
		o := waiting(opts)
		var q question
		err := o.only(call)
		if err == nil {
			q, err = what(&o)
		}
		if err == nil {
			w, err = inquire[T](kind, name, q, &o, b.engine.cfg.MaxPayload)
		}
		if err != nil {
			return zero, fmt.Errorf("%s %q: %w", kind, name, err)
		}
	}
	return await(ctx, b, key, w, opts, read)
}

// inquire makes the wait of a question to people, whose options are for it. It needs no body.
func inquire[T any](kind, name string, q question, o *waitOptions, limit int) (*journal.Wait, error) {
	if o.schema != nil {
		if err := checkPayload(q.Schema, limit); err != nil {
			return nil, fmt.Errorf("Schema: %w", err)
		}
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
	if o.has && kind != "approval" && (kind != "input" || o.schema != nil) { // there the type says all
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
