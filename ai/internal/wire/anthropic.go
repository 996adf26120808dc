package wire

import "encoding/json"

// AnthropicRequest is the body of POST /v1/messages.
type AnthropicRequest struct {
	Model        string                  `json:"model"`
	MaxTokens    int                     `json:"max_tokens"`
	System       Content[AnthropicBlock] `json:"system,omitzero"`
	Messages     []AnthropicMessage      `json:"messages"`
	Tools        []AnthropicTool         `json:"tools,omitempty"`
	ToolChoice   *AnthropicToolChoice    `json:"tool_choice,omitempty"`
	OutputConfig *AnthropicOutput        `json:"output_config,omitempty"`
	Stop         []string                `json:"stop_sequences,omitempty"`
	Temperature  *float64                `json:"temperature,omitempty"`
	Thinking     json.RawMessage         `json:"thinking,omitempty"`
	CacheControl *AnthropicCache         `json:"cache_control,omitempty"`
	Stream       bool                    `json:"stream,omitempty"`
}

// AnthropicMessage is a turn; its role is user or assistant.
type AnthropicMessage struct {
	Role    string                  `json:"role"`
	Content Content[AnthropicBlock] `json:"content"`
}

// AnthropicBlock is a block of content: text, image, document, tool_use, tool_result, thinking,
// redacted_thinking, or one that we do not know.
type AnthropicBlock struct {
	Type string `json:"type"`

	Text         string                  `json:"text,omitempty"`
	Thinking     string                  `json:"thinking,omitempty"`
	Signature    string                  `json:"signature,omitempty"`
	Data         string                  `json:"data,omitempty"`        // redacted_thinking
	ID           string                  `json:"id,omitempty"`          // tool_use
	Name         string                  `json:"name,omitempty"`        // tool_use
	Input        json.RawMessage         `json:"input,omitempty"`       // tool_use: an object
	ToolUseID    string                  `json:"tool_use_id,omitempty"` // tool_result
	Content      Content[AnthropicBlock] `json:"content,omitzero"`      // tool_result
	IsError      bool                    `json:"is_error,omitempty"`    // tool_result
	Source       *AnthropicSource        `json:"source,omitempty"`      // image, document
	Title        string                  `json:"title,omitempty"`       // document
	CacheControl *AnthropicCache         `json:"cache_control,omitempty"`

	// Raw is the block as it came. If it is set, it is what is encoded.
	Raw json.RawMessage `json:"-"`
}

// AnthropicText is a block of text.
func AnthropicText(s string) AnthropicBlock { return AnthropicBlock{Type: "text", Text: s} }

func (b AnthropicBlock) MarshalJSON() ([]byte, error) {
	type plain AnthropicBlock
	if b.Raw != nil {
		return b.Raw, nil
	}
	// What a block must have is there even when it is empty.
	switch b.Type {
	case "text":
		return Marshal(struct {
			plain
			Text string `json:"text"`
		}{plain(b), b.Text})
	case "thinking":
		return Marshal(struct {
			plain
			Thinking  string `json:"thinking"`
			Signature string `json:"signature"`
		}{plain(b), b.Thinking, b.Signature})
	case "tool_use":
		input := b.Input
		if len(input) == 0 {
			input = json.RawMessage("{}")
		}
		return Marshal(struct {
			plain
			Input json.RawMessage `json:"input"`
		}{plain(b), input})
	}
	return Marshal(plain(b))
}

func (b *AnthropicBlock) UnmarshalJSON(raw []byte) error {
	type plain AnthropicBlock
	var p plain
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return err
	}
	p.Type = kind.Type
	switch kind.Type { // a block that we do not know may use the same names for other things
	case "text", "thinking", "redacted_thinking", "tool_use", "tool_result", "image", "document":
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
	}
	p.Raw = append(json.RawMessage(nil), raw...)
	*b = AnthropicBlock(p)
	return nil
}

// AnthropicSource is a file: base64 with a media type, or plain text.
type AnthropicSource struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type,omitempty"`
	Data      string `json:"data,omitempty"`
	URL       string `json:"url,omitempty"`
}

// AnthropicCache asks for caching of what stands before it.
type AnthropicCache struct {
	Type string `json:"type"`          // ephemeral
	TTL  string `json:"ttl,omitempty"` // 5m, 1h
}

// AnthropicTool declares a tool.
type AnthropicTool struct {
	Name         string          `json:"name"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"input_schema,omitempty"`
	CacheControl *AnthropicCache `json:"cache_control,omitempty"`
}

// AnthropicToolChoice is auto, any, none, or tool with a name.
type AnthropicToolChoice struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

// AnthropicOutput says what the answer is to look like.
type AnthropicOutput struct {
	Effort string           `json:"effort,omitempty"`
	Format *AnthropicFormat `json:"format,omitempty"`
}

// AnthropicFormat is json_schema with a schema.
type AnthropicFormat struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

// AnthropicResponse is a whole answer, and the message of message_start.
type AnthropicResponse struct {
	ID           string           `json:"id"`
	Type         string           `json:"type"` // message
	Role         string           `json:"role"` // assistant
	Model        string           `json:"model"`
	Content      []AnthropicBlock `json:"content"`
	StopReason   *string          `json:"stop_reason"`
	StopSequence *string          `json:"stop_sequence"`
	Usage        AnthropicUsage   `json:"usage"`
}

// AnthropicUsage counts tokens; input is without what a cache has to do with. In a stream it is what
// was used so far, and what is nil has not changed.
type AnthropicUsage struct {
	Input      *int64                  `json:"input_tokens,omitempty"`
	CacheWrite *int64                  `json:"cache_creation_input_tokens,omitempty"`
	CacheRead  *int64                  `json:"cache_read_input_tokens,omitempty"`
	Output     *int64                  `json:"output_tokens,omitempty"`
	Details    *AnthropicOutputDetails `json:"output_tokens_details,omitempty"`
}

// AnthropicOutputDetails says what part of the output was thinking.
type AnthropicOutputDetails struct {
	Thinking *int64 `json:"thinking_tokens,omitempty"`
}

// AnthropicEvent is an event of a stream; which fields it has depends on its type. The name of the event is the type.
type AnthropicEvent struct {
	Type         string             `json:"type"`
	Message      *AnthropicResponse `json:"message,omitempty"`       // message_start
	Index        *int               `json:"index,omitempty"`         // content_block_…
	ContentBlock *AnthropicBlock    `json:"content_block,omitempty"` // content_block_start
	Delta        *AnthropicDelta    `json:"delta,omitempty"`         // content_block_delta, message_delta
	Usage        *AnthropicUsage    `json:"usage,omitempty"`         // message_delta
	Error        *AnthropicProblem  `json:"error,omitempty"`         // error
}

// AnthropicDelta is a piece of a block (with a type), or the end of the message (without).
type AnthropicDelta struct {
	Type         string          `json:"type,omitempty"` // text_delta, input_json_delta, thinking_delta, signature_delta
	Text         *string         `json:"text,omitempty"`
	PartialJSON  *string         `json:"partial_json,omitempty"`
	Thinking     *string         `json:"thinking,omitempty"`
	Signature    *string         `json:"signature,omitempty"`
	StopReason   *string         `json:"stop_reason,omitempty"`
	StopSequence *string         `json:"stop_sequence,omitempty"`
	StopDetails  json.RawMessage `json:"stop_details,omitempty"`
}

// AnthropicError is the body of an answer that is an error.
type AnthropicError struct {
	Type      string           `json:"type"` // error
	Error     AnthropicProblem `json:"error"`
	RequestID string           `json:"request_id,omitempty"`
}

// AnthropicProblem is what went wrong.
type AnthropicProblem struct {
	Type    string                `json:"type"` // overloaded_error, rate_limit_error …
	Message string                `json:"message"`
	Details *AnthropicProblemMore `json:"details,omitempty"`
}

// AnthropicProblemMore says more about it.
type AnthropicProblemMore struct {
	ErrorCode string `json:"error_code,omitempty"`
}
