package ai

import (
	"fmt"
	"net/url"
	"sync"

	"github.com/durable-go/durable/ai/anthropic"
	"github.com/durable-go/durable/ai/gemini"
	"github.com/durable-go/durable/ai/offline"
	"github.com/durable-go/durable/ai/openai"
)

// The built-in providers, to be given other addresses and keys in Config.Providers.
type (
	// Anthropic has models over the Messages API; built in as "anthropic".
	Anthropic = anthropic.Provider
	// OpenAI has models over the Responses API; built in as "openai".
	OpenAI = openai.Provider
	// OpenAIChat has models over the Chat Completions API, which many servers speak; built in as "openai-chat".
	OpenAIChat = openai.Chat
	// Gemini has models over the Gemini API; built in as "gemini".
	Gemini = gemini.Provider
	// Ollama has the models of an Ollama server; built in as "ollama".
	Ollama = openai.Ollama
	// Offline has a model that is none: rules and statistics for documents, without a network; built in as "offline".
	Offline = offline.Provider
)

// environment is the client of those who have none. There is one, since everybody who uses the same key
// has to slow down together.
var environment = sync.OnceValues(func() (*Client, error) { return New(Config{}) }) // lint:var one per process, with the cool-downs of its keys

func fromEnvironment() (*Client, error) { return environment() }

// provider is who has the models of a spec.
func (c *Client) provider(s spec) (Provider, error) {
	if s.url != "" {
		return c.addressed(s)
	}
	if p := c.cfg.Providers[s.provider]; p != nil {
		return p, nil
	}
	switch s.provider {
	case "anthropic":
		return Anthropic{HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	case "openai":
		return OpenAI{HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	case "openai-chat":
		return OpenAIChat{HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	case "gemini":
		return Gemini{HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	case "ollama":
		return Ollama{HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	case "offline":
		return learnt{c}, nil
	}
	return nil, fmt.Errorf("%q: no such provider; the providers are anthropic, openai, openai-chat, gemini, ollama, offline, and those in Config.Providers", s.String())
}

// learnt is Offline, which learns its texts only once.
type learnt struct{ c *Client }

// Open is Provider's.
func (l learnt) Open(name string) (Model, error) {
	if name == offline.Documents {
		return l.c.offline()
	}
	return Offline{}.Open(name)
}

// addressed is a wire at an address of its own. Its key is that of the host and of nobody else; a server that wants
// none gets none.
func (c *Client) addressed(s spec) (Provider, error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, fmt.Errorf("%q: the address is no URL", s.provider+"@…")
	}
	key := "AI_KEY_" + shout(u.Hostname())
	switch s.provider {
	case "anthropic":
		return Anthropic{BaseURL: s.url, KeyEnv: key, KeyOptional: true, HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	case "openai":
		return OpenAI{BaseURL: s.url, KeyEnv: key, KeyOptional: true, HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	case "openai-chat":
		return OpenAIChat{BaseURL: s.url, KeyEnv: key, KeyOptional: true, HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	case "gemini":
		return Gemini{BaseURL: s.url, KeyEnv: key, KeyOptional: true, HTTP: c.cfg.HTTP, Getenv: c.cfg.Getenv}, nil
	}
	return nil, fmt.Errorf("%q: the wires that can be at an address are anthropic, openai, openai-chat and gemini", s.provider+"@…")
}
