package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/ai/anthropic"
	"github.com/durable-go/durable/ai/gemini"
	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/ai/openai"
)

// problemBody is the body of an error in the words of a wire.
func (s speaker) problemBody(word, message, more string) string {
	quoted, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	switch s.name {
	case "anthropic":
		return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%s%s},"request_id":"req_body"}`, word, quoted, more)
	case "gemini":
		return fmt.Sprintf(`{"error":{"code":1,"status":%q,"message":%s%s}}`, word, quoted, more)
	}
	return fmt.Sprintf(`{"error":{"message":%s,"type":"some_error","param":null,"code":%q%s}}`, quoted, word, more)
}

// The table of errors. The same status means the same everywhere, and some words mean more than a status.
func TestErrorTable(t *testing.T) {
	type row struct {
		status        int
		word, message string
		more          string
		headers       []string
		want          model.Kind
	}
	common := []row{
		{status: 400, want: model.Invalid},
		{status: 401, want: model.Auth},
		{status: 402, want: model.Quota},
		{status: 403, want: model.Auth},
		{status: 404, want: model.Invalid},
		{status: 408, want: model.Transient},
		{status: 409, want: model.Transient},
		{status: 413, want: model.Invalid},
		{status: 418, want: model.Invalid},
		{status: 422, want: model.Invalid},
		{status: 429, want: model.RateLimited},
		{status: 500, want: model.Transient},
		{status: 502, want: model.Transient},
		{status: 503, want: model.Transient},
		{status: 504, want: model.Transient},
		{status: 529, want: model.Transient},
		{status: 301, want: model.Invalid},
		{status: 307, want: model.Invalid},
		// The server knows better, but not about keys and money.
		{status: 500, headers: []string{"x-should-retry", "false"}, want: model.Invalid},
		{status: 400, headers: []string{"x-should-retry", "true"}, want: model.Transient},
		{status: 401, headers: []string{"x-should-retry", "true"}, want: model.Auth},
		{status: 402, headers: []string{"x-should-retry", "true"}, want: model.Quota},
		{status: 429, headers: []string{"x-should-retry", "false"}, want: model.RateLimited},
		// A stated wait of more than 15 minutes is a quota.
		{status: 429, headers: []string{"retry-after", "900"}, want: model.RateLimited},
		{status: 429, headers: []string{"retry-after", "901"}, want: model.Quota},
		{status: 503, headers: []string{"retry-after", "901"}, want: model.Transient},
	}
	of := map[string][]row{
		"anthropic": {
			{status: 400, word: "invalid_request_error", want: model.Invalid},
			{status: 400, word: "invalid_request_error", message: "prompt is too long: 210000 tokens > 200000 maximum", want: model.TooLong},
			{status: 400, word: "invalid_request_error", message: "Your credit balance is too low to access the API", want: model.Quota},
			{status: 402, word: "billing_error", want: model.Quota},
			{status: 429, word: "rate_limit_error", want: model.RateLimited},
			{status: 429, word: "rate_limit_error", more: `,"details":{"error_code":"enforced_spend_limit_reached"}`, want: model.Quota},
			{status: 429, word: "rate_limit_error", more: `,"details":{"error_code":"something"}`, want: model.RateLimited},
			{status: 529, word: "overloaded_error", want: model.Transient},
			{status: 413, word: "request_too_large", want: model.Invalid},
		},
		"gemini": {
			{status: 400, word: "INVALID_ARGUMENT", want: model.Invalid},
			{status: 400, word: "INVALID_ARGUMENT", message: "The input token count (9) exceeds the maximum number of tokens allowed (8).", want: model.TooLong},
			{status: 400, word: "INVALID_ARGUMENT", more: `,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]`, want: model.Auth},
			{status: 429, word: "RESOURCE_EXHAUSTED", want: model.RateLimited},
			{status: 429, word: "RESOURCE_EXHAUSTED", more: `,"details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"RequestsPerDayPerProject"}]}]`, want: model.Quota},
			{status: 429, word: "RESOURCE_EXHAUSTED", more: `,"details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"RequestsPerMinute","quotaValue":5}]}]`, want: model.RateLimited},
			{status: 429, word: "RESOURCE_EXHAUSTED", more: `,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"32400s"}]`, want: model.Quota},
			{status: 503, word: "UNAVAILABLE", want: model.Transient},
			{status: 499, word: "CANCELLED", want: model.Transient},
		},
	}
	for _, name := range []string{"openai", "openai-chat"} {
		of[name] = []row{
			{status: 400, word: "context_length_exceeded", want: model.TooLong},
			{status: 400, word: "400", message: "This model's maximum context length is 8 tokens", want: model.TooLong},
			{status: 400, word: "content_filter", want: model.Refused},
			{status: 429, word: "insufficient_quota", want: model.Quota},
			{status: 429, word: "billing_not_active", want: model.Quota},
			{status: 429, word: "credit_balance_exhausted", want: model.Quota},
			{status: 429, word: "project_spend_limit_exceeded", want: model.Quota},
			{status: 429, word: "rate_limit_exceeded", want: model.RateLimited},
			{status: 404, word: "model_not_found", want: model.Invalid},
			{status: 500, word: "insufficient_quota", want: model.Transient},
		}
	}
	each(t, func(t *testing.T, s speaker) {
		for _, c := range append(common, of[s.name]...) {
			body := s.problemBody(c.word, c.message, c.more)
			if c.status < 400 {
				c.headers = append(c.headers, "Location", "https://elsewhere.example/"+canary)
			}
			_, err := ask(s.model(t, "http://test", answers(c.status, "application/json", strings.NewReader(body), c.headers...)), nil)
			e := fail(t, err)
			if e.Kind != c.want || e.Status != c.status {
				t.Errorf("%d %s %s %v: %v, want %s", c.status, c.word, c.more, c.headers, e, c.want)
			}
			if c.message != "" && !strings.Contains(e.Error(), c.message) {
				t.Errorf("the provider's words are lost: %v", e)
			}
			if c.status == 404 && !strings.Contains(e.Error(), "retired") {
				t.Errorf("404 does not say what to do: %v", e)
			}
		}
		// A body that is none of the provider's.
		for _, body := range []string{"", "<html>Bad gateway</html>", "[]", "null", `{"error":null}`, `{"error":"text"}`, `{"error":7}`, `{"error":{"message":{}}}`, strings.Repeat("[", 20_000), "\xff\xfe"} {
			_, err := ask(s.model(t, "http://test", answers(502, "text/html", strings.NewReader(body))), nil)
			if e := fail(t, err); e.Kind != model.Transient || e.Status != 502 {
				t.Errorf("%.20q: %v", body, e)
			}
		}
	})
}

// Errors inside a stream are what their type says.
func TestErrorTypesInStream(t *testing.T) {
	in := func(s speaker, word string) string {
		body := s.problemBody(word, "m", "")
		if s.name == "openai" {
			return fmt.Sprintf("event: error\ndata: {\"type\":\"error\",\"code\":%q,\"message\":\"m\",\"param\":null}\n\n", word)
		}
		return "data: " + body + "\n\n"
	}
	of := map[string]map[string]model.Kind{
		"anthropic": {
			"overloaded_error": model.Transient, "api_error": model.Transient, "rate_limit_error": model.RateLimited, "authentication_error": model.Auth,
			"permission_error": model.Auth, "billing_error": model.Quota, "invalid_request_error": model.Invalid, "not_found_error": model.Invalid, "new_error": model.Transient,
		},
		"gemini": {"UNAVAILABLE": model.Transient, "INTERNAL": model.Transient, "RESOURCE_EXHAUSTED": model.RateLimited, "PERMISSION_DENIED": model.Auth, "INVALID_ARGUMENT": model.Invalid, "NEW": model.Transient},
		"openai": {"server_error": model.Transient, "rate_limit_exceeded": model.RateLimited, "insufficient_quota": model.Quota, "invalid_prompt": model.Invalid, "context_length_exceeded": model.TooLong, "cyber_policy": model.Refused, "image_too_large": model.Invalid, "new": model.Transient},
	}
	of["openai-chat"] = of["openai"]
	each(t, func(t *testing.T, s speaker) {
		for word, want := range of[s.name] {
			_, err := ask(s.model(t, "http://test", answers(200, sse, strings.NewReader(in(s, word)))), nil)
			if e := fail(t, err); e.Kind != want || e.Status != 200 || e.Code != word {
				t.Errorf("%s: %v, want %s", word, e, want)
			}
		}
	})
	_, err := ask(speakers()[1].model(t, "http://test", answers(200, sse, bytes.NewReader(speakers()[1].golden(t, "failed")))), nil)
	if e := fail(t, err); e.Kind != model.RateLimited || e.Code != "rate_limit_exceeded" || e.Usage.Input != 100 {
		t.Errorf("response.failed: %v with %+v", e, e.Usage)
	}
}

func TestAI17_ComeBack(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		name    string
		headers []string
		body    time.Duration
		want    time.Duration
	}{
		{"nothing", nil, 0, 0},
		{"milliseconds", []string{"retry-after-ms", "1500"}, 0, 1500 * time.Millisecond},
		{"milliseconds first", []string{"retry-after-ms", "20", "retry-after", "9"}, time.Hour, 20 * time.Millisecond},
		{"milliseconds of rubbish", []string{"retry-after-ms", "soon", "retry-after", "9"}, time.Hour, 9 * time.Second},
		{"seconds", []string{"retry-after", "120"}, 0, 2 * time.Minute},
		{"a fraction", []string{"retry-after", "0.25"}, 0, 250 * time.Millisecond},
		{"spaces", []string{"retry-after", " 7 "}, 0, 7 * time.Second},
		{"a date", []string{"retry-after", at(90 * time.Second)}, 0, 90 * time.Second},
		{"a date by the server's clock", []string{"retry-after", at(90 * time.Second), "date", at(80 * time.Second)}, 0, 10 * time.Second},
		{"a date that is past", []string{"retry-after", at(-time.Hour)}, 0, 0},
		{"negative", []string{"retry-after", "-30"}, 0, 0},
		{"a year", []string{"retry-after", "31536000"}, 0, 24 * time.Hour},
		{"a number without end", []string{"retry-after", "1" + strings.Repeat("0", 400)}, 0, 24 * time.Hour},
		{"infinite", []string{"retry-after", "+Inf"}, 0, 24 * time.Hour},
		{"not a number", []string{"retry-after", "NaN"}, 0, 0},
		{"rubbish, then the body", []string{"retry-after", "when I say so"}, 46 * time.Second, 46 * time.Second},
		{"the body", nil, 46 * time.Second, 46 * time.Second},
		{"a reset", []string{"anthropic-ratelimit-requests-limit", "50", "anthropic-ratelimit-requests-remaining", "0", "anthropic-ratelimit-requests-reset", now.Add(33 * time.Second).Format(time.RFC3339)}, 0, 33 * time.Second},
		{"the later reset of what is spent", []string{
			"anthropic-ratelimit-requests-limit", "50", "anthropic-ratelimit-requests-remaining", "9", "anthropic-ratelimit-requests-reset", now.Add(time.Hour).Format(time.RFC3339),
			"anthropic-ratelimit-input-tokens-limit", "50", "anthropic-ratelimit-input-tokens-remaining", "0", "anthropic-ratelimit-input-tokens-reset", now.Add(20 * time.Second).Format(time.RFC3339),
			"anthropic-ratelimit-output-tokens-limit", "50", "anthropic-ratelimit-output-tokens-remaining", "0", "anthropic-ratelimit-output-tokens-reset", now.Add(40 * time.Second).Format(time.RFC3339),
		}, 0, 40 * time.Second},
		{"OpenAI's reset", []string{"x-ratelimit-limit-tokens", "5", "x-ratelimit-remaining-tokens", "0", "x-ratelimit-reset-tokens", "6m0.5s"}, 0, 6*time.Minute + 500*time.Millisecond},
		{"OpenAI's reset of what is not spent", []string{"x-ratelimit-limit-tokens", "5", "x-ratelimit-remaining-tokens", "1", "x-ratelimit-reset-tokens", "6m0s"}, 0, 0},
		{"a reset that is rubbish", []string{"x-ratelimit-limit-requests", "5", "x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "later"}, 0, 0},
	} {
		h := http.Header{}
		for i := 0; i < len(c.headers); i += 2 {
			h.Set(c.headers[i], c.headers[i+1])
		}
		if got := wire.ComeBack(h, c.body, now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	for s, want := range map[string]time.Duration{"46s": 46 * time.Second, "1.5s": 1500 * time.Millisecond, "-3s": 0, "x": 0, "": 0, "99999h": 24 * time.Hour} {
		if got := wire.Delay(s); got != want {
			t.Errorf("delay %q is %v, want %v", s, got, want)
		}
	}
}

// Each wire takes each form, and Gemini's stands in the body.
func TestAI17_RetryAfterOfWires(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		_, err := ask(s.model(t, "http://test", answers(429, "application/json", strings.NewReader("{}"), "retry-after", "12")), nil)
		if e := fail(t, err); e.RetryAfter != 12*time.Second {
			t.Errorf("%+v", e)
		}
		_, err = ask(s.model(t, "http://test", answers(503, "application/json", strings.NewReader("{}"), "retry-after-ms", "12")), nil)
		if e := fail(t, err); e.RetryAfter != 12*time.Millisecond {
			t.Errorf("%+v", e)
		}
		if s.name == "gemini" {
			body := s.problemBody("RESOURCE_EXHAUSTED", "m", `,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"46s"}]`)
			for _, b := range []string{body, "[" + body + "]"} {
				_, err = ask(s.model(t, "http://test", answers(429, "application/json", strings.NewReader(b))), nil)
				if e := fail(t, err); e.RetryAfter != 46*time.Second {
					t.Errorf("%+v", e)
				}
			}
		}
	})
}

func TestHeadroom(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	room := model.Headroom{
		Requests: model.Window{Limit: 50, Remaining: 49, Reset: 12 * time.Second},
		Input:    model.Window{Limit: 40_000, Remaining: 0, Reset: time.Minute},
		Output:   model.Window{Limit: 8000, Remaining: 1, Reset: 3 * time.Second},
	}
	for _, w := range []string{wire.Anthropic, wire.Responses, wire.Chat} {
		h := http.Header{}
		wire.WriteHeadroom(h, w, room, now)
		want := room
		if w != wire.Anthropic {
			want.Output = model.Window{}
		}
		if got := wire.ReadHeadroom(h, now); got == nil || *got != want {
			t.Errorf("%s: %+v", w, got)
		}
	}
	for name, h := range map[string]http.Header{
		"none": {}, "limit is zero": {"X-Ratelimit-Limit-Requests": {"0"}}, "rubbish": {"X-Ratelimit-Limit-Requests": {"many"}},
		"only the limit": {"X-Ratelimit-Limit-Requests": {"5"}}, "rest is rubbish": {"X-Ratelimit-Limit-Requests": {"5"}, "X-Ratelimit-Remaining-Requests": {"some"}},
	} {
		if got := wire.ReadHeadroom(h, now); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	headers := []string{"anthropic-ratelimit-requests-limit", "5", "anthropic-ratelimit-requests-remaining", "4", "x-ratelimit-limit-requests", "5", "x-ratelimit-remaining-requests", "4"}
	each(t, func(t *testing.T, s speaker) {
		got, err := ask(s.model(t, "http://test", answers(200, sse, bytes.NewReader(s.golden(t, "text")), headers...)), nil)
		if err != nil || got.Headroom == nil || got.Headroom.Requests.Remaining != 4 {
			t.Errorf("%+v %v", got, err)
		}
		_, err = ask(s.model(t, "http://test", answers(429, "", strings.NewReader("{}"), headers...)), nil)
		if e := fail(t, err); e.Headroom == nil || e.Headroom.Requests.Remaining != 4 {
			t.Errorf("%+v", e)
		}
	})
}

// A key, a header or a prompt that a provider repeats does not get into an error, nor into what is printed.
func TestNothingLeaks(t *testing.T) {
	const header, partly = "secret-of-a-gateway-5b1e", "9d1f7b6a2c"
	system, user := question().System, question().Messages[0].Text
	leaky := []string{
		"bad key " + canary, "bad key " + canary[:14] + "***", "header x: " + header, "you said: " + system, "you said " + user[4:], "escaped \\\"" + user + "\\\"",
		"somebody's key sk-proj-0123456789abcdefghij", "AIzaSyA0123456789abcdef",
	}
	secrets := []string{canary, partly, header, "canary-of-the-system", "canary-of-the-user", "0123456789abcdef"}
	h := http.Header{"X-Gateway-Token": {header}, "X-Team": {"team-canary-77"}}
	secrets = append(secrets, "team-canary-77")
	each(t, func(t *testing.T, s speaker) {
		clean := func(what, text string) {
			t.Helper()
			for _, w := range secrets {
				if strings.Contains(text, w) {
					t.Errorf("%s has %q in it: %s", what, w, text)
				}
			}
		}
		for _, text := range append(leaky, "team team-canary-77") {
			for _, status := range []int{200, 400, 401, 429, 500, 302} {
				c := answers(status, "application/json", strings.NewReader(s.problemBody("code "+text, text, "")), "request-id", text, "x-request-id", text, "Location", "http://x/"+text)
				var p model.Provider
				switch s.name {
				case "anthropic":
					p = anthropic.Provider{BaseURL: "http://test", HTTP: c, Getenv: getenv, Header: h}
				case "openai":
					p = openai.Provider{BaseURL: "http://test", HTTP: c, Getenv: getenv, Header: h}
				case "openai-chat":
					p = openai.Chat{BaseURL: "http://test", HTTP: c, Getenv: getenv, Header: h}
				case "gemini":
					p = gemini.Provider{BaseURL: "http://test", HTTP: c, Getenv: getenv, Header: h}
				}
				m, err := p.Open("m")
				if err != nil {
					t.Fatal(err)
				}
				_, err = ask(m, nil)
				e := fail(t, err)
				clean("error", fmt.Sprintf("%v %+v %#v %s %s", e, *e, e.Err, e.Code, e.RequestID))
				if b, err := json.Marshal(e); err == nil {
					clean("error as JSON", string(b))
				}
				for _, v := range []any{p, &p, m, []any{p, m}, struct{ P, M any }{p, m}, m.(model.Bucketed).Bucket()} {
					var log bytes.Buffer
					slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
					slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
					clean("what is printed", fmt.Sprintf("%v %+v %#v %s %q %x", v, v, v, v, v, v)+log.String())
				}
			}
		}
		// What a stream says is no better.
		_, err := ask(s.model(t, "http://test", answers(200, sse, strings.NewReader("data: "+s.problemBody(canary, canary+" "+user, "")+"\n\n"))), nil)
		clean("error in a stream", fail(t, err).Error())
		// Nor is the network.
		_, err = ask(s.model(t, "http://test", trip(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("cannot send %s", canary) }).client()), nil)
		clean("error of the network", fail(t, err).Error())
	})
}
