package gemini

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// answer collects parts. Each event is a partial response; the answer is complete when the stream
// ends in order after one with a reason, since usage may come later than that.
type answer struct {
	request *model.Request

	id, served string
	parts      []wire.GeminiPart
	run        strings.Builder // the text of the last part, if that is one that grows
	finish     string
	note       string // of the finish
	blocked    string
	usage      model.Usage
	told       bool
}

func (a *answer) Event(e wire.Event, on func(model.Delta)) (bool, error) {
	var r wire.GeminiResponse
	if err := json.Unmarshal(e.Data, &r); err != nil {
		return false, fmt.Errorf("an event that is not valid: %w", err)
	}
	return false, a.take(r, on)
}

func (a *answer) take(r wire.GeminiResponse, on func(model.Delta)) error {
	if r.Error != nil {
		return understand(*r.Error)
	}
	if r.ResponseID != "" {
		a.id = r.ResponseID
	}
	if r.ModelVersion != "" {
		a.served = r.ModelVersion
	}
	if r.PromptFeedback != nil && r.PromptFeedback.BlockReason != "" {
		a.blocked = r.PromptFeedback.BlockReason
	}
	for _, c := range r.Candidates {
		if c.Index < 0 {
			return wire.BadIndex("a candidate", c.Index)
		}
		if c.Index != 0 {
			continue
		}
		if c.Content != nil {
			for _, p := range c.Content.Parts {
				a.grow(p, on)
			}
		}
		if c.FinishReason != "" {
			a.finish, a.note = c.FinishReason, c.FinishMessage
		}
	}
	if u := r.UsageMetadata; u != nil {
		a.told = true
		a.usage = model.Usage{
			Input:     max(u.Prompt+u.ToolPrompt-u.Cached, 0),
			CacheRead: max(u.Cached, 0), Output: max(u.Candidates+u.Thoughts, 0), Reasoning: max(u.Thoughts, 0),
		}
		on(model.Delta{Usage: new(a.usage)})
	}
	return nil
}

// grow takes a part. Pieces of plain text in a row are one part; all else stays as it came.
func (a *answer) grow(p wire.GeminiPart, on func(model.Delta)) {
	switch {
	case p.FunctionCall != nil:
		on(model.Delta{Tool: p.FunctionCall.Name})
		if len(p.FunctionCall.Args) > 0 {
			on(model.Delta{Args: string(p.FunctionCall.Args)})
		}
	case p.Text != "" && p.Thought:
		on(model.Delta{Thinking: p.Text})
	case p.Text != "":
		on(model.Delta{Text: p.Text})
	}
	if onlyText(p) {
		if p.Text == "" {
			return
		}
		if n := len(a.parts); n > 0 && a.run.Len() > 0 && a.parts[n-1].Thought == p.Thought {
			a.run.WriteString(p.Text)
			return
		}
		a.settle()
		a.run.WriteString(p.Text)
		a.parts = append(a.parts, wire.GeminiPart{Thought: p.Thought})
		return
	}
	a.settle()
	a.parts = append(a.parts, p)
}

// settle puts the text that has grown into its part.
func (a *answer) settle() {
	if a.run.Len() > 0 {
		a.parts[len(a.parts)-1].Text = a.run.String()
		a.run.Reset()
	}
}

// onlyText says whether a part is nothing but text, or text of a thought.
func onlyText(p wire.GeminiPart) bool {
	var fields map[string]json.RawMessage
	if p.Raw == nil {
		return true // it has grown here
	}
	if json.Unmarshal(p.Raw, &fields) != nil {
		return false
	}
	delete(fields, "text")
	delete(fields, "thought")
	return len(fields) == 0
}

func (a *answer) End() bool { return a.finish != "" || a.blocked != "" && len(a.parts) == 0 }

func (a *answer) Whole(body []byte, on func(model.Delta)) error {
	var list []wire.GeminiResponse
	if strings.HasPrefix(strings.TrimSpace(string(body)), "[") { // a stream without alt=sse
		if err := json.Unmarshal(body, &list); err != nil {
			return fmt.Errorf("an answer that is not valid: %w", err)
		}
	} else {
		list = make([]wire.GeminiResponse, 1)
		if err := json.Unmarshal(body, &list[0]); err != nil {
			return fmt.Errorf("an answer that is not valid: %w", err)
		}
	}
	for _, r := range list {
		if err := a.take(r, on); err != nil {
			return err
		}
	}
	if !a.End() {
		return errors.New("the answer ended without a reason")
	}
	return nil
}

func (a *answer) Usage() model.Usage { return a.usage }

func (a *answer) Response() (*model.Response, error) {
	a.settle()
	r := &model.Response{Served: a.served, RequestID: a.id}
	var text strings.Builder
	var raw []json.RawMessage
	own := false
	for _, p := range a.parts {
		kept := wire.Compact(p.Raw)
		if p.Raw == nil {
			encoded, err := wire.Marshal(p)
			if err != nil {
				return nil, err
			}
			kept = encoded
		}
		if kept == nil {
			return nil, errors.New("a part that is not valid")
		}
		raw = append(raw, kept)
		switch {
		case p.FunctionCall != nil:
			args := wire.Args(string(p.FunctionCall.Args))
			r.Message.Calls = append(r.Message.Calls, model.ToolCall{ID: p.FunctionCall.ID, Name: p.FunctionCall.Name, Args: args})
		case p.Thought:
		case p.Text != "":
			text.WriteString(p.Text)
		}
		own = own || p.ThoughtSignature != "" || p.Thought || p.FunctionCall == nil && !onlyText(p)
	}
	r.Message.Text = text.String()
	if own {
		encoded, err := wire.Marshal(raw)
		if err != nil {
			return nil, err
		}
		r.Message.Raw, r.Message.From = encoded, wire.Gemini
	}
	switch a.finish {
	case "":
		r.Stop = model.StopRefused // the prompt was blocked
	case "STOP":
		r.Stop = model.StopEnd
		if len(r.Message.Calls) > 0 {
			r.Stop = model.StopTools
		}
	case "MAX_TOKENS":
		r.Stop = model.StopLength
	case "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION":
		r.Stop = model.StopRefused
	default: // MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, OTHER, and what we do not know
		return nil, &wire.Problem{Kind: model.BadAnswer, Code: a.finish, Message: a.note}
	}
	if !a.told {
		a.usage = model.Usage{Input: wire.Estimate(a.request), Output: int64(text.Len()+3) / 4, Estimated: true}
	}
	r.Usage = a.usage
	return r, nil
}
