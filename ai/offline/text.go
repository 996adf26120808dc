package offline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// document is a text made ready for reading.
type document struct {
	text  string // valid UTF-8, at most maxText bytes
	lines []string
	cut   bool // there was more
}

// read decodes a text. It is false for what no person could read: empty, or binary.
func read(s string) (document, bool) {
	d := document{cut: len(s) > maxText}
	s = s[:min(len(s), maxText)]
	s = strings.TrimPrefix(s, "\ufeff")
	if !utf8.ValidString(s) {
		s = latin(s, d.cut)
	}
	if strings.TrimSpace(s) == "" || binary(s) {
		return d, false
	}
	d.text = s
	for l := range strings.Lines(s) {
		if len(d.lines) == maxLines {
			d.cut = true
			break
		}
		d.lines = append(d.lines, plain(l))
	}
	return d, true
}

// latin reads s as Windows-1252 would be read, but for its typographic signs, unless only
// the cut broke its last character.
func latin(s string, cut bool) string {
	if cut {
		for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
			if utf8.ValidString(s[:len(s)-n]) {
				return s[:len(s)-n]
			}
		}
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/8)
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0x80:
			b.WriteRune('€')
		case c > 0x80 && c < 0xa0:
			b.WriteByte('\'')
		default:
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}

// binary is true if more than one character in fifty is a control character.
func binary(s string) bool {
	control := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' || c == 0x7f {
			control++
		}
	}
	return control*50 > len(s)
}

// plain makes a line's columns be separated by blanks: tabs and table borders go, and so
// do blanks of other widths, but one between digits stays part of the number.
func plain(l string) string {
	l = strings.TrimRight(l[:min(len(l), maxLine)], "\r\n \t\f")
	l = strings.ToValidUTF8(l, "")
	simple := true
	for i := 0; i < len(l) && simple; i++ {
		simple = l[i] >= ' ' && l[i] < utf8.RuneSelf && l[i] != '|'
	}
	if simple {
		return l
	}
	rs := []rune(l)
	var b strings.Builder
	for i, r := range rs {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r == '|' || r >= 0x2500 && r < 0x2580:
			b.WriteString("  ")
		case r == '\u00a0' || r == '\u202f' || r == '\u2009':
			if i > 0 && i+1 < len(rs) && unicode.IsDigit(rs[i-1]) && unicode.IsDigit(rs[i+1]) {
				b.WriteRune('\u00a0')
			} else {
				b.WriteByte(' ')
			}
		case unicode.IsControl(r):
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// word is a run of letters and digits in lower case, or the sign # or §.
type word struct {
	text  string
	start int  // byte offset in the line
	end   int  // byte offset after it
	first bool // begins the line or, after two blanks, a column
}

// words splits a line. Letters that stand apart from each other, I N V O I C E, are one word.
func words(l string) []word {
	out := make([]word, 0, len(l)/5+1)
	low := strings.ToLower(l)
	if len(low) != len(l) {
		low = l // a rare letter changed its length: offsets matter more
	}
	gap := 2
	for i := 0; i < len(low); {
		r, n := utf8.DecodeRuneInString(low[i:])
		if !letter(r) && r != '#' && r != '§' {
			if r == ' ' {
				gap++
			} else if unicode.IsLetter(r) || r > utf8.RuneSelf {
				gap = 0
			}
			i += n
			continue
		}
		j := i + n
		for letter(r) && j < len(low) {
			next, n := utf8.DecodeRuneInString(low[j:])
			if !letter(next) {
				break
			}
			j += n
		}
		out = append(out, word{low[i:j], i, j, gap >= 2})
		gap, i = 0, j
	}
	return spaced(out)
}

func letter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// spaced joins a line that is made of five or more single letters.
func spaced(ws []word) []word {
	if len(ws) < 5 || len(ws) > 40 {
		return ws
	}
	var b strings.Builder
	for _, w := range ws {
		if utf8.RuneCountInString(w.text) != 1 {
			return ws
		}
		b.WriteString(w.text)
	}
	return []word{{b.String(), ws[0].start, ws[len(ws)-1].end, true}}
}

// cell is a part of a line between gaps of two or more blanks.
type cell struct {
	text string
	col  int // the byte at which it begins
}

func cells(l string) []cell {
	var out []cell
	for i := 0; i < len(l); {
		if l[i] == ' ' {
			i++
			continue
		}
		j := i
		for j < len(l) && (l[j] != ' ' || j+1 < len(l) && l[j+1] != ' ') {
			j++
		}
		out = append(out, cell{l[i:j], i})
		i = j
	}
	return out
}

// short cuts a field to its limit, at a character's border.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxField {
		return s
	}
	return strings.ToValidUTF8(s[:maxField], "")
}
