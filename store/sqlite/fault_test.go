package sqlite

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func beginWith(row []byte) store.Write {
	return store.Write{Begin: &store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "w", Queue: "q", Row: row}}
}

// A full disk is told as such, leaves nothing of the batch, and is forgotten
// when there is space again.
func TestFull(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "a.db"))
	if err := s.writer.script("PRAGMA max_page_count = 100"); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 50_000)
	var first store.Write
	var err error
	acked := 0
	for range 20 {
		w := beginWith(big)
		if _, err = s.Commit(t.Context(), []store.Write{beginWith([]byte("small")), w}); err != nil {
			first = w
			break
		}
		acked += 2
	}
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), s.path) {
		t.Fatalf("got %v", err)
	}
	for range 3 {
		if _, err := s.Commit(t.Context(), []store.Write{first}); !errors.Is(err, store.ErrFull) {
			t.Fatalf("got %v", err)
		}
		page, err := s.List(t.Context(), store.Filter{Count: true})
		if err != nil || page.Count != acked {
			t.Fatalf("%d executions, want %d: %v", page.Count, acked, err)
		}
	}
	if _, err := s.Commit(t.Context(), []store.Write{beginWith([]byte("fits"))}); err != nil {
		t.Errorf("a small write after a big one was refused: %v", err)
	}
	if err := s.writer.script("PRAGMA max_page_count = 10000"); err != nil {
		t.Fatal(err)
	}
	r, err := s.Commit(t.Context(), []store.Write{first})
	if err != nil || r.Verdicts[0].Code != store.Applied {
		t.Errorf("with space again: %v, %v", r.Verdicts, err)
	}
}

// A neighbour that holds the lock for longer than the busy timeout makes a
// commit fail; the next one works.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	synctest.Test(t, func(t *testing.T) {
		s, other := openTest(t, path), openTest(t, path)
		hold := func(then func()) {
			if _, err := other.writer.exec("BEGIN IMMEDIATE"); err != nil {
				t.Fatal(err)
			}
			then()
			if _, err := other.writer.exec("ROLLBACK"); err != nil {
				t.Fatal(err)
			}
		}
		w := beginWith([]byte("row"))
		hold(func() {
			begun := time.Now()
			_, err := s.Commit(t.Context(), []store.Write{w})
			if !busy(err) || kind(err) != nil {
				t.Errorf("got %v", err)
			}
			if d := time.Since(begun); d < busyTimeout || d > busyTimeout+maxPause {
				t.Errorf("waited %v", d)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := s.Commit(ctx, []store.Write{w}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if _, err := s.List(t.Context(), store.Filter{}); err != nil {
				t.Errorf("reading meanwhile: %v", err)
			}
		})
		result := make(chan error)
		hold(func() {
			go func() {
				_, err := s.Commit(context.Background(), []store.Write{w})
				result <- err
			}()
			<-time.After(busyTimeout / 2)
		})
		if err := <-result; err != nil {
			t.Errorf("the lock came within the timeout, but %v", err)
		}
	})
}

// A connection that cannot be cleaned is replaced.
func TestHeal(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "a.db"))
	broken := s.writer
	if err := broken.close(); err != nil {
		t.Fatal(err)
	}
	s.writer = nil
	if _, err := s.Commit(t.Context(), []store.Write{beginWith([]byte("row"))}); err != nil {
		t.Error(err)
	}
	if s.writer == nil || s.writer == broken {
		t.Error("the writer is the old one")
	}
	// A transaction that was left open is ended after the next failure.
	if _, err := s.writer.exec("BEGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), nil); err == nil {
		t.Error("a transaction in a transaction")
	}
	if _, err := s.Commit(t.Context(), []store.Write{beginWith([]byte("row"))}); err != nil {
		t.Error(err)
	}
}

// Rows that must not be cannot be written, whatever the code above does.
func TestSchema_IllegalRows(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "a.db"))
	w := beginWith([]byte("row"))
	if _, err := s.Commit(t.Context(), []store.Write{w}); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{
		"status = 'running'",
		"status = 'waiting'",
		"status = 'completed'",
		"status = 'completed', due = NULL",
		"status = 'completed', due = NULL, ended = 1, waits = 1",
		"status = 'asleep'",
		"status = 'blocked'",
		"due = NULL",
		"owner = x'00'",
		"ended = 1",
		"waits = -1",
		"id = x'00'",
		"due = 'soon'",
	} {
		if err := s.writer.script("UPDATE execution SET " + set); kind(err) != store.ErrRefused {
			t.Errorf("%s: got %v", set, err)
		}
	}
	if err := s.writer.script("UPDATE execution SET status = 'running', owner = x'00', due = NULL"); err != nil {
		t.Errorf("a legal row: %v", err)
	}
}

func TestPragmas(t *testing.T) {
	for _, relaxed := range []bool{false, true} {
		var opts []Option
		synchronous := "2"
		if relaxed {
			opts, synchronous = []Option{Relaxed()}, "1"
		}
		s := openTest(t, filepath.Join(t.TempDir(), "a.db"), opts...)
		for pragma, want := range map[string]string{"synchronous": synchronous, "journal_mode": "wal", "trusted_schema": "0"} {
			if err := verify(s.writer, pragma, want); err != nil {
				t.Error(err)
			}
		}
		r, err := s.openReader()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.exec("DELETE FROM journal"); kind(err) != store.ErrReadOnly {
			t.Errorf("a reader wrote: %v", err)
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}
}

// The log does not stay as long as it once was.
func TestTidy(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "a.db"))
	if _, err := s.Commit(t.Context(), []store.Write{beginWith(make([]byte, 2*tidyAt))}); err != nil {
		t.Fatal(err)
	}
	size := func() (frames int64) {
		if _, err := s.writer.one("PRAGMA wal_checkpoint(NOOP)", func(r row) { frames = r.int(1) }); err != nil {
			t.Fatal(err)
		}
		return frames
	}
	if size() == 0 {
		t.Fatal("no log")
	}
	for range 2 { // the first may see the work of opening
		if _, err := s.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := size(); n > 1 {
		t.Errorf("%d pages are still in the log", n)
	}
}

func TestVersions(t *testing.T) {
	for have, want := range map[string]bool{"3.53.4": true, "3.53.3": false, "3.54": true, "3.53": false, "4.0.0": true, "2.99.99": false, "3.100.0": true} {
		if got := atLeast(have, minimumVersion); got != want {
			t.Errorf("%s: %v", have, got)
		}
	}
}

func TestPrefixRange(t *testing.T) {
	for prefix, want := range map[string][2]string{
		"":          {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
		"0":         {"00000000-0000-0000-0000-000000000000", "0fffffff-ffff-ffff-ffff-ffffffffffff"},
		"0190":      {"01900000-0000-0000-0000-000000000000", "0190ffff-ffff-ffff-ffff-ffffffffffff"},
		"01900000-": {"01900000-0000-0000-0000-000000000000", "01900000-ffff-ffff-ffff-ffffffffffff"},
		"abc":       {"abc00000-0000-0000-0000-000000000000", "abcfffff-ffff-ffff-ffff-ffffffffffff"},
		"%":         {"ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"},
		"A":         {"ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"},
	} {
		first, last := prefixRange(prefix)
		if first.String() != want[0] || last.String() != want[1] {
			t.Errorf("%q is %s to %s", prefix, first, last)
		}
	}
}
