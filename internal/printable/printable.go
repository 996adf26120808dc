// Package printable makes text safe for those who read it on a terminal.
package printable

import (
	"fmt"
	"unicode"
)

// JSON escapes what would be a command to a terminal, or change the order of what is read, in JSON: there it means the same.
func JSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for _, r := range string(b) {
		if r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, string(r)...)
		}
	}
	return out
}
