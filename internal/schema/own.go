package schema

import (
	"encoding"
	"encoding/json"
	"reflect"

	infer "github.com/google/jsonschema-go/jsonschema"
)

// enum is a type that lists its values.
type enum interface{ Values() []string }

// ownSchemas collects the schemas of those types within t whose JSON does not
// follow from how they are built: enumerations, and types with methods of
// their own for JSON or text.
func ownSchemas(t reflect.Type, own map[reflect.Type]*infer.Schema, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		if t.Name() == "" {
			ownSchemas(t.Elem(), own, seen)
			return
		}
	}
	switch t.PkgPath() {
	case "time", "math/big", "log/slog": // infer knows these
		return
	}
	if s := ownSchema(t); s != nil {
		own[t] = s
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		ownSchemas(t.Elem(), own, seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() || f.Anonymous {
				ownSchemas(f.Type, own, seen)
			}
		}
	}
}

// ownSchema is the schema of a type that says more than its kind, or nil.
func ownSchema(t reflect.Type) *infer.Schema {
	if t.Kind() == reflect.Interface {
		return nil
	}
	zero := reflect.New(t)
	if e, ok := zero.Interface().(enum); ok && t.Kind() == reflect.String {
		s := &infer.Schema{Type: "string"}
		for _, v := range e.Values() {
			s.Enum = append(s.Enum, v)
		}
		return s
	}
	if _, ok := zero.Interface().(json.Marshaler); ok {
		return &infer.Schema{Types: []string{"null", "array", "boolean", "number", "object", "string"}}
	}
	if _, ok := zero.Interface().(encoding.TextMarshaler); ok {
		return &infer.Schema{Type: "string"}
	}
	return nil
}
