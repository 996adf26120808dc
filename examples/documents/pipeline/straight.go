package pipeline

import (
	"context"

	"github.com/durable-go/durable/examples/documents/model"
)

// Straight is the same work in one go, without package durable: what the pipeline must come
// to, whatever happens on the way. It calls no step, so that it can be held against them.
// Questions to people are answered by TypeByRule and InvoiceByRule.
func Straight(ctx context.Context, m model.Model, id, text string) (Document, error) {
	d := Document{ID: id, Content: text}
	c, err := m.Classify(ctx, text)
	if err != nil {
		return d, err
	}
	d.Type, d.Confidence = c.Kind, c.Confidence
	if c.Confidence < model.Sure {
		r := TypeByRule(TypeQuestion{Guess: c.Kind, Confidence: c.Confidence})
		d.note(verdict(c.Kind, r.Type), r.Note)
		d.Type = r.Type
	}
	switch d.Type {
	case model.KindInvoice:
		i, err := m.ExtractInvoice(ctx, text)
		if err != nil {
			return d, err
		}
		d.Invoice = &i
		bad := i.Check()
		if d.Valid = len(bad) == 0; !d.Valid {
			d.Notes = append(d.Notes, bad...)
			d.note("kept as it was read", InvoiceByRule(InvoiceQuestion{}).Note)
			d.Review = true
		}
	case model.KindContract:
		k, err := m.ExtractContract(ctx, text)
		if err != nil {
			return d, err
		}
		bad := k.Check()
		d.Contract, d.Notes, d.Review = &k, append(d.Notes, bad...), len(bad) > 0
	default:
		d.Review = true
	}
	return d, nil
}
