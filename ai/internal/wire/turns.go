package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/durable-go/durable/ai/model"
)

// Turn is one turn of a conversation: what the user or the model says, or all results for the
// calls of the turn before.
type Turn struct {
	Role    model.Role
	Text    string
	Files   []model.File
	Calls   []model.ToolCall // with ids that are unique in the conversation
	Results []Result
	Raw     json.RawMessage // of this wire, or nil
}

// Result is what came of a call.
type Result struct {
	Call   model.ToolCall // the one that it answers
	Text   string
	Failed bool
}

// Turns checks a request as far as all wires agree, and joins results to their calls. Ids of calls
// that are missing, that repeat, or that another wire would not take, are replaced. Messages of a model that say nothing are left out.
//
// The blocks of an earlier answer go back as they are, with the ids that their calls have there (which
// ids returns), if they are of the wire from and still have as many calls as the message.
func Turns(r *model.Request, from string, ids func(raw json.RawMessage) ([]string, bool)) ([]Turn, error) {
	if err := check(r); err != nil {
		return nil, err
	}
	var turns []Turn
	seen := map[string]bool{}
	asked := -1         // the turn whose calls may be answered
	var answered []bool // its calls
	for i, m := range r.Messages {
		if m.Role != model.User && len(m.Files) > 0 {
			return nil, fmt.Errorf("message %d: only messages of the user may have files", i+1)
		}
		switch m.Role {
		case model.User:
			if m.Text == "" && len(m.Files) == 0 {
				return nil, fmt.Errorf("message %d is empty", i+1)
			}
			asked = -1
			turns = append(turns, Turn{Role: m.Role, Text: m.Text, Files: m.Files})
		case model.Assistant:
			t := Turn{Role: m.Role, Text: m.Text}
			var own []string
			if ids != nil && m.From == from && len(m.Raw) > 0 {
				if found, ok := ids(m.Raw); ok && len(found) == len(m.Calls) {
					t.Raw, own = m.Raw, found
				}
			}
			for k, c := range m.Calls {
				if c.Name == "" {
					return nil, fmt.Errorf("message %d: a call without a name", i+1)
				}
				if t.Raw != nil {
					c.ID = own[k]
				} else if !plainID(c.ID) || seen[c.ID] {
					c.ID = fmt.Sprintf("call_%d_%d", i+1, k+1)
				}
				seen[c.ID] = true
				t.Calls = append(t.Calls, c)
			}
			if t.Text == "" && len(t.Calls) == 0 && t.Raw == nil {
				continue
			}
			turns = append(turns, t)
			asked, answered = len(turns)-1, make([]bool, len(t.Calls))
		case model.Tool:
			if asked < 0 {
				return nil, fmt.Errorf("message %d: the result of a call that was not made", i+1)
			}
			k := find(m, lastCalls(r.Messages[:i]), answered)
			if k < 0 {
				return nil, fmt.Errorf("message %d: no open call has the id %q", i+1, m.CallID)
			}
			answered[k] = true
			result := Result{Call: turns[asked].Calls[k], Text: m.Text, Failed: m.Failed}
			if last := &turns[len(turns)-1]; last.Role == model.Tool {
				last.Results = append(last.Results, result)
			} else {
				turns = append(turns, Turn{Role: model.Tool, Results: []Result{result}})
			}
		default:
			return nil, fmt.Errorf("message %d: there is no role %q", i+1, m.Role)
		}
	}
	if len(turns) == 0 || turns[0].Role != model.User {
		return nil, errors.New("a conversation begins with a message of the user")
	}
	return turns, nil
}

func check(r *model.Request) error {
	if len(r.Messages) == 0 {
		return errors.New("there are no messages")
	}
	names := map[string]bool{}
	for _, t := range r.Tools {
		switch {
		case t.Name == "":
			return errors.New("a tool without a name")
		case names[t.Name]:
			return fmt.Errorf("two tools are called %s", t.Name)
		case !isObject(t.Schema) || !json.Valid(t.Schema):
			return fmt.Errorf("the schema of the tool %s is not a JSON object", t.Name)
		}
		names[t.Name] = true
	}
	switch r.ToolChoice {
	case "", "auto", "none":
	case "any":
		if len(r.Tools) == 0 {
			return errors.New("a tool is to be called, but there is none")
		}
	default:
		if !names[r.ToolChoice] {
			return fmt.Errorf("the tool %s is to be called, but there is none of that name", r.ToolChoice)
		}
	}
	switch {
	case r.Schema != nil && (!isObject(r.Schema) || !json.Valid(r.Schema)):
		return errors.New("the schema of the answer is not a JSON object")
	case r.Effort != "" && r.Effort != "low" && r.Effort != "medium" && r.Effort != "high":
		return fmt.Errorf("there is no effort %q: low, medium or high", r.Effort)
	case r.MaxTokens < 0:
		return errors.New("the number of tokens is negative")
	case r.Cache < 0 || r.Cache > time.Hour:
		return errors.New("a cache is for an hour at most")
	}
	return nil
}

// lastCalls are the calls of the last message of the model, as it says them.
func lastCalls(messages []model.Message) []model.ToolCall {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == model.Assistant {
			return messages[i].Calls
		}
	}
	return nil
}

// find returns the first open call of the result's id. A result without an id is that of the
// first open call.
func find(m model.Message, calls []model.ToolCall, answered []bool) int {
	for k, done := range answered {
		if !done && (m.CallID == "" || k < len(calls) && calls[k].ID == m.CallID) {
			return k
		}
	}
	return -1
}

// plainID says whether every wire takes an id.
func plainID(id string) bool {
	for _, c := range []byte(id) {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 64
}

// FileKind says how a file travels.
type FileKind int

// The kinds of files.
const (
	Image FileKind = iota
	PDF
	PlainText
)

// KindOf returns a file's kind and its media type without parameters.
func KindOf(f model.File) (FileKind, string, error) {
	media, _, err := mime.ParseMediaType(f.MIME)
	switch {
	case err != nil:
		return 0, "", fmt.Errorf("the file %s has no media type", f.Name)
	case len(f.Data) == 0:
		return 0, "", fmt.Errorf("the file %s is empty", f.Name)
	case strings.HasPrefix(media, "image/"):
		return Image, media, nil
	case media == "application/pdf":
		return PDF, media, nil
	case strings.HasPrefix(media, "text/") || media == "application/json":
		if !utf8.Valid(f.Data) {
			return 0, "", fmt.Errorf("the file %s is not UTF-8", f.Name)
		}
		return PlainText, media, nil
	}
	return 0, "", fmt.Errorf("the file %s is %s: neither an image, a PDF, nor text", f.Name, media)
}

// Args makes arguments of what a model wrote as such: JSON without white space, {} for nothing, and
// a string of the text if it is not JSON, which fits no tool's schema.
func Args(text string) json.RawMessage {
	text = strings.TrimSpace(text)
	if text == "" {
		return json.RawMessage("{}")
	}
	if c := Compact([]byte(text)); c != nil {
		return c
	}
	quoted, _ := Marshal(text) // a string can always be encoded
	return quoted
}

// ArgsText is the opposite of Args.
func ArgsText(args json.RawMessage) string {
	var s string
	args = bytes.TrimSpace(args)
	if len(args) > 0 && args[0] == '"' && json.Unmarshal(args, &s) == nil {
		return s
	}
	if len(args) == 0 {
		return "{}"
	}
	return string(args)
}

// ArgsObject is an object in any case, as some wires want it.
func ArgsObject(args json.RawMessage) json.RawMessage {
	if isObject(args) && json.Valid(args) {
		return args
	}
	o := &object{values: map[string]json.RawMessage{}}
	quoted, _ := Marshal(ArgsText(args))
	if len(bytes.TrimSpace(args)) > 0 {
		o.set("invalid", quoted)
	}
	return o.bytes()
}

// SchemaName is a name that all wires take.
func SchemaName(name string) string {
	name = strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
	if name == "" {
		return "answer"
	}
	return name[:min(len(name), 64)]
}

// Estimate is how many tokens the texts of a request may be: see model.Quarters.
func Estimate(r *model.Request) int64 {
	n := model.Quarters(r.System) + len(r.Schema)
	for _, m := range r.Messages {
		n += model.Quarters(m.Text)
		for _, c := range m.Calls {
			n += len(c.Name) + model.Quarters(string(c.Args))
		}
		for _, f := range m.Files {
			if utf8.Valid(f.Data) {
				n += model.Quarters(string(f.Data))
			}
		}
	}
	for _, t := range r.Tools {
		n += len(t.Name) + len(t.Description) + len(t.Schema)
	}
	return int64(n+3) / 4
}
