package sqlite

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// What is removed makes room for what comes: the file is as large as its fullest
// time, however many rounds there are.
func TestRN1_FreedPagesAreUsedAgain(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "durable.db"), Relaxed())
	who := uuid.New()
	if _, err := s.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	pages := func() (n int64) {
		if _, err := s.writer.one("PRAGMA page_count", func(r row) { n = r.int(0) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var first int64
	for round := range 4 {
		fill(t, s, who, 150)
		if n := pages(); round == 0 {
			first = n
		} else if n > first+first/10 {
			t.Errorf("%d pages in round %d, %d in the first", n, round, first)
		}
		for more := true; more; {
			p, err := s.Prune(t.Context(), store.PruneRequest{})
			if err != nil {
				t.Fatal(err)
			}
			more = p.More
		}
	}
	for _, table := range []string{"execution", "journal", "snapshot", "message", "accepted", "wait", "hold", "log", "named", "body", "piece"} {
		left := int64(-1)
		if _, err := s.writer.one("SELECT count(*) FROM "+table, func(r row) { left = r.int(0) }); err != nil || left != 0 {
			t.Errorf("%d rows of %s are left, %v", left, table, err)
		}
	}
}

// fill begins and ends runs that have something in every table.
func fill(t *testing.T, s *Store, who store.Incarnation, runs int) {
	t.Helper()
	commit := func(writes []store.Write) {
		r, err := s.Commit(t.Context(), writes)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Verdicts {
			if v.Code != store.Applied {
				t.Fatalf("verdict %d", v.Code)
			}
		}
	}
	var begins, tells, ends []store.Write
	for i := range runs {
		id, body := uuid.Must(uuid.NewV7()), bytes.Repeat([]byte{byte(i)}, 600)
		begins = append(begins, store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Key: fmt.Sprint(i), Row: body, Owner: who}})
		tells = append(tells, store.Write{Deliver: &store.Deliver{ID: id, Topic: "t", Dedupe: "m", Payload: body}})
		ends = append(ends, store.Write{Advance: &store.Advance{
			ID: id, Owner: who, Epoch: 1, Base: 1, Row: body, Seen: -1, Snapshot: body, Blobs: [][]byte{body},
			Logs: []store.Log{{Path: "p", Attempt: 1, N: 1, At: time.Now(), Text: "hello"}}, Release: &store.Release{Status: store.Completed},
		}})
	}
	commit(begins)
	commit(tells)
	commit(ends)
}

// One writer serves all: a batch is short, however much there is to remove.
func TestRN1_ABatchIsShort(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "durable.db"), Relaxed())
	who := uuid.New()
	if _, err := s.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	const runs = 900 // fewer than the limit, and more than 10 ms of work for any machine
	fill(t, s, who, runs)
	p, err := s.Prune(t.Context(), store.PruneRequest{})
	if err != nil || p.Removed < 1 || p.Removed >= runs || !p.More {
		t.Errorf("%+v of %d, %v: it did not stop after %s", p, runs, err, pruneFor)
	}
}
