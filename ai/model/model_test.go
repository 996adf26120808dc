package model_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/durable-go/durable/ai/model"
)

func TestMoney(t *testing.T) {
	for m, want := range map[model.Money]string{
		0: "$0.00", model.USD / 2: "$0.50", 12: "$0.000012", 12_000: "$0.012", -1_500_000: "-$1.50", 3 * model.USD: "$3.00",
	} {
		if got := m.String(); got != want {
			t.Errorf("%d prints %s, want %s", int64(m), got, want)
		}
	}
}

// An unknown price is never shown as nothing.
func TestCost(t *testing.T) {
	for want, c := range map[string]model.Cost{
		"$0.012":                {Known: 12_000},
		"≥ $0.012 (2 unpriced)": {Known: 12_000, Unpriced: 2},
		"unknown (1 unpriced)":  {Unpriced: 1},
	} {
		if got := c.String(); got != want {
			t.Errorf("%+v prints %s, want %s", c, got, want)
		}
	}
	if sum := (model.Cost{Known: 1, Unpriced: 1}).Add(model.Cost{Known: 2, Unpriced: 3}); sum != (model.Cost{Known: 3, Unpriced: 4}) {
		t.Errorf("the sum is %+v", sum)
	}
}

func TestError(t *testing.T) {
	e := &model.Error{Kind: model.RateLimited, Provider: "anthropic", Model: "m", Status: 429, Code: "rate_limit_error", RequestID: "r1", Err: errors.New("slow down")}
	const want = "ai: anthropic: m: rate limited, status 429, rate_limit_error: slow down (request r1)"
	if e.Error() != want {
		t.Errorf("prints %s, want %s", e, want)
	}
	if wrapped := fmt.Errorf("step: %w", e); !model.IsKind(wrapped, model.RateLimited) || model.IsKind(wrapped, model.Auth) {
		t.Error("the kind is lost in a wrapped error")
	}
	e.Err = errors.New(strings.Repeat("é", 5000))
	if n := len(e.Error()); n > 2300 {
		t.Errorf("a long text of a provider makes an error of %d bytes", n)
	}
}
