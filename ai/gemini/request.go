package gemini

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// encode makes the body of a request.
func (m *generator) encode(r *model.Request) ([]byte, error) {
	turns, err := wire.Turns(r, wire.Gemini, idsOf)
	if err != nil {
		return nil, err
	}
	config := wire.GeminiConfig{Temperature: r.Temperature, MaxOutputTokens: r.MaxTokens, StopSequences: r.Stop}
	if r.Effort != "" {
		config.ThinkingConfig = &wire.GeminiThinking{ThinkingLevel: strings.ToUpper(r.Effort)}
	}
	if r.Schema != nil {
		bent, _, err := wire.Bend(r.Schema, wire.GeminiDialect)
		if err != nil {
			return nil, err
		}
		config.ResponseMIMEType, config.ResponseJSONSchema = "application/json", bent
	}
	body := wire.GeminiRequest{ToolConfig: choice(r.ToolChoice)}
	if set, err := wire.Marshal(config); err != nil {
		return nil, err
	} else if string(set) != "{}" {
		body.GenerationConfig = &config
	}
	if r.System != "" {
		body.SystemInstruction = &wire.GeminiContent{Parts: []wire.GeminiPart{{Text: r.System}}}
	}
	var functions []wire.GeminiFunction
	for _, t := range r.Tools {
		bent, _, err := wire.Bend(t.Schema, wire.GeminiDialect)
		if err != nil {
			return nil, err
		}
		functions = append(functions, wire.GeminiFunction{Name: t.Name, Description: t.Description, ParametersJSONSchema: bent})
	}
	if functions != nil {
		body.Tools = []wire.GeminiTool{{FunctionDeclarations: functions}}
	}
	for _, t := range turns {
		c, err := content(t)
		if err != nil {
			return nil, err
		}
		body.Contents = append(body.Contents, c)
	}
	encoded, err := wire.Marshal(body)
	if err != nil {
		return nil, err
	}
	return wire.Merge(encoded, r.Extra)
}

func choice(name string) *wire.GeminiToolConfig {
	calling := &wire.GeminiCalling{}
	switch name {
	case "":
		return nil
	case "auto":
		calling.Mode = "AUTO"
	case "any":
		calling.Mode = "ANY"
	case "none":
		calling.Mode = "NONE"
	default:
		calling.Mode, calling.AllowedFunctionNames = "ANY", []string{name}
	}
	return &wire.GeminiToolConfig{FunctionCallingConfig: calling}
}

// idsOf are the ids of the calls in the blocks of an earlier answer.
func idsOf(raw json.RawMessage) (ids []string, ok bool) {
	var parts []wire.GeminiPart
	if json.Unmarshal(raw, &parts) != nil {
		return nil, false
	}
	for _, p := range parts {
		if p.FunctionCall != nil {
			ids = append(ids, p.FunctionCall.ID)
		}
	}
	return ids, true
}

func content(t wire.Turn) (wire.GeminiContent, error) {
	c := wire.GeminiContent{Role: "user"}
	switch t.Role {
	case model.User:
		for _, f := range t.Files {
			_, media, err := wire.KindOf(f)
			if err != nil {
				return c, err
			}
			c.Parts = append(c.Parts, wire.GeminiPart{InlineData: &wire.GeminiBlob{MIMEType: media, Data: base64.StdEncoding.EncodeToString(f.Data)}})
		}
		if t.Text != "" {
			c.Parts = append(c.Parts, wire.GeminiPart{Text: t.Text})
		}
	case model.Tool:
		for _, r := range t.Results {
			word := "result"
			if r.Failed {
				word = "error"
			}
			response, err := wire.Marshal(map[string]string{word: r.Text})
			if err != nil {
				return c, err
			}
			c.Parts = append(c.Parts, wire.GeminiPart{FunctionResponse: &wire.GeminiFunctionResponse{ID: r.Call.ID, Name: r.Call.Name, Response: response}})
		}
	case model.Assistant:
		c.Role = "model"
		if t.Raw != nil && json.Unmarshal(t.Raw, &c.Parts) == nil {
			return c, nil
		}
		c.Parts = nil
		if t.Text != "" {
			c.Parts = append(c.Parts, wire.GeminiPart{Text: t.Text})
		}
		for _, call := range t.Calls {
			c.Parts = append(c.Parts, wire.GeminiPart{FunctionCall: &wire.GeminiFunctionCall{ID: call.ID, Name: call.Name, Args: wire.ArgsObject(call.Args)}})
		}
	}
	return c, nil
}
