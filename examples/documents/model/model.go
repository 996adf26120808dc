// Package model answers the questions that the document pipeline asks of a text: what is
// it, and what does it say? The answers come from Rules: counted words, the shape of
// lines, and arithmetic. It is not a language model, and where it is unsure its
// confidence says so, so that a person is asked.
//
// The package knows texts only. It knows no file names, no workflow and no network; the
// pipeline calls it from its steps.
package model

import (
	"context"
	"errors"
)

// Model is what the pipeline needs. Implementations are safe for concurrent use, and the
// same text gets the same answer.
type Model interface {
	// Classify says what a text is. Every text gets an answer, even an empty or binary
	// one; the error is for a model that could not be asked (see ErrRateLimited).
	Classify(ctx context.Context, text string) (Classification, error)
	// ExtractInvoice reads the fields of an invoice. What is not found stays zero: ask
	// Invoice.Check before you trust it. ErrNotText if there is nothing to read.
	ExtractInvoice(ctx context.Context, text string) (Invoice, error)
	// ExtractContract is the same for contracts; ask Contract.Check.
	ExtractContract(ctx context.Context, text string) (Contract, error)
}

// ErrNotText means that a document is empty or binary: no field can be read from it, and
// no retry will help.
var ErrNotText = errors.New("model: not readable as text")

// Kind is what a document is. It names the branch that the pipeline takes.
type Kind string

// The kinds. Other is everything else: letters, minutes, offers, reminders, recipes.
const (
	KindInvoice  Kind = "invoice" // credit notes are invoices with negative amounts
	KindContract Kind = "contract"
	KindOther    Kind = "other"
)

// Values lists the kinds, for forms and schemas.
func (Kind) Values() []string {
	return []string{string(KindInvoice), string(KindContract), string(KindOther)}
}

// Sure is the confidence from which on an answer may be used without a person's look.
const Sure = 0.7

// Classification is the answer of Classify.
type Classification struct {
	Kind       Kind     `json:"kind"`
	Confidence float64  `json:"confidence"` // 0 to 0.99; below Sure a person should look
	Reasons    []string `json:"reasons"`    // the strongest evidence first, for people to read
}

// Invoice is what an invoice or a credit note says, as printed. Zero means not found.
type Invoice struct {
	Number   string  `json:"invoice_number"`
	Date     Date    `json:"date"`
	Due      Date    `json:"due_date,omitempty"`
	Supplier string  `json:"supplier"`
	Customer string  `json:"customer"`
	Currency string  `json:"currency"` // ISO 4217
	Lines    []Line  `json:"line_items"`
	Discount Money   `json:"discount,omitzero"` // on the whole, as a positive amount
	Net      Money   `json:"net"`
	TaxRate  Decimal `json:"tax_rate,omitzero"` // percent, only when one rate applies to all
	Tax      Money   `json:"tax"`
	Total    Money   `json:"total"` // before anything already paid
}

// Line is one row of an invoice.
type Line struct {
	Description string  `json:"description"`
	Quantity    Decimal `json:"quantity,omitzero"`   // 0 if the row shows an amount only
	UnitPrice   Decimal `json:"unit_price,omitzero"` // may be finer than a cent
	Discount    Decimal `json:"discount,omitzero"`   // percent taken off this row
	Amount      Money   `json:"amount"`
}

// Contract is what the first reading of a contract gives. Empty means not found.
type Contract struct {
	Title        string  `json:"title"`
	Parties      []Party `json:"parties"`
	Effective    Date    `json:"effective_date"`
	Term         string  `json:"term,omitempty"` // "24 months", "indefinite", "perpetual"
	GoverningLaw string  `json:"governing_law,omitempty"`
}

// Party is one side of a contract.
type Party struct {
	Name string `json:"name"`
	Role string `json:"role,omitempty"` // the name that the text gives to it: "Tenant"
}

// Date is a day, written 2006-01-02; empty if unknown.
type Date string
