package pipeline

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The names of the questions that people are asked.
const (
	ReviewType    = "review_type"
	ReviewInvoice = "review_invoice"
)

// TypeReview answers ReviewType.
type TypeReview struct {
	Type DocType `json:"doc_type"`
	Note string  `json:"note,omitempty"`
}

// TypeQuestion is what people are shown with ReviewType.
type TypeQuestion struct {
	DocumentID string  `json:"doc_id"`
	Guess      DocType `json:"guess"`
	Confidence float64 `json:"confidence"`
	Excerpt    string  `json:"excerpt"`
}

// InvoiceReview answers ReviewInvoice. To correct it, send the whole invoice.
type InvoiceReview struct {
	Action  Action   `json:"action"`
	Invoice *Invoice `json:"invoice,omitempty"`
	Note    string   `json:"note,omitempty"`
}

// InvoiceQuestion is what people are shown with ReviewInvoice.
type InvoiceQuestion struct {
	DocumentID string   `json:"doc_id"`
	Problems   []string `json:"problems"`
	Invoice    Invoice  `json:"invoice"`
	Excerpt    string   `json:"excerpt"`
}

// Action is what to do with an invoice that does not add up.
type Action string

// The actions.
const (
	Keep    Action = "keep"    // take it as it was read, and flag it
	Correct Action = "correct" // take the one in the answer, if that adds up
)

// Values lists the actions, for forms and schemas.
func (Action) Values() []string { return []string{string(Keep), string(Correct)} }

// note keeps a remark, with its reason if there is one.
func (d *Document) note(remark, reason string) {
	if reason != "" {
		remark += " (" + reason + ")"
	}
	d.Notes = append(d.Notes, remark)
}

// verdict says what a person made of the model's guess.
func verdict(guess, said DocType) string {
	if guess == said {
		return fmt.Sprintf("confirmed as %q", said)
	}
	return fmt.Sprintf("said to be %q, not %q", said, guess)
}

// excerpt is the beginning of a text, for people.
func excerpt(text string) string {
	const most = 800
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if len(text) <= most {
		return text
	}
	end := most
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + " …"
}

// Surety is the confidence of the type for people; empty if there is none.
func (d *Document) Surety() string {
	if d.Confidence == nil {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100**d.Confidence)
}

// Summary is the essence of a result in one line.
func (d *Document) Summary() string {
	switch {
	case d.Invoice != nil:
		i := d.Invoice
		return strings.TrimSpace(fmt.Sprintf("%s  %s %s  %s", or(i.Number, "no number"), i.Total, i.Currency, i.Supplier))
	case d.Contract != nil:
		names := make([]string, len(d.Contract.Parties))
		for i, p := range d.Contract.Parties {
			names[i] = p.Name
		}
		return or(d.Contract.Title, "no title") + "  " + strings.Join(names, " / ")
	}
	return "for a person to read"
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
