package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// section is what one workload measured.
type section struct {
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	At      time.Time `json:"at"`
	Took    float64   `json:"took_seconds"`
	Quick   bool      `json:"quick"`
	Rounds  int       `json:"rounds"`
	Machine machine   `json:"machine"`
	Metrics []*metric `json:"metrics"`
	Notes   []string  `json:"notes,omitempty"`
}

// metric is one number, measured once a round.
type metric struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	Must    *bound    `json:"must,omitempty"`
	Goal    *bound    `json:"goal,omitempty"`
	Samples []float64 `json:"samples"`
}

// metric adds a row to the section.
func (s *section) metric(id, name, unit string) *metric {
	m := &metric{ID: id, Name: name, Unit: unit, Samples: []float64{}}
	s.Metrics = append(s.Metrics, m)
	return m
}

// note says something about the section's numbers, once.
func (s *section) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.Notes, text) {
		s.Notes = append(s.Notes, text)
	}
}

// find returns a metric with samples, or nil.
func (s *section) find(id string) *metric {
	for _, m := range s.Metrics {
		if m.ID == id && len(m.Samples) > 0 {
			return m
		}
	}
	return nil
}

func (m *metric) must(b bound) *metric { m.Must = &b; return m }
func (m *metric) goal(b bound) *metric { m.Goal = &b; return m }

// add adds a sample. A ratio to nothing, which a disk that stood still for a
// whole window gives, is none.
func (m *metric) add(v float64) {
	if !math.IsInf(v, 0) && !math.IsNaN(v) {
		m.Samples = append(m.Samples, v)
	}
}

func (m *metric) addMS(d time.Duration) {
	m.add(float64(d) / float64(time.Millisecond))
}

// spread is the median and the range of the samples; the median of an even
// number is the mean of the middle two.
func (m *metric) spread() (median, low, high float64) {
	v := slices.Sorted(slices.Values(m.Samples))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]
}

// verdict says how the median stands to what is asked.
func (m *metric) verdict() string {
	if m.Must == nil && m.Goal == nil {
		return ""
	}
	if len(m.Samples) == 0 {
		return "unknown"
	}
	median, _, _ := m.spread()
	switch {
	case m.Must != nil && !m.Must.met(median):
		return "**missed** by " + m.Must.missed(median)
	case m.Goal == nil:
		return "met"
	case m.Goal.met(median):
		return "goal met"
	case m.Must == nil:
		return "goal missed by " + m.Goal.missed(median)
	}
	return "met; goal missed by " + m.Goal.missed(median)
}

// bound is what the project asks of a number.
type bound struct {
	AtMost bool    `json:"at_most,omitempty"`
	Value  float64 `json:"value"`
}

func atLeast(v float64) bound { return bound{Value: v} }
func atMost(v float64) bound  { return bound{AtMost: true, Value: v} }

func (b *bound) met(v float64) bool {
	if b.AtMost {
		return v <= b.Value
	}
	return v >= b.Value
}

func (b *bound) missed(v float64) string {
	return fmt.Sprintf("%.0f %%", math.Ceil(math.Abs(v-b.Value)/b.Value*100))
}

func (b *bound) String() string {
	if b == nil {
		return ""
	}
	return pick(b.AtMost, "≤ ", "≥ ") + figure(b.Value)
}

// figure prints a number with about three digits that mean something.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case a < 0.0005:
		return "0"
	case a >= 1000:
		return thousands(int64(math.Round(v)))
	case a >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && digits[i-1] != '-' && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// percentile of durations, which it sorts.
func percentile(took []time.Duration, p float64) time.Duration {
	slices.Sort(took)
	return took[min(len(took)-1, int(p*float64(len(took))))]
}
