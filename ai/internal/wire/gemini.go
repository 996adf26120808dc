package wire

import "encoding/json"

// GeminiRequest is the body of POST /v1beta/models/M:generateContent, and of :streamGenerateContent?alt=sse.
type GeminiRequest struct {
	Contents          []GeminiContent   `json:"contents"`
	SystemInstruction *GeminiContent    `json:"systemInstruction,omitempty"`
	Tools             []GeminiTool      `json:"tools,omitempty"`
	ToolConfig        *GeminiToolConfig `json:"toolConfig,omitempty"`
	GenerationConfig  *GeminiConfig     `json:"generationConfig,omitempty"`
}

// GeminiContent is a turn; its role is user or model.
type GeminiContent struct {
	Role  string       `json:"role,omitempty"`
	Parts []GeminiPart `json:"parts,omitempty"`
}

// GeminiPart is one part: text (a thought, if it says so), a file, a call, a result, or one that we do not know.
type GeminiPart struct {
	Text             string                  `json:"text,omitempty"`
	Thought          bool                    `json:"thought,omitempty"`
	ThoughtSignature string                  `json:"thoughtSignature,omitempty"` // base64
	InlineData       *GeminiBlob             `json:"inlineData,omitempty"`
	FunctionCall     *GeminiFunctionCall     `json:"functionCall,omitempty"`
	FunctionResponse *GeminiFunctionResponse `json:"functionResponse,omitempty"`

	// Raw is the part as it came. If it is set, it is what is encoded.
	Raw json.RawMessage `json:"-"`
}

func (p GeminiPart) MarshalJSON() ([]byte, error) {
	type plain GeminiPart
	if p.Raw != nil {
		return p.Raw, nil
	}
	if p.InlineData == nil && p.FunctionCall == nil && p.FunctionResponse == nil {
		return Marshal(struct {
			plain
			Text string `json:"text"`
		}{plain(p), p.Text})
	}
	return Marshal(plain(p))
}

func (p *GeminiPart) UnmarshalJSON(raw []byte) error {
	type plain GeminiPart
	var q plain
	if err := json.Unmarshal(raw, &q); err != nil {
		return err
	}
	q.Raw = append(json.RawMessage(nil), raw...)
	*p = GeminiPart(q)
	return nil
}

// GeminiBlob is a file in base64.
type GeminiBlob struct {
	MIMEType string `json:"mimeType"`
	Data     string `json:"data"`
}

// GeminiFunctionCall is a call; it may have no id.
type GeminiFunctionCall struct {
	ID   string          `json:"id,omitempty"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"` // an object
}

// GeminiFunctionResponse is a result. Response is an object: result, or error.
type GeminiFunctionResponse struct {
	ID       string          `json:"id,omitempty"`
	Name     string          `json:"name"`
	Response json.RawMessage `json:"response"`
}

// GeminiTool declares functions.
type GeminiTool struct {
	FunctionDeclarations []GeminiFunction `json:"functionDeclarations,omitempty"`
}

// GeminiFunction is a function of a tool.
type GeminiFunction struct {
	Name                 string          `json:"name"`
	Description          string          `json:"description,omitempty"`
	ParametersJSONSchema json.RawMessage `json:"parametersJsonSchema,omitempty"`
}

// GeminiToolConfig says whether and which tools are to be called.
type GeminiToolConfig struct {
	FunctionCallingConfig *GeminiCalling `json:"functionCallingConfig,omitempty"`
}

// GeminiCalling has a mode: AUTO, ANY, NONE.
type GeminiCalling struct {
	Mode                 string   `json:"mode,omitempty"`
	AllowedFunctionNames []string `json:"allowedFunctionNames,omitempty"`
}

// GeminiConfig says how to generate.
type GeminiConfig struct {
	Temperature        *float64        `json:"temperature,omitempty"`
	MaxOutputTokens    int             `json:"maxOutputTokens,omitempty"`
	StopSequences      []string        `json:"stopSequences,omitempty"`
	ResponseMIMEType   string          `json:"responseMimeType,omitempty"`
	ResponseJSONSchema json.RawMessage `json:"responseJsonSchema,omitempty"`
	ThinkingConfig     *GeminiThinking `json:"thinkingConfig,omitempty"`
}

// GeminiThinking says how hard to think.
type GeminiThinking struct {
	ThinkingLevel   string `json:"thinkingLevel,omitempty"`
	IncludeThoughts bool   `json:"includeThoughts,omitempty"`
}

// GeminiResponse is an answer; in a stream each event is a part of one.
type GeminiResponse struct {
	Candidates     []GeminiCandidate     `json:"candidates,omitempty"`
	PromptFeedback *GeminiPromptFeedback `json:"promptFeedback,omitempty"`
	UsageMetadata  *GeminiUsage          `json:"usageMetadata,omitempty"`
	ModelVersion   string                `json:"modelVersion,omitempty"`
	ResponseID     string                `json:"responseId,omitempty"`
	Error          *GeminiProblem        `json:"error,omitempty"`
}

// GeminiCandidate is one answer.
type GeminiCandidate struct {
	Content       *GeminiContent `json:"content,omitempty"`
	FinishReason  string         `json:"finishReason,omitempty"` // only at the end
	FinishMessage string         `json:"finishMessage,omitempty"`
	Index         int            `json:"index"`
}

// GeminiPromptFeedback says why a prompt was refused.
type GeminiPromptFeedback struct {
	BlockReason        string `json:"blockReason,omitempty"`
	BlockReasonMessage string `json:"blockReasonMessage,omitempty"`
}

// GeminiUsage counts tokens. The cached ones are part of the prompt; thoughts and candidates are apart.
type GeminiUsage struct {
	Prompt     int64 `json:"promptTokenCount,omitempty"`
	Cached     int64 `json:"cachedContentTokenCount,omitempty"`
	ToolPrompt int64 `json:"toolUsePromptTokenCount,omitempty"`
	Candidates int64 `json:"candidatesTokenCount,omitempty"`
	Thoughts   int64 `json:"thoughtsTokenCount,omitempty"`
	Total      int64 `json:"totalTokenCount,omitempty"`
}

// GeminiError is the body of an answer that is an error.
type GeminiError struct {
	Error GeminiProblem `json:"error"`
}

// GeminiProblem is what went wrong.
type GeminiProblem struct {
	Code    int            `json:"code"`
	Message string         `json:"message"`
	Status  string         `json:"status"` // RESOURCE_EXHAUSTED, UNAVAILABLE …
	Details []GeminiDetail `json:"details,omitempty"`
}

// GeminiDetail says more; its type ends in RetryInfo, QuotaFailure or ErrorInfo.
type GeminiDetail struct {
	Type       string            `json:"@type"`
	RetryDelay string            `json:"retryDelay,omitempty"` // "46s"
	Reason     string            `json:"reason,omitempty"`
	Violations []GeminiViolation `json:"violations,omitempty"`
}

// GeminiViolation names a quota.
type GeminiViolation struct {
	QuotaID     string `json:"quotaId,omitempty"`
	QuotaMetric string `json:"quotaMetric,omitempty"`
	QuotaValue  Word   `json:"quotaValue,omitempty"`
}
