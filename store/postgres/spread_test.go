package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

type mail struct {
	N int `json:"n"`
}

type mailing struct {
	Mails int `json:"mails"`
	Sum   int `json:"sum"`
}

// Several engines share the items of one run: each runs once, and the run gets all.
func TestEA6_SpreadOverEngines(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const n, of = 1000, 3
	var mu sync.Mutex
	bodies, by := map[int]int{}, map[int]int{}
	flow := func(engine int) *durable.Workflow[mailing] {
		return durable.Define("mails",
			durable.Each("send", func(m *mailing) []mail {
				list := make([]mail, m.Mails)
				for i := range list {
					list[i].N = i
				}
				return list
			}, durable.Step("one", func(_ context.Context, m *mail) error {
				mu.Lock()
				defer mu.Unlock()
				bodies[m.N]++
				by[engine]++
				m.N *= 2
				return nil
			})).Concurrency(100).Spread().IntoSeq(func(m *mailing, mails iter.Seq2[int, durable.Outcome[mail]]) error {
				for i, o := range mails {
					if o.Err != nil || o.Value.N != 2*i {
						return fmt.Errorf("mail %d is %+v", i, o)
					}
					m.Sum++
				}
				return nil
			}))
	}
	o := opener(t)
	var running sync.WaitGroup
	defer running.Wait()
	engines := make([]*durable.Engine, of)
	flows := make([]*durable.Workflow[mailing], of)
	for i := range engines {
		flows[i] = flow(i)
		e, err := durable.Open(ctx, o, durable.Config{Workflows: []durable.Definition{flows[i]}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		engines[i] = e
		running.Go(func() { _ = e.Run(ctx) })
	}
	run, err := flows[0].Start(ctx, engines[0], mailing{Mails: n})
	if err != nil {
		t.Fatal(err)
	}
	got, err := run.Wait(ctx)
	if err != nil || got.Sum != n {
		t.Fatalf("%+v, %v", got, err)
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range n {
		if bodies[i] != 1 {
			t.Errorf("item %d ran %d times", i, bodies[i])
		}
	}
	for i := range of {
		if by[i] == 0 {
			t.Errorf("engine %d ran no item: %v", i, by)
		}
	}
	page, err := engines[1].Executions(ctx, durable.Filter{Parent: run.ID, Workflow: "mails#send", Statuses: []durable.Status{durable.Completed}, Count: true})
	if err != nil || page.Count != n {
		t.Errorf("%d items, %v", page.Count, err)
	}
}

// A cancel of the run reaches the items that other engines have.
func TestEA6_CancelOverEngines(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := make(chan struct{}, 100)
	flow := durable.Define("mails", durable.Each("send", func(m *mailing) []mail { return make([]mail, m.Mails) },
		durable.Step("one", func(ctx context.Context, _ *mail) error {
			began <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})).Concurrency(15).Spread())
	o := opener(t)
	var running sync.WaitGroup
	defer running.Wait()
	engines := make([]*durable.Engine, 2)
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{Workflows: []durable.Definition{flow}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		engines[i] = e
		running.Go(func() { _ = e.Run(ctx) })
	}
	run, err := flow.Start(ctx, engines[0], mailing{Mails: 50})
	if err != nil {
		t.Fatal(err)
	}
	for range 15 {
		<-began
	}
	if err := engines[1].Cancel(ctx, run.ID, "enough"); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Wait(ctx); !isCancelled(err) {
		t.Errorf("%v", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n != 15; <-tick.C {
		page, err := engines[0].Executions(ctx, durable.Filter{Parent: run.ID, Statuses: []durable.Status{durable.Cancelled}, Count: true})
		if err != nil {
			t.Fatal(err)
		}
		n = page.Count
	}
	if page, err := engines[0].Executions(ctx, durable.Filter{Parent: run.ID, Count: true}); err != nil || page.Count != 15 {
		t.Errorf("%d items have begun, %v", page.Count, err)
	}
}

func isCancelled(err error) bool {
	var end *durable.RunError
	return errors.As(err, &end) && end.Status == durable.Cancelled
}
