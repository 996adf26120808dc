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

// A stranger's open transaction holds one execution. What is written to it is
// Busy, at once; its neighbours in the batch go in; and when the stranger has
// gone, so does the write.
func TestCommit_BusyInsteadOfWaiting(t *testing.T) {
	url, schema := fresh(t)
	st := open(t, postgres.Open(url, postgres.Schema(schema)))
	who := uuid.New()
	if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	var begun []store.ID
	for range 4 {
		w := beginning()
		w.Begin.Owner = who
		commit(t, st, w)
		begun = append(begun, w.Begin.ID)
	}
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
	if _, err := stranger.Exec(t.Context(), "update "+quoted+".execution set priority = priority where id = any($1)", []string{begun[0].String(), begun[2].String()}); err != nil {
		t.Fatal(err)
	}

	ended := func(id store.ID) store.Write {
		return store.Write{Advance: &store.Advance{ID: id, Owner: who, Epoch: 1, Base: 1, Row: []byte("end"), Seen: 0, Release: &store.Release{Status: store.Completed}}}
	}
	message := func(id store.ID) store.Write {
		return store.Write{Deliver: &store.Deliver{ID: id, Topic: "t", Dedupe: "d"}}
	}
	quick := []store.Write{ended(begun[0]), ended(begun[1])}
	if v := commit(t, st, quick...); v[0].Code != store.Busy || v[1].Code != store.Applied {
		t.Errorf("partings beside a stranger: %v, want Busy and Applied", v)
	}
	mixed := []store.Write{message(begun[2]), message(begun[3])}
	if v := commit(t, st, mixed...); v[0].Code != store.Busy || v[1].Code != store.Applied {
		t.Errorf("messages beside a stranger: %v, want Busy and Applied", v)
	}
	if err := stranger.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := commit(t, st, quick[0], mixed[0]); v[0].Code != store.Applied || v[1].Code != store.Applied {
		t.Errorf("after the stranger: %v, want Applied twice", v)
	}
}
