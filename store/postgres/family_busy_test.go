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

// A stranger's open transaction holds a parent, and a child. Ends that would tell
// them are Busy after a moment, whole: nothing of them is written. Their neighbours
// go in, also those whose own row the stranger holds do not keep them. When the
// stranger has gone, all go in.
func TestCommit_BusyFamilies(t *testing.T) {
	url, schema := fresh(t)
	st := open(t, postgres.Open(url, postgres.Schema(schema)))
	who := uuid.New()
	if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	family := func() (parent, child store.ID) {
		w := beginning()
		w.Begin.Owner = who
		b := *beginning().Begin
		b.Parent, b.Depth, b.Key = w.Begin.ID, 1, ""
		commit(t, st, w)
		commit(t, st, store.Write{Advance: &store.Advance{ID: w.Begin.ID, Owner: who, Epoch: 1, Base: 1, Row: []byte("bears"), Seen: -1, Children: []store.Begin{b}}})
		return w.Begin.ID, b.ID
	}
	heldParent, child := family()
	parent, heldChild := family()
	freeParent, freeChild := family()
	claimed, err := st.Claim(t.Context(), store.ClaimRequest{Owner: who, Queues: map[string]int{"q": 9}, Definitions: []store.Definition{{Workflow: "w", Version: "1"}}})
	if err != nil || len(claimed.Records) != 3 {
		t.Fatalf("%d of 3 children were claimed, %v", len(claimed.Records), err)
	}
	stranger, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close(context.WithoutCancel(t.Context())) }()
	tx, err := stranger.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	quoted := pgx.Identifier{schema}.Sanitize()
	if _, err := tx.Exec(t.Context(), "update "+quoted+".execution set priority = priority where id = any($1)", []string{heldParent.String(), heldChild.String()}); err != nil {
		t.Fatal(err)
	}
	end := func(id store.ID, base int, r store.Release) store.Write {
		r.Status = store.Cancelled
		return store.Write{Advance: &store.Advance{ID: id, Owner: who, Epoch: 1, Base: base, Row: []byte("end"), Seen: -1, Release: &r}}
	}
	reports, notice := store.Release{Report: []byte("r")}, store.Release{Family: &store.Notice{Topic: "parent"}}
	batch := []store.Write{
		end(child, 1, reports), end(parent, 2, notice), end(freeChild, 1, reports),
		{Deliver: &store.Deliver{ID: heldChild, Topic: "t", Dedupe: "d"}},
		{Deliver: &store.Deliver{ID: freeParent, Topic: "t", Dedupe: "d"}},
	}
	began := time.Now()
	v := commit(t, st, batch...)
	for i, want := range []store.Code{store.Busy, store.Busy, store.Applied, store.Busy, store.Applied} {
		if v[i].Code != want {
			t.Errorf("beside a stranger, write %d: %d, want %d", i, v[i].Code, want)
		}
	}
	t.Logf("a batch beside a stranger took %s", time.Since(began))
	for _, id := range []store.ID{child, parent} {
		if rec, err := st.Load(t.Context(), id, false); err != nil || rec.Owner != who || string(rec.Rows[rec.Length-1].Body) == "end" {
			t.Errorf("a Busy end has left a trace: %+v, %v", rec.Execution, err)
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	v = commit(t, st, batch...)
	for i, want := range []store.Code{store.Applied, store.Applied, store.Landed, store.Applied, store.Landed} {
		if v[i].Code != want {
			t.Errorf("after the stranger, write %d: %d, want %d", i, v[i].Code, want)
		}
	}
	for id, want := range map[store.ID]int64{heldParent: 1, heldChild: 2, freeParent: 2} {
		if rec, err := st.Load(t.Context(), id, false); err != nil || rec.Inbox != want {
			t.Errorf("an inbox of %d, want %d, %v", rec.Inbox, want, err)
		}
	}
}
