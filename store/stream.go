package store

import (
	"fmt"
	"unicode/utf8"
)

// Chunk is an event of a stream: text that the owner of an execution lets readers see while it
// works. (Execution, Stream, Index) is its key.
//
// A stream only grows at its end: a chunk whose Index is not above all that its stream has is
// ignored, so a write that comes late, or twice, brings back nothing. A Reset or an End removes all chunks of its
// stream before it, and stays itself until the next one.
type Chunk struct {
	Stream  string
	Index   int64 // from 1, with gaps
	Kind    ChunkKind
	Attempt int    // from 1: how often the stream has begun
	Text    []byte // of a ChunkReset: none
}

// ChunkKind is what a chunk says.
type ChunkKind uint8

// The kinds of chunks. Their numbers are stored.
const (
	ChunkText  ChunkKind = 1 // more text
	ChunkReset ChunkKind = 2 // what came before is void
	ChunkEnd   ChunkKind = 3 // Text is the whole text, and nothing else counts
)

// Limits of streams, with their reasons.
const (
	MaxChunk     = 16 << 10 // bytes of a ChunkText: a page of them stays small
	MaxStreamEnd = 16 << 20 // bytes of a ChunkEnd: as a blob
	MaxStream    = 200      // bytes of a stream's name, which is in an index
	StreamPage   = 100      // chunks that Stream returns at most
)

// StreamRequest asks for the chunks of a stream.
type StreamRequest struct {
	ID    ID
	Name  string
	After int64 // only those with a greater Index
	Limit int   // 0, and more than StreamPage: StreamPage
}

// Size is the limit that counts.
func (r *StreamRequest) Size() int {
	if r.Limit <= 0 || r.Limit > StreamPage {
		return StreamPage
	}
	return r.Limit
}

// StreamView answers Stream, as one consistent state.
type StreamView struct {
	Execution Execution // its ID, Status, Epoch, ErrorCode and Error; the other fields may be empty
	Chunks    []Chunk   // by Index
	More      bool      // there are others after these
	// Last is the newest chunk of the stream, without its text; zero if there is none.
	Last Chunk
}

// chunkMistake says what is wrong with the chunks of a write.
func chunkMistake(list []Chunk) string {
	last := make(map[string]int64, 1)
	for i := range list {
		c := &list[i]
		size := MaxChunk
		if c.Kind == ChunkEnd {
			size = MaxStreamEnd
		}
		switch {
		case c.Stream == "" || len(c.Stream) > MaxStream || !utf8.ValidString(c.Stream):
			return fmt.Sprintf("a chunk of the stream %.100q: the name is empty, too long, or no text", c.Stream)
		case c.Kind < ChunkText || c.Kind > ChunkEnd:
			return fmt.Sprintf("a chunk of kind %d", c.Kind)
		case c.Index <= last[c.Stream]:
			return fmt.Sprintf("chunks of a stream that do not ascend from 1: %d after %d", c.Index, last[c.Stream])
		case c.Attempt < 1 || c.Attempt > 1<<30:
			return fmt.Sprintf("a chunk of attempt %d", c.Attempt)
		case c.Kind == ChunkReset && len(c.Text) > 0:
			return "a reset with a text"
		case len(c.Text) > size:
			return fmt.Sprintf("a chunk of %d bytes, more than %d", len(c.Text), size)
		}
		last[c.Stream] = c.Index
	}
	return ""
}
