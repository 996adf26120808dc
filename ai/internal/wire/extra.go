package wire

import (
	"bytes"
	"encoding/json"
)

// Merge puts extra into a body as a JSON merge patch (RFC 7396): objects are merged, nil takes a
// field out, anything else takes its place. What extra does not name stays as it is, byte for byte.
func Merge(body []byte, extra map[string]any) ([]byte, error) {
	if len(extra) == 0 {
		return body, nil
	}
	o, err := readObject(body)
	if err != nil {
		return nil, err
	}
	for _, name := range sorted(extra) {
		value := extra[name]
		if value == nil {
			o.remove(name)
			continue
		}
		encoded, err := Marshal(value)
		if err != nil {
			return nil, err
		}
		if old, ok := o.get(name); ok && isObject(old) && isObject(encoded) {
			var inner map[string]any
			d := json.NewDecoder(bytes.NewReader(encoded))
			d.UseNumber()
			if err := d.Decode(&inner); err != nil {
				return nil, err
			}
			if encoded, err = Merge(old, inner); err != nil {
				return nil, err
			}
		}
		o.set(name, encoded)
	}
	return o.bytes(), nil
}
