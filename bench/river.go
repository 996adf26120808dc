package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// River is set up for speed, not as it comes: it fetches again after 1 ms or
// 2 ms (100 ms is its default) and polls every 20 ms, as its own benchmark
// does; there is no time limit for jobs to watch, and statistics of nothing are
// logged. Completion is its default, in batches. The pool has 30 connections:
// fewer starve workers that open transactions, more gained nothing on 2 CPUs.
const (
	riverCooldown = time.Millisecond
	riverPoll     = 20 * time.Millisecond
	riverPool     = 30
)

type riverClient = river.Client[pgx.Tx]

// chainArgs is a step of a chain of jobs: the state travels in the arguments,
// as it would in a program that builds steps out of jobs.
type chainArgs struct {
	Chain  int64    `json:"chain"`
	Step   int      `json:"step"`
	Steps  int      `json:"steps"`
	Result []string `json:"result"`
}

func (chainArgs) Kind() string { return "chain" }

// chainWorker ends its job and inserts the next in one transaction, so that a
// crash loses or doubles no step: what the engine promises, too.
type chainWorker struct {
	river.WorkerDefaults[chainArgs]
	pool *pgxpool.Pool
	ends ends // by chain
}

func (w *chainWorker) Work(ctx context.Context, job *river.Job[chainArgs]) error {
	tx, err := w.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // after Commit it does nothing
	next := job.Args
	next.Step++
	next.Result = append(next.Result[:min(len(next.Result), steps-1)], result100)
	if next.Step < next.Steps {
		if _, err := river.ClientFromContext[pgx.Tx](ctx).InsertTx(ctx, tx, next, nil); err != nil {
			return err
		}
	}
	if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	if next.Step == next.Steps {
		w.ends.told(next.Chain)
	}
	return nil
}

// run inserts a chain and waits until its last step has been committed.
func (w *chainWorker) run(ctx context.Context, c *riverClient, chain int64, steps int) error {
	return w.ends.wait(ctx, chain, func() error {
		_, err := c.Insert(ctx, chainArgs{Chain: chain, Steps: steps}, nil)
		return err
	})
}

// riverSingles is River with independent jobs, each inserted by itself by one
// of 100 callers that waits for its end: the engine's starts without its steps.
func (b *bench) riverSingles(ctx context.Context) (r rate, err error) {
	const atOnce = 100
	err = b.withRiver(ctx, atOnce, riverCooldown, func(c *riverClient, w *riverWorkers) error {
		return whileWorking(ctx, c, func() error {
			var n atomic.Int64
			r, err = drive(ctx, b.pg, b.window(), atOnce, func(ctx context.Context) (int, error) {
				return 1, w.plain.run(ctx, c, n.Add(1))
			})
			return err
		})
	})
	return r, err
}

// plainArgs is a job that does nothing.
type plainArgs struct {
	N    int64  `json:"n"`
	Body string `json:"body"`
}

func (plainArgs) Kind() string { return "plain" }

type plainWorker struct {
	river.WorkerDefaults[plainArgs]
	ends ends
}

func (w *plainWorker) Work(_ context.Context, job *river.Job[plainArgs]) error {
	w.ends.told(job.Args.N)
	return nil
}

// run inserts a job and waits until it has been worked. That it is recorded as
// completed comes later, with a batch.
func (w *plainWorker) run(ctx context.Context, c *riverClient, n int64) error {
	return w.ends.wait(ctx, n, func() error {
		_, err := c.Insert(ctx, plainArgs{N: n, Body: result100}, nil)
		return err
	})
}

// ends tells callers that what they inserted has come to its end.
type ends struct{ m sync.Map }

func (e *ends) told(n int64) {
	if end, ok := e.m.LoadAndDelete(n); ok {
		close(end.(chan struct{}))
	}
}

func (e *ends) wait(ctx context.Context, n int64, insert func() error) error {
	end := make(chan struct{})
	e.m.Store(n, end)
	if err := insert(); err != nil {
		return err
	}
	select {
	case <-end:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// riverWorkers are the workers of one client.
type riverWorkers struct {
	chains *chainWorker
	plain  *plainWorker
}

// withRiver gives fn a client in a fresh schema. It works only after Start.
func (b *bench) withRiver(ctx context.Context, workers int, cooldown time.Duration, fn func(c *riverClient, w *riverWorkers) error) error {
	return b.pg.schema(ctx, func(schema string) error {
		pool, err := newPool(ctx, b.pg.url, riverPool)
		if err != nil {
			return err
		}
		defer pool.Close()
		if _, err := pool.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			return err
		}
		driver := riverpgxv5.New(pool)
		m, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema, Logger: quiet()})
		if err != nil {
			return err
		}
		if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		w := &riverWorkers{&chainWorker{pool: pool}, &plainWorker{}}
		bundle := river.NewWorkers()
		river.AddWorker(bundle, w.chains)
		river.AddWorker(bundle, w.plain)
		c, err := river.NewClient(driver, &river.Config{
			Schema: schema, Logger: quiet(), Workers: bundle,
			Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
			FetchCooldown: cooldown, FetchPollInterval: riverPoll,
			JobTimeout: -1,
		})
		if err != nil {
			return err
		}
		return fn(c, w)
	})
}

// whileWorking starts the client and stops it after fn.
func whileWorking(ctx context.Context, c *riverClient, fn func() error) error {
	if err := c.Start(ctx); err != nil {
		return err
	}
	err := fn()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if end := c.StopAndCancel(stop); err == nil {
		err = end
	}
	return err
}

// riverChains is River with one job a step, 100 chains of five at a time.
func (b *bench) riverChains(ctx context.Context) (r rate, err error) {
	const atOnce = 100
	err = b.withRiver(ctx, atOnce, riverCooldown, func(c *riverClient, w *riverWorkers) error {
		return whileWorking(ctx, c, func() error {
			var chain atomic.Int64
			r, err = drive(ctx, b.pg, b.window(), atOnce, func(ctx context.Context) (int, error) {
				return steps, w.chains.run(ctx, c, chain.Add(1), steps)
			})
			return err
		})
	})
	return r, err
}

// riverPlain is River with independent jobs that do nothing and were inserted
// before: it shows River alone, and no step follows another.
func (b *bench) riverPlain(ctx context.Context, workers int, cooldown time.Duration) (r rate, err error) {
	backlog := pick(b.quick, 40_000, 100_000)
	err = b.withRiver(ctx, workers, cooldown, func(c *riverClient, _ *riverWorkers) error {
		for n := 0; n < backlog; {
			many := make([]river.InsertManyParams, 5000)
			for i := range many {
				many[i].Args = plainArgs{N: int64(n), Body: result100}
				n++
			}
			if _, err := c.InsertManyFast(ctx, many); err != nil {
				return err
			}
		}
		done, unsubscribe := c.SubscribeConfig(&river.SubscribeConfig{ChanSize: backlog, Kinds: []river.EventKind{river.EventKindJobCompleted}})
		defer unsubscribe()
		return whileWorking(ctx, c, func() error {
			var n atomic.Int64
			over := make(chan struct{})
			defer close(over)
			go func() {
				for {
					select {
					case <-done:
						n.Add(1)
					case <-over:
						return
					}
				}
			}()
			r, err = watch(ctx, b.pg, b.window(), &n, int64(backlog))
			return err
		})
	})
	return r, err
}
