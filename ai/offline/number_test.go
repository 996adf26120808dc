package offline

import (
	"errors"
	"testing"
)

func TestParseMoney(t *testing.T) {
	const none = markUnknown
	for _, c := range []struct {
		in   string
		mark mark
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
		{"1.234", markComma, "1234.00"},
		{"1.234", markPoint, ""}, // finer than a cent
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
		got, err := parseCents(c.in, c.mark)
		switch {
		case c.want == "" && !errors.Is(err, errNumber):
			t.Errorf("parseCents(%q) = %v, %v, want errNumber", c.in, got, err)
		case c.want != "" && (err != nil || got.String() != c.want):
			t.Errorf("parseCents(%q) = %v, %v, want %s", c.in, got, err, c.want)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct {
		in   string
		mark mark
		want string
	}{
		{"0.1920", markUnknown, "0.192"},
		{"0.125", markUnknown, "0.125"},
		{"1.500", markPoint, "1.5"},
		{"1.500", markComma, "1500"},
		{"1,284.5", markPoint, "1284.5"},
		{"6,5", markComma, "6.5"},
		{"-2", markUnknown, "-2"},
		{"0", markUnknown, "0"},
	} {
		if got, err := parseDecimal(c.in, c.mark); err != nil || got.String() != c.want {
			t.Errorf("parseDecimal(%q, %c) = %v, %v, want %s", c.in, c.mark, got, err, c.want)
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
		q, _ := parseDecimal(c.q, markPoint)
		p, _ := parseDecimal(c.p, markPoint)
		got, ok := q.times(p)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s × %s = %v, %v, want %q", c.q, c.p, got, ok, c.want)
		}
	}
}
