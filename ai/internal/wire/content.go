package wire

import (
	"bytes"
	"encoding/json"
	"errors"
)

// Content is what many fields are: a string, or a list of parts. Which of the two it is, is
// kept. The zero value is the empty string.
type Content[P any] struct {
	Text string
	List []P // nil: it is the string
}

// TextContent is a string.
func TextContent[P any](s string) Content[P] { return Content[P]{Text: s} }

// ListContent is a list, which may be empty.
func ListContent[P any](parts ...P) Content[P] {
	if parts == nil {
		parts = []P{}
	}
	return Content[P]{List: parts}
}

// Parts returns the list, or the string as one part; nothing if the string is empty.
func (c Content[P]) Parts(text func(string) P) []P {
	if c.List == nil && c.Text != "" {
		return []P{text(c.Text)}
	}
	return c.List
}

func (c Content[P]) MarshalJSON() ([]byte, error) {
	if c.List != nil {
		return Marshal(c.List)
	}
	return Marshal(c.Text)
}

func (c *Content[P]) UnmarshalJSON(b []byte) error {
	*c = Content[P]{}
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0 || string(b) == "null":
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, &c.Text)
	case b[0] == '[':
		c.List = []P{}
		return json.Unmarshal(b, &c.List)
	}
	return errors.New("neither a string nor a list")
}

// Marshal is json.Marshal that leaves <, > and & as they are.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Word is a string that some servers send as a number, or not at all.
type Word string

func (w *Word) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(w))
	}
	*w = Word(b)
	if string(b) == "null" {
		*w = ""
	}
	return nil
}
