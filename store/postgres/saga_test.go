package postgres_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

// Rollbacks over three engines on one database, one of which goes in the middle:
// each undo is recorded once, in reverse, and waits, cancels and retries work across.
func TestCO1_CO5_CO6_CO7_CN6_Engines(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := opener(t)
	var mu sync.Mutex
	broken := true
	step := func(name string, undo func(ctx context.Context, p *parcel) error) durable.Node[parcel] {
		return durable.Step(name, func(context.Context, *parcel) error { return nil }).Compensate(undo, durable.Retry{MaxAttempts: 2, Base: time.Millisecond})
	}
	quick := func(ctx context.Context, _ *parcel) error { return durable.Sleep(ctx, 20*time.Millisecond) }
	wait := func(ctx context.Context, _ *parcel) error {
		_, err := durable.WaitForEvent[string](ctx, "signed")
		return err
	}
	stuck := func(context.Context, *parcel) error {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			return errors.New("out of order")
		}
		return nil
	}
	end := durable.Step("end", func(context.Context, *parcel) error { return durable.Permanent(errors.New("no")) })
	hold := durable.Step("hold", func(ctx context.Context, _ *parcel) error { <-ctx.Done(); return context.Cause(ctx) })
	waits := durable.Define("waits", step("a", quick), step("b", wait), step("c", quick), end)
	fails := durable.Define("fails", step("a", quick), step("b", stuck), step("c", quick), end)
	held := durable.Define("held", step("a", quick), step("b", quick), hold)

	var running sync.WaitGroup
	defer running.Wait()
	engines := make([]*durable.Engine, 3)
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{
			Workflows: []durable.Definition{waits, fails, held}, Lease: 5 * time.Second,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		engines[i] = e
		defer e.Close()
		running.Go(func() { _ = e.Run(ctx) })
	}
	start := func(w *durable.Workflow[parcel], n int) (runs []*durable.Run[parcel]) {
		for i := range n {
			r, err := w.Start(ctx, engines[i%3], parcel{})
			if err != nil {
				t.Fatal(err)
			}
			runs = append(runs, r)
		}
		return runs
	}
	ends := func(r *durable.Run[parcel], status durable.Status, code string, want ...string) {
		t.Helper()
		// Not through the engine that is going to be closed.
		w := map[string]*durable.Workflow[parcel]{"waits": waits, "fails": fails, "held": held}
		x, err := engines[0].Execution(ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w[x.Workflow].Attach(engines[0], r.ID).Wait(ctx)
		var run *durable.RunError
		if !errors.As(err, &run) || run.Status != status || run.Cause.Code != code {
			t.Fatalf("%v, want %s by %s", err, status, code)
		}
		if x, err = engines[0].Execution(ctx, r.ID, durable.WithSteps); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range x.Steps {
			if s.Kind == "compensate" && (s.Status == "done" || s.Status == "failed") {
				got = append(got, s.Undoes+" "+s.Status)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("undone were %q, want %q", got, want)
		}
	}
	all := []*durable.Run[parcel]{}
	for _, r := range start(waits, 12) {
		all = append(all, r)
		for ctx.Err() == nil { // until it waits, on whichever engine
			w, err := engines[1].OpenWaits(ctx, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(w) == 1 && w[0].Kind == "event" && strings.HasPrefix(w[0].Path, "b~") {
				break
			}
			pause(ctx, 5*time.Millisecond)
		}
		if x, err := engines[1].Execution(ctx, r.ID); err != nil || x.Status != durable.Compensating {
			t.Fatalf("%+v, %v", x, err)
		}
	}
	others := start(fails, 12)
	if err := engines[2].Close(); err != nil {
		t.Fatal(err)
	}
	for i, r := range all {
		if err := engines[i%2].SendEvent(ctx, r.ID, "signed", ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range all {
		ends(r, durable.Compensated, "permanent", "c done", "b done", "a done")
	}
	for _, r := range others {
		ends(r, durable.CompensationFailed, "permanent", "c done", "b failed", "a done")
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	for _, r := range others {
		if err := engines[1].Retry(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		ends(r, durable.Compensated, "permanent", "c done", "b failed", "a done", "b done")
	}
	r, err := held.Start(ctx, engines[0], parcel{})
	if err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil {
		if x, err := engines[1].Execution(ctx, r.ID, durable.WithSteps); err == nil && len(x.Steps) == 3 {
			break
		}
		pause(ctx, 5*time.Millisecond)
	}
	if err := engines[1].Cancel(ctx, r.ID, "no", durable.AndCompensate()); err != nil {
		t.Fatal(err)
	}
	if err := engines[1].Cancel(ctx, r.ID, "no"); err != nil && !errors.Is(err, durable.ErrCompensating) && !errors.Is(err, durable.ErrRunDone) {
		t.Fatal(err)
	}
	ends(r, durable.Compensated, "cancelled", "b done", "a done")
}
