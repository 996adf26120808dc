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
	Prompt  string          `json:"prompt,omitempty"`
	Details json.RawMessage `json:"details,omitempty"`
	Schema  json.RawMessage `json:"schema,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// WaitForInput asks people for a T. The question is listed by
// engine.PendingInputs until somebody answers with engine.ProvideInput; an
// answer is checked against T before it is accepted.
func WaitForInput[T any](ctx context.Context, name string, opts ...WaitOption) (T, error) {
	return ask[T](ctx, "input", name, opts, func(raw []byte, v *T) error {
		var a answer
		if err := json.Unmarshal(raw, &a); err != nil {
			return err
		}
		return decode(a.Value, v, false)
	})
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
	return ask[Approval](ctx, "approval", name, opts, func(raw []byte, v *Approval) error {
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
	})
}

func ask[T any](ctx context.Context, kind, name string, opts []WaitOption, read func([]byte, *T) error) (T, error) {
	var zero T
	b, key, err := enter(ctx, kind, name)
	if err != nil {
		return zero, err
	}
	w := &journal.Wait{Kind: kind, Name: name}
	if b.h.Calls[key] == nil {
		form := reflect.TypeFor[T]()
		if kind == "approval" {
			form = reflect.TypeFor[approvalForm]()
		}
		if w.Detail, err = detail(b, form, opts); err != nil {
			return zero, fmt.Errorf("%s %q: %w", kind, name, err)
		}
	}
	return await(ctx, b, key, w, opts, read)
}

// detail is what is stored for the people who answer.
func detail(b *body, form reflect.Type, opts []WaitOption) ([]byte, error) {
	var o waitOptions
	for _, opt := range opts {
		opt(&o)
	}
	q := question{Prompt: o.prompt}
	s, err := schema.For(form)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be asked for: %w", form, err)
	}
	q.Schema = s
	if o.details != nil {
		if q.Details, err = encode(o.details, b.engine.cfg.MaxPayload); err != nil {
			return nil, fmt.Errorf("Details: %w", err)
		}
	}
	return encode(q, 2*b.engine.cfg.MaxPayload)
}
