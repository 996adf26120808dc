package pipeline

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// Money is an amount in cents (hundredths of the currency's unit). In JSON it is a
// string in units, "1234.50", so that nothing rounds it.
type Money int64

// Decimal is a number in ten-thousandths: a quantity, a price that may be finer than a
// cent, or a percentage. In JSON it is a string, "2.5".
type Decimal int64

// Mark is what a document writes before the fraction.
type Mark byte

// The marks. MarkUnknown takes 1.234 and 1,234 for thousands, as money has no three decimals.
const (
	MarkUnknown Mark = 0
	MarkPoint   Mark = '.'
	MarkComma   Mark = ','
)

// ErrNumber is wrapped by all errors of ParseMoney and ParseDecimal.
var ErrNumber = errors.New("not a number")

// ParseMoney reads an amount without its currency: 1.234,56 and 1,234.56, 1'234.56 and
// 1 234,56, -5, 5- and (5). More than two decimals are an error unless they are zeros.
func ParseMoney(s string, m Mark) (Money, error) {
	n, err := fixed(s, m, 2)
	return Money(n), err
}

// ParseDecimal reads a number in the same forms, with up to four decimals.
func ParseDecimal(s string, m Mark) (Decimal, error) {
	n, err := fixed(s, m, 4)
	return Decimal(n), err
}

// fixed reads s as an integer of 10^-places.
func fixed(s string, m Mark, places int) (int64, error) {
	body, neg := sign(s)
	whole, frac, ok := split(body, m)
	if !ok || len(whole) > maxDigits {
		return 0, fmt.Errorf("%w: %.40q", ErrNumber, s)
	}
	if trimmed := strings.TrimRight(frac, "0"); len(trimmed) > places {
		return 0, fmt.Errorf("%w: %.40q has more than %d decimals", ErrNumber, s, places)
	}
	var n int64
	for i := range len(whole) {
		n = n*10 + int64(whole[i]-'0')
	}
	for i := range places {
		n *= 10
		if i < len(frac) {
			n += int64(frac[i] - '0')
		}
	}
	if neg {
		n = -n
	}
	return n, nil
}

// sign takes the sign off a number: -5, −5, 5- and (5) are negative.
func sign(s string) (body string, neg bool) {
	s = strings.TrimSpace(s)
	if len(s) > 2 && s[0] == '(' && s[len(s)-1] == ')' {
		return s[1 : len(s)-1], true
	}
	for _, minus := range [...]string{"-", "−", "–"} {
		if rest, ok := strings.CutPrefix(s, minus); ok {
			return strings.TrimSpace(rest), true
		}
		if rest, ok := strings.CutSuffix(s, minus); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return strings.TrimPrefix(s, "+"), false
}

// split separates whole digits and fraction. Groups must have three digits each, so that
// dates, phone numbers and versions are no numbers.
func split(s string, m Mark) (whole, frac string, ok bool) {
	if len(s) == 0 || len(s) > 40 {
		return "", "", false
	}
	s = strings.NewReplacer("\u00a0", " ", "\u202f", " ", "\u2009", " ", "’", "'").Replace(s)
	if i := decimalMark(s, m); i >= 0 {
		s, frac = s[:i], s[i+1:]
		if !digits(frac) {
			return "", "", false
		}
	}
	var group byte
	var out strings.Builder
	run, runs := 0, 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] >= '0' && s[i] <= '9' {
			out.WriteByte(s[i])
			run++
			continue
		}
		if run == 0 || run > 3 && (i < len(s) || runs > 0) || runs > 0 && run != 3 {
			return "", "", false
		}
		if i < len(s) {
			if !strings.ContainsRune(".,' ", rune(s[i])) || group != 0 && s[i] != group {
				return "", "", false
			}
			group = s[i]
		}
		run, runs = 0, runs+1
	}
	whole = strings.TrimLeft(out.String(), "0")
	return whole, frac, true
}

// decimalMark finds the byte before the fraction, or -1. Two kinds of mark: the last one.
// One kind, once: the fraction unless three digits follow, where the document decides.
func decimalMark(s string, m Mark) int {
	last := strings.LastIndexAny(s, ".,")
	if last < 0 {
		return -1
	}
	other := byte('.' + ',' - s[last])
	if strings.IndexByte(s, other) >= 0 || strings.ContainsAny(s[:last], "' ") {
		return last
	}
	if strings.IndexByte(s, s[last]) != last {
		return -1
	}
	if len(s)-last-1 == 3 && s[:last] != "0" && s[last] != byte(m) {
		return -1
	}
	return last
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Times multiplies and rounds half away from zero to a cent; false if it does not fit.
func (d Decimal) Times(p Decimal) (Money, bool) { return scale(int64(d), int64(p), 1_000_000) }

// Percent is p percent of m, rounded half away from zero to a cent.
func (m Money) Percent(p Decimal) (Money, bool) { return scale(int64(m), int64(p), 1_000_000) }

func scale(a, b, by int64) (Money, bool) {
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	lo, carry := bits.Add64(lo, uint64(by/2), 0)
	hi += carry
	if hi >= uint64(by) {
		return 0, false
	}
	q, _ := bits.Div64(hi, lo, uint64(by))
	if q > 1<<62 {
		return 0, false
	}
	if neg {
		return -Money(q), true
	}
	return Money(q), true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
