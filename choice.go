package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/durable-go/durable/internal/schema"
)

// ChoiceOf is one of the answers that people can choose from.
type ChoiceOf[T any] struct {
	Value T
	Label string // what people see
}

// ChoicesOf makes choices whose labels are their values as fmt prints them.
func ChoicesOf[T any](values ...T) []ChoiceOf[T] {
	list := make([]ChoiceOf[T], len(values))
	for i, v := range values {
		list[i] = ChoiceOf[T]{v, fmt.Sprint(v)}
	}
	return list
}

// InputChoice is a choice as PendingInputs shows it: answer with its value.
type InputChoice struct {
	Value json.RawMessage `json:"value"`
	Label string          `json:"label"`
}

// maxChoices is how many choices a question may have: it is stored with all of
// them.
const maxChoices = 1000

// WaitForChoice asks people to choose one. Any other answer is refused. There
// must be 1 to 1,000 choices, each another one as JSON. An OnTimeout value must be one of
// the choices. Else it is as WaitForInput.
func WaitForChoice[T any](ctx context.Context, name string, choices []ChoiceOf[T], opts ...WaitOption) (T, error) {
	return ask(ctx, forChoice, "choice", name, opts, func(*waitOptions) (question, error) {
		q, enum, err := choosing(choices)
		q.Schema = enum
		return q, err
	}, answered[T])
}

// WaitForChoices asks people to choose any number, each once; Length(min, max)
// says how many. The answer is in the order in which they were chosen. Else it is as
// WaitForChoice.
func WaitForChoices[T any](ctx context.Context, name string, choices []ChoiceOf[T], opts ...WaitOption) ([]T, error) {
	return ask(ctx, forChoices, "choice", name, opts, func(o *waitOptions) (question, error) {
		q, enum, err := choosing(choices)
		if err != nil {
			return q, err
		}
		s := map[string]any{"type": "array", "items": enum, "uniqueItems": true}
		if err := o.size(s, "minItems", "maxItems"); err != nil {
			return q, err
		}
		if o.sized && o.min > len(choices) {
			return q, fmt.Errorf("%w: Length asks for %d of %d choices", ErrInvalid, o.min, len(choices))
		}
		q.Several = true
		q.Schema, err = json.Marshal(s)
		return q, err
	}, answered[[]T])
}

// choosing is the question for one of some values, and the schema of one.
func choosing[T any](choices []ChoiceOf[T]) (q question, enum json.RawMessage, err error) {
	if len(choices) == 0 || len(choices) > maxChoices {
		return q, nil, fmt.Errorf("%w: there are %d choices; give 1 to %d", ErrInvalid, len(choices), maxChoices)
	}
	seen := make(map[string]bool, len(choices))
	values := make([]json.RawMessage, len(choices))
	for i, c := range choices {
		if values[i], err = encode(c.Value, maxLimit); err != nil {
			return q, nil, fmt.Errorf("choice %d: %w", i+1, err)
		}
		var back T
		if err := decode(values[i], &back, false); err != nil {
			return q, nil, fmt.Errorf("choice %d: %w: a body could not read it again: %w", i+1, ErrInvalid, err)
		}
		if seen[string(values[i])] {
			return q, nil, fmt.Errorf("choice %d: %w: %s is there twice", i+1, ErrInvalid, values[i])
		}
		seen[string(values[i])] = true
		if c.Label == "" {
			return q, nil, fmt.Errorf("choice %d: %w: it has no label for people", i+1, ErrInvalid)
		}
		q.Choices = append(q.Choices, InputChoice{values[i], cut(c.Label, maxErrorText)})
	}
	enum, err = json.Marshal(map[string]any{"enum": values})
	return q, enum, err
}

// Length bounds the characters of WaitForText, or how many of WaitForChoices are
// chosen: at least min, at most max. max 0 is no upper bound.
func Length(min, max int) WaitOption {
	return func(o *waitOptions) {
		o.use("Length", forText|forChoices)
		o.sized, o.min, o.max = true, min, max
	}
}

// Multiline tells those who show a WaitForText that it may have several lines.
// It is a hint: line breaks are accepted without it, too.
func Multiline() WaitOption {
	return func(o *waitOptions) {
		o.use("Multiline", forText)
		o.multiline = true
	}
}

// size puts the bounds of Length into a schema.
func (o *waitOptions) size(s map[string]any, low, high string) error {
	if !o.sized {
		return nil
	}
	if o.min < 0 || o.max < 0 || o.max > 0 && o.min > o.max {
		return fmt.Errorf("%w: Length(%d, %d) is not from at least 0 up", ErrInvalid, o.min, o.max)
	}
	s[low] = o.min
	if o.max > 0 {
		s[high] = o.max
	}
	return nil
}

// WaitForText asks people for a text. See Length and Multiline; without Length it
// may be empty. Else it is as WaitForInput.
func WaitForText(ctx context.Context, name string, opts ...WaitOption) (string, error) {
	return ask(ctx, forText, "text", name, opts, texting, answered[string])
}

// texting is the question for a text.
func texting(o *waitOptions) (question, error) {
	q := question{Multiline: o.multiline}
	s := map[string]any{"type": "string"}
	if err := o.size(s, "minLength", "maxLength"); err != nil {
		return q, err
	}
	var err error
	q.Schema, err = json.Marshal(s)
	return q, err
}

// FormField is one field of a form as PendingInputs shows it.
type FormField = schema.Field

// WaitForForm asks people to fill in a form: the fields of the struct T, by its
// json tags, with what the durable tag says of each:
//
//	type Expense struct {
//		Amount  int    `json:"amount" durable:"label=Amount, in EUR;required;min=1;max=5000"`
//		Purpose string `json:"purpose" durable:"required;max=200;help=What it was for"`
//		Account string `json:"account" durable:"enum=travel|office;default=office"`
//	}
//
// Entries of the tag are separated by semicolons: label, help, required (a text or list
// must not be empty, either), multiline, min and max (of a number, of the characters of a text,
// of the items of a list), enum (values separated by |), default (what the field is if the
// answer leaves it out). A field that is not required may be left out and is then its default, or
// zero. Integer types bound their fields by themselves; types with a method Values() []string are
// enumerations; structs are groups of fields, lists of simple values are lists.
//
// A T that cannot be a form (a channel, a map, an interface, a type that contains itself …), and a
// wrong tag, is an error that names every such field, and wraps ErrInvalid. An answer is checked as
// a whole: see AnswerError. An open wait keeps the form that it was opened with, whatever code is deployed
// meanwhile.
func WaitForForm[T any](ctx context.Context, name string, opts ...WaitOption) (T, error) {
	return ask(ctx, forForm, "form", name, opts, func(*waitOptions) (question, error) {
		q, err := formOf(reflect.TypeFor[T]())
		if err != nil {
			err = Permanent(err) // the type stays what it is
		}
		return q, err
	}, answered[T])
}

func formOf(t reflect.Type) (question, error) {
	fields, s, err := schema.Form(t)
	if err != nil {
		return question{}, fmt.Errorf("%w: %s cannot be a form: %w", ErrInvalid, t, err)
	}
	return question{Fields: fields, Schema: s}, nil
}
