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
	"github.com/durable-go/durable/store/storetest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(tb testing.TB) store.Store { return open(tb, opener(tb)) })
}

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

// BenchmarkReports ends so many children of one parent, from as many committers as it
// says, in batches of 256. Look at ends/s.
func BenchmarkReports(b *testing.B) {
	for _, children := range []int{1000, 10_000} {
		for _, committers := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("children=%d/committers=%d", children, committers), func(b *testing.B) {
				for range b.N {
					reports(b, children, committers)
				}
			})
		}
	}
}

func reports(b *testing.B, children, committers int) {
	const size = 256
	b.StopTimer()
	st := open(b, opener(b))
	who := uuid.New()
	if _, err := st.Renew(b.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		b.Fatal(err)
	}
	must := func(writes ...store.Write) {
		r, err := st.Commit(b.Context(), writes)
		if err != nil || r.Verdicts[0].Code != store.Applied {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	parent := uuid.Must(uuid.NewV7())
	must(store.Write{Begin: &store.Begin{ID: parent, Workflow: "w", Version: "1", Queue: "q", Row: []byte("began"), Owner: who}})
	begun := time.Now()
	for base := 1; (base-1)*1000 < children; base++ {
		a := store.Advance{ID: parent, Owner: who, Epoch: 1, Base: base, Row: []byte("bears"), Seen: -1}
		for range min(1000, children) {
			a.Children = append(a.Children, store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "w", Version: "1", Queue: "q", Row: []byte("began"), Parent: parent, Depth: 1})
		}
		must(store.Write{Advance: &a})
	}
	bore := time.Since(begun)
	work := make(chan []store.Write, children)
	for claimed := 0; claimed < children; {
		c, err := st.Claim(b.Context(), store.ClaimRequest{Owner: who, Queues: map[string]int{"q": size}, Definitions: []store.Definition{{Workflow: "w", Version: "1"}}})
		if err != nil {
			b.Fatal(err)
		}
		var batch []store.Write
		for _, r := range c.Records {
			batch = append(batch, store.Write{Advance: &store.Advance{
				ID: r.ID, Owner: who, Epoch: 1, Base: 1, Row: []byte("end"), Seen: 0, Release: &store.Release{Status: store.Completed, Report: []byte("0123456789")},
			}})
		}
		claimed += len(batch)
		work <- batch
	}
	close(work)
	var busy atomic.Int64
	b.StartTimer()
	ended := time.Now()
	var all sync.WaitGroup
	for range committers {
		all.Go(func() {
			for batch := range work {
				for len(batch) > 0 {
					r, err := st.Commit(b.Context(), batch)
					if err != nil {
						b.Error(err)
						return
					}
					var again []store.Write
					for i, v := range r.Verdicts {
						if v.Code == store.Busy {
							again = append(again, batch[i])
						}
					}
					busy.Add(int64(len(again)))
					batch = again
				}
			}
		})
	}
	all.Wait()
	took := time.Since(ended)
	b.StopTimer()
	b.ReportMetric(float64(children)/took.Seconds(), "ends/s")
	b.ReportMetric(float64(busy.Load()), "busy")
	if rec, err := st.Load(b.Context(), parent, false); err != nil || rec.Inbox != int64(children) || len(rec.Messages) != children {
		b.Errorf("%d of %d were told, %v", rec.Inbox, children, err)
	}
	cancelled := time.Now()
	must(store.Write{Control: &store.Control{ID: parent, From: store.Statuses(), Row: []byte("cancel"), Release: store.Release{Status: store.Cancelled, Family: &store.Notice{Topic: "parent"}}}})
	b.Logf("%d children, %d committers: begun in %s, ended in %s; cancel after it %s", children, committers, bore.Round(time.Millisecond), took.Round(time.Millisecond), time.Since(cancelled).Round(time.Millisecond))
	b.StartTimer()
}
