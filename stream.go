package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

const (
	streamEvery     = 100 * time.Millisecond // text gathers for so long
	streamPiece     = 4 << 10                // or until it is so much; what is no text becomes three bytes, so three times as much fits into a chunk
	maxStreamText   = 16 << 20               // bytes of one beginning
	maxStreamChunks = 20_000                 // of one beginning: half an hour of text without a pause
)

// StreamWriter writes a stream: see Stream. Its methods may be called from any goroutine.
type StreamWriter struct {
	name   string
	writer int64
	b      *body
	shelf  *shelf

	mu     sync.Mutex
	text   []byte // not sent yet
	size   int
	chunks int
	sent   time.Time
	timer  *time.Timer // nil: none is set
	err    error       // why nothing more can be written
	over   bool        // it has ended, or its body
}

// Stream opens a live stream of the run: text that readers see by Engine.Stream while the step works, in this process
// and in others. It is not durable work: nothing of it goes into the journal, a body that runs again writes it
// again, and no step fails or waits because of who reads.
//
// Whoever opens a stream that was opened before begins it anew: readers get a StreamReset, after which what they had is
// void. So after a crash, a wait or a retry they see no text twice. Open it where the text is made: in the function of a Do, which
// is left out when its result is recorded.
//
// Text goes out every 100 ms, or when 4 KiB are there. End says what the whole text is, and takes effect with the
// record that it belongs to. If the body ends without it, the stream stays as it is, until the next beginning or the end of the run.
//
// Streams of lanes and items need names of their own: one stream has one writer, and an error is ErrInvalid. A run may
// have 1,000 streams, names up to 200 bytes: else ErrTooLarge. Stream may be called where Blob may be, and
// waits while the database is away.
func Stream(ctx context.Context, name string) (*StreamWriter, error) {
	b, s, err := shelfOf(ctx, "Stream")
	if err != nil {
		return nil, err
	}
	if b.tx != nil || b.dropped {
		return nil, fmt.Errorf("%w: Stream: Tx is the last durable thing that a step does", ErrNotInStep)
	}
	if m := tree.TextMistake(name); m != "" {
		return nil, fmt.Errorf("Stream %.80q: %w: the name is bad: %s", name, ErrInvalid, m)
	}
	known, err := b.h.KnowsStreams()
	if err != nil {
		return nil, callGone(ctx, err)
	}
	var there []store.Chunk
	if !known {
		if err := persist(ctx, func() (err error) {
			there, err = b.engine.store.Streams(ctx, b.h.Execution)
			return err
		}); err != nil {
			return nil, fmt.Errorf("Stream %q: %w", name, err)
		}
	}
	if _, item := ctx.Value(itemKey{}).(string); !item {
		s = b.shelf // what one Do has opened another may end
	}
	w := &StreamWriter{name: name, b: b, shelf: s}
	if w.writer, err = b.h.OpenStream(name, there); err != nil {
		return nil, w.explain(err)
	}
	return w, b.pens.add(w)
}

// explain is an error for users.
func (s *StreamWriter) explain(err error) error {
	switch {
	case errors.Is(err, run.ErrStreamLimit):
		return fmt.Errorf("stream %q: %w: %w", s.name, ErrTooLarge, err)
	case errors.Is(err, run.ErrStream):
		return fmt.Errorf("stream %q: %w: %w", s.name, ErrInvalid, err)
	}
	return callGone(s.b.h.Context(), err)
}

// Write adds text. What is no UTF-8 is replaced, and no chunk ends within a character. It does not wait. An error says that nothing
// more of this beginning goes out: it is longer than 16 MiB or 20,000 chunks (ErrTooLarge), the stream was opened again or has ended
// (ErrInvalid), or the body is over. End works also after ErrTooLarge.
func (s *StreamWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.size += len(p); s.size > maxStreamText {
		s.err = fmt.Errorf("stream %q: %w: its text has more than %d bytes; the rest goes out with End only", s.name, ErrTooLarge, maxStreamText)
		return 0, s.err
	}
	s.text = append(s.text, p...)
	switch since := time.Since(s.sent); {
	case len(s.text) >= streamPiece || since >= streamEvery:
		s.send(false)
	case s.timer == nil && len(s.text) > 0:
		s.timer = time.AfterFunc(streamEvery-since, s.due)
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// due sends what has gathered.
func (s *StreamWriter) due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send(false)
}

// send sends what is there, but for the beginning of a character that is not whole yet.
func (s *StreamWriter) send(all bool) {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	for s.err == nil && !s.over {
		n := wholeRunes(s.text, streamPiece, all)
		if n == 0 {
			return
		}
		if s.chunks++; s.chunks > maxStreamChunks {
			s.err = fmt.Errorf("stream %q: %w: it has %d chunks; the rest goes out with End only", s.name, ErrTooLarge, maxStreamChunks)
			return
		}
		if err := s.b.h.Stream(s.name, s.writer, readable(s.text[:n])); err != nil {
			s.err = s.explain(err)
			return
		}
		s.text, s.sent = s.text[n:], time.Now()
	}
}

// readable is a copy of a text in which each byte that is none is replaced, as JSON does it.
func readable(text []byte) []byte {
	if utf8.Valid(text) {
		return bytes.Clone(text)
	}
	return []byte(string([]rune(string(text))))
}

// wholeRunes is how much of a text goes into a piece. With all, nothing follows the text.
func wholeRunes(text []byte, limit int, all bool) int {
	if len(text) <= limit && all {
		return len(text)
	}
	n := min(len(text), limit)
	for i := n - 1; i >= max(n-utf8.UTFMax, 0); i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:n]) {
				return i
			}
			break
		}
	}
	return n
}

// End ends the stream: text is all of it, whatever was written, up to 16 MiB. It goes with the record of the function in which the stream
// was opened, or with the next record of the body, like a Blob: in that write all chunks are removed, and who
// reads from then on gets the text as one event. Readers end there. What was written in the last moments may be in no
// event but this one.
func (s *StreamWriter) End(text string) error {
	if len(text) > store.MaxStreamEnd {
		return fmt.Errorf("stream %q: %w: the whole text has %d bytes, the limit is %d", s.name, ErrTooLarge, len(text), store.MaxStreamEnd)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil && !errors.Is(s.err, ErrTooLarge) {
		return s.err
	}
	if s.over {
		return fmt.Errorf("stream %q: %w: the body is over", s.name, ErrNotInStep)
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	err := s.shelf.end(run.End{Stream: s.name, Writer: s.writer, Text: readable([]byte(text))})
	if err == nil {
		s.text, s.err = nil, fmt.Errorf("stream %q: %w: it has ended", s.name, ErrInvalid)
	}
	return err
}

// end keeps the end of a stream for the record.
func (s *shelf) end(e run.End) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return fmt.Errorf("%w: End of stream %q: the function has returned", ErrNotInStep, e.Stream)
	}
	if s.size+len(e.Text) > maxBlobs {
		return fmt.Errorf("stream %q: %w: what is to go with the next record is more than %d bytes; record something in between, with Do", e.Stream, ErrTooLarge, maxBlobs)
	}
	s.size += len(e.Text)
	s.ends = append(s.ends, e)
	return nil
}

// allEnds are the ends that no record has taken.
func (s *shelf) allEnds() []run.End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ends)
}

// pens are the writers of a body.
type pens struct {
	mu   sync.Mutex
	list []*StreamWriter
	over bool
}

func (p *pens) add(s *StreamWriter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return fmt.Errorf("%w: Stream: the body is over", ErrNotInStep)
	}
	p.list = append(p.list, s)
	return nil
}

// end sends what is left, and lets nothing more be written.
func (p *pens) end() {
	p.mu.Lock()
	p.over = true
	list := p.list
	p.list = nil
	p.mu.Unlock()
	for _, s := range list {
		s.mu.Lock()
		s.send(true)
		s.over = true
		if s.err == nil {
			s.err = fmt.Errorf("stream %q: %w: the body is over", s.name, ErrNotInStep)
		}
		s.mu.Unlock()
	}
}
