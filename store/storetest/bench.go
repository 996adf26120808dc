package storetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// Bench measures stores that open makes, an empty one for each part: chunks/s of streams, and rows/s of
// rows that come with blobs.
func Bench(b *testing.B, open func(testing.TB) store.Store) {
	for _, size := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("chunks/streams=%d", size), func(b *testing.B) { benchChunks(b, open(b), size) })
	}
	for _, c := range []struct {
		name      string
		own, same int // bytes
	}{{"own=200", 200, 0}, {"own=4096", 4096, 0}, {"own=4096/same=16384", 4096, 16384}, {"own=65536", 65536, 0}} {
		b.Run("blobs/"+c.name, func(b *testing.B) { benchBlobs(b, open(b), c.own, c.same) })
	}
}

// benchChunks commits chunks of 150 bytes, one for each of so many executions at a time, and every 50 of
// them an end.
func benchChunks(b *testing.B, st store.Store, size int) {
	text := bytes.Repeat([]byte("0123456789abcde"), 10)
	batch := make([]store.Write, size)
	for i, a := range benchRuns(b, st, size) {
		a.Base, a.Chunks = 1, []store.Chunk{{Stream: "answer", Kind: store.ChunkText, Attempt: 1, Text: text}}
		batch[i] = store.Write{Advance: a}
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
		benchCommit(b, st, batch)
	}
	b.ReportMetric(float64(n)*float64(size)/b.Elapsed().Seconds(), "chunks/s")
}

// benchBlobs commits batches of 64 rows that each come with a blob which no other run has, and of one in eight
// also with one that all have.
func benchBlobs(b *testing.B, st store.Store, own, same int) {
	const size, of = 64, 8
	noise, prompt := make([]byte, own), bytes.Repeat([]byte("be kind "), same/8)
	writes := make([]store.Write, size)
	n := 0
	for ; b.Loop(); n++ {
		if n%of == 0 {
			b.StopTimer()
			for i, a := range benchRuns(b, st, size) {
				a.Row = []byte("a row")
				writes[i] = store.Write{Advance: a}
			}
			b.StartTimer()
		}
		for i := range writes {
			a := writes[i].Advance
			for k := 0; k+8 <= len(noise); k += 8 {
				binary.LittleEndian.PutUint64(noise[k:], rand.Uint64())
			}
			a.Base, a.Blobs = n%of+1, [][]byte{bytes.Clone(noise)}
			if n%of == 0 && same > 0 {
				a.Blobs = append(a.Blobs, prompt)
			}
		}
		benchCommit(b, st, writes)
	}
	b.ReportMetric(float64(n*size)/b.Elapsed().Seconds(), "rows/s")
}

// benchRuns begins executions, and returns of each what its owner may write next.
func benchRuns(b *testing.B, st store.Store, n int) []*store.Advance {
	b.Helper()
	who := uuid.New()
	if _, err := st.Renew(b.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		b.Fatal(err)
	}
	begins, next := make([]store.Write, n), make([]*store.Advance, n)
	for i := range n {
		id := uuid.Must(uuid.NewV7())
		begins[i] = store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("1"), Owner: who}}
		next[i] = &store.Advance{ID: id, Owner: who, Epoch: 1, Seen: -1}
	}
	benchCommit(b, st, begins)
	return next
}

func benchCommit(b *testing.B, st store.Store, writes []store.Write) {
	b.Helper()
	r, err := st.Commit(b.Context(), writes)
	if err != nil {
		b.Fatal(err)
	}
	for i, v := range r.Verdicts {
		if v.Code != store.Applied {
			b.Fatalf("write %d: %s", i, codeName(v.Code))
		}
	}
}
