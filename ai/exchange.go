package ai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/durable-go/durable/ai/model"
)

// Exchange is a request that was sent to a model, whole, and what came back.
type Exchange struct {
	CallInfo
	// Provider is what stands before the colon in the full name of the model that was asked; with its address, if it has one.
	Provider string
	// Request is what the provider was given. How long its prefix is cached and for how long silence is borne is not recorded.
	Request *Request
	// Response is the answer as the provider gave it; nil: there is none, or none is recorded.
	Response *Response
	// Failure is how it failed instead; nil: it did not, or nobody knows.
	Failure *Error
	// Gone says that neither came until the caller's own context ended.
	Gone bool
}

// reader reads what exchanges consist of. Messages are shared by the requests that have them.
type reader struct {
	blob     func(hash string) ([]byte, error)
	messages map[string]Message
	lists    map[string][]Message
}

func newReader(blob func(hash string) ([]byte, error)) *reader {
	return &reader{blob, make(map[string]Message), make(map[string][]Message)}
}

// exchanges are those of the tries that were sent, in the order in which they began.
func (r *reader) exchanges(list []entry) ([]Exchange, error) {
	var out []Exchange
	for _, t := range gather(list) {
		if t.mark.Not != nil {
			continue
		}
		x, err := r.exchange(t)
		if err != nil {
			return nil, fmt.Errorf("ai: try %d of %s in step %s cannot be read: %w", t.mark.Try, t.Name, t.Path, err)
		}
		out = append(out, *x)
	}
	slices.SortStableFunc(out, func(a, b Exchange) int { return a.Began.Compare(b.Began) })
	return out, nil
}

func (r *reader) exchange(t *recorded) (*Exchange, error) {
	m, o := t.mark, t.outcome
	s, err := parse(m.Model, true)
	if err != nil {
		return nil, err
	}
	x := &Exchange{CallInfo: t.info(), Provider: s.where(), Request: &Request{Model: s.name, MaxTokens: int(m.Output)}}
	if err := r.request(m, x.Request); err != nil {
		return nil, err
	}
	switch {
	case o == nil, o.Interrupted:
	case o.Gone != "":
		x.Gone = true
	case o.Error != nil:
		x.Failure = o.Error.err(o.Usage)
		x.Failure.Unpaid = !o.Lost && mayBePaid(x.Failure) // else its status says so
	default:
		msg, err := r.message(o.Answer)
		if err != nil {
			return nil, err
		}
		x.Response = &Response{Message: msg, Stop: o.Stop, Asked: m.Asked, Served: o.Served, RequestID: o.RequestID, Confidence: o.Confidence, Cost: costOf(o.Cost)}
		if o.Usage != nil {
			x.Response.Usage = *o.Usage
		}
	}
	return x, nil
}

// request reads what a mark has by hash.
func (r *reader) request(m *mark, to *model.Request) error {
	if m.System != "" {
		b, err := r.blob(m.System)
		if err != nil {
			return err
		}
		to.System = string(b)
	}
	if m.Schema != "" {
		b, err := r.blob(m.Schema)
		if err != nil {
			return err
		}
		to.Schema = b
	}
	if err := r.decode(m.Tools, &to.Tools); err != nil {
		return err
	}
	var how manner
	if err := r.decode(m.Manner, &how); err != nil {
		return err
	}
	to.ToolChoice, to.Effort, to.Stop, to.Temperature, to.Extra = how.Choice, how.Effort, how.Stop, how.Temperature, how.Extra
	earlier, err := r.list(m.List)
	if err != nil {
		return err
	}
	last, err := r.all(m.New)
	to.Messages = slices.Concat(earlier, last)
	return err
}

// decode reads JSON; without a hash there is none.
func (r *reader) decode(hash string, to any) error {
	if hash == "" {
		return nil
	}
	b, err := r.blob(hash)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(to)
}

// list are the messages of a list and those before it.
func (r *reader) list(hash string) ([]Message, error) {
	var chain []list
	var at []string
	for hash != "" && r.lists[hash] == nil {
		var l list
		if err := r.decode(hash, &l); err != nil {
			return nil, err
		}
		chain, at, hash = append(chain, l), append(at, hash), l.Prev
	}
	msgs := r.lists[hash]
	for i, l := range slices.Backward(chain) {
		more, err := r.all(l.New)
		if err != nil {
			return nil, err
		}
		msgs = append(msgs[:len(msgs):len(msgs)], more...)
		r.lists[at[i]] = msgs
	}
	return msgs, nil
}

func (r *reader) all(hashes []string) ([]Message, error) {
	var out []Message
	for _, h := range hashes {
		m, err := r.message(h)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (r *reader) message(hash string) (Message, error) {
	if m, ok := r.messages[hash]; ok {
		return m, nil
	}
	raw, err := r.blob(hash)
	if err != nil {
		return Message{}, err
	}
	m, err := readMessage(raw, r.blob)
	if err == nil {
		r.messages[hash] = m
	}
	return m, err
}
