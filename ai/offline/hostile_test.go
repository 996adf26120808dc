package offline

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/examples/documents/samples"
)

const (
	enumSchema = `{"enum":["invoice","contract","other"]}`
	allSchema  = `{"type":"object","properties":{
		"doc_type":{"enum":["invoice","contract","other"]},
		"invoice_number":{"type":"string"},"date":{"type":"string"},"due_date":{"type":"string","format":"date"},
		"supplier":{"type":"string"},"customer":{"type":"object","properties":{"name":{"type":"string"}}},"currency":{"type":"string"},
		"line_items":{"type":"array","items":{"type":"object","properties":{
			"description":{"type":"string"},"quantity":{"type":"number"},"unit_price":{"type":"number"},"amount":{"type":"number"}}}},
		"discount":{"type":"number"},"net":{"type":"number"},"tax_rate":{"type":"number"},"tax":{"type":"number"},"total":{"type":"number"},
		"title":{"type":"string"},"parties":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"role":{"type":"string"}}}},
		"effective_date":{"type":"string","format":"date"},"term":{"type":"string"},"governing_law":{"type":"string"},
		"purchase_order":{"type":"string"}}}`
)

// ask is a request with a text and a schema.
func ask(t *testing.T, m model.Model, schema, text string) (*model.Response, error) {
	t.Helper()
	return m.Generate(t.Context(), &model.Request{Model: Documents, Schema: json.RawMessage(schema), Messages: []model.Message{{Role: model.User, Text: text}}}, nil)
}

// askAll asks both questions and checks what holds for every text. It returns the answer of
// the first.
func askAll(t *testing.T, m model.Model, text string) *model.Response {
	t.Helper()
	c, err := ask(t, m, enumSchema, text)
	if err != nil || c.Confidence == nil || *c.Confidence < 0 || *c.Confidence > 0.99 {
		t.Fatalf("classified as %+v, %v", c, err)
	}
	all, err := ask(t, m, allSchema, text)
	if err != nil && !model.IsKind(err, model.Invalid) {
		t.Fatal(err)
	}
	for _, r := range []*model.Response{c, all} {
		if r == nil {
			continue
		}
		if out := r.Message.Text; !json.Valid([]byte(out)) || !utf8.ValidString(out) {
			t.Fatalf("not JSON: %s", out)
		}
	}
	return c
}

func TestNotText(t *testing.T) {
	m := New()
	for name, text := range map[string]string{
		"empty":  "",
		"blank":  " \n\t\r\n",
		"zeros":  strings.Repeat("\x00", 5000),
		"png":    "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00\x00\x00\x01\x00\x08\x06\x00\x00\x00",
		"utf-16": "I\x00n\x00v\x00o\x00i\x00c\x00e\x00",
	} {
		if c := askAll(t, m, text); c.Message.Text != `"other"` || *c.Confidence >= 0.3 {
			t.Errorf("%s: %s with %.2f, want other, unsure", name, c.Message.Text, *c.Confidence)
		}
		if r, err := ask(t, m, allSchema, text); !model.IsKind(err, model.Invalid) {
			t.Errorf("%s: %v, %v, want a refusal", name, r, err)
		}
	}
}

// An old file in Windows-1252 reads as well as one in UTF-8.
func TestWindows1252(t *testing.T) {
	s, _ := samples.Get("rechnung-tischlerei")
	var old []byte
	for _, r := range s.Text {
		if r == '€' {
			old = append(old, 0x80)
		} else {
			old = append(old, byte(r))
		}
	}
	want, err1 := ask(t, New(), allSchema, s.Text)
	got, err2 := ask(t, New(), allSchema, string(old))
	if err1 != nil || err2 != nil || got.Message.Text != want.Message.Text {
		t.Errorf("got %+v, %v\nwant %+v, %v", got, err2, want, err1)
	}
}

// Each of these is as long as is read, and of a shape that costs most somewhere. That the
// test ends is the point: none may need more than a moment.
func TestHostile(t *testing.T) {
	m := New()
	for _, unit := range []string{
		"(", "1 ", "9", ".", "a", "invoice ", "between ", "between (\"", "governed by ", "dated 1.1.1.1 ", "1 of of of of ",
		"total 1.00\n", "x  1 2 3 4 5 6 7 8 9.00 3% 4% 5% 10.00\n", "this quotation not an invoice ", "|", "é", "\u00a01",
		"item  qty  amount\n", "1/1/", "\n", "İ", "(1) (2) ", "1.1.1.1.1.1 A\n", "for a period of one one ", "EUR", "\xff", "invoice:   ",
	} {
		askAll(t, m, strings.Repeat(unit, (1<<20)/len(unit)+10))
	}
}

func FuzzModel(f *testing.F) {
	for _, s := range samples.All() {
		f.Add(s.Text[:min(len(s.Text), 2000)])
	}
	m := New()
	f.Fuzz(func(t *testing.T, text string) { askAll(t, m, text) })
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1.234,56", "(5)", "1 2", "-0", "0,0", "12,345,678.9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, mark := range []mark{markUnknown, markPoint, markComma} {
			d, err := parseDecimal(s, mark)
			if err != nil {
				continue
			}
			if again, err := parseDecimal(d.String(), markPoint); err != nil || again != d {
				t.Errorf("%q is %v, which reads as %v, %v", s, d, again, err)
			}
		}
	})
}
