package aitest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/model"
)

// speaker is a wire, as a test without an adapter speaks it.
type speaker struct {
	name  string
	path  string // of model m-1
	whole string // path, if another
	body  string // %s is the text, %t whether to stream
	end   string // what an answer ends with in a stream
	text  string // what is around a text in a whole answer
	id    string // header of the request id
	error string // where the word of an error is: a part of the body, %s being the word
}

func speakers() []speaker {
	return []speaker{
		{
			name: "anthropic", path: "/v1/messages", body: `{"model":"m-1","max_tokens":100,"messages":[{"role":"user","content":%q}],"stream":%t}`,
			end: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", text: `{"type":"text","text":%q}`, id: "Request-Id", error: `{"type":"error","error":{"type":%q`,
		},
		{
			name: "openai", path: "/v1/responses", body: `{"model":"m-1","store":false,"input":[{"role":"user","content":%q}],"stream":%t}`,
			end: "event: response.completed\n", text: `"annotations":[],"text":%q}`, id: "X-Request-Id", error: `"code":%q`,
		},
		{
			name: "openai-chat", path: "/v1/chat/completions", body: `{"model":"m-1","messages":[{"role":"user","content":%q}],"stream":%t}`,
			end: "data: [DONE]\n\n", text: `"content":%q`, id: "X-Request-Id", error: `"code":%q`,
		},
		{
			name: "gemini", path: "/v1beta/models/m-1:streamGenerateContent?alt=sse", whole: "/v1beta/models/m-1:generateContent",
			body: `{"contents":[{"role":"user","parts":[{"text":%q}]}]}`, end: `"finishReason":"STOP"`, text: `{"text":%q}`, error: `"status":%q`,
		},
	}
}

type got struct {
	status int
	header http.Header
	body   string
	err    error
}

// say sends a text.
func (s speaker) say(t *testing.T, base, text string, stream bool, header ...string) got {
	t.Helper()
	path, body := s.path, s.body
	if !stream && s.whole != "" {
		path = s.whole
	}
	if strings.Contains(body, "%t") {
		body = fmt.Sprintf(body, text, stream)
	} else {
		body = fmt.Sprintf(body, text)
	}
	return post(t, base+path, body, header...)
}

func post(t *testing.T, url, body string, header ...string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Anthropic-Version", "2023-06-01")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, string(b), err}
}

func each(t *testing.T, f func(t *testing.T, s speaker)) {
	for _, s := range speakers() {
		t.Run(s.name, func(t *testing.T) { f(t, s) })
	}
}

func TestWiresAnswer(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		const text = "Grüße aus dem Norden, where the chunks are short."
		m := aitest.Script(t, aitest.Text(text), aitest.Text(text).Header("X-Served-By", "me"))
		srv := aitest.NewServer(t, m, aitest.Options{Chunk: 3})
		whole := s.say(t, srv.URL, "hi", false)
		if want := fmt.Sprintf(s.text, text); whole.status != 200 || !strings.Contains(whole.body, want) || whole.header.Get("Content-Type") != "application/json" {
			t.Errorf("whole: %+v, want %s in it", whole, want)
		}
		live := s.say(t, srv.URL, "hi", true)
		if live.status != 200 || live.err != nil || !strings.HasPrefix(live.header.Get("Content-Type"), "text/event-stream") || live.header.Get("X-Served-By") != "me" {
			t.Errorf("streamed: %+v", live)
		}
		if !strings.Contains(live.body[max(0, len(live.body)-1000):], s.end) || strings.Count(live.body, "data: ") < 15 {
			t.Errorf("the stream ends without %q or has few events:\n%s", s.end, live.body)
		}
		calls := srv.Calls()
		if len(calls) != 2 || !calls[1].Paid || !calls[1].Delivered || calls[1].Wire != s.name || calls[1].Model != "m-1" || calls[1].Usage.Output == 0 {
			t.Errorf("calls: %+v", calls)
		}
		if s.id != "" && live.header.Get(s.id) != calls[1].RequestID {
			t.Errorf("the request id is %q, in the ledger %q", live.header.Get(s.id), calls[1].RequestID)
		}
		if rs := srv.Requests(); len(rs) != 2 || rs[0].Asked.Messages[0].Text != "hi" || rs[0].Asked != m.Requests()[0] {
			t.Errorf("requests: %+v", rs)
		}
	})
}

// The words of the providers for what goes wrong.
func TestWiresFail(t *testing.T) {
	words := map[string][]string{ // 429, quota, overloaded, 500, 404, 401, 400
		"anthropic":   {"rate_limit_error", "rate_limit_error", "overloaded_error", "api_error", "not_found_error", "authentication_error", "invalid_request_error"},
		"openai":      {"rate_limit_exceeded", "insufficient_quota", "", "", "model_not_found", "invalid_api_key", "context_length_exceeded"},
		"openai-chat": {"rate_limit_exceeded", "insufficient_quota", "", "", "model_not_found", "invalid_api_key", "context_length_exceeded"},
		"gemini":      {"RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "NOT_FOUND", "UNAUTHENTICATED", "INVALID_ARGUMENT"},
	}
	each(t, func(t *testing.T, s speaker) {
		m := aitest.Script(t, aitest.RateLimited(2*time.Second), aitest.Quota(), aitest.Overloaded(), aitest.Status(500), aitest.Status(404), aitest.Status(401), aitest.TooLong())
		srv := aitest.NewServer(t, m)
		overload := 503
		if s.name == "anthropic" {
			overload = 529
		}
		for i, status := range []int{429, 429, overload, 500, 404, 401, 400} {
			g := s.say(t, srv.URL, "hi", i%2 == 0)
			if want := fmt.Sprintf(s.error, words[s.name][i]); g.status != status || !strings.Contains(g.body, want) || !json.Valid([]byte(g.body)) {
				t.Errorf("failure %d: %+v, want %d with %s", i+1, g, status, want)
			}
			if i == 0 && g.header.Get("Retry-After") != "2" && !strings.Contains(g.body, `"retryDelay":"2s"`) {
				t.Errorf("does not say when to come back: %+v", g)
			}
			if i == 1 && s.name == "anthropic" && !strings.Contains(g.body, "enforced_spend_limit_reached") || i == 1 && s.name == "gemini" && !strings.Contains(g.body, "PerDay") {
				t.Errorf("a quota looks like a rate limit: %s", g.body)
			}
		}
		if l := srv.Ledger(); l.Paid != 0 || l.Requests != 7 || l.Statuses[429] != 2 {
			t.Errorf("the ledger is %+v", l)
		}
	})
}

func TestRetryAfterForms(t *testing.T) {
	m := aitest.Script(
		t,
		aitest.RateLimited(1500*time.Millisecond), aitest.RateLimited(1500*time.Millisecond).Form(aitest.InMillis),
		aitest.RateLimited(1500*time.Millisecond).Form(aitest.InFraction), aitest.RateLimited(time.Minute).Form(aitest.AsDate),
		aitest.RateLimited(time.Minute).Form(aitest.AsReset), aitest.RateLimited(time.Minute).Form(aitest.NotSaid),
		aitest.RateLimited(0).Header("Retry-After", "soon"),
	)
	srv := aitest.NewServer(t, m)
	var all []http.Header
	for range 7 {
		all = append(all, speakers()[0].say(t, srv.URL, "hi", true).header)
	}
	at, err := http.ParseTime(all[3].Get("Retry-After"))
	switch {
	case all[0].Get("Retry-After") != "2", all[1].Get("Retry-After-Ms") != "1500", all[2].Get("Retry-After") != "1.5":
		t.Errorf("numbers are %v", all[:3])
	case err != nil || time.Until(at) < 50*time.Second || time.Until(at) > time.Minute:
		t.Errorf("the date is %v, %v", all[3], err)
	case all[4].Get("Retry-After") != "" || all[4].Get("Anthropic-Ratelimit-Requests-Remaining") != "0" || all[4].Get("Anthropic-Ratelimit-Requests-Reset") == "":
		t.Errorf("the reset is %v", all[4])
	case all[5].Get("Retry-After") != "" || all[6].Get("Retry-After") != "soon":
		t.Errorf("unsaid and rubbish are %v", all[5:])
	}
}

// An answer that is cut is paid and not delivered, wherever the cut is, also one byte before the end.
func TestCutAnywhere(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		for _, stream := range []bool{true, false} {
			full := s.say(t, aitest.NewServer(t, aitest.Script(t, aitest.Text("some words"))).URL, "hi", stream)
			for _, n := range []int{1, 7, len(full.body) / 2, len(full.body) - 1, len(full.body), 1 << 20} {
				srv := aitest.NewServer(t, aitest.Script(t, aitest.Text("some words").Cut(n)))
				g := s.say(t, srv.URL, "hi", stream)
				if g.err == nil || !errors.Is(g.err, io.ErrUnexpectedEOF) {
					t.Errorf("a cut after %d bytes: %+v", n, g)
				}
				// Times and ids differ in length between servers at most by a few bytes.
				if len(g.body) > min(n, len(full.body)+5) || len(g.body) < min(n, len(full.body)-5) {
					t.Errorf("a cut after %d bytes let %d of %d through", n, len(g.body), len(full.body))
				}
				if c := srv.Calls(); len(c) != 1 || !c[0].Paid || c[0].Delivered {
					t.Errorf("calls: %+v", c)
				}
			}
		}
	})
}

func TestStreamErrors(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		srv := aitest.NewServer(t, aitest.Script(t, aitest.StreamError(529), aitest.StreamError(429)))
		g := s.say(t, srv.URL, "hi", true)
		if g.status != 200 || g.err != nil || strings.Contains(g.body, s.end) || !strings.Contains(g.body, "overloaded") || strings.Count(g.body, "data: ") != 3 {
			t.Errorf("an error in a stream: %+v", g)
		}
		if g := s.say(t, srv.URL, "hi", false); g.status != 429 {
			t.Errorf("without a stream: %+v", g)
		}
		if l := srv.Ledger(); l.Paid != 0 {
			t.Errorf("the ledger is %+v", l)
		}
	})
}

func TestSilenceOnTheWire(t *testing.T) {
	m := aitest.Script(t, aitest.Silence())
	srv := aitest.NewServer(t, m)
	done := make(chan got)
	go func() { done <- speakers()[0].say(t, srv.URL, "hi", true) }()
	for m.Calls() == 0 { // it has come; nothing will
		runtime.Gosched()
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if g := <-done; g.err == nil || g.body != "" {
		t.Errorf("silence said %+v", g)
	}
	if err := srv.Wait(); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestKeyAndModels(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		header := map[string][2]string{
			"anthropic": {"x-api-key", "k-1"}, "openai": {"Authorization", "Bearer k-1"}, "openai-chat": {"Authorization", "Bearer k-1"}, "gemini": {"x-goog-api-key", "k-1"},
		}[s.name]
		open := aitest.NewServer(t, aitest.Script(t, aitest.Text("hi")), aitest.Options{Key: "k-1"})
		if g := s.say(t, open.URL, "hi", true); g.status != 401 {
			t.Errorf("without the key: %+v", g)
		}
		if g := s.say(t, open.URL, "hi", true, header[0], header[1]+"x"); g.status != 401 {
			t.Errorf("with another key: %+v", g)
		}
		if g := s.say(t, open.URL, "hi", true, header[0], header[1]); g.status != 200 {
			t.Errorf("with the key: %+v", g)
		}
		for _, o := range []aitest.Options{{Retired: []string{"m-1"}}, {Models: []string{"m-2"}}} {
			if g := s.say(t, aitest.NewServer(t, aitest.Script(t), o).URL, "hi", true); g.status != 404 || !strings.Contains(g.body, "m-1") {
				t.Errorf("a model that is not there: %+v", g)
			}
		}
	})
}

// What a provider would refuse is refused.
func TestBadRequests(t *testing.T) {
	srv := aitest.NewServer(t, aitest.Script(t))
	for what, c := range map[string][2]string{
		"no JSON":                  {"/v1/messages", `{`},
		"no max_tokens":            {"/v1/messages", `{"model":"m","messages":[{"role":"user","content":"x"}]}`},
		"a prefill":                {"/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`},
		"a result of no call":      {"/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"x"}]}]}`},
		"a call without result":    {"/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"t","input":{}}]},{"role":"user","content":"y"}]}`},
		"a changed thought":        {"/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"YWl0ZXN0OmFhYWFhYWFhYWFhYQ=="}]},{"role":"user","content":"y"}]}`},
		"an empty input":           {"/v1/responses", `{"model":"m","input":[]}`},
		"background":               {"/v1/responses", `{"model":"m","input":"x","background":true}`},
		"a loose schema":           {"/v1/responses", `{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":{"type":"object","properties":{"a":{"type":"string"}}}}}}`},
		"an output of no call":     {"/v1/responses", `{"model":"m","input":[{"type":"function_call_output","call_id":"a","output":"x"}]}`},
		"an unanswered call":       {"/v1/responses", `{"model":"m","input":[{"type":"function_call","call_id":"a","name":"t","arguments":"{}"}]}`},
		"a schema not in full":     {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"a":{"type":"object","properties":{"b":{}},"required":["b"]}},"required":["a"],"additionalProperties":false}}}}`},
		"a tool message alone":     {"/v1/chat/completions", `{"model":"m","messages":[{"role":"tool","tool_call_id":"a","content":"x"}]}`},
		"calls without results":    {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"t","arguments":"{}"}}]},{"role":"user","content":"y"}]}`},
		"an unknown role":          {"/v1/chat/completions", `{"model":"m","messages":[{"role":"wizard","content":"x"}]}`},
		"a method that is not one": {"/v1beta/models/m:countTokens", `{"contents":[{"parts":[{"text":"x"}]}]}`},
		"a stream without sse":     {"/v1beta/models/m:streamGenerateContent", `{"contents":[{"parts":[{"text":"x"}]}]}`},
		"a schema without a type":  {"/v1beta/models/m:generateContent", `{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"responseJsonSchema":{}}}`},
		"a response of no call":    {"/v1beta/models/m:generateContent", `{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"t","response":{"result":1}}}]}]}`},
	} {
		if g := post(t, srv.URL+c[0], c[1]); g.status != 400 || !json.Valid([]byte(g.body)) {
			t.Errorf("%s: %+v, want 400", what, g)
		}
	}
	if g := post(t, srv.URL+"/v1/v1/messages", "{}"); g.status != 404 || !strings.Contains(g.body, "base URL") {
		t.Errorf("a base URL with /v1 too many: %+v", g)
	}
	if g := post(t, srv.URL+"/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`, "Anthropic-Version", ""); g.status != 400 {
		t.Errorf("without a version: %+v", g)
	}
	if g := post(t, srv.URL+"/v1/messages", strings.Repeat(" ", 33<<20)); g.status != 413 {
		t.Errorf("33 MiB: %d, %v", g.status, g.err)
	}
}

func TestLimits(t *testing.T) {
	srv := aitest.NewServer(t, aitest.Script(t, aitest.Text("a"), aitest.Text("b"), aitest.Text("c")), aitest.Options{Limit: aitest.Limit{Requests: 2, Tokens: 1000}})
	s := speakers()[1]
	var left []string
	for range 3 {
		g := s.say(t, srv.URL, "hi", true, "Authorization", "Bearer one")
		left = append(left, fmt.Sprint(g.status, " ", g.header.Get("X-Ratelimit-Remaining-Requests"), " ", g.header.Get("X-Ratelimit-Remaining-Tokens")))
	}
	if want := []string{"200 1 999", "200 0 998", "429 0 998"}; !slices.Equal(left, want) {
		t.Errorf("counted down as %q, want %q", left, want)
	}
	if g := s.say(t, srv.URL, "hi", true, "Authorization", "Bearer two"); g.status != 200 {
		t.Errorf("another key: %+v", g)
	}
	if l := srv.Ledger(); l.Faults["limit"] != 1 {
		t.Errorf("the ledger is %+v", l)
	}
}

// always answers, and says how often.
type always struct {
	mu sync.Mutex
	n  int
}

func (a *always) Generate(_ context.Context, r *model.Request, _ func(model.Delta)) (*model.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	return &model.Response{Message: model.Message{Role: model.Assistant, Text: `{"answer":"` + r.Messages[0].Text + `"}`}, Stop: model.StopEnd, Usage: model.Usage{Input: 10, Output: 5}}, nil
}

// The same seed gives the same weather, in whatever order questions come; and a client that
// asks again gets through.
func TestChaosIsSeeded(t *testing.T) {
	play := func(seed uint64, reverse bool) (map[string]string, aitest.Ledger, int) {
		c := aitest.Weather(seed)
		c.Silent, c.Slow, c.After = 0, 0, time.Millisecond
		m := new(always)
		srv := aitest.NewServer(t, m, aitest.Options{Chaos: &c})
		out := map[string]string{}
		for i := range 40 {
			if reverse {
				i = 39 - i
			}
			for try := 0; ; try++ {
				g := speakers()[i%4].say(t, srv.URL, fmt.Sprint("question ", i), true)
				ok := g.status == 200 && g.err == nil && !strings.Contains(g.body, "overloaded")
				out[fmt.Sprint(i)] += fmt.Sprintln(g.status, g.err != nil, ok)
				if ok {
					break
				}
				if try == 3 {
					t.Fatalf("question %d does not get through: %s", i, out[fmt.Sprint(i)])
				}
			}
		}
		return out, srv.Ledger(), m.n
	}
	a, l, paid := play(7, false)
	b, _, _ := play(7, true)
	c, _, _ := play(8, false)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("the same seed gave other weather:\n%v\n%v", a, b)
	}
	if fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("another seed gave the same weather")
	}
	if l.Delivered != 40 || l.Paid != paid || l.Paid-l.Delivered != l.Faults["cut"] || len(l.Twice) != 0 || l.Usage.Input != int64(10*paid) {
		t.Errorf("the model was asked %d times, the ledger is %+v", paid, l)
	}
	short := 0
	for _, tries := range a {
		if n := len(strings.Fields(tries)) / 3; n == 2 {
			short++
		}
	}
	if short == 0 {
		t.Errorf("no bad weather was over after one try: %v", a)
	}
	if l.Faults["cut"] == 0 || l.Faults["rate limited"] == 0 || len(l.Again) == 0 {
		t.Errorf("hardly any weather: %+v", l)
	}
}

// Who asks again what was answered has paid twice.
func TestLedgerSeesTwice(t *testing.T) {
	var seen []aitest.Call
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 3)
	srv, err := aitest.Serve(l, new(always), aitest.Options{Seen: func(c aitest.Call) { seen = append(seen, c); done <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	s := speakers()[0]
	for _, text := range []string{"a", "a", "b"} {
		s.say(t, srv.URL, text, true)
		<-done
	}
	sum := srv.Ledger()
	if sum.Paid != 3 || sum.Questions != 2 || len(sum.Twice) != 1 || sum.Twice[0] != seen[0].Hash || seen[0].Hash != seen[1].Hash || seen[0].RequestID == seen[1].RequestID {
		t.Errorf("the ledger is %+v, seen %+v", sum, seen)
	}
	if len(srv.Requests()) != 0 {
		t.Error("requests were kept")
	}
	resp, err := http.Get(srv.URL + "/ledger?calls=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var told struct {
		aitest.Ledger
		Calls []aitest.Call
	}
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || told.Paid != 3 || len(told.Calls) != 3 || told.Twice[0] != sum.Twice[0] {
		t.Errorf("told %+v, %v", told, err)
	}
}

func TestLists(t *testing.T) {
	srv := aitest.NewServer(t, aitest.Script(t), aitest.Options{Models: []string{"qwen3:8b"}})
	for path, want := range map[string]string{"/api/tags": `"name":"qwen3:8b"`, "/v1/models": `"id":"qwen3:8b"`, "/": "is none"} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		resp.Body.Close()
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: %s", path, b.String())
		}
	}
	if srv.Getenv("OPENAI_BASE_URL") != srv.URL+"/v1" || srv.Getenv("OPENAI_BASE") != "" || srv.Getenv("HOME") != "" {
		t.Errorf("the environment is %q", srv.Env())
	}
}

func TestOptionsMakeSense(t *testing.T) {
	for want, o := range map[string]aitest.Options{
		`"cut" is 2`:    {Chaos: &aitest.Chaos{Cut: 2}},
		"add up to 1.2": {Chaos: &aitest.Chaos{Cut: 0.6, Slow: 0.6}},
		"is negative":   {Chaos: &aitest.Chaos{Most: -1}},
	} {
		if got := watch(func(r *recorder) { aitest.NewServer(r, nil, o) }); !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", o.Chaos, got, want)
		}
	}
	if got := watch(func(r *recorder) { aitest.NewServer(r, nil, aitest.Options{}, aitest.Options{}) }); !strings.Contains(got, "one is enough") {
		t.Errorf("two options: %q", got)
	}
}

// Answers take the time that they are given, and who leaves early has paid.
func TestSlow(t *testing.T) {
	seen := make(chan aitest.Call, 2)
	o := aitest.Options{First: 30 * time.Millisecond, Delay: time.Millisecond, Seen: func(c aitest.Call) { seen <- c }}
	srv := aitest.NewServer(t, aitest.Script(t, aitest.Text("some words").Slow(40*time.Millisecond), aitest.Text("never seen").Slow(time.Hour)), o)
	begin := time.Now()
	if g := speakers()[0].say(t, srv.URL, "hi", true); g.status != 200 || time.Since(begin) < 75*time.Millisecond {
		t.Errorf("after %v: %+v", time.Since(begin), g)
	}
	if c := <-seen; !c.Delivered {
		t.Errorf("slow: %+v", c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m, err := adapters(srv)["chat"].Open("m-1")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := m.Generate(ctx, hello(), nil); done <- err }()
	for len(srv.Requests()) < 2 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves gets %v", err)
	}
	if c := <-seen; !c.Paid || c.Delivered || c.Usage.Output == 0 {
		t.Errorf("who leaves has %+v", c)
	}
}
