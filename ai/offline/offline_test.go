package offline

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/examples/documents/samples"
)

const bill = `ACME OATS LTD
12 Mill Road

INVOICE

Invoice No: A-17        Date: 3 March 2025
Purchase order: PO 4411
Bill to: Bluebell Bakery

Item            Qty   Price   Amount
Oats            3     100.00  300.00
Delivery        1      50.00   50.00

Subtotal                      350.00
VAT 20%                        70.00
Total EUR                     420.00
`

func decode(t *testing.T, r *model.Response, err error) map[string]any {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(r.Message.Text), &m); err != nil {
		t.Fatalf("%s: %v", r.Message.Text, err)
	}
	return m
}

func TestOpen(t *testing.T) {
	if _, err := (Provider{}).Open(Documents); err != nil {
		t.Error(err)
	}
	if _, err := (Provider{}).Open("documents-2"); !model.IsKind(err, model.Invalid) {
		t.Errorf("an unknown model: %v", err)
	}
}

func TestAI30_Classifies(t *testing.T) {
	m := New()
	for schema, want := range map[string]string{
		enumSchema: `"invoice"`,
		`{"type":"object","properties":{"value":{"enum":["invoice","contract","other"]}},"required":["value"],"additionalProperties":false}`: `{"value":"invoice"}`,
		`{"$ref":"#/$defs/T","$defs":{"T":{"type":"string","enum":["Rechnung","Vertrag"]}}}`:                                                 `"Rechnung"`,
		`{"type":"object","properties":{"value":{"$ref":"#/$defs/T"}},"$defs":{"T":{"enum":["bill","unclear"]}}}`:                            `{"value":"bill"}`,
	} {
		r, err := ask(t, m, schema, bill)
		if err != nil || r.Message.Text != want || r.Confidence == nil || *r.Confidence < 0.9 {
			t.Errorf("%s: %+v, %v, want %s", schema, r, err, want)
		}
	}
	r, err := ask(t, m, `{"properties":{"kind":{"enum":["invoice","other"]},"confidence":{"type":"number"},"reasons":{"type":"array"},"reason":{"type":"string"}}}`, bill)
	got := decode(t, r, err)
	if got["kind"] != "invoice" || got["confidence"].(float64) < 0.9 || len(got["reasons"].([]any)) == 0 || got["reason"] == "" {
		t.Errorf("with its reasons: %v", got)
	}
	for _, bad := range []string{`{"enum":["spam","ham"]}`, `{"enum":["invoice","bill"]}`, `{"enum":["invoice","letter","other"]}`} {
		if r, err := ask(t, m, bad, bill); !model.IsKind(err, model.Invalid) {
			t.Errorf("%s: %v, %v, want a refusal", bad, r, err)
		}
	}
}

// A text that is none of the words is not surely one of them, though it must be one.
func TestNoneOfTheWords(t *testing.T) {
	s, _ := samples.Get("letter-complaint")
	r, err := ask(t, New(), `{"enum":["invoice","contract"]}`, s.Text)
	if err != nil || *r.Confidence > 0.3 {
		t.Errorf("a letter among invoices and contracts: %+v, %v", r, err)
	}
}

func TestAI30_Extracts(t *testing.T) {
	const schema = `{"type":"object","properties":{
		"number":{"type":"string"},"issueDate":{"type":"string","format":"date"},"vendor":{"type":"string"},
		"buyer":{"type":"object","properties":{"name":{"type":"string"}}},"currency":{"enum":["EUR","USD"]},
		"items":{"type":"array","items":{"$ref":"#/$defs/Row"}},
		"total_cents":{"type":"integer"},"vat":{"type":["number","null"]},"total":{"type":"object","properties":{"amount":{"type":"string"},"currency":{"type":"string"}}},
		"purchase_order":{"type":"string"},"net":{"type":"integer"},"discount":{"type":"number"},"kind":{"enum":["invoice","contract"]},
		"iban":{"type":"string"},"due_date":{"type":["string","null"],"format":"date"},"parties":{"type":"array"},"effective_date":{"type":"string","format":"date"}},
		"required":["iban","due_date","parties","effective_date"],
		"$defs":{"Row":{"type":"object","properties":{"desc":{"type":"string"},"qty":{"type":"integer"},"price":{"type":"number"},"amount":{"type":"number"}}}}}`
	const want = `{"buyer":{"name":"Bluebell Bakery"},"currency":"EUR","discount":0.00,"due_date":null,"iban":"","issueDate":"2025-03-03",` +
		`"items":[{"amount":300.00,"desc":"Oats","price":100,"qty":3},{"amount":50.00,"desc":"Delivery","price":50,"qty":1}],` +
		`"kind":"invoice","net":350,"number":"A-17","parties":[],"purchase_order":"PO 4411","total":{"amount":"420.00","currency":"EUR"},"total_cents":42000,"vat":70.00,"vendor":"ACME OATS LTD"}`
	for _, prompt := range []string{"", "Extract the invoice fields.\n\n", "You read invoices. Return JSON.\n\n"} {
		r, err := ask(t, New(), schema, prompt+bill)
		if err != nil || r.Message.Text != want {
			t.Errorf("after %q\n got %+v, %v\nwant %s", prompt, r, err, want)
		}
		if err == nil && r.Confidence != nil {
			t.Error("an extraction claims to be measured")
		}
	}
}

// What is not there is not made up.
func TestNotFound(t *testing.T) {
	const schema = `{"type":"object","properties":{"invoice_number":{"type":"string"},"total":{"type":"number"},"line_items":{"type":"array"},
		"date":{"type":"string","format":"date"},"contract":{"type":"object","properties":{"title":{"type":"string"},"term":{"type":"string"}}}},
		"required":["invoice_number","total","line_items","date"]}`
	r, err := ask(t, New(), schema, "The storm took the roof of the barn.")
	if got := decode(t, r, err); got["invoice_number"] != "" || len(got["line_items"].([]any)) != 0 || got["total"] != nil || got["date"] != nil {
		t.Errorf("made up: %v", got)
	}
}

func TestContract(t *testing.T) {
	const text = `SERVICE AGREEMENT

This agreement is made on 4 May 2025 between Harrow Systems Ltd (the "Provider") and Fenwick & Sons LLP (the "Client").
It takes effect on 1 June 2025 for a fixed term of 24 months and is governed by the laws of Scotland.`
	const schema = `{"type":"object","properties":{"title":{"type":"string"},"parties":{"type":"array","items":{"type":"string"}},"party_b":{"type":"string"},
		"effective_date":{"type":"string","format":"date"},"duration":{"type":"string"},"governingLaw":{"type":"string"}}}`
	const want = `{"duration":"24 months","effective_date":"2025-06-01","governingLaw":"Scotland","parties":["Harrow Systems Ltd","Fenwick \u0026 Sons LLP"],"party_b":"Fenwick \u0026 Sons LLP","title":"SERVICE AGREEMENT"}`
	if r, err := ask(t, New(), schema, text); err != nil || r.Message.Text != want {
		t.Errorf("got %+v, %v\nwant %s", r, err, want)
	}
}

func TestAI30_Refuses(t *testing.T) {
	m := New()
	for name, r := range map[string]*model.Request{
		"free text":    {},
		"tools":        {Schema: json.RawMessage(enumSchema), Tools: []model.ToolDef{{Name: "x"}}},
		"extra":        {Schema: json.RawMessage(enumSchema), Extra: map[string]any{"a": 1}},
		"a bare list":  {Schema: json.RawMessage(`{"type":"array"}`)},
		"no schema":    {Schema: json.RawMessage(`5`)},
		"a PDF":        {Schema: json.RawMessage(enumSchema), Messages: []model.Message{{Role: model.User, Files: []model.File{{MIME: "application/pdf"}}}}},
		"numbers only": {Schema: json.RawMessage(`{"enum":[1,2]}`)},
	} {
		if r.Messages == nil {
			r.Messages = []model.Message{{Role: model.User, Text: bill}}
		}
		if _, err := m.Generate(t.Context(), r, nil); !model.IsKind(err, model.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Generate(ctx, &model.Request{}, nil); !model.IsKind(err, model.Transient) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// A repair turn is about the same document.
func TestSecondTurn(t *testing.T) {
	r := &model.Request{Schema: json.RawMessage(allSchema), Messages: []model.Message{
		{Role: model.User, Files: []model.File{{Name: "a.txt", MIME: "text/plain", Data: []byte(bill)}}, Text: "Extract the fields of this file."},
		{Role: model.Assistant, Text: "{}"},
		{Role: model.User, Text: "total is missing"},
	}}
	var seen string
	var usage *model.Usage
	resp, err := New().Generate(t.Context(), r, func(d model.Delta) {
		seen += d.Text
		if d.Usage != nil {
			usage = d.Usage
		}
	})
	if got := decode(t, resp, err); got["total"] != 420.0 || got["invoice_number"] != "A-17" {
		t.Errorf("got %v", got)
	}
	if seen != resp.Message.Text || usage == nil || *usage != resp.Usage || !usage.Estimated || usage.Input < 100 || resp.Cost.Unpriced != 1 {
		t.Errorf("seen %q, usage %+v, cost %v", seen, usage, resp.Cost)
	}
	r.MaxTokens = 5
	if short, err := New().Generate(t.Context(), r, nil); err != nil || short.Stop != model.StopLength || len(short.Message.Text) != 20 {
		t.Errorf("five tokens: %+v, %v", short, err)
	}
	r.MaxTokens, r.Stop = 0, []string{`"currency"`}
	if short, err := New().Generate(t.Context(), r, nil); err != nil || strings.Contains(short.Message.Text, "currency") {
		t.Errorf("a stop text: %+v, %v", short, err)
	}
}

// The model is asked again after a crash: the same text must get the same answer.
func TestDeterministic(t *testing.T) {
	for _, s := range samples.All() {
		for _, schema := range []string{enumSchema, allSchema} {
			a, err1 := ask(t, New(), schema, s.Text)
			b, err2 := ask(t, New(), schema, s.Text)
			if (err1 == nil) != (err2 == nil) || err1 == nil && (a.Message.Text != b.Message.Text || a.Confidence != nil && *a.Confidence != *b.Confidence) {
				t.Errorf("%s: %+v, then %+v", s.Name, a, b)
			}
		}
	}
}
