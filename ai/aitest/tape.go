package aitest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/internal/printable"
)

// tape is the file of a cassette.
type tape struct {
	Version  int      `json:"version"`
	Exported bool     `json:"exported,omitempty"` // from the records of a run
	Hide     []string `json:"hide,omitempty"`     // regular expressions of what is hidden
	Calls    []taken  `json:"calls"`

	ends  []digest       // by call: of its messages
	known map[digest]int // calls, from 1, by their messages
}

// tapeVersion is that of the format.
const tapeVersion = 1

// taken is one recorded call. It has an answer, an error, or neither: then nothing came until the caller's time was over.
type taken struct {
	Provider   string       `json:"provider"`
	Request    request      `json:"request"`
	Response   *takenAnswer `json:"response,omitempty"`
	Error      *failed      `json:"error,omitempty"`
	Unanswered bool         `json:"unanswered,omitempty"`

	where string // for people
}

// request is what a model was asked, without what changes nothing about the answer.
type request struct {
	Model       string          `json:"model"`
	System      string          `json:"system,omitempty"`
	Continues   int             `json:"continues,omitempty"` // the messages are those of that call, from 1, and then these
	Messages    []said          `json:"messages"`
	Tools       []model.ToolDef `json:"tools,omitempty"`
	ToolChoice  string          `json:"tool_choice,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Effort      string          `json:"effort,omitempty"`
	MaxTokens   int             `json:"max_tokens,omitempty"`
	Temperature *float64        `json:"temperature,omitempty"`
	Stop        []string        `json:"stop,omitempty"`
	Extra       json.RawMessage `json:"extra,omitempty"`
}

// said is a message.
type said struct {
	Role   model.Role      `json:"role"`
	Text   string          `json:"text,omitempty"`
	CallID string          `json:"call_id,omitempty"`
	Failed bool            `json:"failed,omitempty"`
	Files  []model.File    `json:"files,omitempty"`
	Calls  []called        `json:"calls,omitempty"`
	Raw    json.RawMessage `json:"raw,omitempty"`
	From   string          `json:"from,omitempty"`
}

// called is a call of a tool. Arguments that are long, deep or no JSON are a text: indented they would be many times as long.
type called struct {
	ID   string          `json:"id,omitempty"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"`
	Text string          `json:"args_text,omitempty"`
}

// takenAnswer is what a model said.
type takenAnswer struct {
	Message    said        `json:"message"`
	Stop       model.Stop  `json:"stop"`
	Served     string      `json:"served,omitempty"`
	RequestID  string      `json:"request_id,omitempty"`
	Confidence *float64    `json:"confidence,omitempty"`
	Usage      model.Usage `json:"usage,omitzero"`
}

// failed is a recorded error.
type failed struct {
	Kind       model.Kind  `json:"kind"`
	Provider   string      `json:"provider,omitempty"` // and model: as the error names them
	Model      string      `json:"model,omitempty"`
	Code       string      `json:"code,omitempty"`
	Status     int         `json:"status,omitempty"`
	RetryAfter string      `json:"retry_after,omitempty"`
	RequestID  string      `json:"request_id,omitempty"`
	Usage      model.Usage `json:"usage,omitzero"`
	Unpaid     bool        `json:"unpaid,omitempty"`
	Text       string      `json:"text,omitempty"`
}

// What is written as JSON within JSON at most.
const (
	maxArgs  = 2 << 10
	maxLevel = 20
)

// calledOf is a call of a tool with these arguments.
func calledOf(c model.ToolCall, args []byte) called {
	out := called{ID: c.ID, Name: c.Name}
	level, deepest := 0, 0
	for _, b := range args {
		switch b {
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		}
	}
	if len(args) <= maxArgs && deepest <= maxLevel && json.Valid(args) {
		out.Args = args
	} else {
		out.Text = string(args)
	}
	return out
}

// message is what was said.
func (s *said) message() model.Message {
	m := model.Message{Role: s.Role, Text: s.Text, CallID: s.CallID, Failed: s.Failed, Files: s.Files, Raw: s.Raw, From: s.From}
	for _, c := range s.Calls {
		call := model.ToolCall{ID: c.ID, Name: c.Name, Args: c.Args}
		if c.Text != "" {
			call.Args = json.RawMessage(c.Text)
		}
		m.Calls = append(m.Calls, call)
	}
	return m
}

// compact undoes the indenting of a file: what was recorded is as long as it was.
func (s *said) compact() {
	s.Raw = compacted(s.Raw)
	for i := range s.Calls {
		s.Calls[i].Args = compacted(s.Calls[i].Args)
	}
}

func compacted(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if raw == nil || json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// digest names messages, or a request.
type digest [sha256.Size]byte

// then is what messages are with one more.
func (d digest) then(s *said) digest { return sha256.Sum256(append(d[:], canonical(s)...)) }

// canonical is JSON in one order of members.
func canonical(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Append(nil, err)
	}
	if tree, err := decoded(b); err == nil {
		b, _ = json.Marshal(tree)
	}
	return b
}

// digest is that of a request with these messages.
func (r request) digest(provider string, messages digest) digest {
	r.Messages, r.Continues = nil, 0
	return sha256.Sum256(append(messages[:], canonical(taken{Provider: provider, Request: r})...))
}

// add adds a call, with what its messages are after each of them. Only those are kept that no call before it has:
// conversations grow, and are not to be written once more with each turn.
func (t *tape) add(call taken, after []digest) {
	if t.known == nil {
		t.known = make(map[digest]int)
	}
	var end digest
	for n, d := range after {
		if k := t.known[d]; k > 0 {
			call.Request.Continues = k
			call.Request.Messages = call.Request.Messages[len(call.Request.Messages)-(len(after)-n-1):]
		}
		end = d
	}
	t.Calls, t.ends = append(t.Calls, call), append(t.ends, end)
	t.known[end] = len(t.Calls)
}

// messages are all that a call was asked.
func (t *tape) messages(i int) []said {
	r := &t.Calls[i].Request
	if r.Continues == 0 {
		return r.Messages
	}
	return slices.Concat(t.messages(r.Continues-1), r.Messages)
}

// read reads a file.
func (t *tape) read(b []byte) error {
	if err := decode(b, t); err != nil {
		return fmt.Errorf("is no cassette: %w", err)
	}
	if t.Version != tapeVersion {
		return fmt.Errorf("has version %d, and this is %d: record it anew", t.Version, tapeVersion)
	}
	for i := range t.Calls {
		c := &t.Calls[i]
		ways := 0
		for _, is := range []bool{c.Response != nil, c.Error != nil, c.Unanswered} {
			if is {
				ways++
			}
		}
		r := &c.Request
		switch {
		case r.Continues < 0 || r.Continues > i:
			return fmt.Errorf("is no cassette: call %d continues call %d, and can only continue one that stands before it", i+1, r.Continues)
		case ways != 1 || r.Model == "" || r.Continues == 0 && len(r.Messages) == 0:
			return fmt.Errorf("is no cassette: call %d needs a model, messages, and either a response, an error or that it is unanswered", i+1)
		}
		var end digest
		if r.Continues > 0 {
			end = t.ends[r.Continues-1]
		}
		for k := range r.Messages {
			r.Messages[k].compact()
			end = end.then(&r.Messages[k])
		}
		if c.Response != nil {
			c.Response.Message.compact()
		}
		t.ends = append(t.ends, end)
	}
	return nil
}

// ErrSecret says that a cassette is not written, since there is something in it that looks like a key.
var ErrSecret = errors.New("no secret is written")

// bytes are the file. The error says in which call there is something that must not be written, without telling it. goOn
// says from time to time whether to go on.
func (t *tape) bytes(goOn func() error) ([]byte, error) {
	g := newGuard()
	for _, pattern := range t.Hide {
		if what := g.secret([]byte(pattern)); what != "" {
			return nil, fmt.Errorf("%w: what is to be hidden has %s, and would be written, too: give a pattern that fits it without spelling it", ErrSecret, what)
		}
	}
	for i, call := range t.Calls {
		where := call.where
		if where == "" {
			where = fmt.Sprintf("call %d", i+1)
		}
		if err := goOn(); err != nil {
			return nil, err
		}
		if what, err := g.find(call); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		} else if what != "" {
			return nil, fmt.Errorf("%w: %s has %s", ErrSecret, where, what)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(tape{Version: tapeVersion, Exported: t.Exported, Hide: t.Hide, Calls: t.Calls})
	return printable.JSON(b.Bytes()), err
}
