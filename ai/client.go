package ai

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/ai/offline"
)

// Config says what model names mean. The zero Config knows the built-in providers, and reads
// aliases and keys from the environment.
type Config struct {
	// Aliases give names to models: "smart": "anthropic:claude-sonnet-4-20250514". Code uses the names. A name may
	// itself be a full model string: so a model that is gone is pointed elsewhere. In the environment AI_MODEL_SMART
	// (upper case, other characters as _) comes first.
	Aliases map[string]string
	// Providers are yours, by the word before the colon. They come before the built-in ones.
	Providers map[string]Provider
	// Limits hold back what is asked of a provider with one key, in this process: by provider:*, and by provider:name. They are
	// those of models, not of aliases.
	Limits map[string]Limit
	// Shared makes Limits, and waits for a provider's rate limits, hold over all workers on one database, for two more
	// small writes for each request. Without it a rate limit of a provider is waited for by this process, and by those that first use
	// the key after it was met: so it outlives a restart. Calls outside of steps share nothing.
	Shared bool
	// Budgets bound what a run may spend, by the name of its workflow. What its children, items that are spread, and all below
	// them spend counts, too.
	Budgets map[string]Budget
	// Prices is a table of prices in JSON, in the form that docs/ai.md gives. The models that it names cost what it says, all others what
	// the table that is built in says.
	Prices []byte
	// Redact, if set, changes texts that leave the conversation: what errors quote of providers and answers, which is also recorded and
	// logged, what this package logs, and cassettes. It does not change messages, recorded or sent: those are what the next turn
	// is about, and what people are shown who must agree. It may be called by many goroutines.
	Redact func(string) string
	// HTTP is for the built-in providers. Without it they have their own.
	HTTP *http.Client
	// Around, if set, stands around every provider that is asked, by what is before the colon in the model's full name. It may
	// answer instead: cassettes do. Nothing is read of a key before the provider in it is opened.
	Around func(name string, p Provider) Provider
	// Getenv reads the environment. Without it: os.Getenv.
	Getenv func(string) string
}

// Client asks models. Make one with New; all its methods may be used by many goroutines.
type Client struct {
	cfg     Config
	prices  *prices
	rates   *rates
	ledgers ledgers
	tabs    tabs
	forms   forms
	offline func() (Model, error) // learnt once
}

// New checks a configuration as a whole and returns all its problems together. It reads no
// keys: those are read when they are first needed, or by Check.
func New(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg, rates: newRates(maps.Clone(cfg.Limits)), ledgers: ledgers{runs: make(map[string]*ledger)}, tabs: newTabs()}
	c.cfg.Aliases, c.cfg.Providers, c.cfg.Budgets = maps.Clone(cfg.Aliases), maps.Clone(cfg.Providers), maps.Clone(cfg.Budgets)
	c.offline = sync.OnceValues(func() (Model, error) { return Offline{}.Open(offline.Documents) })
	if c.cfg.Getenv == nil {
		c.cfg.Getenv = os.Getenv
	}
	var problems []error
	var err error
	if c.prices, err = pricesWith(cfg.Prices); err != nil {
		problems = append(problems, fmt.Errorf("in Prices: %w", err))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Providers)) {
		switch {
		case name == "" || strings.ContainsAny(name, ":@ "):
			problems = append(problems, fmt.Errorf("in Providers: %q is no name: it has no colon, @ or space", name))
		case cfg.Providers[name] == nil:
			problems = append(problems, fmt.Errorf("in Providers: %q is nil", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Aliases)) {
		if name == "" {
			problems = append(problems, errors.New("in Aliases: a name is empty"))
		} else if to, err := c.resolve(name); err != nil {
			problems = append(problems, fmt.Errorf("in Aliases: %w", err))
		} else if _, err := c.provider(to); err != nil {
			problems = append(problems, fmt.Errorf("in Aliases: %q: %w", name, err))
		}
	}
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	c.checkLimits(wrong)
	if c.prices != nil {
		c.checkBudgets(wrong)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("ai: the configuration is wrong: %w", errors.Join(problems...))
	}
	return c, nil
}

type clientKey struct{}

// WithClient makes calls with that context use c. Give the context to Engine.Run, and all steps have it.
func WithClient(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// clientOf is the client of a context, or one that knows only the environment.
func clientOf(ctx context.Context) (*Client, error) {
	if c, _ := ctx.Value(clientKey{}).(*Client); c != nil {
		return c, nil
	}
	return fromEnvironment()
}

// Check says at the start of a program whether models can be asked: that names lead to
// models, and that keys are set. It sends nothing. All problems come together.
func Check(ctx context.Context, models ...string) error {
	c, err := clientOf(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, m := range models {
		if _, err := c.open(m); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// open leads a name to its model.
func (c *Client) open(name string) (opened, error) {
	s, err := c.resolve(name)
	if err != nil {
		return opened{spec: s}, &Error{Kind: Invalid, Model: name, Err: err}
	}
	p, err := c.provider(s)
	if err != nil {
		return opened{spec: s}, &Error{Kind: Invalid, Model: name, Err: err}
	}
	if c.cfg.Around != nil {
		p = c.cfg.Around(s.where(), p)
	}
	m, err := p.Open(s.name)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Kind: Invalid, Provider: s.provider, Model: s.name, Err: err}
		}
		return opened{spec: s}, e
	}
	if m == nil {
		return opened{spec: s}, &Error{Kind: Invalid, Provider: s.provider, Model: s.name, Err: errors.New("its Provider has opened nothing: Open returned neither a model nor an error")}
	}
	o := opened{Model: m, spec: s, bucket: s.where()}
	if b, ok := m.(model.Bucketed); ok {
		o.bucket = b.Bucket()
	}
	return o, nil
}

// named adds to an error which alias led there, since that is what can be changed without new code.
func (c *Client) named(err error, asked string) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Kind: Invalid, Err: err}
	}
	if e.Kind != Invalid {
		return e
	}
	if len(asked) > maxName || !printable(asked) {
		return e // no name for an alias
	}
	hint := fmt.Sprintf("asked for as %q; an alias of that name, or %s, points it elsewhere", asked, variable(asked))
	if e.Err != nil {
		hint = advised(e.Err, hint)
	}
	named := *e
	named.Err = errors.New(hint)
	return &named
}

// advised is an error with advice, once.
func advised(err error, advice string) string {
	text := err.Error()
	if strings.HasSuffix(text, " ("+advice+")") { // it comes from a cassette
		return text
	}
	return text + " (" + advice + ")"
}

// redact is a text as it may leave the conversation.
func (c *Client) redact(text string) string {
	if c.cfg.Redact == nil {
		return text
	}
	return c.cfg.Redact(text)
}

// redacted is an error as it may leave the conversation.
func (c *Client) redacted(err error) error {
	if c.cfg.Redact == nil {
		return err
	}
	return errors.New(c.redact(err.Error()))
}
