package offline

import (
	_ "embed"
	"strings"
	"unicode"
)

//go:embed properties.txt
var propertyTable string

// properties maps names of properties to what they mean.
func properties() map[string]string {
	out := map[string]string{}
	for _, f := range rows(propertyTable) {
		part, meaning, ok := strings.Cut(f[0], ".")
		if !ok {
			part, meaning = "", f[0]
		}
		for _, name := range f[1:] {
			out[part+"."+name] = meaning
		}
	}
	return out
}

// value is what the document says of a property. known is false for a name that means
// nothing here; a known one that was not found is nil.
func (f *filling) value(name string, at scope) (v any, known bool) {
	part := ""
	switch {
	case at.item != nil:
		part = "item"
	case at.side != nil:
		part = "side"
	case at.value != nil:
		part = "value"
	}
	meaning, known := f.rules.properties[part+"."+name]
	if !known {
		return nil, false
	}
	switch part {
	case "item":
		return rowValue(at.item, meaning), true
	case "side":
		if meaning == "role" {
			return text(at.side.Role), true
		}
		return text(at.side.Name), true
	case "value":
		if meaning == "currency" {
			return text(f.invoice().Currency), true
		}
		return at.value, true
	}
	if v, ok := f.ofContract(meaning); ok {
		return v, true
	}
	return f.ofInvoice(meaning), true
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func dated(d isoDate) any {
	if d == "" {
		return nil
	}
	return d
}

func rowValue(i *item, meaning string) any {
	switch meaning {
	case "description":
		return text(i.Description)
	case "quantity":
		if i.Quantity != 0 {
			return i.Quantity
		}
	case "unitprice":
		if i.Quantity != 0 {
			return i.UnitPrice
		}
	case "discount":
		return i.Discount
	case "amount":
		return i.Amount
	}
	return nil
}

// ofContract is false for what is asked of invoices. "date" is asked of both.
func (f *filling) ofContract(meaning string) (any, bool) {
	switch meaning {
	case "title":
		return text(f.contract().Title), true
	case "parties":
		if ps := f.contract().Parties; len(ps) > 0 {
			return ps, true
		}
		return nil, true
	case "partya", "partyb":
		i := int(meaning[5] - 'a')
		if ps := f.contract().Parties; i < len(ps) {
			return ps[i], true
		}
		return nil, true
	case "effective":
		if f.verdict().Kind == kindInvoice {
			return nil, true // what a contract would call so has another name here
		}
		return dated(f.contract().Effective), true
	case "date":
		if f.verdict().Kind == kindContract {
			return dated(f.contract().Effective), true
		}
	case "term":
		return text(f.contract().Term), true
	case "law":
		return text(f.contract().GoverningLaw), true
	}
	return nil, false
}

// ofInvoice is what an invoice says. A sum that is not printed follows from the others only
// where the rows prove it: without tax or discount they add up to the total.
func (f *filling) ofInvoice(meaning string) any {
	i := f.invoice()
	plain := i.found.total && len(i.Lines) > 0 && i.balanced()
	switch meaning {
	case "number":
		return text(i.Number)
	case "date":
		return dated(i.Date)
	case "due":
		return dated(i.Due)
	case "supplier":
		return named(i.Supplier)
	case "customer":
		return named(i.Customer)
	case "currency":
		return text(i.Currency)
	case "lines":
		if len(i.Lines) > 0 {
			return i.Lines
		}
	case "discount":
		if i.found.discount || plain {
			return i.Discount
		}
	case "net":
		if i.found.net {
			return i.Net
		}
		if plain {
			return i.Total - i.Tax
		}
	case "taxrate":
		if i.TaxRate != 0 || plain && i.Tax == 0 {
			return i.TaxRate
		}
	case "tax":
		if i.found.tax || plain {
			return i.Tax
		}
	case "total":
		if i.found.total {
			return i.Total
		}
	}
	return nil
}

func named(s string) any {
	if s == "" {
		return nil
	}
	return side{Name: s}
}

// labelledAs looks for a label that says what a property is called, "purchase_order" as
// "Purchase order: 77", and returns its value as text, or nil.
func (r *rules) labelledAs(lines []string, property string) any {
	want := nameWords(property)
	if len(want) == 0 {
		return nil
	}
	for i, l := range lines {
		cs := cells(l)
		for j, c := range cs[:min(len(cs), maxNumbers)] {
			ws := words(c.text)
			if len(ws) < len(want) {
				continue
			}
			same := true
			for k, w := range want {
				same = same && ws[k].text == w
			}
			rest := c.text[ws[len(want)-1].end:]
			value, colon := strings.CutPrefix(strings.TrimLeft(rest, " .°º"), ":")
			switch {
			case !same || strings.Trim(c.text[:ws[0].start], "*•- ") != "":
				continue
			case !colon && strings.TrimSpace(value) != "":
				continue // the words go on: no label
			case strings.TrimSpace(value) == "":
				value = r.beside(cs, j, lines[i+1:])
			}
			if value = short(value); value != "" {
				return value
			}
		}
	}
	return nil
}

// nameWords are the words of a name in snake_case, kebab-case or camelCase.
func nameWords(name string) []string {
	var b strings.Builder
	lower := false
	for _, c := range name[:min(len(name), maxField)] {
		if unicode.IsUpper(c) && lower {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(c)
		if letter(c) {
			b.WriteRune(unicode.ToLower(c))
		} else {
			b.WriteByte(' ')
		}
	}
	return strings.Fields(b.String())
}
