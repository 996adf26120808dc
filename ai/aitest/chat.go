package aitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// chat is OpenAI's Chat Completions, as many servers speak it.
type chat struct{}

func (chat) name() string             { return wire.Chat }
func (chat) key(h http.Header) string { return bearer(h) }
func (chat) idHeader() string         { return "X-Request-Id" }

func bearer(h http.Header) string {
	key, _ := strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	return key
}

func (chat) decode(_ *http.Request, body []byte) (asked, error) {
	var q wire.ChatRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return asked{}, fmt.Errorf("the body is not valid: %w", err)
	}
	switch {
	case q.Model == "":
		return asked{}, errNoModel
	case len(q.Messages) == 0:
		return asked{}, errEmpty
	}
	out := &model.Request{Model: q.Model, MaxTokens: max(q.MaxTokens, q.MaxCompletionTokens), Stop: q.Stop, Temperature: q.Temperature, Effort: q.ReasoningEffort}
	open := map[string]bool{}
	for i, m := range q.Messages {
		if m.Role != "tool" && len(open) > 0 {
			return asked{}, errors.New("an assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'")
		}
		if err := chatTurn(out, m, open); err != nil {
			return asked{}, fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	for _, t := range q.Tools {
		if t.Function.Strict != nil && *t.Function.Strict {
			if err := strict(t.Function.Parameters); err != nil {
				return asked{}, err
			}
		}
		out.Tools = append(out.Tools, model.ToolDef{Name: t.Function.Name, Description: t.Function.Description, Schema: t.Function.Parameters})
	}
	out.ToolChoice = openaiChoice(q.ToolChoice)
	if f := q.ResponseFormat; f != nil && f.JSONSchema != nil {
		if f.JSONSchema.Strict != nil && *f.JSONSchema.Strict {
			if err := strict(f.JSONSchema.Schema); err != nil {
				return asked{}, err
			}
		}
		out.Schema, out.Name = f.JSONSchema.Schema, f.JSONSchema.Name
	}
	return asked{Request: out, stream: q.Stream, usage: !q.Stream || q.StreamOptions != nil && q.StreamOptions.IncludeUsage}, nil
}

func chatTurn(out *model.Request, m wire.ChatMessage, open map[string]bool) error {
	said := model.Message{Role: model.Role(m.Role)}
	if m.Content != nil {
		for _, p := range m.Content.Parts(wire.ChatText) {
			url := ""
			f := model.File{}
			switch {
			case p.Type == "text":
				said.Text += p.Text
				continue
			case p.Type == "image_url" && p.ImageURL != nil:
				url = p.ImageURL.URL
			case p.Type == "file" && p.File != nil:
				url, f.Name = p.File.FileData, p.File.Filename
			default:
				return fmt.Errorf("content: this server reads no %q", p.Type)
			}
			var err error
			if f.MIME, f.Data, err = dataURL(url); err != nil {
				return err
			}
			said.Files = append(said.Files, f)
		}
	}
	switch m.Role {
	case "system", "developer":
		out.System = strings.TrimPrefix(out.System+"\n\n"+said.Text, "\n\n")
		return nil
	case "user":
	case "assistant":
		for _, c := range m.ToolCalls {
			open[c.ID] = true
			said.Calls = append(said.Calls, model.ToolCall{ID: c.ID, Name: c.Function.Name, Args: wire.Args(c.Function.Arguments)})
		}
	case "tool":
		if !open[m.ToolCallID] {
			return fmt.Errorf("no open tool call has the id %q", m.ToolCallID)
		}
		delete(open, m.ToolCallID)
		said.CallID = m.ToolCallID
	default:
		return fmt.Errorf("there is no role %q", m.Role)
	}
	out.Messages = append(out.Messages, said)
	return nil
}

// openaiChoice is what both wires of OpenAI say about tools.
func openaiChoice(raw json.RawMessage) string {
	var word string
	if json.Unmarshal(raw, &word) == nil {
		if word == "required" {
			return "any"
		}
		return word
	}
	var named struct {
		Name     string `json:"name"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return ""
	}
	return named.Name + named.Function.Name
}

func chatUsage(u model.Usage) *wire.ChatUsage {
	in := u.Input + u.CacheRead + u.CacheWrite
	out := &wire.ChatUsage{Prompt: in, Completion: u.Output, Total: in + u.Output}
	if u.CacheRead+u.CacheWrite > 0 {
		out.PromptDetails = &wire.ChatPromptDetails{Cached: u.CacheRead, CacheWrite: u.CacheWrite}
	}
	if u.Reasoning > 0 {
		out.CompletionDetails = &wire.ChatCompletionDetails{Reasoning: u.Reasoning}
	}
	return out
}

func chatStop(s model.Stop) *string {
	switch s {
	case model.StopLength, model.StopTooLong:
		return new("length")
	case model.StopTools:
		return new("tool_calls")
	case model.StopRefused:
		return new("content_filter")
	}
	return new("stop")
}

func (a answered) chat(object string, choices ...wire.ChatChoice) wire.ChatResponse {
	if choices == nil {
		choices = []wire.ChatChoice{}
	}
	return wire.ChatResponse{ID: "chatcmpl-" + a.id, Object: object, Created: a.created, Model: a.Served, Choices: choices}
}

func (chat) whole(a answered) any {
	m := &wire.ChatMessage{Role: "assistant", ReasoningContent: a.thinking}
	if a.Message.Text != "" || len(a.Message.Calls) == 0 {
		m.Content = new(wire.TextContent[wire.ChatPart](a.Message.Text))
	}
	if a.Stop == model.StopRefused {
		m.Refusal, m.Content = new(a.Message.Text), nil
	}
	for _, c := range a.Message.Calls {
		m.ToolCalls = append(m.ToolCalls, wire.ChatToolCall{ID: c.ID, Type: "function", Function: wire.ChatCallBody{Name: c.Name, Arguments: wire.ArgsText(c.Args)}})
	}
	r := a.chat("chat.completion", wire.ChatChoice{Message: m, FinishReason: chatStop(a.Stop)})
	r.Usage = chatUsage(a.Usage)
	return r
}

func (chat) stream(a answered) []wire.Event {
	var out []wire.Event
	add := func(d wire.ChatDelta, stop *string) {
		out = append(out, event("", a.chat("chat.completion.chunk", wire.ChatChoice{Delta: &d, FinishReason: stop})))
	}
	add(wire.ChatDelta{Role: "assistant", Content: new("")}, nil)
	for _, p := range pieces(a.thinking, a.chunk) {
		add(wire.ChatDelta{ReasoningContent: p}, nil)
	}
	for _, p := range pieces(a.Message.Text, a.chunk) {
		if a.Stop == model.StopRefused {
			add(wire.ChatDelta{Refusal: new(p)}, nil)
		} else {
			add(wire.ChatDelta{Content: new(p)}, nil)
		}
	}
	for i, c := range a.Message.Calls {
		add(wire.ChatDelta{ToolCalls: []wire.ChatToolCall{{Index: new(i), ID: c.ID, Type: "function", Function: wire.ChatCallBody{Name: c.Name}}}}, nil)
		for _, p := range pieces(wire.ArgsText(c.Args), a.chunk) {
			add(wire.ChatDelta{ToolCalls: []wire.ChatToolCall{{Index: new(i), Function: wire.ChatCallBody{Arguments: p}}}}, nil)
		}
	}
	add(wire.ChatDelta{}, chatStop(a.Stop))
	if a.usage {
		r := a.chat("chat.completion.chunk")
		r.Usage = chatUsage(a.Usage)
		out = append(out, event("", r))
	}
	return append(out, wire.Event{Data: []byte(wire.ChatDone)})
}

// openaiProblem is an error on both wires of OpenAI.
func openaiProblem(f fault) (int, wire.OpenAIProblem) {
	status := f.status
	if status == 529 {
		status = http.StatusServiceUnavailable
	}
	p := wire.OpenAIProblem{Message: f.text, Type: "invalid_request_error"}
	switch status {
	case http.StatusUnauthorized:
		p.Code = "invalid_api_key"
	case http.StatusNotFound:
		p.Code = "model_not_found"
	case http.StatusTooManyRequests:
		p.Type, p.Code = "requests", "rate_limit_exceeded"
	}
	if status >= 500 {
		p.Type, p.Code = "server_error", ""
	}
	switch {
	case f.quota:
		p.Type, p.Code = "insufficient_quota", "insufficient_quota"
	case f.tooLong:
		p.Code = "context_length_exceeded"
	case f.code != "":
		p.Code = wire.Word(f.code)
	}
	return status, p
}

func (chat) problem(f fault, _ string) (int, any) {
	status, p := openaiProblem(f)
	return status, wire.OpenAIError{Error: p}
}

func (chat) inside(f fault, _ int) wire.Event {
	_, p := openaiProblem(f)
	return event("", wire.OpenAIError{Error: p})
}
