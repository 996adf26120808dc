package model

import (
	"context"
	"encoding/json"

	ai "github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/ai/offline"
)

// Rules is the Model that runs here, without a network: offline:documents-1, asked with the
// schemas below. Rules is safe for concurrent use; NewRules makes it.
type Rules struct{ model ai.Model }

// NewRules makes the model ready.
func NewRules() *Rules { return &Rules{offline.New()} }

// What is asked. Amounts are strings, so that nothing rounds them.
const (
	askKind = `{"type":"object","properties":{
		"kind":{"enum":["invoice","contract","other"]},"confidence":{"type":"number"},"reasons":{"type":"array","items":{"type":"string"}}}}`
	askInvoice = `{"type":"object","properties":{
		"invoice_number":{"type":"string"},"date":{"type":"string","format":"date"},"due_date":{"type":"string","format":"date"},
		"supplier":{"type":"string"},"customer":{"type":"string"},"currency":{"type":"string"},
		"line_items":{"type":"array","items":{"type":"object","properties":{
			"description":{"type":"string"},"quantity":{"type":"string"},"unit_price":{"type":"string"},
			"discount":{"type":"string"},"amount":{"type":"string"}}}},
		"discount":{"type":"string"},"net":{"type":"string"},"tax_rate":{"type":"string"},"tax":{"type":"string"},"total":{"type":"string"}},
		"required":["line_items"]}`
	askContract = `{"type":"object","properties":{
		"title":{"type":"string"},"parties":{"type":"array","items":{"type":"object","properties":{
			"name":{"type":"string"},"role":{"type":"string"}}}},
		"effective_date":{"type":"string","format":"date"},"term":{"type":"string"},"governing_law":{"type":"string"}}}`
)

// ask puts a question about a text, and reads the answer into out.
func (r *Rules) ask(ctx context.Context, text, schema string, out any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	resp, err := r.model.Generate(ctx, &ai.Request{
		Model: offline.Documents, Schema: json.RawMessage(schema),
		Messages: []ai.Message{{Role: ai.User, Text: "<document>" + text + "</document>"}},
	}, nil)
	if ai.IsKind(err, ai.Invalid) {
		return ErrNotText
	}
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(resp.Message.Text), out)
}

// Classify implements Model. The confidence counts on weights, not on a measured error rate.
func (r *Rules) Classify(ctx context.Context, text string) (c Classification, err error) {
	err = r.ask(ctx, text, askKind, &c)
	return c, err
}

// ExtractInvoice implements Model.
func (r *Rules) ExtractInvoice(ctx context.Context, text string) (i Invoice, err error) {
	err = r.ask(ctx, text, askInvoice, &i)
	return i, err
}

// ExtractContract implements Model. A contract that says it in unusual words comes back
// with gaps.
func (r *Rules) ExtractContract(ctx context.Context, text string) (c Contract, err error) {
	err = r.ask(ctx, text, askContract, &c)
	return c, err
}
