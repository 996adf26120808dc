package run

import (
	"errors"
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

// What a body writes into a stream goes out with the next write of its run, and for its sake alone if there is
// no other. While a write is on its way, or the database is away, text of one stream is put together.
//
// An index is the epoch and a number that grows within it, so no two owners give the same,
// and nobody has to read what was there.

const (
	chunkBits = 24 // of an index: for the number within the epoch
	maxChunks = 1<<chunkBits - 2
	// MaxStreams is how many streams a run may have: who opens the first one reads the names of all.
	MaxStreams = 1000
)

// StreamOver is the index of what tells readers that a run has ended while it has this epoch: after all
// that was written in it, and before all that comes.
func StreamOver(epoch int64) int64 { return epoch<<chunkBits | (1<<chunkBits - 1) }

// What is wrong with the use of a stream.
var (
	ErrStream      = errors.New("the stream cannot be written")
	ErrStreamLimit = errors.New("the stream is at a limit")
)

// streams is what a run's streams are, as far as this owner knows.
type streams struct {
	by      map[string]*stream
	writers int64 // so many were opened here
}

type stream struct {
	n       int64 // of the last chunk in this epoch
	attempt int
	writer  int64  // who may write now; 0: nobody
	visit   *Visit // whose that is
}

// End ends a stream.
type End struct {
	Stream string
	Writer int64
	Text   []byte
}

// knowsStreams tells whether the names of a run's streams are known.
func (w *Worker) knowsStreams(v *Visit) (known, gone bool) {
	r := v.run
	if r == nil || w.runs[r.id] != r || r.visits[v.Path] != v {
		return false, true
	}
	return r.streams != nil, false
}

// OpenStream lets a body write into a stream of its run. there are the newest chunks of all
// streams, as the store has them, if they were not known. If something is in the stream, it is void
// from now on, as readers will see.
func (w *Worker) OpenStream(v *Visit, name string, there []store.Chunk, now time.Time) (writer int64, err error) {
	r := v.run
	if _, gone := w.knowsStreams(v); gone {
		return 0, ErrGone
	}
	if r.streams == nil {
		r.streams = &streams{by: make(map[string]*stream)}
		for _, c := range there {
			r.streams.by[c.Stream] = &stream{attempt: c.Attempt}
		}
	}
	s := r.streams.by[name]
	switch {
	case s == nil && len(r.streams.by) >= MaxStreams:
		return 0, fmt.Errorf("%w: the run has %d streams already, and may have no more; use one of their names again", ErrStreamLimit, MaxStreams)
	case s == nil:
		s = &stream{}
		r.streams.by[name] = s
	case s.writer != 0 && s.visit != v && r.visits[s.visit.Path] == s.visit:
		return 0, fmt.Errorf("%w: %s is writing it; give each its own name", ErrStream, s.visit.Path)
	}
	if s.n >= maxChunks {
		return 0, fmt.Errorf("%w: it has had %d chunks since this worker has the run, and may have no more", ErrStreamLimit, s.n)
	}
	r.streams.writers++
	s.writer, s.visit = r.streams.writers, v
	if s.attempt++; s.attempt > 1 {
		s.n++
		r.batch.chunks = append(r.batch.chunks, store.Chunk{Stream: name, Index: r.index(s), Kind: store.ChunkReset, Attempt: s.attempt})
		w.drive(r, now)
		w.pump(now)
	}
	return s.writer, nil
}

func (r *run) index(s *stream) int64 { return r.epoch<<chunkBits | s.n }

// Stream takes text that a body has written. It is not longer than a chunk may be.
func (w *Worker) Stream(v *Visit, name string, writer int64, text []byte, now time.Time) error {
	r := v.run
	if _, gone := w.knowsStreams(v); gone || v.cause != nil && !errors.Is(v.cause, ErrStopping) {
		return ErrGone
	}
	s := r.streams.by[name]
	if s == nil || s.writer != writer {
		return fmt.Errorf("%w: it was opened again, or has ended", ErrStream)
	}
	if last := r.lastChunk(name); last != nil && last.Kind == store.ChunkText && len(last.Text)+len(text) <= store.MaxChunk {
		last.Text = append(last.Text, text...)
		return nil // it waits for a write that is on its way
	}
	if s.n >= maxChunks {
		return fmt.Errorf("%w: it has had %d chunks since this worker has the run, and may have no more", ErrStreamLimit, s.n)
	}
	s.n++
	r.batch.chunks = append(r.batch.chunks, store.Chunk{Stream: name, Index: r.index(s), Kind: store.ChunkText, Attempt: s.attempt, Text: text})
	w.drive(r, now)
	w.pump(now)
	return nil
}

// lastChunk is the newest chunk of a stream that has not left.
func (r *run) lastChunk(name string) *store.Chunk {
	for i := len(r.batch.chunks) - 1; i >= r.batch.sealed; i-- {
		if c := &r.batch.chunks[i]; c.Stream == name {
			return c
		}
	}
	return nil
}

// endStreams ends streams with the next write.
func (w *Worker) endStreams(r *run, ends []End) {
	r.batch.chunks = append(r.batch.chunks, r.takeEnds(ends)...)
}

// takeEnds makes the chunks that end streams. What has not left of them is of no use any more.
func (r *run) takeEnds(ends []End) (list []store.Chunk) {
	for _, e := range ends {
		if r.streams == nil {
			return nil
		}
		s := r.streams.by[e.Stream]
		if s == nil || s.writer != e.Writer { // it was opened again since
			continue
		}
		kept := r.batch.chunks[:0]
		for _, c := range r.batch.chunks {
			if c.Stream != e.Stream {
				kept = append(kept, c)
			}
		}
		clear(r.batch.chunks[len(kept):])
		r.batch.chunks, r.batch.sealed = kept, min(r.batch.sealed, len(kept))
		s.n, s.writer, s.visit = s.n+1, 0, nil
		list = append(list, store.Chunk{Stream: e.Stream, Index: r.index(s), Kind: store.ChunkEnd, Attempt: s.attempt, Text: e.Text})
	}
	return list
}

// streamedNow tells of chunks that have landed.
func (w *Worker) streamedNow(r *run, b *batch) {
	if len(b.chunks) > 0 {
		w.do.Streamed(r.id)
	}
}

// KnowsStreams tells whether the names of the run's streams are known to the worker.
func (h *Handle) KnowsStreams() (known bool, err error) {
	gone := true
	h.event(func(w *Worker, now time.Time) { known, gone = w.knowsStreams(h.Visit) })
	if gone {
		return false, ErrGone
	}
	return known, nil
}

// OpenStream lets the body write into a stream, from any goroutine: see Worker.OpenStream.
func (h *Handle) OpenStream(name string, there []store.Chunk) (writer int64, err error) {
	err = ErrGone
	h.event(func(w *Worker, now time.Time) { writer, err = w.OpenStream(h.Visit, name, there, now) })
	return writer, err
}

// Stream writes text into a stream that the body has opened.
func (h *Handle) Stream(name string, writer int64, text []byte) error {
	err := ErrGone
	h.event(func(w *Worker, now time.Time) { err = w.Stream(h.Visit, name, writer, text, now) })
	return err
}
