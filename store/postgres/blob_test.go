package postgres_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// bodies counts what is stored of blobs that are shared.
func bodies(url, schema string) func(tb testing.TB) int {
	return func(tb testing.TB) (n int) {
		tb.Helper()
		c, err := pgx.Connect(tb.Context(), url)
		if err != nil {
			tb.Fatal(err)
		}
		defer func() { _ = c.Close(tb.Context()) }()
		if err := c.QueryRow(tb.Context(), "SELECT count(*) FROM "+pgx.Identifier{schema, "body"}.Sanitize()).Scan(&n); err != nil {
			tb.Fatal(err)
		}
		return n
	}
}

// BenchmarkBlobs commits rows that each come with a blob: one that no other run has, small or
// large, or one that each of 64 runs gives again in turn, after 1 of 8 rows. Look at rows/s.
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
	st := open(b, opener(b))
	who := uuid.New()
	if _, err := st.Renew(b.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		b.Fatal(err)
	}
	commit := func(writes []store.Write) {
		r, err := st.Commit(b.Context(), writes)
		if err != nil || r.Verdicts[0].Code != store.Applied {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	noise := make([]byte, own)
	prompt := bytes.Repeat([]byte("be kind "), same/8)
	var writes []store.Write
	for n := 0; b.Loop(); n++ {
		if n%of == 0 {
			b.StopTimer()
			var begins []store.Write
			writes = nil
			for range size {
				id := uuid.Must(uuid.NewV7())
				begins = append(begins, store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("1"), Owner: who}})
				writes = append(writes, store.Write{Advance: &store.Advance{ID: id, Owner: who, Epoch: 1, Seen: -1, Row: []byte("a row")}})
			}
			commit(begins)
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
		commit(writes)
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
}
