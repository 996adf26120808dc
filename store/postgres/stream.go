package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	addChunks = `
		INSERT INTO durable.chunk (execution, stream, idx, kind, attempt, body)
		SELECT w.execution, w.stream, w.idx, w.kind, w.attempt, w.body
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::smallint[], $5::integer[], $6::bytea[]) AS w (execution, stream, idx, kind, attempt, body)
		WHERE NOT EXISTS (SELECT FROM durable.chunk c WHERE c.execution = w.execution AND c.stream = w.stream AND c.idx >= w.idx)
		ON CONFLICT DO NOTHING`
	// What is before resets and ends that have gone in.
	dropChunks = `
		DELETE FROM durable.chunk c USING unnest($1::uuid[], $2::text[], $3::bigint[], $4::smallint[]) AS w (execution, stream, idx, kind)
		WHERE c.execution = w.execution AND c.stream = w.stream AND c.idx < w.idx
			AND EXISTS (SELECT FROM durable.chunk x WHERE x.execution = w.execution AND x.stream = w.stream AND x.idx = w.idx AND x.kind = w.kind)`
	readChunks  = `SELECT idx, kind, attempt, body FROM durable.chunk WHERE execution = $1 AND stream = $2 AND idx > $3 ORDER BY idx LIMIT $4`
	readStream  = `SELECT status, epoch, error_code, error FROM durable.execution WHERE id = $1`
	lastChunk   = `SELECT idx, kind, attempt FROM durable.chunk WHERE execution = $1 AND stream = $2 ORDER BY idx DESC LIMIT 1`
	readStreams = `SELECT DISTINCT ON (stream) stream, idx, kind, attempt FROM durable.chunk WHERE execution = $1 ORDER BY stream, idx DESC`
	pruneChunks = `DELETE FROM durable.chunk WHERE execution = ANY($1)`
)

type chunkDraft struct {
	id store.ID
	*store.Chunk
}

// of tells whether a chunk is of the stream of another.
func (c *chunkDraft) of(o *chunkDraft) bool { return c.id == o.id && c.Stream == o.Stream }

// queueChunks adds chunks to the ends of their streams. What a reset or an end of the same transaction
// would remove at once is not written.
func (d *draft) queueChunks(t *tx) {
	var all, cuts chunkColumns
	for i := range d.chunks {
		c, void := &d.chunks[i], false
		for k := i + 1; k < len(d.chunks) && d.chunks[k].id == c.id && !void; k++ { // those of one write stand together
			void = d.chunks[k].Kind != store.ChunkText && d.chunks[k].of(c)
		}
		if void {
			continue
		}
		all.add(c)
		if c.Kind != store.ChunkText {
			cuts.add(c)
		}
	}
	if len(all.id) > 0 {
		t.exec(addChunks, all.id, all.stream, all.index, all.kind, all.attempt, all.body)
	}
	if len(cuts.id) > 0 {
		t.exec(dropChunks, cuts.id, cuts.stream, cuts.index, cuts.kind)
	}
}

// chunkColumns is chunks as statements take them.
type chunkColumns struct {
	id      [][16]byte
	stream  []string
	index   []int64
	kind    []int16
	attempt []int32
	body    [][]byte
}

func (l *chunkColumns) add(c *chunkDraft) {
	l.id, l.stream, l.index, l.body = append(l.id, c.id), append(l.stream, c.Stream), append(l.index, c.Index), append(l.body, c.Text)
	l.kind, l.attempt = append(l.kind, int16(c.Kind)), append(l.attempt, int32(c.Attempt))
}

// Stream implements store.Store.
func (s *Store) Stream(ctx context.Context, req store.StreamRequest) (v store.StreamView, err error) {
	there := false
	err = s.view(ctx, "stream", func(b *pgx.Batch) {
		v = store.StreamView{Execution: store.Execution{ID: req.ID}}
		x := &v.Execution
		read(s.schema, b, readStream, []any{[16]byte(req.ID)}, func(r pgx.CollectableRow) error {
			there = true
			return r.Scan(&x.Status, &x.Epoch, &x.ErrorCode, &x.Error)
		})
		read(s.schema, b, lastChunk, []any{[16]byte(req.ID), req.Name}, func(r pgx.CollectableRow) error {
			v.Last.Stream = req.Name
			return r.Scan(&v.Last.Index, &v.Last.Kind, &v.Last.Attempt)
		})
		read(s.schema, b, readChunks, []any{[16]byte(req.ID), req.Name, req.After, req.Size()}, func(r pgx.CollectableRow) error {
			c := store.Chunk{Stream: req.Name}
			err := r.Scan(&c.Index, &c.Kind, &c.Attempt, &c.Text)
			v.Chunks = append(v.Chunks, c)
			return err
		})
	})
	switch {
	case err != nil:
		return store.StreamView{}, err
	case !there:
		return store.StreamView{}, explain("stream", fmt.Errorf("execution %s: %w", req.ID, store.ErrNotFound))
	}
	v.More = len(v.Chunks) > 0 && v.Chunks[len(v.Chunks)-1].Index < v.Last.Index
	return v, nil
}

// Streams implements store.Store.
func (s *Store) Streams(ctx context.Context, id store.ID) (list []store.Chunk, err error) {
	err = s.ask(ctx, "streams", readStreams, []any{[16]byte(id)}, func(r pgx.CollectableRow) error {
		var c store.Chunk
		err := r.Scan(&c.Stream, &c.Index, &c.Kind, &c.Attempt)
		list = append(list, c)
		return err
	})
	return list, err
}
