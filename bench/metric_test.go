package main

import (
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name       string
		must, goal *bound
		samples    []float64
		want       string
	}{
		{"nothing asked", nil, nil, []float64{1}, ""},
		{"not measured", ptr(atLeast(1)), nil, nil, "unknown"},
		{"met", ptr(atLeast(10)), nil, []float64{10}, "met"},
		{"missed", ptr(atLeast(10)), ptr(atLeast(20)), []float64{9}, "**missed** by 10 %"},
		{"the goal missed", ptr(atLeast(10)), ptr(atLeast(20)), []float64{15}, "met; goal missed by 25 %"},
		{"the goal met", ptr(atLeast(10)), ptr(atLeast(20)), []float64{20}, "goal met"},
		{"at most", ptr(atMost(10)), nil, []float64{10.1}, "**missed** by 1 %"},
		{"the median counts", ptr(atMost(10)), nil, []float64{900, 2, 3}, "met"},
		{"of two the mean", ptr(atMost(10)), nil, []float64{21, 1}, "**missed** by 10 %"},
	} {
		m := &metric{Must: c.must, Goal: c.goal, Samples: c.samples}
		if got := m.verdict(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func ptr(b bound) *bound { return &b }

// A rate over nothing has no place in a median, nor in JSON.
func TestSamplesAreNumbers(t *testing.T) {
	var m metric
	nothing := rate{n: 0, took: time.Second, cpu: time.Second}
	m.add(nothing.cost())
	m.add(0 / nothing.perSecond())
	m.add(nothing.perSecond())
	if len(m.Samples) != 1 || m.Samples[0] != 0 {
		t.Errorf("samples %v, want 0 alone", m.Samples)
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", -0.0001: "0", 0.1234: "0.123", 1.239: "1.24", 12.34: "12.3", 123.4: "123", 999.6: "1000", 1234567: "1,234,567", -1234.4: "-1,234", 25_000: "25,000",
	} {
		if got := figure(v); got != want {
			t.Errorf("figure(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var took []time.Duration
	for i := 100; i > 0; i-- {
		took = append(took, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{0.5: 51, 0.99: 100, 1: 100} {
		if got := percentile(took, p); got != want {
			t.Errorf("percentile %v = %d, want %d", p, got, want)
		}
	}
}
