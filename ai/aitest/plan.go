package aitest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// plan is what happens to one request: an answer, a refusal, or an answer that does not
// arrive. The fake server plays it on the wire; without one it is told as the error that an
// adapter would make of it.
type plan struct {
	answer   *model.Response // what is generated, and paid, if anything
	thinking string          // before it

	status  int         // of HTTP, if not 200
	code    string      // the provider's own word; "": the one that goes with the status
	header  http.Header // sent as well
	after   time.Duration
	quota   bool
	tooLong bool
	form    Form          // of after
	text    string        // of an error
	slow    time.Duration // until the first byte
	cut     int           // bytes of the body after which the connection ends; 0: none
	silent  bool          // no byte ever comes
	endless bool          // nor does an end, but that of the caller's time
	inside  bool          // the error comes in a stream that began with 200
	request *model.Request
	err     *model.Error // from a model that is none of ours
}

// play is the plan without HTTP: what an adapter would return.
func (p plan) play(ctx context.Context, on func(model.Delta)) (*model.Response, error) {
	if p.err != nil {
		return nil, p.err
	}
	if p.endless {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if p.silent {
		idle := p.request.Idle
		if idle == 0 {
			idle = time.Minute
		}
		if err := pause(ctx, idle); err != nil {
			return nil, transient("", err)
		}
		return nil, transient("idle", fmt.Errorf("no byte came for %v", idle))
	}
	if err := pause(ctx, p.slow); err != nil {
		return nil, transient("", err)
	}
	if p.status != 0 || p.inside {
		return nil, p.failure()
	}
	if p.cut > 0 {
		e := transient("cut", errors.New("the stream ended before the answer did"))
		e.Status, e.Usage = http.StatusOK, p.answer.Usage
		return nil, e
	}
	if on != nil {
		if p.thinking != "" {
			on(model.Delta{Thinking: p.thinking})
		}
		if p.answer.Message.Text != "" {
			on(model.Delta{Text: p.answer.Message.Text})
		}
		for _, c := range p.answer.Message.Calls {
			on(model.Delta{Tool: c.Name})
			on(model.Delta{Args: string(c.Args)})
		}
		on(model.Delta{Usage: &p.answer.Usage})
	}
	return p.answer, nil
}

func transient(code string, err error) *model.Error {
	return &model.Error{Kind: model.Transient, Provider: "aitest", Code: code, Err: err}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// failure is the error of a status, as the table of errors says it.
func (p plan) failure() *model.Error {
	e := &model.Error{Provider: "aitest", Code: p.code, Status: p.status, RetryAfter: p.after, Err: errors.New(p.text)}
	if p.inside {
		e.Status = http.StatusOK
	}
	switch s := p.status; {
	case p.quota || s == http.StatusPaymentRequired:
		e.Kind = model.Quota
	case s == http.StatusTooManyRequests:
		e.Kind = model.RateLimited
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		e.Kind = model.Auth
	case s == http.StatusRequestTimeout || s == http.StatusConflict || s >= 500:
		e.Kind = model.Transient
	case p.tooLong:
		e.Kind = model.TooLong
	default:
		e.Kind = model.Invalid
	}
	return e
}
