package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/anthropic"
	"github.com/durable-go/durable/ai/model"
)

// serving starts "ai serve" on a free port. It returns what it printed first, with the environment that it
// says, and a function that ends it and returns the rest.
func serving(t *testing.T, args ...string) (first string, env map[string]string, end func() (string, int)) {
	t.Helper()
	r, w := io.Pipe()
	var errs bytes.Buffer
	a := &app{in: strings.NewReader(""), out: w, err: &errs, env: func(string) string { return "" }, now: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- a.run(ctx, append([]string{"ai", "serve", "--port", "0"}, args...))
		_ = w.Close()
	}()
	in := bufio.NewReader(r)
	env = map[string]string{}
	for !strings.Contains(first, "Ctrl-C ends it.\n\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %s%s", err, first, errs.String())
		}
		first += line
		if name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok && strings.HasPrefix(line, "  export ") {
			env[name] = value
		}
	}
	read := make(chan string, 1)
	go func() {
		rest, _ := io.ReadAll(in)
		read <- string(rest)
	}()
	return first, env, func() (string, int) {
		cancel()
		return <-read + errs.String(), <-code
	}
}

func classify(t *testing.T, env map[string]string, name string) (*model.Response, error) {
	t.Helper()
	m, err := anthropic.Provider{Getenv: func(v string) string { return env[v] }}.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return m.Generate(t.Context(), &model.Request{
		Model: name, Schema: json.RawMessage(`{"type":"object","properties":{"value":{"type":"string","enum":["invoice","contract","other"]}},"required":["value"],"additionalProperties":false}`),
		Idle:     500 * time.Millisecond,
		Messages: []model.Message{{Role: model.User, Text: "INVOICE\n\nInvoice no 7\nTotal   5.00\n"}},
	}, nil)
}

func TestLLMServe(t *testing.T) {
	first, env, end := serving(t, "--retired", "old-1", "--key", "k-123456")
	for _, want := range []string{"http://127.0.0.1:", "rules + naive Bayes, not an LLM", "AI_MODEL_SMART=anthropic:fake-1", "/ledger"} {
		if !strings.Contains(first, want) {
			t.Errorf("it does not say %q:\n%s", want, first)
		}
	}
	if env["ANTHROPIC_API_KEY"] != "k-123456" || !strings.HasSuffix(env["OPENAI_BASE_URL"], "/v1") || env["OLLAMA_HOST"] == "" {
		t.Errorf("the environment is %v", env)
	}
	for range 2 {
		if r, err := classify(t, env, "any-"+nasty); err != nil || r.Message.Text != `{"value":"invoice"}` {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if _, err := classify(t, env, "old-1"); !model.IsKind(err, model.Invalid) {
		t.Errorf("a retired model: %v", err)
	}
	resp, err := http.Get(env["ANTHROPIC_BASE_URL"] + "/ledger")
	if err != nil {
		t.Fatal(err)
	}
	var l aitest.Ledger
	if err := json.NewDecoder(resp.Body).Decode(&l); err != nil || l.Requests != 3 || l.Paid != 2 || len(l.Twice) != 1 {
		t.Errorf("the ledger is %+v, %v", l, err)
	}
	resp.Body.Close()
	rest, code := end()
	if code != 0 || strings.ContainsAny(rest, "\x1b\a") {
		t.Errorf("ends with %d: %q", code, rest)
	}
	for _, want := range []string{"200  anthropic", "404  anthropic", "not paid", "3 requests, 2 answers generated", "answered more than once: 1", "Nothing was charged"} {
		if !strings.Contains(rest, want) {
			t.Errorf("it does not say %q:\n%s", want, rest)
		}
	}
}

// Two of the same seed fail in the same way.
func TestLLMServeChaos(t *testing.T) {
	play := func(seed string) (out string) {
		first, env, end := serving(t, "--chaos", "--seed", seed)
		if !strings.Contains(first, "with seed "+seed) {
			t.Errorf("it does not say its seed:\n%s", first)
		}
		for i := range 20 {
			if _, err := classify(t, env, "m-"+string(rune('a'+i))); err != nil {
				out += err.(*model.Error).Code + string(err.(*model.Error).Kind) + "|"
			} else {
				out += "fine|"
			}
		}
		_, _ = end()
		return out
	}
	a := play("5")
	if b := play("5"); a != b {
		t.Errorf("seed 5: %s, then %s", a, b)
	}
	if c := play("6"); a == c || strings.Count(a, "fine") == 20 {
		t.Errorf("seed 5: %s, seed 6: %s", a, c)
	}
}

func TestLLMServeJSON(t *testing.T) {
	r, w := io.Pipe()
	a := &app{in: strings.NewReader(""), out: w, err: io.Discard, env: func(string) string { return "" }, now: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- a.run(ctx, []string{"ai", "serve", "--port", "0", "--json"}); _ = w.Close() }()
	d := json.NewDecoder(r)
	var begin struct {
		URL   string
		Env   []string
		Badge string
	}
	if err := d.Decode(&begin); err != nil || begin.Badge == "" {
		t.Fatalf("%+v, %v", begin, err)
	}
	env := map[string]string{}
	for _, line := range begin.Env {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	done := make(chan error, 1)
	go func() { _, err := classify(t, env, "m"); done <- err }()
	var call aitest.Call
	if err := d.Decode(&call); err != nil || !call.Paid || call.Wire != "anthropic" {
		t.Errorf("%+v, %v", call, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	cancel()
	var end struct{ Ledger aitest.Ledger }
	if err := d.Decode(&end); err != nil || end.Ledger.Paid != 1 {
		t.Errorf("%+v, %v", end, err)
	}
	if c := <-code; c != 0 {
		t.Errorf("ends with %d", c)
	}
}

func TestLLMServeRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"say --public":          {"--host", "0.0.0.0"},
		"can be reached from":   {"--host", "192.168.1.5"},
		"give 0 to 65535":       {"--port", "70000"},
		"give an IP address":    {"--host", "example.org"},
		"goes with --chaos":     {"--seed", "3"},
		"are zero or more":      {"--first", "-1s"},
		"--requests and --toke": {"--tokens", "-1"},
	} {
		r := command(t, "", append([]string{"ai", "serve"}, args...)...)
		if r.code != exitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%v: %+v, want %q", args, r, want)
		}
	}
	for _, name := range []string{"ai", "llm"} {
		if r := command(t, "", name); r.code != 0 || !strings.Contains(r.out, "serve") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
