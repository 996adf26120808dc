package durable

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// StreamEvent is one event of a stream.
type StreamEvent struct {
	Index int64      `json:"index"` // grows, with gaps, and never comes twice: what a reader that comes back gives
	Kind  StreamKind `json:"kind"`
	// Text is what comes next; of an end it is the whole text, and counts instead of all that came before.
	Text    string `json:"text,omitempty"`
	Attempt int    `json:"attempt,omitempty"` // from 1: how often the stream has begun
	// Status is that of an end which is the end of the run and not of the stream: completed, failed, cancelled or another. Then there is no
	// Text: what came before is all that there is, and is whole only if the code says so.
	Status Status   `json:"status,omitempty"`
	Error  *Failure `json:"error,omitempty"` // of such a run
}

// StreamKind is what an event of a stream says.
type StreamKind string

// The kinds of events.
const (
	StreamText  StreamKind = "text"  // more text
	StreamReset StreamKind = "reset" // it begins anew: what came before is void
	StreamEnd   StreamKind = "end"   // the last event
)

// Stream gives the events of a stream of a run from after an index on, 0 for all, until the stream or the run has ended, from
// any process: see the function Stream. Who reads it for the first time begins with what is there: the
// text of the present beginning, or the end. Who comes back with the Index of the last event that he had gets what
// follows, once; if he had the end, the next beginning of that name, if one comes, or nothing.
//
// It ends after an event of kind StreamEnd, without one if nothing follows what the reader has, or with an error: ErrNotFound if there
// is no such run, ErrInvalid, or the cause of ctx. While the database is away it waits. A stream that nobody has opened yet is waited for.
//
// How fast a reader is matters to nobody else. All readers of a stream in a process share one look at the database: at once for what
// happens in this process, else after a pause of 25 ms, which doubles up to 1 s while nothing comes.
func (e *Engine) Stream(ctx context.Context, id ID, name string, after int64) iter.Seq2[StreamEvent, error] {
	return func(yield func(StreamEvent, error) bool) {
		if err := e.stream(ctx, id, name, after, func(x StreamEvent) bool { return yield(x, nil) }); err != nil {
			yield(StreamEvent{}, fmt.Errorf("stream %.80q of run %s: %w", name, id, err))
		}
	}
}

// Stream is Engine.Stream of this run.
func (r *Run[S]) Stream(ctx context.Context, name string, after int64) iter.Seq2[StreamEvent, error] {
	return r.engine.Stream(ctx, r.ID, name, after)
}

func (e *Engine) stream(ctx context.Context, id ID, name string, after int64, yield func(StreamEvent) bool) error {
	if m := tree.TextMistake(name); m != "" {
		return fmt.Errorf("%w: the name is bad: %s", ErrInvalid, m)
	}
	if after < 0 {
		return fmt.Errorf("%w: the index %d is negative; give that of the last event, or 0", ErrInvalid, after)
	}
	f, err := e.feeds.join(e, id, name)
	if err != nil {
		return err
	}
	defer e.feeds.leave(f)
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p := f.next(after)
		if p.behind {
			v, err := e.store.Stream(ctx, store.StreamRequest{ID: id, Name: name, After: after})
			switch {
			case errors.Is(err, store.ErrNotFound):
				return err
			case err != nil || len(v.Chunks) == 0:
				if err := pause(ctx, firstFeed); err != nil {
					return err
				}
				continue
			}
			p.events = streamEvents(v.Chunks)
		}
		for _, x := range p.events {
			if !yield(x) || x.Kind == StreamEnd {
				return nil
			}
			after = x.Index
		}
		switch {
		case len(p.events) > 0 || p.behind:
			continue
		case p.over || p.err != nil:
			return p.err
		}
		select {
		case <-p.news:
		case <-ctx.Done():
		}
	}
}

// The pauses between two looks at a stream of a run that is not in this process's hands, and how much of it is kept for
// readers: who is further behind asks the database himself.
const (
	firstFeed = 25 * time.Millisecond
	feedBytes = 1 << 20
	feedPage  = 256 // events that a reader takes at once
)

// feeds are the streams that somebody reads.
type feeds struct {
	mu     sync.Mutex
	by     map[ID]map[string]*feed
	closed bool
	all    sync.WaitGroup
}

// feed is one look at a stream for all its readers in this process.
type feed struct {
	id      ID
	name    string
	readers int // guarded by feeds.mu
	end     context.CancelFunc
	poke    chan struct{}

	mu     sync.Mutex
	news   chan struct{} // closed when something has changed
	list   []StreamEvent // the newest, all that come after from
	bytes  int
	from   int64
	last   int64 // the newest that was read
	read   bool  // something is known
	more   bool  // not all is read
	done   bool  // the newest is the end of the stream
	status Status
	epoch  int64
	fault  *Failure
	err    error
}

var errEngineClosed = errors.New("the engine is closed")

// join counts a reader of a stream.
func (s *feeds) join(e *Engine, id ID, name string) (*feed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errEngineClosed
	}
	f := s.by[id][name]
	if f == nil {
		ctx, cancel := context.WithCancel(context.Background())
		f = &feed{id: id, name: name, end: cancel, poke: make(chan struct{}, 1), news: make(chan struct{})}
		if s.by == nil {
			s.by = make(map[ID]map[string]*feed)
		}
		if s.by[id] == nil {
			s.by[id] = make(map[string]*feed)
		}
		s.by[id][name] = f
		s.all.Go(func() { f.follow(ctx, e) })
	}
	f.readers++
	return f, nil
}

// leave takes a reader off; with the last one the look ends.
func (s *feeds) leave(f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.readers--; f.readers > 0 {
		return
	}
	f.end()
	if delete(s.by[f.id], f.name); len(s.by[f.id]) == 0 {
		delete(s.by, f.id)
	}
}

// tell says that something of a run has changed. It does not block.
func (s *feeds) tell(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.by[id] {
		select {
		case f.poke <- struct{}{}:
		default:
		}
	}
}

// close ends all looks, and with them the readers.
func (s *feeds) close() {
	s.mu.Lock()
	s.closed = true
	for _, of := range s.by {
		for _, f := range of {
			f.end()
			f.fail(errEngineClosed)
		}
	}
	s.mu.Unlock()
	s.all.Wait()
}

// Streamed is called by the runner; it does not block.
func (e *code) Streamed(id store.ID) { e.feeds.tell(id) }

// follow reads the stream while somebody wants to know.
func (f *feed) follow(ctx context.Context, e *Engine) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for rest := firstFeed; ; rest = min(2*rest, lastLook) {
		v, err := e.store.Stream(ctx, store.StreamRequest{ID: f.id, Name: f.name, After: f.last})
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrNotFound):
			f.fail(err)
			return
		case err == nil && f.take(&v):
			rest = firstFeed
		}
		if err == nil && v.More {
			continue
		}
		if e.runner.Drives(f.id) { // then it is told
			rest = lastLook
		}
		timer.Reset(rest)
		select {
		case <-timer.C:
		case <-f.poke:
			rest = firstFeed
		case <-ctx.Done():
			return
		}
	}
}

// take adds what was read. It reports whether that is news.
func (f *feed) take(v *store.StreamView) (news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range streamEvents(v.Chunks) {
		if x.Kind != StreamText {
			f.list, f.bytes, f.from = nil, 0, 0 // nothing else is there
		}
		f.list, f.bytes, f.last = append(f.list, x), f.bytes+len(x.Text), x.Index
	}
	drop := 0
	for ; f.bytes > feedBytes && drop < len(f.list)-1; drop++ {
		f.bytes, f.from = f.bytes-len(f.list[drop].Text), f.list[drop].Index
	}
	f.list = slices.Clone(f.list[drop:])
	x := &v.Execution
	news = !f.read || len(v.Chunks) > 0 || f.status != x.Status || f.epoch != x.Epoch || f.more != v.More
	f.read, f.more, f.done = true, v.More, v.Last.Kind == store.ChunkEnd
	f.status, f.epoch, f.fault = x.Status, x.Epoch, failure(storedError(x.Error))
	if news {
		close(f.news)
		f.news = make(chan struct{})
	}
	return news
}

// fail ends the readers with an error.
func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.news)
		f.news = make(chan struct{})
	}
}

// feedPart is what a feed has for a reader.
type feedPart struct {
	events []StreamEvent
	behind bool // it has less than what the reader needs
	over   bool // nothing follows
	err    error
	news   <-chan struct{} // closed when there is more
}

// next is what follows an index.
func (f *feed) next(after int64) feedPart {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := feedPart{news: f.news, err: f.err}
	if f.err != nil || !f.read {
		return p
	}
	if p.behind = after < f.from; p.behind {
		return p
	}
	i, _ := slices.BinarySearchFunc(f.list, after+1, func(x StreamEvent, at int64) int { return int(min(max(x.Index-at, -1), 1)) })
	p.events = f.list[i:min(len(f.list), i+feedPage):min(len(f.list), i+feedPage)]
	if len(p.events) > 0 || f.more || !f.status.Ended() {
		return p
	}
	p.over = true
	if over := run.StreamOver(f.epoch); !f.done && after < over {
		p.events = []StreamEvent{{Index: over, Kind: StreamEnd, Status: f.status, Error: f.fault}}
	}
	return p
}

// streamEvents is chunks as readers see them.
func streamEvents(list []store.Chunk) []StreamEvent {
	out := make([]StreamEvent, len(list))
	for i, c := range list {
		out[i] = StreamEvent{Index: c.Index, Kind: StreamText, Text: string(c.Text), Attempt: c.Attempt}
		switch c.Kind {
		case store.ChunkReset:
			out[i].Kind = StreamReset
		case store.ChunkEnd:
			out[i].Kind = StreamEnd
		}
	}
	return out
}
