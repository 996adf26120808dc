// Package pipeline reads the post of an office: it says what each document is, takes the
// invoice or contract out of it, checks the amounts, and asks a person where it is unsure.
//
// It is an example of packages durable and ai, to be copied. It knows workflows and asks a model by
// the name Smart; which one that is, and its key, are the configuration's. Where documents come from and
// where results go are fields of Pipeline.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

// Document is the state that flows from step to step. It is stored after each of them.
type Document struct {
	ID         string    `json:"doc_id"`
	Content    string    `json:"content,omitempty"`
	Type       DocType   `json:"doc_type,omitempty"`
	Confidence *float64  `json:"confidence,omitempty"` // of the type; nil where the model measures none
	Invoice    *Invoice  `json:"invoice,omitempty"`
	Contract   *Contract `json:"contract,omitempty"`
	Valid      bool      `json:"valid,omitempty"`        // the amounts add up
	Review     bool      `json:"needs_review,omitempty"` // a person should look at it some day
	Notes      []string  `json:"notes,omitempty"`        // what was odd, and what people said
}

// Body is the function of a step.
type Body = func(ctx context.Context, d *Document) error

// Pipeline is what the steps need from outside.
type Pipeline struct {
	Source  Source
	Archive Archive

	// Around, if set, wraps the body of every step: for traces, or for counting how often
	// bodies really run.
	Around func(Body) Body
}

// Source is where documents come from.
type Source interface {
	// Fetch returns the text of a document; the error wraps fs.ErrNotExist if there is none.
	Fetch(ctx context.Context, id string) (string, error)
}

// Archive is where results go.
type Archive interface {
	// Put keeps a result under a key. A second Put with that key replaces the first: a step
	// runs at least once, and the key is the same each time, so nothing is kept twice.
	Put(ctx context.Context, key string, d Document) error
}

// Name is the name of the workflow.
const Name = "process_document"

// aiRetry is for what is left when package ai gives up. It waits out rate limits and overload by itself, without
// using an attempt and without holding a slot.
var aiRetry = durable.Retry{MaxAttempts: 4, Backoff: durable.Exponential}

// Workflow declares how the steps follow each other.
func (p *Pipeline) Workflow() *durable.Workflow[Document] {
	return durable.Define(Name,
		p.step("fetch", p.fetch),
		p.step("classify", p.classify).Retry(aiRetry).Queue("ai"),
		durable.Branch("by_type", func(d *Document) DocType { return d.Type }).
			Case(TypeInvoice,
				p.step("extract_invoice", p.extractInvoice).Retry(aiRetry).Queue("ai"),
				p.step("validate_invoice", p.validateInvoice)).
			Case(TypeContract,
				p.step("extract_contract", p.extractContract).Retry(aiRetry).Queue("ai")).
			Default(
				p.step("flag_for_review", p.flagForReview)),
		p.step("store", p.store),
	)
}

// step is durable.Step, with Around.
func (p *Pipeline) step(name string, body Body) *durable.StepNode[Document] {
	if p.Around != nil {
		body = p.Around(body)
	}
	return durable.Step(name, body)
}

func (p *Pipeline) fetch(ctx context.Context, d *Document) error {
	text, err := p.Source.Fetch(ctx, d.ID)
	if err != nil {
		return missing(err)
	}
	d.Content = text
	return nil
}

// classify asks the model, and a person if the model is unsure. The wait suspends the run
// for as long as it takes; then the body runs again from its top. The model's answer is
// recorded, so the call is not paid for twice.
func (p *Pipeline) classify(ctx context.Context, d *Document) (err error) {
	d.Type, d.Confidence, err = typeOf(ctx, d.Content)
	if err != nil || d.sure() {
		return err
	}
	review, err := durable.WaitForInput[TypeReview](ctx, ReviewType,
		durable.Prompt(fmt.Sprintf("What is this document? The model says %s, but is only %.0f%% sure.", d.Type, 100**d.Confidence)),
		durable.Details(TypeQuestion{DocumentID: d.ID, Guess: d.Type, Confidence: *d.Confidence, Excerpt: excerpt(d.Content)}),
		durable.Timeout(24*time.Hour),
		durable.OnTimeout(TypeReview{Type: TypeOther, Note: "nobody answered within a day"}))
	if err != nil {
		return err
	}
	d.note(verdict(d.Type, review.Type), review.Note)
	d.Type = review.Type
	return nil
}

// sure says whether the type may be used without a person's look.
func (d *Document) sure() bool { return d.Confidence == nil || *d.Confidence >= Sure }

func (p *Pipeline) extractInvoice(ctx context.Context, d *Document) error {
	invoice, err := invoiceOf(ctx, d.Content)
	if err != nil {
		return err
	}
	d.Invoice = &invoice
	return nil
}

// validateInvoice lets nobody pay an invoice that does not add up without a person's word.
// An answer that corrects it is checked like the model's: it may be asked again.
func (p *Pipeline) validateInvoice(ctx context.Context, d *Document) error {
	for {
		problems := d.Invoice.Check()
		if len(problems) == 0 {
			d.Valid = true
			return nil
		}
		review, err := durable.WaitForInput[InvoiceReview](ctx, ReviewInvoice,
			durable.Prompt("This invoice does not add up. Keep it as it was read, or correct it?"),
			durable.Details(InvoiceQuestion{DocumentID: d.ID, Problems: problems, Invoice: *d.Invoice, Excerpt: excerpt(d.Content)}),
			durable.Timeout(24*time.Hour),
			durable.OnTimeout(InvoiceReview{Action: Keep, Note: "nobody answered within a day"}))
		switch {
		case errors.Is(err, durable.ErrPayload): // an amount that is none: ask again
			continue
		case err != nil:
			return err
		case review.Action == Keep:
			d.Notes = append(d.Notes, problems...)
			d.note("kept as it was read", review.Note)
			d.Review = true
			return nil
		case review.Invoice != nil:
			d.note("corrected", review.Note)
			d.Invoice = review.Invoice
		}
	}
}

func (p *Pipeline) extractContract(ctx context.Context, d *Document) error {
	contract, err := contractOf(ctx, d.Content)
	if err != nil {
		return err
	}
	d.Contract = &contract
	d.Notes = append(d.Notes, contract.Check()...)
	d.Review = len(contract.Check()) > 0
	return nil
}

func (p *Pipeline) flagForReview(_ context.Context, d *Document) error {
	d.Review = true
	return nil
}

func (p *Pipeline) store(ctx context.Context, d *Document) error {
	info, _ := durable.Info(ctx)
	return p.Archive.Put(ctx, info.IdempotencyKey, *d)
}
