package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// choice collects the first choice of a completion, chunk by chunk.
type choice struct {
	request *model.Request
	ollama  bool

	id, served string
	text       strings.Builder
	refusal    strings.Builder
	calls      []*call
	byIndex    map[int]*call
	stop       string
	usage      model.Usage
	told       bool
	prompt     int64 // tokens, as the server says
}

type call struct {
	id, name string
	args     strings.Builder
}

// smallPrompt is the size, in tokens, below which an estimate says little.
const smallPrompt = 256

func (a *choice) Event(e wire.Event, on func(model.Delta)) (bool, error) {
	if strings.TrimSpace(string(e.Data)) == wire.ChatDone {
		if a.stop == "" {
			return false, errors.New("the answer ended without a reason")
		}
		return true, nil
	}
	if e.Name == "error" {
		return false, streamError(e.Data)
	}
	var chunk wire.ChatResponse
	if err := json.Unmarshal(e.Data, &chunk); err != nil {
		return false, fmt.Errorf("a chunk that is not valid: %w", err)
	}
	return false, a.take(chunk, on)
}

// take takes a chunk, or a whole completion.
func (a *choice) take(chunk wire.ChatResponse, on func(model.Delta)) error {
	if chunk.Error != nil {
		return understand(*chunk.Error)
	}
	if chunk.ID != "" {
		a.id = chunk.ID
	}
	if chunk.Model != "" {
		a.served = chunk.Model
	}
	for _, c := range chunk.Choices {
		if c.Index < 0 {
			return wire.BadIndex("a choice", c.Index)
		}
		if c.Index != 0 {
			continue
		}
		if c.Message != nil {
			if err := a.grow(whole(*c.Message), on); err != nil {
				return err
			}
		}
		if c.Delta != nil {
			if err := a.grow(*c.Delta, on); err != nil {
				return err
			}
		}
		if c.FinishReason != nil && *c.FinishReason != "" {
			a.stop = *c.FinishReason
		}
	}
	if u := chunk.Usage; u != nil {
		a.told, a.prompt = true, u.Prompt
		a.usage = model.Usage{Output: max(u.Completion, 0)}
		input := u.Prompt
		if u.PromptDetails != nil {
			a.usage.CacheRead = max(u.PromptDetails.Cached, 0)
			a.usage.CacheWrite = max(u.PromptDetails.CacheWrite, 0)
			input -= a.usage.CacheRead + a.usage.CacheWrite
		}
		a.usage.Input = max(input, 0)
		if u.CompletionDetails != nil {
			a.usage.Reasoning = max(u.CompletionDetails.Reasoning, 0)
		}
		on(model.Delta{Usage: new(a.usage)})
	}
	return nil
}

// whole is a message as if it came in one piece.
func whole(m wire.ChatMessage) wire.ChatDelta {
	d := wire.ChatDelta{Refusal: m.Refusal, ToolCalls: m.ToolCalls, Reasoning: m.Reasoning, ReasoningContent: m.ReasoningContent}
	if m.Content != nil {
		var text strings.Builder
		for _, p := range m.Content.Parts(wire.ChatText) {
			text.WriteString(p.Text)
		}
		d.Content = new(text.String())
	}
	return d
}

func (a *choice) grow(d wire.ChatDelta, on func(model.Delta)) error {
	if s := d.Reasoning + d.ReasoningContent; s != "" {
		on(model.Delta{Thinking: s})
	}
	if d.Content != nil && *d.Content != "" {
		a.text.WriteString(*d.Content)
		on(model.Delta{Text: *d.Content})
	}
	if d.Refusal != nil && *d.Refusal != "" {
		a.refusal.WriteString(*d.Refusal)
		on(model.Delta{Text: *d.Refusal})
	}
	for i, t := range d.ToolCalls {
		if t.Index != nil && *t.Index < 0 {
			return wire.BadIndex("a tool call", *t.Index)
		}
		c := a.callOf(t, i)
		if c.id == "" {
			c.id = t.ID
		}
		if c.name == "" && t.Function.Name != "" {
			c.name = t.Function.Name
			on(model.Delta{Tool: c.name})
		}
		if t.Function.Arguments != "" {
			c.args.WriteString(t.Function.Arguments)
			on(model.Delta{Args: t.Function.Arguments})
		}
	}
	return nil
}

// callOf is the call to which the nth piece of a chunk belongs: by its index, or, of a server that does not count, the last one unless a
// new one begins.
func (a *choice) callOf(t wire.ChatToolCall, nth int) *call {
	index := nth + len(a.byIndex)
	switch {
	case t.Index != nil:
		index = *t.Index
	case t.ID == "" && t.Function.Name == "" && len(a.calls) > 0:
		return a.calls[len(a.calls)-1]
	}
	c := a.byIndex[index]
	if c == nil {
		c = &call{}
		if a.byIndex == nil {
			a.byIndex = map[int]*call{}
		}
		a.byIndex[index] = c
		a.calls = append(a.calls, c)
	}
	return c
}

func (a *choice) End() bool { return false }

func (a *choice) Whole(body []byte, on func(model.Delta)) error {
	var r wire.ChatResponse
	if err := json.Unmarshal(body, &r); err != nil {
		return fmt.Errorf("an answer that is not valid: %w", err)
	}
	if err := a.take(r, on); err != nil {
		return err
	}
	if a.stop == "" {
		return errors.New("the answer ended without a reason")
	}
	return nil
}

func (a *choice) Usage() model.Usage { return a.usage }

func (a *choice) Response() (*model.Response, error) {
	if estimate := wire.Estimate(a.request); a.ollama && a.told && estimate > smallPrompt && a.prompt < estimate/2 {
		return nil, &wire.Problem{Kind: model.TooLong, Code: "prompt_cut", Message: fmt.Sprintf(
			"the server has read %d tokens of about %d: it cut the prompt; a larger window is set by OLLAMA_CONTEXT_LENGTH where Ollama runs", a.prompt, estimate)}
	}
	r := &model.Response{Served: a.served, RequestID: a.id}
	r.Message.Text = a.text.String()
	for _, c := range a.calls {
		if c.name == "" {
			return nil, &wire.Problem{Kind: model.BadAnswer, Message: "a call without a name"}
		}
		r.Message.Calls = append(r.Message.Calls, model.ToolCall{ID: c.id, Name: c.name, Args: wire.Args(c.args.String())})
	}
	switch {
	case a.refusal.Len() > 0:
		r.Stop = model.StopRefused
		r.Message.Text += a.refusal.String()
	case a.stop == "content_filter":
		r.Stop = model.StopRefused
	case a.stop == "length":
		r.Stop = model.StopLength
	case a.stop == "tool_calls", a.stop == "function_call", a.stop == "stop" && len(r.Message.Calls) > 0:
		r.Stop = model.StopTools
	case a.stop == "stop":
		r.Stop = model.StopEnd
	default:
		return nil, &wire.Problem{Kind: model.BadAnswer, Code: a.stop, Message: "the answer ended for a reason that is not known"}
	}
	if !a.told {
		n := a.text.Len()
		for _, c := range a.calls {
			n += c.args.Len()
		}
		a.usage = model.Usage{Input: wire.Estimate(a.request), Output: int64(n+3) / 4, Estimated: true}
	}
	r.Usage = a.usage
	return r, nil
}
