package pipeline

import (
	"context"

	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/offline"
)

// Smart is the name of the model that the pipeline asks. What it means is up to the
// configuration: an alias of that name, or AI_MODEL_SMART in the environment.
const Smart = "smart"

// The questions. Each is asked in one place, so that the pipeline and Straight ask the same.

// typeOf asks what a text is. The confidence is nil where the model measures none.
func typeOf(ctx context.Context, text string) (t DocType, confidence *float64, err error) {
	var r ai.Response
	t, err = ai.Classify[DocType](ctx, Smart, quoted(text), ai.Result(&r))
	return t, r.Confidence, err
}

// invoiceOf asks what an invoice says. Amounts that do not add up go back to the model once. If they
// still do not, a person decides, and the run does not fail: then the invoice is the last one that
// could be decoded, and its Validate says what is wrong.
func invoiceOf(ctx context.Context, text string) (Invoice, error) {
	i, err := ai.GenerateObject[Invoice](ctx, Smart, "Extract the fields of this invoice. Leave empty what it does not say.\n\n"+quoted(text))
	if ai.IsKind(err, ai.BadAnswer) {
		err = nil
	}
	return i, err
}

// contractOf asks what a contract says. Gaps are no mistake of the model: Check names them.
func contractOf(ctx context.Context, text string) (Contract, error) {
	c, err := ai.GenerateObject[Contract](ctx, Smart, "Extract the fields of this contract. Leave empty what it does not say.\n\n"+quoted(text))
	if ai.IsKind(err, ai.BadAnswer) {
		err = nil
	}
	return c, err
}

// quoted keeps a document apart from what is asked about it.
func quoted(text string) string { return "<document>\n" + text + "\n</document>" }

// Offline is a client for which Smart is the offline model: rules and naive Bayes, no LLM, no
// network. It does not look at the environment.
func Offline() (*ai.Client, error) {
	return ai.New(ai.Config{
		Aliases: map[string]string{Smart: "offline:" + offline.Documents},
		Getenv:  func(string) string { return "" },
	})
}
