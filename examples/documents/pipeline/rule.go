package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/examples/internal/hold"
)

// TypeByRule answers ReviewType where no person is at hand: the model is believed if it is at
// least half sure. What is left is for people to read.
func TypeByRule(q TypeQuestion) TypeReview {
	if q.Confidence < 0.5 {
		return TypeReview{Type: TypeOther, Note: "by rule: the model is less than half sure"}
	}
	return TypeReview{Type: q.Guess, Note: "by rule"}
}

// InvoiceByRule answers ReviewInvoice: the invoice stays as it was read, and is flagged.
func InvoiceByRule(InvoiceQuestion) InvoiceReview {
	return InvoiceReview{Action: Keep, Note: "by rule"}
}

// Rule answers an open question by the rules above. A call of a model that waits for a person is a *hold.Error.
func Rule(in durable.PendingInput) (any, error) {
	var err error
	switch in.Name {
	case ReviewType:
		var q TypeQuestion
		if err = json.Unmarshal(in.Details, &q); err == nil {
			return TypeByRule(q), nil
		}
	case ReviewInvoice:
		var q InvoiceQuestion
		if err = json.Unmarshal(in.Details, &q); err == nil {
			return InvoiceByRule(q), nil
		}
	default:
		if err = fmt.Errorf("there is no rule for %q", in.Name); hold.Of(in) != nil {
			return nil, hold.Of(in)
		}
	}
	return nil, fmt.Errorf("input %s of run %s: %w", in.Name, in.Execution, err)
}

// AnswerByRule answers all questions of this pipeline that are open now, and says how many.
func AnswerByRule(ctx context.Context, e *durable.Engine) (answered int, err error) {
	for filter := (durable.InputFilter{Workflow: Name}); ; {
		page, err := e.PendingInputs(ctx, filter)
		if err != nil {
			return answered, err
		}
		for _, in := range page.Inputs {
			answer, err := Rule(in)
			if err != nil {
				return answered, err
			}
			err = e.ProvideInput(ctx, in.Execution, in.ID, answer, durable.By("rule"))
			switch {
			case err == nil:
				answered++
			case errors.Is(err, durable.ErrNoSuchWait) || errors.Is(err, durable.ErrRunDone):
				// Somebody else was faster.
			default:
				return answered, err
			}
		}
		if filter.Cursor = page.Cursor; filter.Cursor == "" {
			return answered, nil
		}
	}
}
