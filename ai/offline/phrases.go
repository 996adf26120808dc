package offline

import (
	_ "embed"
	"strconv"
	"strings"
	"unicode/utf8"
)

//go:embed evidence.txt
var evidenceTable string

//go:embed labels.txt
var labelTable string

// phrase is one line of evidence.txt or labels.txt.
type phrase struct {
	id     int
	words  []string
	text   string
	kind   kind    // evidence
	weight float64 // evidence
	place  string  // evidence: title, head, start, any
	role   string  // labels
	colon  bool    // labels: the text must have it too
}

// index finds phrases by their first word, so a text is walked once whatever the number
// of phrases.
type index map[string][]phrase

func (x index) add(p phrase) {
	for _, w := range words(p.text) {
		p.words = append(p.words, w.text)
	}
	if len(p.words) == 0 {
		panic("offline: a phrase without words: " + p.text)
	}
	x[p.words[0]] = append(x[p.words[0]], p)
}

// at is true if p stands at the head of ws.
func (p *phrase) at(ws []word) bool {
	if len(ws) < len(p.words) {
		return false
	}
	for i, w := range p.words {
		if ws[i].text != w {
			return false
		}
	}
	return true
}

func rows(table string) [][]string {
	var out [][]string
	for l := range strings.Lines(table) {
		if f := strings.Fields(l); len(f) > 0 && l[0] != '#' {
			out = append(out, f)
		}
	}
	return out
}

func evidence() (index, int) {
	x, n := index{}, 0
	for _, f := range rows(evidenceTable) {
		w, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			panic("offline: evidence.txt: a weight is no number: " + f[1])
		}
		x.add(phrase{id: n, kind: kind(f[0]), weight: w, place: f[2], text: strings.Join(f[3:], " ")})
		n++
	}
	return x, n
}

func labels() index {
	x := index{}
	for _, f := range rows(labelTable) {
		text, colon := strings.CutSuffix(strings.Join(f[1:], " "), ":")
		x.add(phrase{role: f[0], text: text, colon: colon})
	}
	return x
}

// label reads the label at the beginning of a cell and what stands behind it.
func (r *rules) label(c string) (role, value string) {
	if len(c) > maxField {
		c = strings.ToValidUTF8(c[:maxField], "")
	}
	if r.labels[firstWord(c)] == nil {
		return "", ""
	}
	ws := words(c)
	if len(ws) == 0 || strings.TrimLeft(c[:ws[0].start], "*•-( ") != "" {
		return "", ""
	}
	long := 0
	for _, p := range r.labels[ws[0].text] {
		if len(p.words) <= long || !p.at(ws) {
			continue
		}
		rest := strings.TrimSpace(c[ws[len(p.words)-1].end:])
		if p.colon && !strings.HasPrefix(rest, ":") {
			continue
		}
		long, role, value = len(p.words), p.role, strings.TrimLeft(rest, " .:#°º)")
	}
	return role, value
}

// firstWord is what words would find first. Most cells are no labels, and end here.
func firstWord(c string) string {
	c = strings.TrimLeft(c, "*•-( ")
	for i, r := range c {
		if !letter(r) {
			if i == 0 && (r == '#' || r == '§') {
				return c[:utf8.RuneLen(r)]
			}
			return strings.ToLower(c[:i])
		}
	}
	return strings.ToLower(c)
}
