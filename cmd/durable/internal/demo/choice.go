package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/examples/documents/pipeline"
)

// What one start of the demo may spend where the model costs something.
const (
	mostMoney  = ai.USD / 2
	mostTokens = 200_000
)

// Choice is the model of a demo, and why it is that one.
type Choice struct {
	Name    string `json:"name"`
	Reason  string `json:"reason"`
	Offline bool   `json:"offline"`
	Badge   string `json:"badge,omitempty"` // what the offline model is
}

// Choose takes the model that is named, or else the one that this machine has.
func Choose(named string) Choice {
	c := Choice{Name: named, Reason: "--model names it"}
	if named == "" {
		c.Name, c.Reason = ai.Auto()
	}
	if c.Offline = IsOffline(c.Name); c.Offline {
		c.Badge = offline.Badge
	}
	return c
}

// Client is a client for which the pipeline's model is the one of a choice. url is that of a StandIn, if it is offline. One that
// costs something is bounded: by the budget of each run, and by a purse for all that the client asks.
func Client(c Choice, url string) (*ai.Client, error) {
	cfg := ai.Config{
		Aliases: map[string]string{pipeline.Smart: c.Name},
		Getenv: func(name string) string {
			if name == "AI_MODEL_SMART" { // it has been looked at, and would come before the choice
				return ""
			}
			return os.Getenv(name)
		},
	}
	if c.Offline {
		cfg.Providers = map[string]ai.Provider{"offline": Through(url)}
		return ai.New(cfg)
	}
	p := new(purse)
	cfg.Budgets = map[string]ai.Budget{pipeline.Name: {Money: mostMoney, Tokens: mostTokens}}
	cfg.Around = func(where string, inner ai.Provider) ai.Provider { return guarded{p, where, inner} }
	client, err := ai.New(cfg)
	if err != nil {
		return nil, err
	}
	p.price = client.Price
	return client, nil
}

// purse is what all runs together may spend. What is on its way is reserved, so calls beside each other do not overshoot.
type purse struct {
	price  func(model string, u ai.Usage) ai.Cost
	mu     sync.Mutex
	money  ai.Money
	tokens int64
}

// take reserves room for a request, or says that there is none.
func (p *purse) take(money ai.Money, tokens int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.money+money > mostMoney || p.tokens+tokens > mostTokens {
		return false
	}
	p.money, p.tokens = p.money+money, p.tokens+tokens
	return true
}

// put corrects what was reserved.
func (p *purse) put(money ai.Money, tokens int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.money, p.tokens = p.money+money, p.tokens+tokens
}

// guarded is a provider that takes from a purse before it asks.
type guarded struct {
	purse *purse
	where string
	inner ai.Provider
}

func (g guarded) Open(name string) (ai.Model, error) {
	m, err := g.inner.Open(name)
	if err != nil {
		return nil, err
	}
	return guardedModel{m, g.purse, g.where + ":" + name, g.where}, nil
}

type guardedModel struct {
	ai.Model
	purse *purse
	name  string
	where string
}

// Bucket is that of the model within.
func (m guardedModel) Bucket() string {
	if b, ok := m.Model.(interface{ Bucket() string }); ok {
		return b.Bucket()
	}
	return m.where
}

func (m guardedModel) Generate(ctx context.Context, r *ai.Request, on func(ai.Delta)) (*ai.Response, error) {
	bytes := len(r.System) + len(r.Schema)
	for _, msg := range r.Messages {
		bytes += len(msg.Text)
	}
	most := ai.Usage{Input: int64(bytes)/4 + 1, Output: int64(r.MaxTokens)}
	money, tokens := m.purse.price(m.name, most).Known, most.Total()
	if !m.purse.take(money, tokens) {
		return nil, &ai.Error{Kind: ai.Quota, Model: m.name, Code: "demo_budget", Err: fmt.Errorf("this demo may spend %s and %d tokens, which leaves no room for this call", mostMoney, mostTokens)}
	}
	resp, err := m.Model.Generate(ctx, r, on)
	var e *ai.Error
	switch {
	case resp != nil:
		m.purse.put(m.purse.price(m.name, resp.Usage).Known-money, resp.Usage.Total()-tokens)
	case errors.As(err, &e) && (e.Status >= 400 || e.Usage != ai.Usage{}):
		m.purse.put(m.purse.price(m.name, e.Usage).Known-money, e.Usage.Total()-tokens)
	} // else nobody knows: it counts in full
	return resp, err
}
