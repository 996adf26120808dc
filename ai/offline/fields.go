package offline

import (
	"errors"
	"fmt"
	"strings"
)

// errNotText means that a document is empty or binary: no field can be read from it.
var errNotText = errors.New("offline: not readable as text")

// kind is what a document is.
type kind string

// The kinds. Other is everything else: letters, minutes, offers, reminders, recipes.
const (
	kindInvoice  kind = "invoice" // credit notes are invoices with negative amounts
	kindContract kind = "contract"
	kindOther    kind = "other"
)

func kinds() []kind { return []kind{kindInvoice, kindContract, kindOther} }

// verdict is what a text is taken for.
type verdict struct {
	Kind       kind
	Confidence float64          // 0 to 0.99
	Share      map[kind]float64 // of the odds, before little evidence lowers them
	Enough     float64          // by which it lowers them
	Reasons    []string         // the strongest evidence first, for people to read
}

// invoice is what an invoice or a credit note says, as printed. Zero means not found.
type invoice struct {
	Number   string
	Date     isoDate
	Due      isoDate
	Supplier string
	Customer string
	Currency string // ISO 4217
	Lines    []item
	Discount cents // on the whole, as a positive amount
	Net      cents
	TaxRate  decimal // percent, only when one rate applies to all
	Tax      cents
	Total    cents // before anything already paid

	found sums // which of the sums the document names
}

// sums says which sums a document names.
type sums struct{ net, tax, total, discount bool }

// item is one row of an invoice.
type item struct {
	Description string
	Quantity    decimal // 0 if the row shows an amount only
	UnitPrice   decimal // may be finer than a cent
	Discount    decimal // percent taken off this row
	Amount      cents
}

// expected is what the amount of a row should be.
func (l item) expected() (cents, bool) {
	m, ok := l.Quantity.times(l.UnitPrice)
	if off, ok2 := m.percentOf(l.Discount); ok && ok2 {
		return m - off, true
	}
	return m, false
}

func near(a, b, by cents) bool { return a-b <= by && b-a <= by }

// contract is what the first reading of a contract gives. Empty means not found.
type contract struct {
	Title        string
	Parties      []side
	Effective    isoDate
	Term         string // "24 months", "indefinite", "perpetual"
	GoverningLaw string
}

// side is one party of a contract.
type side struct {
	Name string
	Role string // the name that the text gives to it: "Tenant"
}

// String writes units and hundredths: -1234.50.
func (m cents) String() string {
	u := magnitude(int64(m))
	s := fmt.Sprintf("%d.%02d", u/100, u%100)
	if m < 0 {
		return "-" + s
	}
	return s
}

// String writes as many decimals as it takes: 2.5.
func (d decimal) String() string {
	u := magnitude(int64(d))
	s := fmt.Sprintf("%d.%04d", u/10_000, u%10_000)
	s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	if d < 0 {
		return "-" + s
	}
	return s
}
