package pipeline

// DocType is what a document is. It names the branch that the pipeline takes.
type DocType string

// The types. Other is everything else: letters, minutes, offers, reminders, recipes.
const (
	TypeInvoice  DocType = "invoice" // credit notes are invoices with negative amounts
	TypeContract DocType = "contract"
	TypeOther    DocType = "other"
)

// Values lists the types, for models and forms: no other answer becomes a branch.
func (DocType) Values() []string {
	return []string{string(TypeInvoice), string(TypeContract), string(TypeOther)}
}

// Sure is the confidence from which on a type may be used without a person's look.
const Sure = 0.7

// Invoice is what an invoice or a credit note says, as printed. Zero means not found. The tags
// describe fields to the model.
type Invoice struct {
	Number   string  `json:"invoice_number" jsonschema:"as printed on the document"`
	Date     string  `json:"date" jsonschema:"of the invoice, as 2006-01-02; empty if there is none"`
	Due      string  `json:"due_date,omitempty" jsonschema:"until when to pay, as 2006-01-02"`
	Supplier string  `json:"supplier" jsonschema:"who sends the invoice"`
	Customer string  `json:"customer" jsonschema:"who is to pay it"`
	Currency string  `json:"currency" jsonschema:"the ISO 4217 code"`
	Lines    []Line  `json:"line_items"`
	Discount Money   `json:"discount,omitzero" jsonschema:"on the whole, as a positive amount"`
	Net      Money   `json:"net" jsonschema:"the sum before tax, as 1234.50; empty if it is not printed"`
	TaxRate  Decimal `json:"tax_rate,omitzero" jsonschema:"percent, only when one rate applies to all"`
	Tax      Money   `json:"tax"`
	Total    Money   `json:"total" jsonschema:"before anything already paid"`
}

// Line is one row of an invoice.
type Line struct {
	Description string  `json:"description"`
	Quantity    Decimal `json:"quantity,omitzero" jsonschema:"left out if the row shows an amount only"`
	UnitPrice   Decimal `json:"unit_price,omitzero" jsonschema:"it may be finer than a cent"`
	Discount    Decimal `json:"discount,omitzero" jsonschema:"percent taken off this row"`
	Amount      Money   `json:"amount"`
}

// Contract is what the first reading of a contract gives. Empty means not found.
type Contract struct {
	Title     string  `json:"title"`
	Parties   []Party `json:"parties"`
	Effective string  `json:"effective_date" jsonschema:"as 2006-01-02; empty if it is not said"`
	Term      string  `json:"term,omitempty" jsonschema:"such as 24 months, indefinite, perpetual"`
	Law       string  `json:"governing_law,omitempty"`
}

// Party is one side of a contract.
type Party struct {
	Name string `json:"name"`
	Role string `json:"role,omitempty" jsonschema:"the name that the text gives to it, such as Tenant"`
}
