package sqlite

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// bodies counts what is stored of blobs in a file.
func bodies(path string) func(tb testing.TB) int {
	return func(tb testing.TB) (n int) {
		tb.Helper()
		c, err := connect(path, nil)
		if err == nil {
			_, err = c.one("SELECT count(*) FROM body", func(r row) { n = int(r.int(0)) })
		}
		if err == nil {
			err = c.close()
		}
		if err != nil {
			tb.Fatal(err)
		}
		return n
	}
}

// A blob that was named and whose body is gone is not one that never was.
func TestBlob_Lost(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "durable.db"))
	who, id := uuid.New(), uuid.Must(uuid.NewV7())
	if _, err := s.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	for _, w := range []store.Write{
		{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("1"), Owner: who}},
		{Advance: &store.Advance{ID: id, Owner: who, Epoch: 1, Base: 1, Row: []byte("2"), Seen: -1, Blobs: [][]byte{[]byte("body")}}},
	} {
		if r, err := s.Commit(t.Context(), []store.Write{w}); err != nil || r.Verdicts[0].Code != store.Applied {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if _, err := s.writer.exec("DELETE FROM body"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Blob(t.Context(), id, sumOf("body")); !errors.Is(err, store.ErrLost) {
		t.Errorf("a lost body: %v", err)
	}
	if _, err := s.Blob(t.Context(), uuid.New(), sumOf("body")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another's: %v", err)
	}
}

// Whatever its size, a body is cut into no more pieces than there are numbers for, all of which are small but one.
func TestBlob_Cut(t *testing.T) {
	content := make([]byte, 16<<20)
	for i := range content {
		content[i] = byte(i * 31 >> 3)
	}
	most := 0
	for size := range 64 << 10 {
		most = max(most, checkCut(t, content[:size]))
	}
	for size := len(content) - 20_000; size <= len(content); size++ {
		most = max(most, checkCut(t, content[:size]))
	}
	if most != 1+8 {
		t.Errorf("up to %d rows", most)
	}
}

func checkCut(t *testing.T, content []byte) int {
	t.Helper()
	pieces, size := cut(content), 0
	for _, p := range pieces {
		if len(p) > 0 && &p[0] != &content[size] {
			t.Fatalf("%d bytes are cut in another order", len(content))
		}
		size += len(p)
	}
	if size != len(content) || len(pieces) > 1+maxPieces || len(pieces) == 0 {
		t.Fatalf("%d bytes are %d in %d pieces", len(content), size, len(pieces))
	}
	return len(pieces)
}

// What was cut is whole again.
func TestBlob_Pieces(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "durable.db"))
	who, id := uuid.New(), uuid.Must(uuid.NewV7())
	if _, err := s.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), []store.Write{{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("1"), Owner: who}}}); err != nil {
		t.Fatal(err)
	}
	a := &store.Advance{ID: id, Owner: who, Epoch: 1, Base: 1, Row: []byte("2"), Seen: -1, Release: &store.Release{Status: store.Completed}}
	for _, size := range []int{0, 1, 999, 1000, 1001, 2000, 4000, 5489, 5581, 5582, 5600, 9999, 100_000, 16 << 20} {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		a.Blobs = append(a.Blobs, b)
	}
	if r, err := s.Commit(t.Context(), []store.Write{{Advance: a}}); err != nil || r.Verdicts[0].Code != store.Applied {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, b := range a.Blobs {
		if got, err := s.Blob(t.Context(), id, sumOf(string(b))); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes are %d, %v", len(b), len(got), err)
		}
	}
	if p, err := s.Prune(t.Context(), store.PruneRequest{}); err != nil || p.Removed != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	left := int64(-1)
	if _, err := s.writer.one("SELECT (SELECT count(*) FROM piece) + (SELECT count(*) FROM body) + (SELECT count(*) FROM named)", func(r row) { left = r.int(0) }); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}
