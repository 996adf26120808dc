package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
)

// Many who wait for a counter that somebody has locked take no connections from commits.
func TestCR1_WaitingDrawsLeaveRoomForCommits(t *testing.T) {
	url, schema := fresh(t)
	s, err := postgres.Open(url, postgres.Schema(schema)).OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	draw := func(ctx context.Context, id string) error {
		_, err := s.Draw(ctx, store.Drawing{ID: id, Draws: []store.Draw{{Counter: store.Counter{Name: "hot"}, Amount: 1, Limit: 1000, For: time.Hour}}})
		return err
	}
	if err := draw(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Whoever adds a draw waits for this table.
	if _, err := tx.Exec(t.Context(), "lock table "+pgx.Identifier{schema, "draw"}.Sanitize()+" in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for i := range 40 {
		wg.Go(func() { errs <- draw(t.Context(), fmt.Sprint(i)) })
	}
	for n := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		b := &store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "w", Version: "v", Queue: "default", Row: []byte("x")}
		if _, err := s.Commit(ctx, []store.Write{{Begin: b}}); err != nil {
			t.Errorf("commit %d while draws wait: %v", n, err)
		}
		cancel()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := draw(ended, "given up"); err == nil {
		t.Error("a draw whose context is over was made")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	n, err := s.Count(t.Context(), store.Counter{Name: "hot"})
	if err != nil || n.All != 41 {
		t.Errorf("%+v, %v", n, err)
	}
}
