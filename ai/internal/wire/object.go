package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// object is a JSON object that keeps the order of its members, since models write theirs in the
// order of the schema.
type object struct {
	names  []string
	values map[string]json.RawMessage
}

func readObject(b []byte) (*object, error) {
	o := &object{values: map[string]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		o.set(t.(string), v)
	}
	_, err := d.Token()
	return o, err
}

func (o *object) get(name string) (json.RawMessage, bool) {
	v, ok := o.values[name]
	return v, ok
}

func (o *object) set(name string, v json.RawMessage) {
	if _, ok := o.values[name]; !ok {
		o.names = append(o.names, name)
	}
	o.values[name] = v
}

func (o *object) remove(name string) {
	if _, ok := o.values[name]; ok {
		delete(o.values, name)
		o.names = slices.DeleteFunc(o.names, func(n string) bool { return n == name })
	}
}

func (o *object) bytes() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := Marshal(name) // a string can always be encoded
		b.Write(key)
		b.WriteByte(':')
		b.Write(o.values[name])
	}
	b.WriteByte('}')
	return b.Bytes()
}

func isObject(b json.RawMessage) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Compact takes white space out of JSON, and out of its strings what is not UTF-8.
func Compact(b []byte) json.RawMessage {
	var out bytes.Buffer
	if err := json.Compact(&out, bytes.ToValidUTF8(b, []byte("\uFFFD"))); err != nil {
		return nil
	}
	return out.Bytes()
}

// Set returns a JSON object with one field set, and all else as it was.
func Set(obj json.RawMessage, name string, value any) (json.RawMessage, error) {
	o, err := readObject(obj)
	if err != nil {
		return nil, err
	}
	encoded, err := Marshal(value)
	if err != nil {
		return nil, err
	}
	o.set(name, encoded)
	return o.bytes(), nil
}
