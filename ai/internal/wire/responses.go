package wire

import "encoding/json"

// ResponsesRequest is the body of POST /v1/responses.
type ResponsesRequest struct {
	Model           string                 `json:"model"`
	Input           Content[ResponsesItem] `json:"input"`
	Instructions    string                 `json:"instructions,omitempty"`
	MaxOutputTokens int                    `json:"max_output_tokens,omitempty"`
	Temperature     *float64               `json:"temperature,omitempty"`
	Text            *ResponsesText         `json:"text,omitempty"`
	Tools           []ResponsesTool        `json:"tools,omitempty"`
	ToolChoice      json.RawMessage        `json:"tool_choice,omitempty"` // auto, required, none, or {type: function, name}
	Reasoning       *ResponsesReasoning    `json:"reasoning,omitempty"`
	Include         []string               `json:"include,omitempty"`
	PromptCacheKey  string                 `json:"prompt_cache_key,omitempty"`
	Store           *bool                  `json:"store,omitempty"`
	Background      bool                   `json:"background,omitempty"`
	Stream          bool                   `json:"stream,omitempty"`
}

// ResponsesReasoning says how hard to think.
type ResponsesReasoning struct {
	Effort  string `json:"effort,omitempty"`
	Summary string `json:"summary,omitempty"`
}

// ResponsesText says what the answer is to look like.
type ResponsesText struct {
	Format *ResponsesFormat `json:"format,omitempty"`
}

// ResponsesFormat is text, or json_schema with a schema.
type ResponsesFormat struct {
	Type        string          `json:"type"`
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// ResponsesTool declares a function.
type ResponsesTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// ResponsesItem is one item of input or output: a message (the type may be missing in input),
// function_call, function_call_output, reasoning, or one that we do not know.
type ResponsesItem struct {
	Type   string `json:"type,omitempty"`
	ID     string `json:"id,omitempty"`
	Status string `json:"status,omitempty"`

	Role    string                 `json:"role,omitempty"`   // message
	Content Content[ResponsesPart] `json:"content,omitzero"` // message

	CallID    string                 `json:"call_id,omitempty"`   // function_call, function_call_output
	Name      string                 `json:"name,omitempty"`      // function_call
	Arguments string                 `json:"arguments,omitempty"` // function_call: JSON in a string
	Output    Content[ResponsesPart] `json:"output,omitzero"`     // function_call_output

	Summary          []ResponsesPart `json:"summary,omitempty"` // reasoning
	EncryptedContent string          `json:"encrypted_content,omitempty"`

	// Raw is the item as it came. If it is set, it is what is encoded.
	Raw json.RawMessage `json:"-"`
}

func (i ResponsesItem) MarshalJSON() ([]byte, error) {
	type plain ResponsesItem
	if i.Raw != nil {
		return i.Raw, nil
	}
	switch i.Type {
	case "function_call":
		return Marshal(struct {
			plain
			Arguments string `json:"arguments"`
		}{plain(i), i.Arguments})
	case "function_call_output":
		return Marshal(struct {
			plain
			Output Content[ResponsesPart] `json:"output"`
		}{plain(i), i.Output})
	case "reasoning":
		summary := i.Summary
		if summary == nil {
			summary = []ResponsesPart{}
		}
		return Marshal(struct {
			plain
			Summary []ResponsesPart `json:"summary"`
		}{plain(i), summary})
	case "message", "":
		return Marshal(struct {
			plain
			Content Content[ResponsesPart] `json:"content"`
		}{plain(i), i.Content})
	}
	return Marshal(plain(i))
}

func (i *ResponsesItem) UnmarshalJSON(raw []byte) error {
	type plain ResponsesItem
	var p plain
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return err
	}
	p.Type = kind.Type
	switch kind.Type {
	case "", "message", "function_call", "function_call_output":
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
	case "reasoning": // its content has parts of another kind
		var r struct {
			ID               string          `json:"id"`
			Status           string          `json:"status"`
			Summary          []ResponsesPart `json:"summary"`
			EncryptedContent string          `json:"encrypted_content"`
		}
		if err := json.Unmarshal(raw, &r); err != nil {
			return err
		}
		p.ID, p.Status, p.Summary, p.EncryptedContent = r.ID, r.Status, r.Summary, r.EncryptedContent
	}
	p.Raw = append(json.RawMessage(nil), raw...)
	*i = ResponsesItem(p)
	return nil
}

// ResponsesPart is a part of content: input_text, input_image, input_file, output_text, refusal, summary_text.
type ResponsesPart struct {
	Type        string          `json:"type"`
	Text        string          `json:"text,omitempty"`
	Refusal     string          `json:"refusal,omitempty"`
	ImageURL    string          `json:"image_url,omitempty"` // a data URL
	Detail      string          `json:"detail,omitempty"`
	Filename    string          `json:"filename,omitempty"`
	FileData    string          `json:"file_data,omitempty"` // a data URL
	Annotations json.RawMessage `json:"annotations,omitempty"`
}

// ResponsesInputText is a part of a message that is sent.
func ResponsesInputText(s string) ResponsesPart { return ResponsesPart{Type: "input_text", Text: s} }

func (p ResponsesPart) MarshalJSON() ([]byte, error) {
	type plain ResponsesPart
	switch p.Type {
	case "input_text", "output_text", "summary_text":
		if p.Type == "output_text" && p.Annotations == nil {
			p.Annotations = json.RawMessage("[]")
		}
		return Marshal(struct {
			plain
			Text string `json:"text"`
		}{plain(p), p.Text})
	}
	return Marshal(plain(p))
}

// ResponsesResponse is a whole answer, and what some events carry.
type ResponsesResponse struct {
	ID         string               `json:"id"`
	Object     string               `json:"object"` // response
	CreatedAt  int64                `json:"created_at"`
	Status     string               `json:"status"` // in_progress, completed, incomplete, failed
	Model      string               `json:"model"`
	Output     []ResponsesItem      `json:"output"`
	Usage      *ResponsesUsage      `json:"usage"`
	Error      *ResponsesProblem    `json:"error"`
	Incomplete *ResponsesIncomplete `json:"incomplete_details"`
	Store      *bool                `json:"store,omitempty"`
}

// ResponsesProblem is the error of a response that failed.
type ResponsesProblem struct {
	Code    Word   `json:"code"`
	Message string `json:"message"`
}

// ResponsesIncomplete says why: max_output_tokens, content_filter.
type ResponsesIncomplete struct {
	Reason string `json:"reason"`
}

// ResponsesUsage counts tokens; the cached ones are part of the input, reasoning of the output.
type ResponsesUsage struct {
	Input         int64                  `json:"input_tokens"`
	InputDetails  ResponsesInputDetails  `json:"input_tokens_details"`
	Output        int64                  `json:"output_tokens"`
	OutputDetails ResponsesOutputDetails `json:"output_tokens_details"`
	Total         int64                  `json:"total_tokens"`
}

// ResponsesInputDetails are parts of the input.
type ResponsesInputDetails struct {
	Cached     int64 `json:"cached_tokens"`
	CacheWrite int64 `json:"cache_write_tokens"`
}

// ResponsesOutputDetails are parts of the output.
type ResponsesOutputDetails struct {
	Reasoning int64 `json:"reasoning_tokens"`
}

// ResponsesEvent is an event of a stream; which fields it has depends on its type. The name of the event is the type.
type ResponsesEvent struct {
	Type         string             `json:"type"`
	Sequence     int64              `json:"sequence_number"`
	Response     *ResponsesResponse `json:"response,omitempty"`      // response.created, .completed, .incomplete, .failed
	OutputIndex  *int               `json:"output_index,omitempty"`  // response.output_…
	ContentIndex *int               `json:"content_index,omitempty"` // response.output_text.…
	SummaryIndex *int               `json:"summary_index,omitempty"` // response.reasoning_summary_…
	ItemID       string             `json:"item_id,omitempty"`
	Item         *ResponsesItem     `json:"item,omitempty"` // response.output_item.…
	Part         *ResponsesPart     `json:"part,omitempty"` // response.content_part.…
	Delta        *string            `json:"delta,omitempty"`
	Text         *string            `json:"text,omitempty"`      // response.output_text.done
	Refusal      *string            `json:"refusal,omitempty"`   // response.refusal.done
	Arguments    *string            `json:"arguments,omitempty"` // response.function_call_arguments.done
	Code         Word               `json:"code,omitempty"`      // error
	Message      string             `json:"message,omitempty"`   // error
	Param        *string            `json:"param,omitempty"`     // error
}

// OpenAIError is the body of an answer that is an error, on both wires of OpenAI.
type OpenAIError struct {
	Error OpenAIProblem `json:"error"`
}

// OpenAIProblem is what went wrong.
type OpenAIProblem struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Param   Word   `json:"param"`
	Code    Word   `json:"code"`
}

func (p *OpenAIProblem) UnmarshalJSON(b []byte) error {
	type plain OpenAIProblem
	if len(b) > 0 && b[0] == '"' { // some compatible servers say no more than that
		return json.Unmarshal(b, &p.Message)
	}
	return json.Unmarshal(b, (*plain)(p))
}
