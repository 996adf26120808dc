package aitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// responses is OpenAI's Responses API.
type responses struct{}

func (responses) name() string             { return wire.Responses }
func (responses) key(h http.Header) string { return bearer(h) }
func (responses) idHeader() string         { return "X-Request-Id" }

func (responses) decode(_ *http.Request, body []byte) (asked, error) {
	var q wire.ResponsesRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return asked{}, fmt.Errorf("the body is not valid: %w", err)
	}
	items := q.Input.Parts(func(s string) wire.ResponsesItem {
		return wire.ResponsesItem{Role: "user", Content: wire.TextContent[wire.ResponsesPart](s)}
	})
	switch {
	case q.Model == "":
		return asked{}, errNoModel
	case len(items) == 0:
		return asked{}, errEmpty
	case q.Background:
		return asked{}, errors.New("background: this server has no background mode")
	}
	out := &model.Request{Model: q.Model, System: q.Instructions, MaxTokens: q.MaxOutputTokens, Temperature: q.Temperature}
	open := map[string]bool{}
	var own []json.RawMessage // reasoning that belongs to the message that follows
	for i, item := range items {
		if err := responsesItem(out, item, open, &own); err != nil {
			return asked{}, fmt.Errorf("input[%d]: %w", i, err)
		}
	}
	if len(open) > 0 {
		return asked{}, errors.New("no tool output found for function call")
	}
	for _, t := range q.Tools {
		if t.Strict != nil && *t.Strict {
			if err := strict(t.Parameters); err != nil {
				return asked{}, err
			}
		}
		out.Tools = append(out.Tools, model.ToolDef{Name: t.Name, Description: t.Description, Schema: t.Parameters})
	}
	out.ToolChoice = openaiChoice(q.ToolChoice)
	if q.Reasoning != nil {
		out.Effort = q.Reasoning.Effort
	}
	if q.Text != nil && q.Text.Format != nil && q.Text.Format.Schema != nil {
		f := q.Text.Format
		if f.Strict != nil && *f.Strict {
			if err := strict(f.Schema); err != nil {
				return asked{}, err
			}
		}
		out.Schema, out.Name = f.Schema, f.Name
	}
	return asked{Request: out, stream: q.Stream, usage: true, hidden: slices.Contains(q.Include, "reasoning.encrypted_content")}, nil
}

func responsesItem(out *model.Request, item wire.ResponsesItem, open map[string]bool, own *[]json.RawMessage) error {
	last := func() *model.Message { // the turn of the model that items belong to
		if n := len(out.Messages); n > 0 && out.Messages[n-1].Role == model.Assistant {
			return &out.Messages[n-1]
		}
		out.Messages = append(out.Messages, model.Message{Role: model.Assistant})
		return &out.Messages[len(out.Messages)-1]
	}
	keep := func(m *model.Message) error {
		if len(*own) == 0 {
			return nil
		}
		raw, err := wire.Marshal(append(*own, item.Raw))
		m.Raw, m.From, *own = raw, wire.Responses, nil
		return err
	}
	switch item.Type {
	case "", "message":
		m, err := responsesMessage(item)
		if err != nil {
			return err
		}
		switch item.Role {
		case "system", "developer":
			out.System = strings.TrimPrefix(out.System+"\n\n"+m.Text, "\n\n")
		case "user":
			out.Messages = append(out.Messages, m)
		case "assistant":
			turn := last()
			turn.Text += m.Text
			return keep(turn)
		default:
			return fmt.Errorf("there is no role %q", item.Role)
		}
	case "function_call":
		open[item.CallID] = true
		turn := last()
		turn.Calls = append(turn.Calls, model.ToolCall{ID: item.CallID, Name: item.Name, Args: wire.Args(item.Arguments)})
		return keep(turn)
	case "function_call_output":
		if !open[item.CallID] {
			return fmt.Errorf("no tool call found for function call output with call_id %q", item.CallID)
		}
		delete(open, item.CallID)
		m := model.Message{Role: model.Tool, CallID: item.CallID}
		for _, p := range item.Output.Parts(wire.ResponsesInputText) {
			m.Text += p.Text
		}
		out.Messages = append(out.Messages, m)
	case "reasoning":
		thought := ""
		for _, p := range item.Summary {
			thought += p.Text
		}
		if forged(item.EncryptedContent, thought) {
			return errors.New("the encrypted content of a reasoning item could not be verified")
		}
		*own = append(*own, item.Raw)
	}
	return nil
}

// responsesMessage is what an item of texts and files says.
func responsesMessage(item wire.ResponsesItem) (model.Message, error) {
	m := model.Message{Role: model.Role(item.Role)}
	for _, p := range item.Content.Parts(wire.ResponsesInputText) {
		switch p.Type {
		case "input_text", "output_text", "refusal":
			m.Text += p.Text + p.Refusal
		case "input_image", "input_file":
			f := model.File{Name: p.Filename}
			var err error
			if f.MIME, f.Data, err = dataURL(p.ImageURL + p.FileData); err != nil {
				return m, err
			}
			m.Files = append(m.Files, f)
		default:
			return m, fmt.Errorf("content: this server reads no %q", p.Type)
		}
	}
	return m, nil
}

func responsesUsage(u model.Usage) *wire.ResponsesUsage {
	in := u.Input + u.CacheRead + u.CacheWrite
	return &wire.ResponsesUsage{
		Input: in, InputDetails: wire.ResponsesInputDetails{Cached: u.CacheRead, CacheWrite: u.CacheWrite},
		Output: u.Output, OutputDetails: wire.ResponsesOutputDetails{Reasoning: u.Reasoning}, Total: in + u.Output,
	}
}

// items are the output of an answer. Those of a recorded answer of this wire are sent as they were.
func (a answered) items() []wire.ResponsesItem {
	var out []wire.ResponsesItem
	if a.Message.From == wire.Responses && json.Unmarshal(a.Message.Raw, &out) == nil {
		return out
	}
	if a.thinking != "" {
		r := wire.ResponsesItem{Type: "reasoning", ID: "rs_" + a.id, Summary: []wire.ResponsesPart{{Type: "summary_text", Text: a.thinking}}}
		if a.hidden {
			r.EncryptedContent = signed(a.thinking)
		}
		out = append(out, r)
	}
	if a.Message.Text != "" || len(a.Message.Calls) == 0 {
		part := wire.ResponsesPart{Type: "output_text", Text: a.Message.Text}
		if a.Stop == model.StopRefused {
			part = wire.ResponsesPart{Type: "refusal", Refusal: a.Message.Text}
		}
		out = append(out, wire.ResponsesItem{Type: "message", ID: "msg_" + a.id, Status: "completed", Role: "assistant", Content: wire.ListContent(part)})
	}
	for i, c := range a.Message.Calls {
		out = append(out, wire.ResponsesItem{Type: "function_call", ID: fmt.Sprintf("fc_%s_%d", a.id, i), Status: "completed", CallID: c.ID, Name: c.Name, Arguments: wire.ArgsText(c.Args)})
	}
	return out
}

func (a answered) responses(status string) wire.ResponsesResponse {
	return wire.ResponsesResponse{
		ID: "resp_" + a.id, Object: "response", CreatedAt: a.created, Status: status, Model: a.Served,
		Output: []wire.ResponsesItem{}, Store: new(false),
	}
}

func (responses) whole(a answered) any {
	r := a.responses("completed")
	r.Output, r.Usage = append(r.Output, a.items()...), responsesUsage(a.Usage)
	if a.Stop == model.StopLength || a.Stop == model.StopTooLong {
		r.Status, r.Incomplete = "incomplete", &wire.ResponsesIncomplete{Reason: "max_output_tokens"}
	}
	return r
}

func (d responses) stream(a answered) []wire.Event {
	var out []wire.Event
	add := func(e wire.ResponsesEvent) {
		e.Sequence = int64(len(out))
		out = append(out, event(e.Type, e))
	}
	begun := a.responses("in_progress")
	add(wire.ResponsesEvent{Type: "response.created", Response: &begun})
	add(wire.ResponsesEvent{Type: "response.in_progress", Response: &begun})
	for i, item := range a.items() {
		empty := item
		empty.Raw, empty.Status, empty.Arguments, empty.EncryptedContent = nil, "in_progress", "", ""
		empty.Content, empty.Summary = wire.ListContent[wire.ResponsesPart](), nil
		at := wire.ResponsesEvent{OutputIndex: new(i), ItemID: item.ID}
		grow := func(kind string, change func(*wire.ResponsesEvent)) {
			e := at
			e.Type = kind
			change(&e)
			add(e)
		}
		add(wire.ResponsesEvent{Type: "response.output_item.added", OutputIndex: new(i), Item: &empty})
		switch item.Type {
		case "function_call":
			for _, p := range pieces(item.Arguments, a.chunk) {
				grow("response.function_call_arguments.delta", func(e *wire.ResponsesEvent) { e.Delta = new(p) })
			}
			grow("response.function_call_arguments.done", func(e *wire.ResponsesEvent) { e.Arguments = new(item.Arguments) })
		case "reasoning":
			for k, s := range item.Summary {
				for _, p := range pieces(s.Text, a.chunk) {
					grow("response.reasoning_summary_text.delta", func(e *wire.ResponsesEvent) { e.SummaryIndex, e.Delta = new(k), new(p) })
				}
				grow("response.reasoning_summary_text.done", func(e *wire.ResponsesEvent) { e.SummaryIndex, e.Text = new(k), new(s.Text) })
			}
		case "message":
			for k, part := range item.Content.List {
				kind, text := "response.output_text", part.Text
				if part.Type == "refusal" {
					kind, text = "response.refusal", part.Refusal
				}
				grow("response.content_part.added", func(e *wire.ResponsesEvent) {
					e.ContentIndex, e.Part = new(k), &wire.ResponsesPart{Type: part.Type}
				})
				for _, p := range pieces(text, a.chunk) {
					grow(kind+".delta", func(e *wire.ResponsesEvent) { e.ContentIndex, e.Delta = new(k), new(p) })
				}
				grow(kind+".done", func(e *wire.ResponsesEvent) {
					if e.ContentIndex = new(k); part.Type == "refusal" {
						e.Refusal = new(text)
					} else {
						e.Text = new(text)
					}
				})
				grow("response.content_part.done", func(e *wire.ResponsesEvent) { e.ContentIndex, e.Part = new(k), &part })
			}
		}
		add(wire.ResponsesEvent{Type: "response.output_item.done", OutputIndex: new(i), Item: &item})
	}
	done, _ := d.whole(a).(wire.ResponsesResponse)
	add(wire.ResponsesEvent{Type: "response." + done.Status, Response: &done})
	return out
}

func (responses) problem(f fault, _ string) (int, any) {
	status, p := openaiProblem(f)
	return status, wire.OpenAIError{Error: p}
}

// inside is the event error. Another way to fail is response.failed, which has the same words.
func (responses) inside(f fault, nth int) wire.Event {
	_, p := openaiProblem(f)
	if p.Code == "" {
		p.Code = wire.Word(p.Type)
	}
	return event("error", wire.ResponsesEvent{Type: "error", Sequence: int64(nth), Code: p.Code, Message: p.Message})
}
