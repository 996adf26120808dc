package pipeline

import (
	"errors"
	"fmt"
	"strings"
)

// Validate is what ai.GenerateObject asks of an answer: the model gets to read the error, and may
// have misread an amount.
func (i Invoice) Validate() error {
	if bad := i.Check(); len(bad) > 0 {
		return errors.New(strings.Join(bad, "; "))
	}
	return nil
}

// Check returns the arithmetic problems of an invoice in plain sentences, none if all
// adds up. Missing amounts are problems too: what is not there cannot be checked. An
// invoice with problems should be seen by a person; the sum may be wrong on the paper,
// or wrongly read.
func (i Invoice) Check() []string {
	var bad []string
	say := func(format string, a ...any) { bad = append(bad, fmt.Sprintf(format, a...)) }
	var sum Money
	for n, l := range i.Lines {
		sum += l.Amount
		if want, ok := l.expected(); l.Quantity != 0 && (!ok || !near(want, l.Amount, 1)) {
			say("line %d (%s): %s × %s is %s, not %s", n+1, l.Description, l.Quantity, l.UnitPrice, want, l.Amount)
		}
	}
	net, gross := i.Net, i.Total
	if net == 0 {
		net = gross - i.Tax
	}
	// Each row may be rounded by half a cent. Prices may or may not contain the tax.
	slack := Money(1 + len(i.Lines)/2)
	switch rest := sum - i.Discount; {
	case len(i.Lines) == 0:
		say("no line items were found")
	case !near(rest, net, slack) && !near(rest, gross, slack):
		say("the lines add up to %s, not to %s", rest, net)
	}
	if gross == 0 && len(i.Lines) > 0 && sum != i.Discount || gross == 0 && len(i.Lines) == 0 {
		say("no total was found")
	} else if i.Net != 0 && !near(i.Net+i.Tax, gross, 1) {
		say("net %s and tax %s make %s, not %s", i.Net, i.Tax, i.Net+i.Tax, gross)
	}
	if i.TaxRate != 0 {
		if want, ok := net.Percent(i.TaxRate); !ok || !near(want, i.Tax, slack) {
			say("%s%% tax on %s is %s, not %s", i.TaxRate, net, want, i.Tax)
		}
	}
	return bad
}

// expected is what the amount of a row should be.
func (l Line) expected() (Money, bool) {
	m, ok := l.Quantity.Times(l.UnitPrice)
	if off, ok2 := m.Percent(l.Discount); ok && ok2 {
		return m - off, true
	}
	return m, false
}

func near(a, b, by Money) bool { return a-b <= by && b-a <= by }

// Check names what a contract should have and what was not found.
func (c Contract) Check() []string {
	var bad []string
	if len(c.Parties) < 2 {
		bad = append(bad, fmt.Sprintf("%d of at least two parties were found", len(c.Parties)))
	}
	if c.Effective == "" {
		bad = append(bad, "no effective date was found")
	}
	if c.Title == "" {
		bad = append(bad, "no title was found")
	}
	return bad
}
