// Package offline has a model that runs here, without a network and without a key:
// documents-1, made of rules and naive Bayes. It is not a language model. It tells invoices,
// contracts and other texts apart, and fills schemas from invoices and contracts; free text
// and tools are refused. The same request gets the same answer.
//
// It knows texts and schemas. It knows no files, no workflow and no other provider.
package offline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/durable-go/durable/ai/model"
)

const (
	// Documents is the name of the only model.
	Documents = "documents-1"
	// Badge says what the model is, to be shown beside its answers.
	Badge = "rules + naive Bayes, not an LLM"
)

// Provider opens the model. The zero value is ready.
type Provider struct{}

// Open implements model.Provider. Any name but Documents is an error of kind Invalid.
func (Provider) Open(name string) (model.Model, error) {
	if name != Documents {
		return nil, failed(name, "there is no such model here, only "+Documents)
	}
	return New(), nil
}

// Model is documents-1. It is safe for concurrent use; New makes it.
type Model struct{ rules *rules }

// New reads the embedded tables and learns the embedded texts.
func New() *Model { return &Model{newRules()} }

// Bucket implements model.Bucketed: all of it is one process, and there is no key.
func (*Model) Bucket() string { return "offline" }

func failed(name, why string) error {
	return &model.Error{Kind: model.Invalid, Provider: "offline", Model: name, Err: errors.New(why)}
}

// Generate implements model.Model. A schema that is an enum, or an object around one, is
// classified: its words must be those of an invoice, a contract and other things, and the answer has
// a Confidence. Every other schema is filled by the names of its properties; what is not
// found is left out, or empty where a text or a list is required. The document is the first
// message of the user, without an instruction that stands before it.
//
// Temperature, Effort and Cache change nothing: nothing is random or worth caching. Usage is
// estimated, and the cost is not known.
func (m *Model) Generate(ctx context.Context, r *model.Request, on func(model.Delta)) (*model.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &model.Error{Kind: model.Transient, Provider: "offline", Model: Documents, Err: err}
	}
	switch {
	case len(r.Tools) > 0 || r.Schema == nil:
		return nil, failed(r.Model, "this model only classifies and extracts ("+Badge+"): it has no tools and writes no free text")
	case len(r.Extra) > 0:
		return nil, failed(r.Model, "there is no body that Extra could be merged into")
	}
	text, err := documentOf(r)
	if err != nil {
		return nil, failed(r.Model, err.Error())
	}
	s, err := parseSchema(r.Schema)
	if err != nil {
		return nil, failed(r.Model, err.Error())
	}
	out, sure, err := m.rules.answer(s, text)
	if err != nil {
		return nil, failed(r.Model, err.Error())
	}
	resp := &model.Response{
		Message: model.Message{Role: model.Assistant, Text: string(out)},
		Stop:    model.StopEnd, Served: Documents, Confidence: sure, Cost: model.Cost{Unpriced: 1},
	}
	limit(resp, r)
	resp.Usage = model.Usage{Input: input(r), Output: tokens(len(resp.Message.Text)), Estimated: true}
	if on != nil {
		on(model.Delta{Text: resp.Message.Text})
		on(model.Delta{Usage: &resp.Usage})
	}
	return resp, nil
}

// limit ends an answer where the request says.
func limit(resp *model.Response, r *model.Request) {
	text := resp.Message.Text
	for _, stop := range r.Stop {
		if before, _, found := strings.Cut(text, stop); found && stop != "" {
			text = before
		}
	}
	if most := r.MaxTokens * 4; most > 0 && len(text) > most {
		text, resp.Stop = strings.ToValidUTF8(text[:most], ""), model.StopLength
	}
	resp.Message.Text = text
}

func tokens(bytes int) int64 { return int64(bytes+3) / 4 }

func input(r *model.Request) int64 {
	n := len(r.System) + len(r.Schema)
	for _, msg := range r.Messages {
		n += len(msg.Text)
		for _, f := range msg.Files {
			n += len(f.Data)
		}
	}
	return tokens(n)
}

// documentOf is the text that the request is about.
func documentOf(r *model.Request) (string, error) {
	for _, msg := range r.Messages {
		if msg.Role != model.User || msg.Text == "" && len(msg.Files) == 0 {
			continue
		}
		text := withoutInstruction(msg.Text)
		for _, f := range msg.Files {
			if !strings.HasPrefix(f.MIME, "text/") {
				return "", fmt.Errorf("this model reads text only, not %.60s", f.MIME)
			}
			if len(msg.Files) == 1 && instruction(firstLine(text)) {
				text = ""
			}
			if text != "" {
				text += "\n\n"
			}
			text += string(f.Data)
		}
		return text, nil
	}
	return "", nil
}

// withoutInstruction is what stands in <document> tags, or else the text without a short first
// paragraph that tells a model what to do.
func withoutInstruction(text string) string {
	if _, rest, ok := strings.Cut(text, "<document>"); ok {
		if end := strings.LastIndex(rest, "</document>"); end >= 0 {
			return rest[:end]
		}
	}
	head, rest, ok := strings.Cut(text, "\n\n")
	if ok && len(head) <= 500 && strings.TrimSpace(rest) != "" && instruction(head) {
		return rest
	}
	return text
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// instruction says whether a sentence begins as one to a model does, and ends as one.
func instruction(s string) bool {
	s = strings.TrimSpace(s)
	if s == "" || !strings.ContainsAny(s[len(s)-1:], ".:?!") {
		return false
	}
	switch word, _, _ := strings.Cut(strings.ToLower(s), " "); word {
	case "extract", "classify", "read", "find", "fill", "return", "what", "which", "decide", "give", "tell", "determine", "list", "parse", "analyse", "analyze", "you":
		return true
	}
	return false
}
