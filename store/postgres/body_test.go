package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// Blobs of tables in which each execution had its own copies are all there, and whoever names one of
// them from now on shares it. Ranges of before have a place for bodies.
func TestMigrate_Blobs(t *testing.T) {
	x := explaining(t)
	name := schema(fmt.Sprintf("durable' %%s \" upgrade %016x", rand.Uint64()))
	t.Cleanup(func() {
		if _, err := x.Exec(context.Background(), "DROP SCHEMA "+pgx.Identifier{string(name)}.Sanitize()+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	list, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	p := partOf(time.Now().Add(-3*time.Hour), time.Hour, part{})
	ids := []uuid.UUID{ago(3 * time.Hour), uuid.Must(uuid.NewV7())} // in a range, and in none
	if err := pgx.BeginFunc(t.Context(), x, func(q pgx.Tx) error {
		run := func(statement string) error {
			_, err := q.Conn().PgConn().Exec(t.Context(), name.of(statement)).ReadAll()
			return err
		}
		if err := name.found(t.Context(), q); err != nil {
			return err
		}
		for i, m := range list[:6] {
			if err := run(m + fmt.Sprintf("; INSERT INTO durable.migration VALUES (%d, now())", i+1)); err != nil {
				return err
			}
		}
		for _, table := range []string{"journal", "snapshot", "log", "blob"} {
			if err := run(p.of("CREATE TABLE durable." + table + "_$part PARTITION OF durable." + table + " FOR VALUES FROM ('$first') TO ('$until')")); err != nil {
				return err
			}
		}
		if err := run(p.of("INSERT INTO durable.part (name, first, until) VALUES ('$part', '$first', '$until')")); err != nil {
			return err
		}
		for _, id := range ids {
			if err := run(fmt.Sprintf(`
				INSERT INTO durable.execution (id, workflow, version, queue, priority, tags, status, epoch, created, changed, ended)
					VALUES ('%[1]s', 'w', '1', 'q', 0, '{}', 'completed', 1, now(), now(), now());
				INSERT INTO durable.journal (execution, seq, epoch, at, body) VALUES ('%[1]s', 1, 1, now(), 'began');
				INSERT INTO durable.blob (execution, hash, body) VALUES ('%[1]s', '%[2]s', ''), ('%[1]s', '%[3]s', '%[4]s')`,
				id, sumOf(nil), sumOf(sharedBody), sharedBody)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	opened, err := New(x.Pool, Schema(string(name)), Partition(time.Hour)).OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	at := parted{opened.(*Store), t, uuid.New()}
	if _, err := at.Renew(t.Context(), store.Lease{Who: at.who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	late := ago(3 * time.Hour)
	at.begin(late)
	at.end(late)
	if n := at.number(allBodies); n != 1 || at.number(`SELECT count(*) FROM durable.body_default`) != 0 {
		t.Errorf("%d bodies, want one beside what is in its range", n)
	}
	for _, id := range append(ids, late) {
		for _, body := range [][]byte{nil, sharedBody}[boolInt(id == late):] {
			if got, err := at.Blob(t.Context(), id, sumOf(body)); err != nil || !bytes.Equal(got, body) {
				t.Errorf("after the upgrade %q is %q, %v", body, got, err)
			}
		}
	}
	at.prunes(3)
	at.tendNow()
	if n := at.number(allBodies) + at.number(`SELECT count(*) FROM durable.blob`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if n := at.number(`SELECT count(*) FROM durable.part WHERE name = $1`, p.name); n != 0 {
		t.Error("the range was not dropped")
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Each range has its own copy, and an id in none has one for itself: what goes with a range is
// missed by nobody else.
func TestBodies_OfEachRange(t *testing.T) {
	p := newParted(t)
	p.make(3 * time.Hour)
	p.make(5 * time.Hour)
	ids := []uuid.UUID{ago(3 * time.Hour), ago(3 * time.Hour), ago(5 * time.Hour), ago(9 * time.Hour), uuid.New()}
	for _, id := range ids {
		p.begin(id)
	}
	if n := p.number(allBodies); n != 4 {
		t.Errorf("%d bodies, want one for each range and two for ids in none", n)
	}
	for n, id := range ids {
		p.end(id)
		p.prunes(1)
		p.tendNow()
		for _, other := range ids[n+1:] {
			if got, err := p.Blob(t.Context(), other, sumOf(sharedBody)); err != nil || !bytes.Equal(got, sharedBody) {
				t.Fatalf("when %d were removed: %v", n+1, err)
			}
		}
	}
	if n := p.number(allBodies) + p.number(`SELECT count(*) FROM durable.loose`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// A blob that was named and whose body is gone is not one that never was.
func TestBlob_Lost(t *testing.T) {
	p := newParted(t)
	id := ago(0)
	p.begin(id)
	p.number(`WITH gone AS (DELETE FROM durable.body RETURNING 1) SELECT count(*) FROM gone`)
	if _, err := p.Blob(t.Context(), id, sumOf(sharedBody)); !errors.Is(err, store.ErrLost) {
		t.Errorf("a lost body: %v", err)
	}
	if _, err := p.Blob(t.Context(), id, sumOf([]byte("another"))); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("one that was never named: %v", err)
	}
}

// Batches that name the same new bodies in different orders wait for each other, and never in a circle.
// Large ones, too, are written once.
func TestBodies_NoDeadlocks(t *testing.T) {
	const workers, rounds, bodies = 4, 10, 16
	address := testDatabase(t)
	p := partedIn(t, address, string(defaultSchema))
	var handles []parted
	for range workers {
		handles = append(handles, partedIn(t, address, string(defaultSchema)))
	}
	deadlocks := func() int {
		return p.number(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
	}
	for round := range rounds {
		size := 16 << 10
		if round == 0 {
			size = 1 << 20
		}
		var all sync.WaitGroup
		for i := range workers {
			all.Go(func() {
				p := handles[i]
				rnd := rand.New(rand.NewPCG(uint64(round), uint64(i)))
				var begins, names []store.Write
				for range 4 {
					id := ago(0)
					var list [][]byte
					for n := range bodies {
						list = append(list, bytes.Repeat(fmt.Appendf(nil, "body %d of round %d ", n, round), size/18))
					}
					rnd.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
					begins = append(begins, store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("1"), Owner: p.who}})
					names = append(names, store.Write{Advance: &store.Advance{ID: id, Owner: p.who, Epoch: 1, Base: 1, Row: []byte("2"), Seen: -1, Blobs: list}})
				}
				for _, writes := range [][]store.Write{begins, names} {
					r, err := p.Commit(context.WithoutCancel(t.Context()), writes)
					if err != nil || slices.ContainsFunc(r.Verdicts, func(v store.Verdict) bool { return v.Code != store.Applied }) {
						t.Errorf("%+v, %v", r.Verdicts, err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	if n := p.number(allBodies); n < rounds*bodies || n > 2*rounds*bodies { // twice at the moment between two ranges
		t.Errorf("%d bodies, want %d", n, rounds*bodies)
	}
	p.statistics(func() bool {
		return p.number(`SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`) > 2*rounds*workers
	})
	if n := deadlocks(); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}

// A body is named in a transaction that has not ended when the last of those who had it before is removed.
func TestBodies_NamedWhileRemoved(t *testing.T) {
	p := newParted(t)
	old, next := ago(0), ago(0)
	p.begin(old)
	p.end(old)
	p.commit(store.Applied, store.Write{Begin: &store.Begin{ID: next, Workflow: "w", Version: "1", Queue: "q", Row: []byte("one"), Owner: p.who}})
	if err := p.attempt(t.Context(), p.write, func(ctx context.Context, q *tx) error {
		q.draft.blobs = append(q.draft.blobs, newBlobDraft(next, sharedBody))
		q.finish()
		if err := q.flush(ctx); err != nil {
			return err
		}
		p.prunes(1)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := p.Blob(t.Context(), next, sumOf(sharedBody)); err != nil || !bytes.Equal(got, sharedBody) {
			t.Fatalf("what it has named: %v", err)
		}
		p.prunes(0)
	}
	if n := p.number(`SELECT count(*) FROM durable.loose`); n != 0 {
		t.Errorf("%d bodies are still to be looked at", n)
	}
}

// A step that names bodies looks up its own row, in a plan that was made while the tables were empty, too.
func TestBodies_PlannedWhileEmpty(t *testing.T) {
	x := explaining(t)
	p := parted{x.open(t, "bodies"), t, uuid.New()}
	if _, err := p.Renew(t.Context(), store.Lease{Who: p.who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	at := uuid.Must(uuid.NewV7()).String()[:13]
	ids := []uuid.UUID{uuid.MustParse(at + "-7000-8000-000000000000"), uuid.MustParse(at + "-7fff-bfff-ffffffffffff")} // and all others between them
	for _, id := range ids {
		p.commit(store.Applied, store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("1"), Owner: p.who}})
	}
	for base := 1; base <= 2; base++ {
		x.heard()
		var steps []store.Write
		for _, id := range ids {
			steps = append(steps, store.Write{Advance: &store.Advance{
				ID: id, Owner: p.who, Epoch: 1, Base: base, Row: []byte("row"), Seen: -1, Blobs: [][]byte{fmt.Append(nil, "small ", base), fmt.Append(sharedBody, base)},
			}})
		}
		p.commit(store.Applied, steps...)
		heard := x.heard()
		for _, statement := range []string{addSmall, addShared} {
			plans := heard[p.schema.of(statement)]
			if len(plans) == 0 {
				t.Fatal("nobody has run it")
			}
			judge(t, fmt.Sprint("step ", base), plans)
		}
		p.number(`
			WITH made AS (
				INSERT INTO durable.journal (execution, seq, epoch, at, body)
				SELECT ($1 || '-7777-8000-' || lpad(to_hex(g), 12, '0'))::uuid, $2, 1, now(), 'row' FROM generate_series(1, 5000) g RETURNING 1
			)
			SELECT count(*) FROM made`, at, base)
	}
}
