package ai

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

//go:embed prices.json
var embeddedPrices []byte

// prices says what models cost.
type prices struct {
	AsOf   string          `json:"as_of"` // 2026-09-30
	Models map[string]rate `json:"models"`

	rest *prices // of the models that it does not name; nil: they are not known
}

// rate is what a model costs, in dollars for a million tokens. What is not there is not known.
type rate struct {
	Input        *float64 `json:"input"`
	CacheRead    *float64 `json:"cache_read,omitempty"`
	CacheWrite   *float64 `json:"cache_write,omitempty"`
	CacheWrite1h *float64 `json:"cache_write_1h,omitempty"` // kept for longer than 5 minutes
	Output       *float64 `json:"output"`
	UpTo         int64    `json:"up_to,omitempty"` // with more tokens of input it costs something else
}

// pricesWith is the table that is built in, with the models of another one before its own.
func pricesWith(own []byte) (*prices, error) {
	built, err := readPrices(embeddedPrices)
	if err != nil || own == nil {
		return built, err
	}
	p, err := readPrices(own)
	if p != nil {
		p.rest = built
	}
	return p, err
}

// readPrices reads a table: {"as_of": "2026-09-30", "models": {"anthropic:NAME": {"input": 3, "output": 15, …}}}.
func readPrices(raw []byte) (*prices, error) {
	var p prices
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, err
	}
	var problems []error
	if _, err := time.Parse(time.DateOnly, p.AsOf); err != nil {
		problems = append(problems, errors.New("as_of is no date, as in 2026-09-30"))
	}
	for name, r := range p.Models {
		if _, _, ok := strings.Cut(name, ":"); !ok {
			problems = append(problems, fmt.Errorf("%q is no model: it reads provider:name", name))
		}
		if r.Input == nil || r.Output == nil {
			problems = append(problems, fmt.Errorf("%s: input or output is missing", name))
		}
		for _, f := range []*float64{r.Input, r.CacheRead, r.CacheWrite, r.CacheWrite1h, r.Output} {
			if f != nil && !(*f >= 0 && *f < 1e6) {
				problems = append(problems, fmt.Errorf("%s: a price is %v", name, *f))
			}
		}
	}
	return &p, errors.Join(problems...)
}

// of finds the price of a model: by its name, or by the name before its date.
func (p *prices) of(provider, name string) (rate, bool) {
	provider = strings.TrimSuffix(provider, "-chat") // another wire to the same models
	for name := name; ; {
		if r, ok := p.Models[provider+":"+name]; ok {
			return r, true
		}
		short := undated(name)
		if short == name {
			break
		}
		name = short
	}
	if p.rest != nil {
		return p.rest.of(provider, name)
	}
	return rate{}, false
}

// undated is a model's name without the date or the word latest at its end.
func undated(name string) string {
	if s, ok := strings.CutSuffix(name, "-latest"); ok {
		return s
	}
	for _, form := range []string{"-20060102", "-2006-01-02", "@20060102"} {
		if cut := len(name) - len(form); cut > 0 && name[cut] == form[0] {
			if _, err := time.Parse(form[1:], name[cut+1:]); err == nil {
				return name[:cut]
			}
		}
	}
	return name
}

// cost is what a usage costs; nil if a part of it has no known price.
func (p *prices) cost(provider, name string, u Usage, cache time.Duration) *Money {
	r, ok := p.of(provider, name)
	if !ok || r.UpTo > 0 && u.Input+u.CacheRead+u.CacheWrite > r.UpTo {
		return nil
	}
	written := r.CacheWrite
	if cache > 5*time.Minute {
		written = r.CacheWrite1h
	}
	sum := 0.0
	for _, part := range []struct {
		tokens int64
		rate   *float64
	}{{u.Input, r.Input}, {u.CacheRead, r.CacheRead}, {u.CacheWrite, written}, {u.Output, r.Output}} {
		switch {
		case part.tokens == 0:
		case part.rate == nil || part.tokens < 0:
			return nil
		default:
			sum += float64(part.tokens) * *part.rate // dollars for a million are millionths for one
		}
	}
	if sum >= math.MaxInt64/2 {
		return nil
	}
	m := Money(math.Ceil(sum - 1e-6))
	return &m
}

// most is what so many tokens may cost; nil if that is not known. What goes into a cache may cost more than other input.
func (p *prices) most(provider, name string, input, output int64, cache time.Duration) *Money {
	plain := p.cost(provider, name, Usage{Input: input, Output: output}, 0)
	if plain == nil || cache == 0 {
		return plain
	}
	if written := p.cost(provider, name, Usage{CacheWrite: input, Output: output}, cache); written != nil && *written > *plain {
		return written
	}
	return plain
}

// costOf makes a Cost of what is recorded.
func costOf(m *Money) Cost {
	if m == nil {
		return Cost{Unpriced: 1}
	}
	return Cost{Known: *m}
}

// Price is what a usage of a model costs by the prices of c, as it would be recorded. The name is one that the code may use. If no
// price is known, it says so.
func (c *Client) Price(modelName string, u Usage) Cost {
	s, err := c.resolve(modelName)
	if err != nil || s.url != "" {
		return Cost{Unpriced: 1}
	}
	return costOf(c.prices.cost(s.provider, s.name, u, 0))
}
