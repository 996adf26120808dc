package offline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// num is a number in a line.
type num struct {
	span
	value    decimal
	decimals int // digits printed after the mark
	percent  bool
}

func (n num) money() cents { return cents(n.value / 100) }

// numbers finds the numbers of a line, with currencies, brackets and units taken off. At
// most maxNumbers are returned, the last ones: amounts stand on the right.
func numbers(l string, m mark) []num {
	var out []num
	for i := 0; i < len(l); {
		if l[i] == ' ' {
			i++
			continue
		}
		j := i
		for j < len(l) && l[j] != ' ' {
			j++
		}
		tok := l[i:j]
		if tok == "%" && len(out) > 0 {
			out[len(out)-1].percent = true
		} else if strings.ContainsAny(tok, "0123456789") {
			if n, ok := number(tok, m); ok {
				n.span = span{i, j}
				out = append(out, n)
			}
		}
		i = j
	}
	return out[max(0, len(out)-maxNumbers):]
}

func number(tok string, m mark) (num, bool) {
	tok = strings.TrimRight(tok, ":;,")
	if strings.HasSuffix(tok, ".") {
		return num{}, false // "1." is the number of a clause or ends a sentence
	}
	if strings.Count(tok, "(") != strings.Count(tok, ")") {
		tok = strings.Trim(tok, "()")
	}
	if strings.Contains(tok, "%") {
		tok = strings.Trim(tok, "()")
	}
	body, neg := sign(tok)
	body, percent := strings.CutSuffix(body, "%")
	body = strings.TrimFunc(body, func(r rune) bool {
		return strings.ContainsRune("€$£¥@×", r)
	})
	for _, affix := range [...]string{"EUR", "USD", "GBP", "CHF", "DKK", "x", "h"} {
		body = strings.TrimSuffix(strings.TrimPrefix(body, affix), affix)
	}
	if again, also := sign(body); also && !neg {
		body, neg = again, true
	}
	v, err := parseDecimal(body, m)
	if err != nil {
		return num{}, false
	}
	if neg {
		v = -v
	}
	n := num{value: v, percent: percent}
	if i := decimalMark(body, m); i >= 0 {
		n.decimals = len(body) - i - 1
	}
	return n, true
}

// joined reads 3 000 as one number where single blanks separate groups of three digits.
func joined(l string, ns []num, m mark) []num {
	var out []num
	for _, n := range ns {
		if k := len(out) - 1; k >= 0 && out[k].end+1 == n.start && out[k].decimals == 0 && !out[k].percent {
			if v, err := parseDecimal(l[out[k].start:n.end], m); err == nil {
				out[k].value, out[k].decimals, out[k].end = v, n.decimals, n.end
				continue
			}
		}
		out = append(out, n)
	}
	return out
}

// row reads a line as a row of a table. It is proven if two of its numbers multiply to the
// last one; else ok says only that an amount stands at its end.
func row(l string, m mark) (line item, proven, ok bool) {
	plain := numbers(l, m)
	for _, ns := range [...][]num{plain, joined(l, plain, m)} {
		if line, ok := product(l, ns); ok {
			return line, true, true
		}
	}
	ns := joined(l, plain, m)
	amount, rest, ok := lastAmount(l, ns)
	if !ok {
		return item{}, false, false
	}
	used := []num{amount}
	line.Amount = amount.money()
	if len(rest) >= 2 && !rest[len(rest)-1].percent && !rest[len(rest)-2].percent {
		q, p := rest[len(rest)-2], rest[len(rest)-1]
		if p.decimals >= 2 { // the columns are there, but the product is wrong: say so later
			line.Quantity, line.UnitPrice = q.value, p.value
			used = append(used, q, p)
		}
	}
	line.Description = describe(l, used)
	return line, false, line.Description != ""
}

// product looks for quantity and price; the pair next to the amount is preferred.
func product(l string, ns []num) (item, bool) {
	amount, rest, ok := lastAmount(l, ns)
	if !ok || amount.value == 0 {
		return item{}, false
	}
	offs := []num{{}}
	for _, n := range rest {
		if n.percent && len(offs) < 3 {
			offs = append(offs, n)
		}
	}
	for _, off := range offs {
		for j := len(rest) - 1; j > 0; j-- {
			for i := j - 1; i >= 0; i-- {
				q, p := rest[i], rest[j]
				if q.percent || p.percent || p.decimals == 0 && q.decimals == 0 {
					continue
				}
				if p.decimals == 0 && q.decimals >= 2 {
					q, p = p, q
				}
				line := item{Quantity: q.value, UnitPrice: p.value, Discount: off.value, Amount: amount.money()}
				want, ok := line.expected()
				if !ok || !near(want, line.Amount, 0) {
					continue
				}
				line.Description = describe(l, []num{amount, q, p})
				return line, true
			}
		}
	}
	return item{}, false
}

// lastAmount is the amount that ends a line, and the numbers before it.
func lastAmount(l string, ns []num) (num, []num, bool) {
	if len(ns) == 0 {
		return num{}, nil, false
	}
	n := ns[len(ns)-1]
	if n.percent || n.decimals != 2 || len(strings.TrimSpace(l[n.end:])) > len("EUR)") {
		return num{}, nil, false
	}
	return n, ns[:len(ns)-1], true
}

// describe is the column of a row that has the most letters, without the numbers used.
func describe(l string, used []num) string {
	b := []byte(l)
	for _, n := range used {
		for i := n.start; i < n.end; i++ {
			b[i] = ' '
		}
	}
	best, most := "", 0
	for _, c := range cells(string(b)) {
		if n := letters(c.text); n > most {
			best, most = c.text, n
		}
	}
	for _, sign := range [...]string{"@", "x", "×"} {
		best = strings.TrimSuffix(strings.TrimRight(best, " ."), " "+sign)
	}
	return short(strings.Trim(best, " .,-@"))
}

func letters(s string) int {
	n := 0
	for _, r := range s {
		if unicode.IsLetter(r) {
			n++
		}
	}
	return n
}

// markOfText is the decimal mark of the numbers with two decimals, by majority.
func markOfText(lines []string) mark {
	var point, comma int
	for _, l := range lines {
		for i := 1; i+2 < len(l); i++ {
			if l[i] != '.' && l[i] != ',' || !digits(l[i-1:i]) || !digits(l[i+1:i+3]) {
				continue
			}
			if i+3 < len(l) && (digits(l[i+3:i+4]) || (l[i+3] == '.' || l[i+3] == ',') && i+4 < len(l) && digits(l[i+4:i+5])) {
				continue // a group of three digits, or a date
			}
			if l[i] == '.' {
				point++
			} else {
				comma++
			}
		}
	}
	switch {
	case point > comma:
		return markPoint
	case comma > point:
		return markComma
	}
	return markUnknown
}

// currency is the one that a text names most often, as an ISO code.
func currency(d document) string {
	codes := [...]struct{ sign, code string }{
		{"€", "EUR"},
		{"EUR", "EUR"},
		{" euros", "EUR"},
		{"£", "GBP"},
		{"GBP", "GBP"},
		{"CHF", "CHF"},
		{"DKK", "DKK"},
		{"SEK", "SEK"},
		{"NOK", "NOK"},
		{"PLN", "PLN"},
		{"CAD", "CAD"},
		{"AUD", "AUD"},
		{"USD", "USD"},
		{"$", "USD"},
	}
	count := map[string]int{}
	best := ""
	for _, c := range codes {
		if c.sign == "$" && count["CAD"]+count["AUD"] > 0 {
			continue
		}
		for rest := d.text; ; {
			i := strings.Index(rest, c.sign)
			if i < 0 {
				break
			}
			before, _ := utf8.DecodeLastRuneInString(rest[:i])
			rest = rest[i+len(c.sign):]
			after, _ := utf8.DecodeRuneInString(rest)
			if len(c.sign) != 3 || !unicode.IsLetter(before) && !unicode.IsLetter(after) || c.sign == "€" {
				count[c.code]++
			}
		}
		if count[c.code] > count[best] {
			best = c.code
		}
	}
	return best
}
