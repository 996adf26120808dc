package examples_test

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

// [serve]
func serve(ctx context.Context, path string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	engine, err := durable.Open(ctx, sqlite.Open(path), durable.Config{
		Workflows: []durable.Definition{ProcessDocument},
		Queues: map[string]durable.Queue{
			"default": {Concurrency: 20},
			"ai":      {Concurrency: 5},
			"gpu":     durable.Elsewhere, // other workers serve it
		},
		ShutdownGrace: 20 * time.Second,
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	return engine.Run(ctx) // returns nil when ctx has ended and all runs are handed over
}

// [/serve]

// [limits]
var queues = map[string]durable.Queue{
	// 20 at once in this process, 50 in all; and no more than 500 calls in any minute.
	"ai": {Concurrency: 20, Global: 50, Rate: durable.Rate{N: 500, Per: time.Minute}},
	// One at a time, wherever.
	"ledger": {Concurrency: 1, Global: 1},
}

// [/limits]

// [drain]
func maintain(ctx context.Context, engine *durable.Engine, work func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	left, err := engine.DrainQueue(ctx, "ledger", durable.By("ann"), durable.KeepPaused())
	if err != nil {
		return fmt.Errorf("%d still run: %w", left, err)
	}
	if err := work(); err != nil {
		return err // the queue stays paused
	}
	return engine.ResumeQueue(ctx, "ledger")
}

// [/drain]

func TestMaintain(t *testing.T) {
	engine, err := durable.Open(t.Context(), sqlite.Open(filepath.Join(t.TempDir(), "durable.db")), durable.Config{Queues: queues})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	paused := func() bool {
		list, err := engine.Queues(t.Context())
		if err != nil || len(list) != 3 || list[2].Name != "ledger" {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[2].Paused
	}
	worked := false
	if err := maintain(t.Context(), engine, func() error { worked = paused(); return nil }); err != nil || !worked || paused() {
		t.Errorf("worked while it was paused: %v, paused now: %v, %v", worked, paused(), err)
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// The signal context ends at once, so the worker stops before it began.
	if err := serve(ctx, filepath.Join(t.TempDir(), "durable.db")); err == nil {
		t.Error("an engine was opened with a context that has ended")
	}
}

func TestVersions(t *testing.T) {
	// [versions]
	v1 := durable.Define("ticket", durable.Step("read", read), durable.Step("bye", bye)).Version("1")
	v2 := durable.Define("ticket", durable.Step("greet", greet), durable.Step("read", read)).Version("2")
	cfg := durable.Config{Workflows: []durable.Definition{v2, v1}} // new runs: v2.Start; old ones end as v1
	// [/versions]
	engine, err := durable.Open(t.Context(), sqlite.Open(filepath.Join(t.TempDir(), "durable.db")), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	go engine.Run(t.Context())
	for w, want := range map[*durable.Workflow[Ticket]]string{v1: "[read bye]", v2: "[greet read]"} {
		run, err := w.Start(t.Context(), engine, Ticket{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := run.Wait(t.Context())
		if trace := fmt.Sprint(got.Trace); err != nil || trace != want {
			t.Errorf("the trace is %s (%v), want %s", trace, err, want)
		}
	}
}

// [fork]
func goOn(ctx context.Context, engine *durable.Engine, failed durable.ID) (durable.ID, error) {
	return engine.Fork(ctx, failed, "read",
		durable.Edit(func(t *Ticket) error { t.Kind = "letter"; return nil }), // as the state was before that step
		durable.Key("mended "+failed.String()))                                // once, however often it is asked for
}

// [/fork]

func TestFork(t *testing.T) {
	w := durable.Define("ticket", durable.Step("greet", greet), durable.Step("read", func(_ context.Context, t *Ticket) error {
		if t.Trace = append(t.Trace, "read"); t.Kind != "letter" {
			return errors.New("that is no letter")
		}
		return nil
	}))
	engine, err := durable.Open(t.Context(), sqlite.Open(filepath.Join(t.TempDir(), "durable.db")), durable.Config{Workflows: []durable.Definition{w}})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	go engine.Run(t.Context())
	run, err := w.Start(t.Context(), engine, Ticket{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Wait(t.Context()); err == nil {
		t.Fatal("it has not failed")
	}
	for range 2 {
		id, err := goOn(t.Context(), engine, run.ID)
		if err != nil {
			t.Fatal(err)
		}
		end, err := w.Attach(engine, id).Wait(t.Context())
		if trace := fmt.Sprint(end.Trace); err != nil || trace != "[greet read]" {
			t.Errorf("the trace is %s (%v)", trace, err)
		}
	}
}

func TestRetain(t *testing.T) {
	// [retain]
	w := durable.Define("ticket", durable.Step("greet", greet), durable.Step("bye", bye)).
		Retain(90 * 24 * time.Hour) // from the end of a run; without it, for ever
	// [/retain]
	engine, err := durable.Open(t.Context(), sqlite.Open(filepath.Join(t.TempDir(), "durable.db")), durable.Config{Workflows: []durable.Definition{w}})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	go engine.Run(t.Context())
	run, err := w.Start(t.Context(), engine, Ticket{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	// [prune]
	n, err := engine.Prune(ctx, durable.PruneOptions{
		Workflow: "ticket", Statuses: []durable.Status{durable.Failed}, OlderThan: 30 * 24 * time.Hour,
		DryRun: true, // only count
	})
	// [/prune]
	if err != nil || n != 0 {
		t.Errorf("a young run counts: %d, %v", n, err)
	}
	if _, err := engine.Execution(ctx, run.ID); err != nil {
		t.Errorf("a young run: %v", err)
	}
}
