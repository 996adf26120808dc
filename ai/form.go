package ai

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sync"

	"github.com/durable-go/durable/internal/schema"
)

// shape is how values of a type are asked for.
type shape struct {
	schema  json.RawMessage
	name    string
	wrapped bool // it is no object, and so travels in one
	reader  *schema.Reader
}

// form is the shape of a T.
type form[T any] struct{ *shape }

// forms are the shapes that a client has used: a schema is made and read once for each type, not for each answer.
type forms struct {
	mu sync.Mutex
	by map[reflect.Type]*shape
}

// maxForms is how many are remembered; then they are made anew.
const maxForms = 1000

// formOf is the form of a type; a type that cannot be asked for is Invalid.
func formOf[T any](known *forms) (form[T], error) {
	t := reflect.TypeFor[T]()
	known.mu.Lock()
	s := known.by[t]
	known.mu.Unlock()
	if s != nil {
		return form[T]{s}, nil
	}
	s, err := shapeOf(t)
	if err != nil {
		return form[T]{}, err
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.by == nil || len(known.by) >= maxForms {
		known.by = make(map[reflect.Type]*shape)
	}
	known.by[t] = s
	return form[T]{s}, nil
}

func shapeOf(t reflect.Type) (*shape, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	raw, err := schema.Output(t)
	if err != nil {
		return nil, permanent(&Error{Kind: Invalid, Err: fmt.Errorf("a model cannot be asked for a %s: %w", t, err)})
	}
	s := &shape{schema: raw, name: schemaName(t.Name())}
	if !schema.IsObject(raw) {
		s.wrapped = true
		s.schema = fmt.Appendf(nil, `{"type":"object","properties":{"value":%s},"required":["value"],"additionalProperties":false}`, raw)
	}
	if s.reader, err = schema.NewReader(s.schema); err != nil {
		return nil, permanent(&Error{Kind: Invalid, Err: fmt.Errorf("a model cannot be asked for a %s: %w", t, err)})
	}
	return s, nil
}
