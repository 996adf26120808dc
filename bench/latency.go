package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// latency is how long one run takes from start to result when nothing else
// happens, and how long each step of a long one takes.
func latency(ctx context.Context, b *bench, s *section) error {
	over := func(id, name string) *metric {
		return s.metric(id, name, "ms").must(atMost(1)).goal(atMost(0.3))
	}
	pg := newLatencies(s, "postgres", "engine on PostgreSQL, 1 step, start to result")
	single := newLatencies(s, "single", "raw: one synced commit of one connection")
	overPG := over("over", "engine p50, less two such commits")
	lite := newLatencies(s, "sqlite", "engine on SQLite, 1 step, start to result")
	singleLite := newLatencies(s, "single.sqlite", "raw SQLite: one synced commit")
	overLite := over("over.sqlite", "engine p50 on SQLite, less two such commits")
	queue := newLatencies(s, "river", "River, 1 job, insert to its commit")
	other := newLatencies(s, "dbos", "DBOS, 1 step, start to result")
	each := s.metric("each", "engine on PostgreSQL, for each step of a run of 200", "ms")
	eachLite := s.metric("each.sqlite", "engine on SQLite, for each step of a run of 200", "ms")
	eachRiver := s.metric("each.river", "River, for each job of a chain of 200", "ms")
	eachDBOS := s.metric("each.dbos", "DBOS, for each step of a workflow of 200", "ms")
	n := pick(b.quick, 100, 500)
	const rowSize = 190

	engine := func(where place, one latencies, each *metric) func(context.Context) error {
		return func(ctx context.Context) error {
			return where(ctx, func(o store.Opener) error { return engineLatency(ctx, o, n, one, each) })
		}
	}
	singles := func(l latencies, measure func(context.Context, int, int) ([]time.Duration, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			took, err := measure(ctx, 2*n, rowSize)
			if err == nil {
				l.add(took)
			}
			return err
		}
	}
	err := b.round(
		ctx,
		engine(b.onPostgres, pg, each), singles(single, b.rawSingles),
		func(ctx context.Context) error { return b.riverLatency(ctx, n, queue, eachRiver) },
		func(ctx context.Context) error { return b.dbosLatency(ctx, n, other, eachDBOS) },
		engine(b.onSQLite, lite, eachLite), singles(singleLite, b.rawSinglesSQLite),
	)
	if err != nil {
		return err
	}
	for i := range pg.p50.Samples {
		overPG.add(pg.p50.Samples[i] - 2*single.p50.Samples[i])
		overLite.add(lite.p50.Samples[i] - 2*singleLite.p50.Samples[i])
	}
	return nil
}

// latencies are the two percentiles that are shown.
type latencies struct{ p50, p99 *metric }

func newLatencies(s *section, id, name string) latencies {
	return latencies{s.metric(id+".p50", name+", p50", "ms"), s.metric(id+".p99", name+", p99", "ms")}
}

func (l latencies) add(took []time.Duration) {
	l.p50.addMS(percentile(took, 0.50))
	l.p99.addMS(percentile(took, 0.99))
}

func engineLatency(ctx context.Context, o store.Opener, n int, one latencies, each *metric) error {
	short, long := stepsOf("one", 1), stepsOf("long", 200)
	return withEngine(o, 10, func(e *durable.Engine) error {
		took, err := timed(n, func() error { return complete(ctx, e, short) }, nil)
		if err != nil {
			return err
		}
		one.add(took)
		start := time.Now()
		if err := complete(ctx, e, long); err != nil {
			return err
		}
		each.addMS(time.Since(start) / 200)
		return nil
	}, short, long)
}

func (b *bench) riverLatency(ctx context.Context, n int, one latencies, each *metric) error {
	return b.withRiver(ctx, 10, riverCooldown, func(c *riverClient, w *riverWorkers) error {
		return whileWorking(ctx, c, func() error {
			var chain atomic.Int64
			took, err := timed(n, func() error { return w.chains.run(ctx, c, chain.Add(1), 1) }, nil)
			if err != nil {
				return err
			}
			one.add(took)
			start := time.Now()
			if err := w.chains.run(ctx, c, chain.Add(1), 200); err != nil {
				return err
			}
			each.addMS(time.Since(start) / 200)
			return nil
		})
	})
}
