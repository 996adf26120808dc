package pipeline_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/durable-go/durable/examples/documents/pipeline"
)

func TestMoney(t *testing.T) {
	for in, want := range map[string]string{ // empty: refused
		"1234.50":                 "1234.50",
		"1234,5":                  "1234.50",
		"100.0000":                "100.00",
		"007":                     "7.00",
		"-43.80":                  "-43.80",
		"-0.05":                   "-0.05",
		" 5 ":                     "5.00",
		"":                        "0.00",
		"999999999999.99":         "999999999999.99",
		"0.001":                   "", // finer than a cent
		"1000000000000":           "",
		"1,234.50":                "",
		"1.234,50":                "",
		"1'234":                   "",
		"28.04.2025":              "",
		"12.":                     "",
		".5":                      "",
		"-":                       "",
		"--5":                     "",
		"1e3":                     "",
		"12a":                     "",
		"much":                    "",
		"١٢":                      "",
		"1\n2":                    "",
		"0.00000000000000000001":  "",
		"0.000000000000000000000": "0.00",
	} {
		var got pipeline.Money
		err := got.UnmarshalText([]byte(in))
		switch {
		case want == "" && !errors.Is(err, pipeline.ErrNumber):
			t.Errorf("%q: %v, %v, want ErrNumber", in, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%q: %v, %v, want %s", in, got, err, want)
		}
	}
}

func number(t *testing.T, s string) (d pipeline.Decimal) {
	t.Helper()
	if err := d.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecimal(t *testing.T) {
	for in, want := range map[string]string{"0.1920": "0.192", "1.500": "1.5", "6,5": "6.5", "-2": "-2", "0": "0", "-0.0001": "-0.0001", "100": "100"} {
		if got := number(t, in); got.String() != want {
			t.Errorf("%q: %v, want %s", in, got, want)
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
		got, ok := number(t, c.q).Times(number(t, c.p))
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s × %s = %v, %v, want %q", c.q, c.p, got, ok, c.want)
		}
	}
}

func TestNumbersInJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"amount":"1234.50","quantity":"2.5","description":"","unit_price":"493.80"}`: "1234.50 2.5",
		`{"amount":"1234,50","quantity":"3"}`:                                          "1234.50 3",
		`{"amount":null,"quantity":" "}`:                                               "0.00 0",
	} {
		var l pipeline.Line
		if err := json.Unmarshal([]byte(in), &l); err != nil {
			t.Errorf("%s: %v", in, err)
		} else if got := l.Amount.String() + " " + l.Quantity.String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{`{"amount":"much"}`, `{"amount":"1.234,50"}`, `{"quantity":"1.23456"}`} {
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
