package line

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable/store"
)

// crowded is a store whose commits wait until the open transaction is over.
type crowded struct {
	store.Store
	over chan struct{}
}

func (c *crowded) OpenStore(context.Context) (store.Store, error) { return c, nil }

func (c *crowded) Begin(context.Context, time.Duration) (store.Tx, error) { return guest{c}, nil }

func (c *crowded) CommitIn(context.Context, any, []store.Write) (store.Result, error) {
	return store.Result{}, nil
}

func (c *crowded) WaitsIn(context.Context, any, store.ID) (store.Status, []store.Wait, error) {
	return "", nil, nil
}

func (c *crowded) Commit(ctx context.Context, _ []store.Write) (store.Result, error) {
	select {
	case <-c.over:
		return store.Result{}, nil
	case <-ctx.Done():
		return store.Result{}, context.Cause(ctx)
	}
}

type guest struct{ c *crowded }

func (g guest) User() any        { return nil }
func (g guest) Again(error) bool { return false }
func (g guest) Rollback()        {}

func (g guest) Commit(context.Context, store.Advance) (store.Result, error) {
	close(g.c.over)
	return store.Result{Verdicts: []store.Verdict{{Code: store.Applied}}}, nil
}

// While a crash is planned, changes wait for each other as time goes on: one may wait for what
// another holds.
func TestChangesOfAPlannedCrashWaitInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		crashes, changes := 0, 0
		l := New(&crowded{over: make(chan struct{})}, func() { changes++ })
		if _, err := l.OpenStore(ctx); err != nil {
			t.Fatal(err)
		}
		l.CutAfter(2, func() { crashes++ })
		tx, err := l.Begin(ctx, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		soon, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, err := l.Commit(soon, make([]store.Write, 1))
			failed <- err
		}()
		synctest.Wait()
		began := time.Now()
		short, end := context.WithTimeout(ctx, time.Second)
		defer end()
		if _, err := l.Expire(short); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if l.IsCut() {
			t.Error("it is cut")
		}
		if _, err := tx.Commit(ctx, store.Advance{}); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for range 2 { // the second change, and one after the end
			if _, err := l.Commit(ctx, make([]store.Write, 1)); !errors.Is(err, ErrDead) {
				t.Error(err)
			}
		}
		if crashes != 1 || changes != 2 {
			t.Errorf("%d crashes, %d changes", crashes, changes)
		}
	})
}
