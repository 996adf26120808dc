package aitest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/ai/internal/wire"
	"github.com/durable-go/durable/ai/model"
)

// reply writes one answer, or what is left of it.
type reply struct {
	server  *Server
	dialect dialect
	w       http.ResponseWriter
	rc      *http.ResponseController
	call    *Call
	ctx     context.Context
	asked   asked
	abort   bool // the connection is to end

	left    int  // bytes until it ends; negative: it does not
	settled bool // the call is counted
}

func (o *reply) settle() {
	if !o.settled {
		o.settled = true
		o.server.ledger.end(o.call)
	}
}

// last writes the end of an answer, which is counted as delivered unless that fails.
func (o *reply) last(b []byte, whole bool) {
	o.call.Delivered = whole && (o.left < 0 || len(b) <= o.left)
	o.settle()
	if !o.write(b) && o.call.Delivered {
		o.server.ledger.lost(o.call)
	}
}

// refuse is an error without a plan.
func (o *reply) refuse(f fault) {
	status, body := o.dialect.problem(f, o.call.RequestID)
	o.json(status, body)
}

// play does what a plan says.
func (o *reply) play(p plan) {
	for name, values := range p.header {
		o.w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if p.silent {
		if p.slow == 0 {
			<-o.ctx.Done() // until the client or the server goes
		}
		_ = o.hold(p.slow)
		o.abort = true
		return
	}
	if o.hold(o.server.opts.First) != nil || o.hold(p.slow) != nil {
		// The client has left. What it asked for was generated all the same.
		if o.call.Paid = p.answer != nil; o.call.Paid {
			o.call.Usage = p.answer.Usage
		}
		o.abort = true
		return
	}
	f := fault{status: p.status, code: p.code, text: p.text, quota: p.quota, tooLong: p.tooLong}
	if p.after > 0 && p.status == http.StatusTooManyRequests || p.after > 0 && p.status >= 500 {
		f.after = o.comeBack(p.after, p.form)
	}
	a := o.answered(p)
	switch {
	case p.status != 0 && !p.inside:
		o.refuse(f)
	case p.inside && o.asked.stream:
		o.left = -1
		o.stream(append(o.dialect.stream(a)[:2:2], o.dialect.inside(f, 2)), false)
	case p.inside:
		o.refuse(f)
	default:
		o.call.Paid, o.call.Usage = true, a.Usage
		o.answer(a, p.cut)
	}
}

// answered is the answer of a plan; for one that fails in its middle, some text.
func (o *reply) answered(p plan) answered {
	r := p.answer
	if r == nil {
		r = &model.Response{Message: model.Message{Text: "This answer was about to say"}, Stop: model.StopEnd, Usage: model.Usage{Input: 1, Output: 1}}
	}
	out := *r
	if out.Served == "" {
		out.Served = o.call.Model
	}
	return answered{
		Response: &out, asked: o.asked, thinking: p.thinking,
		id: strings.TrimPrefix(o.call.RequestID, "req_"), created: o.call.At.Unix(), chunk: o.server.opts.Chunk,
	}
}

// ConfidenceHeader is a header that carries the Confidence of an answer, for which no wire has a place. No
// provider sends it, and the adapters do not look for it: who wants it brings an http.Client that does.
const ConfidenceHeader = "Aitest-Confidence"

// answer sends an answer that may end early: at the latest one byte before its end.
func (o *reply) answer(a answered, cut int) {
	if a.Confidence != nil {
		o.w.Header().Set(ConfidenceHeader, strconv.FormatFloat(*a.Confidence, 'g', -1, 64))
	}
	if a.stream {
		events := o.dialect.stream(a)
		o.left = -1
		if cut > 0 {
			size := 0
			for _, e := range events {
				size += len(encode(e))
			}
			o.left = min(cut, size-1)
		}
		o.stream(events, true)
		return
	}
	body, err := wire.Marshal(o.dialect.whole(a))
	if err != nil {
		o.refuse(fault{status: http.StatusInternalServerError, text: err.Error()})
		return
	}
	o.left = -1
	if cut > 0 {
		o.left = min(cut, len(body)-1)
	}
	o.w.Header().Set("Content-Type", "application/json")
	o.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	o.w.WriteHeader(http.StatusOK)
	o.call.Status = http.StatusOK
	o.last(body, true)
}

// encode is an event as it goes over the wire.
func encode(e wire.Event) []byte {
	var b strings.Builder
	_ = wire.WriteEvent(&b, e.Name, e.Data)
	return []byte(b.String())
}

func (o *reply) stream(events []wire.Event, whole bool) {
	o.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	o.w.Header().Set("Cache-Control", "no-cache")
	o.w.WriteHeader(http.StatusOK)
	o.call.Status = http.StatusOK
	for i, e := range events {
		if i > 0 && o.hold(o.server.opts.Delay) != nil {
			o.abort = true
			return
		}
		if i == len(events)-1 {
			o.last(encode(e), whole)
		} else if !o.write(encode(e)) {
			return
		}
	}
}

// write sends bytes as long as the connection is to last, and says whether all of them went out.
func (o *reply) write(b []byte) bool {
	cut := o.left >= 0 && len(b) > o.left
	if cut {
		b = b[:o.left]
	}
	if o.left >= 0 {
		o.left -= len(b)
	}
	_, err := o.w.Write(b)
	if flushed := o.rc.Flush(); err == nil {
		err = flushed
	}
	o.abort = o.abort || cut || err != nil
	return !cut && err == nil
}

func (o *reply) json(status int, body any) {
	b, err := wire.Marshal(body)
	if err != nil {
		b = []byte("{}")
	}
	o.w.Header().Set("Content-Type", "application/json")
	o.w.WriteHeader(status)
	o.call.Status = status
	o.settle()
	_, _ = o.w.Write(b)
}

// hold passes time, until the client or the server goes.
func (o *reply) hold(d time.Duration) error { return pause(o.ctx, d) }

// comeBack says when to come back, in the form asked for: in a header, or returned for the body.
func (o *reply) comeBack(d time.Duration, form Form) (inBody string) {
	h := o.w.Header()
	whole := (d + time.Second - 1).Truncate(time.Second) // dates have no fractions
	switch form {
	case InMillis:
		h.Set("Retry-After-Ms", strconv.FormatInt(d.Milliseconds(), 10))
	case InFraction:
		h.Set("Retry-After", strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	case AsDate:
		h.Set("Retry-After", time.Now().Add(whole).UTC().Format(http.TimeFormat))
	case AsReset:
		if o.dialect.name() == wire.Gemini {
			return fmt.Sprintf("%gs", d.Seconds())
		}
		wire.WriteHeadroom(h, o.dialect.name(), model.Headroom{Requests: model.Window{Limit: 50, Reset: whole}}, time.Now())
	default:
		if o.dialect.name() == wire.Gemini {
			return fmt.Sprintf("%gs", d.Seconds())
		}
		h.Set("Retry-After", strconv.FormatInt(int64(whole/time.Second), 10))
	}
	return ""
}
