package openai

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

var errStop = errors.New("the Responses API has no stop sequences")

// cacheKey brings requests of the same beginning to the same cache.
func cacheKey(r *model.Request) string {
	h := sha256.New()
	h.Write([]byte(r.System + "\n"))
	for _, t := range r.Tools {
		h.Write([]byte(t.Name + "\n" + t.Description + "\n"))
		h.Write(t.Schema)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// encode makes the body of a request.
func (m *chat) encode(r *model.Request) ([]byte, error) {
	turns, err := wire.Turns(r, wire.Chat, nil)
	if err != nil {
		return nil, err
	}
	body := wire.ChatRequest{
		Model: m.endpoint.Model(), Temperature: r.Temperature, Stop: r.Stop, ReasoningEffort: r.Effort,
		Stream: true, StreamOptions: &wire.ChatStreamOptions{IncludeUsage: true},
	}
	if m.own {
		body.MaxCompletionTokens = r.MaxTokens
		if r.Cache > 0 {
			body.PromptCacheKey = cacheKey(r)
		}
	} else {
		body.MaxTokens = r.MaxTokens
	}
	if r.Schema != nil {
		bent, strict, err := wire.Bend(r.Schema, wire.OpenAIStrict)
		if err != nil {
			return nil, err
		}
		body.ResponseFormat = &wire.ChatFormat{Type: "json_schema", JSONSchema: &wire.ChatSchema{Name: wire.SchemaName(r.Name), Schema: bent, Strict: &strict}}
	}
	for _, t := range r.Tools {
		body.Tools = append(body.Tools, wire.ChatTool{Type: "function", Function: wire.ChatFunction{Name: t.Name, Description: t.Description, Parameters: t.Schema}})
	}
	if body.ToolChoice, err = chatChoice(r.ToolChoice); err != nil {
		return nil, err
	}
	if r.System != "" {
		body.Messages = append(body.Messages, text("system", r.System))
	}
	for _, t := range turns {
		messages, err := messagesOf(t)
		if err != nil {
			return nil, err
		}
		body.Messages = append(body.Messages, messages...)
	}
	encoded, err := wire.Marshal(body)
	if err != nil {
		return nil, err
	}
	return wire.Merge(encoded, r.Extra)
}

func chatChoice(name string) (json.RawMessage, error) {
	switch name {
	case "":
		return nil, nil
	case "auto", "none":
		return wire.Marshal(name)
	case "any":
		return wire.Marshal("required")
	}
	return wire.Marshal(struct {
		Type     string            `json:"type"`
		Function map[string]string `json:"function"`
	}{"function", map[string]string{"name": name}})
}

func text(role, s string) wire.ChatMessage {
	return wire.ChatMessage{Role: role, Content: new(wire.TextContent[wire.ChatPart](s))}
}

func messagesOf(t wire.Turn) ([]wire.ChatMessage, error) {
	switch t.Role {
	case model.User:
		if len(t.Files) == 0 {
			return []wire.ChatMessage{text("user", t.Text)}, nil
		}
		var parts []wire.ChatPart
		for _, f := range t.Files {
			kind, media, err := wire.KindOf(f)
			if err != nil {
				return nil, err
			}
			data := dataURL(media, f.Data)
			switch kind {
			case wire.Image:
				parts = append(parts, wire.ChatPart{Type: "image_url", ImageURL: &wire.ChatImageURL{URL: data}})
			case wire.PDF:
				parts = append(parts, wire.ChatPart{Type: "file", File: &wire.ChatFile{Filename: fileName(f), FileData: data}})
			case wire.PlainText:
				parts = append(parts, wire.ChatText(fileText(f)))
			}
		}
		if t.Text != "" {
			parts = append(parts, wire.ChatText(t.Text))
		}
		return []wire.ChatMessage{{Role: "user", Content: new(wire.ListContent(parts...))}}, nil
	case model.Tool:
		var messages []wire.ChatMessage
		for _, r := range t.Results {
			m := text("tool", resultText(r))
			m.ToolCallID = r.Call.ID
			messages = append(messages, m)
		}
		return messages, nil
	}
	m := wire.ChatMessage{Role: "assistant"}
	if t.Text != "" {
		m = text("assistant", t.Text)
	}
	for _, c := range t.Calls {
		m.ToolCalls = append(m.ToolCalls, wire.ChatToolCall{ID: c.ID, Type: "function", Function: wire.ChatCallBody{Name: c.Name, Arguments: wire.ArgsText(c.Args)}})
	}
	return []wire.ChatMessage{m}, nil
}
