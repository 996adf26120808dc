package model

import "encoding/json"

// Role says who speaks.
type Role string

// The roles of messages. What holds for the whole conversation is not a message but Request.System.
const (
	User      Role = "user"
	Assistant Role = "assistant"
	Tool      Role = "tool" // the result of a tool call
)

// Message is one turn of a conversation.
type Message struct {
	Role   Role       `json:"role"`
	Text   string     `json:"text,omitempty"`
	CallID string     `json:"call_id,omitempty"` // role tool: the call that this answers
	Failed bool       `json:"failed,omitempty"`  // role tool: the result is the text of an error
	Files  []File     `json:"files,omitempty"`
	Calls  []ToolCall `json:"calls,omitempty"` // role assistant: what it asks for

	// Raw holds the provider's own blocks (thinking with its signatures), which go back to it byte
	// for byte. From is the wire that they belong to; another wire drops them and keeps the rest.
	Raw  json.RawMessage `json:"raw,omitempty"`
	From string          `json:"from,omitempty"`
}

// File is a document or an image in a message of the user.
type File struct {
	Name string `json:"name,omitempty"`
	MIME string `json:"mime"` // application/pdf, image/png, text/plain …
	Data []byte `json:"data"`
}

// ToolCall is what a model asks for. Nothing of it is trusted: the name may be that of no
// tool, and the arguments may not fit.
type ToolCall struct {
	ID   string          `json:"id,omitempty"` // the provider's word; may be missing, and may repeat
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

// toolCall is a call as JSON. Arguments that are no JSON, as models write them now and then, are a text.
type toolCall struct {
	ID      string          `json:"id,omitempty"`
	Name    string          `json:"name"`
	Args    json.RawMessage `json:"args,omitempty"`
	Invalid string          `json:"invalid_args,omitempty"`
}

// MarshalJSON implements json.Marshaler. Arguments that are no JSON become the text invalid_args, and come back as they were.
func (c ToolCall) MarshalJSON() ([]byte, error) {
	if len(c.Args) > 0 && !json.Valid(c.Args) {
		return json.Marshal(toolCall{ID: c.ID, Name: c.Name, Invalid: string(c.Args)})
	}
	return json.Marshal(toolCall{ID: c.ID, Name: c.Name, Args: c.Args})
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *ToolCall) UnmarshalJSON(raw []byte) error {
	var t toolCall
	if err := json.Unmarshal(raw, &t); err != nil {
		return err
	}
	*c = ToolCall{ID: t.ID, Name: t.Name, Args: t.Args}
	if t.Invalid != "" {
		c.Args = json.RawMessage(t.Invalid)
	}
	return nil
}

// ToolDef declares a tool to a model.
type ToolDef struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema"` // of the arguments, an object
}
