package ai

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// AI-33: a provider that repeats the key and the prompt in its error gives neither away.
func TestAI33_KeyInErrors(t *testing.T) {
	const key, prompt = "sk-canary-key-0815-4711", "the canary prompt of this test"
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("request-id", "r1")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"type":"error","error":{"type":"invalid_request_error","code":"bad","status":"INVALID","message":"headers %q, prompt %s"},"detail":%q}`,
			r.Header.Get("x-api-key")+r.Header.Get("Authorization")+r.Header.Get("x-goog-api-key"), prompt, prompt)
	}))
	defer echo.Close()
	getenv := func(name string) string {
		switch {
		case strings.HasSuffix(name, "_API_KEY"), strings.HasPrefix(name, "AI_KEY_"):
			return key
		case strings.HasSuffix(name, "_BASE_URL"):
			return echo.URL
		}
		return ""
	}
	c, err := New(Config{Getenv: getenv, Aliases: map[string]string{"local": "openai-chat@" + echo.URL + "/v1:m"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"anthropic:m", "openai:m", "openai-chat:m", "gemini:m", "local"} {
		_, err := GenerateText(WithClient(t.Context(), c), m, prompt)
		if !IsKind(err, Invalid) {
			t.Errorf("%s: %v", m, err)
		}
		for _, secret := range []string{key, "canary"} {
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, secret) {
				t.Errorf("%s: the error has %q in it: %s", m, secret, text)
			}
		}
	}
}

// What providers say about when to come back reaches the road that a call takes.
func TestAI16_RetryAfterOverHTTP(t *testing.T) {
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}`))
	}))
	defer busy.Close()
	c, err := New(Config{Getenv: func(name string) string {
		return map[string]string{"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": busy.URL}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	j := step()
	j.Kill = 3 // in the nap
	_ = j.Run(WithClient(t.Context(), c), func(ctx context.Context) error { _, err := GenerateText(ctx, "anthropic:m", "x"); return err })
	if len(j.Slept) == 0 || j.Slept[0] < 2*time.Minute || j.Slept[0] > 133*time.Second {
		t.Errorf("slept %s", j.Slept)
	}
}

// Who has to change a key reads where it is from.
func TestAuthNamesTheVariable(t *testing.T) {
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":{"type":"authentication_error","message":"bad key"}}`))
	}))
	defer closed.Close()
	c, err := New(Config{
		Getenv: func(name string) string {
			return map[string]string{"ANTHROPIC_API_KEY": "sk-canary-1", "ANTHROPIC_BASE_URL": closed.URL, "GEMINI_API_KEY": "sk-canary-2", "GOOGLE_GEMINI_BASE_URL": closed.URL}[name]
		},
		Aliases: map[string]string{"local": "openai-chat@" + closed.URL + "/v1:m"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for m, want := range map[string]string{
		"anthropic:m": "(the key is that of ANTHROPIC_API_KEY)", "gemini:m": "(the key is that of GEMINI_API_KEY)",
		"local": "(no key was sent; one is taken from AI_KEY_127_0_0_1)",
	} {
		_, err := GenerateText(WithClient(t.Context(), c), m, "x")
		if !IsKind(err, Auth) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", m, err)
		}
	}
}
