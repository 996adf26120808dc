package aitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// Step is what a scripted model does with one request. Its methods return a changed copy.
type Step struct {
	name string
	p    plan
	bad  error
}

func answer(name string, msg model.Message, stop model.Stop) Step {
	msg.Role = model.Assistant
	out := len(msg.Text)
	for _, c := range msg.Calls {
		out += len(c.Name) + len(c.Args)
	}
	return Step{name: name, p: plan{answer: &model.Response{Message: msg, Stop: stop, Usage: model.Usage{Output: int64(out+3) / 4}}}}
}

func refusal(status int, code, text string) Step {
	return Step{name: fmt.Sprintf("Status(%d)", status), p: plan{status: status, code: code, text: text}}
}

// Text answers with a text.
func Text(s string) Step { return answer("Text", model.Message{Text: s}, model.StopEnd) }

// Object answers with v as JSON. A v that cannot be encoded fails the test.
func Object(v any) Step {
	b, err := json.Marshal(v)
	s := answer("Object", model.Message{Text: string(b)}, model.StopEnd)
	s.bad = err
	return s
}

// BadJSON answers with what begins as JSON and is none.
func BadJSON() Step {
	return answer("BadJSON", model.Message{Text: "Sure! Here it is: {\"total\": 12.5, \"lines\": ["}, model.StopEnd)
}

// ToolCalls asks for tools. A call without ID gets one.
func ToolCalls(calls ...model.ToolCall) Step {
	named := make([]model.ToolCall, len(calls))
	for i, c := range calls {
		if c.ID == "" {
			c.ID = fmt.Sprintf("call_%d", i+1)
		}
		if c.Args == nil {
			c.Args = json.RawMessage("{}")
		}
		named[i] = c
	}
	return answer("ToolCalls", model.Message{Calls: named}, model.StopTools)
}

// Tool is a tool call with v as its arguments, for ToolCalls. A v that cannot be encoded
// becomes arguments that are no JSON.
func Tool(name string, v any) model.ToolCall {
	b, err := json.Marshal(v)
	if err != nil {
		b = json.RawMessage("not JSON: " + err.Error())
	}
	return model.ToolCall{Name: name, Args: b}
}

// Refuse ends an answer with a refusal. The text is what the model says of it.
func Refuse(text string) Step {
	return answer("Refuse", model.Message{Text: text}, model.StopRefused)
}

// Length ends an answer, after the text, because MaxTokens is reached.
func Length(text string) Step {
	return answer("Length", model.Message{Text: text}, model.StopLength)
}

// RateLimited is 429 that asks to come back after d; with 0 it does not say when.
func RateLimited(d time.Duration) Step {
	s := refusal(http.StatusTooManyRequests, "", "too many requests")
	s.name, s.p.after = "RateLimited", d
	return s
}

// Quota is 429 that waiting does not help: the account has spent what it may.
func Quota() Step {
	s := refusal(http.StatusTooManyRequests, "", "the quota is used up")
	s.name, s.p.quota = "Quota", true
	return s
}

// TooLong is 400: the request does not fit into the model's window.
func TooLong() Step {
	s := refusal(http.StatusBadRequest, "", "more tokens than this model takes")
	s.name, s.p.tooLong = "TooLong", true
	return s
}

// Form is how a refusal says when to come back.
type Form int

// The forms. All but the last are those of headers, as the providers' clients read them.
const (
	InSeconds  Form = iota // Retry-After: 2, and in the body at Gemini
	InFraction             // Retry-After: 0.25
	InMillis               // Retry-After-Ms: 250
	AsDate                 // Retry-After: Fri, 27 Nov 2026 13:00:00 GMT
	AsReset                // the headers of limits: nothing remains until then; in the body at Gemini
	NotSaid
)

// Form says in which form RateLimited tells when to come back.
func (s Step) Form(f Form) Step {
	if s.p.form = f; f == NotSaid {
		s.p.after = 0
	}
	return s
}

// Overloaded is 529 as Anthropic says it, and 503 on the other wires.
func Overloaded() Step {
	s := refusal(529, "", "overloaded")
	s.name = "Overloaded"
	return s
}

// Status is an answer with that status of HTTP, which must be 400 or above.
func Status(code int) Step {
	text := strings.ToLower(http.StatusText(code))
	switch {
	case code == 529:
		text = "overloaded"
	case text == "":
		text = fmt.Sprintf("status %d", code)
	}
	s := refusal(code, "", text)
	if code < 400 || code > 599 {
		s.bad = fmt.Errorf("%d is no status of a failure", code)
	}
	return s
}

// StreamError fails in a stream that began well, with status 200: by the provider's words for
// the status, such as 529 for overload.
func StreamError(status int) Step {
	s := Status(status)
	s.name, s.p.inside = "StreamError", true
	return s
}

// Cut answers, and the connection ends after n bytes of it, at least 1: the answer is generated and
// paid, and does not arrive.
func Cut(n int) Step { return Text(strings.Repeat("cut ", n/4+1)).Cut(n) }

// Silence takes the request and sends no byte.
func Silence() Step { return Step{name: "Silence", p: plan{silent: true}} }

// Cut lets the connection end after n bytes of the answer, at least 1.
func (s Step) Cut(n int) Step {
	s.name, s.p.cut = "Cut", max(n, 1)
	return s
}

// Slow lets the first byte take d.
func (s Step) Slow(d time.Duration) Step {
	s.p.slow = d
	return s
}

// Usage says what the answer used. Without it the output is estimated, and the input is from the request.
func (s Step) Usage(u model.Usage) Step { return s.edit(func(r *model.Response) { r.Usage = u }) }

// Thinking lets the model think before it answers, where the wire shows that.
func (s Step) Thinking(text string) Step {
	s.p.thinking = text
	return s
}

// Confident sets the Confidence of an answer. No wire carries it: only who asks the script
// itself sees it.
func (s Step) Confident(c float64) Step {
	return s.edit(func(r *model.Response) { r.Confidence = &c })
}

// Served says which model answered; without it, the one that was asked.
func (s Step) Served(name string) Step {
	return s.edit(func(r *model.Response) { r.Served = name })
}

// Code is the provider's own word for a failure.
func (s Step) Code(code string) Step {
	s.p.code = code
	return s
}

// Header is sent with the status and the answer, such as "retry-after-ms".
func (s Step) Header(name, value string) Step {
	h := http.Header{}
	for k, v := range s.p.header {
		h[k] = v
	}
	h.Add(name, value)
	s.p.header = h
	return s
}

func (s Step) edit(change func(*model.Response)) Step {
	if s.p.answer == nil {
		s.bad = fmt.Errorf("%s has no answer that this could be said of", s.name)
		return s
	}
	r := *s.p.answer
	change(&r)
	s.p.answer = &r
	return s
}
