package ai

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// DoubtDetails is what people see of a call of a tool that was cut off: it was begun, and nobody knows whether it
// happened.
type DoubtDetails struct {
	Agent string          `json:"agent"`
	Call  string          `json:"call"` // turn and number, as 3.1
	Tool  string          `json:"tool"`
	Args  json.RawMessage `json:"args"`
	Key   string          `json:"key"` // of idempotency
	Began time.Time       `json:"began,omitzero"`
	Error string          `json:"error,omitempty"` // why Reconcile could not tell
	Gone  string          `json:"gone,omitempty"`  // why the tool does not run after a no, such as a change of the code; the model is told that
}

// DoubtAnswer is what a person says of such a call.
type DoubtAnswer struct {
	// Happened is "yes", "no" (then the tool runs, if it can), or "stop": the agent stops with an error.
	Happened string `json:"happened"`
	// Result is, after a yes, what the model is to read as the tool's result.
	Result string `json:"result,omitempty"`
}

const doubtSchema = `{"type":"object","additionalProperties":false,"required":["happened"],"properties":{` +
	`"happened":{"type":"string","enum":["yes","no","stop"]},"result":{"type":"string"}}}`

// How often Reconcile may fail before a person is asked, and the pauses.
const (
	maxReconciles  = 5
	firstReconcile = time.Second
)

// reconciled is what Reconcile found out.
type reconciled struct {
	Happened bool   `json:"happened,omitempty"`
	Result   string `json:"result,omitempty"`
	Error    string `json:"error,omitempty"`
}

// resolve finds out whether a call that was cut off has happened. If so, the call is done; if not, it
// is due once more. The error is that of an agent that a person has stopped. Reconcile is asked about the call as it was begun, or
// not at all.
func (v *conversation) resolve(ctx context.Context, u *use, m *toolMark) error {
	why := ""
	if u.refused == "" && u.tool.reconcile != nil && v.same(u, m) {
		r, err := v.findOut(ctx, u)
		switch {
		case err != nil:
			return err
		case r.Error == "" && r.Happened:
			return v.record(ctx, u, func(context.Context) (*toolOutcome, string, error) { return &toolOutcome{}, r.Result, nil })
		case r.Error == "":
			return nil
		}
		why = r.Error
	}
	if v.outside || !v.info.CanWait {
		return permanent(fmt.Errorf("ai: tool %s of agent %s (%s): nobody knows whether it has happened, and nobody can be asked here", u.name, v.label, u.at()))
	}
	for {
		a, err := v.askWhether(ctx, u, m, why)
		if err != nil {
			return err
		}
		switch a.Happened {
		case "no":
			return nil
		case "yes":
			text := a.Result
			if text == "" {
				text = "This call was cut off. A person says that it has happened; its result is not known."
			}
			return v.record(ctx, u, func(context.Context) (*toolOutcome, string, error) { return &toolOutcome{}, text, nil })
		}
		o, err := v.read(ctx, u, func(context.Context) (*toolOutcome, string, error) {
			return &toolOutcome{Stopped: true, Failures: v.info.Failures}, "", nil
		})
		if err != nil {
			return err
		}
		if o.Failures >= v.info.Failures { // else that ended an earlier attempt, and is asked again
			return v.stopped(u, o)
		}
	}
}

// findOut asks Reconcile, and again later if it fails.
func (v *conversation) findOut(ctx context.Context, u *use) (*reconciled, error) {
	name := v.name("reconcile", u.at())
	for try := 1; ; try++ {
		r, err := record(ctx, v.j, name, func(ctx context.Context) (*reconciled, error) {
			text, happened, err := u.tool.reconcile(v.inside(ctx, u, nil), u.args)
			if err != nil && context.Cause(ctx) != nil {
				return nil, context.Cause(ctx)
			}
			r := &reconciled{Happened: happened, Result: cut(text, u.tool.maxOutput)}
			if err != nil {
				r = &reconciled{Error: valid(clip(err.Error(), maxErrorText))}
			}
			return r, nil
		})
		if err != nil {
			return nil, ended(ctx, err)
		}
		if r.Error == "" || try == maxReconciles || v.outside || !v.info.CanWait {
			return r, nil
		}
		if err := v.j.Sleep(ctx, name, firstReconcile<<(2*(try-1))); err != nil {
			return nil, ended(ctx, err)
		}
	}
}

// askWhether asks a person.
func (v *conversation) askWhether(ctx context.Context, u *use, m *toolMark, why string) (*DoubtAnswer, error) {
	name := fmt.Sprintf("doubt:%s[%s]", v.label, u.at())
	args, key, err := v.begun(ctx, u, m)
	if err != nil {
		return nil, err
	}
	no := "it has not, run it"
	if u.refused != "" {
		no = "it has not; it does not run now, and the model is told why"
	}
	raw, err := v.j.Ask(ctx, name, Question{
		Prompt: fmt.Sprintf("Did this happen? The agent %s called its tool %s, and was cut off before it knew. "+
			"Yes: it has happened. No: %s. Stop: end the agent with an error.", v.label, u.name, no),
		Details: DoubtDetails{
			Agent: v.label, Call: u.at(), Tool: u.name, Args: args, Key: key, Began: time.UnixMicro(m.At).UTC(), Error: why, Gone: u.refused,
		},
		Schema: json.RawMessage(doubtSchema),
	})
	if err != nil {
		return nil, ended(ctx, err)
	}
	a := new(DoubtAnswer)
	if err := json.Unmarshal(raw, a); err != nil {
		return nil, fmt.Errorf("ai: the answer to %s cannot be read: %w", name, err)
	}
	return a, nil
}
