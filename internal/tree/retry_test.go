package tree

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRT2_DelayTable(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		retry Retry
		want  []time.Duration // after failure 1, 2, …
	}{
		{"defaults", Retry{}, []time.Duration{2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}},
		{"exponential", Retry{Base: 3 * s, Max: 20 * s}, []time.Duration{6 * s, 12 * s, 20 * s, 20 * s}},
		{"linear", Retry{Backoff: Linear, Base: 5 * s, Max: 12 * s}, []time.Duration{5 * s, 10 * s, 12 * s}},
		{"linear by default", Retry{Backoff: Linear}, []time.Duration{1 * s, 2 * s, 3 * s}},
		{"constant", Retry{Backoff: Constant, Base: 7 * s}, []time.Duration{7 * s, 7 * s, 7 * s}},
		{"constant above Max", Retry{Backoff: Constant, Base: 60 * s}, []time.Duration{60 * s, 60 * s}},
	} {
		c.retry.Jitter = -1
		for i, want := range c.want {
			if got := c.retry.Delay(i+1, 0.9); got != want {
				t.Errorf("%s: after failure %d %v, want %v", c.name, i+1, got, want)
			}
		}
		for _, n := range []int{0, -1, math.MinInt} {
			if got := c.retry.Delay(n, 0.1); got != c.want[0] {
				t.Errorf("%s: n = %d gives %v, want what n = 1 gives", c.name, n, got)
			}
		}
	}
}

func TestRT2_NoOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		durations := rapid.OneOf(rapid.Int64Range(1, math.MaxInt64), rapid.SampledFrom([]int64{1, math.MaxInt64, math.MaxInt64 / 2, 1 << 62}))
		r := Retry{
			Backoff: Backoff(rapid.IntRange(0, 2).Draw(t, "backoff")),
			Base:    time.Duration(durations.Draw(t, "base")),
			Max:     time.Duration(durations.Draw(t, "max")),
			Jitter:  -1,
		}
		n := rapid.OneOf(rapid.IntRange(-2, 70), rapid.Int()).Draw(t, "n")
		d := r.Delay(n, 0)
		switch {
		case r.Backoff == Constant && d != r.Base:
			t.Fatalf("constant %v, want %v", d, r.Base)
		case r.Backoff != Constant && (d > r.Max || d < min(r.Base, r.Max)):
			t.Fatalf("%v is outside of %v to %v", d, min(r.Base, r.Max), r.Max)
		}
		if n < math.MaxInt && r.Delay(n+1, 0) < d {
			t.Fatal("delays shrink")
		}
		r.Jitter = rapid.Float64Range(0, 1).Draw(t, "jitter")
		if d := r.Delay(n, rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "draw")); d < 0 {
			t.Fatalf("with jitter %v", d)
		}
	})
}

func TestRT3_JitterBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Retry{Backoff: Constant, Base: time.Duration(rapid.Int64Range(1000, 1e15).Draw(t, "base"))}
		r.Jitter = rapid.Float64Range(0, 1).Draw(t, "jitter")
		j := r.Jitter
		if j == 0 {
			j = DefaultJitter
		}
		draw := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "draw")
		d, base := float64(r.Delay(1, draw)), float64(r.Base)
		if d < base*(1-j)-2 || d > base*(1+j)+2 {
			t.Fatalf("%v of %v is outside of ± %v", d, base, j)
		}
		if want := base * (1 - j + 2*j*draw); math.Abs(d-want) > base*1e-9+2 {
			t.Fatalf("draw %v gives %v, want %v: not even", draw, d, want)
		}
	})
	full := Retry{}
	if d := full.Delay(9, math.Nextafter(1, 0)); d > 37500*time.Millisecond || d < 37*time.Second {
		t.Errorf("at most 1.25 Max: %v", d)
	}
}
