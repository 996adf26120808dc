package sqlite

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// A file from before there were families opens, and all that is in it goes on
// as what has none.
func TestMigrate_FromTheFirstVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "durable.db")
	c, err := connect(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := upgrade(c, list[:1]); err != nil {
		t.Fatal(err)
	}
	id, now := uuid.Must(uuid.NewV7()), time.Now().UnixMicro()
	for _, statement := range []string{
		`INSERT INTO execution (n, id, workflow, version, queue, priority, tags, status, epoch, inbox, created, changed, ended)
			VALUES (1, ?1, 'w', '1', 'q', 0, '[]', 'completed', 1, 1, ?2, ?2, ?2)`,
		`INSERT INTO journal (execution, seq, epoch, at, body) SELECT 1, 1, 1, ?2, x'01' WHERE ?1 IS NOT NULL`,
		`INSERT INTO message (execution, seq, topic, wait, at, payload) SELECT 1, 1, 't', '', ?2, x'01' WHERE ?1 IS NOT NULL`,
	} {
		if _, err := c.exec(statement, id, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path)
	rec, err := s.Load(t.Context(), id, true)
	if err != nil || rec.Parent != uuid.Nil || rec.Detached || rec.Depth != 0 || len(rec.Rows) != 1 || len(rec.Messages) != 1 {
		t.Errorf("after the upgrade there is %+v, %v", rec, err)
	}
	if p, err := s.Prune(t.Context(), store.PruneRequest{}); err != nil || p.Removed != 1 {
		t.Errorf("after the upgrade, Prune says %+v, %v", p, err)
	}
}

// Blobs of a file in which each execution had its own copies are all there, and bodies
// that several have are there once.
func TestMigrate_Blobs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "durable.db")
	c, err := connect(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := upgrade(c, list[:6]); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMicro()
	ids := []uuid.UUID{uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())}
	named := [][]string{{"", "both", strings.Repeat("first\x00 only", 700)}, {"both", strings.Repeat("x", 1001)}}
	for n, id := range ids {
		if _, err := c.exec(`INSERT INTO execution (n, id, workflow, version, queue, priority, tags, status, epoch, created, changed, ended)
			VALUES (?1, ?2, 'w', ?4, 'q', 0, '[]', 'completed', 1, ?3, ?3, ?3)`, n+1, id, now, strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		for _, body := range named[n] {
			if _, err := c.exec("INSERT INTO blob (execution, hash, body) VALUES (?, ?, ?)", n+1, sumOf(body), []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, path)
	if n := bodies(path)(t); n != 4 {
		t.Errorf("%d bodies, want 4", n)
	}
	for n, id := range ids {
		for _, body := range named[n] {
			if got, err := s.Blob(t.Context(), id, sumOf(body)); err != nil || string(got) != body {
				t.Errorf("after the upgrade %d bytes are %d, %v", len(body), len(got), err)
			}
		}
		if _, err := s.Blob(t.Context(), id, sumOf(named[1-n][len(named[1-n])-1])); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it reads what the other one has: %v", err)
		}
	}
	for n, left := range []int{2, 0} {
		version := strconv.Itoa(n)
		if p, err := s.Prune(t.Context(), store.PruneRequest{Workflow: "w", Version: &version}); err != nil || p.Removed != 1 {
			t.Fatalf("after the upgrade, Prune says %+v, %v", p, err)
		}
		if n := bodies(path)(t); n != left {
			t.Errorf("%d bodies are left, want %d", n, left)
		}
	}
}

func sumOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}
