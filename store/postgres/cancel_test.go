package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

// bush is a run that waits in lanes, items and children, and ends by itself after a moment.
func bush() (flow *durable.Workflow[parcel], all []durable.Definition) {
	short, over := durable.Timeout(50*time.Millisecond), durable.OnTimeout(1)
	nothing := func(context.Context, *parcel) error { return nil }
	step := func(name string, fn func(ctx context.Context) error) durable.Node[parcel] {
		return durable.Step(name, func(ctx context.Context, _ *parcel) error { return fn(ctx) }).Compensate(nothing)
	}
	leaf := durable.Define("leaf", step("s", func(ctx context.Context) error {
		_, err := durable.WaitForInput[int](ctx, "leaf", short, over)
		return err
	}))
	twig := durable.Define("twig", step("s", func(ctx context.Context) error {
		_, err := durable.Call(ctx, leaf, parcel{})
		return err
	}))
	flow = durable.Define("bush", step("first", func(context.Context) error { return nil }), durable.Parallel("p",
		step("event", func(ctx context.Context) error {
			_, err := durable.WaitForEvent[int](ctx, "e", short, over)
			return err
		}),
		step("published", func(ctx context.Context) error {
			_, err := durable.WaitForEvent[int](ctx, "p", durable.Correlate("k"), short, over)
			return err
		}),
		step("all", func(ctx context.Context) error {
			_, err := durable.WaitForAll(ctx, []string{"x", "y"}, short)
			if errors.Is(err, durable.ErrTimeout) {
				return nil
			}
			return err
		}),
		step("input", func(ctx context.Context) error {
			_, err := durable.WaitForInput[int](ctx, "i", short, over)
			return err
		}),
		step("sleep", func(ctx context.Context) error { return durable.Sleep(ctx, 60*time.Millisecond) }),
		step("call", func(ctx context.Context) error { _, err := durable.Call(ctx, twig, parcel{}); return err }),
		step("spawn", func(ctx context.Context) error {
			c, err := durable.Spawn(ctx, twig, parcel{})
			if err != nil {
				return err
			}
			_, err = durable.Await(ctx, c)
			return err
		}),
		durable.Child("child", twig, func(*parcel) parcel { return parcel{} }, func(*parcel, parcel) {}),
		durable.Each("each", func(*parcel) []int { return []int{1, 2} }, durable.Step("item", func(ctx context.Context, _ *int) error {
			_, err := durable.WaitForEvent[int](ctx, "item", short, over)
			return err
		}))))
	return flow, []durable.Definition{leaf, twig, flow}
}

// Cancels, plain and with compensation, at any moment and by any of three engines: of cancel and
// completion the first stands and the caller is told; nothing of the family is left open.
func TestCN1_CN2_CN4_CN6_CancelsOverEngines(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	flow, all := bush()
	o := opener(t)
	var running sync.WaitGroup
	defer running.Wait()
	engines := make([]*durable.Engine, 3)
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{
			Workflows: all, Lease: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Queues: map[string]durable.Queue{"default": {Concurrency: 50}},
		})
		if err != nil {
			t.Fatal(err)
		}
		engines[i] = e
		defer e.Close()
		running.Go(func() { _ = e.Run(ctx) })
	}
	var (
		mu       sync.Mutex
		outcomes = map[durable.Status]int{}
		wg       sync.WaitGroup
	)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		after, by := time.Duration(r.IntN([]int{300, 6000}[i/2%2]))*time.Millisecond, engines[r.IntN(3)]
		wg.Go(func() {
			run, err := flow.Start(ctx, engines[i%3], parcel{})
			if err != nil {
				t.Error(err)
				return
			}
			if i%20 == 7 { // these come too late for certain
				_, _ = run.Wait(ctx)
			}
			pause(ctx, after)
			var opts []durable.ActOption
			if i%2 == 0 {
				opts = append(opts, durable.AndCompensate())
			}
			err = by.Cancel(ctx, run.ID, "enough", opts...)
			_, _ = run.Wait(ctx)
			x, lost := engines[i%3].Execution(ctx, run.ID)
			if lost != nil {
				t.Error(lost)
				return
			}
			mu.Lock()
			outcomes[x.Status]++
			mu.Unlock()
			switch {
			case err == nil && len(opts) == 0 && x.Status == durable.Cancelled:
			case err == nil && len(opts) == 1 && x.Status == durable.Compensated:
			case errors.Is(err, durable.ErrRunDone) && x.Status == durable.Completed:
			default:
				t.Errorf("run %d after %s: it is %s, and the caller was told %v", i, after, x.Status, err)
			}
			for _, text := range left(ctx, engines[i%3], run.ID) {
				t.Errorf("run %d after %s, %s: %s", i, after, x.Status, text)
			}
		})
	}
	wg.Wait()
	t.Logf("%v", outcomes)
	if len(outcomes) != 3 {
		t.Errorf("outcomes %v", outcomes)
	}
	if p, err := engines[0].PendingInputs(ctx, durable.InputFilter{}); err != nil || len(p.Inputs) != 0 {
		t.Errorf("still asked: %+v, %v", p, err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// left is what is still open of a family whose head has ended, after ten seconds at most.
func left(ctx context.Context, e *durable.Engine, id durable.ID) (wrong []string) {
	for range 500 {
		if wrong = opened(ctx, e, id); len(wrong) == 0 {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return wrong
}

func opened(ctx context.Context, e *durable.Engine, id durable.ID) (wrong []string) {
	x, err := e.Execution(ctx, id)
	if err != nil {
		return []string{err.Error()}
	}
	if !x.Status.Ended() {
		wrong = append(wrong, fmt.Sprintf("%s is %s", x.Workflow, x.Status))
	}
	if w, err := e.OpenWaits(ctx, id); err != nil || len(w) > 0 {
		wrong = append(wrong, fmt.Sprintf("%s waits: %+v, %v", x.Workflow, w, err))
	}
	page, err := e.Executions(ctx, durable.Filter{Parent: id})
	if err != nil {
		return append(wrong, err.Error())
	}
	for _, k := range page.Executions {
		wrong = append(wrong, opened(ctx, e, k.ID)...)
	}
	return wrong
}
