package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A patch says how one compact JSON text becomes another. It is a JSON array
// of operations, each an array:
//
//	["set", pointer, value]     the member or item is value (added if absent)
//	["remove", pointer]         the member is gone
//	["append", pointer, items]  the list grew by these items
//	["cut", pointer, n]         the list keeps its first n items
//
// Pointers are JSON Pointers (RFC 6901); "" is the whole text. A patch differs
// from RFC 7386 (which cannot set null) and from RFC 6902 (which moves and
// tests). A nil patch changes nothing.

// ErrPatch means that a patch does not fit the text that it is applied to.
var ErrPatch = errors.New("patch does not fit")

// Diff returns the patch that turns before into after. Both are compact JSON.
// Members of objects are compared one by one at any depth, lists item by item:
// an item that changed is written whole.
func Diff(before, after []byte) []byte {
	if bytes.Equal(before, after) {
		return nil
	}
	d := differ{b: []byte{'['}}
	d.value(nil, before, after)
	if len(d.b) == 1 {
		return nil // only the order of members differs
	}
	d.b = append(d.b, ']')
	if len(d.b) > len(after)+16 {
		whole := differ{b: []byte{'['}}
		whole.op("set", nil, after)
		return append(whole.b, ']')
	}
	return d.b
}

// Change returns the patch by which a body changed the state, and the new
// state. raw is the state as stored, before what the body's type makes of it
// (decoded and encoded again), after what the body left. The patch is applied
// to raw, so members that the type does not know survive.
func Change(raw, before, after []byte) (patch, state []byte) {
	patch = Diff(before, after)
	if state, err := Apply(patch, raw); err == nil {
		return patch, state
	}
	// The type writes members that raw does not have. Set what differs at the
	// top, or everything if even that has no place.
	d := differ{b: []byte{'['}}
	a, ok1 := members(before)
	b, ok2 := members(after)
	if ok1 && ok2 {
		d.top(a, b)
		patch = append(d.b, ']')
		if state, err := Apply(patch, raw); err == nil {
			return patch, state
		}
	}
	d = differ{b: []byte{'['}}
	d.op("set", nil, after)
	return append(d.b, ']'), after
}

// top writes the change of two objects, each member whole.
func (d *differ) top(before, after []member) {
	old := make(map[string][]byte, len(before))
	for _, m := range before {
		old[m.key] = m.value
	}
	for _, m := range after {
		if was, had := old[m.key]; !had || !bytes.Equal(was, m.value) {
			d.op("set", pointer(nil, m.key), m.value)
		}
		delete(old, m.key)
	}
	for key := range old {
		d.op("remove", pointer(nil, key), nil)
	}
}

type differ struct{ b []byte }

func (d *differ) op(name string, pointer []byte, value []byte) {
	if len(d.b) > 1 {
		d.b = append(d.b, ',')
	}
	d.b = append(d.b, `["`...)
	d.b = append(d.b, name...)
	d.b = append(d.b, `",`...)
	d.b = append(d.b, quote(string(pointer))...)
	if value != nil {
		d.b = append(append(d.b, ','), value...)
	}
	d.b = append(d.b, ']')
}

func (d *differ) value(at, before, after []byte) {
	if bytes.Equal(before, after) {
		return
	}
	if a, ok := members(before); ok {
		if b, ok := members(after); ok {
			d.object(at, a, b)
			return
		}
	}
	if a, ok := items(before); ok {
		if b, ok := items(after); ok && d.list(at, a, b) {
			return
		}
	}
	d.op("set", at, after)
}

func (d *differ) object(at []byte, before, after []member) {
	old := make(map[string][]byte, len(before))
	for _, m := range before {
		old[m.key] = m.value
	}
	for _, m := range after {
		was, had := old[m.key]
		delete(old, m.key)
		switch {
		case !had:
			d.op("set", pointer(at, m.key), m.value)
		case !bytes.Equal(was, m.value):
			d.value(pointer(at, m.key), was, m.value)
		}
	}
	for _, m := range before {
		if _, gone := old[m.key]; gone {
			d.op("remove", pointer(at, m.key), nil)
			delete(old, m.key)
		}
	}
}

// list reports whether it wrote the change; if not, the list is set whole.
func (d *differ) list(at []byte, before, after [][]byte) bool {
	var changed []int
	for i := range min(len(before), len(after)) {
		if !bytes.Equal(before[i], after[i]) {
			changed = append(changed, i)
		}
	}
	if 2*len(changed) > len(before) {
		return false
	}
	for _, i := range changed {
		d.op("set", pointer(at, strconv.Itoa(i)), after[i])
	}
	switch {
	case len(after) > len(before):
		tail := append([]byte{'['}, bytes.Join(after[len(before):], []byte{','})...)
		d.op("append", at, append(tail, ']'))
	case len(after) < len(before):
		d.op("cut", at, strconv.AppendInt(nil, int64(len(after)), 10))
	}
	return true
}

func pointer(at []byte, key string) []byte {
	p := append(append(make([]byte, 0, len(at)+len(key)+1), at...), '/')
	if strings.ContainsAny(key, "~/") {
		key = strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
	}
	return append(p, key...)
}

// Apply applies a patch to a compact JSON text and returns the new text.
// Members that the patch does not name keep their bytes and their order.
func Apply(patch, text []byte) ([]byte, error) {
	if len(patch) == 0 {
		return text, nil
	}
	if !json.Valid(patch) {
		return nil, fmt.Errorf("%w: it is not JSON", ErrPatch)
	}
	ops, ok := items(patch)
	if !ok {
		return nil, fmt.Errorf("%w: it is not a list", ErrPatch)
	}
	for _, raw := range ops {
		op, ok := items(raw)
		if !ok || len(op) < 2 || op[0][0] != '"' || op[1][0] != '"' {
			return nil, fmt.Errorf("%w: bad operation", ErrPatch)
		}
		c := change{name: unquote(op[0])}
		if len(op) > 2 {
			c.value = op[2]
		}
		var keys []string
		if p := unquote(op[1]); p != "" {
			keys = strings.Split(p, "/")[1:]
		}
		var err error
		if text, err = c.apply(keys, text); err != nil {
			return nil, fmt.Errorf("%w: %s %s: %w", ErrPatch, c.name, unquote(op[1]), err)
		}
	}
	return text, nil
}

type change struct {
	name  string
	value []byte
}

var (
	errNoPlace = errors.New("there is no such place")
	errNoList  = errors.New("it is not a list")
	errNoValue = errors.New("the operation has a bad value")
)

func (c change) apply(keys []string, text []byte) ([]byte, error) {
	if len(keys) == 0 {
		return c.here(text)
	}
	key := strings.ReplaceAll(strings.ReplaceAll(keys[0], "~1", "/"), "~0", "~")
	if list, ok := members(text); ok {
		at := 1 // where member i begins: the text is compact
		for i, m := range list {
			if m.key != key {
				at += len(m.quote) + len(m.value) + 2
				continue
			}
			if len(keys) == 1 && c.name == "remove" {
				return joinMembers(append(list[:i:i], list[i+1:]...)), nil
			}
			v, err := c.apply(keys[1:], m.value)
			if err != nil {
				return nil, err
			}
			return splice(text, at+len(m.quote)+1, len(m.value), v), nil
		}
		if len(keys) == 1 && c.name == "remove" {
			return text, nil
		}
		if len(keys) == 1 && c.name == "set" && c.value != nil {
			return joinMembers(append(list, member{quote: quote(key), value: c.value})), nil
		}
		return nil, errNoPlace
	}
	if list, ok := items(text); ok {
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(list) {
			return nil, errNoPlace
		}
		v, err := c.apply(keys[1:], list[i])
		if err != nil {
			return nil, err
		}
		at := 1
		for _, before := range list[:i] {
			at += len(before) + 1
		}
		return splice(text, at, len(list[i]), v), nil
	}
	return nil, errNoPlace
}

// here applies the change to the value that the pointer names.
func (c change) here(text []byte) ([]byte, error) {
	if c.name == "set" {
		if c.value == nil {
			return nil, errNoValue
		}
		return c.value, nil
	}
	list, ok := items(text)
	if !ok {
		return nil, errNoList
	}
	switch c.name {
	case "append":
		more, ok := items(c.value)
		if !ok {
			return nil, errNoValue
		}
		return joinItems(append(list, more...)), nil
	case "cut":
		n, err := strconv.Atoi(string(c.value))
		if err != nil || n < 0 || n > len(list) {
			return nil, errNoValue
		}
		return joinItems(list[:n]), nil
	}
	return nil, errNoValue
}

// splice replaces the n bytes at i of text by v.
func splice(text []byte, i, n int, v []byte) []byte {
	out := make([]byte, 0, len(text)-n+len(v))
	out = append(out, text[:i]...)
	out = append(out, v...)
	return append(out, text[i+n:]...)
}

func joinMembers(list []member) []byte {
	b := []byte{'{'}
	for i, m := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, m.quote...), ':'), m.value...)
	}
	return append(b, '}')
}

func joinItems(list [][]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(list, []byte{','})...), ']')
}
