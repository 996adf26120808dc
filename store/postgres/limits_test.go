package postgres_test

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/journal"
)

// Three engines with connections of their own, in real time: what a queue's
// limits say holds at every moment, as the bodies see it and as the rows say.
func TestQU2_LimitsOverEngines(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const (
		global = 2
		n      = 8
		per    = 400 * time.Millisecond
	)
	o := opener(t)
	var mu sync.Mutex
	now, most := 0, 0
	flow := durable.Define("work", durable.Step("work", func(ctx context.Context, _ *parcel) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		pause(ctx, 5*time.Millisecond) // work, in the time of a real server
		mu.Lock()
		now--
		mu.Unlock()
		return nil
	}).Queue("ai"))
	engines := make([]*durable.Engine, 3)
	var running sync.WaitGroup
	defer running.Wait()
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{
			Workflows: []durable.Definition{flow}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Queues: map[string]durable.Queue{"ai": {Concurrency: 4, Global: global, Rate: durable.Rate{N: n, Per: per}, PollInterval: time.Minute}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		engines[i] = e
		running.Go(func() { _ = e.Run(ctx) })
	}
	var runs []*durable.Run[parcel]
	for i := range 40 {
		run, err := flow.Start(ctx, engines[i%len(engines)], parcel{})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	for _, r := range runs {
		if _, err := r.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if most > global {
		t.Errorf("%d bodies at once, and %d may be", most, global)
	}
	st, err := o.OpenStore(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	var starts []time.Time
	for _, r := range runs {
		rec, err := st.Load(ctx, r.ID, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rec.Rows {
			facts, err := journal.Decode(row.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range facts {
				if f.Kind == journal.Tried {
					starts = append(starts, row.At)
				}
			}
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	if len(starts) != len(runs) {
		t.Errorf("%d bodies began for %d runs", len(starts), len(runs))
	}
	for i := n; i < len(starts); i++ {
		if d := starts[i].Sub(starts[i-n]); d < per {
			t.Errorf("bodies %d to %d began within %v; %d may in %v", i-n+1, i+1, d, n, per)
		}
	}
	// The poll is a minute: nobody may wait for it.
	if took := starts[len(starts)-1].Sub(starts[0]); took > 30*time.Second {
		t.Errorf("40 bodies, %d in %v, took %v: who is refused waits for the poll", n, per, took)
	}
}

// A pause that one engine says is heard by others through notifications; a
// drain waits for their bodies.
func TestQU10_DrainOverEngines(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := opener(t)
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	flow := durable.Define("work", durable.Step("work", func(ctx context.Context, _ *parcel) error {
		begun <- struct{}{}
		<-finish
		return nil
	}))
	engines := make([]*durable.Engine, 2)
	var running sync.WaitGroup
	defer running.Wait()
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{Workflows: []durable.Definition{flow}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		engines[i] = e
		if i > 0 { // the first only asks
			running.Go(func() { _ = e.Run(ctx) })
		}
	}
	run, err := flow.Start(ctx, engines[0], parcel{})
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	short, end := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer end()
	if left, err := engines[0].DrainQueue(short, "default", durable.KeepPaused()); left != 1 || err == nil {
		t.Errorf("%d are left, %v; want 1", left, err)
	}
	close(finish)
	if left, err := engines[0].DrainQueue(ctx, "default"); left != 0 || err != nil {
		t.Errorf("%d are left, %v; want none", left, err)
	}
	if _, err := run.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	late, err := flow.Start(ctx, engines[0], parcel{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-begun:
		t.Error("the queue was paused before, and a drain has resumed it")
	case <-time.After(1500 * time.Millisecond):
	}
	if err := engines[0].ResumeQueue(ctx, "default"); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}
