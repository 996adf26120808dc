// Package term writes for people: text from data without what could steer a terminal,
// tables that fit its width, colours if they are wanted, and JSON for programs. It knows
// nothing of workflows.
package term

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Line makes text from data fit for one line of a terminal: control characters and marks
// that turn the direction of writing are gone, line breaks and tabs are spaces.
func Line(s string) string {
	return clean(s, func(r rune) rune {
		switch r {
		case '\n', '\r', '\t', '\v', '\f', '\u2028', '\u2029', '\u0085':
			return ' '
		}
		return -1
	})
}

// Text is Line that keeps line breaks.
func Text(s string) string {
	return clean(strings.ReplaceAll(s, "\t", "    "), func(r rune) rune {
		if r == '\n' {
			return r
		}
		return -1
	})
}

// clean drops what a terminal could take for a command; control says what becomes of a
// control character, -1 for nothing.
func clean(s string, control func(rune) rune) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return control(r)
		case unicode.Is(unicode.Bidi_Control, r), r == utf8.RuneError, r == '\ufeff', unicode.Is(unicode.Co, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// Width is how many columns of a terminal a cleaned line takes.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens a cleaned line to n columns, with a mark.
func Cut(s string, n int) string {
	if Width(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	used := 0
	for i, r := range s {
		if used+runeWidth(r) > n-1 {
			return strings.TrimRight(s[:i], " ") + "…"
		}
		used += runeWidth(r)
	}
	return s
}

// Pad fills a line up to n columns.
func Pad(s string, n int) string {
	if w := Width(s); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}

// Wrap breaks a cleaned line between words, into lines of at most n columns if words allow.
func Wrap(s string, n int) []string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		w := Width(word)
		if line != "" && used+1+w > n {
			lines, line, used = append(lines, line), "", 0
		}
		if line != "" {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+w
	}
	return append(lines, line)
}
