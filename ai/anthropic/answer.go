package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// answer collects a message, block by block.
type answer struct {
	request *model.Request

	id, served string
	blocks     []*block // in the order in which they began
	open       map[int]*block
	stop       string
	usage      model.Usage
	told       bool // the usage
}

// block is a block as it grows.
type block struct {
	start     wire.AnthropicBlock
	text      strings.Builder // of text, thinking, or input as JSON
	signature strings.Builder
}

func (a *answer) Event(e wire.Event, on func(model.Delta)) (bool, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(e.Data, &head); err != nil {
		return false, fmt.Errorf("an event that is not valid: %w", err)
	}
	switch head.Type {
	case "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error":
	default: // ping, the end of a block, and what we do not know
		return false, nil
	}
	var ev wire.AnthropicEvent
	if err := json.Unmarshal(e.Data, &ev); err != nil {
		return false, fmt.Errorf("an event %s that is not valid: %w", head.Type, err)
	}
	switch ev.Type {
	case "error":
		if ev.Error == nil {
			return false, &wire.Problem{Message: "an error that says nothing"}
		}
		return false, understand(*ev.Error)
	case "message_start":
		if ev.Message == nil {
			return false, errors.New("a message that begins without a message")
		}
		a.id, a.served = ev.Message.ID, ev.Message.Model
		a.count(ev.Message.Usage, on)
	case "content_block_start":
		if ev.Index == nil || ev.ContentBlock == nil {
			return false, errors.New("a block that begins without a block")
		}
		if *ev.Index < 0 {
			return false, wire.BadIndex("a block", *ev.Index)
		}
		a.begin(*ev.Index, *ev.ContentBlock, on)
	case "content_block_delta":
		if ev.Index == nil || ev.Delta == nil || a.open[*ev.Index] == nil {
			return false, errors.New("a piece of a block that has not begun")
		}
		a.grow(a.open[*ev.Index], *ev.Delta, on)
	case "message_delta":
		if ev.Delta != nil && ev.Delta.StopReason != nil {
			a.stop = *ev.Delta.StopReason
		}
		if ev.Usage != nil {
			a.count(*ev.Usage, on)
		}
	case "message_stop":
		if a.stop == "" {
			return false, errors.New("the message ended without a reason")
		}
		return true, nil
	}
	return false, nil
}

func (a *answer) begin(index int, start wire.AnthropicBlock, on func(model.Delta)) {
	if a.open == nil {
		a.open = map[int]*block{}
	}
	b := &block{start: start}
	a.open[index] = b
	a.blocks = append(a.blocks, b)
	switch start.Type {
	case "text":
		b.text.WriteString(start.Text)
		if start.Text != "" {
			on(model.Delta{Text: start.Text})
		}
	case "thinking":
		b.text.WriteString(start.Thinking)
		b.signature.WriteString(start.Signature)
		if start.Thinking != "" {
			on(model.Delta{Thinking: start.Thinking})
		}
	case "tool_use":
		on(model.Delta{Tool: start.Name})
	}
}

func (a *answer) grow(b *block, d wire.AnthropicDelta, on func(model.Delta)) {
	kind := b.start.Type
	switch {
	case kind == "text" && d.Text != nil && *d.Text != "":
		b.text.WriteString(*d.Text)
		on(model.Delta{Text: *d.Text})
	case kind == "thinking" && d.Thinking != nil && *d.Thinking != "":
		b.text.WriteString(*d.Thinking)
		on(model.Delta{Thinking: *d.Thinking})
	case kind == "thinking" && d.Signature != nil:
		b.signature.WriteString(*d.Signature)
	case kind != "text" && kind != "thinking" && d.PartialJSON != nil && *d.PartialJSON != "":
		b.text.WriteString(*d.PartialJSON)
		if kind == "tool_use" {
			on(model.Delta{Args: *d.PartialJSON})
		}
	}
}

// count takes what was used so far; what is not said has not changed.
func (a *answer) count(u wire.AnthropicUsage, on func(model.Delta)) {
	take := func(to *int64, from *int64) {
		if from != nil {
			*to = max(*from, 0)
			a.told = true
		}
	}
	take(&a.usage.Input, u.Input)
	take(&a.usage.CacheRead, u.CacheRead)
	take(&a.usage.CacheWrite, u.CacheWrite)
	take(&a.usage.Output, u.Output)
	if u.Details != nil {
		take(&a.usage.Reasoning, u.Details.Thinking)
	}
	if a.told {
		on(model.Delta{Usage: new(a.usage)})
	}
}

func (a *answer) End() bool { return false }

func (a *answer) Whole(body []byte, on func(model.Delta)) error {
	var whole struct {
		wire.AnthropicResponse
		Error *wire.AnthropicProblem `json:"error"`
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		return fmt.Errorf("an answer that is not valid: %w", err)
	}
	switch {
	case whole.Error != nil:
		return understand(*whole.Error)
	case whole.StopReason == nil || *whole.StopReason == "":
		return errors.New("the message ended without a reason")
	}
	a.id, a.served, a.stop = whole.ID, whole.Model, *whole.StopReason
	for i, b := range whole.Content {
		a.begin(i, b, on)
		if b.Type == "tool_use" {
			a.grow(a.blocks[i], wire.AnthropicDelta{PartialJSON: new(string(b.Input))}, on)
		}
	}
	a.count(whole.Usage, on)
	return nil
}

func (a *answer) Usage() model.Usage { return a.usage }

func (a *answer) Response() (*model.Response, error) {
	r := &model.Response{Served: a.served, RequestID: a.id}
	var text strings.Builder
	var raw []json.RawMessage
	own := false // there are blocks that must go back as they are
	for _, b := range a.blocks {
		kept, err := b.raw()
		if err != nil {
			return nil, fmt.Errorf("a block that is not valid: %w", err)
		}
		raw = append(raw, kept)
		switch b.start.Type {
		case "text":
			text.WriteString(b.text.String())
		case "tool_use":
			r.Message.Calls = append(r.Message.Calls, model.ToolCall{ID: b.start.ID, Name: b.start.Name, Args: b.args()})
		default:
			own = true
		}
	}
	r.Message.Text = text.String()
	if own {
		encoded, err := wire.Marshal(raw)
		if err != nil {
			return nil, err
		}
		r.Message.Raw, r.Message.From = encoded, wire.Anthropic
	}
	switch a.stop {
	case "end_turn", "stop_sequence":
		r.Stop = model.StopEnd
	case "max_tokens":
		r.Stop = model.StopLength
	case "tool_use":
		r.Stop = model.StopTools
	case "refusal":
		r.Stop = model.StopRefused
	case "pause_turn":
		r.Stop = model.StopPause
	case "model_context_window_exceeded":
		r.Stop = model.StopTooLong
	default:
		return nil, &wire.Problem{Kind: model.BadAnswer, Code: a.stop, Message: "the answer ended for a reason that is not known"}
	}
	if !a.told {
		a.usage = model.Usage{Input: wire.Estimate(a.request), Output: int64(text.Len()+3) / 4, Estimated: true}
	}
	r.Usage = a.usage
	return r, nil
}

func (b *block) args() json.RawMessage {
	if b.text.Len() == 0 && len(b.start.Input) > 0 {
		return wire.Args(string(b.start.Input))
	}
	return wire.Args(b.text.String())
}

// raw is the block as it goes back. What came whole stays as it came.
func (b *block) raw() (json.RawMessage, error) {
	raw := wire.Compact(b.start.Raw)
	var err error
	set := func(name string, value any) {
		if err == nil {
			raw, err = wire.Set(raw, name, value)
		}
	}
	switch b.start.Type {
	case "text":
		if b.text.String() != b.start.Text {
			set("text", b.text.String())
		}
	case "thinking":
		if b.text.String() != b.start.Thinking {
			set("thinking", b.text.String())
		}
		if b.signature.String() != b.start.Signature {
			set("signature", b.signature.String())
		}
	case "tool_use":
		set("input", wire.ArgsObject(b.args()))
	default: // a tool of the provider may have its input in pieces
		if b.text.Len() > 0 {
			set("input", wire.ArgsObject(wire.Args(b.text.String())))
		}
	}
	return raw, err
}
