package ai

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAuto(t *testing.T) {
	ollama := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/tags" {
			http.NotFound(w, r)
		}
		_, _ = w.Write([]byte(`{"models":[{"name":"qwen3:8b"},{"name":"other"}]}`))
	}))
	defer ollama.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	for _, c := range []struct {
		env   string
		model string
	}{
		{"AI_MODEL_SMART=x:y ANTHROPIC_API_KEY=k", "x:y"},
		{"OPENAI_API_KEY=k ANTHROPIC_API_KEY=k", autoAnthropic},
		{"OPENAI_API_KEY=k GEMINI_API_KEY=k", autoOpenAI},
		{"GEMINI_API_KEY=k OLLAMA_HOST=" + ollama.URL, autoGemini},
		{"OLLAMA_HOST=" + ollama.URL, "ollama:qwen3:8b"},
		{"OLLAMA_HOST=" + strings.TrimPrefix(ollama.URL, "http://"), "ollama:qwen3:8b"},
		{"AI_OLLAMA_MODEL=mine OLLAMA_HOST=" + ollama.URL, "ollama:mine"},
		{"OLLAMA_HOST=" + gone.URL, autoOffline},
		{"OLLAMA_HOST=127.0.0.1:1", autoOffline},
	} {
		env := map[string]string{}
		for _, v := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		if got, reason := auto(func(name string) string { return env[name] }); got != c.model || reason == "" {
			t.Errorf("%s: %s (%s), want %s", c.env, got, reason, c.model)
		}
	}
	p, err := readPrices(embeddedPrices)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{autoAnthropic, autoOpenAI, autoGemini} { // the demo's budget is of money
		provider, name, _ := strings.Cut(m, ":")
		if _, ok := p.of(provider, name); !ok {
			t.Errorf("%s has no price", m)
		}
	}
}
