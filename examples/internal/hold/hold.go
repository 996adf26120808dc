// Package hold knows the question that package ai asks when only a person can help: a key that is refused, a quota or a budget that is
// used up. The run then waits for as long as it takes. The examples have nobody who looks, so they say what is the matter and
// stop; what is done stays in their files, and the next start lets the run try again.
package hold

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/durable-go/durable"
)

// name is that of the question.
const name = "ai.hold"

// Error says why a call of a model waits for a person.
type Error struct {
	Said   string // what was asked, with the words of the model's provider
	Budget bool   // a budget is used up; else the provider refuses
}

// Error says that, and what to do.
func (e *Error) Error() string {
	return e.Said + "\nNobody is here to say so, so this example stops. What is done is kept: put that right, and start it again."
}

// Of is why a question is asked, if it is about a call of a model that waits; else nil.
func Of(in durable.PendingInput) *Error {
	if in.Name != name {
		return nil
	}
	return &Error{Said: in.Prompt, Budget: budget(in)}
}

// budget says whether a hold is about a budget: then it names no reason.
func budget(in durable.PendingInput) bool {
	var about struct{ Reason string }
	return json.Unmarshal(in.Details, &about) == nil && about.Reason == ""
}

// Release lets calls be tried again that an earlier start left waiting: the key, or what is behind it, may be another one now.
func Release(ctx context.Context, e *durable.Engine) error {
	for filter := (durable.InputFilter{Name: name}); ; {
		page, err := e.PendingInputs(ctx, filter)
		if err != nil {
			return err
		}
		for _, in := range page.Inputs {
			var answer any = "try again"
			if budget(in) {
				answer = map[string]string{"do": "try again"}
			}
			err := e.ProvideInput(ctx, in.Execution, in.ID, answer, durable.By("start"))
			if err != nil && !errors.Is(err, durable.ErrNoSuchWait) && !errors.Is(err, durable.ErrRunDone) {
				return err
			}
		}
		if filter.Cursor = page.Cursor; filter.Cursor == "" {
			return nil
		}
	}
}
