package pipeline

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// Money is an amount in cents (hundredths of the currency's unit). In JSON it is a
// string in units, "1234.50", so that no reader rounds it, and so that a model and a form
// are asked for one.
type Money int64

// Decimal is a number in ten-thousandths: a quantity, a price that may be finer than a
// cent, or a percentage. In JSON it is a string, "2.5".
type Decimal int64

// ErrNumber is wrapped by all errors of numbers that cannot be read. A model reads it in the
// turn in which it may repair its answer; a person beside the field of the form.
var ErrNumber = errors.New(`not a number in the form -1234.50`)

// form is what is read: no signs between thousands, since 1.234 is ambiguous.
var form = regexp.MustCompile(`^-?[0-9]{1,12}([.,][0-9]+)?$`)

const money, decimal = 2, 4 // decimals

// parse reads units as an integer of 10^-places. An empty text is zero.
func parse(text []byte, places int) (int64, error) {
	s := strings.TrimSpace(string(text))
	if s == "" {
		return 0, nil
	}
	if !form.MatchString(s) {
		return 0, fmt.Errorf("%w: %.40q", ErrNumber, s)
	}
	whole, fraction, _ := strings.Cut(strings.Replace(s, ",", ".", 1), ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > places {
		return 0, fmt.Errorf("%w: %.40q has more than %d decimals", ErrNumber, s, places)
	}
	n, _ := new(big.Int).SetString(whole+fraction+strings.Repeat("0", places-len(fraction)), 10)
	return n.Int64(), nil
}

// write is the opposite of parse, with at least so many decimals.
func write(n int64, places, least int) string {
	s := big.NewRat(n, pow10(places)).FloatString(places)
	for cut := places - least; cut > 0 && s[len(s)-1] == '0'; cut-- {
		s = s[:len(s)-1]
	}
	return strings.TrimSuffix(s, ".")
}

func pow10(n int) int64 { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil).Int64() }

func (m Money) String() string   { return write(int64(m), money, money) }
func (d Decimal) String() string { return write(int64(d), decimal, 0) }

// MarshalText writes units and cents: -1234.50.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// MarshalText writes as many decimals as it takes: 2.5.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes, also with a decimal comma. An empty text is zero.
func (m *Money) UnmarshalText(b []byte) error {
	n, err := parse(b, money)
	*m = Money(n)
	return err
}

// UnmarshalText reads what MarshalText writes, also with a decimal comma. An empty text is zero.
func (d *Decimal) UnmarshalText(b []byte) error {
	n, err := parse(b, decimal)
	*d = Decimal(n)
	return err
}

// Times multiplies and rounds half away from zero to a cent; false if it does not fit.
func (d Decimal) Times(p Decimal) (Money, bool) { return scale(int64(d), int64(p)) }

// Percent is p percent of m, rounded half away from zero to a cent.
func (m Money) Percent(p Decimal) (Money, bool) { return scale(int64(m), int64(p)) }

// scale is a × b / 1,000,000: ten-thousandths squared to hundredths, or a percentage in ten-thousandths.
func scale(a, b int64) (Money, bool) {
	product := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(a), big.NewInt(b)), big.NewInt(1_000_000))
	n, ok := new(big.Int).SetString(product.FloatString(0), 10)
	if !ok || !n.IsInt64() {
		return 0, false
	}
	return Money(n.Int64()), true
}
