package examples_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/durable-go/durable/ai"
)

// [classify]
type DocType string

func (DocType) Values() []string { return []string{"invoice", "contract", "other"} }

// sort says what a text is, and whether a person should look.
func sort(ctx context.Context, text string) (kind DocType, look bool, err error) {
	var r ai.Response
	kind, err = ai.Classify[DocType](ctx, "smart", text, ai.Result(&r))
	return kind, r.Confidence != nil && *r.Confidence < 0.7, err
}

// [/classify]

// [extract]
type Bill struct {
	Number string     `json:"invoice_number"`
	Total  float64    `json:"total"`
	Lines  []BillLine `json:"line_items"`
}

type BillLine struct {
	Description string  `json:"description"`
	Amount      float64 `json:"amount"`
}

// Validate looks whether the lines add up. A model gets to read the error.
func (b Bill) Validate() error {
	sum := 0.0
	for _, l := range b.Lines {
		sum += l.Amount
	}
	if d := sum - b.Total; d > 0.005 || d < -0.005 {
		return fmt.Errorf("the lines add up to %.2f, not to %.2f", sum, b.Total)
	}
	return nil
}

func extract(ctx context.Context, text string) (Bill, error) {
	return ai.GenerateObject[Bill](ctx, "smart", "Extract the invoice fields.\n\n"+text)
}

// [/extract]

const oats = `ACME OATS LTD

INVOICE

Invoice No: A-17        Date: 3 March 2025
Bill to: Bluebell Bakery

Item            Qty   Price   Amount
Oats            3     100.00  300.00
Delivery        1      50.00   50.00

Total EUR                     350.00
`

func TestOffline(t *testing.T) {
	c, err := ai.New(ai.Config{
		Aliases: map[string]string{"smart": "offline:documents-1"},
		Getenv:  func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := ai.WithClient(t.Context(), c)
	if kind, look, err := sort(ctx, oats); err != nil || kind != "invoice" || look {
		t.Errorf("the bill is %s, %v, %v", kind, look, err)
	}
	if kind, look, err := sort(ctx, "ok thx"); err != nil || kind != "other" || !look {
		t.Errorf("nothing much is %s, %v, %v", kind, look, err)
	}
	b, err := extract(ctx, oats)
	if err != nil || b.Number != "A-17" || b.Total != 350 || len(b.Lines) != 2 || b.Lines[0].Amount != 300 {
		t.Errorf("read %+v, %v", b, err)
	}
	if _, err := extract(ctx, "The storm took the roof."); !ai.IsKind(err, ai.BadAnswer) {
		t.Errorf("made something up: %v", err)
	}
	if _, err := ai.GenerateText(ctx, "smart", "Write a poem."); !ai.IsKind(err, ai.Invalid) {
		t.Errorf("wrote a poem: %v", err)
	}
}
