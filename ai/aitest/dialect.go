package aitest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// dialect is a wire, as a server speaks it.
type dialect interface {
	// name is that of package wire.
	name() string
	// key is the key that a request has.
	key(h http.Header) string
	// decode reads a request. A request that the provider would refuse is an error.
	decode(r *http.Request, body []byte) (asked, error)
	// stream is an answer as events, the terminal sign included.
	stream(a answered) []wire.Event
	// whole is an answer as one body.
	whole(a answered) any
	// problem is an error: its status on this wire, and its body.
	problem(f fault, id string) (int, any)
	// inside is an error in a stream after so many events.
	inside(f fault, nth int) wire.Event
	// idHeader is where a request id stands; "" if in the body.
	idHeader() string
}

// asked is a request that was understood.
type asked struct {
	*model.Request
	stream bool
	usage  bool // a stream ends with usage
	hidden bool // thoughts are asked for in their encrypted form
}

// answered is an answer with what the wire wants to know beyond it.
type answered struct {
	*model.Response
	asked
	thinking string
	id       string // of the request; those of parts are made of it
	created  int64
	chunk    int // bytes of text in an event
}

// fault is an error before it has a wire.
type fault struct {
	status  int
	code    string
	text    string
	quota   bool
	tooLong bool
	after   string // Gemini says it in the body: "46s"
}

// pieces cuts a text into parts of about n bytes that are valid UTF-8; an empty text into none.
func pieces(s string, n int) []string {
	var out []string
	for s != "" {
		end := min(max(n, 1), len(s))
		for end < len(s) && !utf8.RuneStart(s[end]) {
			end++
		}
		out = append(out, s[:end])
		s = s[end:]
	}
	return out
}

// event encodes one event. What it is given can always be encoded.
func event(name string, v any) wire.Event {
	b, err := wire.Marshal(v)
	if err != nil {
		b = []byte(`{}`)
	}
	return wire.Event{Name: name, Data: b}
}

// signed marks a thought, so that one that comes back changed is found out.
func signed(thought string) string {
	sum := sha256.Sum256([]byte("aitest signature\n" + thought))
	return base64.StdEncoding.EncodeToString(append([]byte("aitest:"), sum[:12]...))
}

// forged says whether a signature is one of ours, and not that of the thought.
func forged(signature, thought string) bool {
	b, err := base64.StdEncoding.DecodeString(signature)
	return err == nil && strings.HasPrefix(string(b), "aitest:") && signature != signed(thought)
}

var (
	errEmpty    = errors.New("messages: at least one message is required")
	errNoModel  = errors.New("model: field required")
	errNoPrefil = errors.New("the conversation must end with a user message: prefill is not supported by this model")
)

// dataURL takes a data URL apart.
func dataURL(s string) (mime string, data []byte, err error) {
	head, body, ok := strings.Cut(strings.TrimPrefix(s, "data:"), ",")
	mime, b64 := strings.CutSuffix(head, ";base64")
	if !ok || !b64 || !strings.HasPrefix(s, "data:") {
		return "", nil, errors.New("a file is expected as a data URL in base64")
	}
	data, err = base64.StdEncoding.DecodeString(body)
	return mime, data, err
}

// strict checks a schema as OpenAI's strict mode does: every property is required, and there
// are no others.
func strict(schema json.RawMessage) error {
	var s any
	if err := json.Unmarshal(schema, &s); err != nil {
		return fmt.Errorf("invalid schema: %w", err)
	}
	return strictly(s, "schema")
}

func strictly(v any, at string) error {
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			if err := strictly(x, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		if props, ok := v["properties"].(map[string]any); ok {
			if v["additionalProperties"] != false {
				return fmt.Errorf("invalid schema: %s: 'additionalProperties' is required to be supplied and to be false", at)
			}
			required := map[any]bool{}
			if list, ok := v["required"].([]any); ok {
				for _, name := range list {
					required[name] = true
				}
			}
			for name, p := range props {
				if !required[name] {
					return fmt.Errorf("invalid schema: %s: 'required' is required to include every key in properties, %q is missing", at, name)
				}
				if err := strictly(p, at+"."+name); err != nil {
					return err
				}
			}
		}
		for _, key := range []string{"items", "anyOf", "$defs"} {
			sub := v[key]
			if defs, ok := sub.(map[string]any); ok && key == "$defs" {
				for name, d := range defs {
					if err := strictly(d, at+".$defs."+name); err != nil {
						return err
					}
				}
				continue
			}
			if err := strictly(sub, at+"."+key); err != nil {
				return err
			}
		}
	}
	return nil
}
