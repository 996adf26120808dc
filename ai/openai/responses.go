package openai

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// encode makes the body of a request.
func (m *responses) encode(r *model.Request) ([]byte, error) {
	turns, err := wire.Turns(r, wire.Responses, idsOf)
	if err != nil {
		return nil, err
	}
	if len(r.Stop) > 0 {
		return nil, errStop
	}
	body := wire.ResponsesRequest{
		Model: m.endpoint.Model(), Instructions: r.System, MaxOutputTokens: r.MaxTokens, Temperature: r.Temperature,
		Store: new(false), Stream: true,
	}
	if reasons(m.endpoint.Model()) {
		body.Include = []string{"reasoning.encrypted_content"}
	}
	if r.Effort != "" {
		body.Reasoning = &wire.ResponsesReasoning{Effort: r.Effort}
	}
	if r.Cache > 0 {
		body.PromptCacheKey = cacheKey(r)
	}
	if r.Schema != nil {
		bent, strict, err := wire.Bend(r.Schema, wire.OpenAIStrict)
		if err != nil {
			return nil, err
		}
		body.Text = &wire.ResponsesText{Format: &wire.ResponsesFormat{Type: "json_schema", Name: wire.SchemaName(r.Name), Schema: bent, Strict: &strict}}
	}
	for _, t := range r.Tools {
		bent, strict, err := wire.Bend(t.Schema, wire.OpenAIStrict)
		if err != nil {
			return nil, err
		}
		body.Tools = append(body.Tools, wire.ResponsesTool{Type: "function", Name: t.Name, Description: t.Description, Parameters: bent, Strict: &strict})
	}
	switch r.ToolChoice {
	case "":
	case "auto", "none":
		body.ToolChoice, err = wire.Marshal(r.ToolChoice)
	case "any":
		body.ToolChoice, err = wire.Marshal("required")
	default:
		body.ToolChoice, err = wire.Marshal(map[string]string{"type": "function", "name": r.ToolChoice})
	}
	if err != nil {
		return nil, err
	}
	var input []wire.ResponsesItem
	for _, t := range turns {
		items, err := itemsOf(t)
		if err != nil {
			return nil, err
		}
		input = append(input, items...)
	}
	body.Input = wire.ListContent(input...)
	encoded, err := wire.Marshal(body)
	if err != nil {
		return nil, err
	}
	return wire.Merge(encoded, r.Extra)
}

// reasons says whether a model may have thoughts. Those that have none refuse to be asked for them; they
// are of families to which nothing new is added.
func reasons(name string) bool {
	for _, old := range []string{"gpt-3", "gpt-4", "chatgpt-4"} {
		if strings.HasPrefix(name, old) {
			return false
		}
	}
	return true
}

// idsOf are the ids of the calls in the items of an earlier answer.
func idsOf(raw json.RawMessage) (ids []string, ok bool) {
	var items []wire.ResponsesItem
	if json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	for _, i := range items {
		if i.Type == "function_call" {
			ids = append(ids, i.CallID)
		}
	}
	return ids, true
}

func itemsOf(t wire.Turn) ([]wire.ResponsesItem, error) {
	var items []wire.ResponsesItem
	switch t.Role {
	case model.User:
		if len(t.Files) == 0 {
			return append(items, wire.ResponsesItem{Role: "user", Content: wire.TextContent[wire.ResponsesPart](t.Text)}), nil
		}
		var parts []wire.ResponsesPart
		for _, f := range t.Files {
			kind, media, err := wire.KindOf(f)
			if err != nil {
				return nil, err
			}
			data := dataURL(media, f.Data)
			switch kind {
			case wire.Image:
				parts = append(parts, wire.ResponsesPart{Type: "input_image", ImageURL: data, Detail: "auto"})
			case wire.PDF:
				parts = append(parts, wire.ResponsesPart{Type: "input_file", Filename: fileName(f), FileData: data})
			case wire.PlainText:
				parts = append(parts, wire.ResponsesInputText(fileText(f)))
			}
		}
		if t.Text != "" {
			parts = append(parts, wire.ResponsesInputText(t.Text))
		}
		items = append(items, wire.ResponsesItem{Role: "user", Content: wire.ListContent(parts...)})
	case model.Tool:
		for _, r := range t.Results {
			items = append(items, wire.ResponsesItem{Type: "function_call_output", CallID: r.Call.ID, Output: wire.TextContent[wire.ResponsesPart](resultText(r))})
		}
	case model.Assistant:
		if t.Raw != nil && json.Unmarshal(t.Raw, &items) == nil {
			return items, nil
		}
		items = nil
		if t.Text != "" {
			items = append(items, wire.ResponsesItem{Role: "assistant", Content: wire.TextContent[wire.ResponsesPart](t.Text)})
		}
		for _, c := range t.Calls {
			items = append(items, wire.ResponsesItem{Type: "function_call", CallID: c.ID, Name: c.Name, Arguments: wire.ArgsText(c.Args)})
		}
	}
	return items, nil
}

// resultText is a result for wires that have no mark for failures.
func resultText(r wire.Result) string {
	if r.Failed {
		return "Error: " + r.Text
	}
	return r.Text
}

func dataURL(media string, data []byte) string {
	return "data:" + media + ";base64," + base64.StdEncoding.EncodeToString(data)
}

func fileName(f model.File) string {
	if f.Name == "" {
		return "document.pdf"
	}
	return f.Name
}

// fileText is a file of text for wires that take such files as text only.
func fileText(f model.File) string {
	if f.Name == "" {
		return string(f.Data)
	}
	return "File " + f.Name + ":\n" + string(f.Data)
}
