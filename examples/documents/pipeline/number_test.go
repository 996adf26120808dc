package pipeline_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/durable-go/durable/examples/documents/pipeline"
)

func TestParseMoney(t *testing.T) {
	const none = pipeline.MarkUnknown
	for _, c := range []struct {
		in   string
		mark pipeline.Mark
		want string // empty: refused
	}{
		{"1.234,56", none, "1234.56"},
		{"1,234.56", none, "1234.56"},
		{"1'234.50", none, "1234.50"},
		{"1’234’567.05", none, "1234567.05"},
		{"1 238,00", none, "1238.00"},
		{"1\u00a0238,00", none, "1238.00"},
		{"1\u202f238,00", none, "1238.00"},
		{"12.345.678", none, "12345678.00"},
		{"1.234", none, "1234.00"},
		{"1,234", none, "1234.00"},
		{"1.234", pipeline.MarkComma, "1234.00"},
		{"1.234", pipeline.MarkPoint, ""}, // finer than a cent
		{"12,5", none, "12.50"},
		{"0,65", none, "0.65"},
		{"100.0000", none, "100.00"},
		{"007", none, "7.00"},
		{"-43.80", none, "-43.80"},
		{"−43,80", none, "-43.80"},
		{"43.80-", none, "-43.80"},
		{"(43.80)", none, "-43.80"},
		{"+5", none, "5.00"},
		{"999999999999.99", none, "999999999999.99"},
		{"0.001", none, ""},
		{"1000000000000", none, ""},
		{"28.04.2025", none, ""},
		{"1.23.456", none, ""},
		{"12,34,567.00", none, ""},
		{"1,2345", none, ""},
		{"1.234.56", none, ""},
		{"1234,567.00", none, ""},
		{"1,234.567", none, ""},
		{"12.", none, ""},
		{".5", none, ""},
		{"", none, ""},
		{"-", none, ""},
		{"()", none, ""},
		{"12a", none, ""},
		{"١٢", none, ""},
	} {
		got, err := pipeline.ParseMoney(c.in, c.mark)
		switch {
		case c.want == "" && !errors.Is(err, pipeline.ErrNumber):
			t.Errorf("ParseMoney(%q) = %v, %v, want ErrNumber", c.in, got, err)
		case c.want != "" && (err != nil || got.String() != c.want):
			t.Errorf("ParseMoney(%q) = %v, %v, want %s", c.in, got, err, c.want)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct {
		in   string
		mark pipeline.Mark
		want string
	}{
		{"0.1920", pipeline.MarkUnknown, "0.192"},
		{"0.125", pipeline.MarkUnknown, "0.125"},
		{"1.500", pipeline.MarkPoint, "1.5"},
		{"1.500", pipeline.MarkComma, "1500"},
		{"1,284.5", pipeline.MarkPoint, "1284.5"},
		{"6,5", pipeline.MarkComma, "6.5"},
		{"-2", pipeline.MarkUnknown, "-2"},
		{"0", pipeline.MarkUnknown, "0"},
	} {
		if got, err := pipeline.ParseDecimal(c.in, c.mark); err != nil || got.String() != c.want {
			t.Errorf("ParseDecimal(%q, %c) = %v, %v, want %s", c.in, c.mark, got, err, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct{ q, p, want string }{
		{"730", "0.192", "140.16"},
		{"1284.5", "0.045", "57.80"},
		{"0.5", "0.01", "0.01"}, // half a cent goes up
		{"-0.5", "0.01", "-0.01"},
		{"-2", "1490", "-2980.00"},
		{"999999999999", "999999999999", ""},
	} {
		q, _ := pipeline.ParseDecimal(c.q, pipeline.MarkPoint)
		p, _ := pipeline.ParseDecimal(c.p, pipeline.MarkPoint)
		got, ok := q.Times(p)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s × %s = %v, %v, want %q", c.q, c.p, got, ok, c.want)
		}
	}
}

func TestNumbersInJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"amount":"1234.50","quantity":"2.5","description":"","unit_price":"493.80"}`: "1234.50 2.5",
		`{"amount":"1.234,50","quantity":"3"}`:                                         "1234.50 3",
		`{"amount":null,"quantity":" "}`:                                               "0.00 0",
	} {
		var l pipeline.Line
		if err := json.Unmarshal([]byte(in), &l); err != nil {
			t.Errorf("%s: %v", in, err)
		} else if got := l.Amount.String() + " " + l.Quantity.String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{`{"amount":"much"}`, `{"amount":"1e3"}`, `{"quantity":"1.23456"}`} {
		var l pipeline.Line
		if err := json.Unmarshal([]byte(in), &l); !errors.Is(err, pipeline.ErrNumber) {
			t.Errorf("%s: %v, want ErrNumber", in, err)
		}
	}
	out, err := json.Marshal(pipeline.Line{Description: "x", Amount: -5})
	if want := `{"description":"x","amount":"-0.05"}`; err != nil || string(out) != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
}
