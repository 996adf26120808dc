package ai

import (
	"context"
	"strings"
	"testing"
	"time"
)

// The table that is built in can be read, and says what AI.md's line is built on: a model without a
// price has none.
func TestPrices(t *testing.T) {
	p, err := readPrices(embeddedPrices)
	if err != nil {
		t.Fatal(err)
	}
	used := Usage{Input: 1000, CacheRead: 2000, CacheWrite: 100, Output: 10}
	for name, c := range map[string]struct {
		model string
		u     Usage
		cache time.Duration
		want  Money // -1: not known
	}{
		"all four":          {"anthropic:claude-sonnet-4", used, 0, 3000 + 600 + 375 + 150},
		"by the date":       {"anthropic:claude-sonnet-4-20250514", used, 0, 3000 + 600 + 375 + 150},
		"latest":            {"anthropic:claude-3-5-haiku-latest", Usage{Input: 10, Output: 1}, 0, 12},
		"an hour":           {"anthropic:claude-sonnet-4", used, time.Hour, 3000 + 600 + 600 + 150},
		"another wire":      {"openai-chat:gpt-4o", Usage{Input: 4}, 0, 10},
		"rounded up":        {"openai:gpt-4o-mini", Usage{Input: 1}, 0, 1},
		"nothing":           {"openai:gpt-4o-mini", Usage{}, 0, 0},
		"unknown":           {"anthropic:claude-haiku-5-5", used, 0, -1},
		"no such rate":      {"anthropic:claude-2", Usage{Input: 1, CacheRead: 1}, 0, -1},
		"above its tier":    {"gemini:gemini-2.5-pro", Usage{Input: 200_001}, 0, -1},
		"within its tier":   {"gemini:gemini-2.5-pro", Usage{Input: 200_000}, 0, 250_000},
		"no date":           {"anthropic:claude-sonnet-4-99999999", used, 0, -1},
		"somebody's server": {"mine:claude-sonnet-4", used, 0, -1},
	} {
		provider, model, _ := strings.Cut(c.model, ":")
		switch got := p.cost(provider, model, c.u, c.cache); {
		case c.want < 0 && got != nil:
			t.Errorf("%s: %s, want it unknown", name, *got)
		case c.want >= 0 && (got == nil || *got != c.want):
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// What a client says of a price is what it records.
func TestClientPrice(t *testing.T) {
	c, err := New(Config{Getenv: noEnv, Aliases: map[string]string{"smart": "openai:gpt-4o-mini", "near": "openai@http://127.0.0.1/v1:gpt-4o-mini"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Cost{
		"smart": {Known: 1}, "openai:gpt-4o-mini": {Known: 1}, "near": {Unpriced: 1}, "offline:documents-1": {Unpriced: 1}, "nobody": {Unpriced: 1},
	} {
		if got := c.Price(name, Usage{Input: 1}); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// AI-28: without a price a cost is not known, sums say so, and a budget of money alone is refused.
func TestAI28_UnknownPrice(t *testing.T) {
	s, ctx := scriptedClient(t, says("a"))
	_ = s
	var r Response
	if _, err := GenerateText(ctx, "smart", "x", Result(&r)); err != nil || r.Cost != (Cost{Unpriced: 1}) || r.Cost.String() != "unknown (1 unpriced)" {
		t.Errorf("%v, %s", err, r.Cost)
	}
	if got := r.Cost.Add(Cost{Known: 12}).String(); !strings.HasPrefix(got, "≥ ") {
		t.Errorf("the sum is %s", got)
	}
	cfg := Config{
		Getenv: noEnv, Providers: map[string]Provider{"fake": &script{}}, Aliases: map[string]string{"smart": "fake:one"},
		Budgets: map[string]Budget{"w": {Money: USD}},
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "fake:one") {
		t.Error(err)
	}
	cfg.Budgets = map[string]Budget{"w": {Money: USD, Calls: 3}}
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
	cfg.Budgets = map[string]Budget{"w": {Money: USD}}
	cfg.Prices = []byte(`{"as_of":"2026-01-01","models":{"fake:one":{"input":1,"output":2}}}`)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// One that is not an alias is found out when it is asked for.
	j := step()
	err = j.Run(WithClient(t.Context(), c), func(ctx context.Context) error { _, err := GenerateText(ctx, "fake:two", "x"); return err })
	if !IsKind(err, Invalid) || !strings.Contains(err.Error(), "price is not known") {
		t.Error(err)
	}
}

// A price of one's own says what that model costs, whatever its date, and leaves those of all others as they are.
func TestAI28_OwnPrice(t *testing.T) {
	c, err := New(Config{Getenv: noEnv, Prices: []byte(`{"as_of": "2026-10-01", "models": {
		"corp:x": {"input": 1, "output": 2},
		"anthropic:claude-3-5-haiku": {"input": 7, "output": 8}}}`), Providers: map[string]Provider{"corp": Offline{}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Cost{
		"corp:x": {Known: 3}, "anthropic:claude-3-5-haiku": {Known: 15}, "anthropic:claude-3-5-haiku-latest": {Known: 15}, "anthropic:claude-3-5-haiku-20241022": {Known: 15},
		"anthropic:claude-sonnet-4": {Known: 18}, "anthropic:claude-haiku-5-5": {Unpriced: 1}, "corp:y": {Unpriced: 1},
	} {
		if got := c.Price(name, Usage{Input: 1, Output: 1}); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
