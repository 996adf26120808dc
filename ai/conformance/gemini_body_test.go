package conformance

import (
	"context"
	"testing"

	sdk "google.golang.org/genai"

	"github.com/durable-go/durable/ai/gemini"
	"github.com/durable-go/durable/ai/model"
)

func ourGemini(base string) model.Provider { return gemini.Provider{BaseURL: base, Getenv: key} }

func theirGemini(t *testing.T, base string) *sdk.Client {
	t.Helper()
	c, err := sdk.NewClient(context.Background(), &sdk.ClientConfig{APIKey: "k", Backend: sdk.BackendGeminiAPI, HTTPOptions: sdk.HTTPOptions{BaseURL: base}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGeminiBodies(t *testing.T) {
	text := func(role sdk.Role, s string) *sdk.Content { return sdk.NewContentFromText(s, role) }
	callPart := func(id, city string) *sdk.Part {
		return &sdk.Part{FunctionCall: &sdk.FunctionCall{ID: id, Name: "get_weather", Args: map[string]any{"city": city}}}
	}
	resultPart := func(id, word, s string) *sdk.Part {
		return &sdk.Part{FunctionResponse: &sdk.FunctionResponse{ID: id, Name: "get_weather", Response: map[string]any{word: s}}}
	}
	for name, c := range map[string]struct {
		r        *model.Request
		contents []*sdk.Content
		config   *sdk.GenerateContentConfig
		allowed  map[string]string
	}{
		"plain": {plain(), []*sdk.Content{text("user", "Hello <you> & me")}, &sdk.GenerateContentConfig{MaxOutputTokens: 99}, nil},
		"options": {
			options(),
			[]*sdk.Content{text("user", "Hello"), text("model", "Hi."), text("user", "Bye")},
			&sdk.GenerateContentConfig{
				MaxOutputTokens: 77, SystemInstruction: &sdk.Content{Parts: []*sdk.Part{{Text: "Be brief."}}}, Temperature: new(float32(0.5)),
				ThinkingConfig: &sdk.ThinkingConfig{ThinkingLevel: sdk.ThinkingLevelLow},
			},
			map[string]string{".systemInstruction.role": "theirs calls the system a user"},
		},
		"object": {
			object(),
			[]*sdk.Content{text("user", "Extract")},
			&sdk.GenerateContentConfig{MaxOutputTokens: 99, ResponseMIMEType: "application/json", ResponseJsonSchema: schemaOf(t, answerSchema)}, nil,
		},
		"tools": {
			tools(),
			[]*sdk.Content{
				text("user", "Weather?"),
				{Role: "model", Parts: []*sdk.Part{{Text: "Let me look."}, callPart("c1", "Zürich"), callPart("c2", "Bern")}},
				{Role: "user", Parts: []*sdk.Part{resultPart("c1", "result", "sunny"), resultPart("c2", "error", "no such city")}},
			},
			&sdk.GenerateContentConfig{
				MaxOutputTokens: 99, ToolConfig: &sdk.ToolConfig{FunctionCallingConfig: &sdk.FunctionCallingConfig{Mode: sdk.FunctionCallingConfigModeAny, AllowedFunctionNames: []string{"get_weather"}}},
				Tools: []*sdk.Tool{{FunctionDeclarations: []*sdk.FunctionDeclaration{{Name: "get_weather", Description: "Tells the weather.", ParametersJsonSchema: schemaOf(t, toolSchema)}}}},
			}, nil,
		},
		"files": {files(), []*sdk.Content{{Role: "user", Parts: []*sdk.Part{
			{InlineData: &sdk.Blob{MIMEType: "application/pdf", Data: []byte("%PDF")}}, {InlineData: &sdk.Blob{MIMEType: "image/png", Data: []byte{0x89, 'P'}}}, {Text: "Read"},
		}}}, &sdk.GenerateContentConfig{MaxOutputTokens: 99}, nil},
		"thinking": {
			&model.Request{MaxTokens: 99, Messages: []model.Message{user("Go"), {
				Role: model.Assistant, From: "gemini", Calls: []model.ToolCall{{Name: "get_weather", Args: []byte(`{"city":"Bern"}`)}},
				Raw: []byte(`[{"functionCall":{"name":"get_weather","args":{"city":"Bern"}},"thoughtSignature":"c2ln+/=="}]`),
			}, {Role: model.Tool, Text: "sunny"}}},
			[]*sdk.Content{
				text("user", "Go"),
				{Role: "model", Parts: []*sdk.Part{{FunctionCall: callPart("", "Bern").FunctionCall, ThoughtSignature: []byte("sig\xfb\xf0")}}},
				{Role: "user", Parts: []*sdk.Part{resultPart("", "result", "sunny")}},
			},
			&sdk.GenerateContentConfig{MaxOutputTokens: 99},
			map[string]string{".contents[1].parts[0].thoughtSignature": "the same bytes: theirs is made of them anew, ours is the text that came"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, ourGemini, c.r, func(t *testing.T, base string) {
				for range theirGemini(t, base).Models.GenerateContentStream(context.Background(), "m-1", c.contents, c.config) {
					break
				}
			}, c.allowed)
		})
	}
}
