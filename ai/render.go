package ai

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"text/template"
)

// Prompt is a prompt that is filled in: a text/template. Make one with NewPrompt or LoadPrompt.
type Prompt struct {
	name string
	hash string
	t    *template.Template
}

// NewPrompt makes a prompt from the text of a template. The name is shown with each call, together with a
// hash of the text, so that one can tell what each version of it cost and was good for.
func NewPrompt(name, text string) (Prompt, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return Prompt{}, fmt.Errorf("ai: the prompt %s: %w", name, err)
	}
	return Prompt{name, hashOf([]byte(text))[:12], t}, nil
}

// LoadPrompt reads a prompt from a file, as of an embed.FS. Its name is that of the file without its extension.
func LoadPrompt(files fs.FS, file string) (Prompt, error) {
	raw, err := fs.ReadFile(files, file)
	if err != nil {
		return Prompt{}, fmt.Errorf("ai: the prompt %s: %w", file, err)
	}
	return NewPrompt(strings.TrimSuffix(path.Base(file), path.Ext(file)), string(raw))
}

// rendering is a prompt that is filled in.
type rendering struct{ text, version string }

// Render makes the prompt of a call from a template and data. The prompt that the call is given must be empty.
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
		s.render = &rendering{b.String(), p.name + "@" + p.hash}
	}
}
