package durable_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// blindOpener opens a store that cannot say which children are blocked, so many times.
type blindOpener struct {
	store.Opener
	left *atomic.Int64
}

func (o blindOpener) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := o.Opener.OpenStore(ctx)
	return blind{s, o.left}, err
}

type blind struct {
	store.Store
	left *atomic.Int64
}

func (b blind) List(ctx context.Context, f store.Filter) (store.Page, error) {
	if f.Parent != (store.ID{}) && len(f.Statuses) == 1 && f.Statuses[0] == store.Blocked && b.left.Add(-1) >= 0 {
		return store.Page{}, errors.New("the store is away")
	}
	return b.Store.List(ctx, f)
}

// A blocked child of a cancelled run, which hears of it from nobody but the engine: is cancelled when the store cannot say at first
// that it is there; when the run is cancelled once more, since the first cancel was cut off; and when the run ends while the engine stops.
func TestCN4_BlockedChildren(t *testing.T) {
	leaf := durable.Define("leaf", body("s", func(ctx context.Context, _ *note) error {
		_, err := durable.WaitForEvent[int](ctx, "go")
		return err
	}))
	var stopping chan struct{}
	top := durable.Define("top", durable.Parallel("p",
		durable.Sequence("calls", body("call", func(ctx context.Context, _ *note) error {
			_, err := durable.Call(ctx, leaf, note{})
			return err
		})),
		durable.Sequence("ends", durable.Step("end", func(ctx context.Context, n *note) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-stopping:
			}
			<-time.After(5 * time.Second)
			return durable.CancelRun("enough")
		}).Timeout(24*time.Hour))))
	old, bad := serve(leaf, top), serve(durable.Define("leaf", mark("other")), top)
	for name, act := range map[string]func(t *testing.T, e *durabletest.Engine, left *atomic.Int64, id durable.ID){
		"the store is away for a moment": func(t *testing.T, e *durabletest.Engine, left *atomic.Int64, id durable.ID) {
			left.Store(4)
			if err := e.Cancel(t.Context(), id, "odd"); err != nil {
				t.Error(err)
			}
		},
		"cancelled once more": func(t *testing.T, e *durabletest.Engine, left *atomic.Int64, id durable.ID) {
			left.Store(1000)
			if err := e.Cancel(t.Context(), id, "odd"); err != nil {
				t.Error(err)
			}
			e.Sleep(time.Hour)
			if n := left.Swap(0); n > 1000-5 || n < 1000-50 {
				t.Errorf("in an hour it looked %d times", 1000-n)
			}
			if err := e.Cancel(t.Context(), id, "odd"); err != nil {
				t.Error(err)
			}
		},
		"while the engine stops": func(_ *testing.T, e *durabletest.Engine, _ *atomic.Int64, _ durable.ID) {
			close(stopping)
			e.Restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var left atomic.Int64
			opener := blindOpener{memory.New(), &left}
			durabletest.Run(t, old, func(t *testing.T, e *durabletest.Engine) {
				stopping = make(chan struct{})
				r := durabletest.Start(e, top, note{})
				e.Sleep(time.Second)
				child := childrenOf(t, env{e, opener}, r.ID)[0].ID
				e.Deploy(bad)
				if err := e.SendEvent(t.Context(), child, "go", 1); err != nil {
					t.Fatal(err)
				}
				e.Sleep(time.Minute)
				status := func() durable.Status {
					x, err := e.Execution(t.Context(), child)
					if err != nil {
						t.Fatal(err)
					}
					return x.Status
				}
				if s := status(); s != durable.Blocked {
					t.Fatalf("it is %s", s)
				}
				act(t, e, &left, r.ID)
				e.Sleep(time.Minute)
				if s := status(); s != durable.Cancelled {
					t.Errorf("it is %s", s)
				}
			}, durabletest.Store(opener))
		})
	}
}
