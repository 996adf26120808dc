package ai

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// classify makes an *Error of what a model returned, which may be anything, and takes the prompt out of its text.
func (c *Client) classify(err error, asked string, m *mark, r *model.Request) *Error {
	var e *Error
	if !errors.As(err, &e) { // of a model that does not know our errors: it may be the network
		e = &Error{Kind: Transient, Err: err, Unpaid: undialled(err)}
	}
	e = c.named(e, asked)
	out := *e
	if out.Model == "" {
		out.Model = m.Model
	}
	if out.Err != nil {
		out.Err = errors.New(c.redact(withoutPrompt(clip(out.Err.Error(), maxErrorText), r)))
	}
	out.Code = c.redact(out.Code)
	if out.Kind == TooLong {
		out.Err = tooLong(out.Err)
	}
	return &out
}

// undialled says whether the error of a network is that there was no connection.
func undialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// mayBePaid says whether a try that failed so may have been paid, though nobody says what it has used: the request left and no answer
// came, or one that broke off. What was refused costs nothing.
func mayBePaid(e *Error) bool {
	if e.Unpaid || e.Usage != (Usage{}) || e.Status != 0 && e.Status != 200 {
		return false
	}
	switch e.Kind {
	case Transient, BadAnswer, Refused, Truncated:
		return true
	}
	return false
}

// tooLong says what to do about a request that does not fit; what the provider says of its window stands first.
func tooLong(err error) error {
	const advice = "the request does not fit into the model's window; shorten it, or name a Fallback with a larger one"
	if err == nil {
		return errors.New(advice)
	}
	return errors.New(advised(err, advice))
}

// echo is from which length on a piece of a prompt is recognised in the text of an error.
const echo = 16

// withoutPrompt takes out of an error's text what providers repeat of the request: it is to be in no log. Nor is what would be a
// command to the terminal of who reads one.
func withoutPrompt(text string, r *model.Request) string {
	common := wire.NewCommon(text)
	hidden := common.Cut
	hide := func(part string) {
		if len(part) >= 4 {
			common.Mark(part, min(echo, len(part)))
		}
	}
	hide(r.System)
	for _, m := range r.Messages {
		hide(m.Text)
		for _, call := range m.Calls {
			hide(string(call.Args))
		}
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString("[…]")
		}
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' && c != '\t' || unicode.Is(unicode.Bidi_Control, c) {
			return '\uFFFD'
		}
		return c
	}, strings.ToValidUTF8(b.String(), "\uFFFD"))
}

// served is the model that answered, in full.
func served(m *mark, o *outcome) string {
	where, _, _ := strings.Cut(m.Model, ":")
	if o.Served == "" || strings.Contains(where, "@") || strings.HasPrefix(o.Served, where+":") {
		return m.Model
	}
	return where + ":" + o.Served
}

// settle gives an outcome its cost and tells the limits what really happened.
func (a *asking) settle(ctx context.Context, m *mark, o *outcome, h *model.Headroom) {
	s := a.open.spec
	if o.Usage != nil && s.url == "" {
		name := o.Served
		if name == "" {
			name = s.name
		}
		p := a.c.prices
		if o.Cost = p.cost(s.provider, name, *o.Usage, a.k.req.Cache); o.Cost == nil && name != s.name {
			o.Cost = p.cost(s.provider, s.name, *o.Usage, a.k.req.Cache)
		}
	}
	used := o.Usage
	if o.Lost {
		used = m.guess()
	}
	a.pass.settle(used, h, s.provider)
	a.repay(ctx, used, false)
	if e := o.Error; e != nil && e.Kind == RateLimited {
		d := time.Duration(e.RetryAfter)
		if d <= 0 {
			d = bareNap(a.road.bare + 1)
		}
		d = min(d, longestQuota)
		a.c.rates.cooling(a.open.bucket, d)
		a.coolEverywhere(ctx, d)
	}
}
