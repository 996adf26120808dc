package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// Tables from before there were families are brought up to date, and all that is in
// them goes on as what has none.
func TestMigrate_FromTheFirstVersion(t *testing.T) {
	x := explaining(t) // skips without a server
	name := schema(fmt.Sprintf("durable upgrade %016x", rand.Uint64()))
	t.Cleanup(func() {
		if _, err := x.Exec(context.Background(), "DROP SCHEMA "+pgx.Identifier{string(name)}.Sanitize()+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	list, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.Must(uuid.NewV7())
	if err := pgx.BeginFunc(t.Context(), x, func(q pgx.Tx) error {
		if err := name.found(t.Context(), q); err != nil {
			return err
		}
		_, err := q.Conn().PgConn().Exec(t.Context(), name.of(list[0]+`;
			INSERT INTO durable.migration (version, applied_at) VALUES (1, clock_timestamp());
			INSERT INTO durable.execution (id, workflow, version, queue, priority, tags, status, epoch, inbox, created, changed, ended)
				VALUES ('`+id.String()+`', 'w', '1', 'q', 0, '{}', 'completed', 1, 1, now(), now(), now());
			INSERT INTO durable.journal (execution, seq, epoch, at, body) VALUES ('`+id.String()+`', 1, 1, now(), 'began');
			INSERT INTO durable.message (execution, seq, topic, wait, at, payload) VALUES ('`+id.String()+`', 1, 't', '', now(), 'm')`)).ReadAll()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s, err := New(x.Pool, Schema(string(name))).OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	rec, err := s.Load(t.Context(), id, true)
	if err != nil || rec.Parent != uuid.Nil || rec.Detached || rec.Depth != 0 || len(rec.Rows) != 1 || len(rec.Messages) != 1 {
		t.Errorf("after the upgrade there is %+v, %v", rec, err)
	}
	if p, err := s.Prune(t.Context(), store.PruneRequest{}); err != nil || p.Removed != 1 {
		t.Errorf("after the upgrade, Prune says %+v, %v", p, err)
	}
}
