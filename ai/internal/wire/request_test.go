package wire_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/ai/openai"
)

var update = flag.Bool("update", false, "write the golden files anew")

// body is what is sent for a request.
func body(t *testing.T, m func(c *http.Client) model.Model, r *model.Request) (sent []byte, header http.Header, err error) {
	t.Helper()
	c := trip(func(req *http.Request) (*http.Response, error) {
		header = req.Header
		if sent, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: 500, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
	}).client()
	_, err = m(c).Generate(context.Background(), r, nil)
	if sent != nil {
		err = nil
	}
	return sent, header, err
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatalf("%s is no JSON: %v\n%s", file, err, got)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, pretty.Bytes()) {
		t.Errorf("%s differs (see it with -update):\n%s", file, pretty.Bytes())
	}
}

const weather = `{"type":"object","properties":{"city":{"type":"string","minLength":1},"days":{"type":"integer","minimum":1}},"required":["city"],"additionalProperties":false}`

func requests() map[string]*model.Request {
	user := func(s string) model.Message { return model.Message{Role: model.User, Text: s} }
	tools := []model.ToolDef{{Name: "get_weather", Description: "Tells the weather.", Schema: json.RawMessage(weather)}, {Name: "get_time", Schema: json.RawMessage(`{"type":"object"}`)}}
	return map[string]*model.Request{
		"plain": {Messages: []model.Message{user("Hello <you> & me")}},
		"options": {
			System: "Be brief.", Messages: []model.Message{user("Hello"), {Role: model.Assistant, Text: "Hi."}, user("Bye")},
			Effort: "low", MaxTokens: 77, Temperature: new(0.0), Cache: time.Hour,
		},
		"stop":   {Messages: []model.Message{user("Hello")}, Stop: []string{"END"}},
		"schema": {Messages: []model.Message{user("Hello")}, Schema: json.RawMessage(weather), Name: "weather of today", Effort: "high"},
		"tools": {
			Messages: []model.Message{
				user("Weather?"),
				{Role: model.Assistant, Text: "Let me look.", Calls: []model.ToolCall{
					{ID: "call_a", Name: "get_weather", Args: json.RawMessage(`{"city":"Zürich"}`)}, {ID: "call_b", Name: "get_time", Args: json.RawMessage(`"not JSON"`)},
				}},
				{Role: model.Tool, CallID: "call_b", Text: "arguments: not an object", Failed: true},
				{Role: model.Tool, CallID: "call_a", Text: "sunny"},
				user("And now?"),
			},
			Tools: tools, ToolChoice: "any",
		},
		"ids": { // missing, repeated, and of another wire
			Messages: []model.Message{
				user("Go"),
				{Role: model.Assistant, Calls: []model.ToolCall{{Name: "get_time"}, {Name: "get_time", Args: json.RawMessage(`{}`)}}},
				{Role: model.Tool, Text: "one"},
				{Role: model.Tool, Text: "two"},
				{Role: model.Assistant, Calls: []model.ToolCall{{ID: "x", Name: "get_time"}, {ID: "x", Name: "get_time"}, {ID: "a:b/c", Name: "get_time"}}},
				{Role: model.Tool, CallID: "a:b/c", Text: "third"},
				{Role: model.Tool, CallID: "x", Text: "first"},
				{Role: model.Tool, CallID: "x", Text: "second"},
			},
			Tools: tools[1:], ToolChoice: "get_time",
		},
		"files": {Messages: []model.Message{{Role: model.User, Text: "Read these.", Files: []model.File{
			{Name: "a.pdf", MIME: "application/pdf", Data: []byte("%PDF")},
			{Name: "b.png", MIME: "image/png", Data: []byte{0x89, 'P'}},
			{Name: "c.txt", MIME: "text/plain; charset=utf-8", Data: []byte("some text")},
		}}}},
		"extra": {Messages: []model.Message{user("Hello")}, MaxTokens: 5, Extra: map[string]any{
			"seed": 7, "stream": nil, "generationConfig": map[string]any{"topK": 3}, "reasoning": map[string]any{"summary": "auto"},
		}},
	}
}

// What is sent stands in testdata/requests.
func TestRequests(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		for kind, r := range requests() {
			t.Run(kind, func(t *testing.T) {
				sent, _, err := body(t, func(c *http.Client) model.Model { return s.model(t, "http://test", c) }, r)
				if s.name == "openai" && kind == "stop" {
					if !model.IsKind(err, model.Invalid) || sent != nil {
						t.Errorf("stop sequences: %v, sent %s", err, sent)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				golden(t, "testdata/requests/"+s.name+"_"+kind+".json", sent)
			})
		}
	})
}

// OpenAI's own Chat API has another name for the cap on tokens; Ollama gets no key.
func TestChatVariants(t *testing.T) {
	open := func(p model.Provider) model.Model {
		m, err := p.Open("m")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	sent, h, err := body(t, func(c *http.Client) model.Model {
		return open(openai.Chat{HTTP: c, Getenv: func(v string) string { return map[string]string{"OPENAI_API_KEY": "k"}[v] }})
	}, requests()["options"])
	if err != nil || !strings.Contains(string(sent), `"max_completion_tokens":77`) || strings.Contains(string(sent), `"max_tokens"`) || !strings.Contains(string(sent), "prompt_cache_key") || h.Get("Authorization") != "Bearer k" {
		t.Errorf("%s %v %v", sent, h, err)
	}
	sent, h, err = body(t, func(c *http.Client) model.Model {
		return open(openai.Ollama{HTTP: c, Getenv: func(string) string { return "" }})
	}, requests()["options"])
	if err != nil || !strings.Contains(string(sent), `"max_tokens":77`) || h.Get("Authorization") != "" {
		t.Errorf("%s %v %v", sent, h, err)
	}
	for name, want := range map[string]bool{"gpt-4o": false, "gpt-4.1-mini": false, "gpt-3.5-turbo": false, "gpt-6-sol": true, "o3": true} {
		sent, _, err := body(t, func(c *http.Client) model.Model {
			m, err := openai.Provider{HTTP: c, Getenv: getenv}.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}, question())
		if err != nil || strings.Contains(string(sent), "encrypted_content") != want {
			t.Errorf("%s is asked for its thoughts: %s %v", name, sent, err)
		}
	}
}

// What cannot be sent is refused before anything leaves.
func TestRefusedRequests(t *testing.T) {
	user := model.Message{Role: model.User, Text: "x"}
	call := model.Message{Role: model.Assistant, Calls: []model.ToolCall{{ID: "a", Name: "f"}}}
	f := func(mime, data string) model.Request {
		return model.Request{Messages: []model.Message{{Role: model.User, Files: []model.File{{Name: "f", MIME: mime, Data: []byte(data)}}}}}
	}
	tool := model.ToolDef{Name: "f", Schema: json.RawMessage(`{}`)}
	each(t, func(t *testing.T, s speaker) {
		for name, r := range map[string]model.Request{
			"no messages":             {},
			"empty message":           {Messages: []model.Message{{Role: model.User}}},
			"unknown role":            {Messages: []model.Message{user, {Role: "system", Text: "x"}}},
			"model begins":            {Messages: []model.Message{{Role: model.Assistant, Text: "x"}}},
			"result without call":     {Messages: []model.Message{user, {Role: model.Tool, CallID: "a", Text: "x"}}},
			"result of another call":  {Messages: []model.Message{user, call, {Role: model.Tool, CallID: "b", Text: "x"}}},
			"result twice":            {Messages: []model.Message{user, call, {Role: model.Tool, CallID: "a", Text: "x"}, {Role: model.Tool, CallID: "a", Text: "x"}}},
			"file of a tool":          {Messages: []model.Message{user, call, {Role: model.Tool, CallID: "a", Files: []model.File{{MIME: "image/png", Data: []byte("x")}}}}},
			"file of no known type":   f("application/zip", "x"),
			"file without a type":     f("", "x"),
			"empty file":              f("image/png", ""),
			"text that is no text":    f("text/plain", "\xff"),
			"tool twice":              {Messages: []model.Message{user}, Tools: []model.ToolDef{tool, tool}},
			"tool without a schema":   {Messages: []model.Message{user}, Tools: []model.ToolDef{{Name: "f"}}},
			"choice of no tool":       {Messages: []model.Message{user}, ToolChoice: "g"},
			"any of no tool":          {Messages: []model.Message{user}, ToolChoice: "any"},
			"schema that is a list":   {Messages: []model.Message{user}, Schema: json.RawMessage(`[]`)},
			"schema that is no JSON":  {Messages: []model.Message{user}, Schema: json.RawMessage(`{`)},
			"effort of another kind":  {Messages: []model.Message{user}, Effort: "huge"},
			"cache for a day":         {Messages: []model.Message{user}, Cache: 24 * time.Hour},
			"extra that is no JSON":   {Messages: []model.Message{user}, Extra: map[string]any{"x": func() {}}},
			"negative number of them": {Messages: []model.Message{user}, MaxTokens: -1},
		} {
			sent, _, err := body(t, func(c *http.Client) model.Model { return s.model(t, "http://test", c) }, &r)
			if !model.IsKind(err, model.Invalid) || sent != nil {
				t.Errorf("%s: %v, sent %s", name, err, sent)
			}
		}
	})
}

// What belongs to a provider goes back byte for byte, and not to another one.
func TestAI24_RawGoesBack(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		stream := s.golden(t, "thinking")
		if stream == nil {
			return
		}
		got, err := ask(s.model(t, "http://test", answers(200, sse, bytes.NewReader(stream))), nil)
		if err != nil {
			t.Fatal(err)
		}
		signed := []string{`c2lnbmF0dXJl+/==`}
		if s.name == "anthropic" {
			signed = append(signed, `"Hm, <so> it is."`, `cmVkYWN0ZWQ+/=`)
		}
		// Messages are kept as JSON in between, and an agent may give calls ids of its own.
		kept, err := json.Marshal(got.Message)
		if err != nil {
			t.Fatal(err)
		}
		var back model.Message
		if err := json.Unmarshal(kept, &back); err != nil {
			t.Fatal(err)
		}
		back.Calls[0].ID = "mine"
		r := question()
		r.Messages = append(r.Messages, back, model.Message{Role: model.Tool, CallID: "mine", Text: "sunny"})
		for _, other := range speakers() {
			sent, _, err := body(t, func(c *http.Client) model.Model { return other.model(t, "http://test", c) }, r)
			if err != nil {
				t.Fatal(err)
			}
			var plain struct{ Messages, Input, Contents any }
			if err := json.Unmarshal(sent, &plain); err != nil {
				t.Fatal(err)
			}
			text := string(sent)
			for _, w := range signed {
				text = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(text)
				if strings.Contains(text, w) != (other.name == s.name) {
					t.Errorf("%s after %s: %q in %s", other.name, s.name, w, sent)
				}
			}
			if !strings.Contains(text, "Let me look.") || !strings.Contains(text, "get_weather") || !strings.Contains(text, "sunny") {
				t.Errorf("%s lost the rest: %s", other.name, sent)
			}
			if other.name == s.name && strings.Contains(text, "mine") {
				t.Errorf("the result does not name the call of the provider: %s", sent)
			}
		}
		// Blocks that no longer fit the message are not sent.
		r.Messages[1].Calls = slices.Concat(r.Messages[1].Calls, []model.ToolCall{{ID: "b", Name: "get_time"}})
		sent, _, err := body(t, func(c *http.Client) model.Model { return s.model(t, "http://test", c) }, r)
		if err != nil || strings.Contains(string(sent), signed[0]) {
			t.Errorf("%v %s", err, sent)
		}
	})
}

// Blocks that say that they are another wire's, or nobody's, are not sent, whatever they look like.
func TestAI24_RawOfAnotherWire(t *testing.T) {
	for _, raw := range []string{`[{"type":"thinking","thinking":"x","signature":"SIGNED"}]`, `[{"type":"reasoning","summary":[],"encrypted_content":"SIGNED"}]`, `[{"text":"x","thoughtSignature":"SIGNED"}]`, `SIGNED`, `{"a":"SIGNED"}`} {
		each(t, func(t *testing.T, s speaker) {
			for _, from := range []string{"", "another", "anthropic", "openai", "gemini"} {
				r := question()
				r.Messages = append(r.Messages, model.Message{Role: model.Assistant, Text: "Hi.", Raw: json.RawMessage(raw), From: from}, model.Message{Role: model.User, Text: "go on"})
				sent, _, err := bodyOf(s, t, r)
				if err != nil || !json.Valid(sent) || (from != s.name || !json.Valid([]byte(raw))) && (strings.Contains(string(sent), "SIGNED") || !strings.Contains(string(sent), "Hi.")) {
					t.Errorf("%s from %q: %s %v", raw, from, sent, err)
				}
			}
		})
	}
}
