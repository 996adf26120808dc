package pipeline

import "context"

// Straight is the same work in one go, without package durable: what the pipeline must come
// to, whatever happens on the way. It calls no step, so that it can be held against them.
// It asks the model of ctx, outside of any run. Questions to people are answered by TypeByRule and
// InvoiceByRule.
func Straight(ctx context.Context, id, text string) (d Document, err error) {
	d.ID, d.Content = id, text
	if d.Type, d.Confidence, err = typeOf(ctx, text); err != nil {
		return d, err
	}
	if guess := d.Type; !d.sure() {
		r := TypeByRule(TypeQuestion{Guess: guess, Confidence: *d.Confidence})
		d.note(verdict(guess, r.Type), r.Note)
		d.Type = r.Type
	}
	switch d.Type {
	case TypeInvoice:
		i, err := invoiceOf(ctx, text)
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
	case TypeContract:
		k, err := contractOf(ctx, text)
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
