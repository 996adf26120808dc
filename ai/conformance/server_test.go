package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	anthropicsdk "github.com/anthropics/anthropic-sdk-go"
	openaisdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
	"google.golang.org/genai"

	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/model"
)

// said is what a client made of an answer.
type said struct {
	text   string
	tool   string // the first call's name and arguments
	stop   string
	input  int64 // tokens, as the wire counts them
	output int64
}

// client asks the fake server by an official client: a stream or whole, with a schema or a tool.
type client struct {
	name string
	ask  func(base string, stream, object, tool bool) (said, error)
	// status is that of an error of this client; 0 if it is none with a status.
	status func(error) int
}

func clients() []client {
	openaiStatus := func(err error) int {
		var e *openaisdk.Error
		if errors.As(err, &e) {
			return e.StatusCode
		}
		return 0
	}
	return []client{
		{"anthropic", askAnthropic, func(err error) int {
			var e *anthropicsdk.Error
			if errors.As(err, &e) {
				return e.StatusCode
			}
			return 0
		}},
		{"openai", askResponses, openaiStatus},
		{"openai-chat", askChat, openaiStatus},
		{"gemini", askGemini, func(err error) int {
			var e genai.APIError
			if errors.As(err, &e) {
				return e.Code
			}
			return 0
		}},
	}
}

func decode(s string) map[string]any {
	var m map[string]any
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		panic(err)
	}
	return m
}

func askAnthropic(base string, stream, object, tool bool) (said, error) {
	c := theirAnthropic(base)
	p := anthropicsdk.MessageNewParams{Model: "m-1", MaxTokens: 500, Messages: []anthropicsdk.MessageParam{anthropicsdk.NewUserMessage(anthropicsdk.NewTextBlock("Hello"))}}
	if object {
		p.OutputConfig = anthropicsdk.OutputConfigParam{Format: anthropicsdk.JSONOutputFormatParam{Schema: decode(answerSchema)}}
	}
	if tool {
		p.Tools = []anthropicsdk.ToolUnionParam{{OfTool: &anthropicsdk.ToolParam{Name: "get_weather", InputSchema: anthropicsdk.ToolInputSchemaParam{Properties: decode(toolSchema)["properties"]}}}}
	}
	var m *anthropicsdk.Message
	if stream {
		m = &anthropicsdk.Message{}
		events, ended := c.Messages.NewStreaming(context.Background(), p), false
		for events.Next() {
			if err := m.Accumulate(events.Current()); err != nil {
				return said{}, err
			}
			ended = events.Current().Type == "message_stop"
		}
		if err := events.Err(); err != nil {
			return said{}, err
		}
		if !ended {
			return said{}, errors.New("cut")
		}
	} else {
		var err error
		if m, err = c.Messages.New(context.Background(), p); err != nil {
			return said{}, err
		}
	}
	s := said{stop: string(m.StopReason), input: m.Usage.InputTokens + m.Usage.CacheReadInputTokens, output: m.Usage.OutputTokens}
	for _, b := range m.Content {
		switch b.Type {
		case "text":
			s.text += b.Text
		case "tool_use":
			s.tool = b.Name + string(b.Input)
		}
	}
	return s, nil
}

func askResponses(base string, stream, object, tool bool) (said, error) {
	c := theirOpenAI(base)
	p := responses.ResponseNewParams{Model: "m-1", Store: openaisdk.Bool(false), Input: responses.ResponseNewParamsInputUnion{OfString: openaisdk.String("Hello")}}
	if object {
		p.Text = responses.ResponseTextConfigParam{Format: responses.ResponseFormatTextConfigUnionParam{OfJSONSchema: &responses.ResponseFormatTextJSONSchemaConfigParam{Name: "o", Schema: decode(answerSchema), Strict: openaisdk.Bool(true)}}}
	}
	if tool {
		p.Tools = []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "get_weather", Parameters: decode(toolSchema), Strict: openaisdk.Bool(true)}}}
	}
	var r *responses.Response
	if stream {
		events := c.Responses.NewStreaming(context.Background(), p)
		pieces := ""
		for events.Next() {
			switch e := events.Current(); e.Type {
			case "response.output_text.delta":
				pieces += e.Delta
			case "response.completed", "response.incomplete", "response.failed":
				r = new(e.Response)
			}
		}
		if err := events.Err(); err != nil {
			return said{}, err
		}
		if r == nil {
			return said{}, errors.New("cut")
		}
		if pieces != r.OutputText() {
			return said{}, errors.New("pieces " + pieces + " are not " + r.OutputText())
		}
	} else {
		var err error
		if r, err = c.Responses.New(context.Background(), p); err != nil {
			return said{}, err
		}
	}
	s := said{text: r.OutputText(), stop: string(r.Status), input: r.Usage.InputTokens, output: r.Usage.OutputTokens}
	for _, item := range r.Output {
		if item.Type == "function_call" {
			call := item.AsFunctionCall()
			s.tool = call.Name + call.Arguments
		}
	}
	return s, nil
}

func askChat(base string, stream, object, tool bool) (said, error) {
	c := theirOpenAI(base)
	p := openaisdk.ChatCompletionNewParams{Model: "m-1", Messages: []openaisdk.ChatCompletionMessageParamUnion{openaisdk.UserMessage("Hello")}}
	if object {
		p.ResponseFormat = openaisdk.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "o", Schema: decode(answerSchema), Strict: openaisdk.Bool(true)}}}
	}
	if tool {
		p.Tools = []openaisdk.ChatCompletionToolUnionParam{openaisdk.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "get_weather", Parameters: decode(toolSchema)})}
	}
	var r *openaisdk.ChatCompletion
	if stream {
		p.StreamOptions = openaisdk.ChatCompletionStreamOptionsParam{IncludeUsage: openaisdk.Bool(true)}
		var all openaisdk.ChatCompletionAccumulator
		events := c.Chat.Completions.NewStreaming(context.Background(), p)
		for events.Next() {
			if !all.AddChunk(events.Current()) {
				return said{}, errors.New("a chunk that does not fit the others")
			}
		}
		if err := events.Err(); err != nil {
			return said{}, err
		}
		r = &all.ChatCompletion
		if len(r.Choices) == 0 || r.Choices[0].FinishReason == "" {
			return said{}, errors.New("cut")
		}
	} else {
		var err error
		if r, err = c.Chat.Completions.New(context.Background(), p); err != nil {
			return said{}, err
		}
	}
	m := r.Choices[0]
	s := said{text: m.Message.Content, stop: m.FinishReason, input: r.Usage.PromptTokens, output: r.Usage.CompletionTokens}
	for _, call := range m.Message.ToolCalls {
		s.tool = call.Function.Name + call.Function.Arguments
	}
	return s, nil
}

func askGemini(base string, stream, object, tool bool) (said, error) {
	c, err := genai.NewClient(context.Background(), &genai.ClientConfig{APIKey: "k", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: base}})
	if err != nil {
		return said{}, err
	}
	config := &genai.GenerateContentConfig{}
	if object {
		config.ResponseMIMEType, config.ResponseJsonSchema = "application/json", decode(answerSchema)
	}
	if tool {
		config.Tools = []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "get_weather", ParametersJsonSchema: decode(toolSchema)}}}}
	}
	var s said
	take := func(r *genai.GenerateContentResponse) error {
		for _, candidate := range r.Candidates {
			if candidate.FinishReason != "" {
				s.stop = string(candidate.FinishReason)
			}
			if candidate.Content == nil {
				continue
			}
			for _, p := range candidate.Content.Parts {
				s.text += p.Text
				if p.FunctionCall != nil {
					args, err := json.Marshal(p.FunctionCall.Args)
					if err != nil {
						return err
					}
					s.tool = p.FunctionCall.Name + string(args)
				}
			}
		}
		if u := r.UsageMetadata; u != nil {
			s.input, s.output = int64(u.PromptTokenCount), int64(u.CandidatesTokenCount+u.ThoughtsTokenCount)
		}
		return nil
	}
	if stream {
		for r, err := range c.Models.GenerateContentStream(context.Background(), "m-1", genai.Text("Hello"), config) {
			if err != nil {
				return said{}, err
			}
			if err := take(r); err != nil {
				return said{}, err
			}
		}
		if s.stop == "" {
			return said{}, errors.New("cut")
		}
		return s, nil
	}
	r, err := c.Models.GenerateContent(context.Background(), "m-1", genai.Text("Hello"), config)
	if err != nil {
		return said{}, err
	}
	return s, take(r)
}

// Each official client reads what the fake server says, whole and as a stream.
func TestClientsReadTheFakeServer(t *testing.T) {
	used := model.Usage{Input: 100, CacheRead: 40, Output: 30, Reasoning: 10}
	const text = "Grüße aus dem Norden <&>, long enough for chunks."
	stops := map[string][2]string{"anthropic": {"end_turn", "tool_use"}, "openai": {"completed", "completed"}, "openai-chat": {"stop", "tool_calls"}, "gemini": {"STOP", "STOP"}}
	for _, c := range clients() {
		for how, stream := range map[string]bool{"whole": false, "stream": true} {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				srv := aitest.NewServer(t, aitest.Script(t,
					aitest.Text(text).Usage(used),
					aitest.Object(map[string]any{"total": 12.5, "kind": "a", "lines": []string{"x"}}),
					aitest.ToolCalls(aitest.Tool("get_weather", map[string]any{"city": "Zürich"})),
				))
				got, err := c.ask(srv.URL, stream, false, false)
				if err != nil || got.text != text || got.stop != stops[c.name][0] || got.input != 140 || got.output != 30 {
					t.Errorf("text: %+v %v", got, err)
				}
				got, err = c.ask(srv.URL, stream, true, false)
				var object struct {
					Total float64
					Kind  string
				}
				if err != nil || json.Unmarshal([]byte(got.text), &object) != nil || object.Total != 12.5 || object.Kind != "a" {
					t.Errorf("object: %+v %v", got, err)
				}
				got, err = c.ask(srv.URL, stream, false, true)
				if err != nil || strings.ReplaceAll(got.tool, " ", "") != `get_weather{"city":"Zürich"}` || got.stop != stops[c.name][1] {
					t.Errorf("tool: %+v %v", got, err)
				}
			})
		}
	}
}

// The faults of the fake server are errors to the official clients, of the same status.
func TestClientsSeeFaults(t *testing.T) {
	for _, c := range clients() {
		for how, stream := range map[string]bool{"whole": false, "stream": true} {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				overloaded := 529
				if c.name != "anthropic" {
					overloaded = 503
				}
				for name, f := range map[string]struct {
					step aitest.Step
					want int
				}{
					"429": {aitest.RateLimited(time.Second), 429}, "quota": {aitest.Quota(), 429}, "529": {aitest.Overloaded(), overloaded},
					"500": {aitest.Status(500), 500}, "too long": {aitest.TooLong(), 400}, "cut": {aitest.Text(strings.Repeat("word ", 100)).Cut(300), 0},
				} {
					srv := aitest.NewServer(t, aitest.Script(t, f.step))
					got, err := c.ask(srv.URL, stream, false, false)
					if err == nil || c.status(err) != f.want {
						t.Errorf("%s: %+v, status %d, %v", name, got, c.status(err), err)
					}
				}
				// An error inside a stream that began well.
				if stream {
					srv := aitest.NewServer(t, aitest.Script(t, aitest.StreamError(529)))
					if got, err := c.ask(srv.URL, true, false, false); err == nil {
						t.Errorf("error in a stream: %+v", got)
					}
				}
			})
		}
	}
}
