package postgres

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/durable-go/durable/store"
)

// Rounds of runs that come, end and are removed: tables and indexes stay as
// large as a round or two made them. What autovacuum does in its own time is done
// here between the rounds.
func TestRN1_NoBloat(t *testing.T) {
	p := partedIn(t, testDatabase(t), string(defaultSchema))
	size := func() (n int) {
		return p.number(`SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c WHERE relnamespace = $1::regnamespace AND relkind = 'r'`,
			quoted(p.schema))
	}
	const rounds, runs = 5, 2000
	var sizes []int
	for range rounds {
		fillAndEnd(p, runs)
		for left := runs; left > 0; {
			r, err := p.Prune(t.Context(), store.PruneRequest{})
			if err != nil || r.Removed < 1 || r.Removed > store.MaxPrune {
				t.Fatalf("%+v, %v", r, err)
			}
			left -= r.Removed
		}
		for _, table := range []string{"execution", "message", "accepted", "wait", "hold", "journal", "snapshot", "log", "blob", "body", "loose"} {
			if _, err := p.user.Exec(t.Context(), p.schema.of("VACUUM durable."+table)); err != nil {
				t.Fatal(err)
			}
		}
		sizes = append(sizes, size())
	}
	// Without room that is used again they would be five times the first.
	if most, last := max(sizes[0], sizes[1]), sizes[rounds-1]; last > most+most/2 {
		t.Errorf("sizes after each round: %d", sizes)
	}
	t.Logf("sizes after each round: %d", sizes)
}

func quoted(in schema) string { return in.of("durable.")[:len(in.of("durable."))-1] }

func fillAndEnd(p parted, runs int) {
	p.t.Helper()
	row := bytes.Repeat([]byte("0123456789"), 40)
	for done := 0; done < runs; done += 250 {
		var begins, tells, ends []store.Write
		for range 250 {
			id := uuid.Must(uuid.NewV7())
			begins = append(begins, store.Write{Begin: &store.Begin{ID: id, Workflow: "w", Version: "1", Queue: "q", Key: id.String(), Row: row, Owner: p.who}})
			tells = append(tells, store.Write{Deliver: &store.Deliver{ID: id, Topic: "t", Dedupe: "m", Payload: row}})
			ends = append(ends, store.Write{Advance: &store.Advance{
				ID: id, Owner: p.who, Epoch: 1, Base: 1, Row: row, Seen: -1, Snapshot: row, Blobs: [][]byte{row, sharedBody, fmt.Appendf(nil, "%s of %s", sharedBody, id)},
				Logs: []store.Log{{Path: "p", Attempt: 1, N: 1, At: time.Now(), Text: "hello"}}, Release: &store.Release{Status: store.Completed},
			}})
		}
		p.commit(store.Applied, begins...)
		p.commit(store.Applied, tells...)
		p.commit(store.Applied, ends...)
	}
}

// A renewal changes its row in place of it, so to speak: a new version in the same page, and no
// index knows of it.
func TestLease_RenewalsAreHOT(t *testing.T) {
	p := newParted(t)
	const renewals = 300
	for range renewals {
		if _, err := p.Renew(t.Context(), store.Lease{Who: p.who, Duration: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	p.statistics(func() bool { return p.number(updatesOfLeases) >= renewals })
	all, hot, pages := p.number(updatesOfLeases), p.number(hotOfLeases), p.number(`SELECT pg_relation_size('durable.lease') / 8192`)
	if hot < all*98/100 || pages > 4 {
		t.Errorf("%d of %d renewals were HOT, in %d pages", hot, all, pages)
	}
}

const (
	updatesOfLeases = `SELECT n_tup_upd FROM pg_stat_all_tables WHERE relid = 'durable.lease'::regclass`
	hotOfLeases     = `SELECT n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = 'durable.lease'::regclass`
)

// statistics waits until the server's counters are there: sessions report them when
// they are idle, or end.
func (p parted) statistics(there func() bool) {
	p.t.Helper()
	for _, pool := range []*pgxpool.Pool{p.beat, p.write, p.read} {
		pool.Reset()
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		if there() {
			return
		}
		<-tick.C
	}
	p.t.Fatal("the server's counters do not come")
}

// Steps, partings and claims look into the partition of their ids and into no other.
func TestPartitions_OthersAreLeftAside(t *testing.T) {
	p := newParted(t)
	for k := 3; k < 9; k++ {
		p.make(time.Duration(k) * time.Hour)
	}
	var writes []store.Write
	for range 8 {
		id := ago(5 * time.Hour)
		p.begin(id)
		writes = append(writes, store.Write{Advance: &store.Advance{ID: id, Owner: p.who, Epoch: 1, Base: 2, Row: []byte("x"), Seen: -1}})
	}
	const scans = `
		SELECT coalesce(sum(coalesce(idx_scan, 0) + seq_scan), 0)::bigint FROM pg_stat_all_tables
		WHERE relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('durable.journal'::regclass, 'durable.snapshot'::regclass)) AND (relname LIKE $1) = $2`
	here := "%_" + partOf(time.Now().Add(-5*time.Hour), time.Hour, part{}).name
	const rounds = 20
	p.statistics(func() bool { return p.number(scans, here, true) > 0 })
	before, others := p.number(scans, here, true), p.number(scans, here, false)
	for range rounds { // more than a plan for these values would be made for
		p.commit(store.Applied, writes...)
		for i := range writes {
			writes[i].Advance.Base++
		}
	}
	for i := range writes {
		writes[i].Advance.Release = &store.Release{Status: store.Pending}
	}
	p.commit(store.Applied, writes...)
	c, err := p.Claim(t.Context(), store.ClaimRequest{
		Owner: p.who, Definitions: []store.Definition{{Workflow: "w", Version: "1"}}, Queues: map[string]int{"q": len(writes)},
	})
	if err != nil || len(c.Records) != len(writes) || string(c.Records[0].Snapshot) != "to two" || len(c.Records[0].Rows) != rounds+1 {
		t.Fatalf("claimed %+v, %v", c, err)
	}
	p.statistics(func() bool { return p.number(scans, here, true) >= before+rounds*len(writes) })
	if n := p.number(scans, here, false) - others; n != 0 {
		t.Errorf("%d looks into other partitions", n)
	}
}
