package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What a call puts up with.
const (
	quickTries   = 4                // of one model, in the call
	crashLimit   = 5                // tries in a row that were cut off by a crash
	bareLimit    = 10               // refusals for the rate, in a row, that did not say for how long
	longestWait  = 15 * time.Minute // what is to wait for longer is a quota
	firstNap     = time.Minute      // of an overload
	longestNap   = 10 * time.Minute
	firstCool    = 30 * time.Second // of a rate limit that says nothing
	longestCool  = 10 * time.Minute
	quotaHold    = time.Hour
	authHold     = 10 * time.Minute
	quickHolds   = 12 // after so many, a key is tried hourly too
	longestQuota = 24 * time.Hour
)

// road is how far a call has come. It follows from the records alone.
type road struct {
	tries   int
	choice  int // which model is next
	quick   int // tries of that model that were overloaded, in this round
	round   int // naps so far
	bare    int
	cut     int // tries in a row that were cut off by a crash
	holds   int
	odd     int
	doubled bool
	begun   int64 // microseconds
}

// after decides what follows from a try: an answer, an error, or neither: then another try is due, and after
// has waited for it as long as that needs.
func (a *asking) after(ctx context.Context, m *mark, o *outcome) (*Response, error) {
	r := &a.road
	if r.tries++; r.begun == 0 {
		r.begun = m.At
	}
	r.choice = min(m.Choice, len(a.k.fallback))
	if !o.Interrupted {
		r.cut = 0
	}
	switch {
	case m.Not != nil && m.Not.Error == nil:
		return nil, a.wait(ctx, m)
	case m.Not != nil:
		return nil, a.fail(m, m.Not.Error.err(nil))
	case o.Orderly: // a stop of the worker, as for a deploy, or the end of the attempt
		return nil, nil
	case o.Interrupted:
		if r.cut++; r.cut >= crashLimit {
			return nil, a.fail(m, crashed(&Error{
				Kind: Transient, Model: m.Model, Code: "crash_limit",
				Err: fmt.Errorf("%d tries in a row were cut off by a crash before their answer was recorded; each may have been paid", r.cut),
			}))
		}
		return nil, nil
	case o.Gone != "":
		return nil, a.fail(m, &goneError{m.Model, goneAs(o.Gone), a.last})
	case o.Error != nil:
		return nil, a.failed(ctx, m, o, o.Error.err(o.Usage))
	}
	kind := Kind("")
	switch {
	case o.Stop == StopRefused:
		kind = Refused
	case o.Stop == StopTooLong:
		kind = TooLong
	case o.Stop == StopLength:
		kind = Truncated
	}
	resp, err := a.response(ctx, m, o)
	if err != nil {
		return nil, err
	}
	if o.Stop == StopPause && len(a.begun) < maxPauses {
		a.goOn(resp)
		return nil, nil
	}
	if kind == "" || kind == Truncated && !a.k.whole && len(resp.Message.Calls) == 0 {
		return a.whole(resp), nil
	}
	e := &Error{Kind: kind, Model: m.Model, Code: string(o.Stop), Status: 200, RequestID: o.RequestID, Usage: resp.Usage}
	switch kind {
	case Refused:
		e.Err = errors.New("the model or its provider will not answer this; Fallback names another model to ask")
	case TooLong:
		e.Err = errors.New("the request and its answer do not fit into the model's window; shorten it, or name a Fallback with a larger one")
	case Truncated:
		e.Err = fmt.Errorf("the answer is longer than %d tokens; raise MaxTokens", m.Output)
	}
	return nil, a.failed(ctx, m, o, e)
}

// goneAs is the error of a context that ended, as it was recorded.
func goneAs(how string) error {
	if how == "deadline" {
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// fail ends the call, unless that error has ended an earlier attempt already.
func (a *asking) fail(m *mark, err error) error {
	if m.Failures < a.info.Failures {
		a.road = road{tries: a.road.tries}
		a.pause = 0
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		switch e.Kind {
		case Invalid, TooLong, Refused, Truncated, OutOfTurns:
			return permanent(err)
		}
	}
	return err
}

// failed decides after an error: nil means that another try is due.
func (a *asking) failed(ctx context.Context, m *mark, o *outcome, e *Error) error {
	r := &a.road
	a.last = e
	last := r.choice >= len(a.k.fallback)
	switch e.Kind {
	case Transient:
		return a.overloaded(ctx, m, o, e, last)
	case RateLimited:
		if e.RetryAfter > 0 {
			r.bare = 0
		} else {
			r.bare++
		}
		if e.RetryAfter > longestWait || r.bare >= bareLimit {
			return a.hold(ctx, m, e, min(max(e.RetryAfter, longestWait), longestQuota))
		}
		d := e.RetryAfter
		if d == 0 {
			d = bareNap(r.bare)
		}
		if !a.info.CanWait {
			return a.fail(m, e)
		}
		return a.j.Sleep(ctx, "ai.rate", d)
	case Quota:
		d := quotaHold
		if e.RetryAfter > 0 {
			d = min(e.RetryAfter, longestQuota)
		}
		return a.hold(ctx, m, e, d)
	case Auth:
		d := authHold
		if r.holds >= quickHolds {
			d = quotaHold
		}
		return a.hold(ctx, m, e, d)
	case TooLong, Refused:
		if !last {
			r.choice, r.quick, r.doubled = r.choice+1, 0, false
			return nil
		}
	case Truncated:
		if !r.doubled {
			r.doubled = true
			return nil
		}
	case BadAnswer: // the provider could not read its model's answer
		if r.odd++; r.odd == 1 {
			return nil
		}
	}
	return a.fail(m, e)
}

// bareNap is how long to wait after the nth refusal for the rate in a row that does not say for how long.
func bareNap(n int) time.Duration { return min(firstCool<<min(n-1, 10), longestCool) }

// overloaded tries again soon, then another model, then later, then no more.
func (a *asking) overloaded(ctx context.Context, m *mark, o *outcome, e *Error, last bool) error {
	r := &a.road
	tries := quickTries
	if r.round > 0 {
		tries = 1
	}
	r.quick++
	if r.quick < tries && e.RetryAfter <= maxPause {
		a.pause = max(jitter(r.quick), e.RetryAfter)
		return nil
	}
	if r.quick = 0; !last {
		r.choice++
		return nil
	}
	nap := max(min(firstNap<<min(r.round, 10), longestNap), e.RetryAfter)
	if !a.info.CanWait || time.Duration(o.At-r.begun)*time.Microsecond+nap > a.k.patience {
		return a.fail(m, e)
	}
	r.round++
	r.choice = 0
	return a.j.Sleep(ctx, "ai.overload", nap)
}

// wait lets time pass until there may be room within the rates, or somebody raises a budget.
func (a *asking) wait(ctx context.Context, m *mark) error {
	if m.Not.Budget != nil {
		return a.overBudget(ctx, m)
	}
	d := time.Duration(m.Not.Wait)
	if !a.info.CanWait {
		return a.fail(m, &Error{Kind: RateLimited, Model: m.Model, RetryAfter: d, Err: errors.New("the limits of this configuration leave no room for it now")})
	}
	return a.j.Sleep(ctx, "ai.rate", d)
}

// hold asks a person what to do, and tries again by itself after d.
func (a *asking) hold(ctx context.Context, m *mark, e *Error, d time.Duration) error {
	if !a.info.CanWait {
		return a.fail(m, e)
	}
	if e.Kind == RateLimited {
		e.Kind = Quota
	}
	a.road.holds++
	answer, err := a.j.Ask(ctx, "ai.hold", Question{
		Prompt:  "A model cannot be asked: " + clip(e.Error(), 500) + ". It is tried again by itself, or when you say so.",
		Details: holdDetails{Reason: string(e.Kind), Model: m.Model, Asked: m.Asked, Again: d.String()},
		Schema:  json.RawMessage(`{"type":"string","enum":["try again","fail"]}`),
		Timed:   true, Timeout: d, Default: json.RawMessage(`"try again"`),
	})
	if err != nil {
		return err
	}
	if string(answer) == `"fail"` {
		return a.fail(m, permanent(e))
	}
	a.road.bare, a.road.quick = 0, 0
	return nil
}

// holdDetails is what people see of a hold.
type holdDetails struct {
	Reason string `json:"reason"`
	Model  string `json:"model"`
	Asked  string `json:"asked"`
	Again  string `json:"again"` // after which time it is tried again by itself
}
