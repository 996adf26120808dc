// Package gemini asks models over the Gemini API.
//
// It knows that wire and nothing of workflows. It tries once: whoever calls decides about retries.
// It was written after the sources of the official client and has not been tried against the live API.
package gemini

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// Provider has the models of an address that speaks the Gemini API. Its zero value is Google's.
type Provider struct {
	BaseURL     string // without /v1beta; or else GOOGLE_GEMINI_BASE_URL, or else https://generativelanguage.googleapis.com
	KeyEnv      string // the variable that holds the key; or else GOOGLE_API_KEY, or else GEMINI_API_KEY
	KeyOptional bool   // without a key requests go without one, instead of being an error

	// HTTP sends the requests; its redirects are not followed. If it is nil, all providers share one
	// that uses a proxy (HTTPS_PROXY, NO_PROXY) for https only.
	HTTP   *http.Client
	Header http.Header         // sent with every request
	Getenv func(string) string // nil: os.Getenv
}

// Open returns a model. A key that is not set is an *model.Error of kind Invalid that names the variables.
func (p Provider) Open(name string) (model.Model, error) {
	getenv := p.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	e, err := wire.Config{
		Provider: "gemini",
		BaseURL:  p.BaseURL, BaseEnv: "GOOGLE_GEMINI_BASE_URL", Default: "https://generativelanguage.googleapis.com",
		KeyEnv: p.KeyEnv, KeyVars: []string{"GOOGLE_API_KEY", "GEMINI_API_KEY"}, KeyOptional: p.KeyOptional, KeyHeader: "x-goog-api-key",
		HTTP: p.HTTP, Header: p.Header, Getenv: getenv,
	}.Open(strings.TrimPrefix(name, "models/"))
	if err != nil {
		return nil, err
	}
	return &generator{e}, nil
}

// Format prints the address, never a header.
func (p Provider) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

func (p Provider) String() string       { return "gemini.Provider(" + p.BaseURL + ")" }
func (p Provider) LogValue() slog.Value { return slog.StringValue(p.String()) }

// generator is a model.
type generator struct{ endpoint *wire.Endpoint }

func (m *generator) Bucket() string       { return m.endpoint.Bucket() }
func (m *generator) String() string       { return m.endpoint.String() }
func (m *generator) LogValue() slog.Value { return slog.StringValue(m.String()) }

func (m *generator) Generate(ctx context.Context, r *model.Request, on func(model.Delta)) (*model.Response, error) {
	body, err := m.encode(r)
	if err != nil {
		return nil, m.endpoint.Refuse("%w", err)
	}
	return m.endpoint.Do(ctx, wire.Ask{
		Path: "/v1beta/models/" + url.PathEscape(m.endpoint.Model()) + ":streamGenerateContent?alt=sse",
		Body: body, Request: r, Answer: &answer{request: r}, Problem: problem,
	}, on)
}
