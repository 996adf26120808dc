package aitest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// gemini is Google's generateContent.
type gemini struct{}

func (gemini) name() string             { return wire.Gemini }
func (gemini) key(h http.Header) string { return h.Get("X-Goog-Api-Key") }
func (gemini) idHeader() string         { return "" }

func (gemini) decode(r *http.Request, body []byte) (asked, error) {
	var q wire.GeminiRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return asked{}, fmt.Errorf("the body is not valid: %w", err)
	}
	name, method, _ := strings.Cut(r.PathValue("call"), ":")
	stream := method == "streamGenerateContent"
	switch {
	case !stream && method != "generateContent":
		return asked{}, fmt.Errorf("there is no method %q", method)
	case stream && r.URL.Query().Get("alt") != "sse":
		return asked{}, fmt.Errorf("this server streams with alt=sse only")
	case len(q.Contents) == 0:
		return asked{}, errEmpty
	}
	out := &model.Request{Model: name}
	if q.SystemInstruction != nil {
		for _, p := range q.SystemInstruction.Parts {
			out.System += p.Text
		}
	}
	for i, c := range q.Contents {
		if err := geminiTurn(out, c); err != nil {
			return asked{}, fmt.Errorf("contents[%d]: %w", i, err)
		}
	}
	for _, t := range q.Tools {
		for _, f := range t.FunctionDeclarations {
			out.Tools = append(out.Tools, model.ToolDef{Name: f.Name, Description: f.Description, Schema: f.ParametersJSONSchema})
		}
	}
	if c := q.ToolConfig; c != nil && c.FunctionCallingConfig != nil {
		if out.ToolChoice = strings.ToLower(c.FunctionCallingConfig.Mode); len(c.FunctionCallingConfig.AllowedFunctionNames) == 1 {
			out.ToolChoice = c.FunctionCallingConfig.AllowedFunctionNames[0]
		}
	}
	if c := q.GenerationConfig; c != nil {
		out.MaxTokens, out.Stop, out.Temperature, out.Schema = c.MaxOutputTokens, c.StopSequences, c.Temperature, c.ResponseJSONSchema
		if c.ThinkingConfig != nil {
			out.Effort = strings.ToLower(c.ThinkingConfig.ThinkingLevel)
		}
		if out.Schema != nil && c.ResponseMIMEType != "application/json" {
			return asked{}, fmt.Errorf("responseJsonSchema needs the responseMimeType application/json")
		}
	}
	return asked{Request: out, stream: stream, usage: true}, nil
}

func geminiTurn(out *model.Request, c wire.GeminiContent) error {
	said := model.Message{Role: model.User}
	if c.Role == "model" {
		said.Role = model.Assistant
	} else if c.Role != "user" && c.Role != "" {
		return fmt.Errorf("there is no role %q", c.Role)
	}
	if len(c.Parts) == 0 {
		return fmt.Errorf("parts: must not be empty")
	}
	own := false
	for _, p := range c.Parts {
		switch {
		case p.ThoughtSignature != "" && p.FunctionCall != nil && forged(p.ThoughtSignature, p.FunctionCall.Name):
			return fmt.Errorf("the thought signature of the call %s is not valid", p.FunctionCall.Name)
		case p.InlineData != nil:
			data, err := base64.StdEncoding.DecodeString(p.InlineData.Data)
			if err != nil {
				return err
			}
			said.Files = append(said.Files, model.File{MIME: p.InlineData.MIMEType, Data: data})
		case p.FunctionCall != nil:
			said.Calls = append(said.Calls, model.ToolCall{ID: p.FunctionCall.ID, Name: p.FunctionCall.Name, Args: p.FunctionCall.Args})
		case p.FunctionResponse != nil:
			m, err := geminiResult(out, p.FunctionResponse)
			if err != nil {
				return err
			}
			out.Messages = append(out.Messages, m)
		case p.Thought:
			own = true
		default:
			said.Text += p.Text
		}
		own = own || p.ThoughtSignature != ""
	}
	if own {
		raw, err := wire.Marshal(c.Parts)
		if err != nil {
			return err
		}
		said.Raw, said.From = raw, wire.Gemini
	}
	if said.Text != "" || said.Files != nil || said.Calls != nil || said.Raw != nil {
		out.Messages = append(out.Messages, said)
	}
	return nil
}

// geminiResult reads a result, which must answer a call of that name before it.
func geminiResult(out *model.Request, r *wire.GeminiFunctionResponse) (model.Message, error) {
	m := model.Message{Role: model.Tool, CallID: r.ID}
	var body struct {
		Result, Error, Output json.RawMessage
	}
	if err := json.Unmarshal(r.Response, &body); err != nil {
		return m, fmt.Errorf("functionResponse.response: must be an object")
	}
	raw := body.Result
	if raw == nil {
		raw = body.Output
	}
	if body.Error != nil {
		raw, m.Failed = body.Error, true
	}
	if raw == nil {
		raw = r.Response
	}
	if json.Unmarshal(raw, &m.Text) != nil {
		m.Text = string(raw)
	}
	for _, said := range out.Messages {
		for _, c := range said.Calls {
			if c.Name == r.Name {
				return m, nil
			}
		}
	}
	return m, fmt.Errorf("the function response of %q has no function call before it", r.Name)
}

func geminiUsage(u model.Usage) *wire.GeminiUsage {
	in := u.Input + u.CacheRead + u.CacheWrite
	return &wire.GeminiUsage{Prompt: in, Cached: u.CacheRead, Candidates: u.Output - u.Reasoning, Thoughts: u.Reasoning, Total: in + u.Output}
}

func geminiStop(s model.Stop) string {
	switch s {
	case model.StopLength, model.StopTooLong:
		return "MAX_TOKENS"
	case model.StopRefused:
		return "SAFETY"
	}
	return "STOP"
}

// parts are the content of an answer. Those of a recorded answer of this wire are sent as they were.
func (a answered) parts(chunk int) []wire.GeminiPart {
	var out []wire.GeminiPart
	if a.Message.From == wire.Gemini && json.Unmarshal(a.Message.Raw, &out) == nil {
		return out
	}
	for _, p := range pieces(a.thinking, chunk) {
		out = append(out, wire.GeminiPart{Text: p, Thought: true})
	}
	for _, p := range pieces(a.Message.Text, chunk) {
		out = append(out, wire.GeminiPart{Text: p})
	}
	for _, c := range a.Message.Calls {
		p := wire.GeminiPart{FunctionCall: &wire.GeminiFunctionCall{ID: c.ID, Name: c.Name, Args: wire.ArgsObject(c.Args)}}
		if a.thinking != "" {
			p.ThoughtSignature = signed(c.Name)
		}
		out = append(out, p)
	}
	return out
}

func (a answered) gemini(stop string, parts ...wire.GeminiPart) wire.GeminiResponse {
	c := wire.GeminiCandidate{FinishReason: stop}
	if parts != nil {
		c.Content = &wire.GeminiContent{Role: "model", Parts: parts}
	}
	return wire.GeminiResponse{Candidates: []wire.GeminiCandidate{c}, ModelVersion: a.Served, ResponseID: a.id}
}

func (gemini) whole(a answered) any {
	r := a.gemini(geminiStop(a.Stop), a.parts(1<<30)...)
	r.UsageMetadata = geminiUsage(a.Usage)
	return r
}

func (gemini) stream(a answered) []wire.Event {
	var out []wire.Event
	for _, p := range a.parts(a.chunk) {
		out = append(out, event("", a.gemini("", p)))
	}
	last := a.gemini(geminiStop(a.Stop))
	last.UsageMetadata = geminiUsage(a.Usage)
	return append(out, event("", last))
}

func (gemini) what(f fault) (int, wire.GeminiProblem) {
	status := f.status
	if status == 529 {
		status = http.StatusServiceUnavailable
	}
	words := map[int]string{
		401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 429: "RESOURCE_EXHAUSTED",
		500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
	}
	p := wire.GeminiProblem{Code: status, Message: f.text, Status: "INVALID_ARGUMENT"}
	if w, ok := words[status]; ok {
		p.Status = w
	} else if status >= 500 {
		p.Status = "INTERNAL"
	}
	const kind = "type.googleapis.com/google.rpc."
	switch {
	case f.quota:
		p.Details = append(p.Details, wire.GeminiDetail{Type: kind + "QuotaFailure", Violations: []wire.GeminiViolation{{
			QuotaMetric: "generativelanguage.googleapis.com/generate_content_free_tier_requests",
			QuotaID:     "GenerateRequestsPerDayPerProjectPerModel-FreeTier", QuotaValue: "50",
		}}})
	case f.tooLong:
		p.Message = "The input token count exceeds the maximum number of tokens allowed: " + f.text
	case f.code != "":
		p.Status = f.code
	}
	if f.after != "" {
		p.Details = append(p.Details, wire.GeminiDetail{Type: kind + "RetryInfo", RetryDelay: f.after})
	}
	return status, p
}

func (d gemini) problem(f fault, _ string) (int, any) {
	status, p := d.what(f)
	return status, wire.GeminiError{Error: p}
}

func (d gemini) inside(f fault, _ int) wire.Event {
	_, p := d.what(f)
	return event("", wire.GeminiError{Error: p})
}
