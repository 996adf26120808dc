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
	"math/big"
	"reflect"
	"slices"
	"strconv"
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
	c.AssertFormat()
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

// mistakes collects the leaves of a validation error, one for each field.
func mistakes(e *jsonschema.ValidationError, list []Mistake) []Mistake {
	for _, c := range e.Causes {
		list = mistakes(c, list)
	}
	if len(e.Causes) > 0 {
		return list
	}
	field := ""
	for _, part := range e.InstanceLocation {
		field += pointer(part)
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			list = append(list, Mistake{field + pointer(name), "it is missing"})
		}
		return list
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			list = append(list, Mistake{field + pointer(name), "there is no such field"})
		}
		return list
	}
	return append(list, Mistake{field, say(e.ErrorKind)})
}

func pointer(name string) string {
	return "/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// say says what is wrong, for people who do not know JSON Schema.
func say(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Minimum:
		return "it must be at least " + decimal(k.Want)
	case *kind.Maximum:
		return "it must be at most " + decimal(k.Want)
	case *kind.MinLength:
		if k.Want == 1 {
			return "it is empty"
		}
		return fmt.Sprintf("it has %d characters, and needs at least %d", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("it has %d characters, and may have at most %d", k.Got, k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("there are %d, and at least %d are needed", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("there are %d, and at most %d are allowed", k.Got, k.Want)
	case *kind.UniqueItems:
		return "one is there twice"
	case *kind.Format:
		return fmt.Sprintf("it is no %s", k.Want)
	}
	return k.LocalizedString(message.NewPrinter(language.English))
}

func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.RatString()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// Fit checks a value as Check does, and returns it as a body should read it:
// with the defaults of fields that it leaves out, and whole numbers as such.
func Fit(schema []byte, fields []Field, value []byte) ([]byte, error) {
	value, err := plain(value)
	if err != nil {
		return nil, err
	}
	if value, err = fill(fields, value); err != nil {
		return nil, err
	}
	return value, Check(schema, value)
}
