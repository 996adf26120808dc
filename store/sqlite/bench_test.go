package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/sqlite"
	"github.com/durable-go/durable/store/storetest"
)

// The figures to look at are rows/s. BenchmarkRawInsert is what the driver
// gives for the same rows through database/sql with nothing around them.

const (
	benchRuns = 10_000 // executions in the database; batches are spread over them
	stride    = 7919   // from one to the next in a batch
	claimSize = 100
)

var benchRow = bytes.Repeat([]byte("0123456789abcde"), 10)

func openBench(tb testing.TB) store.Store {
	tb.Helper()
	st, err := sqlite.Open(filepath.Join(tb.TempDir(), "bench.db")).OpenStore(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = st.Close() })
	return st
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, openBench) }

func benchLease(b *testing.B, st store.Store) store.Incarnation {
	b.Helper()
	who := uuid.New()
	if _, err := st.Renew(b.Context(), store.Lease{Who: who, Name: "bench", Duration: time.Hour, New: true}); err != nil {
		b.Fatal(err)
	}
	return who
}

func benchBegin(id, owner uuid.UUID) store.Write {
	return store.Write{Begin: &store.Begin{ID: id, Workflow: "documents", Version: "v1", Queue: "default", Tags: []string{"bench"}, Row: benchRow, Owner: owner}}
}

func mustCommit(b *testing.B, st store.Store, writes []store.Write) {
	b.Helper()
	r, err := st.Commit(context.Background(), writes)
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range r.Verdicts {
		if v.Code != store.Applied {
			b.Fatalf("verdict %d", v.Code)
		}
	}
}

// begun fills a store with executions that one worker has.
func begun(b *testing.B, st store.Store, owner uuid.UUID) []store.ID {
	b.Helper()
	ids := make([]store.ID, benchRuns)
	for i := 0; i < len(ids); i += 500 {
		writes := make([]store.Write, 500)
		for j := range writes {
			ids[i+j] = uuid.Must(uuid.NewV7())
			writes[j] = benchBegin(ids[i+j], owner)
		}
		mustCommit(b, st, writes)
	}
	return ids
}

func batches(b *testing.B, run func(b *testing.B, batch int)) {
	for _, batch := range []int{64, 256} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			run(b, batch)
			b.ReportMetric(float64(b.N)*float64(batch)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkBegin(b *testing.B) {
	batches(b, func(b *testing.B, batch int) {
		st := openBench(b)
		writes := make([]store.Write, batch)
		for b.Loop() {
			for i := range writes {
				writes[i] = benchBegin(uuid.Must(uuid.NewV7()), uuid.Nil)
			}
			mustCommit(b, st, writes)
		}
	})
}

func BenchmarkAdvance(b *testing.B) {
	batches(b, func(b *testing.B, batch int) {
		st := openBench(b)
		owner := benchLease(b, st)
		ids := begun(b, st, owner)
		steps := make([]int, len(ids))
		writes := make([]store.Write, batch)
		at := 0
		for b.Loop() {
			for i := range writes {
				at = (at + stride) % len(ids)
				steps[at]++
				writes[i] = store.Write{Advance: &store.Advance{ID: ids[at], Owner: owner, Epoch: 1, Base: steps[at], Seen: -1, Row: benchRow}}
			}
			mustCommit(b, st, writes)
		}
	})
}

func BenchmarkBeginAdvanceComplete(b *testing.B) {
	batches(b, func(b *testing.B, batch int) {
		st := openBench(b)
		owner := benchLease(b, st)
		ids := make([]store.ID, batch)
		writes := make([]store.Write, batch)
		for b.Loop() {
			b.StopTimer()
			for i := range writes {
				ids[i] = uuid.Must(uuid.NewV7())
				writes[i] = benchBegin(ids[i], owner)
			}
			mustCommit(b, st, writes)
			for i := range writes {
				writes[i] = store.Write{Advance: &store.Advance{ID: ids[i], Owner: owner, Epoch: 1, Base: 1, Seen: -1, Row: benchRow, Release: &store.Release{Status: store.Completed}}}
			}
			b.StartTimer()
			mustCommit(b, st, writes)
		}
	})
}

func BenchmarkClaim(b *testing.B) {
	st := openBench(b)
	owner := benchLease(b, st)
	begun(b, st, owner)
	writes := make([]store.Write, claimSize)
	req := store.ClaimRequest{Owner: owner, Definitions: []store.Definition{{Workflow: "documents", Version: "v1"}}, Queues: map[string]int{"default": claimSize}}
	for b.Loop() {
		b.StopTimer()
		for i := range writes {
			writes[i] = benchBegin(uuid.Must(uuid.NewV7()), uuid.Nil)
		}
		mustCommit(b, st, writes)
		b.StartTimer()
		c, err := st.Claim(context.Background(), req)
		if err != nil || len(c.Records) != claimSize {
			b.Fatal(len(c.Records), err)
		}
	}
	b.ReportMetric(float64(b.N)*claimSize/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkClaimNothing(b *testing.B) {
	st := openBench(b)
	owner := benchLease(b, st)
	req := store.ClaimRequest{Owner: owner, Definitions: []store.Definition{{Workflow: "documents", Version: "v1"}}, Queues: map[string]int{"default": claimSize}}
	for b.Loop() {
		if _, err := st.Claim(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	st := openBench(b)
	ids := begun(b, st, benchLease(b, st))
	i := 0
	for b.Loop() {
		i = (i + 7919) % len(ids)
		if _, err := st.Load(context.Background(), ids[i], false); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRawInsert(b *testing.B) {
	batches(b, func(b *testing.B, batch int) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "raw.db")+"?_txlock=immediate&_pragma=journal_mode(wal)&_pragma=synchronous(2)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16384)")
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		if _, err := db.Exec("CREATE TABLE journal (execution INTEGER NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (execution, seq)) STRICT"); err != nil {
			b.Fatal(err)
		}
		insert, err := db.Prepare("INSERT INTO journal (execution, seq, epoch, at, body) VALUES (?, ?, ?, ?, ?)")
		if err != nil {
			b.Fatal(err)
		}
		steps := make([]int, benchRuns)
		at := 0
		for b.Loop() {
			tx, err := db.Begin()
			if err != nil {
				b.Fatal(err)
			}
			stmt := tx.Stmt(insert)
			for range batch {
				at = (at + stride) % benchRuns
				steps[at]++
				if _, err := stmt.Exec(at, steps[at], 1, 1, benchRow); err != nil {
					b.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
