package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// parted is a store with partitions of an hour, and what the tests do to it.
type parted struct {
	*Store
	t   *testing.T
	who store.Incarnation
}

func newParted(t *testing.T) parted {
	t.Helper()
	url, schema := testServer(t)
	return partedIn(t, url, schema)
}

func partedIn(t *testing.T, url, schema string) parted {
	t.Helper()
	st, err := Open(url, Schema(schema), Partition(time.Hour)).OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	p := parted{st.(*Store), t, uuid.New()}
	if _, err := st.Renew(t.Context(), store.Lease{Who: p.who, Duration: 10 * time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	return p
}

// ago is an id that was made so long ago.
func ago(d time.Duration) uuid.UUID {
	id := uuid.Must(uuid.NewV7())
	first := firstID(time.Now().Add(-d))
	copy(id[:6], first[:6])
	return id
}

func (p parted) make(d time.Duration) {
	p.t.Helper()
	if err := p.makePart(p.t.Context(), time.Now().Add(-d)); err != nil {
		p.t.Fatal(err)
	}
}

func (p parted) tendNow() {
	p.t.Helper()
	if err := p.tend(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func (p parted) commit(want store.Code, writes ...store.Write) {
	p.t.Helper()
	r, err := p.Commit(p.t.Context(), writes)
	if err != nil {
		p.t.Fatal(err)
	}
	for i, v := range r.Verdicts {
		if v.Code != want {
			p.t.Fatalf("write %d: verdict %d, want %d", i, v.Code, want)
		}
	}
}

// begin makes an execution that has rows in all four tables; end ends it.
func (p parted) begin(id uuid.UUID) {
	p.t.Helper()
	p.commit(store.Applied, store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("one"), Owner: p.who}})
	p.commit(store.Applied, store.Write{Advance: &store.Advance{
		ID: id, Owner: p.who, Epoch: 1, Base: 1, Row: []byte("two"), Seen: -1, Snapshot: []byte("to two"), Blobs: [][]byte{[]byte("blob"), sharedBody},
		Logs: []store.Log{{Path: "p", Attempt: 1, N: 1, At: time.Now(), Text: "hello"}},
	}})
}

func (p parted) end(id uuid.UUID) {
	p.t.Helper()
	p.commit(store.Applied, store.Write{Advance: &store.Advance{
		ID: id, Owner: p.who, Epoch: 1, Base: 2, Row: []byte("three"), Seen: -1, Release: &store.Release{Status: store.Completed},
	}})
}

func (p parted) prunes(want int) {
	p.t.Helper()
	r, err := p.Prune(p.t.Context(), store.PruneRequest{})
	if err != nil || r.Removed != want {
		p.t.Fatalf("pruned %+v, %v; want %d", r, err, want)
	}
}

// number asks for a count.
func (p parted) number(query string, args ...any) (n int) {
	p.t.Helper()
	if err := p.read.QueryRow(p.t.Context(), p.schema.of(query), args...).Scan(&n); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// rows are those of an execution in the four tables, header or not.
func (p parted) rows(id uuid.UUID) int {
	p.t.Helper()
	return p.number(`
		SELECT (SELECT count(*) FROM durable.journal WHERE execution = $1) + (SELECT count(*) FROM durable.snapshot WHERE execution = $1)
			+ (SELECT count(*) FROM durable.log WHERE execution = $1) + (SELECT count(*) FROM durable.blob WHERE execution = $1)`, [16]byte(id))
}

var sharedBody = bytes.Repeat([]byte("shared "), 200)

const (
	allParts     = `SELECT count(*) FROM durable.part`
	inDefault    = `SELECT (SELECT count(*) FROM durable.journal_default) + (SELECT count(*) FROM durable.snapshot_default) + (SELECT count(*) FROM durable.log_default) + (SELECT count(*) FROM durable.blob_default)`
	allJournals  = `SELECT count(*) FROM pg_inherits WHERE inhparent = 'durable.journal'::regclass`
	rowsOfAnyRun = 7 // three of the journal, a snapshot, a log, two blobs
	allBodies    = `SELECT count(*) FROM durable.body`
)

// gone is what every call must say of an execution that was pruned, wherever its rows are.
func (p parted) gone(id uuid.UUID) {
	p.t.Helper()
	ctx := p.t.Context()
	for _, whole := range []bool{true, false} {
		if rec, err := p.Load(ctx, id, whole); err == nil {
			p.t.Fatalf("it is there: %+v", rec)
		}
	}
	if logs, err := p.Logs(ctx, id, time.Time{}); err != nil || len(logs) > 0 {
		p.t.Fatalf("%d logs, %v", len(logs), err)
	}
	if _, err := p.Blob(ctx, id, "fa2c8cc4f28176bbeed4b736df569a34c79cd3723e9ec42f9674b4d46ac6b8b8"); err == nil {
		p.t.Fatal("its blob is there")
	}
	p.commit(store.Superseded, store.Write{Advance: &store.Advance{ID: id, Owner: p.who, Epoch: 1, Base: 2, Row: []byte("three"), Seen: -1}})
	p.commit(store.NotFound, store.Write{Deliver: &store.Deliver{ID: id, Topic: "t", Dedupe: "d"}})
}

func TestRN1_PartitionsGoWhole(t *testing.T) {
	p := newParted(t)
	p.make(3 * time.Hour)
	parts := p.number(allParts)
	old := []uuid.UUID{ago(3 * time.Hour), ago(3 * time.Hour)}
	for _, id := range old {
		p.begin(id)
	}
	if n := p.number(inDefault); n != 0 {
		t.Fatalf("%d rows in the default partitions", n)
	}
	if n := p.number(allBodies); n != 1 {
		t.Fatalf("%d bodies of two that name the same", n)
	}
	p.end(old[0])
	p.prunes(1)
	if p.rows(old[0]) != rowsOfAnyRun {
		t.Error("rows of a partition that will be dropped were deleted")
	}
	p.gone(old[0])
	p.tendNow()
	if p.number(allParts) != parts || p.rows(old[1]) == 0 {
		t.Fatal("partitions were dropped although an execution lives")
	}
	if dropped, err := p.dropPart(t.Context(), partOf(time.Now().Add(-3*time.Hour), time.Hour, part{})); dropped || err != nil {
		t.Fatalf("they are dropped if one begins at that moment: %v", err)
	}
	p.end(old[1])
	p.prunes(1)
	p.gone(old[1])
	p.tendNow()
	if dropped, err := p.dropPart(t.Context(), partOf(time.Now().Add(-3*time.Hour), time.Hour, part{})); dropped || err != nil {
		t.Errorf("they are dropped twice: %v", err)
	}
	if n := p.number(allParts); n != parts-1 || p.number(allJournals) != n+1 || p.rows(old[0])+p.rows(old[1]) != 0 {
		t.Errorf("%d partitions of %d are left, and %d rows", n, parts, p.rows(old[0])+p.rows(old[1]))
	}
	if n := p.number(allBodies); n != 0 {
		t.Errorf("%d bodies are left", n)
	}
	// An id of that time goes to the default partitions, and from there at once.
	late := ago(3 * time.Hour)
	p.begin(late)
	p.end(late)
	if p.number(inDefault) != rowsOfAnyRun {
		t.Error("rows without a partition are not in the default ones")
	}
	p.make(3 * time.Hour)
	if p.number(allParts) != parts-1 {
		t.Error("partitions were made for a time that has rows in the default ones")
	}
	p.prunes(1)
	if p.rows(late) != 0 {
		t.Error("rows in the default partitions were left")
	}
}

// What an execution left behind is not in the way of another with its id, in
// whatever batch it comes.
func TestRN2_AnIdOfAnOldPartitionBeginsAgain(t *testing.T) {
	p := newParted(t)
	p.make(3 * time.Hour)
	for name, beside := range map[string][]store.Write{
		"alone":                  nil,
		"with another":           {{Begin: &store.Begin{ID: ago(3 * time.Hour), Workflow: "w", Version: "1", Queue: "q", Row: []byte("one")}}},
		"with what is not quick": {{Deliver: &store.Deliver{ID: uuid.Nil, Topic: "t", Dedupe: "d"}}},
	} {
		t.Run(name, func(t *testing.T) {
			id := ago(3 * time.Hour)
			p.begin(id)
			p.end(id)
			if _, err := p.Prune(t.Context(), store.PruneRequest{}); err != nil {
				t.Fatal(err)
			}
			again := store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("again")}}
			r, err := p.Commit(t.Context(), append([]store.Write{again}, beside...))
			if err != nil || r.Verdicts[0].Code != store.Applied {
				t.Fatalf("%+v, %v", r, err)
			}
			if rec, err := p.Load(t.Context(), id, true); err != nil || rec.Length != 1 || string(rec.Rows[0].Body) != "again" || p.rows(id) != 1 {
				t.Errorf("%+v, %v, %d rows", rec, err, p.rows(id))
			}
		})
	}
}

// One that lives for long keeps the partition, but not what others left in it.
func TestRN1_StragglersDoNotKeepWhatIsRemoved(t *testing.T) {
	p := newParted(t)
	p.make(5 * time.Hour)
	parts := p.number(allParts)
	lives := ago(5 * time.Hour)
	p.begin(lives)
	var old []uuid.UUID
	for range sweepBatch + 20 { // more than one batch
		old = append(old, ago(5*time.Hour))
		p.begin(old[len(old)-1])
		p.end(old[len(old)-1])
	}
	p.prunes(len(old))
	p.tendNow()
	if n := p.rows(old[0]); n != rowsOfAnyRun {
		t.Fatalf("%d rows: what a drop may soon remove was deleted at once", n)
	}
	back := func() { // as if a width had passed
		p.number(`WITH u AS (UPDATE durable.part SET orphans = orphans - interval '61 minutes' RETURNING 1) SELECT count(*) FROM u`)
	}
	back()
	p.tendNow()
	left := p.number(`SELECT count(DISTINCT execution) FROM durable.journal`)
	if p.rows(lives) != rowsOfAnyRun-1 || left != 1 || p.number(`SELECT count(*) FROM durable.snapshot`)+p.number(`SELECT count(*) FROM durable.log`)+p.number(`SELECT count(*) FROM durable.blob`) != 4 {
		t.Errorf("%d executions have rows, %d rows are of the one that lives", left, p.rows(lives))
	}
	if _, err := p.Blob(t.Context(), lives, sumOf(sharedBody)); err != nil {
		t.Errorf("what the one that lives has named: %v", err)
	}
	if rec, err := p.Load(t.Context(), lives, true); err != nil || len(rec.Rows) != 2 {
		t.Errorf("the one that lives: %+v, %v", rec, err)
	}
	p.end(lives)
	p.prunes(1)
	p.tendNow()
	if p.number(allParts) != parts-1 {
		t.Error("the partitions were not dropped in the end")
	}
}

// Where executions still begin, rows go at once: retention that is shorter than
// a partition must not keep a partition's worth.
func TestRN1_RowsOfAnOpenPartitionGoAtOnce(t *testing.T) {
	p := newParted(t)
	stranger := uuid.New() // not made by time
	for _, id := range []uuid.UUID{ago(0), stranger} {
		p.begin(id)
		p.end(id)
	}
	p.prunes(2)
	if n := p.number(`SELECT count(*) FROM durable.journal`) + p.rows(stranger); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if n := p.number(allBodies); n != 0 {
		t.Errorf("%d bodies are left", n)
	}
}

// Ranges follow each other without gaps, also when the width changes.
func TestPartitions_NeverOverlap(t *testing.T) {
	p := newParted(t)
	for range 12 {
		p.width = pick(time.Hour, 3*time.Hour, 24*time.Hour, 90*time.Minute)
		p.make(time.Duration(rand.N(int64(96 * time.Hour))))
	}
	if n := p.number(`SELECT count(*) FROM durable.part a JOIN durable.part b ON a.first < b.first AND a.until > b.first`); n != 0 {
		t.Errorf("%d ranges overlap", n)
	}
	if n := p.number(allParts); n < 5 || p.number(allJournals) != n+1 {
		t.Errorf("%d ranges and %d partitions", n, p.number(allJournals))
	}
}

func pick(of ...time.Duration) time.Duration { return of[rand.IntN(len(of))] }

// Whoever holds up a change of the tables holds up nobody else: what waits behind it
// waits for as long as its patience, and it comes through in the end.
func TestPartitions_KeepNobodyWaiting(t *testing.T) {
	p := newParted(t)
	p.make(3 * time.Hour) // and nothing in it: to be dropped
	for name, change := range map[string]func(ctx context.Context) error{
		"make": func(ctx context.Context) error { return p.makePart(ctx, time.Now().Add(9*time.Hour)) },
		"drop": p.tend,
	} {
		t.Run(name, func(t *testing.T) {
			parts := p.number(allParts)
			tx, err := p.user.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), p.schema.of(`SELECT count(*) FROM durable.journal, durable.blob`)); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- change(t.Context()) }()
			// Until it has waited and given up at least once.
			waits := func() bool {
				var n int
				if err := p.user.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%LOCK TABLE%' AND strpos(query, $1) > 0`,
					string(p.schema)).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n > 0
			}
			longest := time.Duration(0)
			for seen := 0; seen < 3; {
				for range 20 { // it waits for moments only
					if waits() {
						seen++
						break
					}
					select {
					case err := <-done:
						t.Fatalf("it did not wait: %v", err)
					case <-time.After(5 * time.Millisecond):
					}
				}
				begun := time.Now()
				p.begin(ago(0))
				longest = max(longest, time.Since(begun))
			}
			if longest > 10*time.Second { // two commits, each behind a wait of 50 ms at most; the rest is this machine
				t.Errorf("a commit waited for %s", longest)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil || p.number(allParts) == parts {
				t.Errorf("in the end: %v, %d partitions", err, p.number(allParts))
			}
		})
	}
}

// testServer is a server, as the other tests find it, and a schema of its own.
func testServer(t *testing.T) (address, schema string) {
	t.Helper()
	address, c := dialTest(t)
	schema = fmt.Sprintf("durable part %016x", rand.Uint64())
	t.Cleanup(func() { drop(t, c, "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade") })
	return address, schema
}

// testDatabase is a database of its own: what others do on the server does not keep a
// vacuum from its work there.
func testDatabase(t *testing.T) (address string) {
	t.Helper()
	address, c := dialTest(t)
	name := fmt.Sprintf("durable_part_%016x", rand.Uint64())
	if _, err := c.Exec(t.Context(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drop(t, c, "drop database if exists "+name+" with (force)") })
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func dialTest(t *testing.T) (address string, c *pgx.Conn) {
	t.Helper()
	if address = os.Getenv("DURABLE_TEST_POSTGRES_URL"); address == "" {
		address = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	}
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Skip("SKIPPED: there is no PostgreSQL at 127.0.0.1:5432, and DURABLE_TEST_POSTGRES_URL is not set; scripts/postgres starts one")
	}
	return address, c
}

func drop(t *testing.T, c *pgx.Conn, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if _, err := c.Exec(ctx, statement); err != nil {
		t.Error(err)
	}
	_ = c.Close(ctx)
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// An execution begins while the partitions of its range are attached: it waits, and its rows go there.
func TestParts_BeginsWhileAttached(t *testing.T) {
	p := newParted(t)
	at := time.Now().Add(-5 * time.Hour)
	began := make(chan error, 1)
	id := ago(5 * time.Hour)
	if err := p.alter(t.Context(), func(ctx context.Context, d *ddl) error {
		var free part
		if err := d.tx.QueryRow(ctx, p.schema.of(readAround), [16]byte(firstID(at))).Scan((*nullable)(&free.first), (*nullable)(&free.until)); err != nil {
			return err
		}
		x := partOf(at, time.Hour, free)
		for _, statement := range []string{x.of(makePart), lockToAttach} {
			if err := d.run(ctx, 0, statement); err != nil {
				return err
			}
		}
		go func() {
			_, err := p.Commit(ctx, []store.Write{{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Row: []byte("one"), Owner: p.who}}})
			began <- err
		}()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for p.number(`SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation WHERE NOT granted AND relname = 'journal_default'`) == 0 {
			<-tick.C
		}
		return d.run(ctx, 0, x.of(attachPart))
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-began; err != nil {
		t.Error(err)
	}
	if n := p.number(inDefault); n != 0 {
		t.Errorf("%d rows in default partitions", n)
	}
}
