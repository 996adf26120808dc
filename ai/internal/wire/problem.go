package wire

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// Problem is what an adapter understood of an error: a body with a status, or an event in a
// stream. It is no text for users yet, since the provider may repeat in it what it was sent.
type Problem struct {
	Kind    model.Kind // by the provider's own word; "" if it says nothing
	Code    string
	Message string
	ID      string        // of the request, if the body says it
	After   time.Duration // when to come back, if the body says it

	said bool // by the provider, or whoever stands before it, in place of an answer or of its rest
}

func (p *Problem) Error() string { return p.Code + ": " + p.Message }

// BadIndex is the error of an answer whose parts cannot be put in their places.
func BadIndex(of string, index int) error {
	return fmt.Errorf("the answer cannot be put together: it gives %s the index %d, and indexes begin with 0", of, index)
}

// longWait is a wait for which a rate limit counts as a quota.
const longWait = 15 * time.Minute

// classify says what kind of error an answer is. A status of 200 is that of an error inside a stream.
func (p *Problem) classify(status int, h http.Header, now time.Time) (model.Kind, time.Duration) {
	kind := p.Kind
	after := ComeBack(h, p.After, now)
	if status != http.StatusOK {
		switch p.Kind {
		case model.Quota, model.Auth, model.TooLong, model.Refused:
			if status >= 500 {
				kind = model.Transient
			}
		default:
			kind = byStatus(status)
		}
		if kind == model.Transient || kind == model.Invalid {
			switch strings.ToLower(h.Get("X-Should-Retry")) {
			case "true":
				kind = model.Transient
			case "false":
				kind = model.Invalid
			}
		}
	}
	if kind == "" {
		kind = model.Transient
	}
	if kind == model.RateLimited && after > longWait {
		kind = model.Quota
	}
	return kind, after
}

func byStatus(status int) model.Kind {
	switch {
	case status == 401 || status == 403:
		return model.Auth
	case status == 402:
		return model.Quota
	case status == 429:
		return model.RateLimited
	case status == 408 || status == 409 || status == 499 || status >= 500:
		return model.Transient
	}
	return model.Invalid
}

// TooLong says whether the message of an error says that a request does not fit into the window.
// Providers have a word of their own for that only at OpenAI; such messages were not seen in a live answer.
func TooLong(message string) bool {
	m := strings.ToLower(message)
	for _, phrase := range []string{
		"prompt is too long", "exceed context limit", "maximum context length", "exceeds the maximum number of tokens",
		"context length exceeded", "exceeds the context window", "exceeds the available context size",
	} {
		if strings.Contains(m, phrase) {
			return true
		}
	}
	return false
}
