package aitest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/durable-go/durable/ai"
	"github.com/durable-go/durable/ai/model"
)

// Recording says how a cassette is recorded and played.
type Recording struct {
	// Config is that of the client. Aliases and providers are as in the program; keys are read only
	// when something is recorded.
	Config ai.Config
	// Redact changes texts before they are written, of requests and answers, after Config.Redact has. When the cassette is played, both are
	// applied to the requests as well, so that they are found: what they have made of a text they must leave as it is.
	Redact func(string) string
	// Hide are regular expressions: what they match is "[hidden]" in what is written, after the functions. They are written into the
	// cassette, so that it can be played without them; so they should not spell out what is secret.
	Hide []string
	// Partial says that a test may leave recorded calls out. Without it, one that nobody asks for fails the test.
	Partial bool
}

// Cassette returns a context whose calls are answered from a file, without a key and without a
// network. With AI_RECORD=1 in the environment they go to the real models instead, and the file is written when the
// test ends without a failure of the cassette.
//
// The file has neutral requests and answers, not bytes of a wire. Equal requests are answered in the order
// in which they were recorded. A request that was not recorded fails the test with a diff to the nearest one; so do
// recorded calls that nobody asked for. What looks like a key is not written: that fails the test, too.
func Cassette(ctx context.Context, t TB, path string, r ...Recording) context.Context {
	t.Helper()
	var rec Recording
	if len(r) > 0 {
		rec = r[0]
	}
	if len(r) > 1 {
		t.Fatalf("aitest: %d Recordings, where one is enough", len(r))
	}
	c := &cassette{t: t, path: path, recording: os.Getenv("AI_RECORD") == "1", partial: rec.Partial, used: map[int]bool{}}
	if !c.recording {
		c.load(&rec)
	}
	var err error
	if c.redact, err = rec.redactor(); err != nil {
		t.Fatalf("aitest: %v", err)
	}
	c.tape.Hide = c.redact.hide
	outer := rec.Config.Around
	rec.Config.Around = func(name string, p model.Provider) model.Provider {
		if outer != nil {
			p = outer(name, p)
		}
		return taped{c, name, p}
	}
	client, err := ai.New(rec.Config)
	if err != nil {
		t.Fatalf("aitest: %v", err)
	}
	t.Cleanup(c.finish)
	return ai.WithClient(ctx, client)
}

type cassette struct {
	t         TB
	path      string
	redact    *redactor
	recording bool
	partial   bool

	mu     sync.Mutex
	tape   tape
	keys   []string // of the recorded requests, in a canonical form
	used   map[int]bool
	missed bool
}

func (c *cassette) load(rec *Recording) {
	c.t.Helper()
	b, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		c.t.Fatalf("aitest: there is no cassette %s: record it with AI_RECORD=1 and a key", c.path)
	} else if err != nil {
		c.t.Fatalf("aitest: %v", err)
	}
	if err := c.tape.read(b); err != nil {
		c.t.Fatalf("aitest: %s %v", c.path, err)
	}
	for _, call := range c.tape.Calls {
		c.keys = append(c.keys, key(call.Provider, call.Request))
	}
	rec.Hide = slices.Concat(c.tape.Hide, rec.Hide)
}

// key is a request for comparing and for people: indented JSON.
func key(provider string, r request) string {
	b, err := json.Marshal(struct {
		Provider string `json:"provider"`
		request
	}{provider, r})
	if err != nil {
		return err.Error()
	}
	out, err := decoded(b) // to bring members of schemas into one order
	if err != nil {
		return string(b)
	}
	b, _ = json.MarshalIndent(out, "", "  ")
	return string(b)
}

// finish writes the cassette, or says what is left of it.
func (c *cassette) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.recording {
		if n := len(c.tape.Calls) - len(c.used); n > 0 && !c.missed && !c.partial {
			c.t.Errorf("aitest: %s: %d of %d recorded calls were not asked for; record it anew with AI_RECORD=1", c.path, n, len(c.tape.Calls))
		}
		return
	}
	if c.missed {
		return
	}
	b, err := c.tape.bytes()
	if err != nil {
		c.t.Errorf("aitest: %s is not written: %v", c.path, err)
		return
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err == nil {
		err = os.WriteFile(c.path, b, 0o644)
		if err != nil {
			c.t.Errorf("aitest: %v", err)
		}
	} else {
		c.t.Errorf("aitest: %v", err)
	}
}

// taped is a provider behind a cassette.
type taped struct {
	c    *cassette
	name string
	p    model.Provider
}

// Open implements model.Provider.
func (p taped) Open(name string) (model.Model, error) {
	if !p.c.recording {
		return tapedModel{p.c, p.name, nil}, nil
	}
	m, err := p.p.Open(name)
	return tapedModel{p.c, p.name, m}, err
}

type tapedModel struct {
	c    *cassette
	name string
	m    model.Model // nil when the cassette is played
}

// Generate implements model.Model.
func (m tapedModel) Generate(ctx context.Context, r *model.Request, on func(model.Delta)) (*model.Response, error) {
	asked, err := m.c.redact.request(r)
	if err != nil {
		return nil, &model.Error{Kind: model.Invalid, Provider: "aitest", Model: r.Model, Err: err}
	}
	if m.m == nil {
		p := m.c.find(m.name, asked, r)
		return p.play(ctx, on)
	}
	resp, err := m.m.Generate(ctx, r, on)
	if wrong := m.c.take(m.name, asked, resp, err); wrong != nil {
		m.c.t.Errorf("aitest: %v", wrong)
	}
	return resp, err
}

// take keeps a call that was made. What cannot be kept fails the test, not the call.
func (c *cassette) take(provider string, asked request, resp *model.Response, err error) error {
	var e *model.Error
	if err != nil && !errors.As(err, &e) {
		return nil // nothing that a provider said
	}
	call, err := c.redact.take(provider, asked, resp, e)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tape.Calls = append(c.tape.Calls, call)
	return nil
}
