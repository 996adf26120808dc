package wire_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/durable-go/durable/ai/anthropic"
	"github.com/durable-go/durable/ai/gemini"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/ai/openai"
)

func vars(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

// A key that is not set is an error that names its variable, before anything is sent.
func TestMissingKey(t *testing.T) {
	none := vars(nil)
	for _, c := range []struct {
		p    model.Provider
		want string // "" if that is no error
	}{
		{anthropic.Provider{Getenv: none}, "ANTHROPIC_API_KEY"},
		{openai.Provider{Getenv: none}, "OPENAI_API_KEY"},
		{openai.Chat{Getenv: none}, "OPENAI_API_KEY"},
		{gemini.Provider{Getenv: none}, "GOOGLE_API_KEY or GEMINI_API_KEY"},
		{anthropic.Provider{Getenv: vars(map[string]string{"ANTHROPIC_API_KEY": "k"}), KeyEnv: "CORP_KEY"}, "CORP_KEY"},
		{openai.Ollama{Getenv: none, KeyEnv: "OLLAMA_KEY"}, "OLLAMA_KEY"},
		{openai.Ollama{Getenv: none}, ""},
		{openai.Chat{Getenv: none, KeyOptional: true}, ""},
		{anthropic.Provider{Getenv: none, KeyOptional: true}, ""},
	} {
		_, err := c.p.Open("m")
		if c.want == "" && err != nil {
			t.Error(err)
		}
		if c.want != "" && (!model.IsKind(err, model.Invalid) || !strings.Contains(err.Error(), "set "+c.want)) {
			t.Errorf("%v: %v", c.p, err)
		}
	}
}

// Where requests go, with which key.
func TestAddresses(t *testing.T) {
	env := vars(map[string]string{
		"ANTHROPIC_API_KEY": "ka", "OPENAI_API_KEY": "ko", "GOOGLE_API_KEY": "kg", "GEMINI_API_KEY": "kgem", "CORP": " kc\n",
		"ANTHROPIC_BASE_URL": "http://a.test/x/", "OPENAI_BASE_URL": "http://o.test/v1", "GOOGLE_GEMINI_BASE_URL": "http://g.test", "OLLAMA_HOST": "o.lan",
	})
	own := vars(map[string]string{"ANTHROPIC_API_KEY": "ka", "OPENAI_API_KEY": "ko", "GEMINI_API_KEY": "kgem"})
	ollama := func(host string) func(c *http.Client) model.Provider {
		return func(c *http.Client) model.Provider {
			return openai.Ollama{HTTP: c, Getenv: vars(map[string]string{"OLLAMA_HOST": host})}
		}
	}
	for _, c := range []struct {
		open func(c *http.Client) model.Provider
		url  string
		key  string
	}{
		{func(c *http.Client) model.Provider { return anthropic.Provider{HTTP: c, Getenv: own} }, "https://api.anthropic.com/v1/messages", "ka"},
		{func(c *http.Client) model.Provider { return anthropic.Provider{HTTP: c, Getenv: env} }, "http://a.test/x/v1/messages", "ka"},
		{func(c *http.Client) model.Provider {
			return anthropic.Provider{HTTP: c, Getenv: env, BaseURL: "https://Corp.Test/anthropic/", KeyEnv: "CORP"}
		}, "https://corp.test/anthropic/v1/messages", "kc"},
		{func(c *http.Client) model.Provider { return openai.Provider{HTTP: c, Getenv: own} }, "https://api.openai.com/v1/responses", "Bearer ko"},
		{func(c *http.Client) model.Provider { return openai.Provider{HTTP: c, Getenv: env} }, "http://o.test/v1/responses", "Bearer ko"},
		{func(c *http.Client) model.Provider { return openai.Chat{HTTP: c, Getenv: own} }, "https://api.openai.com/v1/chat/completions", "Bearer ko"},
		{func(c *http.Client) model.Provider { return gemini.Provider{HTTP: c, Getenv: own} }, "https://generativelanguage.googleapis.com/v1beta/models/a%2Fb:streamGenerateContent?alt=sse", "kgem"},
		{func(c *http.Client) model.Provider { return gemini.Provider{HTTP: c, Getenv: env} }, "http://g.test/v1beta/models/a%2Fb:streamGenerateContent?alt=sse", "kg"},
		{ollama(""), "http://127.0.0.1:11434/v1/chat/completions", ""},
		{ollama("o.lan"), "http://o.lan:11434/v1/chat/completions", ""},
		{ollama("0.0.0.0"), "http://127.0.0.1:11434/v1/chat/completions", ""},
		{ollama("0.0.0.0:1234"), "http://127.0.0.1:1234/v1/chat/completions", ""},
		{ollama(":1234"), "http://127.0.0.1:1234/v1/chat/completions", ""},
		{ollama("[::1]"), "http://[::1]:11434/v1/chat/completions", ""},
		{ollama("https://o.lan"), "https://o.lan:443/v1/chat/completions", ""},
		{ollama("http://o.lan/base/"), "http://o.lan:80/base/v1/chat/completions", ""},
	} {
		var url, key string
		client := trip(func(r *http.Request) (*http.Response, error) {
			url, key = r.URL.String(), r.Header.Get("x-api-key")+r.Header.Get("Authorization")+r.Header.Get("x-goog-api-key")
			return &http.Response{StatusCode: 500, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}).client()
		m, err := c.open(client).Open("a/b")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = ask(m, nil)
		if url != c.url || key != c.key {
			t.Errorf("%s with %q, want %s with %q", url, key, c.url, c.key)
		}
	}
	for _, base := range []string{"ftp://x", "x", "http://", "http://user:secret@x", "http://x?key=secret", "http://x#secret", "http://secret\x7f"} {
		_, err := anthropic.Provider{BaseURL: base, Getenv: own}.Open("m")
		if !model.IsKind(err, model.Invalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", base, err)
		}
	}
	if _, err := (anthropic.Provider{Getenv: own}).Open(" "); !model.IsKind(err, model.Invalid) {
		t.Errorf("a model without a name: %v", err)
	}
}

// Limits are shared by key and address; the key cannot be found in the name.
func TestBuckets(t *testing.T) {
	bucket := func(p model.Provider) string {
		m, err := p.Open("m")
		if err != nil {
			t.Fatal(err)
		}
		return m.(model.Bucketed).Bucket()
	}
	one, two := vars(map[string]string{"ANTHROPIC_API_KEY": canary, "GEMINI_API_KEY": canary}), vars(map[string]string{"ANTHROPIC_API_KEY": "other"})
	all := []string{
		bucket(anthropic.Provider{Getenv: one}), bucket(anthropic.Provider{Getenv: two}),
		bucket(anthropic.Provider{Getenv: one, BaseURL: "http://gw"}), bucket(gemini.Provider{Getenv: one}),
	}
	seen := map[string]bool{}
	for _, b := range all {
		if seen[b] || strings.Contains(b, canary) {
			t.Errorf("%q", all)
		}
		seen[b] = true
	}
	if again := bucket(anthropic.Provider{Getenv: one, BaseURL: "https://api.anthropic.com/"}); again != all[0] {
		t.Errorf("%s and %s", again, all[0])
	}
}

// A redirect is not followed: a key goes to its own address only.
func TestRedirects(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		stolen := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a request came: %v", r.Header) }))
		defer stolen.Close()
		for _, status := range []int{301, 302, 303, 307, 308} {
			srv := httptest.NewServer(http.RedirectHandler(stolen.URL+"/x", status))
			for _, c := range []*http.Client{nil, {}, {CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}} {
				_, err := ask(s.model(t, srv.URL, c), nil)
				if e := fail(t, err); e.Kind != model.Invalid || e.Status != status || !strings.Contains(e.Error(), "redirects") {
					t.Errorf("%v", e)
				}
			}
			srv.Close()
		}
	})
}

// Plain http never goes through a proxy of the environment, which could read the key.
func TestNoProxyForPlainHTTP(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	each(t, func(t *testing.T, s speaker) {
		_, err := ask(s.model(t, "http://does-not-exist.invalid", nil), nil)
		if e := fail(t, err); e.Kind != model.Transient || e.Status != 0 {
			t.Errorf("%v", e)
		}
	})
}

// A proxy of the environment is asked to connect to the host of https, and sees no key. The environment counts once in a
// process, so another one asks.
func TestProxyForHTTPS(t *testing.T) {
	const child = "WIRE_TEST_ASKS_BY_PROXY"
	if os.Getenv(child) != "" {
		each(t, func(_ *testing.T, s speaker) { _, _ = ask(s.model(t, "https://provider.invalid", nil), nil) })
		return
	}
	var seen atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, err := httputil.DumpRequest(r, true)
		if err != nil || r.Method != http.MethodConnect || r.Host != "provider.invalid:443" || bytes.Contains(dump, []byte(canary)) {
			t.Errorf("%s %v", dump, err)
		}
		seen.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyForHTTPS$")
	cmd.Env = append(os.Environ(), child+"=1", "HTTPS_PROXY="+proxy.URL, "https_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	if out, err := cmd.CombinedOutput(); err != nil || seen.Load() != 4 {
		t.Errorf("the proxy was asked %d times: %s %v", seen.Load(), out, err)
	}
}

// Ollama cuts long prompts and says nothing: that shows in the number of tokens it has read.
func TestOllamaCutsPrompts(t *testing.T) {
	stream := speakers()[2].golden(t, "text") // which says 140 tokens
	for _, c := range []struct {
		bytes int
		cut   bool
	}{{100, false}, {1000, false}, {1100, false}, {2000, true}, {100_000, true}} {
		r := &model.Request{Messages: []model.Message{{Role: model.User, Text: strings.Repeat("word ", c.bytes/5)}}}
		for name, p := range map[string]model.Provider{
			"ollama": openai.Ollama{HTTP: answers(200, sse, bytes.NewReader(stream)), Getenv: vars(nil)},
			"chat":   openai.Chat{BaseURL: "http://test", HTTP: answers(200, sse, bytes.NewReader(stream)), KeyOptional: true, Getenv: vars(nil)},
		} {
			m, err := p.Open("qwen3:8b")
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Generate(t.Context(), r, nil)
			cut := c.cut && name == "ollama"
			if (err != nil) != cut || cut && (!model.IsKind(err, model.TooLong) || !strings.Contains(err.Error(), "OLLAMA_CONTEXT_LENGTH")) {
				t.Errorf("%s of %d bytes: %v", name, c.bytes, err)
			}
		}
	}
}

// Tokens that go into a cache stand apart, and nothing is below zero.
func TestAI23_Usage(t *testing.T) {
	edit := func(s speaker, from, to string) *http.Client {
		b := s.golden(t, "text")
		if !bytes.Contains(b, []byte(from)) {
			t.Fatalf("%s has no %s", s.name, from)
		}
		return answers(200, sse, bytes.NewReader(bytes.ReplaceAll(b, []byte(from), []byte(to))))
	}
	want := model.Usage{Input: 90, CacheRead: 40, CacheWrite: 10, Output: 30, Reasoning: 12}
	by := speakers()
	for i, c := range []*http.Client{
		edit(by[0], `"cache_creation_input_tokens":0`, `"cache_creation_input_tokens":10`),
		edit(by[1], `"cache_write_tokens":0`, `"cache_write_tokens":10`),
		edit(by[2], `{"cached_tokens":40}`, `{"cached_tokens":40,"cache_write_tokens":10}`),
	} {
		got, err := ask(by[i].model(t, "http://test", c), nil)
		if i == 0 {
			want.Input = 100 // there the input never counts it
		} else {
			want.Input = 90
		}
		if err != nil || got.Usage != want {
			t.Errorf("%s: %+v %v", by[i].name, got, err)
		}
	}
	for i, c := range []*http.Client{edit(by[0], `_tokens":`, `_tokens":-`), edit(by[1], `_tokens":`, `_tokens":-`), edit(by[2], `_tokens":`, `_tokens":-`), edit(by[3], `TokenCount":`, `TokenCount":-`)} {
		got, err := ask(by[i].model(t, "http://test", c), nil)
		if err == nil && (got.Usage.Input < 0 || got.Usage.CacheRead < 0 || got.Usage.Output < 0 || got.Usage.Reasoning < 0) {
			t.Errorf("%s: %+v", by[i].name, got.Usage)
		}
	}
	// Nothing said: an estimate that says so.
	for i, c := range []*http.Client{
		edit(by[0], `usage`, `used`), edit(by[1], `"usage":{`, `"used":{`), edit(by[2], `"usage"`, `"used"`), edit(by[3], `usageMetadata`, `used`),
	} {
		got, err := ask(by[i].model(t, "http://test", c), nil)
		if err != nil || !got.Usage.Estimated || got.Usage.Input != 19 || got.Usage.Output == 0 {
			t.Errorf("%s: %+v %v", by[i].name, got, err)
		}
	}
}
