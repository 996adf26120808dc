// Package anthropic asks models over Anthropic's Messages API, also at other addresses that speak it.
//
// It knows that wire and nothing of workflows. It tries once: whoever calls decides about retries.
// It was written after the sources of the official client and has not been tried against the live API.
package anthropic

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// Provider has the models of an address that speaks the Messages API. Its zero value is Anthropic itself.
type Provider struct {
	BaseURL     string // without /v1; or else ANTHROPIC_BASE_URL, or else https://api.anthropic.com
	KeyEnv      string // the variable that holds the key; or else ANTHROPIC_API_KEY
	KeyOptional bool   // without a key requests go without one, instead of being an error

	// HTTP sends the requests; its redirects are not followed. If it is nil, all providers share one
	// that uses a proxy (HTTPS_PROXY, NO_PROXY) for https only.
	HTTP   *http.Client
	Header http.Header         // sent with every request
	Getenv func(string) string // nil: os.Getenv
}

// Open returns a model. A key that is not set is an *model.Error of kind Invalid that names the variable.
func (p Provider) Open(name string) (model.Model, error) {
	getenv := p.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	e, err := wire.Config{
		Provider: "anthropic",
		BaseURL:  p.BaseURL, BaseEnv: "ANTHROPIC_BASE_URL", Default: "https://api.anthropic.com",
		KeyEnv: p.KeyEnv, KeyVars: []string{"ANTHROPIC_API_KEY"}, KeyOptional: p.KeyOptional, KeyHeader: "x-api-key",
		HTTP: p.HTTP, Header: p.Header, Getenv: getenv,
	}.Open(name)
	if err != nil {
		return nil, err
	}
	return &messages{e}, nil
}

// Format prints the address, never a header.
func (p Provider) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

func (p Provider) String() string       { return "anthropic.Provider(" + p.BaseURL + ")" }
func (p Provider) LogValue() slog.Value { return slog.StringValue(p.String()) }

// messages is a model.
type messages struct{ endpoint *wire.Endpoint }

func (m *messages) Bucket() string       { return m.endpoint.Bucket() }
func (m *messages) String() string       { return m.endpoint.String() }
func (m *messages) LogValue() slog.Value { return slog.StringValue(m.String()) }

func (m *messages) Generate(ctx context.Context, r *model.Request, on func(model.Delta)) (*model.Response, error) {
	body, err := m.encode(r)
	if err != nil {
		return nil, m.endpoint.Refuse("%w", err)
	}
	return m.endpoint.Do(ctx, wire.Ask{
		Path: "/v1/messages", Body: body, Request: r, Answer: &answer{request: r},
		Header:    http.Header{"Anthropic-Version": {"2023-06-01"}},
		RequestID: []string{"request-id"},
		Problem:   problem,
	}, on)
}
