package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Task is what an agent is given as a tool of another.
type Task struct {
	Task string `json:"task" jsonschema:"what is to be done, with all that is needed to know"`
}

// AsTool makes the agent a tool of another one: the model gives it a task and reads its answer. It begins each time
// anew and knows nothing of the other's conversation. Its turns and tools are recorded like all; what it spends counts for the
// agent that has it, too. Tools of its own that need a person's yes ask as ever.
func (a Agent) AsTool(name, description string) Tool {
	t := NewTool(name, description, func(ctx context.Context, in Task) (string, error) {
		r, err := a.Run(ctx, in.Task)
		if err != nil {
			return "", subError(err)
		}
		return r.Text, nil
	}, Inline())
	if err := a.mistakes(); err != nil {
		t.t.mistake("%v", err)
	}
	return t
}

// mistakes looks at an agent before it runs.
func (a Agent) mistakes() error {
	v := &conversation{agent: a, tools: make(map[string]*tool), set: settle(a.Options)}
	return v.check()
}

// subError decides what the model of the outer agent is told. It may know that its tool found no answer; what
// stops the step, or needs one, stops both.
func subError(err error) error {
	var e *Error
	if errors.As(err, &e) && (e.Kind == OutOfTurns || e.Kind == BadAnswer || e.Kind == Refused || e.Kind == Truncated || e.Kind == TooLong) {
		return e
	}
	return Fatal(err)
}

// HumanQuestion is what a model asks a person with the tool of AskHuman.
type HumanQuestion struct {
	Question string   `json:"question"`
	Choices  []string `json:"choices,omitempty" jsonschema:"the possible answers, if there are only some"`
}

// AskHuman makes a tool by which the model asks a person, who answers with text. The run waits, and holds no slot
// meanwhile. within is for how long; then the model is told that nobody answered. With 0 it waits for as long as it
// takes. The question is what a model says: show it as text.
func AskHuman(name, description string, within time.Duration) Tool {
	t := NewTool(name, description, func(ctx context.Context, in HumanQuestion) (string, error) {
		u, j := usingOf(ctx), journalOf(ctx)
		if j == nil || !j.Info().CanWait {
			return "", Fatal(fmt.Errorf("%w: tool %s asks a person", ErrNoApproval, name))
		}
		answer := map[string]any{"type": "string"}
		if len(in.Choices) > 0 {
			answer["enum"] = in.Choices
		}
		q := Question{Prompt: valid(in.Question), Details: HumanDetails{u.label, u.at, in.Choices}, Schema: canonical(answer)}
		if within > 0 {
			q.Timed, q.Timeout, q.Default = true, within, json.RawMessage(`null`)
			q.Schema = canonical(map[string]any{"anyOf": []any{answer, map[string]any{"type": "null"}}})
		}
		raw, err := j.Ask(ctx, fmt.Sprintf("ask:%s[%s]", u.label, u.at), q)
		if err != nil {
			return "", ended(ctx, err)
		}
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", Fatal(fmt.Errorf("ai: the answer of a person cannot be read: %w", err))
		}
		if text == nil {
			return "", errors.New("nobody answered")
		}
		return *text, nil
	}, Inline())
	if within < 0 {
		t.t.mistake("a person is given %s to answer", within)
	}
	return t
}

// HumanDetails is what people see with a question of a model.
type HumanDetails struct {
	Agent   string   `json:"agent"`
	Call    string   `json:"call"`
	Choices []string `json:"choices,omitempty"`
}
