package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/durable-go/durable/store"
)

type chunkOf struct {
	id    store.ID
	chunk store.Chunk
}

// stream remembers chunks for install.
func (t *tx) stream(id store.ID, chunks []store.Chunk) {
	for _, c := range chunks {
		c.Text = bytes.Clone(c.Text)
		t.chunks = append(t.chunks, chunkOf{id, c})
	}
}

// keepChunk adds a chunk to the end of its stream, if that is where it belongs.
func (d *data) keepChunk(c chunkOf) {
	if d.streams[c.id] == nil {
		d.streams[c.id] = map[string][]store.Chunk{}
	}
	list := d.streams[c.id][c.chunk.Stream]
	if n := len(list); n > 0 && c.chunk.Index <= list[n-1].Index {
		return
	}
	if c.chunk.Kind != store.ChunkText {
		list = nil
	}
	d.streams[c.id][c.chunk.Stream] = append(list, c.chunk)
}

// Stream implements store.Store.
func (s *Store) Stream(ctx context.Context, req store.StreamRequest) (v store.StreamView, err error) {
	if _, err := s.enter(ctx); err != nil {
		return v, err
	}
	defer s.leave()
	x := s.data.executions[req.ID]
	if x == nil {
		return v, fmt.Errorf("memory: execution %s: %w", req.ID, store.ErrNotFound)
	}
	v.Execution = x.header()
	list := s.data.streams[req.ID][req.Name]
	if n := len(list); n > 0 {
		v.Last = list[n-1]
		v.Last.Text = nil
	}
	for _, c := range list {
		if c.Index <= req.After {
			continue
		}
		if v.More = len(v.Chunks) == req.Size(); v.More {
			break
		}
		c.Text = bytes.Clone(c.Text)
		v.Chunks = append(v.Chunks, c)
	}
	return v, nil
}

// Streams implements store.Store.
func (s *Store) Streams(ctx context.Context, id store.ID) (list []store.Chunk, err error) {
	if _, err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	of := s.data.streams[id]
	for _, name := range slices.Sorted(maps.Keys(of)) {
		c := of[name][len(of[name])-1]
		c.Text = nil
		list = append(list, c)
	}
	return list, nil
}
