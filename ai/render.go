package ai

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"text/template"
)

// Prompt is a prompt that is filled in: a text/template, and what its calls are to have. Make one with NewPrompt or LoadPrompt.
type Prompt struct {
	name string
	hash string
	t    *template.Template
	head defaults
}

// NewPrompt makes a prompt from the text of a template. The name is shown with each call, together with a
// hash of the text, so that one can tell what each version of it cost and was good for.
func NewPrompt(name, text string) (Prompt, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return Prompt{}, fmt.Errorf("ai: the prompt %s: %w", name, err)
	}
	return Prompt{name: name, hash: hashOf([]byte(text))[:12], t: t}, nil
}

// LoadPrompt reads a prompt from a file, as of an embed.FS. Its name is that of the file without its extension.
//
// A file may begin with a head: lines "key: value" between two lines ---. The keys are model, system, max_tokens, temperature and effort,
// and mean what the options of these names do; a value is the rest of its line. They hold for the calls that render the prompt and do not
// say so themselves: one that is given no model asks the model of the head. The hash is that of the whole file, the head included. What
// is wrong with a head is an error that names the line.
func LoadPrompt(files fs.FS, file string) (Prompt, error) {
	bad := func(err error) (Prompt, error) { return Prompt{}, fmt.Errorf("ai: the prompt %s: %w", file, err) }
	raw, err := fs.ReadFile(files, file)
	if err != nil {
		return bad(err)
	}
	head, body, lines, err := readHead(strings.TrimPrefix(string(raw), "\ufeff"))
	if err != nil {
		return bad(err)
	}
	if lines > 0 { // a comment of so many lines: what is wrong with the template is told by the lines of the file
		body = "{{/*" + strings.Repeat("\n", lines) + "*/}}" + body
	}
	p, err := NewPrompt(strings.TrimSuffix(path.Base(file), path.Ext(file)), body)
	if err != nil {
		return Prompt{}, err
	}
	p.hash, p.head = hashOf(raw)[:12], head
	return p, nil
}

// rendering is a prompt that is filled in.
type rendering struct{ text, version, model string }

// Render makes the prompt of a call from a template and data. The prompt that the call is given must be empty; the model may be, if the
// head of the prompt's file names one.
// What data does not have is an error, not an empty place.
func Render(p Prompt, data any) Option {
	return func(s *settings) {
		if p.t == nil {
			s.wrong("Render: the prompt is empty; make it with NewPrompt or LoadPrompt")
			return
		}
		var b bytes.Buffer
		if err := p.t.Execute(&b, data); err != nil {
			s.wrong("Render: %w", err)
			return
		}
		s.render = &rendering{b.String(), p.name + "@" + p.hash, p.head.model}
		p.head.fill(s)
	}
}
