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
	if r, ok := distinct(nil, raw); ok {
		if b, ok := distinct(nil, before); ok {
			if a, ok := distinct(nil, after); ok {
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
	changed := make(map[string]string) // keys of what changed, by folded writing
	for _, m := range before {
		if v, has := now[m.key]; !has || !bytes.Equal(v, m.value) {
			changed[fold(m.key)] = m.key
		}
	}
	for _, m := range after {
		if _, had := was[m.key]; !had {
			changed[fold(m.key)] = m.key
		}
	}
	// The key by which the type knows a member, "" and false if it does not. Of
	// several writings of one key the last counts, as in decoding.
	known := func(key string) (string, bool) {
		if _, had := was[key]; had {
			return key, true
		}
		if _, has := now[key]; has {
			return key, true
		}
		k, ok := changed[fold(key)]
		return k, ok
	}
	last := make(map[string]int, len(raw))
	for i, m := range raw {
		if k, ok := known(m.key); ok {
			last[k] = i
		}
	}
	out := make([]member, 0, len(raw)+1)
	for i, m := range raw {
		if key, ok := known(m.key); ok {
			old, had := was[key]
			v, has := now[key]
			switch _, differs := changed[fold(key)]; {
			case differs && last[key] != i, !has:
				continue
			case had:
				m.value = merge(m.value, old, v)
			default:
				m.value = v
			}
		}
		out = append(out, m)
	}
	for _, m := range after {
		_, stored := last[m.key]
		if old, had := was[m.key]; !stored && !(had && bytes.Equal(old, m.value)) {
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
	size := 2
	for _, m := range list {
		size += len(m.quote) + len(m.value) + 2
	}
	b := append(make([]byte, 0, size), '{')
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
