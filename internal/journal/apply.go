package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Apply applies a patch to a compact JSON text and returns the new text.
// Members that the patch does not name keep their bytes and their order. The
// cost grows with the length of both, not with their product.
func Apply(patch, text []byte) ([]byte, error) {
	if len(patch) == 0 {
		return text, nil
	}
	if !json.Valid(patch) || !compact(patch) {
		return nil, fmt.Errorf("%w: it is not compact JSON", ErrPatch)
	}
	if !isList(patch) {
		return nil, fmt.Errorf("%w: it is not a list", ErrPatch)
	}
	d := draft{text: text}
	for raw := range elements(patch) {
		c, at, err := operation(raw)
		if err != nil {
			return nil, err
		}
		if len(raw) == len(patch)-2 { // it is the only one
			if out, ok := splice(c, at, text); ok {
				return out, nil
			}
		}
		if err := d.apply(c, at); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPatch, err)
		}
	}
	return d.write(make([]byte, 0, len(text)+len(patch))), nil
}

// operation reads an operation of a patch.
func operation(raw []byte) (c change, at string, err error) {
	var op [3][]byte
	n := 0
	if isList(raw) {
		for part := range elements(raw) {
			if n < len(op) {
				op[n] = part
			}
			n++
		}
	}
	if n < 2 || op[0][0] != '"' || op[1][0] != '"' {
		return c, "", fmt.Errorf("%w: bad operation", ErrPatch)
	}
	if at = unquote(op[1]); at != "" && at[0] != '/' {
		return c, "", fmt.Errorf("%w: bad pointer", ErrPatch)
	}
	c.value = op[2]
	switch name := op[0]; string(name) {
	case `"set"`:
		c.name = "set"
	case `"append"`:
		c.name = "append"
	default:
		c.name = unquote(name)
	}
	return c, at, nil
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

// draft is a value while a patch is applied to it. It is split into its parts
// when an operation first reaches into it.
type draft struct {
	text  []byte // the value, while it is not split
	split bool
	list  bool
	parts []part
	index map[string]int // of a split object with many members
}

// part is one member or item.
type part struct {
	member        // items have only a value
	inner  *draft // not nil: this instead of the value
	gone   bool
}

// apply applies a change to what pointer names in d.
func (d *draft) apply(c change, pointer string) error {
	if pointer == "" {
		return d.here(c)
	}
	key, rest := step(pointer)
	if !d.open() {
		return errNoPlace
	}
	i := d.find(key)
	switch {
	case rest != "" || d.list:
	case c.name == "remove" && i < 0:
		return nil
	case c.name == "remove":
		d.parts[i].gone = true
		delete(d.index, key)
		return nil
	case c.name == "set" && i < 0 && c.value != nil:
		if d.index != nil {
			d.index[key] = len(d.parts)
		}
		d.parts = append(d.parts, part{member: member{key: key, quote: quote(key), value: c.value}})
		return nil
	}
	if i < 0 {
		return errNoPlace
	}
	p := &d.parts[i]
	if p.inner == nil {
		p.inner = &draft{text: p.value}
	}
	return p.inner.apply(c, rest)
}

// open splits d; false means that it has no parts.
func (d *draft) open() bool {
	if d.split {
		return true
	}
	var few [fewMembers]member
	if list, ok := members(few[:0], d.text); ok {
		d.parts = make([]part, len(list), len(list)+1)
		for i, m := range list {
			d.parts[i].member = m
		}
		if len(list) > fewMembers {
			d.index = make(map[string]int, len(list))
			for i, m := range list {
				d.index[m.key] = i
			}
		}
	} else if list, ok := items(d.text); ok {
		d.list = true
		d.parts = make([]part, len(list))
		for i, v := range list {
			d.parts[i].value = v
		}
	} else {
		return false
	}
	d.split = true
	return true
}

// find is the number of a part, -1 if there is none.
func (d *draft) find(key string) int {
	if d.list {
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(d.parts) {
			return i
		}
	} else if d.index != nil {
		if i, ok := d.index[key]; ok {
			return i
		}
	} else {
		for i := len(d.parts) - 1; i >= 0; i-- {
			if d.parts[i].key == key && !d.parts[i].gone {
				return i
			}
		}
	}
	return -1
}

// here applies a change to d itself.
func (d *draft) here(c change) error {
	if c.value == nil {
		return errNoValue
	}
	switch c.name {
	case "set":
		*d = draft{text: c.value}
		return nil
	case "append":
		more, ok := items(c.value)
		switch {
		case !ok:
			return errNoValue
		case !d.split && isList(d.text):
			d.text = extend(d.text, c.value)
			return nil
		case !d.split || !d.list:
			return errNoList
		}
		for _, v := range more {
			d.parts = append(d.parts, part{member: member{value: v}})
		}
		return nil
	case "cut":
		n, err := strconv.Atoi(string(c.value))
		switch {
		case err != nil:
			return errNoValue
		case !d.open() || !d.list:
			return errNoList
		case n < 0 || n > len(d.parts):
			return errNoValue
		}
		d.parts = d.parts[:n]
		return nil
	}
	return errNoValue
}

func isList(text []byte) bool { return len(text) >= 2 && text[0] == '[' }

// extend is a list with the items of another at its end.
func extend(list, more []byte) []byte {
	switch {
	case len(more) == 2:
		return list
	case len(list) == 2:
		return more
	}
	out := make([]byte, 0, len(list)+len(more))
	out = append(append(out, list[:len(list)-1]...), ',')
	return append(out, more[1:]...)
}

func (d *draft) write(b []byte) []byte {
	if !d.split {
		return append(b, d.text...)
	}
	ends := [2]byte{'{', '}'}
	if d.list {
		ends = [2]byte{'[', ']'}
	}
	b = append(b, ends[0])
	first := true
	for i := range d.parts {
		p := &d.parts[i]
		if p.gone {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		if !d.list {
			b = append(append(b, p.quote...), ':')
		}
		if p.inner != nil {
			b = p.inner.write(b)
		} else {
			b = append(b, p.value...)
		}
	}
	return append(b, ends[1])
}

// compact tells whether valid JSON has no space between its tokens.
func compact(v []byte) bool {
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case ' ', '\t', '\n', '\r':
			return false
		case '"':
			i += skip(v[i:]) - 1
		}
	}
	return true
}

// Compact checks that v is JSON and takes out the space between its tokens.
func Compact(v []byte) ([]byte, error) {
	if json.Valid(v) && compact(v) {
		return v, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
