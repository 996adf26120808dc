package main

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/sqlite"
)

// latency is the median time from start to result of a run with one step, one
// at a time on an idle engine.
func latency(dir string, n int) (time.Duration, error) {
	w := durable.Define("one", durable.Step("only", func(_ context.Context, d *doc) error {
		d.A = "done"
		return nil
	}))
	e, stop, err := engineOn(sqlite.Open(filepath.Join(dir, "latency.db")), 10, w)
	if err != nil {
		return 0, err
	}
	ctx := context.Background()
	took := make([]time.Duration, 0, n)
	for i := range n + 20 {
		start := time.Now()
		r, err := w.Start(ctx, e, doc{})
		if err != nil {
			return 0, err
		}
		if _, err := r.Wait(ctx); err != nil {
			return 0, err
		}
		if i >= 20 { // the first ones open connections and claim
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	return took[n/2], stop()
}
