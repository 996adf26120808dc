package journal

import (
	"bytes"
	"strings"
	"unicode"
)

// merge carries the change from before to after over to raw. before is what a
// type makes of raw: the same, but for members that the type does not know,
// members that it adds, and members whose names differ from its own in case
// only, which encoding/json reads into the same field.
func merge(raw, before, after []byte) []byte {
	if bytes.Equal(before, after) {
		return raw
	}
	if r, ok := distinct(raw); ok {
		if b, ok := distinct(before); ok {
			if a, ok := distinct(after); ok {
				return mergeObjects(r, b, a)
			}
		}
	}
	if r, ok := items(raw); ok {
		if b, ok := items(before); ok && len(b) == len(r) {
			if a, ok := items(after); ok {
				return mergeItems(r, b, a)
			}
		}
	}
	return after
}

// mergeItems keeps the items that did not change as they are stored. One that
// changed is written whole: it may be another one that has moved here.
func mergeItems(raw, before, after [][]byte) []byte {
	list := make([][]byte, len(after))
	for i, v := range after {
		if i < len(before) && bytes.Equal(before[i], v) {
			v = raw[i]
		}
		list[i] = v
	}
	return joinItems(list)
}

func mergeObjects(raw, before, after []member) []byte {
	was, now := byKey(before), byKey(after)
	changed := make(map[string]bool) // in folded writing
	for _, m := range before {
		if v, has := now[m.key]; !has || !bytes.Equal(v, m.value) {
			changed[fold(m.key)] = true
		}
	}
	for _, m := range after {
		if _, had := was[m.key]; !had {
			changed[fold(m.key)] = true
		}
	}
	out := make([]member, 0, len(raw)+1)
	written := make(map[string]bool, len(raw))
	for _, m := range raw {
		old, had := was[m.key]
		v, has := now[m.key]
		switch {
		case had && has:
			m.value = merge(m.value, old, v)
		case has:
			m.value = v
		case had || changed[fold(m.key)]:
			continue // removed, or another writing of what has changed
		}
		written[m.key] = true
		out = append(out, m)
	}
	for _, m := range after {
		if old, had := was[m.key]; !written[m.key] && !(had && bytes.Equal(old, m.value)) {
			out = append(out, m)
		}
	}
	return joinMembers(out)
}

func byKey(list []member) map[string][]byte {
	m := make(map[string][]byte, len(list))
	for _, x := range list {
		m[x.key] = x.value
	}
	return m
}

// fold is equal for names that encoding/json takes for the same field.
func fold(key string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for x := unicode.SimpleFold(r); x != r; x = unicode.SimpleFold(x) {
			least = min(least, x)
		}
		return least
	}, key)
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
