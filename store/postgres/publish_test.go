package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// listen makes executions that wait for what is published for a topic.
func listen(t *testing.T, st store.Store, who store.Incarnation, topic string, n int) []store.ID {
	t.Helper()
	var begins, parks []store.Write
	var list []store.ID
	for range n {
		w := beginning()
		w.Begin.Owner = who
		id := w.Begin.ID
		list, begins, parks = append(list, id), append(begins, w), append(parks, store.Write{Advance: &store.Advance{
			ID: id, Owner: who, Epoch: 1, Base: 1, Row: []byte("wait"), Seen: -1, Release: &store.Release{Status: store.Waiting},
			Open: []store.Wait{{ID: "w" + id.String(), Execution: id, Kind: "event", Topic: topic, Shared: true}},
		}})
	}
	commit(t, st, begins...)
	for i, v := range commit(t, st, parks...) {
		if v.Code != store.Applied {
			t.Fatalf("execution %d: verdict %d", i, v.Code)
		}
	}
	return list
}

// What is published to a thousand takes as many statements and round trips as what is
// published to one.
func TestPublish_StatementsDoNotGrow(t *testing.T) {
	url, schema := fresh(t)
	m, pool := metered(t, url)
	st := open(t, postgres.New(pool, postgres.Schema(schema)))
	who := uuid.New()
	if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{1, 1, 1000} { // the first time statements are prepared
		topic := fmt.Sprint("t", n, uuid.New())
		for left := n; left > 0; left -= 250 {
			listen(t, st, who, topic, min(left, 250))
		}
		m.reset()
		began := time.Now()
		res, err := st.Publish(t.Context(), store.Publication{Topic: topic, Dedupe: "d", Payload: []byte("p"), Keep: time.Hour})
		took := time.Since(began)
		if err != nil || res.Got != n {
			t.Fatalf("%+v, %v", res, err)
		}
		trips, statements := m.reset()
		t.Logf("to %d in %s: %d statements in %d round trips", n, took, len(statements), trips)
		if i > 0 && (len(statements) > 14 || trips > 6) {
			t.Errorf("to %d: %d statements, %d round trips:\n%s", n, len(statements), trips, strings.Join(statements, "\n"))
		}
	}
}

// A stranger's transaction holds one of those who wait: what is published waits for it
// and then reaches all, and meanwhile nobody else waits, not even who asks for that topic.
func TestPublish_WaitsForAStrangerAlone(t *testing.T) {
	url, schema := fresh(t)
	st := open(t, postgres.Open(url, postgres.Schema(schema)))
	who := uuid.New()
	if _, err := st.Renew(t.Context(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		t.Fatal(err)
	}
	ids := listen(t, st, who, "t", 3)
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	stranger, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Exec(t.Context(), "update "+pgx.Identifier{schema}.Sanitize()+".execution set priority = priority where id = $1", ids[1].String()); err != nil {
		t.Fatal(err)
	}
	p := store.Publication{Topic: "t", Dedupe: "d", Keep: time.Hour}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	if res, err := st.Publish(short, p); err == nil {
		t.Fatalf("published past a stranger: %+v", res)
	}
	cancel()
	var res store.Published
	var publishing sync.WaitGroup
	publishing.Go(func() { res, err = st.Publish(t.Context(), p) })
	began := time.Now()
	more := listen(t, st, who, "t", 5)
	if d := time.Since(began); d > 20*time.Second { // else for ever
		t.Errorf("who asks for the topic waited %s for a stranger", d)
	}
	if err := stranger.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	publishing.Wait()
	if err != nil || res.Code != store.Applied || res.Got != len(ids)+len(more) {
		t.Errorf("%+v, %v", res, err)
	}
}

// Engines on one database: events that are published, before and after, for one and for
// all, with waits for several.
func TestEngine_PublishedEvents(t *testing.T) {
	o := opener(t)
	order := durable.Define("order",
		durable.Step("pay", func(ctx context.Context, p *parcel) error {
			key := p.Signed
			v, err := durable.WaitForEvent[string](ctx, "paid", durable.Correlate(key))
			if err != nil {
				return err
			}
			all, err := durable.WaitForAll(ctx, []string{"packed", "labelled"}, durable.Correlate(key, "packed"))
			if err != nil {
				return err
			}
			p.Packed = len(all.Arrived) == 2
			p.Signed += ":" + v
			return nil
		}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	engines := make([]*durable.Engine, 2)
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{Workflows: []durable.Definition{order}})
		if err != nil {
			t.Fatal(err)
		}
		engines[i] = e
		running.Go(func() { _ = e.Run(ctx) })
	}
	defer running.Wait()
	defer cancel()
	for _, e := range engines {
		defer e.Close()
	}
	const orders = 30
	var publishing sync.WaitGroup
	runs := make([]*durable.Run[parcel], orders)
	for i := range orders { // publications and starts race
		key := fmt.Sprint("o", i)
		publishing.Go(func() {
			for _, e := range engines {
				if _, err := e.Publish(ctx, "paid", key, "yes", durable.EventID("x")); err != nil {
					t.Error(err)
				}
			}
			if _, err := engines[0].Publish(ctx, "packed", key, 1); err != nil {
				t.Error(err)
			}
		})
		run, err := order.Start(ctx, engines[i%2], parcel{Signed: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := engines[1].SendEvent(ctx, run.ID, "labelled", 1); err != nil {
			t.Fatal(err)
		}
		runs[i] = run
	}
	for i, run := range runs {
		if p, err := run.Wait(ctx); err != nil || !p.Packed || p.Signed != fmt.Sprint("o", i, ":yes") {
			t.Errorf("order %d: %+v, %v", i, p, err)
		}
	}
	publishing.Wait()
}
