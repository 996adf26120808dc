package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
)

// DBOS is as it comes, but with a pool as large as River's (30; its own default
// is 20). Workflows start in this process, as the engine's do, so no queue and
// no poll interval slows them down.

// dbosInput is what a workflow is given: how many steps it has.
type dbosInput struct {
	N, Steps int64
}

// dbosWorkflow is so many steps, one after the other, each with a result of 100
// bytes.
func dbosWorkflow(ctx dbos.Context, in dbosInput) (string, error) {
	var last string
	for range in.Steps {
		result, err := dbos.RunAsStep(ctx, func(context.Context) (string, error) { return result100, nil }, dbos.WithStepName("step"))
		if err != nil {
			return "", err
		}
		last = result
	}
	return last, nil
}

// withDBOS gives fn a function that runs a workflow of n steps and waits for
// its result.
func (b *bench) withDBOS(ctx context.Context, fn func(run func(n int64) error) error) error {
	return b.pg.schema(ctx, func(schema string) error {
		pool, err := newPool(ctx, b.pg.url, riverPool)
		if err != nil {
			return err
		}
		defer pool.Close()
		c, err := dbos.NewContext(ctx, dbos.Config{AppName: "durable-bench", SystemDBPool: pool, DatabaseSchema: schema, Logger: quiet()})
		if err != nil {
			return err
		}
		dbos.RegisterWorkflow(c, dbosWorkflow)
		if err := dbos.Launch(c); err != nil {
			return err
		}
		defer dbos.Shutdown(c, 10*time.Second)
		var n atomic.Int64
		return fn(func(steps int64) error {
			handle, err := dbos.RunWorkflow(c, dbosWorkflow, dbosInput{n.Add(1), steps})
			if err != nil {
				return err
			}
			_, err = handle.GetResult()
			return err
		})
	})
}

// dbosRate is DBOS with 100 workflows of five steps at a time.
func (b *bench) dbosRate(ctx context.Context) (r rate, err error) {
	err = b.withDBOS(ctx, func(run func(int64) error) error {
		r, err = drive(ctx, b.pg, b.window(), 100, func(context.Context) (int, error) { return steps, run(steps) })
		return err
	})
	return r, err
}

func (b *bench) dbosLatency(ctx context.Context, n int, one latencies, each *metric) error {
	return b.withDBOS(ctx, func(run func(int64) error) error {
		took, err := timed(n, func() error { return run(1) }, nil)
		if err != nil {
			return err
		}
		one.add(took)
		start := time.Now()
		if err := run(200); err != nil {
			return err
		}
		each.addMS(time.Since(start) / 200)
		return nil
	})
}
