package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// maxDepth is how deep payloads may nest.
const maxDepth = 64

// encode writes a value as compact JSON. It is the only place where values of
// users become bytes.
func encode(v any, limit int) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, &encodeError{err}
	}
	out := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return out, checkPayload(out, limit)
}

// checkPayload checks what every payload must keep to.
func checkPayload(b []byte, limit int) error {
	if len(b) > limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d (Config.MaxPayload); keep large data elsewhere and its address in the state", ErrTooLarge, len(b), limit)
	}
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = quoteEnd(b, i)
		case '{', '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("%w: it nests deeper than %d", ErrTooLarge, maxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// quoteEnd is where the string that begins at b[i] ends, in valid JSON.
func quoteEnd(b []byte, i int) int {
	for {
		n := bytes.IndexByte(b[i+1:], '"')
		if n < 0 {
			return len(b)
		}
		i += 1 + n
		escapes := i - 1
		for b[escapes] == '\\' {
			escapes--
		}
		if (i-escapes)%2 == 1 { // the quote itself is not escaped
			return i
		}
	}
}

// compact checks and compacts JSON from outside.
func compact(raw []byte, limit int) ([]byte, error) {
	if len(raw) > limit {
		return nil, checkPayload(raw, limit)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, fmt.Errorf("%w: it is not JSON: %w", ErrInvalid, err)
	}
	return b.Bytes(), checkPayload(b.Bytes(), limit)
}

type encodeError struct{ err error }

func (e *encodeError) Error() string {
	return "the value cannot be written as JSON: " + errorText(e.err)
}
func (e *encodeError) Unwrap() error { return e.err }

// decode reads JSON into v. Numbers in fields of type any become json.Number,
// so that no digit is lost.
func decode(raw []byte, v any, plain bool) error {
	if plain {
		return json.Unmarshal(raw, v)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the value")
	}
	return nil
}

// shape is what is known of a type that travels as JSON.
type shape struct {
	plain    bool     // no field of type any: plain decoding loses nothing
	mistakes []string // fields that JSON cannot carry
}

// shapeOf looks through a type. Types may be recursive.
func shapeOf(t reflect.Type) shape {
	s := shape{plain: true}
	s.look(t, t.String(), make(map[reflect.Type]bool))
	return s
}

func (s *shape) look(t reflect.Type, where string, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	if ownJSON(t) {
		s.plain = false
		return
	}
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		s.mistakes = append(s.mistakes, fmt.Sprintf("%s is a %s, which JSON cannot carry; leave it out with `json:\"-\"` or give it a MarshalJSON", where, t.Kind()))
	case reflect.Interface:
		s.plain = false
	case reflect.Pointer, reflect.Slice, reflect.Array:
		s.look(t.Elem(), where, seen)
	case reflect.Map:
		s.look(t.Elem(), where, seen)
		if k := t.Key(); k.Kind() != reflect.String && !isInteger(k.Kind()) && !k.Implements(textMarshaler) {
			s.mistakes = append(s.mistakes, fmt.Sprintf("%s is a map with keys of type %s; JSON needs strings or integers", where, k))
		}
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Tag.Get("json") == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			name := f.Name
			if tag != "" {
				name = f.Name + " (" + tag + ")"
			}
			s.look(f.Type, where+"."+name, seen)
		}
	}
}

func isInteger(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uintptr }

// ownJSON tells whether a type writes its own JSON.
func ownJSON(t reflect.Type) bool {
	return t.Implements(jsonMarshaler) || reflect.PointerTo(t).Implements(jsonMarshaler) ||
		t.Implements(textMarshaler) || reflect.PointerTo(t).Implements(textMarshaler)
}

var ( // lint:var interface types for reflection, never changed
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
)
