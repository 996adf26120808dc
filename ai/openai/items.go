package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// items collects a response. The pieces are for who watches; what counts are the finished items
// and the response with which the stream ends.
type items struct {
	request *model.Request
	done    map[int]wire.ResponsesItem // by their place
	pieces  int                        // bytes that came in pieces
	final   *wire.ResponsesResponse
	usage   model.Usage
}

func (a *items) Event(e wire.Event, on func(model.Delta)) (bool, error) {
	var ev wire.ResponsesEvent
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(e.Data, &head); err != nil {
		return false, fmt.Errorf("an event that is not valid: %w", err)
	}
	switch head.Type {
	case "response.output_item.added", "response.output_item.done", "response.output_text.delta", "response.refusal.delta",
		"response.function_call_arguments.delta", "response.reasoning_summary_text.delta",
		"response.completed", "response.incomplete", "response.failed":
	case "error":
		return false, streamError(e.Data)
	default:
		return false, nil
	}
	if err := json.Unmarshal(e.Data, &ev); err != nil {
		return false, fmt.Errorf("an event %s that is not valid: %w", head.Type, err)
	}
	switch ev.Type {
	case "response.output_item.added":
		if ev.Item != nil && ev.Item.Type == "function_call" {
			on(model.Delta{Tool: ev.Item.Name})
		}
	case "response.output_item.done":
		if ev.Item == nil || ev.OutputIndex == nil {
			return false, errors.New("an item that ends without an item")
		}
		if *ev.OutputIndex < 0 {
			return false, wire.BadIndex("an item", *ev.OutputIndex)
		}
		if a.done == nil {
			a.done = map[int]wire.ResponsesItem{}
		}
		a.done[*ev.OutputIndex] = *ev.Item
	case "response.completed", "response.incomplete", "response.failed":
		if ev.Response == nil {
			return false, errors.New("a response that ends without a response")
		}
		return true, a.end(*ev.Response, on)
	default:
		if ev.Delta != nil && *ev.Delta != "" {
			a.pieces += len(*ev.Delta)
			on(delta(ev.Type, *ev.Delta))
		}
	}
	return false, nil
}

func delta(kind, s string) model.Delta {
	switch kind {
	case "response.function_call_arguments.delta":
		return model.Delta{Args: s}
	case "response.reasoning_summary_text.delta":
		return model.Delta{Thinking: s}
	}
	return model.Delta{Text: s}
}

// streamError reads an event that is an error. Its fields stand in the event, or one level deeper.
func streamError(data []byte) error {
	var flat wire.OpenAIProblem
	var deep struct {
		Error *wire.OpenAIProblem `json:"error"`
	}
	if json.Unmarshal(data, &deep) == nil && deep.Error != nil {
		return understand(*deep.Error)
	}
	_ = json.Unmarshal(data, &flat) // what cannot be read says nothing
	flat.Type = ""                  // that of the event
	return understand(flat)
}

func (a *items) end(r wire.ResponsesResponse, on func(model.Delta)) error {
	if r.Usage != nil {
		u := r.Usage
		a.usage = model.Usage{
			Input:      max(u.Input-u.InputDetails.Cached-u.InputDetails.CacheWrite, 0),
			CacheRead:  max(u.InputDetails.Cached, 0),
			CacheWrite: max(u.InputDetails.CacheWrite, 0),
			Output:     max(u.Output, 0), Reasoning: max(u.OutputDetails.Reasoning, 0),
		}
		on(model.Delta{Usage: new(a.usage)})
	}
	if r.Status == "failed" || r.Error != nil {
		p := wire.OpenAIProblem{}
		if r.Error != nil {
			p.Code, p.Message = r.Error.Code, r.Error.Message
		}
		problem := understand(p)
		problem.ID = r.ID
		return problem
	}
	if len(r.Output) == 0 && len(a.done) > 0 { // some servers leave out at the end what they have sent
		places := make([]int, 0, len(a.done))
		for i := range a.done {
			places = append(places, i)
		}
		slices.Sort(places)
		for _, i := range places {
			r.Output = append(r.Output, a.done[i])
		}
	}
	a.final = &r
	return nil
}

func (a *items) End() bool { return false }

func (a *items) Whole(body []byte, on func(model.Delta)) error {
	var r wire.ResponsesResponse
	if err := json.Unmarshal(body, &r); err != nil {
		if p := problem(200, body); p != nil && p.Message != "" {
			return p
		}
		return fmt.Errorf("an answer that is not valid: %w", err)
	}
	for _, item := range r.Output {
		switch item.Type {
		case "message":
			for _, p := range item.Content.List {
				if s := p.Text + p.Refusal; s != "" {
					on(model.Delta{Text: s})
				}
			}
		case "function_call":
			on(model.Delta{Tool: item.Name})
			on(model.Delta{Args: item.Arguments})
		}
	}
	return a.end(r, on)
}

func (a *items) Usage() model.Usage { return a.usage }

func (a *items) Response() (*model.Response, error) {
	f := a.final
	r := &model.Response{Served: f.Model, RequestID: f.ID}
	var text, refusal strings.Builder
	var raw []json.RawMessage
	own := false
	for _, item := range f.Output {
		kept := wire.Compact(item.Raw)
		if kept == nil {
			return nil, errors.New("an item that is not valid")
		}
		raw = append(raw, kept)
		switch item.Type {
		case "message":
			for _, p := range item.Content.Parts(func(s string) wire.ResponsesPart { return wire.ResponsesPart{Type: "output_text", Text: s} }) {
				text.WriteString(p.Text)
				refusal.WriteString(p.Refusal)
			}
		case "function_call":
			r.Message.Calls = append(r.Message.Calls, model.ToolCall{ID: item.CallID, Name: item.Name, Args: wire.Args(item.Arguments)})
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
		r.Message.Raw, r.Message.From = encoded, wire.Responses
	}
	reason := ""
	if f.Incomplete != nil {
		reason = f.Incomplete.Reason
	}
	switch {
	case refusal.Len() > 0:
		r.Stop = model.StopRefused
		r.Message.Text += refusal.String()
	case f.Status == "completed" && len(r.Message.Calls) > 0:
		r.Stop = model.StopTools
	case f.Status == "completed":
		r.Stop = model.StopEnd
	case f.Status == "incomplete" && reason == "max_output_tokens":
		r.Stop = model.StopLength
	case f.Status == "incomplete" && reason == "content_filter":
		r.Stop = model.StopRefused
	default:
		return nil, &wire.Problem{Kind: model.BadAnswer, Code: f.Status + " " + reason, Message: "the answer ended for a reason that is not known"}
	}
	if f.Usage == nil {
		a.usage = model.Usage{Input: wire.Estimate(a.request), Output: int64(max(text.Len(), a.pieces)+3) / 4, Estimated: true}
	}
	r.Usage = a.usage
	return r, nil
}
