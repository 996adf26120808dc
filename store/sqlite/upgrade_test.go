package sqlite

import (
	"path/filepath"
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
