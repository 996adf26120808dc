package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// startRate is how many starts a second an engine takes that runs nothing, as a
// web server would that leaves the work to others.
func startRate(ctx context.Context, b *bench, s *section) error {
	const callers, rowSize = 32, 190
	pg := s.metric("postgres", "engine on PostgreSQL, 32 callers", "starts/s").goal(atLeast(15_000))
	single := s.metric("single", "raw: single synced commits of one connection", "commits/s")
	times := s.metric("times", "starts for each such commit", "×").must(atLeast(4))
	queue := s.metric("river", "River, 32 callers that insert a job each", "inserts/s")
	lite := s.metric("sqlite", "engine on SQLite, 32 callers", "starts/s")

	engine := func(where place, m *metric) func(context.Context) error {
		return func(ctx context.Context) error {
			return where(ctx, func(o store.Opener) error {
				w := fiveSteps()
				e, err := durable.Open(ctx, o, durable.Config{Workflows: []durable.Definition{w}, Logger: quiet()})
				if err != nil {
					return err
				}
				defer e.Close()
				r, err := drive(ctx, b.pg, b.window(), callers, func(ctx context.Context) (int, error) {
					_, err := w.Start(ctx, e, doc{A: result100})
					return 1, err
				})
				m.add(r.perSecond())
				return err
			})
		}
	}
	err := b.round(
		ctx,
		engine(b.onPostgres, pg),
		func(ctx context.Context) error {
			took, err := b.rawSingles(ctx, pick(b.quick, 300, 2000), rowSize)
			if err != nil {
				return err
			}
			var sum time.Duration
			for _, t := range took {
				sum += t
			}
			single.add(float64(len(took)) / sum.Seconds())
			return nil
		},
		func(ctx context.Context) error {
			return b.withRiver(ctx, 100, riverCooldown, func(c *riverClient, _ *riverWorkers) error {
				var n atomic.Int64
				r, err := drive(ctx, b.pg, b.window(), callers, func(ctx context.Context) (int, error) {
					_, err := c.Insert(ctx, chainArgs{Chain: n.Add(1), Steps: steps, Result: []string{result100}}, nil)
					return 1, err
				})
				queue.add(r.perSecond())
				return err
			})
		},
		engine(b.onSQLite, lite),
	)
	if err != nil {
		return err
	}
	for i := range pg.Samples {
		times.add(pg.Samples[i] / single.Samples[i])
	}
	return nil
}
