package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// defaultTokens is what is asked for if the request does not say, since this wire insists.
const defaultTokens = 4096

// encode makes the body of a request.
func (m *messages) encode(r *model.Request) ([]byte, error) {
	turns, err := wire.Turns(r, wire.Anthropic, idsOf)
	if err != nil {
		return nil, err
	}
	body := wire.AnthropicRequest{
		Model: m.endpoint.Model(), MaxTokens: r.MaxTokens, Temperature: r.Temperature, Stop: r.Stop, Stream: true,
		ToolChoice: choice(r.ToolChoice),
	}
	if body.MaxTokens == 0 {
		body.MaxTokens = defaultTokens
	}
	if r.System != "" {
		body.System = wire.ListContent(wire.AnthropicText(r.System))
	}
	for _, t := range r.Tools {
		body.Tools = append(body.Tools, wire.AnthropicTool{Name: t.Name, Description: t.Description, InputSchema: t.Schema})
	}
	if r.Effort != "" || r.Schema != nil {
		body.OutputConfig = &wire.AnthropicOutput{Effort: r.Effort}
	}
	if r.Schema != nil {
		bent, _, err := wire.Bend(r.Schema, wire.AnthropicDialect)
		if err != nil {
			return nil, err
		}
		body.OutputConfig.Format = &wire.AnthropicFormat{Type: "json_schema", Schema: bent}
	}
	for _, t := range turns {
		msg, err := message(t)
		if err != nil {
			return nil, err
		}
		body.Messages = append(body.Messages, msg)
	}
	if r.Cache > 0 {
		cache(&body, r.Cache)
	}
	encoded, err := wire.Marshal(body)
	if err != nil {
		return nil, err
	}
	return wire.Merge(encoded, r.Extra)
}

func choice(name string) *wire.AnthropicToolChoice {
	switch name {
	case "":
		return nil
	case "auto", "any", "none":
		return &wire.AnthropicToolChoice{Type: name}
	}
	return &wire.AnthropicToolChoice{Type: "tool", Name: name}
}

// cache marks what many requests have in common, system and tools, and in a conversation also all
// that has been said, which the next turn repeats.
func cache(body *wire.AnthropicRequest, ttl time.Duration) {
	mark := &wire.AnthropicCache{Type: "ephemeral", TTL: "5m"}
	if ttl > 5*time.Minute {
		mark.TTL = "1h"
	}
	if n := len(body.System.List); n > 0 {
		body.System.List[n-1].CacheControl = mark
	} else if n := len(body.Tools); n > 0 {
		body.Tools[n-1].CacheControl = mark
	}
	if len(body.Messages) > 1 {
		body.CacheControl = mark
	}
}

// idsOf are the ids of the calls in the blocks of an earlier answer.
func idsOf(raw json.RawMessage) (ids []string, ok bool) {
	var blocks []wire.AnthropicBlock
	if json.Unmarshal(raw, &blocks) != nil {
		return nil, false
	}
	for _, b := range blocks {
		if b.Type == "tool_use" {
			ids = append(ids, b.ID)
		}
	}
	return ids, true
}

func message(t wire.Turn) (wire.AnthropicMessage, error) {
	var blocks []wire.AnthropicBlock
	role := "user"
	switch t.Role {
	case model.User:
		for _, f := range t.Files {
			b, err := file(f)
			if err != nil {
				return wire.AnthropicMessage{}, err
			}
			blocks = append(blocks, b)
		}
		if t.Text != "" {
			blocks = append(blocks, wire.AnthropicText(t.Text))
		}
	case model.Tool:
		for _, r := range t.Results {
			b := wire.AnthropicBlock{Type: "tool_result", ToolUseID: r.Call.ID, IsError: r.Failed}
			if r.Text != "" {
				b.Content = wire.ListContent(wire.AnthropicText(r.Text))
			}
			blocks = append(blocks, b)
		}
	case model.Assistant:
		role = "assistant"
		if t.Raw != nil && json.Unmarshal(t.Raw, &blocks) == nil {
			break
		}
		blocks = nil
		if t.Text != "" {
			blocks = append(blocks, wire.AnthropicText(t.Text))
		}
		for _, c := range t.Calls {
			blocks = append(blocks, wire.AnthropicBlock{Type: "tool_use", ID: c.ID, Name: c.Name, Input: wire.ArgsObject(c.Args)})
		}
	}
	return wire.AnthropicMessage{Role: role, Content: wire.ListContent(blocks...)}, nil
}

func file(f model.File) (wire.AnthropicBlock, error) {
	kind, media, err := wire.KindOf(f)
	if err != nil {
		return wire.AnthropicBlock{}, err
	}
	source := &wire.AnthropicSource{Type: "base64", MediaType: media, Data: base64.StdEncoding.EncodeToString(f.Data)}
	switch kind {
	case wire.Image:
		return wire.AnthropicBlock{Type: "image", Source: source}, nil
	case wire.PlainText:
		source = &wire.AnthropicSource{Type: "text", MediaType: "text/plain", Data: string(f.Data)}
	}
	return wire.AnthropicBlock{Type: "document", Title: f.Name, Source: source}, nil
}
