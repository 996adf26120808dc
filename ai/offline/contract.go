package offline

import (
	"strings"
)

// readContract reads a contract. It looks for the phrases with which contracts say who,
// from when, how long and under which law; a contract that says it otherwise comes back
// with gaps.
func (r *rules) readContract(d document) contract {
	p := flatten(d)
	return contract{
		Title:        title(d.lines),
		Parties:      parties(d.lines, p),
		Effective:    effective(p, monthFirst(d.lines, currency(d))),
		Term:         term(p),
		GoverningLaw: law(p),
	}
}

// prose is a text without its line breaks; '\n' is left where a paragraph ends. Both
// strings have the same length, so a place in one is a place in the other.
type prose struct{ text, lower string }

func flatten(d document) prose {
	var b strings.Builder
	b.Grow(len(d.text))
	for _, l := range d.lines {
		switch l = strings.Join(strings.Fields(l), " "); {
		case l == "":
			b.WriteByte('\n')
		default:
			b.WriteString(l)
			b.WriteByte(' ')
		}
	}
	s := b.String()
	return prose{s, asciiLower(s)}
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// after yields up to n bytes that follow each occurrence of a phrase, at most 50 of them.
func (p prose) after(phrase string, n int, yield func(at int, rest string) bool) {
	for at, times := 0, 0; times < 50; times++ {
		i := strings.Index(p.lower[at:], phrase)
		if i < 0 {
			return
		}
		begin := at + i
		at = begin + len(phrase)
		if begin > 0 && classOf(rune(p.lower[begin-1])) == 2 {
			continue // the end of a longer word
		}
		if !yield(begin, p.text[at:min(len(p.text), at+n)]) {
			return
		}
	}
}

// title is the first line near the top that names a kind of contract, with the line that
// goes on with "for".
func title(lines []string) string {
	first, seen := "", 0
	for i, l := range lines {
		t := strings.TrimSpace(l)
		if t == "" {
			continue
		}
		if seen++; seen > headLines {
			break
		}
		if first == "" {
			first = t
		}
		if ws := words(t); len(ws) > 10 || strings.HasSuffix(t, ".") || !names(ws) {
			continue
		}
		if i+1 < len(lines) && strings.HasPrefix(strings.ToLower(strings.TrimSpace(lines[i+1])), "for ") {
			t += " " + strings.TrimSpace(lines[i+1])
		}
		return short(t)
	}
	return short(first)
}

// names is true if one of the words is a kind of contract.
func names(ws []word) bool {
	for _, w := range ws {
		switch w.text {
		case "agreement", "contract", "lease", "licence", "license", "amendment", "contrat", "bail":
			return true
		}
		if strings.HasSuffix(w.text, "vertrag") {
			return true
		}
	}
	return false
}

// effective is the date behind the first of these phrases that has one, or before "(the
// "Effective Date")", or the first date of all.
func effective(p prose, american bool) isoDate {
	phrases := [...]string{
		"takes effect on", "effective as of", "with effect from", "tritt am", "commences on", "begins on",
		"commencing on", "effective date", "entered into as of", "made on", "dated", "date:",
	}
	var found isoDate
	for _, ph := range phrases {
		p.after(ph, 60, func(at int, rest string) bool {
			found, _, _ = findDate(rest, american)
			return found == ""
		})
		if found != "" {
			return found
		}
	}
	for rest := p.text[:min(len(p.text), maxPrelude)]; rest != "" && found == ""; {
		found, _, _ = findDate(rest, american)
		rest = rest[min(len(rest), maxLine):]
	}
	return found
}

// term is how long: "24 months", "3 years", "indefinite", "perpetual".
func term(p prose) string {
	found := ""
	for _, ph := range [...]string{"initial term of", "fixed term of", "for a term of", "for a period of", "dauer von", "pour une durée de"} {
		p.after(ph, 80, func(_ int, rest string) bool {
			found = duration(rest)
			return found == ""
		})
		if found != "" {
			return found
		}
	}
	for _, ph := range [...]string{"indefinite period", "unbestimmte zeit", "durée indéterminée"} {
		if strings.Contains(p.lower, ph) {
			return "indefinite"
		}
	}
	if strings.Contains(p.lower, "licence is perpetual") || strings.Contains(p.lower, "license is perpetual") {
		return "perpetual"
	}
	return ""
}

// duration reads "twenty-four (24) months" at the beginning of s. Digits win over words.
func duration(s string) string {
	n := ""
	for i, p := range pieces(s) {
		w := strings.ToLower(p.text)
		switch {
		case i > 8:
			return ""
		case digits(w) && len(w) <= 3:
			n = w
		case w == "month" || w == "months" || w == "monat" || w == "monate" || w == "monaten" || w == "mois":
			return counted(n, "month")
		case w == "year" || w == "years" || w == "jahr" || w == "jahre" || w == "jahren" || w == "an" || w == "ans":
			return counted(n, "year")
		case n == "" && spelled(w) != "":
			n = spelled(w)
		case spelled(w) == "" && !strings.Contains("-()", w) && w != "calendar":
			return ""
		}
	}
	return ""
}

func counted(n, unit string) string {
	switch n {
	case "":
		return ""
	case "1":
		return "1 " + unit
	}
	return n + " " + unit + "s"
}

// spelled is the number that a word means, as far as contracts need it.
func spelled(w string) string {
	switch w {
	case "one", "a", "einem":
		return "1"
	case "two", "zwei", "deux":
		return "2"
	case "three", "drei", "trois":
		return "3"
	case "four", "vier":
		return "4"
	case "five", "fünf", "cinq":
		return "5"
	case "six", "sechs":
		return "6"
	case "ten", "zehn", "dix":
		return "10"
	case "twelve", "zwölf", "douze":
		return "12"
	case "eighteen":
		return "18"
	case "twenty":
		return "20"
	}
	return ""
}

// law is whose law governs: "England and Wales".
func law(p prose) string {
	found := ""
	p.after("governed by", 160, func(_ int, rest string) bool {
		low := asciiLower(rest)
		for _, of := range [...]string{"laws of ", "law of "} {
			if i := strings.Index(low, of); i >= 0 {
				found = place(rest[i+len(of):])
				return found == ""
			}
		}
		return true
	})
	if found == "" {
		p.after("recht der ", 80, func(_ int, rest string) bool {
			found = place(rest)
			return found == ""
		})
	}
	return found
}

// place is the name at the beginning of s, up to the end of its clause.
func place(s string) string {
	if i := strings.IndexAny(s, ".,;\n"); i >= 0 {
		s = s[:i]
	}
	for _, end := range [...]string{" without ", " and any ", " and the ", " and shall "} {
		s, _, _ = strings.Cut(s, end)
	}
	return short(strings.TrimPrefix(s, "the "))
}
