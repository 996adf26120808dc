package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/postgres"
	"github.com/durable-go/durable/store/sqlite"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// doc is a state whose steps leave about 100 bytes each.
type doc struct {
	A, B, C, D, E string
}

// stepsOf makes a workflow of so many steps, each of which sets a field to 100
// bytes.
func stepsOf(name string, n int) *durable.Workflow[doc] {
	nodes := make([]durable.Node[doc], n)
	for i := range nodes {
		nodes[i] = durable.Step(fmt.Sprintf("s%d", i), func(_ context.Context, d *doc) error {
			*[]*string{&d.A, &d.B, &d.C, &d.D, &d.E}[i%5] = result100[:100-i/5%2]
			return nil
		})
	}
	return durable.Define(name, nodes...)
}

// engineOn opens an engine and runs it until stop is called.
func engineOn(o store.Opener, concurrency int, workflows ...durable.Definition) (e *durable.Engine, stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	e, err = durable.Open(ctx, o, durable.Config{
		Workflows: workflows, Queues: map[string]durable.Queue{"default": {Concurrency: concurrency}},
		ShutdownGrace: time.Second, Logger: quiet(),
	})
	if err != nil {
		cancel()
		return nil, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, func() error {
		cancel()
		if err := <-done; err != nil {
			return err
		}
		return e.Close()
	}, nil
}

// withEngine gives fn an engine that runs.
func withEngine(o store.Opener, concurrency int, fn func(e *durable.Engine) error, workflows ...durable.Definition) (err error) {
	e, stop, err := engineOn(o, concurrency, workflows...)
	if err != nil {
		return err
	}
	defer func() {
		if end := stop(); err == nil {
			err = end
		}
	}()
	return fn(e)
}

// place is a database of an own engine: a fresh schema or a fresh file.
type place func(ctx context.Context, fn func(o store.Opener) error) error

func (b *bench) onPostgres(ctx context.Context, fn func(o store.Opener) error) error {
	return b.pg.schema(ctx, func(schema string) error { return fn(b.pg.store(schema)) })
}

func (b *bench) onSQLite(_ context.Context, fn func(o store.Opener) error) error {
	return b.file(func(dir string) error { return fn(sqlite.Open(filepath.Join(dir, "bench.db"))) })
}

// store is the engine's own store in a schema, with the connections that it
// takes unless told otherwise.
func (s *server) store(schema string) store.Opener {
	return postgres.Open(s.url, postgres.Schema(schema))
}

// complete starts a run, waits for its end and checks its result.
func complete(ctx context.Context, e *durable.Engine, w *durable.Workflow[doc]) error {
	r, err := w.Start(ctx, e, doc{})
	if err != nil {
		return err
	}
	d, err := r.Wait(ctx)
	if err == nil && d.A == "" {
		err = fmt.Errorf("run %s has a wrong result", r.ID)
	}
	return err
}

// fiveSteps is what throughput is measured with.
func fiveSteps() *durable.Workflow[doc] { return stepsOf("five", 5) }

const steps = 5 // of fiveSteps

// stepRate is how many steps a second an engine does, 100 runs at a time.
func stepRate(ctx context.Context, pg *server, window time.Duration, o store.Opener) (rate, error) {
	const atOnce = 100
	w := fiveSteps()
	var r rate
	err := withEngine(o, atOnce, func(e *durable.Engine) (err error) {
		r, err = drive(ctx, pg, window, atOnce, func(ctx context.Context) (int, error) {
			return steps, complete(ctx, e, w)
		})
		return err
	}, w)
	return r, err
}
