package aitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
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
	// applied to the requests as well, so that they are found.
	Redact func(string) string
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
	c := &cassette{t: t, path: path, redact: both(rec.Config.Redact, rec.Redact), recording: os.Getenv("AI_RECORD") == "1", used: map[int]bool{}}
	if !c.recording {
		c.load()
	}
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

// both is one function after the other; nil if there is none.
func both(first, second func(string) string) func(string) string {
	if first == nil || second == nil {
		if first == nil {
			return second
		}
		return first
	}
	return func(s string) string { return second(first(s)) }
}

// tape is the file.
type tape struct {
	Version int     `json:"version"`
	Calls   []taken `json:"calls"`
}

// taken is one recorded call.
type taken struct {
	Provider string          `json:"provider"`
	Request  request         `json:"request"`
	Response *model.Response `json:"response,omitempty"`
	Error    *failed         `json:"error,omitempty"`
}

// request is what a model was asked, without what changes nothing about the answer.
type request struct {
	Model       string          `json:"model"`
	System      string          `json:"system,omitempty"`
	Messages    []model.Message `json:"messages"`
	Tools       []model.ToolDef `json:"tools,omitempty"`
	ToolChoice  string          `json:"tool_choice,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Effort      string          `json:"effort,omitempty"`
	MaxTokens   int             `json:"max_tokens,omitempty"`
	Temperature *float64        `json:"temperature,omitempty"`
	Stop        []string        `json:"stop,omitempty"`
	Extra       map[string]any  `json:"extra,omitempty"`
}

// failed is a recorded error.
type failed struct {
	Kind       model.Kind  `json:"kind"`
	Code       string      `json:"code,omitempty"`
	Status     int         `json:"status,omitempty"`
	RetryAfter string      `json:"retry_after,omitempty"`
	RequestID  string      `json:"request_id,omitempty"`
	Usage      model.Usage `json:"usage,omitzero"`
	Unpaid     bool        `json:"unpaid,omitempty"`
	Text       string      `json:"text,omitempty"`
}

type cassette struct {
	t         TB
	path      string
	redact    func(string) string
	recording bool

	mu     sync.Mutex
	tape   tape
	keys   []string // of the recorded requests, in a canonical form
	used   map[int]bool
	missed bool
}

func (c *cassette) load() {
	c.t.Helper()
	b, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		c.t.Fatalf("aitest: there is no cassette %s: record it with AI_RECORD=1 and a key", c.path)
	} else if err != nil {
		c.t.Fatalf("aitest: %v", err)
	}
	if err := json.Unmarshal(b, &c.tape); err != nil {
		c.t.Fatalf("aitest: %s is no cassette: %v", c.path, err)
	}
	if c.tape.Version != 1 {
		c.t.Fatalf("aitest: %s has version %d, and this is 1: record it anew", c.path, c.tape.Version)
	}
	for _, call := range c.tape.Calls {
		c.keys = append(c.keys, key(call.Provider, call.Request))
	}
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
	var out any
	if json.Unmarshal(b, &out) != nil { // to bring members of schemas into one order
		return string(b)
	}
	b, _ = json.MarshalIndent(out, "", "  ")
	return string(b)
}

// plain is a request as it is written.
func (c *cassette) plain(r *model.Request) (request, error) {
	out := request{
		Model: r.Model, System: r.System, Messages: r.Messages, Tools: r.Tools, ToolChoice: r.ToolChoice, Schema: r.Schema,
		Effort: r.Effort, MaxTokens: r.MaxTokens, Temperature: r.Temperature, Stop: r.Stop, Extra: r.Extra,
	}
	return out, c.clean(&out)
}

// clean redacts all texts of v, which is encoded and decoded for that.
func (c *cassette) clean(v any) error {
	b, err := json.Marshal(v)
	if err != nil || c.redact == nil {
		return err
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return err
	}
	if b, err = json.Marshal(c.cleaned(tree)); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func (c *cassette) cleaned(v any) any {
	switch v := v.(type) {
	case string:
		return c.redact(v)
	case []any:
		for i := range v {
			v[i] = c.cleaned(v[i])
		}
	case map[string]any:
		for k := range v {
			if k != "data" || v["mime"] == nil { // a file is no text
				v[k] = c.cleaned(v[k])
			}
		}
	}
	return v
}

// finish writes the cassette, or says what is left of it.
func (c *cassette) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.recording {
		if n := len(c.tape.Calls) - len(c.used); n > 0 && !c.missed {
			c.t.Errorf("aitest: %s: %d of %d recorded calls were not asked for; record it anew with AI_RECORD=1", c.path, n, len(c.tape.Calls))
		}
		return
	}
	if c.missed {
		return
	}
	c.tape.Version = 1
	b, err := json.MarshalIndent(c.tape, "", "  ")
	if err != nil {
		c.t.Errorf("aitest: %s: %v", c.path, err)
		return
	}
	for i, call := range c.tape.Calls {
		one, _ := json.Marshal(call)
		if what := secret(string(one)); what != "" {
			c.t.Errorf("aitest: %s is not written: call %d has %s in it", c.path, i+1, what)
			return
		}
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err == nil {
		err = os.WriteFile(c.path, append(b, '\n'), 0o644)
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
	asked, err := m.c.plain(r)
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
	call := taken{Provider: provider, Request: asked}
	var e *model.Error
	switch {
	case err == nil:
		kept := *resp
		call.Response = &kept
		if wrong := c.clean(&kept); wrong != nil {
			return wrong
		}
	case errors.As(err, &e):
		call.Error = &failed{Kind: e.Kind, Code: e.Code, Status: e.Status, RequestID: e.RequestID, Usage: e.Usage, Unpaid: e.Unpaid}
		if e.RetryAfter > 0 {
			call.Error.RetryAfter = e.RetryAfter.String()
		}
		if e.Err != nil {
			call.Error.Text = e.Err.Error()
		}
		if wrong := c.clean(call.Error); wrong != nil {
			return wrong
		}
	default:
		return nil // nothing that a provider said
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tape.Calls = append(c.tape.Calls, call)
	return nil
}
