package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// DefaultIdle is how long a try waits for the next byte, unless the request says.
const DefaultIdle = 60 * time.Second

// maxProblem is how much of the body of an error is read, in bytes.
const maxProblem = 1 << 20

// Ask is one try: what to send, and how to understand what comes.
type Ask struct {
	Path      string // after the base URL, with its slash
	Header    http.Header
	Body      []byte
	Request   *model.Request
	Answer    Answer
	RequestID []string // headers that may hold it
	Problem   func(status int, body []byte) *Problem
}

// Answer collects what a model says. Its errors are a *Problem, or any other error, which means
// that what came cannot be read.
type Answer interface {
	// Event takes an event of a stream, and says whether it was the last.
	Event(e Event, on func(model.Delta)) (last bool, err error)
	// End is called when the stream ends before the last event: it may be complete all the same.
	End() bool
	// Whole takes an answer that did not come as a stream.
	Whole(body []byte, on func(model.Delta)) error
	// Response is the answer, once it is complete.
	Response() (*model.Response, error)
	// Usage is what is known so far.
	Usage() model.Usage
}

// Do sends a request once, and reads the answer. All its errors are of type *model.Error.
func (e *Endpoint) Do(parent context.Context, a Ask, on func(model.Delta)) (*model.Response, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	idle := a.Request.Idle
	if idle <= 0 {
		idle = DefaultIdle
	}
	w := newWatch(idle, func() { cancel(errIdle) })
	defer w.off()
	t := &try{endpoint: e, ask: a, parent: parent, ctx: ctx, idle: idle}

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+a.Path, upload{bytes.NewReader(a.Body), w, &t.left})
	if err != nil {
		return nil, e.Refuse("the address of the model is not valid")
	}
	req.ContentLength = int64(len(a.Body))
	req.GetBody = func() (io.ReadCloser, error) { return upload{bytes.NewReader(a.Body), w, &t.left}, nil }
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream, application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "durable-go")
	for _, h := range []http.Header{a.Header, e.headers()} {
		for k, v := range h {
			req.Header[k] = v
		}
	}
	w.on()
	resp, err := e.client.Do(req)
	w.off()
	if err != nil {
		return nil, t.broken(err)
	}
	defer resp.Body.Close()
	t.status, t.header = resp.StatusCode, resp.Header
	body := &download{Reader: resp.Body, watch: w, left: maxAnswer}
	if t.status < 200 || t.status > 299 {
		text, _ := io.ReadAll(io.LimitReader(body, maxProblem)) // as much as there is
		if parent.Err() != nil {
			return nil, t.broken(parent.Err())
		}
		return nil, t.refused(text)
	}
	if err := t.read(body, resp.Header.Get("Content-Type"), t.came.counts(on)); err != nil {
		return nil, err
	}
	r, err := a.Answer.Response()
	if err != nil {
		return nil, t.broken(err)
	}
	r.Message.Role = model.Assistant
	r.Asked = a.Request.Model
	if r.Served == "" {
		r.Served = e.model
	}
	if id := t.requestID(); id != "" {
		r.RequestID = id
	}
	r.Headroom = ReadHeadroom(resp.Header, time.Now())
	return r, nil
}

// try is a request that was sent, for its errors.
type try struct {
	endpoint *Endpoint
	ask      Ask
	parent   context.Context
	ctx      context.Context
	idle     time.Duration
	left     atomic.Bool // a part of the request, at least
	status   int
	header   http.Header
	came     received
}

// read reads an answer, by its type or, where that says nothing, by its first byte.
func (t *try) read(body io.Reader, contentType string, on func(model.Delta)) error {
	in := bufio.NewReader(body)
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	whole := strings.HasSuffix(strings.TrimSpace(kind), "json")
	if !whole && strings.TrimSpace(kind) != "text/event-stream" {
		first, err := firstByte(in)
		if err != nil {
			return t.cut(err)
		}
		if first == '<' {
			return t.fail(&Problem{Kind: model.Transient, Message: "the answer is a page, not one of a model", said: true})
		}
		whole = first == '{' || first == '['
	}
	if whole {
		text, err := io.ReadAll(in)
		if err != nil {
			t.came.quarters += int64(model.Quarters(string(text)))
			return t.cut(err)
		}
		return t.wrap(t.ask.Answer.Whole(bytes.ToValidUTF8(text, []byte("\uFFFD")), on))
	}
	events := NewEventReader(in)
	for {
		e, err := events.Next()
		if err == io.EOF && t.ask.Answer.End() {
			return nil
		}
		if err != nil {
			return t.cut(err)
		}
		e.Data = bytes.ToValidUTF8(e.Data, []byte("\uFFFD"))
		last, err := t.ask.Answer.Event(e, on)
		if last || err != nil {
			return t.wrap(err)
		}
		if t.parent.Err() != nil { // also when all of it has come already
			return t.broken(t.parent.Err())
		}
	}
}

func firstByte(in *bufio.Reader) (byte, error) {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return b, in.UnreadByte()
		}
	}
}

func (t *try) wrap(err error) error {
	if err == nil {
		return nil
	}
	if p := (*Problem)(nil); errors.As(err, &p) {
		p.said = p.Kind != model.BadAnswer
	}
	return t.broken(err)
}

// cut is the error of an answer that ended too early.
func (t *try) cut(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return t.fail(&Problem{Kind: model.Transient, Message: "the answer ended before it was complete"})
	}
	return t.broken(err)
}

// broken is the error of a try that got no answer, or one that cannot be read.
func (t *try) broken(err error) *model.Error {
	var p *Problem
	var failed *model.Error
	var address *url.Error
	switch {
	case errors.As(err, &failed):
		return failed
	case errors.As(err, &p):
		return t.fail(p)
	case t.parent.Err() != nil:
		e := t.fail(&Problem{Kind: model.Transient})
		e.Err = fmt.Errorf("given up: %w", context.Cause(t.parent))
		return e
	case context.Cause(t.ctx) == errIdle:
		return t.fail(&Problem{Kind: model.Transient, Message: fmt.Sprintf("not a byte came for %v", t.idle)})
	case errors.Is(err, errTooLarge), errors.Is(err, ErrEventTooLarge):
		return t.fail(&Problem{Kind: model.BadAnswer, Message: err.Error()})
	case errors.As(err, &address):
		err = address.Err // without the address
	}
	return t.fail(&Problem{Kind: model.Transient, Message: err.Error()})
}

// refused is the error of an answer whose status is not that of a success.
func (t *try) refused(body []byte) *model.Error {
	p := t.ask.Problem(t.status, body)
	if p == nil {
		p = &Problem{}
	}
	switch {
	case t.status < 400:
		p.Message = "redirects are not followed, for the key goes to its own address only"
	case p.Message == "":
		p.Message = http.StatusText(t.status)
	}
	if t.status == http.StatusNotFound {
		p.Message += " (unknown or retired model, or a wrong base URL)"
	}
	return t.fail(p)
}

// fail makes the error that callers see.
func (t *try) fail(p *Problem) *model.Error {
	now := time.Now()
	used := t.used()
	clean := newScrubber(t.endpoint.key(), t.endpoint.headers(), t.ask.Request).clean
	e := &model.Error{
		Kind: p.Kind, Provider: t.endpoint.provider, Model: t.endpoint.model, Code: clean(p.Code), Status: t.status,
		RequestID: clean(t.requestID()), Usage: used, Unpaid: t.unpaid(p, used), Headroom: ReadHeadroom(t.header, now),
	}
	if e.RequestID == "" {
		e.RequestID = clean(p.ID)
	}
	if t.status != 0 {
		status := t.status
		if status < 300 {
			status = http.StatusOK
		}
		e.Kind, e.RetryAfter = p.classify(status, t.header, now)
	}
	text := clean(p.Message)
	if hint := t.endpoint.hint; e.Kind == model.Auth && hint != "" {
		text = strings.TrimSpace(text + " (" + hint + ")")
	}
	if text != "" {
		e.Err = errors.New(text)
	}
	return e
}

func (t *try) requestID() string {
	for _, name := range t.ask.RequestID {
		if id := t.header.Get(name); id != "" {
			if len(id) > 200 {
				id = id[:200]
			}
			return id
		}
	}
	return ""
}
