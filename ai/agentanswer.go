package ai

import (
	"context"
	"fmt"
)

// wanted is an answer that is to come as a call of a tool.
type wanted struct {
	tool     *tool
	args     []byte
	done     bool
	reminded int
}

// answerTool is the name of the tool by which a model gives its answer.
const answerTool = "answer"

// RunFor runs an agent until it gives an answer of type T: it has one more tool, "answer", whose schema is that of T. An
// answer that does not fit T, or that T's method Validate() error refuses, goes back to the model, which may correct it within
// MaxTurns. A model that answers with plain text is reminded once; the second time is an error of kind BadAnswer. An
// answer that was accepted is asked for again only if it does not fit any more, because T has changed.
func RunFor[T any](ctx context.Context, a Agent, prompt string, opts ...Option) (T, *AgentResult, error) {
	var zero T
	c, err := clientOf(ctx)
	if err != nil {
		return zero, nil, err
	}
	w, read, err := wantedFor[T](c)
	if err != nil {
		return zero, nil, err
	}
	v, err := a.start(ctx, w, opts)
	if err != nil {
		return zero, nil, err
	}
	if err := v.say(prompt); err != nil {
		return zero, nil, err
	}
	r, err := v.run(ctx)
	if err != nil {
		return zero, r, err
	}
	v.wants, w.done = nil, false // what follows is an ordinary conversation
	delete(v.tools, answerTool)
	v.defs = v.defs[:len(v.defs)-1]
	t, err := read(w.args)
	return t, r, err
}

// wantedFor is the tool for an answer of type T, and how the answer is read from its arguments.
func wantedFor[T any](c *Client) (*wanted, func([]byte) (T, error), error) {
	f, err := formOf[T](&c.forms)
	if err != nil {
		return nil, nil, err
	}
	read := func(args []byte) (v T, err error) {
		if err = decodeAnswer(f, args, &v); err == nil {
			err = validate(&v)
		}
		return v, err
	}
	t := &tool{
		name: answerTool, description: "Call this alone and once, when you have the final answer. It ends the conversation.",
		schema: f.schema, reader: f.reader, check: func(args []byte) error { _, err := read(args); return err },
	}
	t.maxOutput = defaultOutput
	return &wanted{tool: t}, read, nil
}

// take looks for the answer in a turn. One that comes with other calls was given without knowing what they say. What was
// refused once stays so. What was accepted does, too, unless it does not fit any more, since T has changed: then that is
// recorded behind it, and the model is told, which may give another answer.
func (w *wanted) take(ctx context.Context, v *conversation, uses []*use) error {
	for _, u := range uses {
		if u.tool != w.tool {
			continue
		}
		name := v.name("tool", u.at())
		switch {
		case v.j.Recorded(ctx, name+"/try"): // older code had a tool of that name
			u.refused = "this was no call for the final answer; call " + answerTool + " again"
			continue
		case len(uses) > 1:
			u.refused = "call " + answerTool + " alone and once, when you have seen the results of all other calls"
			continue
		}
		o, err := v.read(ctx, u, func(context.Context) (*toolOutcome, string, error) {
			if u.refused != "" {
				return &toolOutcome{Refused: true}, u.refused, nil
			}
			return &toolOutcome{}, "The answer is accepted.", nil
		})
		if err != nil {
			return err
		}
		if w.args, w.done = u.args, !o.Refused; !w.done || u.refused == "" && !v.j.Recorded(ctx, name) {
			continue
		}
		w.done = false
		if _, err := v.read(ctx, u, func(context.Context) (*toolOutcome, string, error) {
			return &toolOutcome{Refused: true}, "this answer is not taken any more, since what is asked for has changed: " + u.refused + "; call " + answerTool + " again", nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// remind tells a model that has answered with text how to answer.
func (w *wanted) remind(v *conversation) error {
	if w.reminded++; w.reminded > 1+v.info.Failures { // else that ended an earlier attempt
		return &Error{
			Kind: BadAnswer, Model: v.agent.Model,
			Err: fmt.Errorf("agent %s answered with plain text twice, and not with its tool %s", v.label, answerTool),
		}
	}
	v.messages = append(v.messages, Message{Role: User, Text: "Give the final answer by calling the tool " + answerTool + "; if something is missing, use the other tools first."})
	return nil
}
