package offline

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// isoDate is a day, written 2006-01-02; empty if unknown.
type isoDate string

// parseDate reads a date that is all of s. It knows 2025-03-14, 14.03.2025, 14/3/25,
// 14 March 2025, March 14th, 2025 and their like in English, German and French.
// 03/04/2025 is 3 April unless monthFirst.
func parseDate(s string, monthFirst bool) (isoDate, bool) {
	s = strings.TrimSpace(s)
	d, at, ok := findDate(s, monthFirst)
	return d, ok && at.start == 0 && at.end == len(s)
}

// span is a place in a text, in bytes.
type span struct{ start, end int }

// piece is a run of digits or of letters, or one other character; blanks are left out.
type piece struct {
	text string
	span
}

// findDate finds the first date in s, reading no more than maxLine bytes.
func findDate(s string, monthFirst bool) (isoDate, span, bool) {
	ps := pieces(s[:min(len(s), maxLine)])
	for i := range ps {
		if i > 0 && ps[i-1].end == ps[i].start && digits(ps[i-1].text) {
			continue
		}
		for _, try := range [...]func([]piece, bool) (isoDate, int){numericDate, dayFirstDate, monthFirstDate} {
			if d, n := try(ps[i:], monthFirst); n > 0 {
				return d, span{ps[i].start, ps[i+n-1].end}, true
			}
		}
	}
	return "", span{}, false
}

// numericDate reads 2025-03-14, 14.03.2025, 14/3/25 without blanks inside.
func numericDate(ps []piece, monthFirst bool) (isoDate, int) {
	if len(ps) < 5 || !digits(ps[0].text) || !digits(ps[2].text) || !digits(ps[4].text) {
		return "", 0
	}
	sep := ps[1].text
	if sep != ps[3].text || !strings.Contains("-./", sep) || ps[4].end-ps[0].start != len(ps[0].text)+len(ps[2].text)+len(ps[4].text)+2 {
		return "", 0
	}
	if len(ps) > 5 && ps[5].start == ps[4].end && len(ps) > 6 && strings.Contains("-./", ps[5].text) && ps[6].start == ps[5].end && digits(ps[6].text) {
		return "", 0 // 1.2.34.5 is a version or an address
	}
	a, b, c := small(ps[0].text), small(ps[2].text), small(ps[4].text)
	if len(ps[0].text) == 4 {
		return day(a, b, c, 5)
	}
	if len(ps[0].text) > 2 || len(ps[2].text) > 2 || len(ps[4].text) != 2 && len(ps[4].text) != 4 {
		return "", 0
	}
	if len(ps[4].text) == 2 {
		c += 2000
	}
	if sep == "/" && (b > 12 || monthFirst && a <= 12) {
		a, b = b, a
	}
	return day(c, b, a, 5)
}

// dayFirstDate reads 14 March 2025, 1st day of March 2025, 14. März 2025, 14-Mar-2025.
func dayFirstDate(ps []piece, _ bool) (isoDate, int) {
	if !digits(ps[0].text) || len(ps[0].text) > 2 {
		return "", 0
	}
	i := 1
	for i < len(ps) && i < 5 && filler(ps[i].text) {
		i++
	}
	if i >= len(ps) || month(ps[i].text) == 0 {
		return "", 0
	}
	m := month(ps[i].text)
	for i++; i < len(ps) && strings.Contains(".,-", ps[i].text); i++ {
	}
	if i >= len(ps) || len(ps[i].text) != 4 || !digits(ps[i].text) {
		return "", 0
	}
	return day(small(ps[i].text), m, small(ps[0].text), i+1)
}

// monthFirstDate reads March 14, 2025 and Mar. 14th 2025.
func monthFirstDate(ps []piece, _ bool) (isoDate, int) {
	m := month(ps[0].text)
	i := 1
	if i < len(ps) && ps[i].text == "." {
		i++
	}
	if m == 0 || i >= len(ps) || !digits(ps[i].text) || len(ps[i].text) > 2 {
		return "", 0
	}
	d := small(ps[i].text)
	for i++; i < len(ps) && filler(ps[i].text); i++ {
	}
	if i >= len(ps) || len(ps[i].text) != 4 || !digits(ps[i].text) {
		return "", 0
	}
	return day(small(ps[i].text), m, d, i+1)
}

// filler is what may stand between a day and a month.
func filler(s string) bool {
	switch strings.ToLower(s) {
	case "st", "nd", "rd", "th", "er", "day", "of", ".", ",", "-":
		return true
	}
	return false
}

// day is a date that exists, between 1900 and 2199, and n; else 0.
func day(y, m, d, n int) (isoDate, int) {
	if y < 1900 || y > 2199 || m < 1 || m > 12 || d < 1 {
		return "", 0
	}
	if time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Day() != d {
		return "", 0
	}
	return isoDate(fmt.Sprintf("%04d-%02d-%02d", y, m, d)), n
}

// small reads up to four digits; more is a number that no date has.
func small(s string) int {
	n := 0
	for i := range len(s) {
		if i == 4 {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// month is 1 to 12 for the name or the usual short form of a month, else 0.
func month(s string) int {
	switch strings.ToLower(s) {
	case "january", "jan", "januar", "jänner", "janvier":
		return 1
	case "february", "feb", "februar", "février", "fevrier":
		return 2
	case "march", "mar", "märz", "maerz", "mrz", "mars":
		return 3
	case "april", "apr", "avril":
		return 4
	case "may", "mai":
		return 5
	case "june", "jun", "juni", "juin":
		return 6
	case "july", "jul", "juli", "juillet":
		return 7
	case "august", "aug", "août", "aout":
		return 8
	case "september", "sep", "sept", "septembre":
		return 9
	case "october", "oct", "oktober", "okt", "octobre":
		return 10
	case "november", "nov", "novembre":
		return 11
	case "december", "dec", "dezember", "dez", "décembre":
		return 12
	}
	return 0
}

func pieces(s string) []piece {
	var out []piece
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.IsSpace(r) {
			i += n
			continue
		}
		j := i + n
		if class := classOf(r); class != 0 {
			for j < len(s) {
				r, n := utf8.DecodeRuneInString(s[j:])
				if classOf(r) != class {
					break
				}
				j += n
			}
		}
		out = append(out, piece{s[i:j], span{i, j}})
		i = j
	}
	return out
}

func classOf(r rune) int {
	switch {
	case r >= '0' && r <= '9':
		return 1
	case unicode.IsLetter(r):
		return 2
	}
	return 0
}
