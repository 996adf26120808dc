package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/schema"
)

// AnswerError says everything that is wrong with an answer, by field. It wraps
// ErrInvalid.
type AnswerError struct {
	Fields []FieldError
}

// FieldError is one thing wrong in an answer.
type FieldError struct {
	Path    string `json:"path"` // JSON Pointer, as in /address/city; "" is the answer as a whole
	Message string `json:"message"`
}

func (e *AnswerError) Error() string {
	lines := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		lines[i] = f.Message
		if f.Path != "" {
			lines[i] = f.Path + ": " + f.Message
		}
	}
	return ErrInvalid.Error() + ": " + strings.Join(lines, "; ")
}

// Unwrap gives ErrInvalid.
func (e *AnswerError) Unwrap() error { return ErrInvalid }

// inputKinds are the kinds of waits that people answer.
func inputKinds() []string {
	return []string{"input", "approval", "choice", "text", "form", "in_doubt"}
}

// fit checks an answer against what was asked, and gives it the form in which
// the body reads it.
func fit(kind string, detail, raw []byte) ([]byte, error) {
	if kind == "approval" && (string(raw) == "true" || string(raw) == "false") {
		raw = []byte(`{"approved":` + string(raw) + `}`)
	}
	if kind == "in_doubt" {
		return raw, checkDoubt(raw)
	}
	var q question
	if err := json.Unmarshal(detail, &q); err != nil {
		return nil, fmt.Errorf("the stored question cannot be read: %w", err)
	}
	if q.Schema == nil {
		return raw, nil
	}
	raw, err := schema.Fit(q.Schema, q.Fields, raw)
	var bad *schema.Error
	if errors.As(err, &bad) {
		refused := new(AnswerError)
		for _, m := range bad.Mistakes {
			refused.Fields = append(refused.Fields, FieldError{m.Field, m.Text})
		}
		return nil, refused
	}
	return raw, err
}

// accept checks an answer that was given before its question was asked.
func accept(w *journal.Wait, payload []byte) ([]byte, error) {
	if !slices.Contains(inputKinds(), w.Kind) {
		return payload, nil
	}
	var a answer
	err := json.Unmarshal(payload, &a)
	if err == nil {
		a.Value, err = fit(w.Kind, w.Detail, a.Value)
	}
	if err != nil {
		return nil, err
	}
	return encode(a, maxLimit)
}

// earlyTopic is where answers are kept that are given before their question.
func earlyTopic(name string) string { return "early:" + name }

func checkDoubt(raw []byte) error {
	var d Doubt
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("%w: give {\"outcome\": \"done\", \"run\" or \"fail\"}: %w", ErrInvalid, err)
	}
	switch d.Outcome {
	case "done", "run", "fail":
		return nil
	}
	return fmt.Errorf("%w: outcome is %q; give \"done\" (it happened), \"run\" (it did not: run it) or \"fail\"", ErrInvalid, d.Outcome)
}
