package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/durable-go/durable/ai/anthropic"
	"github.com/durable-go/durable/ai/gemini"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/ai/openai"
)

const canary = "sk-canary-9d1f7b6a2c3e4d5f"

// speaker is a wire under test.
type speaker struct {
	name string // also of its golden files
	path string
	open func(base string, c *http.Client) model.Provider
}

func getenv(name string) string {
	if strings.HasSuffix(name, "_KEY") {
		return canary
	}
	return ""
}

func speakers() []speaker {
	return []speaker{
		{"anthropic", "/v1/messages", func(base string, c *http.Client) model.Provider {
			return anthropic.Provider{BaseURL: base, HTTP: c, Getenv: getenv}
		}},
		{"openai", "/v1/responses", func(base string, c *http.Client) model.Provider {
			return openai.Provider{BaseURL: base + "/v1", HTTP: c, Getenv: getenv}
		}},
		{"openai-chat", "/v1/chat/completions", func(base string, c *http.Client) model.Provider {
			return openai.Chat{BaseURL: base + "/v1", HTTP: c, Getenv: getenv}
		}},
		{"gemini", "/v1beta/models/m:streamGenerateContent", func(base string, c *http.Client) model.Provider {
			return gemini.Provider{BaseURL: base, HTTP: c, Getenv: getenv}
		}},
	}
}

// each runs a test for every wire.
func each(t *testing.T, f func(t *testing.T, s speaker)) {
	for _, s := range speakers() {
		t.Run(s.name, func(t *testing.T) { f(t, s) })
	}
}

func (s speaker) model(t testing.TB, base string, c *http.Client) model.Model {
	t.Helper()
	m, err := s.open(base, c).Open("m")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// golden is a recorded stream, "" if the wire has none of that kind.
func (s speaker) golden(t testing.TB, kind string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/streams/" + s.name + "_" + kind + ".sse")
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func question() *model.Request {
	return &model.Request{
		Model: "asked", System: "You are the canary-of-the-system-prompt.",
		Messages: []model.Message{{Role: model.User, Text: "Say the canary-of-the-user-prompt."}},
	}
}

// trip answers requests without a network.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	return f(r)
}

func (f trip) client() *http.Client { return &http.Client{Transport: f} }

// answers is a client that gets that body for every question.
func answers(status int, contentType string, body io.Reader, headers ...string) *http.Client {
	return trip(func(r *http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {contentType}}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(body), Request: r}, nil
	}).client()
}

const sse = "text/event-stream; charset=utf-8"

func ask(m model.Model, on func(model.Delta)) (*model.Response, error) {
	return m.Generate(context.Background(), question(), on)
}

func fail(t *testing.T, err error) *model.Error {
	t.Helper()
	var e *model.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *model.Error: %v", err, err)
	}
	return e
}

// What comes of whole streams, over real HTTP; and the same of streams in single bytes.
func TestAI22_AI23_Streams(t *testing.T) {
	usage := model.Usage{Input: 100, CacheRead: 40, Output: 30, Reasoning: 12}
	each(t, func(t *testing.T, s speaker) {
		for kind, want := range map[string]struct {
			text     string
			stop     model.Stop
			calls    int
			thinking string
		}{
			"text":     {"Hello, wörld <&> 😀!", model.StopEnd, 0, ""},
			"tools":    {"Let me look.", model.StopTools, 2, ""},
			"thinking": {"Let me look.", model.StopTools, 1, "Hm, <so> it is."},
			"length":   {"Hel", model.StopLength, 0, ""},
			"pause":    {"Hel", model.StopPause, 0, ""},
			"too_long": {"Hel", model.StopTooLong, 0, ""},
			"filtered": {"Hel", model.StopRefused, 0, ""},
			"safety":   {"Hel", model.StopRefused, 0, ""}, "recitation": {"Hel", model.StopRefused, 0, ""}, "blocklist": {"Hel", model.StopRefused, 0, ""},
			"prohibited_content": {"Hel", model.StopRefused, 0, ""}, "spii": {"Hel", model.StopRefused, 0, ""},
		} {
			stream := s.golden(t, kind)
			if stream == nil {
				continue
			}
			t.Run(kind, func(t *testing.T) {
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != s.path {
						t.Errorf("asked at %s", r.URL.Path)
					}
					w.Header().Set("Content-Type", sse)
					_, _ = w.Write(stream)
				}))
				defer srv.Close()
				var text, thinking, args strings.Builder
				var tools []string
				var last model.Usage
				got, err := ask(s.model(t, srv.URL, nil), func(d model.Delta) {
					text.WriteString(d.Text)
					thinking.WriteString(d.Thinking)
					args.WriteString(d.Args)
					if d.Tool != "" {
						tools = append(tools, d.Tool)
					}
					if d.Usage != nil {
						last = *d.Usage
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				m := got.Message
				if m.Text != want.text || text.String() != want.text || got.Stop != want.stop || len(m.Calls) != want.calls || thinking.String() != want.thinking {
					t.Errorf("answer %q, pieces %q, thoughts %q, stop %s, calls %v", m.Text, &text, &thinking, got.Stop, m.Calls)
				}
				if got.Usage != usage || last != usage {
					t.Errorf("usage %+v, in pieces %+v, want %+v", got.Usage, last, usage)
				}
				if m.Role != model.Assistant || got.Asked != "asked" || got.Served == "" || got.Served == "m" || got.RequestID == "" {
					t.Errorf("about the answer: %+v", got)
				}
				if want.calls > 0 {
					if m.Calls[0].Name != "get_weather" || string(m.Calls[0].Args) != `{"city":"Zürich"}` || !strings.Contains(args.String(), "Zürich") || tools[0] != "get_weather" {
						t.Errorf("call %s %s, in pieces %q %q", m.Calls[0].Name, m.Calls[0].Args, tools, &args)
					}
				}
				if want.calls > 1 && (m.Calls[1].Name != "get_time" || string(m.Calls[1].Args) != `{}`) {
					t.Errorf("second call %s %s", m.Calls[1].Name, m.Calls[1].Args)
				}
				for how, r := range map[string]io.Reader{
					"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)), "with CRLF": strings.NewReader(strings.ReplaceAll(string(stream), "\n", "\r\n")),
					"with an error at the end": iotest.DataErrReader(bytes.NewReader(stream)),
				} {
					again, err := ask(s.model(t, "http://test", answers(200, sse, r)), nil)
					if err != nil || !reflect.DeepEqual(again, got) {
						t.Errorf("%s: %+v and %v, want %+v", how, again, err, got)
					}
				}
			})
		}
	})
}

// A refusal is an answer that says so, wherever it stands.
func TestRefusal(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		got, err := ask(s.model(t, "http://test", answers(200, sse, bytes.NewReader(s.golden(t, "refused")))), nil)
		if err != nil || got.Stop != model.StopRefused {
			t.Errorf("%+v and %v", got, err)
		}
	})
}

func TestErrorInStream(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		_, err := ask(s.model(t, "http://test", answers(200, sse, bytes.NewReader(s.golden(t, "error")))), nil)
		if e := fail(t, err); e.Kind != model.Transient || e.Status != 200 || !strings.Contains(e.Error(), "Overloaded") || s.name == "anthropic" && e.Usage.Input != 100 {
			t.Errorf("%+v", e)
		}
		_, err = ask(s.model(t, "http://test", answers(200, sse, bytes.NewReader(s.golden(t, "odd")))), nil)
		if e := fail(t, err); e.Kind != model.BadAnswer || !strings.Contains(strings.ToLower(e.Code), "something_else") && e.Code != "MALFORMED_FUNCTION_CALL" {
			t.Errorf("an answer that ended for an unknown reason: %v", e)
		}
	})
}

// A stream that is cut anywhere is an error that may be tried again, never half an answer.
func TestAI21_StreamCutAnywhere(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		for _, kind := range []string{"text", "tools", "thinking", "length"} {
			stream := s.golden(t, kind)
			if stream == nil {
				continue
			}
			for n := range stream {
				for how, end := range map[string]error{"closed": io.EOF, "broken": io.ErrUnexpectedEOF, "reset": errors.New("connection reset by peer")} {
					if how != "closed" && n%3 != 0 {
						continue
					}
					body := io.MultiReader(bytes.NewReader(stream[:n]), iotest.ErrReader(end))
					got, err := ask(s.model(t, "http://test", answers(200, sse, body)), nil)
					if err == nil {
						t.Fatalf("%s, %s after %d of %d bytes: an answer %+v", kind, how, n, len(stream), got)
					}
					if e := fail(t, err); e.Kind != model.Transient || e.Status != 200 {
						t.Fatalf("%s, %s after %d of %d bytes: %v", kind, how, n, len(stream), e)
					}
				}
			}
		}
	})
}

// The same over real connections, which end in order or are torn down.
func TestAI21_ConnectionCutAnywhere(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		stream := s.golden(t, "tools")
		var n atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", sse)
			_, _ = w.Write(stream[:n.Load()])
			if n.Load()%2 == 0 {
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
		}))
		defer srv.Close()
		srv.Config.ErrorLog = nil
		m := s.model(t, srv.URL, nil)
		for i := 0; i < len(stream); i++ {
			n.Store(int64(i))
			if got, err := ask(m, nil); err == nil {
				t.Fatalf("cut after %d of %d bytes: %+v", i, len(stream), got)
			} else if e := fail(t, err); e.Kind != model.Transient {
				t.Fatalf("cut after %d of %d bytes: %v", i, len(stream), e)
			}
		}
		n.Store(int64(len(stream)))
		if len(stream)%2 == 1 {
			if _, err := ask(m, nil); err != nil {
				t.Error(err)
			}
		}
	})
}
