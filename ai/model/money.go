package model

import (
	"fmt"
	"strings"
)

// Money is an amount in millionths of a US dollar.
type Money int64

// USD is one US dollar.
const USD Money = 1_000_000

// String prints dollars with as many digits as are needed, at least two: $0.50, $0.000012.
func (m Money) String() string {
	sign := ""
	u := uint64(m)
	if m < 0 {
		sign, u = "-", uint64(-m)
	}
	digits := strings.TrimRight(fmt.Sprintf("%06d", u%1_000_000), "0")
	for len(digits) < 2 {
		digits += "0"
	}
	return fmt.Sprintf("%s$%d.%s", sign, u/1_000_000, digits)
}

// Cost is what calls cost: the part that is known, and how many calls have no known price. A price
// that is not known is never zero.
type Cost struct {
	Known    Money `json:"known"`
	Unpriced int   `json:"unpriced,omitempty"`
}

// Add returns the sum.
func (c Cost) Add(d Cost) Cost { return Cost{c.Known + d.Known, c.Unpriced + d.Unpriced} }

// String prints "$0.012", or "≥ $0.012 (2 unpriced)", or "unknown" if nothing is known.
func (c Cost) String() string {
	switch {
	case c.Unpriced == 0:
		return c.Known.String()
	case c.Known == 0:
		return fmt.Sprintf("unknown (%d unpriced)", c.Unpriced)
	}
	return fmt.Sprintf("≥ %s (%d unpriced)", c.Known, c.Unpriced)
}
