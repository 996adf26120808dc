package sqlite_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// BenchmarkChunks commits chunks of 150 bytes, one for each of so many executions at a time, and every 50 of
// them an end. Look at chunks/s.
func BenchmarkChunks(b *testing.B) {
	for _, size := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("streams=%d", size), func(b *testing.B) {
			st := openBench(b)
			benchChunks(b, st, size)
		})
	}
}

func benchChunks(b *testing.B, st store.Store, size int) {
	text := bytes.Repeat([]byte("0123456789abcde"), 10)
	who := uuid.New()
	if _, err := st.Renew(b.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		b.Fatal(err)
	}
	begins, batch := make([]store.Write, size), make([]store.Write, size)
	for i := range size {
		id := uuid.Must(uuid.NewV7())
		begins[i] = store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: text, Owner: who}}
		batch[i] = store.Write{Advance: &store.Advance{ID: id, Owner: who, Epoch: 1, Base: 1, Seen: -1, Chunks: []store.Chunk{{Stream: "answer", Kind: store.ChunkText, Attempt: 1, Text: text}}}}
	}
	if _, err := st.Commit(b.Context(), begins); err != nil {
		b.Fatal(err)
	}
	n := int64(0)
	for b.Loop() {
		n++
		for i := range batch {
			c := &batch[i].Advance.Chunks[0]
			if c.Index, c.Kind = n, store.ChunkText; n%50 == 0 {
				c.Kind = store.ChunkEnd
			}
		}
		r, err := st.Commit(b.Context(), batch)
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range r.Verdicts {
			if v.Code != store.Applied {
				b.Fatalf("verdict %d", v.Code)
			}
		}
	}
	b.ReportMetric(float64(n)*float64(size)/b.Elapsed().Seconds(), "chunks/s")
}
