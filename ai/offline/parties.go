package offline

import "strings"

// parties are found in one of three forms: numbered, "(1) A, a company …"; as labels,
// "Landlord: A"; or in a sentence, "between A (the "Provider") and B".
func parties(lines []string, p prose) []side {
	head := p.text[:min(len(p.text), maxPrelude)]
	if ps := numbered(head); len(ps) >= 2 {
		return ps
	}
	if ps := byRole(lines); len(ps) >= 2 {
		return ps
	}
	return between(head)
}

// numbered reads "(1) A, … (2) B, …", if a heading announces parties before the first.
func numbered(s string) []side {
	low := asciiLower(s)
	start := strings.Index(s, "(1) ")
	if start < 0 || !strings.Contains(low[:start], "parties") && !strings.Contains(low[:start], "between") {
		return nil
	}
	var out []side
	for _, n := range [...]string{"(1) ", "(2) ", "(3) ", "(4) "} {
		i := strings.Index(s, n)
		if i < 0 {
			break
		}
		s = s[i+len(n):]
		body := s
		if end := strings.IndexByte(body, '\n'); end >= 0 {
			body = body[:end]
		}
		out = append(out, party(body))
	}
	return out
}

// byRole reads lines that begin with the name of a side and a colon.
func byRole(lines []string) []side {
	var out []side
	for _, l := range lines[:min(len(lines), 3*headLines)] {
		role, value, ok := strings.Cut(strings.TrimSpace(l), ":")
		if !ok {
			continue
		}
		switch strings.ToLower(role) {
		case "landlord", "tenant", "employer", "employee", "licensor", "licensee", "seller", "buyer",
			"lender", "borrower", "client", "contractor", "supplier", "customer":
			if n := name(value); n != "" {
				out = append(out, side{Name: n, Role: role})
			}
		}
	}
	return out
}

// between reads the two sides of a sentence. The "and" that counts is the first one after
// the bracket with A's role, or else the first one.
func between(s string) []side {
	low := asciiLower(s)
	at := -1
	for _, w := range [...]string{"between ", "between\n", "zwischen ", "zwischen\n", "entre "} {
		if i := strings.Index(low, w); i >= 0 && (at < 0 || i+len(w) < at) {
			at = i + len(w)
		}
	}
	if at < 0 {
		return nil
	}
	s = s[at:min(len(s), at+900)]
	low = asciiLower(s)
	from := 0
	if open := strings.IndexByte(s, '('); open >= 0 && open < 250 {
		if end := strings.IndexByte(s[open:], ')'); end >= 0 && strings.ContainsAny(s[open:open+end], "\"“”") {
			from = open + end
		}
	}
	i, n := conjunction(low, from)
	if i < 0 {
		return nil
	}
	a, b := party(s[:i]), party(s[i+n:])
	if a.Name == "" || b.Name == "" {
		return nil
	}
	return []side{a, b}
}

// conjunction is the place and the length of the first "and" that stands alone.
func conjunction(low string, from int) (at, n int) {
	at = -1
	for _, and := range [...]string{"and", "und", "et"} {
		for k := from; ; {
			i := strings.Index(low[k:], and)
			if i < 0 {
				break
			}
			i += k
			k = i + len(and)
			if i > 0 && k < len(low) && blank(low[i-1]) && blank(low[k]) {
				if at < 0 || i < at {
					at, n = i, len(and)
				}
				break
			}
		}
	}
	return at, n
}

func blank(c byte) bool { return c == ' ' || c == '\n' }

// party is the name at the beginning of s, and the role that s gives it in quotes.
func party(s string) side {
	s = strings.Trim(s, " \n")
	var p side
	for _, quotes := range [...][2]string{{"\"", "\""}, {"“", "”"}, {"„", "“"}} {
		i := strings.Index(s, quotes[0])
		if i < 0 {
			continue
		}
		role, _, ok := strings.Cut(s[i+len(quotes[0]):], quotes[1])
		if ok && len(role) < 60 {
			p.Role = short(strings.TrimPrefix(role, "the "))
		}
		break
	}
	if i := strings.IndexAny(s, ";\n\""); i >= 0 {
		s = s[:i]
	}
	for _, end := range [...]string{" - ", " a company", " whose ", " that ", " of "} {
		if i := strings.Index(s, end); i > 0 {
			s = s[:i]
		}
	}
	p.Name = name(s)
	return p
}
