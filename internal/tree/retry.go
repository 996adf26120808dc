package tree

import (
	"math"
	"time"
)

// Backoff is how delays grow from one failure to the next.
type Backoff uint8

// The ways to grow.
const (
	Exponential Backoff = iota // Base·2ⁿ, at most Max
	Linear                     // Base·n, at most Max
	Constant                   // Base, whatever Max is
)

// Retry is a policy. The zero values of Base, Max and Jitter stand for the
// defaults below.
type Retry struct {
	MaxAttempts int
	Backoff     Backoff
	Base        time.Duration
	Max         time.Duration
	Jitter      float64 // < 0 = none
}

// Defaults of a policy.
const (
	DefaultBase   = time.Second
	DefaultMax    = 30 * time.Second
	DefaultJitter = 0.25

	DefaultUndos = 5 // attempts of a compensation
)

// Delay is the pause after the n-th failure, n from 1 (less counts as 1).
// draw is in [0, 1) and spreads the delay evenly over [1-Jitter, 1+Jitter] of
// what the policy says. It never overflows.
func (r Retry) Delay(n int, draw float64) time.Duration {
	base, limit, jitter := r.Base, r.Max, r.Jitter
	if base == 0 {
		base = DefaultBase
	}
	if limit == 0 {
		limit = DefaultMax
	}
	if jitter == 0 {
		jitter = DefaultJitter
	}
	d := grow(r.Backoff, base, max(n, 1))
	if r.Backoff != Constant {
		d = min(d, limit)
	}
	if jitter > 0 {
		spread := float64(d) * (1 - jitter + 2*jitter*draw)
		if spread >= math.MaxInt64 {
			return math.MaxInt64
		}
		d = time.Duration(spread)
	}
	return max(d, 0)
}

// grow is the delay before Max and jitter, saturating instead of overflowing.
func grow(b Backoff, base time.Duration, n int) time.Duration {
	switch b {
	case Constant:
		return base
	case Linear:
		if base > 0 && time.Duration(n) > math.MaxInt64/base {
			return math.MaxInt64
		}
		return base * time.Duration(n)
	default:
		if n >= 62 || base > math.MaxInt64>>n {
			return math.MaxInt64
		}
		return base << n
	}
}
