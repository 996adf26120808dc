package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/durable-go/durable/ai/model"
)

// A context that ends is the end of the try, at once, wherever it is.
func TestCancelIsPrompt(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		stream := s.golden(t, "text")
		for name, serve := range map[string]func(w http.ResponseWriter, sent chan<- bool, gone <-chan struct{}){
			"before headers": func(_ http.ResponseWriter, sent chan<- bool, gone <-chan struct{}) { sent <- true; <-gone },
			"after headers": func(w http.ResponseWriter, sent chan<- bool, gone <-chan struct{}) {
				w.Header().Set("Content-Type", sse)
				_ = http.NewResponseController(w).Flush()
				sent <- true
				<-gone
			},
			"in the stream": func(w http.ResponseWriter, sent chan<- bool, gone <-chan struct{}) {
				w.Header().Set("Content-Type", sse)
				_, _ = w.Write(stream[:len(stream)/2])
				_ = http.NewResponseController(w).Flush()
				sent <- true
				<-gone
			},
			"in the body of an error": func(w http.ResponseWriter, sent chan<- bool, gone <-chan struct{}) {
				w.WriteHeader(500)
				_ = http.NewResponseController(w).Flush()
				sent <- true
				<-gone
			},
		} {
			sent, gone := make(chan bool, 1), make(chan struct{})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client has gone
				serve(w, sent, r.Context().Done())
				close(gone)
			}))
			ctx, cancel := context.WithCancelCause(context.Background())
			go func() { <-sent; cancel(errors.New("enough")) }()
			begin := time.Now()
			_, err := s.model(t, srv.URL, nil).Generate(ctx, question(), nil)
			e := fail(t, err)
			if e.Kind != model.Transient || !strings.Contains(e.Error(), "enough") || time.Since(begin) > 5*time.Second {
				t.Errorf("%s: %v after %v", name, e, time.Since(begin))
			}
			<-gone // the server has seen it, too
			srv.Close()
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := speakers()[0].model(t, "http://test", answers(200, sse, bytes.NewReader(speakers()[0].golden(t, "text")))).Generate(ctx, question(), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended: %v", err)
	}
}

// silent is a body that gives pieces after pauses, then nothing, until the request is given up.
type silent struct {
	ctx    context.Context
	pieces [][]byte
	pause  time.Duration
	ends   bool
}

func (s *silent) Read(p []byte) (int, error) {
	wait := s.pause
	if len(s.pieces) == 0 && !s.ends {
		wait = 1000 * time.Hour
	}
	select {
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	case <-time.After(wait):
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	s.pieces = s.pieces[1:]
	return n, nil
}

func (s *silent) Close() error { return nil }

// A try fails when no byte comes for the idle time, and not because the whole takes long; the time
// that the receiver takes does not count.
func TestIdle(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		stream := s.golden(t, "text")
		var bytewise [][]byte
		for i := range stream {
			bytewise = append(bytewise, stream[i:i+1])
		}
		for name, c := range map[string]struct {
			idle, pause, took time.Duration
			pieces            [][]byte
			slow              time.Duration // of the receiver
			status            int
			ok                bool
		}{
			"silence after headers":  {took: 60 * time.Second},
			"as the request says":    {idle: 3 * time.Second, took: 3 * time.Second},
			"silence in the stream":  {pieces: bytewise[:100], pause: time.Second, took: 160 * time.Second},
			"a byte in 59 s each":    {pieces: bytewise, pause: 59 * time.Second, ok: true},
			"a byte in 61 s":         {pieces: bytewise, pause: 61 * time.Second, took: 60 * time.Second},
			"a slow receiver":        {pieces: bytewise, pause: time.Millisecond, slow: time.Hour, ok: true},
			"before headers":         {status: -1, took: 60 * time.Second},
			"silence of an error":    {status: 500, took: 60 * time.Second},
			"silence of one in half": {status: 500, pieces: [][]byte{[]byte(`{"error":`)}, pause: 5 * time.Second, took: 65 * time.Second},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := trip(func(r *http.Request) (*http.Response, error) {
						if c.status < 0 {
							<-r.Context().Done()
							return nil, r.Context().Err()
						}
						status := max(c.status, 200)
						return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {sse}}, Body: &silent{r.Context(), c.pieces, c.pause, c.ok}, Request: r}, nil
					}).client()
					begin := time.Now()
					r := question()
					r.Idle = c.idle
					got, err := s.model(t, "http://test", client).Generate(context.Background(), r, func(model.Delta) { <-time.After(c.slow) })
					switch {
					case c.ok && (err != nil || got.Message.Text != "Hello, wörld <&> 😀!"):
						t.Errorf("%+v %v", got, err)
					case !c.ok && (fail(t, err).Kind != model.Transient || time.Since(begin) != c.took):
						t.Errorf("%v after %v, want %v", err, time.Since(begin), c.took)
					case !c.ok && c.status <= 0 && !strings.Contains(err.Error(), "not a byte"):
						t.Errorf("%v does not say why", err)
					}
				})
			})
		}
	})
}

// endless repeats itself.
type endless struct{ b []byte }

func (e endless) Read(p []byte) (int, error) {
	n := copy(p, e.b)
	for n < len(p)-len(e.b) {
		n += copy(p[n:], e.b)
	}
	return n, nil
}

// What a hostile server says is an error: no panic, no memory without end, no answer.
func TestHostileAnswers(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	each(t, func(t *testing.T, s speaker) {
		text := string(s.golden(t, "text"))
		for name, c := range map[string]struct {
			contentType string
			body        io.Reader
			want        model.Kind
		}{
			"nothing":               {sse, strings.NewReader(""), model.Transient},
			"nothing of no type":    {"", strings.NewReader(" \n "), model.Transient},
			"nothing of JSON":       {"application/json", strings.NewReader(""), model.Transient},
			"a page":                {"text/html", strings.NewReader("<html>login</html>"), model.Transient},
			"deep JSON":             {"application/json", strings.NewReader(deep(20_000)), model.Transient},
			"deep event":            {sse, strings.NewReader("data: " + deep(20_000) + "\n\n"), model.Transient},
			"event that is no JSON": {sse, strings.NewReader("data: hello\n\n"), model.Transient},
			"event of null":         {sse, strings.NewReader("data: null\n\n"), model.Transient},
			"event of a list":       {sse, strings.NewReader("data: []\n\n"), model.Transient},
			"event of 17 MiB":       {sse, io.MultiReader(strings.NewReader("data: "), bytes.NewReader(bytes.Repeat([]byte("x"), 17<<20))), model.BadAnswer},
			"pings without end":     {sse, endless{[]byte("event: ping\ndata: {\"type\":\"ping\"}\n\n")}, model.BadAnswer},
			"JSON without end":      {"application/json", endless{[]byte("[[[[")}, model.BadAnswer},
			"a line without end":    {sse, endless{[]byte("x")}, model.BadAnswer},
			"invalid UTF-8":         {sse, strings.NewReader("data: \xff\xfe{}\n\n"), model.Transient},
			"only the last event":   {sse, strings.NewReader(map[string]string{"anthropic": "data: {\"type\":\"message_stop\"}\n\n", "openai": "data: {\"type\":\"response.completed\"}\n\n", "openai-chat": "data: [DONE]\n\n", "gemini": ": x\n\n"}[s.name]), model.Transient},
			"pieces of nothing":     {sse, strings.NewReader(`data: {"type":"content_block_delta","index":999999999,"delta":{"type":"text_delta","text":"x"}}` + "\n\n"), model.Transient},
		} {
			if name == "pings without end" && s.name != "anthropic" {
				continue
			}
			_, err := ask(s.model(t, "http://test", answers(200, c.contentType, c.body)), nil)
			if e := fail(t, err); e.Kind != c.want || e.Status != 200 {
				t.Errorf("%s: %v, want %s", name, e, c.want)
			}
		}
		// Bytes that are not UTF-8 do not get through in any part of an answer.
		for _, kind := range []string{"text", "thinking"} {
			stream := bytes.ReplaceAll(s.golden(t, kind), []byte("o"), []byte("\xff"))
			stream = bytes.ReplaceAll(stream, []byte("look"), []byte("l\xffk"))
			got, err := ask(s.model(t, "http://test", answers(200, sse, bytes.NewReader(stream))), nil)
			if err == nil && (!utf8.ValidString(got.Message.Text) || !utf8.Valid(got.Message.Raw)) {
				t.Errorf("%q %q", got.Message.Text, got.Message.Raw)
			}
		}
		// A huge error is an error.
		_, err := ask(s.model(t, "http://test", answers(500, "application/json", endless{[]byte("{")})), nil)
		if e := fail(t, err); e.Kind != model.Transient || len(e.Error()) > 4000 {
			t.Errorf("%v", e)
		}
		// An answer without a type is understood by what it begins with.
		got, err := ask(s.model(t, "http://test", answers(200, "", strings.NewReader("\n"+text))), nil)
		if err != nil || got.Message.Text == "" {
			t.Errorf("%+v %v", got, err)
		}
	})
}

// An answer that does not come as a stream is read whole, with the same result.
func TestWholeAnswers(t *testing.T) {
	whole := map[string]string{
		"anthropic": `{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-20250514","content":[{"type":"text","text":"Let me look."},{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{"city":"Zürich"}},{"type":"tool_use","id":"toolu_2","name":"get_time","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":100,"cache_read_input_tokens":40,"cache_creation_input_tokens":0,"output_tokens":30,"output_tokens_details":{"thinking_tokens":12}}}`,
		"openai-chat": `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-6-sol-2026","choices":[{"index":0,"message":{"role":"assistant","content":"Let me look.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Zürich\"}"}},{"id":"call_2","type":"function","function":{"name":"get_time","arguments":""}}]},"finish_reason":"tool_calls"}],
			"usage":{"prompt_tokens":140,"completion_tokens":30,"total_tokens":170,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":12}}}`,
		"openai": `{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-6-sol-2026","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Let me look.","annotations":[]}]},{"type":"function_call","call_id":"call_1","name":"get_weather","arguments":"{\"city\":\"Zürich\"}"},{"type":"function_call","call_id":"call_2","name":"get_time","arguments":"{}"}],
			"usage":{"input_tokens":140,"input_tokens_details":{"cached_tokens":40},"output_tokens":30,"output_tokens_details":{"reasoning_tokens":12},"total_tokens":170}}`,
		"gemini": `{"candidates":[{"content":{"role":"model","parts":[{"text":"Let me look."},{"functionCall":{"name":"get_weather","args":{"city":"Zürich"}}},{"functionCall":{"name":"get_time"}}]},"finishReason":"STOP"}],"modelVersion":"gemini-3-pro-001","responseId":"resp-1",
			"usageMetadata":{"promptTokenCount":140,"cachedContentTokenCount":40,"candidatesTokenCount":18,"thoughtsTokenCount":12}}`,
	}
	each(t, func(t *testing.T, s speaker) {
		streamed, err := ask(s.model(t, "http://test", answers(200, sse, bytes.NewReader(s.golden(t, "tools")))), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, contentType := range []string{"application/json", "application/json; charset=utf-8", ""} {
			var text strings.Builder
			got, err := ask(s.model(t, "http://test", answers(200, contentType, strings.NewReader(whole[s.name]))), func(d model.Delta) { text.WriteString(d.Text) })
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, streamed) || text.String() != "Let me look." {
				t.Errorf("whole %+v\nstreamed %+v", got, streamed)
			}
		}
		for n := range whole[s.name] {
			if got, err := ask(s.model(t, "http://test", answers(200, "application/json", strings.NewReader(whole[s.name][:n]))), nil); err == nil {
				t.Fatalf("cut after %d bytes: %+v", n, got)
			}
		}
	})
	list := answers(200, "application/json", strings.NewReader("["+whole["gemini"]+"]"))
	if got, err := ask(speakers()[3].model(t, "http://test", list), nil); err != nil || got.Stop != model.StopTools {
		t.Errorf("%+v %v", got, err)
	}
}

// What a model calls arguments is JSON in any case, so that the message can be kept.
func TestArgumentsThatAreNone(t *testing.T) {
	stream := strings.ReplaceAll(string(speakers()[2].golden(t, "tools")), `rich\"}`, `rich`)
	got, err := ask(speakers()[2].model(t, "http://test", answers(200, sse, strings.NewReader(stream))), nil)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(got.Message.Calls[0].Args, &text); err != nil || text != `{"city": "Zürich` {
		t.Errorf("%s %v", got.Message.Calls[0].Args, err)
	}
	if _, err := json.Marshal(got.Message); err != nil {
		t.Error(err)
	}
}

func FuzzAnswers(f *testing.F) {
	for i, s := range speakers() {
		for _, kind := range []string{"text", "tools", "thinking", "error", "refused"} {
			if b := s.golden(f, kind); b != nil {
				f.Add(uint8(i), b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		s := speakers()[int(i)%4]
		for _, contentType := range []string{sse, "application/json"} {
			got, err := ask(s.model(t, "http://test", answers(200, contentType, bytes.NewReader(b))), func(model.Delta) {})
			if err != nil {
				if e := fail(t, err); e.Kind == "" || e.Provider == "" {
					t.Fatalf("%+v", e)
				}
				continue
			}
			if got.Stop == "" || got.Usage.Input < 0 || got.Usage.Output < 0 || got.Usage.CacheRead < 0 {
				t.Fatalf("%+v", got)
			}
			kept, err := json.Marshal(got)
			if err != nil {
				t.Fatalf("%+v cannot be kept: %v", got, err)
			}
			var back model.Response
			if err := json.Unmarshal(kept, &back); err != nil {
				t.Fatal(err)
			}
			// What was answered can be sent back.
			r := question()
			r.Messages = append(r.Messages, back.Message, model.Message{Role: model.User, Text: "go on"})
			for k, c := range back.Message.Calls {
				if c.Name == "" || k > 3 {
					return
				}
			}
			if _, _, err := bodyOf(s, t, r); err != nil {
				t.Fatalf("%+v cannot be sent: %v", back.Message, err)
			}
		}
	})
}

func bodyOf(s speaker, t *testing.T, r *model.Request) ([]byte, http.Header, error) {
	return body(t, func(c *http.Client) model.Model { return s.model(t, "http://test", c) }, r)
}
