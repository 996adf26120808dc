package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

// parkedResult is what waiting runs cost a worker.
type parkedResult struct {
	heap  float64 // MiB of live heap
	idle  float64 // share of one CPU while nothing happens
	other float64 // steps a second of other work beside them
}

// parked measures a worker beside so many runs that wait for an event.
func parked(dir string, waiting, runs int) (parkedResult, error) {
	var p parkedResult
	wait := durable.Define("waiting", durable.Step("wait", func(ctx context.Context, d *doc) (err error) {
		d.A, err = durable.WaitForEvent[string](ctx, "go")
		return err
	}))
	work := fiveSteps()
	e, stop, err := engineOn(sqlite.Open(filepath.Join(dir, fmt.Sprintf("parked%d.db", waiting))), 100, wait, work)
	if err != nil {
		return p, err
	}
	ctx := context.Background()
	if _, err := wait.StartMany(ctx, e, make([]doc, waiting), nil); err != nil {
		return p, err
	}
	for { // until all of them stand at their wait
		page, err := e.Executions(ctx, durable.Filter{Workflow: "waiting", Statuses: []durable.Status{durable.Waiting}, Count: true, Limit: 1})
		if err != nil {
			return p, err
		}
		if page.Count == waiting {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	const rest = 4 * time.Second
	cpu := cpuTime()
	time.Sleep(rest)
	p.idle = (cpuTime() - cpu).Seconds() / rest.Seconds()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.heap = float64(m.HeapAlloc) / (1 << 20)
	if err := drive(ctx, e, work, 100, 100); err != nil {
		return p, err
	}
	start := time.Now()
	if err := drive(ctx, e, work, runs, 100); err != nil {
		return p, err
	}
	p.other = float64(runs*5) / time.Since(start).Seconds()
	return p, stop()
}
