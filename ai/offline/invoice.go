package offline

import (
	"strings"
)

// readInvoice reads the fields of an invoice: labels with their values, then the table, then guesses
// from where invoices usually say it.
func (r *rules) readInvoice(d document) invoice {
	inv := r.table(d).invoice()
	inv.Currency = currency(d)
	american := monthFirst(d.lines, inv.Currency)
	r.labelled(&inv, d.lines, american)
	if inv.Date == "" {
		inv.Date = firstDate(d.lines, inv.Due, american)
	}
	if inv.Due == "" {
		inv.Due = dueInText(flatten(d), inv.Date, american)
	}
	if inv.Supplier == "" {
		inv.Supplier = r.sender(d.lines)
	}
	if inv.Customer == "" {
		inv.Customer = r.addressee(d.lines)
	}
	return inv
}

// labelled fills in what the document itself has labels for; the first of a kind counts.
func (r *rules) labelled(inv *invoice, lines []string, american bool) {
	for i, l := range lines {
		cs := cells(l)
		for j, c := range cs[:min(len(cs), maxNumbers)] {
			role, value := r.label(c.text)
			if role == "" {
				continue
			}
			if value == "" {
				value = r.beside(cs, j, lines[i+1:])
			}
			switch role {
			case "number":
				if inv.Number == "" {
					inv.Number = reference(value)
				}
			case "date":
				if inv.Date == "" {
					inv.Date, _, _ = findDate(value, american)
				}
			case "due":
				if inv.Due == "" {
					inv.Due, _, _ = findDate(value, american)
				}
			case "supplier":
				if inv.Supplier == "" {
					inv.Supplier = name(value)
				}
			case "customer":
				if inv.Customer == "" {
					inv.Customer = name(value)
				}
			}
		}
	}
}

// beside is the value of a label that stands alone: the next cell, or the one beneath.
func (r *rules) beside(cs []cell, j int, below []string) string {
	if j+1 < len(cs) {
		if role, _ := r.label(cs[j+1].text); role == "" {
			return cs[j+1].text
		}
	}
	for _, l := range below[:min(len(below), 2)] {
		for _, c := range cells(l) {
			if far := c.col - cs[j].col; far < 6 && far > -6 {
				if role, _ := r.label(c.text); role == "" {
					return c.text
				}
			}
		}
	}
	return ""
}

// reference is the number of a document: the first word with a digit, if it is no date.
func reference(s string) string {
	for i, f := range strings.Fields(s) {
		f = strings.Trim(f, ".,;:()")
		if i > 1 {
			break
		}
		if _, isDate := parseDate(f, false); !isDate && strings.ContainsAny(f, "0123456789") {
			return short(f)
		}
	}
	return ""
}

// name is a person or a company, without the address or the trade that follows.
func name(s string) string {
	s, _, _ = strings.Cut(s, " · ")
	s, _, _ = strings.Cut(s, "(")
	if i := strings.Index(s, ","); i >= 0 {
		f := strings.Fields(s[i+1:])
		if len(f) == 0 || !suffix(f[0]) {
			s = s[:i]
		} else {
			s = s[:i+1] + " " + strings.TrimRight(f[0], ",")
		}
	}
	return short(strings.Trim(s, " =*#\"-_"))
}

// suffix is true for what belongs to a company's name after a comma.
func suffix(s string) bool {
	switch strings.ToLower(strings.Trim(s, ".,")) {
	case "inc", "llc", "ltd", "limited", "corp", "plc", "llp", "gmbh", "co":
		return true
	}
	return false
}

// sender is the first line that is neither a label nor the word "invoice".
func (r *rules) sender(lines []string) string {
	for _, l := range lines[:min(len(lines), 2*headLines)] {
		cs := cells(l)
		if len(cs) == 0 || letters(cs[0].text) < 3 || cs[0].text[0] == '#' {
			continue
		}
		if ws := words(cs[0].text); len(ws) == 1 && r.evidence[ws[0].text] != nil {
			continue
		}
		if role, _ := r.label(cs[0].text); role == "" {
			return name(cs[0].text)
		}
	}
	return ""
}

// addressee is the head of the first block after the sender's that looks like an address:
// short lines without label or digit at its beginning, before the table.
func (r *rules) addressee(lines []string) string {
	blocks, blank := 0, true
	for _, l := range lines[:min(len(lines), 2*headLines)] {
		cs := cells(l)
		if len(cs) == 0 {
			blank = true
			continue
		}
		if blank {
			blocks++
		}
		c := cs[0].text
		if blocks < 2 || !blank && !honorific(c) {
			blank = false
			continue
		}
		blank = honorific(c)
		role, _ := r.label(c)
		ws := words(c)
		if role == "" && !blank && len(ws) > 1 && len(ws) <= 8 && !strings.ContainsAny(c, "0123456789:") && !strings.HasSuffix(c, ",") {
			return name(c)
		}
	}
	return ""
}

// honorific is true for a line of an address that only greets: the name is the next one.
func honorific(s string) bool {
	switch strings.ToLower(s) {
	case "frau", "herr", "herrn", "firma", "mr", "mrs", "ms", "madame", "monsieur":
		return true
	}
	return false
}

// firstDate is the first date of a document that is not the due date.
func firstDate(lines []string, not isoDate, american bool) isoDate {
	for _, l := range lines {
		if d, _, ok := findDate(l, american); ok && d != not {
			return d
		}
	}
	return ""
}

// dueInText is a later date of which a sentence says "by" or "bis zum".
func dueInText(p prose, issued isoDate, american bool) isoDate {
	var due isoDate
	for _, by := range [...]string{"bis zum ", "due on ", "by ", "jusqu'au "} {
		p.after(by, 40, func(_ int, rest string) bool {
			if d, at, ok := findDate(rest, american); ok && at.start == 0 && d > issued {
				due = d
			}
			return due == ""
		})
	}
	return due
}

// monthFirst decides how 03/04/2025 is meant: as the other dates of the document show,
// and if none shows it, month first in dollars.
func monthFirst(lines []string, currency string) bool {
	for _, l := range lines {
		if strings.Count(l, "/") < 2 {
			continue
		}
		ps := pieces(l)
		for i := 0; i+4 < len(ps); i++ {
			if ps[i+1].text != "/" || ps[i+3].text != "/" || !digits(ps[i].text) || !digits(ps[i+2].text) {
				continue
			}
			switch a, b := small(ps[i].text), small(ps[i+2].text); {
			case a > 12 && a <= 31 && b <= 12:
				return false
			case b > 12 && b <= 31 && a <= 12:
				return true
			}
		}
	}
	return currency == "USD"
}
