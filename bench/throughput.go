package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/sqlite"
)

// doc is a state whose steps leave about 100 bytes each.
type doc struct {
	A, B, C, D, E string
}

// fiveSteps is a workflow of five steps, each with a result of 100 bytes.
func fiveSteps() *durable.Workflow[doc] {
	result := strings.Repeat("x", 100)
	step := func(name string, set func(*doc)) durable.Node[doc] {
		return durable.Step(name, func(_ context.Context, d *doc) error {
			set(d)
			return nil
		})
	}
	return durable.Define("five",
		step("a", func(d *doc) { d.A = result }),
		step("b", func(d *doc) { d.B = result }),
		step("c", func(d *doc) { d.C = result }),
		step("d", func(d *doc) { d.D = result }),
		step("e", func(d *doc) { d.E = result }),
	)
}

// engineOn opens an engine on a store and runs it.
func engineOn(o store.Opener, concurrency int, workflows ...durable.Definition) (e *durable.Engine, stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	e, err = durable.Open(ctx, o, durable.Config{
		Workflows: workflows, Queues: map[string]durable.Queue{"default": {Concurrency: concurrency}}, Logger: quiet(),
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

// throughput runs the five-step workflow, some runs at a time.
func throughput(dir string, runs, atOnce int) (stepsPerSecond, cpuPerStep float64, err error) {
	w := fiveSteps()
	e, stop, err := engineOn(sqlite.Open(filepath.Join(dir, "throughput.db")), atOnce, w)
	if err != nil {
		return 0, 0, err
	}
	ctx := context.Background()
	// Warm up: connections, prepared statements, the first claim.
	if err := drive(ctx, e, w, atOnce, atOnce); err != nil {
		return 0, 0, err
	}
	cpu, start := cpuTime(), time.Now()
	if err := drive(ctx, e, w, runs, atOnce); err != nil {
		return 0, 0, err
	}
	took, cpu := time.Since(start), cpuTime()-cpu
	if err := stop(); err != nil {
		return 0, 0, err
	}
	steps := float64(runs * 5)
	return steps / took.Seconds(), float64(cpu.Microseconds()) / steps, nil
}

// drive keeps so many runs in flight and checks each result.
func drive(ctx context.Context, e *durable.Engine, w *durable.Workflow[doc], runs, atOnce int) error {
	var (
		all  sync.WaitGroup
		next = make(chan int)
		errs = make(chan error, atOnce)
	)
	for range atOnce {
		all.Go(func() {
			for range next {
				r, err := w.Start(ctx, e, doc{})
				if err == nil {
					var d doc
					if d, err = r.Wait(ctx); err == nil && len(d.E) != 100 {
						err = fmt.Errorf("run %s has a wrong result", r.ID)
					}
				}
				if err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for i := range runs {
		next <- i
	}
	close(next)
	all.Wait()
	close(errs)
	return <-errs
}
