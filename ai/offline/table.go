package offline

import "strings"

// table is what the rows and the sums of a document say.
type table struct {
	rows     []item
	proven   int // rows whose numbers multiply
	mark     mark
	net      cents
	tax      cents
	taxRate  decimal
	taxes    int // lines that name a tax
	total    cents
	payable  cents // "amount due": the total, unless one is named
	discount cents
	late     bool // the discount came after the last net, which it lowers
	named    sums // which of them the document names
}

// table walks the lines once. Rows are taken up to the first sum: under a heading that
// names columns all lines that end in an amount, elsewhere those that prove themselves or
// lead to their amount with dots.
func (r *rules) table(d document) table {
	t := table{mark: markOfText(d.lines), rows: []item{}}
	inside, done, pending := false, false, ""
	for _, l := range d.lines {
		if !amountEnds(l) && !inside && !strings.Contains(strings.TrimLeft(l, " "), "  ") {
			continue // running text, as most lines of a long document
		}
		cs := cells(l)
		if len(cs) == 0 {
			continue
		}
		if r.heading(cs) {
			inside = true
			continue
		}
		if !amountEnds(l) {
			if inside && !done && letters(l) > 2 {
				pending = short(l)
			}
			continue
		}
		role, _ := r.label(cs[0].text)
		if r.sum(&t, role, l) {
			done = done || len(t.rows) > 0 && role != "charge" && role != "tax"
			continue
		}
		if done || len(t.rows) == maxItems {
			continue
		}
		line, proven, ok := row(l, t.mark)
		if ok && (proven || inside || strings.Contains(l, "....")) {
			if line.Description == "" {
				line.Description = pending
			}
			t.rows, pending = append(t.rows, line), ""
			if proven {
				t.proven++
			}
		}
	}
	if t.total == 0 {
		t.total = t.payable
	}
	if t.late {
		t.net -= t.discount
	}
	return t
}

// amountEnds is true if a mark with two digits stands near the end of a line, as it does
// before every amount that lastAmount accepts.
func amountEnds(l string) bool {
	for i := len(l) - 3; i >= 0 && i > len(l)-12; i-- {
		if (l[i] == '.' || l[i] == ',') && digits(l[i+1:i+3]) {
			return true
		}
	}
	return false
}

// heading is true for a line whose cells name two or more columns.
func (r *rules) heading(cs []cell) bool {
	n := 0
	for _, c := range cs[:min(len(cs), maxNumbers)] {
		if role, _ := r.label(c.text); role == "column" {
			n++
		}
	}
	return n >= 2
}

// sum takes a line such as "VAT 20%   17.26" if its role is one of the sums.
func (r *rules) sum(t *table, role, l string) bool {
	switch role {
	case "net", "tax", "total", "payable", "discount", "charge":
	default:
		return false
	}
	ns := joined(l, numbers(l, t.mark), t.mark)
	last, rest, ok := lastAmount(l, ns)
	if !ok {
		return false
	}
	m := last.money()
	switch role {
	case "net":
		t.net, t.late, t.named.net = m, false, true
	case "tax":
		t.tax += m
		t.named.tax = true
		t.taxes++
		t.taxRate = 0 // several rates, or a rate on a part only, is no rate of the whole
		if t.taxes == 1 && len(rest) == 1 && rest[0].percent {
			t.taxRate = rest[0].value
		}
	case "total":
		t.total, t.named.total = m, true
	case "payable":
		t.payable, t.named.total = m, true
	case "discount":
		t.discount += max(m, -m)
		t.named.discount = true
		t.late = t.net != 0
	case "charge":
		if _, proven, _ := row(l, t.mark); proven || len(t.rows) == maxItems {
			return false
		}
		t.rows = append(t.rows, item{Description: describe(l, []num{last}), Amount: m})
	}
	return true
}

// invoice is the part of an invoice that the table knows.
func (t table) invoice() invoice {
	return invoice{Lines: t.rows, Discount: t.discount, Net: t.net, TaxRate: t.taxRate, Tax: t.tax, Total: t.total, found: t.named}
}

// balanced is true if the rows add up to the net or to the total.
func (i invoice) balanced() bool {
	sum := -i.Discount
	for _, l := range i.Lines {
		sum += l.Amount
	}
	slack := cents(1 + len(i.Lines)/2)
	return near(sum, i.Total, slack) || near(sum, i.Total-i.Tax, slack)
}
