package aitest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/durable-go/durable/ai/model"
)

// tape is the file of a cassette.
type tape struct {
	Version int      `json:"version"`
	Hide    []string `json:"hide,omitempty"` // regular expressions of what is hidden
	Calls   []taken  `json:"calls"`
}

// ErrSecret says that a cassette is not written, since there is something in it that looks like a key.
var ErrSecret = errors.New("no secret is written")

// tapeVersion is that of the format.
const tapeVersion = 1

// taken is one recorded call.
type taken struct {
	Provider string          `json:"provider"`
	Request  request         `json:"request"`
	Response *model.Response `json:"response,omitempty"`
	Error    *failed         `json:"error,omitempty"`
}

// request is what a model was asked, without what changes nothing about the answer.
type request struct {
	Model       string          `json:"model"`
	System      string          `json:"system,omitempty"`
	Continues   int             `json:"continues,omitempty"` // in the file: the messages are those of that call, from 1, and then these
	Messages    []model.Message `json:"messages"`
	Tools       []model.ToolDef `json:"tools,omitempty"`
	ToolChoice  string          `json:"tool_choice,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Effort      string          `json:"effort,omitempty"`
	MaxTokens   int             `json:"max_tokens,omitempty"`
	Temperature *float64        `json:"temperature,omitempty"`
	Stop        []string        `json:"stop,omitempty"`
	Extra       map[string]any  `json:"extra,omitempty"`
}

// failed is a recorded error.
type failed struct {
	Kind       model.Kind  `json:"kind"`
	Code       string      `json:"code,omitempty"`
	Status     int         `json:"status,omitempty"`
	RetryAfter string      `json:"retry_after,omitempty"`
	RequestID  string      `json:"request_id,omitempty"`
	Usage      model.Usage `json:"usage,omitzero"`
	Unpaid     bool        `json:"unpaid,omitempty"`
	Text       string      `json:"text,omitempty"`
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
		r := &t.Calls[i].Request
		switch {
		case r.Continues < 0 || r.Continues > i:
			return fmt.Errorf("is no cassette: call %d continues call %d, and can only continue one that stands before it", i+1, r.Continues)
		case r.Continues > 0:
			earlier := t.Calls[r.Continues-1].Request.Messages
			r.Messages, r.Continues = append(earlier[:len(earlier):len(earlier)], r.Messages...), 0
		}
	}
	return nil
}

// bytes are the file. The error says in which call there is something that must not be written, without telling it.
func (t *tape) bytes() ([]byte, error) {
	g := newGuard()
	for _, pattern := range t.Hide {
		if what := g.secret(pattern); what != "" {
			return nil, fmt.Errorf("%w: what is to be hidden has %s, and would be written, too: give a pattern that fits it without spelling it", ErrSecret, what)
		}
	}
	for i, call := range t.Calls {
		if what, err := g.find(call); err != nil {
			return nil, fmt.Errorf("call %d: %w", i+1, err)
		} else if what != "" {
			return nil, fmt.Errorf("%w: call %d has %s", ErrSecret, i+1, what)
		}
	}
	calls, err := folded(t.Calls)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(tape{tapeVersion, t.Hide, calls})
	return b.Bytes(), err
}

// folded are calls of which each writes only those messages that no call before it has: conversations grow, and are not to be
// written once more with each turn.
func folded(calls []taken) ([]taken, error) {
	type digest [sha256.Size]byte
	out := make([]taken, len(calls))
	known := make(map[digest]int) // calls, from 1, by all that they were asked
	for i, call := range calls {
		var at digest
		from := 0
		for n, m := range call.Request.Messages {
			b, err := json.Marshal(m)
			if err != nil {
				return nil, fmt.Errorf("call %d: %w", i+1, err)
			}
			at = sha256.Sum256(append(at[:], b...))
			if k := known[at]; k > 0 {
				call.Request.Continues, from = k, n+1
			}
		}
		known[at] = i + 1
		call.Request.Messages = call.Request.Messages[from:]
		out[i] = call
	}
	return out, nil
}
