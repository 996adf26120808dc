package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/durable-go/durable/ai/model"
)

const (
	maxBody    = 16 << 20 // bytes of one message or file: what a journal keeps in one piece
	maxRequest = 48 << 20
)

// asking is a call that is being made.
type asking struct {
	c    *Client
	j    Journal
	k    *call
	info StepInfo
	p    *paper
	name string
	road road

	begun []*Response // of an answer that paused

	open  opened  // the model of the try that is marked, if this body marked it
	pass  *pass   // its leave
	loan  *loan   // of what all workers share
	book  book    // of the run and those above it, if what is marked is reserved there
	out   *outlet // where the text of the try goes; nil: nowhere
	pause time.Duration
	last  error // of the last try that failed
}

// opened is a model that a name has led to.
type opened struct {
	model.Model
	spec   spec
	bucket string
	read   []byte // its answer, in the form that was recorded
}

// begin checks a call and puts it on paper.
func (c *Client) begin(j Journal, k *call) (*asking, error) {
	if _, err := json.Marshal(k.req.Extra); err != nil {
		return nil, permanent(&Error{Kind: Invalid, Model: k.model, Err: fmt.Errorf("Extra is no JSON: %w", err)})
	}
	if k.model == "" {
		return nil, permanent(&Error{Kind: Invalid, Err: errors.New("no model is named")})
	}
	a := &asking{c: c, j: j, k: k, info: j.Info(), p: write(&k.req, k.thread)}
	size := 0
	for _, b := range a.p.fresh {
		if size += len(b); len(b) > maxBody {
			return nil, permanent(&Error{Kind: Invalid, Model: k.model, Err: fmt.Errorf("a message or file has %d bytes, and may have %d", len(b), maxBody)})
		}
	}
	if size > maxRequest {
		return nil, permanent(&Error{Kind: Invalid, Model: k.model, Err: fmt.Errorf("the request has %d bytes, and may have %d", size, maxRequest)})
	}
	if _, ok := j.(streaming); k.streamTo != "" && !ok {
		return nil, permanent(&Error{Kind: Invalid, Model: k.model, Err: errors.New("StreamTo needs the step of a run: nobody could read the stream; OnDelta works anywhere")})
	}
	a.name = k.recordName(a.p, a.info.Failures)
	return a, nil
}

// mark records that a try begins, or why it cannot. fresh says that this body did so; else it is
// what was recorded before.
func (a *asking) mark(ctx context.Context) (m *mark, fresh bool, err error) {
	m, err = record(ctx, a.j, a.name+"/try", func(ctx context.Context) (*mark, error) {
		fresh = true
		if err := sleep(ctx, a.pause); err != nil {
			return nil, err
		}
		return a.prepare(ctx)
	})
	if err != nil {
		return nil, false, err
	}
	if fresh && m.Try == 1 && m.Not == nil {
		a.unlike(ctx)
	}
	if m.Not != nil && m.Held != "" {
		b, err := a.bookOf(ctx)
		if err != nil {
			return nil, false, err
		}
		if b != nil {
			b.settle(ctx, m, spending{})
		}
	}
	a.pause, a.k.failures = 0, m.Failures
	if !fresh && m.Not == nil && a.k.purse != nil {
		a.k.purse.add(m.reserved())
	}
	if t := a.k.thread; t != nil && m.Not == nil {
		if *t = (thread{}); same(m, a.p) {
			*t = a.p.next
		}
	}
	return m, fresh, nil
}

// unlike logs that a call which is known by what it asks is asked afresh, though the body runs again and has records of calls to which it
// has not come: the text may differ each time.
func (a *asking) unlike(ctx context.Context) {
	j, ok := a.j.(interface {
		unvisited(ctx context.Context, prefix string) []string
	})
	if !ok || a.k.name != "" || a.k.key != "" {
		return
	}
	const length = len("ai:") + hashDigits
	var unused []string
	for _, name := range j.unvisited(ctx, "ai:") {
		if len(name) >= length && name[length:] == a.name[length:] { // of the same attempts, and no "/try"
			unused = append(unused, name)
		}
	}
	if len(unused) > 0 {
		logger(ctx).Warn("a call of a model is asked afresh, while recorded answers of this step are not used: text that differs each time, such as "+
			"the time, chance or the order of a map, makes another call of it each time; give it a Key", "call", a.name, "unused", unused[:min(len(unused), 5)])
	}
}

// same says whether a mark recorded exactly this paper. If not, the code has changed since.
func same(m *mark, p *paper) bool {
	if m.List != p.list || m.System != p.system || m.Tools != p.tools || m.Schema != p.schema || m.Manner != p.manner || len(m.New) != len(p.tail) {
		return false
	}
	for i, h := range m.New {
		if p.tail[i] != h {
			return false
		}
	}
	return true
}

// sleep pauses a try. It is not durable, and short.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// prepare makes the mark of a try that is about to be sent, and keeps what it is made of.
func (a *asking) prepare(ctx context.Context) (*mark, error) {
	now := time.Now()
	m := &mark{
		Try: a.road.tries + 1, Failures: a.info.Failures, Crashes: a.info.Crashes, Choice: a.road.choice, Asked: a.k.model, At: now.UnixMicro(),
		Prompt: a.k.prompt,
	}
	var err error
	if a.open, err = a.c.open(a.k.choice(a.road.choice)); err != nil {
		m.Model, m.Not = a.open.spec.String(), &refusal{Error: failingOf(a.c.named(err, a.k.choice(a.road.choice)))}
		return m, nil
	}
	m.Model = a.open.spec.String()
	m.Input, m.Output = a.p.size/quarters, int64(a.maxTokens())
	m.Reserved = a.c.prices.most(a.open.spec.provider, a.open.spec.name, m.Input, m.Output, a.k.req.Cache)
	if a.open.spec.url != "" {
		m.Reserved = nil
	}
	if m.Not, err = a.room(ctx, m); m.Not != nil || err != nil {
		return m, err
	}
	if no, err := a.openStream(ctx); no != nil || err != nil {
		a.giveBack(ctx, m)
		m.Not = no
		return m, err
	}
	m.System, m.Tools, m.Schema, m.Manner, m.List, m.New = a.p.system, a.p.tools, a.p.schema, a.p.manner, a.p.list, a.p.tail
	if err := a.p.keep(ctx, a.j); err != nil {
		a.giveBack(ctx, m)
		return nil, err
	}
	return m, nil
}

// room finds room for a try within rates and budgets and takes it, or says why there is none.
func (a *asking) room(ctx context.Context, m *mark) (*refusal, error) {
	b, err := a.bookOf(ctx)
	if err != nil {
		return nil, err
	}
	if m.Reserved == nil && (b != nil && b.onlyMoney() || a.k.purse != nil && a.k.purse.onlyMoney()) {
		return &refusal{Error: failingOf(&Error{
			Kind: Invalid, Model: m.Model, Err: errors.New("its price is not known, and the budget is of money alone: give the budget Tokens or Calls, too, or the model a price"),
		})}, nil
	}
	if no, err := a.admitted(ctx, m); no != nil || err != nil {
		return no, err
	}
	need := m.reserved()
	if a.k.purse != nil {
		no, warn := a.k.purse.reserve(need)
		if no != nil {
			a.unadmit(ctx)
			return &refusal{Budget: no}, nil
		}
		if warn {
			warned(ctx, a.k.purse.of, a.k.purse.budget)
		}
	}
	if b != nil { // the last one: it stands as soon as it is taken
		no, err := b.reserve(ctx, m)
		if no != nil || err != nil {
			a.giveBack(ctx, m)
			return refusing(no, m, err)
		}
		a.book = b
	}
	return nil, nil
}

// refusing is the refusal for want of room in a budget, or for an error that another try does not mend.
func refusing(no *overrun, m *mark, err error) (*refusal, error) {
	var e *Error
	switch {
	case no != nil:
		return &refusal{Budget: no}, nil
	case errors.As(err, &e):
		e.Model = m.Model
		return &refusal{Error: failingOf(e)}, nil
	}
	return nil, err
}

// giveBack undoes what room took: nothing is sent. What a mark that says so has reserved in the store is settled once that is recorded.
func (a *asking) giveBack(ctx context.Context, m *mark) {
	if a.k.purse != nil {
		a.k.purse.settle(m.reserved(), spending{})
	}
	if a.book != nil {
		a.book.unmade(m)
		a.book = nil
	}
	a.unadmit(ctx)
}

// release ends what was taken for the time of one try.
func (a *asking) release(ctx context.Context) {
	a.vacate(ctx)
	a.pass.release()
	a.pass = nil
}

// choice is the model of the nth choice, as the code says it.
func (k *call) choice(n int) string {
	if n == 0 {
		return k.model
	}
	return k.fallback[n-1]
}

func (a *asking) maxTokens() int {
	n := a.k.req.MaxTokens
	if a.road.doubled {
		n *= 2
	}
	return n
}

// outcome sends the request of a fresh mark and records what becomes of it. A mark that is not fresh and has
// no outcome is that of a try which was cut off.
func (a *asking) outcome(ctx context.Context, m *mark, fresh bool) (*outcome, error) {
	var answer []byte
	o, err := record(ctx, a.j, a.name, func(ctx context.Context) (*outcome, error) {
		if !fresh {
			return &outcome{Interrupted: true, Orderly: a.info.Crashes <= m.Crashes}, nil
		}
		o, body, err := a.send(ctx, m)
		if err != nil {
			return nil, err
		}
		if body != nil {
			if o.Answer, err = a.j.Blob(ctx, body); err != nil {
				return nil, err
			}
			answer = body
			a.endStream(ctx, o)
		}
		return o, nil
	})
	a.release(ctx)
	if err != nil {
		return nil, err
	}
	if !fresh && m.Held != "" { // whoever made it may have died before it was settled
		if _, err := a.bookOf(ctx); err != nil {
			return nil, err
		}
	}
	if a.k.purse != nil {
		a.k.purse.settle(m.reserved(), m.real(o))
	}
	if a.book != nil {
		a.book.settle(ctx, m, m.real(o))
		a.book = nil
	}
	if answer != nil && hashOf(answer) == o.Answer {
		a.open.read = answer
	}
	return o, nil
}

// send asks the model. The error is that of a context which ended: then nothing is known of the try.
func (a *asking) send(ctx context.Context, m *mark) (*outcome, []byte, error) {
	req := a.k.req
	req.Model, req.MaxTokens = a.open.spec.name, a.maxTokens()
	began := time.Now()
	o := &outcome{}
	on := func(d Delta) {
		if o.First == 0 {
			o.First = max(time.Since(began).Microseconds(), 1)
		}
		if a.k.onDelta != nil {
			a.k.onDelta(d)
		}
		a.out.write(ctx, d.Text)
	}
	resp, err := a.open.Generate(ctx, &req, on)
	if err == nil && resp == nil {
		err = errors.New("the model returned no answer and no error")
	}
	if err != nil && ctx.Err() != nil {
		cause := context.Cause(ctx)
		if bodyOver(cause) {
			return nil, nil, cause
		}
		o.Gone = "cancelled"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			o.Gone = "deadline"
		}
		o.At = time.Now().UnixMicro()
		return o, nil, nil
	}
	if err != nil {
		e := a.c.classify(err, a.k.choice(m.Choice), m, &a.k.req)
		o.Error, o.Lost, o.At = failingOf(e), mayBePaid(e), time.Now().UnixMicro()
		if e.Usage != (Usage{}) {
			o.Usage = plausible(e.Usage)
		}
		a.settle(ctx, m, o, e.Headroom)
		return o, nil, nil
	}
	o.Stop, o.Served, o.RequestID, o.Confidence, o.At = resp.Stop, clip(resp.Served, 200), clip(resp.RequestID, 100), resp.Confidence, time.Now().UnixMicro()
	o.Usage = plausible(resp.Usage)
	msg := resp.Message
	msg.Role = Assistant
	a.out.answered(&msg)
	own, files := messageBodies(&msg)
	if n := longest(append(files, own)); n > maxBody {
		o = &outcome{At: o.At, Usage: o.Usage, Error: failingOf(&Error{
			Kind: BadAnswer, Model: m.Model, RequestID: resp.RequestID, Err: fmt.Errorf("the answer has %d bytes, and may have %d", n, maxBody),
		})}
		a.settle(ctx, m, o, resp.Headroom)
		return o, nil, nil
	}
	a.settle(ctx, m, o, resp.Headroom)
	for _, f := range files {
		if _, err := a.j.Blob(ctx, f); err != nil {
			return nil, nil, err
		}
	}
	return o, own, nil
}

// longest is how many bytes the longest body has.
func longest(list []body) (n int) {
	for _, b := range list {
		n = max(n, len(b))
	}
	return n
}

// maxTokensSaid is more than any request takes.
const maxTokensSaid = 1 << 40

// plausible is a usage that can be counted: a provider that says less than nothing makes no room in a budget, and no sum
// runs over.
func plausible(u Usage) *Usage {
	for _, n := range []*int64{&u.Input, &u.CacheRead, &u.CacheWrite, &u.Output, &u.Reasoning} {
		if *n < 0 || *n > maxTokensSaid {
			*n, u.Estimated = min(max(*n, 0), maxTokensSaid), true
		}
	}
	return &u
}

// response is the answer of an outcome, read from the records also the first time.
func (a *asking) response(ctx context.Context, m *mark, o *outcome) (*Response, error) {
	raw := a.open.read
	if raw == nil {
		var err error
		if raw, err = a.j.ReadBlob(ctx, o.Answer); err != nil {
			return nil, fmt.Errorf("ai: the recorded answer of %s cannot be read: %w", a.name, err)
		}
	}
	msg, err := readMessage(raw, func(hash string) ([]byte, error) { return a.j.ReadBlob(ctx, hash) })
	if err != nil {
		return nil, err
	}
	if t := a.k.thread; t != nil {
		t.answer = o.Answer
	}
	r := &Response{
		Message: msg, Stop: o.Stop, Asked: m.Asked, Served: served(m, o), RequestID: o.RequestID, Confidence: o.Confidence,
	}
	if o.Usage != nil {
		r.Usage = *o.Usage
	}
	r.Cost = costOf(o.Cost)
	return r, nil
}

// jitter is a pause before the nth try after the first: full jitter under a ceiling that doubles.
func jitter(n int) time.Duration {
	ceiling := min(time.Second<<min(n, 5), maxPause)
	return time.Duration(rand.Int64N(int64(ceiling)) + 1)
}

// maxPause is the longest pause within a call that is not durable.
const maxPause = 30 * time.Second
