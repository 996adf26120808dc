package postgres_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

// Trees over three engines on one database, one of which goes in the middle, with cancels at random: all that is
// done in a tree that did not complete is undone, each once, and no child is left open.
func TestCO3_CN6_TreesOverEngines(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	o := opener(t)
	step := func(name string) durable.Node[parcel] {
		return durable.Step(name, func(context.Context, *parcel) error { return nil }).Compensate(func(ctx context.Context, _ *parcel) error {
			return durable.Sleep(ctx, 5*time.Millisecond)
		})
	}
	calls := func(name string, w *durable.Workflow[parcel]) *durable.StepNode[parcel] {
		return durable.Step(name, func(ctx context.Context, _ *parcel) error {
			_, err := durable.Call(ctx, w, parcel{})
			return err
		})
	}
	nap := durable.Step("nap", func(ctx context.Context, _ *parcel) error { return durable.Sleep(ctx, 10*time.Millisecond) })
	deep := durable.Define("deep", step("d1"), nap, step("d2"))
	mid := durable.Define("mid", step("m1"), calls("m2", deep), durable.Parallel("p", calls("l", deep), calls("r", deep)), step("m3"))
	end := durable.Step("end", func(context.Context, *parcel) error { return durable.Permanent(errors.New("no")) })
	top := durable.Define("top", step("a"), calls("c1", mid), calls("c2", mid).Compensate(func(context.Context, *parcel) error { return nil }), step("b"), end)

	var running sync.WaitGroup
	defer running.Wait()
	engines := make([]*durable.Engine, 3)
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{
			Workflows: []durable.Definition{top, mid, deep}, Lease: 5 * time.Second,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		engines[i] = e
		defer e.Close()
		running.Go(func() { _ = e.Run(ctx) })
	}
	const n = 24
	rnd := rand.New(rand.NewPCG(3, 3))
	var runs []*durable.Run[parcel]
	for i := range n {
		r, err := top.Start(ctx, engines[i%3], parcel{})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
		if i%2 == 0 {
			continue
		}
		wait := time.Duration(rnd.IntN(400)) * time.Millisecond
		running.Go(func() {
			pause(ctx, wait)
			err := engines[i%2].Cancel(ctx, r.ID, "no", durable.AndCompensate())
			if err != nil && !errors.Is(err, durable.ErrRunDone) && !errors.Is(err, durable.ErrCompensating) {
				t.Error(err)
			}
		})
	}
	time.Sleep(150 * time.Millisecond) // lint:sleep other engines work in real time
	if err := engines[2].Close(); err != nil {
		t.Fatal(err)
	}
	undone := 0
	var look func(id durable.ID)
	look = func(id durable.ID) {
		x, err := engines[0].Execution(ctx, id, durable.WithSteps)
		if err != nil {
			t.Fatal(err)
		}
		if !x.Status.Ended() || x.Status == durable.Completed || x.Status == durable.CompensationFailed {
			t.Errorf("%s %s is %s: %v", x.Workflow, x.ID, x.Status, x.Error)
		}
		did := map[string]int{}
		for _, s := range x.Steps {
			if s.Kind == "compensate" && s.Status == "done" {
				did[s.Path]++
				undone++
			}
		}
		for _, s := range x.Steps {
			if s.Status == "done" && s.Undo != "" && did[s.Undo] != 1 {
				t.Errorf("%s %s: %s is undone %d times", x.Workflow, x.ID, s.Path, did[s.Undo])
			}
		}
		page, err := engines[0].Executions(ctx, durable.Filter{Parent: id})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Executions {
			look(c.ID)
		}
	}
	codes := map[string]int{}
	for _, r := range runs {
		_, err := top.Attach(engines[0], r.ID).Wait(ctx)
		var end *durable.RunError
		if !errors.As(err, &end) || end.Status != durable.Compensated || !strings.Contains("permanent cancelled", end.Cause.Code) {
			t.Fatalf("%v, want compensated", err)
		}
		codes[end.Cause.Code]++
		look(r.ID)
	}
	t.Logf("%d undos of %d trees, which ended by %v", undone, n, codes)
	if codes["permanent"] < n/2 || codes["cancelled"] == 0 || undone < n*10 {
		t.Errorf("%d undos, ended by %v", undone, codes)
	}
}
