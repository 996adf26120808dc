package sqlite

import (
	"errors"
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
