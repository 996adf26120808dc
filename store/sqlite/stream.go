package sqlite

import (
	"context"
	"fmt"

	"github.com/durable-go/durable/store"
)

const (
	addChunk = `
		INSERT INTO chunk (execution, stream, idx, kind, attempt, body) SELECT ?1, ?2, ?3, ?4, ?5, ?6
		WHERE NOT EXISTS (SELECT 1 FROM chunk WHERE execution = ?1 AND stream = ?2 AND idx >= ?3)`
	dropChunks = `
		DELETE FROM chunk WHERE execution = ?1 AND stream = ?2 AND idx < ?3
			AND EXISTS (SELECT 1 FROM chunk WHERE execution = ?1 AND stream = ?2 AND idx = ?3 AND kind = ?4)`
	readChunks = "SELECT idx, kind, attempt, body FROM chunk WHERE execution = ?1 AND stream = ?2 AND idx > ?3 ORDER BY idx LIMIT ?4"
	lastChunk  = "SELECT idx, kind, attempt FROM chunk WHERE execution = ?1 AND stream = ?2 ORDER BY idx DESC LIMIT 1"
	streamHead = "SELECT n, status, epoch, error_code, error FROM execution WHERE id = ?"
	// Columns beside max() are those of its row.
	allStreams = "SELECT stream, max(idx), kind, attempt FROM chunk WHERE execution = (SELECT n FROM execution WHERE id = ?) GROUP BY stream ORDER BY stream"
)

// stream adds a chunk to the end of its stream, if that is where it belongs.
func (t *tx) stream(x *head, c *store.Chunk) error {
	var body any
	if len(c.Text) > 0 {
		body = c.Text
	}
	if _, err := t.exec(addChunk, x.n, c.Stream, c.Index, int64(c.Kind), c.Attempt, body); err != nil || c.Kind == store.ChunkText {
		return err
	}
	_, err := t.exec(dropChunks, x.n, c.Stream, c.Index, int64(c.Kind))
	return err
}

// Stream implements store.Store.
func (s *Store) Stream(ctx context.Context, req store.StreamRequest) (v store.StreamView, err error) {
	err = s.view(ctx, "stream", func(c *conn) error {
		v = store.StreamView{Execution: store.Execution{ID: req.ID}}
		var n int64
		there, err := c.one(streamHead, func(r row) {
			n = r.int(0)
			x := &v.Execution
			x.Status, x.Epoch, x.ErrorCode, x.Error = store.Status(r.text(1)), r.int(2), r.text(3), r.bytes(4)
		}, req.ID)
		if err == nil && !there {
			err = fmt.Errorf("execution %s: %w", req.ID, store.ErrNotFound)
		}
		if err != nil {
			return err
		}
		if _, err := c.one(lastChunk, func(r row) {
			v.Last = store.Chunk{Stream: req.Name, Index: r.int(0), Kind: store.ChunkKind(r.int(1)), Attempt: int(r.int(2))}
		}, n, req.Name); err != nil || v.Last.Index <= req.After {
			return err
		}
		err = c.query(readChunks, func(r row) error {
			v.Chunks = append(v.Chunks, store.Chunk{
				Stream: req.Name, Index: r.int(0), Kind: store.ChunkKind(r.int(1)), Attempt: int(r.int(2)), Text: r.bytes(3),
			})
			return nil
		}, n, req.Name, req.After, req.Size())
		v.More = err == nil && len(v.Chunks) > 0 && v.Chunks[len(v.Chunks)-1].Index < v.Last.Index
		return err
	})
	return v, err
}

// Streams implements store.Store.
func (s *Store) Streams(ctx context.Context, id store.ID) (list []store.Chunk, err error) {
	err = s.view(ctx, "streams", func(c *conn) error {
		return c.query(allStreams, func(r row) error {
			list = append(list, store.Chunk{Stream: r.text(0), Index: r.int(1), Kind: store.ChunkKind(r.int(2)), Attempt: int(r.int(3))})
			return nil
		}, id)
	})
	return list, err
}
