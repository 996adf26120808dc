package schema

import (
	"math"
	"strconv"
	"strings"
)

// maxExponent is beyond what any Go number holds.
const maxExponent = 400

// plain writes whole numbers without fraction and exponent, as Go's decoder wants
// them for integers, and refuses exponents that no number has: they would cost a
// lot to compare.
func plain(value []byte) ([]byte, error) {
	var out []byte
	last := 0
	for i := 0; i < len(value); {
		switch c := value[i]; {
		case c == '"':
			i += quoted(value[i:])
		case c == '-' || c >= '0' && c <= '9':
			n := numberLength(value[i:])
			text, err := whole(string(value[i : i+n]))
			if err != nil {
				return nil, err
			}
			if text != "" {
				out = append(append(out, value[last:i]...), text...)
				last = i + n
			}
			i += n
		default:
			i++
		}
	}
	if out == nil {
		return value, nil
	}
	return append(out, value[last:]...), nil
}

// quoted is the length of the string at the beginning of b.
func quoted(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func numberLength(b []byte) int {
	n := 1
	for n < len(b) && strings.IndexByte("0123456789+-.eE", b[n]) >= 0 {
		n++
	}
	return n
}

// whole is how a number is better written, "" if it is well as it is.
func whole(text string) (string, error) {
	if !strings.ContainsAny(text, ".eE") {
		return "", nil
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if n, err := strconv.Atoi(text[i+1:]); err != nil || n > maxExponent || n < -maxExponent {
			return "", &Error{[]Mistake{{Text: "a number has an exponent that no number has: " + text[:min(len(text), 40)]}}}
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return "", nil
	}
	return strconv.FormatFloat(f, 'f', -1, 64), nil
}
