package wire

import "encoding/json"

// ChatRequest is the body of POST /v1/chat/completions.
type ChatRequest struct {
	Model               string             `json:"model"`
	Messages            []ChatMessage      `json:"messages"`
	Tools               []ChatTool         `json:"tools,omitempty"`
	ToolChoice          json.RawMessage    `json:"tool_choice,omitempty"` // auto, required, none, or {type: function, function: {name}}
	ResponseFormat      *ChatFormat        `json:"response_format,omitempty"`
	ReasoningEffort     string             `json:"reasoning_effort,omitempty"`
	MaxCompletionTokens int                `json:"max_completion_tokens,omitempty"`
	MaxTokens           int                `json:"max_tokens,omitempty"`
	Temperature         *float64           `json:"temperature,omitempty"`
	Stop                Stops              `json:"stop,omitempty"`
	PromptCacheKey      string             `json:"prompt_cache_key,omitempty"`
	Stream              bool               `json:"stream,omitempty"`
	StreamOptions       *ChatStreamOptions `json:"stream_options,omitempty"`
}

// Stops is a list of strings; one alone may also come as a string.
type Stops []string

func (s *Stops) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*s = []string{""}
		return json.Unmarshal(b, &(*s)[0])
	}
	return json.Unmarshal(b, (*[]string)(s))
}

// ChatStreamOptions asks for usage at the end of a stream.
type ChatStreamOptions struct {
	IncludeUsage bool `json:"include_usage,omitempty"`
}

// ChatFormat is text, json_object, or json_schema with a schema.
type ChatFormat struct {
	Type       string      `json:"type"`
	JSONSchema *ChatSchema `json:"json_schema,omitempty"`
}

// ChatSchema is a named schema.
type ChatSchema struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// ChatTool declares a function.
type ChatTool struct {
	Type     string       `json:"type"`
	Function ChatFunction `json:"function"`
}

// ChatFunction is a function of a tool.
type ChatFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

// ChatMessage is a message in either direction; its role is system, developer, user, assistant or tool.
type ChatMessage struct {
	Role       string             `json:"role"`
	Content    *Content[ChatPart] `json:"content,omitempty"` // nil in a message that has calls only
	ToolCalls  []ChatToolCall     `json:"tool_calls,omitempty"`
	ToolCallID string             `json:"tool_call_id,omitempty"`
	Refusal    *string            `json:"refusal,omitempty"`
	// What compatible servers call the thoughts of a model.
	Reasoning        string `json:"reasoning,omitempty"`
	ReasoningContent string `json:"reasoning_content,omitempty"`
}

// ChatPart is a part of content: text, image_url, file.
type ChatPart struct {
	Type     string        `json:"type"`
	Text     string        `json:"text,omitempty"`
	ImageURL *ChatImageURL `json:"image_url,omitempty"`
	File     *ChatFile     `json:"file,omitempty"`
}

// ChatText is a part of text.
func ChatText(s string) ChatPart { return ChatPart{Type: "text", Text: s} }

// ChatImageURL is an image by a data URL.
type ChatImageURL struct {
	URL    string `json:"url"`
	Detail string `json:"detail,omitempty"`
}

// ChatFile is a file by a data URL.
type ChatFile struct {
	FileData string `json:"file_data,omitempty"`
	Filename string `json:"filename,omitempty"`
}

// ChatToolCall is a call, or in a stream a piece of one, which index names.
type ChatToolCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"` // function
	Function ChatCallBody `json:"function"`
}

// ChatCallBody is what is called, with arguments as JSON in a string.
type ChatCallBody struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// ChatResponse is a whole answer (choices with messages), or a chunk of a stream (choices with deltas).
type ChatResponse struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"` // chat.completion, chat.completion.chunk
	Created int64          `json:"created"`
	Model   string         `json:"model"`
	Choices []ChatChoice   `json:"choices"`
	Usage   *ChatUsage     `json:"usage,omitempty"`
	Error   *OpenAIProblem `json:"error,omitempty"` // inside a stream
}

// ChatChoice is an answer, or a piece of it.
type ChatChoice struct {
	Index        int          `json:"index"`
	Message      *ChatMessage `json:"message,omitempty"`
	Delta        *ChatDelta   `json:"delta,omitempty"`
	FinishReason *string      `json:"finish_reason"` // stop, length, tool_calls, content_filter
}

// ChatDelta is a piece of a message.
type ChatDelta struct {
	Role             string         `json:"role,omitempty"`
	Content          *string        `json:"content,omitempty"`
	Refusal          *string        `json:"refusal,omitempty"`
	ToolCalls        []ChatToolCall `json:"tool_calls,omitempty"`
	Reasoning        string         `json:"reasoning,omitempty"`
	ReasoningContent string         `json:"reasoning_content,omitempty"`
}

// ChatUsage counts tokens; the cached ones are part of the prompt, reasoning of the completion.
type ChatUsage struct {
	Prompt            int64                  `json:"prompt_tokens"`
	Completion        int64                  `json:"completion_tokens"`
	Total             int64                  `json:"total_tokens"`
	PromptDetails     *ChatPromptDetails     `json:"prompt_tokens_details,omitempty"`
	CompletionDetails *ChatCompletionDetails `json:"completion_tokens_details,omitempty"`
}

// ChatPromptDetails are parts of the prompt.
type ChatPromptDetails struct {
	Cached     int64 `json:"cached_tokens"`
	CacheWrite int64 `json:"cache_write_tokens,omitempty"`
}

// ChatCompletionDetails are parts of the completion.
type ChatCompletionDetails struct {
	Reasoning int64 `json:"reasoning_tokens"`
}

// ChatDone is the data of the last event of a stream.
const ChatDone = "[DONE]"
