// Package schema is the one place that knows JSON Schema: it derives the
// schema of what a person may answer from a Go type, and checks answers
// against a stored schema, reporting every mistake by its field.
package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	infer "github.com/google/jsonschema-go/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// For returns the schema of a type. A type with a method Values() []string is
// an enumeration; one that writes its own JSON may be anything here, since only
// its own code knows better.
func For(t reflect.Type) ([]byte, error) {
	own := make(map[reflect.Type]*infer.Schema)
	ownSchemas(t, own, make(map[reflect.Type]bool))
	s, err := infer.ForType(t, &infer.ForOptions{TypeSchemas: own})
	if err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// Mistake is one thing wrong in a value.
type Mistake struct {
	Field string // JSON Pointer; "" is the value itself
	Text  string
}

// Error holds all mistakes of a value.
type Error struct{ Mistakes []Mistake }

func (e *Error) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = m.Text
		if m.Field != "" {
			lines[i] = m.Field + ": " + m.Text
		}
	}
	return strings.Join(lines, "; ")
}

// Check validates a JSON value against a schema. The error is an *Error if the
// value does not fit.
func Check(schema, value []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return fmt.Errorf("the stored schema: %w", err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return &Error{[]Mistake{{Text: "it is not JSON: " + err.Error()}}}
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("form.json", doc); err != nil {
		return fmt.Errorf("the stored schema: %w", err)
	}
	s, err := c.Compile("form.json")
	if err != nil {
		return fmt.Errorf("the stored schema: %w", err)
	}
	err = s.Validate(v)
	var bad *jsonschema.ValidationError
	if errors.As(err, &bad) {
		list := mistakes(bad, nil)
		slices.SortStableFunc(list, func(a, b Mistake) int { // the validator goes through maps
			return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Text, b.Text))
		})
		return &Error{list}
	}
	return err
}

// mistakes collects the leaves of a validation error.
func mistakes(e *jsonschema.ValidationError, list []Mistake) []Mistake {
	if len(e.Causes) == 0 {
		field := ""
		for _, part := range e.InstanceLocation {
			field += "/" + strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1")
		}
		text := e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
		if k, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
			text = "unknown fields " + strings.Join(k.Properties, ", ")
		}
		return append(list, Mistake{field, text})
	}
	for _, c := range e.Causes {
		list = mistakes(c, list)
	}
	return list
}
