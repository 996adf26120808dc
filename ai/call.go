package ai

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// call is one question with all that decides how it is asked. What a call does follows from its
// records alone, so a body that runs again walks the same road and sends nothing twice.
type call struct {
	// name is under which the call is recorded. Empty: it follows from the content and from how
	// often the step has failed.
	name string
	// position says that name is a place in a conversation. It stays the same whatever is asked there,
	// and answers of earlier attempts are good.
	position bool
	model    string // as the code says it
	fallback []string
	req      model.Request // without Model

	whole    bool // half an answer is none: an object is asked for
	keep     bool
	key      string
	prompt   string        // name and hash of the template, if there is one
	patience time.Duration // 0: none
	onDelta  func(Delta)
	streamTo string
	// ends says whether an answer that ends the call ends the stream, too; nil: it does.
	ends   func(stop Stop, text string, calls int) bool
	thread *thread // of the conversation, if there is one; else nil
	purse  *purse  // of the agent, if it has a budget; else nil

	failures int // set by ask: how often the step had failed when the answer was asked for
}

// thread remembers between the calls of one body how much of a conversation the records have. A
// conversation that only grows is hashed and written once. The zero thread is ready for use.
type thread struct {
	known int      // so many leading messages are in the records
	said  int64    // how large they are, see paper.size
	prev  string   // the list of those up to the last answer among them
	tail  []string // the others of them

	system, tools, schema, manner string // of the last call
	answer                        string // to the last call
}

// call makes a call of the settings.
func (s *settings) call(modelName string, msgs []Message) *call {
	k := &call{
		model: modelName, fallback: s.fallback, keep: s.keep, key: s.key, patience: defaultPatience, onDelta: s.onDelta, streamTo: s.streamTo,
		req: model.Request{
			System: s.system, Messages: msgs, Effort: s.effort, MaxTokens: s.maxTokens, Stop: s.stop, Cache: s.cache,
			Extra: s.extra, Idle: s.idle, Temperature: s.temperature,
		},
	}
	if k.req.MaxTokens == 0 {
		k.req.MaxTokens = defaultMaxTokens
	}
	if s.patience != nil {
		k.patience = *s.patience
	}
	if s.render != nil {
		k.prompt = s.render.version
		if k.model == "" {
			k.model = s.render.model
		}
	}
	return k
}

// ask asks once and returns the answer: the recorded one if there is one, and else what the model says after as
// many tries, pauses, waits and other models as it takes. An error that no retry can mend is permanent. When ctx
// ends before the answer is there, the error is the context's cause.
//
// j is nil outside of steps.
func (c *Client) ask(ctx context.Context, j Journal, k *call) (*Response, error) {
	if j == nil {
		j = direct{}
	}
	a, err := c.begin(j, k)
	if err != nil {
		return nil, err
	}
	defer a.release(ctx)
	for {
		m, fresh, err := a.mark(ctx)
		if err != nil {
			return nil, a.ended(ctx, err)
		}
		o := &outcome{}
		if m.Not == nil {
			if o, err = a.outcome(ctx, m, fresh); err != nil {
				return nil, a.ended(ctx, err)
			}
		}
		resp, err := a.after(ctx, m, o)
		if resp != nil || err != nil {
			return resp, a.ended(ctx, err)
		}
	}
}

// ended is an error in a context that may be over: then that is why.
func ended(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return cmp.Or(context.Cause(ctx), err)
}

// ended is the error of a call in a context that may be over: then that is why. What the engine has ended it knows itself.
func (a *asking) ended(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if cause == nil || bodyOver(cause) {
		return cmp.Or(cause, err)
	}
	return &goneError{a.k.choice(a.road.choice), cause, a.last}
}

// goneError says that the caller's own context ended before a call did.
type goneError struct {
	model string // that was due
	cause error
	last  error // of the try before; nil: none has failed
}

func (e *goneError) Error() string {
	text := fmt.Sprintf("ai: %s: the context of the call ended before the answer came: %v", e.model, e.cause)
	if e.last != nil {
		text += "; the try before had failed: " + e.last.Error()
	}
	return text
}

// Unwrap gives the error of the context alone: that is why the call failed.
func (e *goneError) Unwrap() error { return e.cause }
