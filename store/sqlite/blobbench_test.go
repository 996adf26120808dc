package sqlite_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// BenchmarkBlobs commits batches of 64 rows that each come with a blob which no other run has,
// and of one in eight also with one that all have. Look at rows/s.
func BenchmarkBlobs(b *testing.B) {
	for _, c := range []struct {
		name      string
		own, same int // bytes
	}{{"own=200", 200, 0}, {"own=4096", 4096, 0}, {"own=4096/same=16384", 4096, 16384}, {"own=65536", 65536, 0}} {
		b.Run(c.name, func(b *testing.B) { blobRows(b, c.own, c.same) })
	}
}

func blobRows(b *testing.B, own, same int) {
	const size, of = 64, 8
	st := openBench(b)
	who := benchLease(b, st)
	noise, prompt := make([]byte, own), bytes.Repeat([]byte("be kind "), same/8)
	var writes []store.Write
	for n := 0; b.Loop(); n++ {
		if n%of == 0 {
			b.StopTimer()
			var begins []store.Write
			writes = nil
			for range size {
				id := uuid.Must(uuid.NewV7())
				begins = append(begins, benchBegin(id, who))
				writes = append(writes, store.Write{Advance: &store.Advance{ID: id, Owner: who, Epoch: 1, Seen: -1, Row: benchRow}})
			}
			mustCommit(b, st, begins)
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
		mustCommit(b, st, writes)
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
}
