package aitest

import (
	"context"
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
	c.load(&rec)
	var err error
	if c.redact, err = rec.redactor(); err != nil {
		t.Fatalf("aitest: %s: %v", path, err)
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
	calls  map[digest][]int // those that are recorded
	used   map[int]bool
	missed bool
}

// load reads the file. One that was exported is played in any case: no model could say it again. What a file hides is hidden
// when it is recorded anew, too.
func (c *cassette) load(rec *Recording) {
	c.t.Helper()
	b, err := os.ReadFile(c.path)
	switch {
	case errors.Is(err, os.ErrNotExist) && c.recording:
		return
	case errors.Is(err, os.ErrNotExist):
		c.t.Fatalf("aitest: there is no cassette %s: record it with AI_RECORD=1 and a key", c.path)
	case err != nil:
		c.t.Fatalf("aitest: %v", err)
	}
	var t tape
	err = t.read(b)
	if c.recording && (err != nil || !t.Exported) {
		rec.Hide = slices.Concat(t.Hide, rec.Hide)
		return
	}
	if err != nil {
		c.t.Fatalf("aitest: %s %v", c.path, err)
	}
	c.tape, c.recording, c.calls = t, false, make(map[digest][]int)
	for i, call := range t.Calls {
		d := call.Request.digest(call.Provider, t.ends[i])
		c.calls[d] = append(c.calls[d], i)
	}
	rec.Hide = slices.Concat(t.Hide, rec.Hide)
}

// finish writes the cassette, or says what is left of it.
func (c *cassette) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.recording {
		if n := len(c.tape.Calls) - len(c.used); n > 0 && !c.missed && !c.partial {
			c.t.Errorf("aitest: %s: %d of %d recorded calls were not asked for. %s", c.path, n, len(c.tape.Calls), c.anew())
		}
		return
	}
	if c.missed {
		return
	}
	b, err := c.tape.bytes(func() error { return nil })
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
	provider, asked, after, err := m.c.redact.request(m.name, r)
	if err != nil {
		return nil, &model.Error{Kind: model.Invalid, Provider: "aitest", Model: r.Model, Err: err}
	}
	if m.m == nil {
		return m.c.find(provider, asked, after, r).play(ctx, on)
	}
	resp, err := m.m.Generate(ctx, r, on)
	call := taken{Provider: provider, Request: asked}
	if wrong := m.c.take(ctx, call, after, resp, err); wrong != nil {
		m.c.t.Errorf("aitest: %v", wrong)
	}
	return resp, err
}

// take keeps a call that was made. What cannot be kept fails the test, not the call.
func (c *cassette) take(ctx context.Context, call taken, after []digest, resp *model.Response, err error) (wrong error) {
	var e *model.Error
	switch cause := context.Cause(ctx); {
	case err == nil:
		call.Response, wrong = c.redact.answer(resp)
	case errors.Is(cause, context.DeadlineExceeded), errors.Is(cause, context.Canceled):
		call.Unanswered = true
	case errors.As(err, &e):
		call.Error, wrong = c.redact.failure(e)
	default:
		return nil // nothing that a provider said
	}
	if wrong != nil {
		return wrong
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tape.add(call, after)
	return nil
}
