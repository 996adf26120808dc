package conformance

import (
	"context"
	"encoding/json"
	"testing"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/durable-go/durable/ai/anthropic"
	"github.com/durable-go/durable/ai/model"
)

func ourAnthropic(base string) model.Provider { return anthropic.Provider{BaseURL: base, Getenv: key} }

func theirAnthropic(base string) sdk.Client {
	return sdk.NewClient(option.WithAPIKey("k"), option.WithBaseURL(base), option.WithMaxRetries(0))
}

func TestAnthropicBodies(t *testing.T) {
	hour := sdk.CacheControlEphemeralParam{TTL: sdk.CacheControlEphemeralTTLTTL1h}
	for name, c := range map[string]struct {
		r       *model.Request
		params  sdk.MessageNewParams
		allowed map[string]string
	}{
		"plain": {plain(), sdk.MessageNewParams{MaxTokens: 99, Messages: []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("Hello <you> & me"))}}, nil},
		"options": {options(), sdk.MessageNewParams{
			MaxTokens: 77, System: []sdk.TextBlockParam{{Text: "Be brief.", CacheControl: hour}}, Temperature: sdk.Float(0.5), CacheControl: hour,
			OutputConfig: sdk.OutputConfigParam{Effort: sdk.OutputConfigEffortLow},
			Messages: []sdk.MessageParam{
				sdk.NewUserMessage(sdk.NewTextBlock("Hello")), sdk.NewAssistantMessage(sdk.NewTextBlock("Hi.")), sdk.NewUserMessage(sdk.NewTextBlock("Bye")),
			},
		}, nil},
		"object": {object(), sdk.MessageNewParams{
			MaxTokens: 99, Messages: []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("Extract"))},
			OutputConfig: sdk.OutputConfigParam{Format: sdk.JSONOutputFormatParam{Schema: schemaOf(t, answerSchema)}},
		}, nil},
		"tools": {tools(), sdk.MessageNewParams{
			MaxTokens: 99, ToolChoice: sdk.ToolChoiceParamOfTool("get_weather"),
			Tools: []sdk.ToolUnionParam{{OfTool: &sdk.ToolParam{
				Name: "get_weather", Description: sdk.String("Tells the weather."),
				InputSchema: sdk.ToolInputSchemaParam{Properties: schemaOf(t, toolSchema)["properties"], Required: []string{"city"}, ExtraFields: map[string]any{"additionalProperties": false}},
			}}},
			Messages: []sdk.MessageParam{
				sdk.NewUserMessage(sdk.NewTextBlock("Weather?")),
				sdk.NewAssistantMessage(sdk.NewTextBlock("Let me look."), sdk.NewToolUseBlock("c1", json.RawMessage(`{"city":"Zürich"}`), "get_weather"), sdk.NewToolUseBlock("c2", json.RawMessage(`{"city":"Bern"}`), "get_weather")),
				sdk.NewUserMessage(sdk.NewToolResultBlock("c1", "sunny", false), sdk.NewToolResultBlock("c2", "no such city", true)),
			},
		}, map[string]string{".messages[2].content[0].is_error": "we leave out what is false"}},
		"files": {files(), sdk.MessageNewParams{MaxTokens: 99, Messages: []sdk.MessageParam{sdk.NewUserMessage(
			sdk.ContentBlockParamUnion{OfDocument: &sdk.DocumentBlockParam{Title: sdk.String("a.pdf"), Source: sdk.DocumentBlockParamSourceUnion{OfBase64: &sdk.Base64PDFSourceParam{Data: pdf64}}}},
			sdk.NewImageBlockBase64("image/png", png64), sdk.NewTextBlock("Read"))}}, nil},
		"thinking": {
			&model.Request{MaxTokens: 99, Messages: []model.Message{user("Go"), {
				Role: model.Assistant, Text: "Hi.", From: "anthropic",
				Raw: json.RawMessage(`[{"type":"thinking","thinking":"Hm.","signature":"c2ln+/="},{"type":"redacted_thinking","data":"cmVk"},{"type":"text","text":"Hi."}]`),
			}, user("On")}},
			sdk.MessageNewParams{MaxTokens: 99, Messages: []sdk.MessageParam{
				sdk.NewUserMessage(sdk.NewTextBlock("Go")),
				sdk.NewAssistantMessage(sdk.NewThinkingBlock("c2ln+/=", "Hm."), sdk.NewRedactedThinkingBlock("cmVk"), sdk.NewTextBlock("Hi.")),
				sdk.NewUserMessage(sdk.NewTextBlock("On")),
			}},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.params.Model = "m-1"
			compare(t, ourAnthropic, c.r, func(t *testing.T, base string) {
				client := theirAnthropic(base)
				stream := client.Messages.NewStreaming(context.Background(), c.params)
				stream.Next()
				_ = stream.Close()
			}, c.allowed)
		})
	}
}
