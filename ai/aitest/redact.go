package aitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/durable-go/durable/ai/model"
)

// hidden stands for what is not to be written.
const hidden = "[hidden]"

// redactor changes texts before they are written. It makes copies: what is sent and what the caller has stay as they are.
type redactor struct {
	funcs []func(string) string
	hide  []string
	match []*regexp.Regexp

	mu   sync.Mutex
	last []cleaned // the messages of the last request: conversations grow
}

// cleaned is a message as it was, as it is written, and what the messages are with it.
type cleaned struct {
	was   model.Message
	is    said
	after digest
}

// redactor is what a recording says.
func (r *Recording) redactor() (*redactor, error) {
	x := new(redactor)
	for _, f := range []func(string) string{r.Config.Redact, r.Redact} {
		if f != nil {
			x.funcs = append(x.funcs, f)
		}
	}
	seen := make(map[string]bool)
	for _, pattern := range r.Hide {
		if seen[pattern] {
			continue
		}
		seen[pattern] = true
		m, err := regexp.Compile(pattern)
		switch {
		case err != nil:
			return nil, fmt.Errorf("what is to be hidden, %q, is no regular expression: %w", pattern, err)
		case m.MatchString(""):
			return nil, fmt.Errorf("what is to be hidden, %q, fits a text that is empty: it would be everywhere", pattern)
		}
		x.hide, x.match = append(x.hide, pattern), append(x.match, m)
	}
	return x, nil
}

// plain says that nothing is changed.
func (x *redactor) plain() bool { return len(x.funcs)+len(x.match) == 0 }

// cleaning is one pass, with what went wrong in it.
type cleaning struct {
	*redactor
	err error
}

func (x *cleaning) once(s string) string {
	for _, f := range x.funcs {
		s = f(s)
	}
	for _, m := range x.match {
		parts := strings.Split(s, hidden)
		for i, p := range parts {
			parts[i] = m.ReplaceAllLiteralString(p, hidden)
		}
		s = strings.Join(parts, hidden)
	}
	return s
}

// maxPasses is how often a text is changed until it stays.
const maxPasses = 1000

// text is a text as it may be written: changed until nothing changes any more, so that it is found again when it is
// played. Of JSON the values are changed, and it stays JSON.
func (x *cleaning) text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if x.plain() || x.once(s) == s {
		return s
	}
	if t := strings.TrimSpace(s); t != "" && (t[0] == '{' || t[0] == '[') && json.Valid([]byte(t)) {
		return string(x.json([]byte(s)))
	}
	for range maxPasses {
		t := x.once(s)
		if t == s {
			return s
		}
		s = t
	}
	x.err = errors.New("what Redact or Hide has made of a text it changes again, and again: it must leave that as it is")
	return s
}

// json is JSON with its texts and numbers as they may be written.
func (x *cleaning) json(raw []byte) []byte {
	if raw == nil || x.plain() {
		return raw
	}
	tree, err := decoded(raw)
	if err != nil {
		return []byte(x.text(string(raw)))
	}
	tree, changed := x.tree(tree)
	if !changed {
		return raw
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	x.err = errors.Join(x.err, e.Encode(tree))
	return bytes.TrimSpace(b.Bytes())
}

func (x *cleaning) tree(v any) (_ any, changed bool) {
	switch v := v.(type) {
	case string:
		s := x.text(v)
		return s, s != v
	case json.Number:
		if x.text(v.String()) != v.String() { // it stays a number: else it would be none of its type
			return json.Number("0"), v != "0"
		}
	case []any:
		for i := range v {
			item, is := x.tree(v[i])
			v[i], changed = item, changed || is
		}
	case map[string]any:
		for k := range v { // names stay: they are those of a type
			item, is := x.tree(v[k])
			v[k], changed = item, changed || is
		}
	}
	return v, changed
}

func decoded(b []byte) (tree any, err error) {
	err = decode(b, &tree)
	return tree, err
}

// decode decodes JSON, in which numbers stay as they are written.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after its end")
	}
	return nil
}

// message is a message as it is written.
func (x *cleaning) message(m *model.Message) said {
	s := said{Role: m.Role, Text: x.text(m.Text), CallID: m.CallID, Failed: m.Failed, Raw: x.json(m.Raw), From: m.From}
	for _, f := range m.Files {
		file := model.File{Name: x.text(f.Name), MIME: f.MIME, Data: f.Data}
		if readable(f.Data) {
			file.Data = []byte(x.text(string(f.Data)))
		}
		s.Files = append(s.Files, file)
	}
	for _, c := range m.Calls {
		s.Calls = append(s.Calls, calledOf(c, x.json(c.Args)))
	}
	return s
}

// readable says whether a file is text.
func readable(data []byte) bool { return utf8.Valid(data) && !bytes.Contains(data, []byte{0}) }

// request is a request as it is written, and what its messages are after each of them.
func (x *redactor) request(provider string, r *model.Request) (string, request, []digest, error) {
	c := cleaning{redactor: x}
	out := request{
		Model: r.Model, System: c.text(r.System), ToolChoice: r.ToolChoice, Schema: r.Schema,
		Effort: r.Effort, MaxTokens: r.MaxTokens, Temperature: r.Temperature,
	}
	for _, s := range r.Stop {
		out.Stop = append(out.Stop, c.text(s))
	}
	for _, t := range r.Tools {
		t.Description = c.text(t.Description)
		out.Tools = append(out.Tools, t)
	}
	if len(r.Extra) > 0 {
		extra, err := json.Marshal(r.Extra)
		if err != nil {
			return "", out, nil, err
		}
		out.Extra = c.json(extra)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var after []digest
	var end digest
	for i := range r.Messages {
		if m := &r.Messages[i]; i >= len(x.last) || !same(m, &x.last[i].was) {
			is := c.message(m)
			x.last = append(x.last[:i:i], cleaned{*m, is, end.then(&is)})
		}
		out.Messages = append(out.Messages, x.last[i].is)
		end = x.last[i].after
		after = append(after, end)
	}
	return c.text(provider), out, after, c.err
}

// same says whether two messages are the same. Of a conversation that has grown they mostly are the same bytes.
func same(a, b *model.Message) bool {
	if a.Role != b.Role || a.Text != b.Text || a.CallID != b.CallID || a.Failed != b.Failed || a.From != b.From ||
		!bytes.Equal(a.Raw, b.Raw) || len(a.Files) != len(b.Files) || len(a.Calls) != len(b.Calls) {
		return false
	}
	for i := range a.Files {
		if f, g := &a.Files[i], &b.Files[i]; f.Name != g.Name || f.MIME != g.MIME || !bytes.Equal(f.Data, g.Data) {
			return false
		}
	}
	return reflect.DeepEqual(a.Calls, b.Calls)
}

// answer is an answer as it is written.
func (x *redactor) answer(r *model.Response) (*takenAnswer, error) {
	c := cleaning{redactor: x}
	out := &takenAnswer{Message: c.message(&r.Message), Stop: r.Stop, Served: r.Served, RequestID: r.RequestID, Confidence: r.Confidence, Usage: r.Usage}
	out.Message.Role = model.Assistant
	return out, c.err
}

// failure is an error as it is written.
func (x *redactor) failure(e *model.Error) (*failed, error) {
	c := cleaning{redactor: x}
	out := &failed{
		Kind: e.Kind, Provider: e.Provider, Model: e.Model, Code: c.text(e.Code), Status: e.Status, RequestID: e.RequestID, Usage: e.Usage, Unpaid: e.Unpaid,
	}
	if e.RetryAfter > 0 {
		out.RetryAfter = e.RetryAfter.String()
	}
	if e.Err != nil {
		out.Text = c.text(e.Err.Error())
	}
	return out, c.err
}
