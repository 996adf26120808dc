package aitest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// anthropic is the Messages API.
type anthropic struct{}

func (anthropic) name() string             { return wire.Anthropic }
func (anthropic) key(h http.Header) string { return h.Get("X-Api-Key") }
func (anthropic) idHeader() string         { return "Request-Id" }

func (anthropic) decode(r *http.Request, body []byte) (asked, error) {
	var q wire.AnthropicRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return asked{}, fmt.Errorf("the body is not valid: %w", err)
	}
	switch {
	case r.Header.Get("Anthropic-Version") == "":
		return asked{}, errors.New("anthropic-version: header is required")
	case q.Model == "":
		return asked{}, errNoModel
	case q.MaxTokens <= 0:
		return asked{}, errors.New("max_tokens: field required, at least 1")
	case len(q.Messages) == 0:
		return asked{}, errEmpty
	case q.Messages[len(q.Messages)-1].Role == "assistant":
		return asked{}, errNoPrefil
	}
	out := &model.Request{Model: q.Model, MaxTokens: q.MaxTokens, Stop: q.Stop, Temperature: q.Temperature}
	var system []string
	for _, b := range q.System.Parts(wire.AnthropicText) {
		system = append(system, b.Text)
		out.Cache = max(out.Cache, lifetime(b.CacheControl))
	}
	out.System = strings.Join(system, "\n\n")
	out.Cache = max(out.Cache, lifetime(q.CacheControl))
	var open map[string]bool // calls of the turn before
	for i, m := range q.Messages {
		msgs, calls, err := anthropicTurn(m, open)
		if err != nil {
			return asked{}, fmt.Errorf("messages.%d: %w", i, err)
		}
		open = calls
		out.Messages = append(out.Messages, msgs...)
	}
	for _, t := range q.Tools {
		out.Tools = append(out.Tools, model.ToolDef{Name: t.Name, Description: t.Description, Schema: t.InputSchema})
	}
	if c := q.ToolChoice; c != nil {
		if out.ToolChoice = c.Type; c.Type == "tool" {
			out.ToolChoice = c.Name
		}
	}
	if c := q.OutputConfig; c != nil {
		out.Effort = c.Effort
		if c.Format != nil {
			out.Schema = c.Format.Schema
		}
	}
	return asked{Request: out, stream: q.Stream, usage: true}, nil
}

func lifetime(c *wire.AnthropicCache) time.Duration {
	switch {
	case c == nil:
		return 0
	case c.TTL == "1h":
		return time.Hour
	}
	return 5 * time.Minute
}

// anthropicTurn reads a turn: results of calls first, then what the user says.
func anthropicTurn(m wire.AnthropicMessage, open map[string]bool) (out []model.Message, calls map[string]bool, err error) {
	calls = map[string]bool{}
	said := model.Message{Role: model.Role(m.Role)}
	if m.Role != "user" && m.Role != "assistant" {
		return nil, nil, fmt.Errorf("role: there is no role %q", m.Role)
	}
	parts := m.Content.Parts(wire.AnthropicText)
	if len(parts) == 0 {
		return nil, nil, errors.New("content: must not be empty")
	}
	own := false
	for _, b := range parts {
		switch b.Type {
		case "text":
			said.Text += b.Text
		case "image", "document":
			f, err := anthropicFile(b)
			if err != nil {
				return nil, nil, err
			}
			said.Files = append(said.Files, f)
		case "tool_use":
			calls[b.ID] = true
			said.Calls = append(said.Calls, model.ToolCall{ID: b.ID, Name: b.Name, Args: b.Input})
		case "tool_result":
			if !open[b.ToolUseID] {
				return nil, nil, fmt.Errorf("content: tool_result for %q, which is no tool_use of the previous message", b.ToolUseID)
			}
			delete(open, b.ToolUseID)
			r := model.Message{Role: model.Tool, CallID: b.ToolUseID, Failed: b.IsError}
			for _, p := range b.Content.Parts(wire.AnthropicText) {
				r.Text += p.Text
			}
			out = append(out, r)
		case "thinking":
			if forged(b.Signature, b.Thinking) {
				return nil, nil, errors.New("content: invalid signature in thinking block")
			}
			own = true
		default:
			own = true
		}
	}
	if len(open) > 0 {
		return nil, nil, errors.New("content: each tool_use block must have a tool_result in the next message")
	}
	if own {
		if said.Raw, err = wire.Marshal(m.Content.List); err != nil {
			return nil, nil, err
		}
		said.From = wire.Anthropic
	}
	if said.Text != "" || said.Files != nil || said.Calls != nil || said.Raw != nil {
		out = append(out, said)
	}
	return out, calls, nil
}

func anthropicFile(b wire.AnthropicBlock) (model.File, error) {
	s := b.Source
	switch {
	case s == nil:
		return model.File{}, errors.New("source: field required")
	case s.Type == "text":
		return model.File{Name: b.Title, MIME: s.MediaType, Data: []byte(s.Data)}, nil
	case s.Type != "base64":
		return model.File{}, fmt.Errorf("source: this server reads no %q", s.Type)
	}
	data, err := base64.StdEncoding.DecodeString(s.Data)
	return model.File{Name: b.Title, MIME: s.MediaType, Data: data}, err
}

func anthropicStop(s model.Stop) *string {
	switch s {
	case model.StopLength:
		return new("max_tokens")
	case model.StopTools:
		return new("tool_use")
	case model.StopRefused:
		return new("refusal")
	case model.StopPause:
		return new("pause_turn")
	case model.StopTooLong:
		return new("model_context_window_exceeded")
	}
	return new("end_turn")
}

func anthropicUsage(u model.Usage) wire.AnthropicUsage {
	out := wire.AnthropicUsage{Input: new(u.Input), CacheRead: new(u.CacheRead), CacheWrite: new(u.CacheWrite), Output: new(u.Output)}
	if u.Reasoning > 0 {
		out.Details = &wire.AnthropicOutputDetails{Thinking: new(u.Reasoning)}
	}
	return out
}

// blocks are the content of an answer. Those of a recorded answer of this wire are sent as they were.
func (a answered) blocks() []wire.AnthropicBlock {
	var out []wire.AnthropicBlock
	if a.Message.From == wire.Anthropic && json.Unmarshal(a.Message.Raw, &out) == nil {
		return out
	}
	if a.thinking != "" {
		out = append(out, wire.AnthropicBlock{Type: "thinking", Thinking: a.thinking, Signature: signed(a.thinking)})
	}
	if a.Message.Text != "" {
		out = append(out, wire.AnthropicText(a.Message.Text))
	}
	for _, c := range a.Message.Calls {
		out = append(out, wire.AnthropicBlock{Type: "tool_use", ID: c.ID, Name: c.Name, Input: c.Args})
	}
	return out
}

func (a answered) anthropic() wire.AnthropicResponse {
	return wire.AnthropicResponse{
		ID: "msg_" + a.id, Type: "message", Role: "assistant", Model: a.Served,
		Content: []wire.AnthropicBlock{}, Usage: anthropicUsage(a.Usage),
	}
}

func (anthropic) whole(a answered) any {
	r := a.anthropic()
	r.Content, r.StopReason = append(r.Content, a.blocks()...), anthropicStop(a.Stop)
	return r
}

func (anthropic) stream(a answered) []wire.Event {
	var out []wire.Event
	add := func(e wire.AnthropicEvent) { out = append(out, event(e.Type, e)) }
	start := a.anthropic()
	start.Usage.Output, start.Usage.Details = new(int64(min(1, a.Usage.Output))), nil
	add(wire.AnthropicEvent{Type: "message_start", Message: &start})
	for i, b := range a.blocks() {
		first, deltas := anthropicDeltas(b, a.chunk)
		add(wire.AnthropicEvent{Type: "content_block_start", Index: new(i), ContentBlock: &first})
		if i == 0 {
			out = append(out, wire.Event{Name: "ping", Data: []byte(`{"type":"ping"}`)})
		}
		for _, d := range deltas {
			add(wire.AnthropicEvent{Type: "content_block_delta", Index: new(i), Delta: &d})
		}
		add(wire.AnthropicEvent{Type: "content_block_stop", Index: new(i)})
	}
	usage := anthropicUsage(a.Usage)
	add(wire.AnthropicEvent{Type: "message_delta", Delta: &wire.AnthropicDelta{StopReason: anthropicStop(a.Stop)}, Usage: &usage})
	add(wire.AnthropicEvent{Type: "message_stop"})
	return out
}

// anthropicDeltas is how a block begins, and the pieces that it grows by.
func anthropicDeltas(b wire.AnthropicBlock, chunk int) (first wire.AnthropicBlock, out []wire.AnthropicDelta) {
	switch b.Type {
	case "text":
		for _, p := range pieces(b.Text, chunk) {
			out = append(out, wire.AnthropicDelta{Type: "text_delta", Text: new(p)})
		}
		return wire.AnthropicBlock{Type: b.Type}, out
	case "thinking":
		for _, p := range pieces(b.Thinking, chunk) {
			out = append(out, wire.AnthropicDelta{Type: "thinking_delta", Thinking: new(p)})
		}
		return wire.AnthropicBlock{Type: b.Type}, append(out, wire.AnthropicDelta{Type: "signature_delta", Signature: new(b.Signature)})
	case "tool_use":
		for _, p := range pieces(string(b.Input), chunk) {
			out = append(out, wire.AnthropicDelta{Type: "input_json_delta", PartialJSON: new(p)})
		}
		return wire.AnthropicBlock{Type: b.Type, ID: b.ID, Name: b.Name}, out
	}
	return b, nil
}

// what is the body of an error.
func (anthropic) what(f fault) (int, wire.AnthropicProblem) {
	words := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
		408: "timeout_error", 409: "conflict_error", 413: "request_too_large", 422: "invalid_request_error", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
	}
	p := wire.AnthropicProblem{Type: "api_error", Message: f.text}
	if w, ok := words[f.status]; ok {
		p.Type = w
	} else if f.status < 500 {
		p.Type = "invalid_request_error"
	}
	switch {
	case f.quota:
		p.Details = &wire.AnthropicProblemMore{ErrorCode: "enforced_spend_limit_reached"}
	case f.tooLong:
		p.Message = "prompt is too long: " + f.text
	case f.code != "":
		p.Type = f.code
	}
	return f.status, p
}

func (d anthropic) problem(f fault, id string) (int, any) {
	status, p := d.what(f)
	return status, wire.AnthropicError{Type: "error", Error: p, RequestID: id}
}

func (d anthropic) inside(f fault, _ int) wire.Event {
	_, p := d.what(f)
	return event("error", wire.AnthropicEvent{Type: "error", Error: &p})
}
