package pipeline

import (
	"fmt"
	"strings"
)

// String writes units and cents: -1234.50.
func (m Money) String() string {
	u := magnitude(int64(m))
	s := fmt.Sprintf("%d.%02d", u/100, u%100)
	if m < 0 {
		return "-" + s
	}
	return s
}

// String writes as many decimals as it takes: 2.5.
func (d Decimal) String() string {
	u := magnitude(int64(d))
	s := fmt.Sprintf("%d.%04d", u/10_000, u%10_000)
	s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	if d < 0 {
		return "-" + s
	}
	return s
}

// MarshalText makes it a string in JSON, so that no reader rounds it, and so that a model and a
// form are asked for one.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// MarshalText makes it a string in JSON, so that no reader rounds it.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes, what models answer, and what people type into a
// form. An empty text is zero.
func (m *Money) UnmarshalText(b []byte) (err error) {
	*m = 0
	if s := strings.TrimSpace(string(b)); s != "" {
		*m, err = ParseMoney(s, MarkUnknown)
	}
	return err
}

// UnmarshalText reads what MarshalText writes, what models answer, and what people type.
func (d *Decimal) UnmarshalText(b []byte) (err error) {
	*d = 0
	if s := strings.TrimSpace(string(b)); s != "" {
		*d, err = ParseDecimal(s, MarkPoint)
	}
	return err
}
