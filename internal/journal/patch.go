package journal

import (
	"bytes"
	"errors"
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
	patch, _ := diff(before, after)
	return patch
}

// diff also tells whether applying the patch gives after to the byte, which it
// does unless members stand in another order or are written in another way.
func diff(before, after []byte) (patch []byte, exact bool) {
	if bytes.Equal(before, after) {
		return nil, true
	}
	d := differ{b: append(make([]byte, 0, 128), '[')}
	d.value(nil, before, after)
	if len(d.b) == 1 {
		return nil, false // only the order of members differs
	}
	d.b = append(d.b, ']')
	if len(d.b) > len(after)+16 {
		whole := differ{b: []byte{'['}}
		whole.op("set", nil, after)
		return append(whole.b, ']'), true
	}
	return d.b, !d.moved
}

// Change returns the patch by which a body changed the state, and the new
// state. raw is the state as stored, before what the body's type makes of it
// (decoded and encoded again), after what the body left. What differs between
// before and after is changed in raw, so members that the type does not know
// survive.
func Change(raw, before, after []byte) (patch, state []byte) {
	if bytes.Equal(before, after) {
		return nil, raw
	}
	if !bytes.Equal(raw, before) {
		after = merge(raw, before, after)
	}
	patch, exact := diff(raw, after)
	if exact {
		return patch, after
	}
	state, err := Apply(patch, raw)
	if err != nil {
		panic("journal: a patch does not fit what it was made from: " + err.Error())
	}
	return patch, state
}

type differ struct {
	b     []byte
	moved bool // members stand in another order, or their keys are written in another way, than a patch leaves them
}

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
	var few [2][fewMembers]member
	if a, ok := distinct(few[0][:0], before); ok {
		if b, ok := distinct(few[1][:0], after); ok {
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
	was := keyed(before)
	var few [fewMembers]bool
	kept := append(few[:0], make([]bool, len(before))...)
	last, added := -1, false
	for _, m := range after {
		i := was.find(m.key)
		if i < 0 {
			added = true
			d.moved = d.moved || !bytes.Equal(m.quote, quote(m.key))
			d.op("set", pointer(at, m.key), m.value)
			continue
		}
		kept[i] = true
		d.moved = d.moved || added || i < last || !bytes.Equal(m.quote, before[i].quote)
		last = i
		if !bytes.Equal(before[i].value, m.value) {
			d.value(pointer(at, m.key), before[i].value, m.value)
		}
	}
	for i, m := range before {
		if !kept[i] {
			d.op("remove", pointer(at, m.key), nil)
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
