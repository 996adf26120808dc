package ai

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"
)

// StreamTo lets readers see the text of the answer while it comes: in a stream of the run with that name, which Engine.Stream of package
// durable reads from any process. Each try begins the stream anew, so after a cut, with a fallback, and
// when another worker goes on, readers get a reset, and see no text twice. The record of the answer ends the stream: who
// reads then, or comes back, gets the whole text from that record. A recorded answer is not streamed again.
//
// An answer that is not the last word ends no stream: an object that does not fit, or a turn of an agent that calls tools. Its
// text stays to be read until the next try begins. If the call fails for good, the stream ends with the run.
//
// Calls that are made at the same time need names of their own. It works beside OnDelta, is for steps only, and neither waits for
// readers nor fails the call: more than 16 MiB or 20,000 chunks of one try are left to the end.
func StreamTo(name string) Option {
	return func(s *settings) {
		if s.streamTo = name; name == "" || len(name) > maxStreamName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			s.wrong("StreamTo: give a name of 1 to %d bytes without control characters", maxStreamName)
		}
	}
}

const maxStreamName = 200

// streaming is a journal whose runs have streams that others read.
type streaming interface {
	stream(ctx context.Context, name string) (streamWriter, error)
}

// streamWriter is a stream that has begun.
type streamWriter interface {
	Write(text []byte) (int, error)
	// End ends it with the next record.
	End(text string) error
}

// outlet is where the text of one try goes.
type outlet struct {
	to    streamWriter
	mute  bool
	text  string // of the answer
	calls int
}

// openStream begins the stream for a try, or says why it cannot.
func (a *asking) openStream(ctx context.Context) (*refusal, error) {
	a.out = nil
	if a.k.streamTo == "" {
		return nil, nil
	}
	to, err := a.j.(streaming).stream(ctx, a.k.streamTo)
	switch {
	case err != nil && refusesStream(err):
		return &refusal{Error: failingOf(&Error{Kind: Invalid, Model: a.open.spec.String(), Err: err})}, nil
	case err != nil:
		return nil, err
	}
	a.out = &outlet{to: to}
	for _, part := range a.begun { // the try goes on with it
		a.out.write(ctx, part.Message.Text)
	}
	return nil, nil
}

// write passes on a piece of text. What cannot be written is left to the end.
func (o *outlet) write(ctx context.Context, text string) {
	if o == nil || o.mute || text == "" {
		return
	}
	if _, err := o.to.Write([]byte(text)); err != nil {
		o.mute = true
		logger(ctx).Warn("the rest of an answer is not streamed", "error", err)
	}
}

// answered takes the answer of the try.
func (o *outlet) answered(m *Message) {
	if o != nil {
		o.text, o.calls = m.Text, len(m.Calls)
	}
}

// endStream ends the stream with the record of an outcome, if that ends the call.
func (a *asking) endStream(ctx context.Context, o *outcome) {
	if a.out == nil {
		return
	}
	text, calls := "", a.out.calls
	for _, part := range a.begun {
		text, calls = text+part.Message.Text, calls+len(part.Message.Calls)
	}
	text += a.out.text
	switch {
	case o.Stop == StopRefused, o.Stop == StopTooLong,
		o.Stop == StopLength && (a.k.whole || a.out.calls > 0),
		o.Stop == StopPause && len(a.begun) < maxPauses,
		a.k.ends != nil && !a.k.ends(o.Stop, text, calls):
		return
	}
	if err := a.out.to.End(text); err != nil {
		logger(ctx).Warn("an answer does not end its stream", "error", err)
	}
}
