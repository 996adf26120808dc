package ai

import (
	"context"
	"errors"

	"github.com/durable-go/durable/ai/model"
)

// GenerateText asks a model and returns the text of its answer. Inside a step it is a durable call: paid once,
// and kept through crashes, waits and deploys. When the step itself fails, its next attempt asks afresh, unless the
// call has Keep.
//
// modelName is a name that configuration explains, such as "smart", or provider:name. An overload is waited out, for
// as long as Patience says; a rate limit is waited for; a quota and a bad key ask a person. An error is an *Error
// whose Kind says what went wrong; what no retry mends is permanent. Outside of steps, and in those that are
// AtMostOnce, nothing waits: that is an error too.
//
// A text that ended because of MaxTokens is returned as it is; Result tells by Stop.
func GenerateText(ctx context.Context, modelName, prompt string, opts ...Option) (string, error) {
	s := settle(opts)
	if s.repair != nil {
		s.wrong("Repair is for objects")
	}
	msgs, err := s.messages(prompt)
	if err != nil {
		return "", err
	}
	resp, err := generate(ctx, s, modelName, msgs)
	if err != nil {
		return "", err
	}
	return resp.Message.Text, nil
}

// Generate asks with a whole conversation, whose last message is the user's, and returns the full response. It records and waits
// as GenerateText does.
func Generate(ctx context.Context, modelName string, msgs []Message, opts ...Option) (*Response, error) {
	s := settle(opts)
	if s.repair != nil {
		s.wrong("Repair is for objects")
	}
	if len(s.before) > 0 || len(s.files) > 0 || s.render != nil {
		s.wrong("Messages, Files and Render make a prompt; Generate has a whole conversation: put them there")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return generate(ctx, s, modelName, msgs)
}

// messages are those of a prompt and what the options put around it.
func (s *settings) messages(prompt string) ([]Message, error) {
	if s.render != nil {
		if prompt != "" {
			s.wrong("Render makes the prompt; leave it empty")
		}
		prompt = s.render.text
	}
	if prompt == "" && len(s.files) == 0 {
		s.wrong("the prompt is empty")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return append(s.before[:len(s.before):len(s.before)], Message{Role: User, Text: prompt, Files: s.files}), nil
}

func generate(ctx context.Context, s *settings, modelName string, msgs []Message) (*Response, error) {
	if err := checkMessages(msgs); err != nil {
		return nil, err
	}
	c, err := clientOf(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.ask(ctx, journalOf(ctx), s.call(modelName, msgs))
	if err != nil {
		return nil, err
	}
	if s.result != nil {
		*s.result = *resp
	}
	return resp, nil
}

// checkMessages refuses conversations that no provider takes.
func checkMessages(msgs []Message) error {
	bad := func(text string) error { return permanent(&Error{Kind: Invalid, Err: errors.New(text)}) }
	if len(msgs) == 0 {
		return bad("there are no messages")
	}
	for i := range msgs {
		switch m := &msgs[i]; {
		case m.Role != User && m.Role != Assistant && m.Role != model.Tool:
			return bad("a message has the role " + string(m.Role) + "; the roles are user, assistant and tool, and System is an option")
		case len(m.Files) > 0 && m.Role != User:
			return bad("only messages of the user have files")
		}
	}
	if msgs[len(msgs)-1].Role == Assistant {
		return bad("the last message is the model's own; ask something")
	}
	return nil
}
