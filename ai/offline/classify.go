package offline

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// rules is the model that runs here, without a network. Each piece of evidence adds its
// weight to the score of a kind; evidence.txt holds the words, the constants below the
// weights of shapes. rules is safe for concurrent use; newRules makes it.
type rules struct {
	evidence   index
	phrases    int
	labels     index
	bayes      bayes
	properties map[string]string
}

// newRules reads the embedded tables.
func newRules() *rules {
	x, n := evidence()
	return &rules{evidence: x, phrases: n, labels: labels(), bayes: train(), properties: properties()}
}

// The weights of what a document looks like, in the unit of evidence.txt.
const (
	weightRow       = 0.7  // a row whose quantity times price is its amount, up to three
	weightSum       = 0.9  // rows that add up to the net or the total
	weightClauses   = 1.0  // five or more numbered clauses of running text
	weightSubs      = 0.7  // clauses numbered 1.1, or §
	weightSignature = 0.6  // two lines to sign on; half of it for one
	weightFirst     = 0.9  // "I", "we", "my" and their like are more than one word in forty
	priorOther      = 0.3  // most of what people send is neither
	temperature     = 1.6  // evidence overlaps, so scores are softened before they become odds
	little          = 0.7  // a score that is not much
	doubt           = 0.8  // how much as strong a score of another kind takes from the confidence
	tempering       = 1500 // words of text in which one mention of a phrase has full weight
	top             = 0.99 // rules are never certain
)

// finding is one piece of evidence in a text.
type finding struct {
	kind   kind
	weight float64
	what   string
}

// classify says what a text is. The confidence is the share of the winner's odds, lowered
// when there is little evidence for it, or much for another kind: a text in which nothing was
// recognised is "other" with less than 0.3. It counts on weights, not on a measured error rate.
func (r *rules) classify(text string) verdict {
	d, ok := read(text)
	if !ok {
		why := "the document is empty"
		if strings.TrimSpace(text) != "" {
			why = "the document is not readable as text"
		}
		return verdict{Kind: kindOther, Confidence: 0.1, Share: map[kind]float64{kindOther: 1}, Enough: 0.1, Reasons: []string{why}}
	}
	return decide(slices.Concat(r.spoken(d), r.shaped(d), r.likely(d)), d.cut)
}

// likely is the evidence of single words, as naive Bayes weighs them.
func (r *rules) likely(d document) []finding {
	sum, known := r.bayes.weigh(d.lines)
	if known == 0 {
		return nil
	}
	var out []finding
	for k, kind := range kinds() {
		out = append(out, finding{kind, sum[k], fmt.Sprintf("its words, %d of which are known", known)})
	}
	return out
}

// spoken is the evidence of words.
func (r *rules) spoken(d document) []finding {
	count := make([]int, r.phrases)
	found := make([]*phrase, 0, 32)
	first, total, seen := 0, 0, 0
	for _, l := range d.lines {
		ws := words(l)
		if len(ws) > 0 {
			seen++
		}
		total += len(ws)
		for i, w := range ws {
			if firstPerson(w.text) {
				first++
			}
			same := r.evidence[w.text]
			for k := range same {
				p := &same[k]
				if !p.fits(w.first, seen <= headLines) || !p.at(ws[i:]) {
					continue
				}
				if count[p.id]++; count[p.id] == 1 {
					found = append(found, p)
				}
			}
		}
	}
	var out []finding
	for _, p := range found {
		w := p.weight
		if p.place == "any" || p.place == "start" {
			w *= min(1, float64(count[p.id])*tempering/float64(max(total, tempering)))
		}
		out = append(out, finding{p.kind, w, fmt.Sprintf("%q %s", p.text, where(p.place))})
	}
	if total >= 20 && first*40 > total {
		out = append(out, finding{kindOther, weightFirst, "written in the first person"})
	}
	return out
}

func (p *phrase) fits(first, head bool) bool {
	switch p.place {
	case "title":
		return first && head
	case "head":
		return head
	case "start":
		return first
	}
	return true
}

func where(place string) string {
	switch place {
	case "title":
		return "as a heading at the top"
	case "head":
		return "near the top"
	case "start":
		return "at the start of a line"
	}
	return "in the text"
}

func firstPerson(w string) bool {
	switch w {
	case "i", "my", "me", "we", "our", "je", "ich", "wir":
		return true
	}
	return false
}

// shaped is the evidence of structure.
func (r *rules) shaped(d document) []finding {
	var out []finding
	add := func(k kind, w float64, format string, a ...any) {
		out = append(out, finding{k, w, fmt.Sprintf(format, a...)})
	}
	t := r.table(d)
	if n := t.proven; n > 0 {
		add(kindInvoice, weightRow*float64(min(n, 3)), "%d rows of quantity × price = amount", n)
		if inv := t.invoice(); inv.Total != 0 && inv.balanced() {
			add(kindInvoice, weightSum, "the rows add up to the total")
		}
	}
	clauses, subs, signatures := 0, 0, 0
	for _, l := range d.lines {
		switch depth := clause(l); {
		case depth > 1:
			subs++
		case depth == 1:
			clauses++
		}
		signatures += strings.Count(l, "______________")
		if strings.Trim(l, ". ") == "" {
			signatures += strings.Count(l, "......................")
		}
	}
	if clauses >= 5 {
		add(kindContract, weightClauses, "%d numbered clauses", clauses)
	}
	if subs >= 3 {
		add(kindContract, weightSubs, "%d numbered paragraphs", subs)
	}
	if signatures > 0 && t.proven == 0 { // an offer has one too, below its prices
		add(kindContract, weightSignature*float64(min(signatures, 2))/2, "%d lines to sign on", signatures)
	}
	return out
}

// clause is the depth of a clause number that begins a line: "1." 1, "1.1" 2, "§ 1" 2; else 0.
func clause(l string) int {
	l = strings.TrimLeft(l, " ")
	if rest, ok := strings.CutPrefix(l, "§ "); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		return 2
	}
	i, dots := 0, 0
	for i < len(l) && i < 9 && (l[i] >= '0' && l[i] <= '9' || l[i] == '.') {
		if l[i] == '.' {
			dots++
		}
		i++
	}
	if i == 0 || l[0] == '.' || dots == 0 || i+1 >= len(l) || l[i] != ' ' {
		return 0
	}
	text := strings.TrimLeft(l[i:], " ")
	if text == "" || !(text[0] >= 'A' && text[0] <= 'Z' || text[0] == '"') {
		return 0
	}
	if l[i-1] == '.' {
		dots--
	}
	return dots + 1
}

// decide turns findings into an answer.
func decide(fs []finding, cut bool) verdict {
	score := map[kind]float64{kindOther: priorOther}
	for _, f := range fs {
		score[f.kind] += f.weight
	}
	c := verdict{Kind: kindOther, Share: map[kind]float64{}}
	for _, k := range [...]kind{kindInvoice, kindContract} {
		if score[k] > score[c.Kind] {
			c.Kind = k
		}
	}
	sum := 0.0
	for _, k := range kinds() {
		c.Share[k] = math.Exp((score[k] - score[c.Kind]) / temperature)
		sum += c.Share[k]
	}
	for _, k := range kinds() {
		c.Share[k] /= sum
	}
	second := 0.0
	for _, k := range kinds() {
		if k != c.Kind {
			second = max(second, score[k])
		}
	}
	c.Enough = (1 - 0.7*math.Exp(-score[c.Kind]/little)) * (1 - doubt*second/score[c.Kind])
	c.Confidence = rounded(c.Enough * c.Share[c.Kind])
	sort.SliceStable(fs, func(i, j int) bool { return math.Abs(fs[i].weight) > math.Abs(fs[j].weight) })
	for _, f := range fs[:min(len(fs), maxReasons)] {
		c.Reasons = append(c.Reasons, fmt.Sprintf("%s (%s %+.1f)", f.what, f.kind, f.weight))
	}
	if len(fs) == 0 {
		c.Reasons = []string{"nothing in it is typical of an invoice, a contract or a letter"}
	}
	if cut {
		c.Reasons = append(c.Reasons, fmt.Sprintf("only the first %d KiB were read", maxText>>10))
	}
	return c
}

func rounded(x float64) float64 { return math.Round(max(0, min(top, x))*100) / 100 }
