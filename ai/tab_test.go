package ai

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// fan is a run that asks by its children: by those that it calls, in lanes; by those that it spawns; by items that are spread; and
// by children of children.
func fan(n int) map[string][]durable.Definition {
	ask := func(ctx context.Context, k *int) error {
		_, err := GenerateText(ctx, "smart", "x", Key(fmt.Sprint(*k)))
		return err
	}
	leaf := durable.Define("leaf", durable.Step("ask", ask))
	branch := durable.Define("branch", durable.Step("call", func(ctx context.Context, k *int) error {
		_, err := durable.Call(ctx, leaf, *k)
		return err
	}))
	items := func(*doc) []int {
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		return list
	}
	call := func(w *durable.Workflow[int]) durable.Node[int] {
		return durable.Step("call", func(ctx context.Context, k *int) error {
			_, err := durable.Call(ctx, w, *k)
			return err
		})
	}
	return map[string][]durable.Definition{
		"called": {durable.Define("w", durable.Each("items", items, call(leaf))), leaf},
		"below":  {durable.Define("w", durable.Each("items", items, call(branch))), branch, leaf},
		"spread": {durable.Define("w", durable.Each("items", items, durable.Step("ask", ask)).Spread())},
		"spawned": {durable.Define("w", durable.Step("spawn", func(ctx context.Context, d *doc) error {
			var list []durable.Spawned[int]
			for _, k := range items(d) {
				c, err := durable.Spawn(ctx, leaf, k)
				if err != nil {
					return err
				}
				list = append(list, c)
			}
			for _, c := range list {
				if _, err := durable.Await(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})), leaf},
	}
}

// AI-29: a run of 50 children has a budget of 10 calls: 10 are sent, by whatever client of whatever process, also after a crash; raised
// by one, it lets all go on.
func TestAI29_Children(t *testing.T) {
	const n, budget = 50, 10
	for name, ws := range fan(n) {
		for _, on := range []string{"memory", "sqlite"} {
			t.Run(name+" "+on, func(t *testing.T) {
				p := &counted{answer: echoes}
				cfg := config(ws...)
				cfg.Lease = time.Minute
				var opts []durabletest.Option
				if on == "sqlite" {
					opts = append(opts, durabletest.Store(sqliteOpener(t)))
				}
				client := func() *Client { return newClient(t, Config{Budgets: map[string]Budget{"w": {Calls: budget}}}, p) }
				durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
					r := durabletest.Start(e, ws[0].(*durable.Workflow[doc]), doc{})
					e.Sleep(time.Minute)
					e.Crash()
					e.Sleep(10 * time.Minute)
					if got := p.count(); got != budget {
						t.Fatalf("%d requests, and the budget is %d", got, budget)
					}
					page, err := e.PendingInputs(t.Context(), durable.InputFilter{})
					if err != nil || len(page.Inputs) != n-budget || !strings.Contains(page.Inputs[0].Prompt, "the budget of the run "+r.ID.String()) {
						t.Fatalf("%d inputs, %v: %+v", len(page.Inputs), err, page.Inputs)
					}
					if err := e.ProvideInput(t.Context(), page.Inputs[0].Execution, page.Inputs[0].ID, map[string]any{"do": "raise", "calls": 20}); err != nil {
						t.Fatal(err)
					}
					e.Sleep(2 * time.Hour)
					if got := p.count(); got != 20 {
						t.Fatalf("%d requests, and the budget was raised to 20", got)
					}
					if page, err = e.PendingInputs(t.Context(), durable.InputFilter{}); err != nil || len(page.Inputs) != n-20 {
						t.Fatalf("%d inputs, %v", len(page.Inputs), err)
					}
					if err := e.ProvideInput(t.Context(), page.Inputs[7].Execution, page.Inputs[7].ID, map[string]any{"do": "raise", "calls": n}); err != nil {
						t.Fatal(err)
					}
					r.Done()
					if got := p.count(); got != n {
						t.Errorf("%d requests for %d children", got, n)
					}
				}, append(opts, durabletest.Context(WithClient(t.Context(), client())))...)
			})
		}
	}
}

// slowLine is a journal that takes its time to say what is above a run.
type slowLine struct {
	counting
	asked, answer chan struct{}
}

func (j slowLine) line(context.Context) ([]ancestor, error) {
	close(j.asked)
	<-j.answer
	return nil, nil
}

// AI-29: one body asks for the budgets of its run, and the store does not answer; another, whose context ends, does not wait for
// the first.
func TestAI29_NobodyWaitsLongerThanTheContext(t *testing.T) {
	all, j := newTabs(), slowLine{asked: make(chan struct{}), answer: make(chan struct{})}
	c := newClient(t, Config{}, &counted{answer: echoes})
	info := StepInfo{Execution: "r", Epoch: 1}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := all.of(t.Context(), c, j, info)
		first <- err
	}()
	<-j.asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	go func() {
		_, err := all.of(ctx, c, j, info)
		second <- err
	}()
	select {
	case err := <-second:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the first")
	}
	close(j.answer)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := all.of(t.Context(), c, slowLine{}, info); err != nil { // opened once
		t.Error(err)
	}
}
