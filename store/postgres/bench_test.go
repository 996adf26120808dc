package postgres_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// BenchmarkPlainSteps commits steps of 150 bytes, with as many committers as it
// says, each a worker with executions of its own, and with partitions of the
// past. Look at rows/s.
func BenchmarkPlainSteps(b *testing.B) {
	for _, parts := range []int{12, 60} {
		b.Run(fmt.Sprintf("parts=%d/writers=1/batch=64", parts), func(b *testing.B) { plainSteps(b, 1, 64, parts) })
	}
	for _, writers := range []int{1, 2, 4} {
		for _, size := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("writers=%d/batch=%d", writers, size), func(b *testing.B) { plainSteps(b, writers, size, 1) })
		}
	}
}

func plainSteps(b *testing.B, writers, size, parts int) {
	st := open(b, opener(b))
	for k := 1; k < parts; k++ { // of the past: what a batch must not pay for
		if err := postgres.MakePart(b.Context(), st, time.Now().AddDate(0, 0, -30*k)); err != nil {
			b.Fatal(err)
		}
	}
	row := bytes.Repeat([]byte("0123456789abcde"), 10)
	batches := make([][]store.Write, writers)
	for i := range batches {
		who := uuid.New()
		if _, err := st.Renew(b.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
			b.Fatal(err)
		}
		var begins []store.Write
		for range size {
			id := uuid.Must(uuid.NewV7())
			begins = append(begins, store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: row, Owner: who}})
			batches[i] = append(batches[i], store.Write{Advance: &store.Advance{ID: id, Owner: who, Epoch: 1, Base: 1, Row: row, Seen: -1}})
		}
		if _, err := st.Commit(b.Context(), begins); err != nil {
			b.Fatal(err)
		}
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var all sync.WaitGroup
	for _, batch := range batches {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				r, err := st.Commit(b.Context(), batch)
				if err != nil {
					b.Error(err)
					return
				}
				for i, v := range r.Verdicts {
					if v.Code != store.Applied {
						b.Errorf("verdict %d", v.Code)
						return
					}
					batch[i].Advance.Base++
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
}
