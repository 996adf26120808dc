// Package openai asks models over OpenAI's Responses API and its Chat Completions API. The latter is also what
// compatible servers speak, and Ollama.
//
// It knows these wires and nothing of workflows. It tries once: whoever calls decides about retries.
// It was written after the sources of the official client and has not been tried against the live API.
package openai

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// Provider has the models of an address that speaks the Responses API. Its zero value is OpenAI itself. Nothing is
// stored there: store is false in every request.
type Provider struct {
	BaseURL     string // with /v1; or else OPENAI_BASE_URL, or else https://api.openai.com/v1
	KeyEnv      string // the variable that holds the key; or else OPENAI_API_KEY
	KeyOptional bool   // without a key requests go without one, instead of being an error

	// HTTP sends the requests; its redirects are not followed. If it is nil, all providers share one
	// that uses a proxy (HTTPS_PROXY, NO_PROXY) for https only.
	HTTP   *http.Client
	Header http.Header         // sent with every request
	Getenv func(string) string // nil: os.Getenv
}

// Chat has the models of an address that speaks the Chat Completions API: OpenAI (its zero value),
// and compatible servers such as vLLM, LM Studio, OpenRouter or Groq. Its fields are those of Provider.
type Chat Provider

// Ollama has the models of an Ollama server, over its Chat Completions API. It needs no key.
type Ollama struct {
	BaseURL string // without /v1; or else OLLAMA_HOST, or else http://127.0.0.1:11434
	KeyEnv  string // the variable that holds a key, if a gateway in front wants one

	HTTP   *http.Client        // see Provider
	Header http.Header         // sent with every request
	Getenv func(string) string // nil: os.Getenv
}

// Open returns a model. A key that is not set is an *model.Error of kind Invalid that names the variable.
func (p Provider) Open(name string) (model.Model, error) {
	e, err := p.open("openai", name)
	if err != nil {
		return nil, err
	}
	return &responses{e}, nil
}

// Open returns a model. A key that is not set is an *model.Error of kind Invalid that names the variable.
func (p Chat) Open(name string) (model.Model, error) {
	e, err := Provider(p).open("openai-chat", name)
	if err != nil {
		return nil, err
	}
	host := e.Host()
	own := host == "api.openai.com" || strings.HasSuffix(host, ".openai.com") || strings.HasSuffix(host, ".openai.azure.com")
	return &chat{endpoint: e, own: own}, nil
}

func (p Provider) open(provider, name string) (*wire.Endpoint, error) {
	return wire.Config{
		Provider: provider,
		BaseURL:  p.BaseURL, BaseEnv: "OPENAI_BASE_URL", Default: "https://api.openai.com/v1",
		KeyEnv: p.KeyEnv, KeyVars: []string{"OPENAI_API_KEY"}, KeyOptional: p.KeyOptional, KeyHeader: "Authorization", KeyPrefix: "Bearer ",
		HTTP: p.HTTP, Header: p.Header, Getenv: env(p.Getenv),
	}.Open(name)
}

// Open returns a model. Whether there is an Ollama server shows when it is asked.
func (p Ollama) Open(name string) (model.Model, error) {
	base, err := p.address()
	if err != nil {
		return nil, &model.Error{Kind: model.Invalid, Provider: "ollama", Model: name, Err: err}
	}
	e, err := wire.Config{
		Provider: "ollama", BaseURL: base + "/v1",
		KeyEnv: p.KeyEnv, KeyOptional: p.KeyEnv == "", KeyHeader: "Authorization", KeyPrefix: "Bearer ",
		HTTP: p.HTTP, Header: p.Header, Getenv: env(p.Getenv),
	}.Open(name)
	if err != nil {
		return nil, err
	}
	return &chat{endpoint: e, ollama: true}, nil
}

// address reads OLLAMA_HOST as Ollama does: a scheme, a host and a port, of which each may be missing.
func (p Ollama) address() (string, error) {
	if p.BaseURL != "" {
		return strings.TrimRight(p.BaseURL, "/"), nil
	}
	host := strings.Trim(strings.TrimSpace(env(p.Getenv)("OLLAMA_HOST")), `"'`)
	if host == "" {
		return "http://127.0.0.1:11434", nil
	}
	scheme, rest, ok := strings.Cut(host, "://")
	if !ok {
		scheme, rest = "http", host
	}
	rest, path, _ := strings.Cut(rest, "/")
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || u.User != nil {
		return "", fmt.Errorf("OLLAMA_HOST is not an address")
	}
	name, port := u.Hostname(), u.Port()
	if port == "" {
		port = map[string]string{"http": "11434", "https": "443"}[scheme]
		if ok && scheme == "http" {
			port = "80"
		}
	}
	if name == "" || name == "0.0.0.0" || name == "::" { // where a server listens, not where it is asked
		name = "127.0.0.1"
	}
	address := scheme + "://" + net.JoinHostPort(name, port)
	if path = strings.Trim(path, "/"); path != "" {
		address += "/" + path
	}
	return address, nil
}

func env(getenv func(string) string) func(string) string {
	if getenv == nil {
		return os.Getenv
	}
	return getenv
}

// Format prints the address, never a header.
func (p Provider) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

// Format prints the address, never a header.
func (p Chat) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

// Format prints the address, never a header.
func (p Ollama) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

func (p Provider) String() string { return "openai.Provider(" + p.BaseURL + ")" }
func (p Chat) String() string     { return "openai.Chat(" + p.BaseURL + ")" }
func (p Ollama) String() string   { return "openai.Ollama(" + p.BaseURL + ")" }

func (p Provider) LogValue() slog.Value { return slog.StringValue(p.String()) }
func (p Chat) LogValue() slog.Value     { return slog.StringValue(p.String()) }
func (p Ollama) LogValue() slog.Value   { return slog.StringValue(p.String()) }

// responses is a model over the Responses API.
type responses struct{ endpoint *wire.Endpoint }

func (m *responses) Bucket() string       { return m.endpoint.Bucket() }
func (m *responses) String() string       { return m.endpoint.String() }
func (m *responses) LogValue() slog.Value { return slog.StringValue(m.String()) }

func (m *responses) Generate(ctx context.Context, r *model.Request, on func(model.Delta)) (*model.Response, error) {
	body, err := m.encode(r)
	if err != nil {
		return nil, m.endpoint.Refuse("%w", err)
	}
	return m.endpoint.Do(ctx, wire.Ask{
		Path: "/responses", Body: body, Request: r, Answer: &items{request: r},
		RequestID: []string{"x-request-id"}, Problem: problem,
	}, on)
}

// chat is a model over the Chat Completions API.
type chat struct {
	endpoint *wire.Endpoint
	own      bool // it is OpenAI's
	ollama   bool
}

func (m *chat) Bucket() string       { return m.endpoint.Bucket() }
func (m *chat) String() string       { return m.endpoint.String() }
func (m *chat) LogValue() slog.Value { return slog.StringValue(m.String()) }

func (m *chat) Generate(ctx context.Context, r *model.Request, on func(model.Delta)) (*model.Response, error) {
	body, err := m.encode(r)
	if err != nil {
		return nil, m.endpoint.Refuse("%w", err)
	}
	a := &choice{request: r, ollama: m.ollama}
	return m.endpoint.Do(ctx, wire.Ask{
		Path: "/chat/completions", Body: body, Request: r, Answer: a,
		RequestID: []string{"x-request-id"}, Problem: problem,
	}, on)
}
