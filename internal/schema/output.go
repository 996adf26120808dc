package schema

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	maxDepth  = 32       // of types within types
	maxOutput = 64 << 10 // bytes of a schema: a model reads it with every request
)

// Output returns the schema of what a model is to answer with, or to call a tool with. It differs from For: lists
// are never null, times have a format, bytes are base64, members stand in the order of the fields, and a tag
// jsonschema:"…" describes a field. The error names everything that cannot be in it; a type that contains itself
// cannot.
func Output(t reflect.Type) ([]byte, error) {
	var o outputter
	raw := o.schema(t, t.String())
	if len(o.mistakes) > 0 {
		return nil, errors.Join(o.mistakes...)
	}
	if len(raw) > maxOutput {
		return nil, fmt.Errorf("%s: its schema has %d bytes, and may have %d", t, len(raw), maxOutput)
	}
	return raw, nil
}

// IsObject says whether a schema of Output is that of a JSON object.
func IsObject(raw []byte) bool {
	var s struct {
		Type any `json:"type"`
	}
	return json.Unmarshal(raw, &s) == nil && s.Type == "object"
}

type outputter struct {
	within   []reflect.Type
	mistakes []error
}

func (o *outputter) mistake(where, format string, args ...any) json.RawMessage {
	o.mistakes = append(o.mistakes, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
	return json.RawMessage("{}")
}

// pair is a member of a JSON object whose order is kept.
type pair struct {
	key   string
	value any
}

func ordered(pairs ...pair) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(p.key)
		value, err := json.Marshal(p.value)
		if err != nil {
			panic("schema: " + err.Error()) // texts and numbers
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func typeOf(name string) json.RawMessage { return ordered(pair{"type", name}) }

func (o *outputter) schema(t reflect.Type, where string) json.RawMessage {
	if slices.Contains(o.within, t) && t.Name() != "" {
		return o.mistake(where, "%s contains itself; what a model fills in has an end", t)
	}
	if len(o.within) >= maxDepth {
		return o.mistake(where, "more than %d types within types", maxDepth)
	}
	o.within = append(o.within, t)
	defer func() { o.within = o.within[:len(o.within)-1] }()
	if s := o.special(t, where); s != nil {
		return s
	}
	switch k := t.Kind(); k {
	case reflect.Pointer:
		return nullable(o.schema(t.Elem(), where))
	case reflect.Struct:
		return o.object(t, where)
	case reflect.Slice:
		return ordered(pair{"type", "array"}, pair{"items", o.schema(t.Elem(), where+"[]")})
	case reflect.Array:
		return ordered(pair{"type", "array"}, pair{"items", o.schema(t.Elem(), where+"[]")}, pair{"minItems", t.Len()}, pair{"maxItems", t.Len()})
	case reflect.Map:
		if !isKey(t.Key()) {
			return o.mistake(where, "a map with keys of %s has no JSON", t.Key())
		}
		return ordered(pair{"type", "object"}, pair{"additionalProperties", o.schema(t.Elem(), where+"[]")})
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return o.mistake(where, "nothing can be decoded into the interface %s", t)
		}
		return json.RawMessage("{}")
	case reflect.String:
		return typeOf("string")
	case reflect.Bool:
		return typeOf("boolean")
	case reflect.Float32, reflect.Float64:
		return typeOf("number")
	case reflect.Int, reflect.Int64:
		return typeOf("integer")
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return ordered(pair{"type", "integer"}, pair{"minimum", 0})
	case reflect.Int8, reflect.Int16, reflect.Int32:
		low := int64(-1) << (t.Bits() - 1)
		return ordered(pair{"type", "integer"}, pair{"minimum", low}, pair{"maximum", -(low + 1)})
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return ordered(pair{"type", "integer"}, pair{"minimum", 0}, pair{"maximum", uint64(1)<<t.Bits() - 1})
	default:
		return o.mistake(where, "a %s has no JSON", k)
	}
}

// special is the schema of types whose JSON does not follow from how they are built; nil for the others.
func (o *outputter) special(t reflect.Type, where string) json.RawMessage {
	switch t {
	case reflect.TypeFor[time.Time]():
		return ordered(pair{"type", "string"}, pair{"format", "date-time"})
	case reflect.TypeFor[time.Duration]():
		return ordered(pair{"type", "integer"}, pair{"description", "nanoseconds"})
	case reflect.TypeFor[json.Number]():
		return typeOf("number")
	case reflect.TypeFor[json.RawMessage]():
		return json.RawMessage("{}")
	}
	if t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer {
		return nil
	}
	zero := reflect.New(t).Interface()
	if e, ok := zero.(enum); ok && t.Kind() == reflect.String {
		values := e.Values()
		if len(values) == 0 {
			return o.mistake(where, "%s lists no values", t)
		}
		if sorted := slices.Sorted(slices.Values(values)); len(slices.Compact(sorted)) != len(values) {
			return o.mistake(where, "%s lists a value twice", t)
		}
		return ordered(pair{"type", "string"}, pair{"enum", values})
	}
	if _, own := zero.(json.Unmarshaler); own {
		return json.RawMessage("{}") // only its code knows
	}
	if _, text := zero.(encoding.TextUnmarshaler); text {
		return typeOf("string")
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return ordered(pair{"type", "string"}, pair{"contentEncoding", "base64"})
	}
	return nil
}

// isKey says whether encoding/json takes a type as the key of a map.
func isKey(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	}
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// nullable lets a value also be null.
func nullable(raw json.RawMessage) json.RawMessage {
	pairs := pairsOf(raw)
	for i, p := range pairs {
		if p.key != "type" {
			continue
		}
		name, ok := p.value.(json.RawMessage)
		if !ok || len(name) == 0 || name[0] != '"' {
			return raw // already
		}
		pairs[i].value = []json.RawMessage{name, json.RawMessage(`"null"`)}
		for k, e := range pairs {
			if e.key == "enum" {
				values := bytes.TrimSuffix(e.value.(json.RawMessage), []byte("]"))
				pairs[k].value = json.RawMessage(string(values) + ",null]")
			}
		}
		return ordered(pairs...)
	}
	return raw // it may be anything
}

// pairsOf are the members of a JSON object in their order.
func pairsOf(raw json.RawMessage) (pairs []pair) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return pairs
		}
		var v json.RawMessage
		if d.Decode(&v) != nil {
			return pairs
		}
		name, _ := key.(string)
		pairs = append(pairs, pair{name, v})
	}
	return pairs
}

func (o *outputter) object(t reflect.Type, where string) json.RawMessage {
	var properties []pair
	required := []string{}
	for _, sf := range members(t) {
		at := where + "." + sf.Name
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		list := strings.Split(options, ",")
		if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Pointer {
			o.mistake(at, "an embedded pointer; give it a name")
			continue
		}
		if name == "" {
			name = sf.Name
		}
		if slices.ContainsFunc(properties, func(p pair) bool { return p.key == name }) {
			o.mistake(at, "another field is named %q, too", name)
			continue
		}
		s := o.schema(sf.Type, at)
		if slices.Contains(list, "string") {
			s = quotedKind(sf.Type, s)
		}
		if text := sf.Tag.Get("jsonschema"); text != "" {
			if assignment().MatchString(text) {
				o.mistake(at, "the tag jsonschema:%s is a description for the model, and sets nothing; use Values for enumerations and Validate for the rest", strconv.Quote(text))
			}
			s = described(s, text)
		}
		properties = append(properties, pair{name, s})
		if !slices.Contains(list, "omitempty") && !slices.Contains(list, "omitzero") {
			required = append(required, name)
		}
	}
	pairs := []pair{{"type", "object"}, {"properties", ordered(properties...)}}
	if len(required) > 0 {
		pairs = append(pairs, pair{"required", required})
	}
	return ordered(append(pairs, pair{"additionalProperties", false})...)
}

// assignment matches what other packages take for settings.
func assignment() *regexp.Regexp { return regexp.MustCompile(`^\w+=`) }

// quotedKind is the schema of a field with the json option "string".
func quotedKind(t reflect.Type, s json.RawMessage) json.RawMessage {
	switch t.Kind() {
	case reflect.Bool, reflect.Float32, reflect.Float64, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return typeOf("string")
	}
	return s
}

// described gives a schema a description, before the one that it has.
func described(s json.RawMessage, text string) json.RawMessage {
	pairs := pairsOf(s)
	for i, p := range pairs {
		if p.key == "description" {
			var old string
			_ = json.Unmarshal(p.value.(json.RawMessage), &old)
			pairs[i].value = text + ", in " + old
			return ordered(pairs...)
		}
	}
	return ordered(append(pairs, pair{"description", text})...)
}

// Reader checks values against one schema of Output, which is read once. It may be used by many goroutines.
type Reader struct {
	raw      []byte
	compiled *jsonschema.Schema
}

// NewReader reads a schema.
func NewReader(schema []byte) (*Reader, error) {
	s, err := compile(schema)
	if err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	return &Reader{schema, s}, nil
}

// Fit checks what a model answered, and returns it as Go reads it: whole numbers as such,
// and without members that are null and need not be there. The error is an *Error with all mistakes.
func (r *Reader) Fit(value []byte) ([]byte, error) {
	value, err := plain(value)
	if err != nil {
		return nil, err
	}
	if !json.Valid(value) {
		var v any
		return nil, &Error{[]Mistake{{Text: "it is not JSON: " + json.Unmarshal(value, &v).Error()}}}
	}
	value = dropNulls(r.raw, value)
	return value, check(r.compiled, value)
}

// FitOutput is Fit of a schema that is read for one value.
func FitOutput(schema, value []byte) ([]byte, error) {
	r, err := NewReader(schema)
	if err != nil {
		return nil, err
	}
	return r.Fit(value)
}

// dropNulls leaves out members of objects that are null where null is nothing, and that may be missing.
func dropNulls(schema, value []byte) []byte {
	var s struct {
		Type                 any                        `json:"type"`
		Properties           map[string]json.RawMessage `json:"properties"`
		Required             []string                   `json:"required"`
		Items                json.RawMessage            `json:"items"`
		AdditionalProperties json.RawMessage            `json:"additionalProperties"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return value
	}
	switch value = bytes.TrimSpace(value); {
	case len(value) > 0 && value[0] == '{':
		var out []pair
		changed := false
		for _, p := range pairsOf(value) {
			v := p.value.(json.RawMessage)
			of, ok := s.Properties[p.key]
			if !ok {
				of = s.AdditionalProperties
			}
			if string(v) == "null" && ok && !slices.Contains(s.Required, p.key) && !allowsNull(of) {
				changed = true
				continue
			}
			if len(of) > 0 && of[0] == '{' {
				was := v
				v = dropNulls(of, v)
				changed = changed || !bytes.Equal(was, v)
			}
			out = append(out, pair{p.key, v})
		}
		if changed {
			return ordered(out...)
		}
	case len(value) > 0 && value[0] == '[' && len(s.Items) > 0:
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil {
			return value
		}
		changed := false
		for i, v := range list {
			list[i] = dropNulls(s.Items, v)
			changed = changed || !bytes.Equal(v, list[i])
		}
		if raw, err := json.Marshal(list); changed && err == nil {
			return raw
		}
	}
	return value
}

func allowsNull(schema []byte) bool {
	var s struct {
		Type any `json:"type"`
	}
	if json.Unmarshal(schema, &s) != nil {
		return false
	}
	list, several := s.Type.([]any)
	return s.Type == nil || s.Type == "null" || several && slices.Contains(list, any("null"))
}
