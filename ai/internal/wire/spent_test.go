package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/durable-go/durable/ai/model"
)

// long is the beginning of an answer of 5,000 tokens, in ten pieces.
func (s speaker) long() string {
	piece, _ := json.Marshal(strings.Repeat("word ", 400))
	head, line := "", ""
	switch s.name {
	case "openai-chat":
		line = `{"choices":[{"delta":{"content":%s}}]}`
	case "openai":
		line = `{"type":"response.output_text.delta","output_index":0,"delta":%s}`
	case "gemini":
		line = `{"candidates":[{"content":{"parts":[{"text":%s}]}}]}`
	case "anthropic":
		head = `data: {"type":"message_start","message":{"usage":{"input_tokens":50,"output_tokens":1}}}` + "\n\n" +
			`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n"
		line = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}}`
	}
	return head + strings.Repeat("data: "+fmt.Sprintf(line, piece)+"\n\n", 10)
}

// AI-21: an answer that breaks off has used what has come of it, and its request, however it ends.
func TestAI21_CutAnswerIsCounted(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		for name, end := range map[string]string{
			"cut": "", "an error": errorEvent(s), "rubbish": "data: {\n\n",
		} {
			_, err := ask(s.model(t, "http://test", answers(200, sse, strings.NewReader(s.long()+end))), nil)
			e := fail(t, err)
			if u := e.Usage; u.Output < 5000 || u.Output > 5001 || u.Input < 10 || u.Input > 60 || !u.Estimated || e.Unpaid {
				t.Errorf("%s after about 5,000 tokens: %+v, unpaid %v: %v", name, u, e.Unpaid, e)
			}
		}
	})
}

func errorEvent(s speaker) string {
	return map[string]string{
		"openai-chat": `data: {"error":{"code":"server_error","message":"m"}}`,
		"openai":      `data: {"type":"error","code":"server_error","message":"m"}`,
		"gemini":      `data: {"error":{"code":503,"status":"UNAVAILABLE","message":"m"}}`,
		"anthropic":   `data: {"type":"error","error":{"type":"overloaded_error","message":"m"}}`,
	}[s.name] + "\n\n"
}

// What the provider has told is not guessed again, and what came after it is added.
func TestAI21_CutAfterUsage(t *testing.T) {
	chat := speakers()[2]
	const text, usage = `data: {"choices":[{"delta":{"content":"12345678"}}]}` + "\n\n", `data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":%d}}` + "\n\n"
	for _, c := range []struct {
		stream string
		want   model.Usage
	}{
		{text + fmt.Sprintf(usage, 1), model.Usage{Input: 7, Output: 1}},
		{text + fmt.Sprintf(usage, 1) + text, model.Usage{Input: 7, Output: 3, Estimated: true}},
		{fmt.Sprintf(usage, 0) + text + fmt.Sprintf(usage, 0), model.Usage{Input: 7, Output: 2, Estimated: true}},
		{fmt.Sprintf(usage, int64(1<<62)) + text, model.Usage{Input: 7, Output: 1<<62 + 2, Estimated: true}},
	} {
		_, err := ask(chat.model(t, "http://test", answers(200, sse, strings.NewReader(c.stream))), nil)
		if got := fail(t, err).Usage; got != c.want {
			t.Errorf("%s\nused %+v, want %+v", c.stream, got, c.want)
		}
	}
}

// What was refused, or did not leave, is not to be paid; of what was lost on its way nobody knows.
func TestAI21_Unpaid(t *testing.T) {
	each(t, func(t *testing.T, s speaker) {
		reading := func(err error) *http.Client {
			return trip(func(r *http.Request) (*http.Response, error) {
				_, _ = io.ReadFull(r.Body, make([]byte, 1))
				return nil, err
			}).client()
		}
		for name, c := range map[string]struct {
			client *http.Client
			unpaid bool
		}{
			"no connection":    {trip(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }).client(), true},
			"no answer":        {reading(errors.New("reset")), false},
			"401":              {answers(401, "application/json", strings.NewReader("{}")), true},
			"429":              {answers(429, "application/json", strings.NewReader("{}")), true},
			"529":              {answers(529, "application/json", strings.NewReader("{}")), true},
			"an error in 200":  {answers(200, sse, strings.NewReader(errorEvent(s))), true},
			"a page in 200":    {answers(200, "text/html", strings.NewReader("<html>")), true},
			"nothing in 200":   {answers(200, sse, strings.NewReader("")), false},
			"rubbish in 200":   {answers(200, sse, strings.NewReader("data: {\n\n")), false},
			"half JSON in 200": {answers(200, "application/json", strings.NewReader("{")), false},
		} {
			_, err := ask(s.model(t, "http://test", c.client), nil)
			if e := fail(t, err); e.Unpaid != c.unpaid || e.Usage != (model.Usage{}) {
				t.Errorf("%s: unpaid %v, used %+v: %v", name, e.Unpaid, e.Usage, e)
			}
		}
		if _, err := ask(s.model(t, "http://127.0.0.1:1", nil), nil); !fail(t, err).Unpaid {
			t.Errorf("nobody listens: %v", err)
		}
	})
}

// AI-21: an index below zero is an answer that cannot be read, and no panic.
func TestAI21_NegativeIndex(t *testing.T) {
	for name, lines := range map[string][]string{
		"openai-chat": {
			`{"choices":[{"delta":{"tool_calls":[{"index":-1,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}`,
			`{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`, "[DONE]",
		},
		"anthropic": {
			`{"type":"message_start","message":{}}`, `{"type":"content_block_start","index":-1,"content_block":{"type":"tool_use","id":"a","name":"f"}}`,
			`{"type":"content_block_stop","index":-1}`, `{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`, `{"type":"message_stop"}`,
		},
		"openai": {
			`{"type":"response.output_item.done","output_index":-1,"item":{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}}`,
			`{"type":"response.completed","response":{"status":"completed","output":[]}}`,
		},
		"gemini": {`{"candidates":[{"index":-1,"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}`},
	} {
		for _, s := range speakers() {
			if s.name != name {
				continue
			}
			stream := "data: " + strings.Join(lines, "\n\ndata: ") + "\n\n"
			r, err := ask(s.model(t, "http://test", answers(200, sse, strings.NewReader(stream))), nil)
			if err == nil {
				t.Errorf("%s: %+v", name, r)
			} else if e := fail(t, err); e.Kind != model.Transient || !strings.Contains(e.Error(), "index -1") {
				t.Errorf("%s: %v", name, e)
			}
		}
	}
}
