package memory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// A claim of ten and their release, beside many others that are due.
func BenchmarkClaimAndRelease(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			st, who := memory.New(), uuid.New()
			if _, err := st.Renew(b.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
				b.Fatal(err)
			}
			var begins []store.Write
			for range n {
				id := uuid.Must(uuid.NewV7())
				begins = append(begins, store.Write{Begin: &store.Begin{ID: id, Workflow: "order", Version: "v1", Queue: "q", Row: []byte("began")}})
			}
			if _, err := st.Commit(b.Context(), begins); err != nil {
				b.Fatal(err)
			}
			req := store.ClaimRequest{Owner: who, Definitions: []store.Definition{{Workflow: "order", Version: "v1"}}, Queues: map[string]int{"q": 10}}
			for b.Loop() {
				c, err := st.Claim(b.Context(), req)
				if err != nil || len(c.Records) != 10 {
					b.Fatalf("claimed %d: %v", len(c.Records), err)
				}
				var releases []store.Write
				for _, r := range c.Records {
					releases = append(releases, store.Write{Advance: &store.Advance{
						ID: r.ID, Owner: who, Epoch: r.Epoch, Base: r.Length, Seen: -1, Row: []byte("row"),
						Release: &store.Release{Status: store.Pending},
					}})
				}
				if _, err := st.Commit(b.Context(), releases); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
