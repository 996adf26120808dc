package model

import (
	"bytes"
	"encoding/json"
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

// MarshalJSON writes a string, so that no reader rounds it.
func (m Money) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// MarshalJSON writes a string, so that no reader rounds it.
func (d Decimal) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads what MarshalJSON writes, what people type into a form, and numbers.
func (m *Money) UnmarshalJSON(b []byte) error {
	s, err := literal(b)
	if err != nil || s == "" {
		return err
	}
	*m, err = ParseMoney(s, markOf(b))
	return err
}

// UnmarshalJSON reads what MarshalJSON writes, what people type into a form, and numbers.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	s, err := literal(b)
	if err != nil || s == "" {
		return err
	}
	*d, err = ParseDecimal(s, MarkPoint)
	return err
}

// markOf is MarkPoint for a JSON number: there 1.234 has three decimals, and is refused.
func markOf(b []byte) Mark {
	if bytes.HasPrefix(b, []byte(`"`)) {
		return MarkUnknown
	}
	return MarkPoint
}

// literal is the text of a JSON string or number; "" for null and for an empty field.
func literal(b []byte) (string, error) {
	if len(b) == 0 || b[0] != '"' {
		return strings.TrimPrefix(string(b), "null"), nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	return strings.TrimSpace(s), err
}
