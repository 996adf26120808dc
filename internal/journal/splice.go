package journal

import (
	"bytes"
	"iter"
	"strings"
	"unicode/utf8"
)

// Most patches are one operation on a member of an object. That is done in the text
// itself, which is not taken apart for it.

// splice applies an operation to compact JSON. ok is false if it takes the long way to
// do, or to say what is wrong with it.
func splice(c change, at string, text []byte) (out []byte, ok bool) {
	from, to := 0, len(text)
	for at != "" {
		key, rest := step(at)
		i, j, clear := locate(text[from:to], key)
		switch {
		case !clear || j < 0 && (rest != "" || c.name != "set" || c.value == nil):
			return nil, false
		case j < 0:
			return insert(text, from, to, key, c.value), true
		}
		from, to, at = from+i, from+j, rest
	}
	value := c.value
	switch {
	case c.name == "set" && value != nil:
	case c.name == "append" && isList(value) && isList(text[from:to]):
		value = extend(text[from:to], value)
	default:
		return nil, false
	}
	out = make([]byte, 0, len(text)-(to-from)+len(value))
	return append(append(append(out, text[:from]...), value...), text[to:]...), true
}

// step splits the first key off a pointer.
func step(pointer string) (key, rest string) {
	key = pointer[1:]
	if i := strings.IndexByte(key, '/'); i >= 0 {
		key, rest = key[:i], key[i:]
	}
	return strings.ReplaceAll(strings.ReplaceAll(key, "~1", "/"), "~0", "~"), rest
}

// locate finds the value of a member of an object, the last of that key: v[i:j], with j
// -1 if there is none. Not clear: v is no object, or has a key that must be decoded.
func locate(v []byte, key string) (i, j int, clear bool) {
	if len(v) < 2 || v[0] != '{' {
		return 0, 0, false
	}
	j = -1
	for at := 1; v[at] != '}'; {
		if v[at] == ',' {
			at++
		}
		k := at + skip(v[at:])
		q := v[at+1 : k-1]
		end := k + 1 + skip(v[k+1:])
		if string(q) == key {
			i, j = k+1, end
		}
		if bytes.IndexByte(q, '\\') >= 0 || !utf8.Valid(q) {
			return 0, 0, false
		}
		at = end
	}
	return i, j, true
}

// insert adds a member to the object text[from:to].
func insert(text []byte, from, to int, key string, value []byte) []byte {
	quoted := quote(key)
	out := append(make([]byte, 0, len(text)+len(quoted)+len(value)+2), text[:to-1]...)
	if to-from > 2 {
		out = append(out, ',')
	}
	return append(append(append(append(out, quoted...), ':'), value...), text[to-1:]...)
}

// elements are the items of a compact JSON array.
func elements(v []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := 1; v[i] != ']'; {
			if v[i] == ',' {
				i++
			}
			end := i + skip(v[i:])
			if !yield(v[i:end:end]) {
				return
			}
			i = end
		}
	}
}
