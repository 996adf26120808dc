package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// A batch is held up after its rows were judged and before it commits. Who comes
// meanwhile to take the execution away must wait for it: else rows of an old epoch
// would land after that. The suite has this as a race; here it is sure to happen.
func TestFence_WaitsForABatchInFlight(t *testing.T) {
	for name, take := range map[string]func(ctx context.Context, st store.Store, who store.Incarnation, id store.ID) error{
		"Expire": func(ctx context.Context, st store.Store, _ store.Incarnation, _ store.ID) error {
			_, err := st.Expire(ctx)
			return err
		},
		"Retire": func(ctx context.Context, st store.Store, who store.Incarnation, _ store.ID) error {
			return st.Retire(ctx, who)
		},
		"Control": func(ctx context.Context, st store.Store, _ store.Incarnation, id store.ID) error {
			_, err := st.Commit(ctx, []store.Write{{Control: &store.Control{
				ID: id, From: []store.Status{store.Running}, Row: []byte("taken"), Release: store.Release{Status: store.Pending},
			}}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { fence(t, take) })
	}
}

func fence(t *testing.T, take func(ctx context.Context, st store.Store, who store.Incarnation, id store.ID) error) {
	url, schema := fresh(t)
	st := open(t, postgres.Open(url, postgres.Schema(schema)))
	who, w := uuid.New(), beginning()
	lease := store.Lease{Who: who, Duration: time.Hour, New: true}
	if _, err := st.Renew(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	w.Begin.Owner = who
	commit(t, st, w)
	step := store.Write{Advance: &store.Advance{ID: w.Begin.ID, Owner: who, Epoch: 1, Base: 1, Row: []byte("two"), Seen: -1}}
	lease.Duration = -time.Second
	if _, err := st.Renew(t.Context(), lease); err != nil {
		t.Fatal(err)
	}

	// A stranger holds the key that the step needs, as no code of ours would.
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	stranger, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	quoted := pgx.Identifier{schema}.Sanitize()
	if _, err := stranger.Exec(t.Context(), "insert into "+quoted+".journal values ($1, 2, 0, now(), '')", w.Begin.ID.String()); err != nil {
		t.Fatal(err)
	}

	landed := make(chan store.Code, 1)
	go func() {
		r, err := st.Commit(t.Context(), []store.Write{step})
		if err != nil {
			t.Errorf("commit: %v", err)
			landed <- 0
			return
		}
		landed <- r.Verdicts[0].Code
	}()
	waiting(t, url, schema, 1)
	taken := make(chan error, 1)
	go func() { taken <- take(t.Context(), st, who, w.Begin.ID) }()
	waiting(t, url, schema, 2)
	if err := stranger.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := <-landed; code != store.Applied {
		t.Errorf("the batch in flight: verdict %d, want Applied", code)
	}
	if err := <-taken; err != nil {
		t.Errorf("take it away: %v", err)
	}
	rec, err := st.Load(t.Context(), w.Begin.ID, true)
	if err != nil || rec.Owner != uuid.Nil || rec.Epoch != 2 || string(rec.Rows[1].Body) != "two" {
		t.Errorf("after both: %+v, %v", rec, err)
	}
	step.Advance.Base = rec.Length
	if v := commit(t, st, step); v[0].Code != store.Superseded {
		t.Errorf("a write after it: verdict %d, want Superseded", v[0].Code)
	}
}

// waiting returns when n sessions wait for a lock and name the schema in what they do.
func waiting(t *testing.T, url, schema string, n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	for got := -1; ; {
		if err := c.QueryRow(t.Context(), "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and strpos(query, $1) > 0", schema).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got == n {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%d sessions wait, want %d", got, n)
		}
	}
}
