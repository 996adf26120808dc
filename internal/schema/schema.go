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

// Valid tells what is wrong with a schema; nil if values can be checked against it.
func Valid(schema []byte) error {
	_, err := compile(schema)
	return err
}

// compile reads a schema. It reads no other document, wherever a reference points.
func compile(schema []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(alone{})
	if err := c.AddResource(address, doc); err != nil {
		return nil, err
	}
	s, err := c.Compile(address)
	if err != nil {
		return nil, plainly(err)
	}
	return s, nil
}

// address is what a schema is called; nobody looks there.
const address = "schema:this"

// alone refuses to load what a schema refers to.
type alone struct{}

func (alone) Load(url string) (any, error) {
	return nil, errors.New("a schema cannot refer to another document")
}

// plainly says what is wrong with a schema by the places in it.
func plainly(err error) error {
	var bad *jsonschema.SchemaValidationError
	var list *jsonschema.ValidationError
	if !errors.As(err, &bad) || !errors.As(bad.Err, &list) {
		return err
	}
	return sorted(list)
}

// sorted is all mistakes; the validator goes through maps.
func sorted(bad *jsonschema.ValidationError) *Error {
	list := mistakes(bad, nil)
	slices.SortStableFunc(list, func(a, b Mistake) int {
		return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Text, b.Text))
	})
	return &Error{slices.Compact(list)}
}

// Check validates a JSON value against a schema. The error is an *Error if the
// value does not fit.
func Check(schema, value []byte) error {
	s, err := compile(schema)
	if err != nil {
		return fmt.Errorf("the stored schema: %w", err)
	}
	return check(s, value)
}

func check(s *jsonschema.Schema, value []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return &Error{[]Mistake{{Text: "it is not JSON: " + err.Error()}}}
	}
	err = s.Validate(v)
	var bad *jsonschema.ValidationError
	if errors.As(err, &bad) {
		return sorted(bad)
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
	case *kind.Enum:
		return "it must be one of " + listed(k.Want)
	case *kind.Const:
		return "it must be " + written(k.Want)
	case *kind.Format:
		return fmt.Sprintf("it is no %s", k.Want)
	}
	return k.LocalizedString(message.NewPrinter(language.English))
}

// Limits of a list of choices in a mistake: who answers can see all of them with the question.
const (
	maxListed  = 20  // choices
	maxWritten = 100 // bytes of one
)

// listed is the values that are allowed, as JSON, and how many more there are.
func listed(values []any) string {
	var list []string
	for _, v := range values[:min(len(values), maxListed)] {
		list = append(list, written(v))
	}
	text := strings.Join(list, ", ")
	if more := len(values) - len(list); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// written is a value as JSON, cut if it is long.
func written(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if len(text) > maxWritten {
		text = strings.ToValidUTF8(text[:maxWritten], "") + "…"
	}
	return text
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
