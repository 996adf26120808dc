package model_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/durable-go/durable/examples/documents/model"
	"github.com/durable-go/durable/examples/documents/samples"
)

// askAll asks all three questions and checks what holds for every text.
func askAll(t *testing.T, m model.Model, text string) model.Classification {
	t.Helper()
	ctx := context.Background()
	c, err := m.Classify(ctx, text)
	if err != nil || c.Confidence < 0 || c.Confidence > 0.99 || len(c.Reasons) == 0 {
		t.Fatalf("Classify: %+v, %v", c, err)
	}
	inv, err := m.ExtractInvoice(ctx, text)
	if err != nil && !errors.Is(err, model.ErrNotText) {
		t.Fatal(err)
	}
	con, err2 := m.ExtractContract(ctx, text)
	if !errors.Is(err2, err) {
		t.Fatalf("one says %v, the other %v", err, err2)
	}
	inv.Check()
	con.Check()
	for _, v := range []any{c, inv, con} {
		b, err := json.Marshal(v)
		if err != nil || !utf8.Valid(b) || strings.Contains(string(b), `\ufffd`) && utf8.ValidString(text) && !strings.Contains(text, "\ufffd") {
			t.Fatalf("not fit for JSON: %s, %v", b, err)
		}
	}
	return c
}

func TestNotText(t *testing.T) {
	m := model.NewRules()
	for name, text := range map[string]string{
		"empty":  "",
		"blank":  " \n\t\r\n",
		"zeros":  strings.Repeat("\x00", 5000),
		"png":    "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00\x00\x00\x01\x00\x08\x06\x00\x00\x00",
		"utf-16": "I\x00n\x00v\x00o\x00i\x00c\x00e\x00",
	} {
		if c := askAll(t, m, text); c.Kind != model.KindOther || c.Confidence >= 0.3 {
			t.Errorf("%s: %s with %.2f, want other, unsure", name, c.Kind, c.Confidence)
		}
		if _, err := m.ExtractInvoice(context.Background(), text); !errors.Is(err, model.ErrNotText) {
			t.Errorf("%s: %v, want ErrNotText", name, err)
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
	m := model.NewRules()
	want, _ := m.ExtractInvoice(context.Background(), s.Text)
	got, err := m.ExtractInvoice(context.Background(), string(old))
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(got)
	if err != nil || string(a) != string(b) {
		t.Errorf("got %s, %v\nwant %s", b, err, a)
	}
}

// Each of these is as long as is read, and of a shape that costs most somewhere. That the
// test ends is the point: none may need more than a moment.
func TestHostile(t *testing.T) {
	m := model.NewRules()
	for _, unit := range []string{
		"(", "1 ", "9", ".", "a", "invoice ", "between ", "between (\"", "governed by ", "dated 1.1.1.1 ", "1 of of of of ",
		"total 1.00\n", "x  1 2 3 4 5 6 7 8 9.00 3% 4% 5% 10.00\n", "this quotation not an invoice ", "|", "é", "\u00a01",
		"item  qty  amount\n", "1/1/", "\n", "İ", "(1) (2) ", "1.1.1.1.1.1 A\n", "for a period of one one ", "EUR", "\xff", "invoice:   ",
	} {
		askAll(t, m, strings.Repeat(unit, (1<<20)/len(unit)+10))
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m := model.NewRules()
	if _, err := m.Classify(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Classify: %v", err)
	}
	if _, err := m.ExtractInvoice(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("ExtractInvoice: %v", err)
	}
	if _, err := m.ExtractContract(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("ExtractContract: %v", err)
	}
}

func FuzzModel(f *testing.F) {
	for _, s := range samples.All() {
		f.Add(s.Text[:min(len(s.Text), 2000)])
	}
	m := model.NewRules()
	f.Fuzz(func(t *testing.T, text string) { askAll(t, m, text) })
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1.234,56", "(5)", "1 2", "-0", "0,0", "12,345,678.9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, mark := range []model.Mark{model.MarkUnknown, model.MarkPoint, model.MarkComma} {
			d, err := model.ParseDecimal(s, mark)
			if err != nil {
				continue
			}
			if again, err := model.ParseDecimal(d.String(), model.MarkPoint); err != nil || again != d {
				t.Errorf("%q is %v, which reads as %v, %v", s, d, again, err)
			}
		}
	})
}
