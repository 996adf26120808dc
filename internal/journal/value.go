package journal

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// member is one field of a JSON object, as byte ranges of its text.
type member struct {
	key   string // decoded
	quote []byte // as written, with quotes
	value []byte
}

// members splits a compact JSON object, and appends what it finds to an empty list.
// ok is false if v is no object.
func members(list []member, v []byte) (_ []member, ok bool) {
	if len(v) < 2 || v[0] != '{' {
		return nil, false
	}
	for i := 1; v[i] != '}'; {
		if v[i] == ',' {
			i++
		}
		k := i + skip(v[i:])
		m := member{quote: v[i:k]}
		m.key = unquote(m.quote)
		i = k + 1 // the colon
		end := i + skip(v[i:])
		m.value = v[i:end:end]
		list = append(list, m)
		i = end
	}
	return list, true
}

// fewMembers is how many fields most objects have, at most. Callers have room for so
// many on their stack.
const fewMembers = 8

// distinct splits a compact JSON object whose keys are all different, like members. If a key
// comes twice, only the whole value says what it means.
func distinct(list []member, v []byte) (_ []member, ok bool) {
	list, ok = members(list, v)
	if !ok {
		return nil, false
	}
	if len(list) <= fewMembers {
		for i := range list {
			for j := range i {
				if list[i].key == list[j].key {
					return nil, false
				}
			}
		}
		return list, true
	}
	seen := make(map[string]struct{}, len(list))
	for i := range list {
		seen[list[i].key] = struct{}{}
	}
	return list, len(seen) == len(list)
}

// lookup finds members whose keys are all different.
type lookup struct {
	list []member
	at   map[string]int // if they are many
}

func keyed(list []member) lookup {
	l := lookup{list: list}
	if len(list) > fewMembers {
		l.at = make(map[string]int, len(list))
		for i := range list {
			l.at[list[i].key] = i
		}
	}
	return l
}

// find is the place of a key in the list, -1 if it is not there.
func (l *lookup) find(key string) int {
	if l.at != nil {
		if i, ok := l.at[key]; ok {
			return i
		}
		return -1
	}
	for i := range l.list {
		if l.list[i].key == key {
			return i
		}
	}
	return -1
}

// get is the value of a key, nil if there is none.
func (l *lookup) get(key string) []byte {
	if i := l.find(key); i >= 0 {
		return l.list[i].value
	}
	return nil
}

// items splits a compact JSON array. ok is false if v is no array.
func items(v []byte) (list [][]byte, ok bool) {
	if len(v) < 2 || v[0] != '[' {
		return nil, false
	}
	for i := 1; v[i] != ']'; {
		if v[i] == ',' {
			i++
		}
		end := i + skip(v[i:])
		list = append(list, v[i:end:end])
		i = end
	}
	return list, true
}

// skip is the length of the JSON value at the start of v, which is valid and
// compact.
func skip(v []byte) int {
	switch v[0] {
	case '"':
		i := 1
		for {
			j := i + bytes.IndexByte(v[i:], '"')
			back := 0
			for v[j-1-back] == '\\' {
				back++
			}
			if back%2 == 0 {
				return j + 1
			}
			i = j + 1
		}
	case '{', '[':
		depth := 0
		for i := 0; ; {
			switch v[i] {
			case '"':
				i += skip(v[i:])
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
	default:
		for i, c := range v {
			if c == ',' || c == '}' || c == ']' {
				return i
			}
		}
		return len(v)
	}
}

func unquote(q []byte) string {
	if bytes.IndexByte(q, '\\') < 0 && utf8.Valid(q) {
		return string(q[1 : len(q)-1])
	}
	var s string
	if err := json.Unmarshal(q, &s); err != nil {
		panic("journal: a key of valid JSON does not decode: " + err.Error())
	}
	return s
}

func quote(s string) []byte {
	if plain(s) {
		b := make([]byte, 0, len(s)+2)
		return append(append(append(b, '"'), s...), '"')
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("journal: a string does not encode: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// plain tells whether a string stands in JSON as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
