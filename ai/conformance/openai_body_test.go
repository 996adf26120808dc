package conformance

import (
	"context"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/ai/openai"
)

func ourResponses(base string) model.Provider {
	return openai.Provider{BaseURL: base + "/v1", Getenv: key}
}

func ourChat(base string) model.Provider { return openai.Chat{BaseURL: base + "/v1", Getenv: key} }

func theirOpenAI(base string) sdk.Client {
	return sdk.NewClient(option.WithAPIKey("k"), option.WithBaseURL(base+"/v1"), option.WithMaxRetries(0))
}

func TestResponsesBodies(t *testing.T) {
	message := func(role responses.EasyInputMessageRole, s string) responses.ResponseInputItemUnionParam {
		return responses.ResponseInputItemUnionParam{OfMessage: &responses.EasyInputMessageParam{Role: role, Content: responses.EasyInputMessageContentUnionParam{OfString: sdk.String(s)}}}
	}
	items := func(of ...responses.ResponseInputItemUnionParam) responses.ResponseNewParamsInputUnion {
		return responses.ResponseNewParamsInputUnion{OfInputItemList: of}
	}
	for name, c := range map[string]struct {
		r       *model.Request
		params  responses.ResponseNewParams
		allowed map[string]string
	}{
		"plain": {plain(), responses.ResponseNewParams{MaxOutputTokens: sdk.Int(99), Input: items(message("user", "Hello <you> & me"))}, nil},
		"options": {
			options(),
			responses.ResponseNewParams{
				MaxOutputTokens: sdk.Int(77), Instructions: sdk.String("Be brief."), Temperature: sdk.Float(0.5), Reasoning: shared.ReasoningParam{Effort: "low"},
				Input: items(message("user", "Hello"), message("assistant", "Hi."), message("user", "Bye")),
			},
			map[string]string{".prompt_cache_key": "ours, a hash of what many requests have in common"},
		},
		"object": {object(), responses.ResponseNewParams{
			MaxOutputTokens: sdk.Int(99), Input: items(message("user", "Extract")),
			Text: responses.ResponseTextConfigParam{Format: responses.ResponseFormatTextConfigUnionParam{OfJSONSchema: &responses.ResponseFormatTextJSONSchemaConfigParam{Name: "invoice", Schema: schemaOf(t, answerSchema), Strict: sdk.Bool(true)}}},
		}, nil},
		"tools": {tools(), responses.ResponseNewParams{
			MaxOutputTokens: sdk.Int(99), ToolChoice: responses.ResponseNewParamsToolChoiceUnion{OfFunctionTool: &responses.ToolChoiceFunctionParam{Name: "get_weather"}},
			Tools: []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "get_weather", Description: sdk.String("Tells the weather."), Parameters: schemaOf(t, toolSchema), Strict: sdk.Bool(true)}}},
			Input: items(message("user", "Weather?"), message("assistant", "Let me look."),
				responses.ResponseInputItemParamOfFunctionCall(`{"city":"Zürich"}`, "c1", "get_weather"), responses.ResponseInputItemParamOfFunctionCall(`{"city":"Bern"}`, "c2", "get_weather"),
				functionOutput("c1", "sunny"), functionOutput("c2", "Error: no such city")),
		}, nil},
		"files": {files(), responses.ResponseNewParams{MaxOutputTokens: sdk.Int(99), Input: items(responses.ResponseInputItemUnionParam{OfMessage: &responses.EasyInputMessageParam{
			Role: "user", Content: responses.EasyInputMessageContentUnionParam{OfInputItemContentList: responses.ResponseInputMessageContentListParam{
				{OfInputFile: &responses.ResponseInputFileParam{Filename: sdk.String("a.pdf"), FileData: sdk.String("data:application/pdf;base64," + pdf64)}},
				{OfInputImage: &responses.ResponseInputImageParam{Detail: "auto", ImageURL: sdk.String("data:image/png;base64," + png64)}},
				{OfInputText: &responses.ResponseInputTextParam{Text: "Read"}},
			}},
		}})}, nil},
		"reasoning": {
			&model.Request{MaxTokens: 99, Messages: []model.Message{user("Go"), {
				Role: model.Assistant, From: "openai", Calls: []model.ToolCall{{ID: "c1", Name: "f", Args: []byte("{}")}},
				Raw: []byte(`[{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"c2ln+/="},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"}]`),
			}, {Role: model.Tool, CallID: "c1", Text: "done"}}},
			responses.ResponseNewParams{MaxOutputTokens: sdk.Int(99), Input: items(message("user", "Go"),
				responses.ResponseInputItemUnionParam{OfReasoning: &responses.ResponseReasoningItemParam{ID: "rs_1", Summary: []responses.ResponseReasoningItemSummaryParam{}, EncryptedContent: sdk.String("c2ln+/=")}},
				responses.ResponseInputItemParamOfFunctionCall("{}", "c1", "f"), functionOutput("c1", "done"))},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.params.Model, c.params.Store = "m-1", sdk.Bool(false)
			c.params.Include = []responses.ResponseIncludable{responses.ResponseIncludableReasoningEncryptedContent}
			compare(t, ourResponses, c.r, func(t *testing.T, base string) {
				client := theirOpenAI(base)
				stream := client.Responses.NewStreaming(context.Background(), c.params)
				stream.Next()
				_ = stream.Close()
			}, c.allowed)
		})
	}
}

func functionOutput(call, text string) responses.ResponseInputItemUnionParam {
	return responses.ResponseInputItemUnionParam{OfFunctionCallOutput: &responses.ResponseInputItemFunctionCallOutputParam{
		CallID: sdk.String(call), Output: responses.ResponseInputItemFunctionCallOutputOutputUnionParam{OfString: sdk.String(text)},
	}}
}

func TestChatBodies(t *testing.T) {
	call := func(id, args string) sdk.ChatCompletionMessageToolCallUnionParam {
		return sdk.ChatCompletionMessageToolCallUnionParam{OfFunction: &sdk.ChatCompletionMessageFunctionToolCallParam{ID: id, Function: sdk.ChatCompletionMessageFunctionToolCallFunctionParam{Name: "get_weather", Arguments: args}}}
	}
	assistant := sdk.AssistantMessage("Let me look.")
	assistant.OfAssistant.ToolCalls = []sdk.ChatCompletionMessageToolCallUnionParam{call("c1", `{"city":"Zürich"}`), call("c2", `{"city":"Bern"}`)}
	for name, c := range map[string]struct {
		r       *model.Request
		params  sdk.ChatCompletionNewParams
		allowed map[string]string
	}{
		"plain": {plain(), sdk.ChatCompletionNewParams{MaxTokens: sdk.Int(99), Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("Hello <you> & me")}}, nil},
		"options": {options(), sdk.ChatCompletionNewParams{
			MaxTokens: sdk.Int(77), Temperature: sdk.Float(0.5), ReasoningEffort: "low",
			Messages: []sdk.ChatCompletionMessageParamUnion{sdk.SystemMessage("Be brief."), sdk.UserMessage("Hello"), sdk.AssistantMessage("Hi."), sdk.UserMessage("Bye")},
		}, nil},
		"object": {object(), sdk.ChatCompletionNewParams{
			MaxTokens: sdk.Int(99), Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("Extract")},
			ResponseFormat: sdk.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "invoice", Schema: schemaOf(t, answerSchema), Strict: sdk.Bool(true)}}},
		}, nil},
		"tools": {tools(), sdk.ChatCompletionNewParams{
			MaxTokens: sdk.Int(99), ToolChoice: sdk.ToolChoiceOptionFunctionToolChoice(sdk.ChatCompletionNamedToolChoiceFunctionParam{Name: "get_weather"}),
			Tools:    []sdk.ChatCompletionToolUnionParam{sdk.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "get_weather", Description: sdk.String("Tells the weather."), Parameters: schemaOf(t, toolSchema)})},
			Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("Weather?"), assistant, sdk.ToolMessage("sunny", "c1"), sdk.ToolMessage("Error: no such city", "c2")},
		}, nil},
		"files": {files(), sdk.ChatCompletionNewParams{MaxTokens: sdk.Int(99), Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage([]sdk.ChatCompletionContentPartUnionParam{
			sdk.FileContentPart(sdk.ChatCompletionContentPartFileFileParam{Filename: sdk.String("a.pdf"), FileData: sdk.String("data:application/pdf;base64," + pdf64)}),
			sdk.ImageContentPart(sdk.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64," + png64}), sdk.TextContentPart("Read"),
		})}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.params.Model = "m-1"
			c.params.StreamOptions = sdk.ChatCompletionStreamOptionsParam{IncludeUsage: sdk.Bool(true)}
			compare(t, ourChat, c.r, func(t *testing.T, base string) {
				client := theirOpenAI(base)
				stream := client.Chat.Completions.NewStreaming(context.Background(), c.params)
				stream.Next()
				_ = stream.Close()
			}, c.allowed)
		})
	}
}
