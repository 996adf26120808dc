package aitest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/durable-go/durable/ai/model"
)

// hidden stands for what is not to be written.
const hidden = "[hidden]"

// redactor changes texts before they are written.
type redactor struct {
	funcs []func(string) string
	hide  []string
	match []*regexp.Regexp
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

// text is a text as it may be written. What is hidden stays so.
func (x *redactor) text(s string) string {
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

// request is a request as it is written.
func (x *redactor) request(r *model.Request) (request, error) {
	out := request{
		Model: r.Model, System: r.System, Messages: r.Messages, Tools: r.Tools, ToolChoice: r.ToolChoice, Schema: r.Schema,
		Effort: r.Effort, MaxTokens: r.MaxTokens, Temperature: r.Temperature, Stop: r.Stop, Extra: r.Extra,
	}
	return out, x.clean(&out)
}

// take is a call as it is written: with an answer, or else with an error.
func (x *redactor) take(provider string, asked request, resp *model.Response, e *model.Error) (taken, error) {
	call := taken{Provider: provider, Request: asked}
	if e == nil {
		kept := *resp
		kept.Message.Role = model.Assistant
		call.Response = &kept
		return call, x.clean(&kept)
	}
	call.Error = &failed{Kind: e.Kind, Code: e.Code, Status: e.Status, RequestID: e.RequestID, Usage: e.Usage, Unpaid: e.Unpaid}
	if e.RetryAfter > 0 {
		call.Error.RetryAfter = e.RetryAfter.String()
	}
	if e.Err != nil {
		call.Error.Text = e.Err.Error()
	}
	return call, x.clean(call.Error)
}

// clean redacts all texts of v, which is encoded and decoded for that.
func (x *redactor) clean(v any) error {
	b, err := json.Marshal(v)
	if err != nil || len(x.funcs)+len(x.match) == 0 {
		return err
	}
	tree, err := decoded(b)
	if err != nil {
		return err
	}
	if b, err = json.Marshal(x.cleaned(tree)); err != nil {
		return err
	}
	return decode(b, v)
}

func decoded(b []byte) (tree any, err error) {
	err = decode(b, &tree)
	return tree, err
}

// decode decodes JSON, in which numbers stay as they are written.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

func (x *redactor) cleaned(v any) any {
	switch v := v.(type) {
	case string:
		return x.text(v)
	case []any:
		for i := range v {
			v[i] = x.cleaned(v[i])
		}
	case map[string]any:
		file, isText := fileOf(v)
		for k := range v {
			switch {
			case k != "data" || file == nil:
				v[k] = x.cleaned(v[k])
			case isText:
				v[k] = base64.StdEncoding.EncodeToString([]byte(x.text(string(file))))
			}
		}
	}
	return v
}

// fileOf is what is in a file; nil: v is none. text says whether people can read it.
func fileOf(v map[string]any) (data []byte, text bool) {
	mime, _ := v["mime"].(string)
	s, _ := v["data"].(string)
	data, err := base64.StdEncoding.DecodeString(s)
	if mime == "" || s == "" || err != nil {
		return nil, false
	}
	return data, readable(data)
}

// readable says whether a file is text.
func readable(data []byte) bool { return utf8.Valid(data) && !bytes.Contains(data, []byte{0}) }
