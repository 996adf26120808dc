package main

import (
	"context"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// speeds are the numbers of one competitor: how fast, and what a unit of work costs.
type speeds struct{ rate, own, server *metric }

// take measures once.
func (s speeds) take(measure func() (rate, error)) func(context.Context) error {
	return func(context.Context) error {
		r, err := measure()
		if err != nil {
			return err
		}
		s.rate.add(r.perSecond())
		if s.own != nil {
			s.own.add(r.cost())
		}
		if s.server != nil && r.known {
			s.server.add(r.serverCost())
		}
		return nil
	}
}

// contest is the first line of the table: the engine on both databases,
// River in three ways, and the raw databases.
type contest struct {
	pg, lite, chains, singles, plain, many, dbos, raw64, raw512, lite64, lite512 speeds

	times, single, drain, timesDBOS, share, shareLite *metric
}

// newContest names the numbers, in the order in which they are printed.
func newContest(s *section) (c contest) {
	c.pg.rate = s.metric("postgres", "engine on PostgreSQL", "steps/s").must(atLeast(25_000)).goal(atLeast(40_000))
	c.lite.rate = s.metric("sqlite", "engine on SQLite", "steps/s").must(atLeast(30_000)).goal(atLeast(45_000))
	c.chains.rate = s.metric("river.chain", "River, one job a step, the next inserted in the transaction that ends it", "jobs/s")
	c.singles.rate = s.metric("river.single", "River, independent jobs that do nothing, 100 callers that insert one and wait for it", "jobs/s")
	c.plain.rate = s.metric("river.plain", "River, draining jobs that do nothing and were inserted in bulk before", "jobs/s")
	c.many.rate = s.metric("river.many", "the same with 1,000 workers, as River's own benchmark has it", "jobs/s")
	c.dbos.rate = s.metric("dbos", "DBOS, workflows of 5 steps", "steps/s")
	c.times = s.metric("times", "engine on PostgreSQL against River doing the same: a job a step", "×").must(atLeast(8)).goal(atLeast(15))
	c.single = s.metric("times.single", "engine on PostgreSQL against River's independent jobs that do nothing", "×")
	c.drain = s.metric("times.drain", "engine on PostgreSQL against River draining, the better", "×")
	c.timesDBOS = s.metric("times.dbos", "engine on PostgreSQL against DBOS", "×")
	c.costs(s)
	c.raw64.rate = s.metric("raw64", "raw: rows of that size in batches of 64, 2 connections", "rows/s")
	c.raw512.rate = s.metric("raw512", "raw: in batches of 512", "rows/s")
	c.share = s.metric("share", "engine's steps for each raw row in batches of 64", "%").goal(atLeast(40))
	c.lite64.rate = s.metric("raw64.sqlite", "raw SQLite: batches of 64", "rows/s")
	c.lite512.rate = s.metric("raw512.sqlite", "raw SQLite: batches of 512", "rows/s")
	c.shareLite = s.metric("share.sqlite", "engine's steps on SQLite for each raw row in batches of 64", "%")
	return c
}

func (c *contest) costs(s *section) {
	c.pg.own = s.metric("cpu", "CPU of the engine, callers included, on PostgreSQL", "µs/step").must(atMost(50)).goal(atMost(30))
	c.pg.server = s.metric("cpu.server", "CPU of PostgreSQL for the engine", "µs/step").must(atMost(25)).goal(atMost(15))
	c.lite.own = s.metric("cpu.sqlite", "CPU of engine and SQLite together", "µs/step")
	c.chains.own = s.metric("cpu.river", "CPU of River, one job a step", "µs/job")
	c.chains.server = s.metric("cpu.river.server", "CPU of PostgreSQL for River", "µs/job")
	c.dbos.own = s.metric("cpu.dbos", "CPU of DBOS", "µs/step")
	c.dbos.server = s.metric("cpu.dbos.server", "CPU of PostgreSQL for DBOS", "µs/step")
}

func throughput(ctx context.Context, b *bench, s *section) error {
	c := newContest(s)
	rowSize, err := b.rowSize(ctx)
	if err != nil {
		return err
	}
	s.note("A raw row has %d bytes of body, the mean of the engine's own journal rows in this workload.", rowSize)
	s.note("River draining is no peer of steps: nothing follows anything, the jobs were copied in before the clock ran, and completions are recorded by the thousand. It shows how fast River's machinery is by itself.")
	if b.pg.postmaster == 0 {
		s.note("The CPU of PostgreSQL is unknown: its processes cannot be seen from here.")
	}
	err = b.round(
		ctx,
		c.pg.take(func() (rate, error) { return b.engineRate(ctx, b.onPostgres, b.pg) }),
		c.lite.take(func() (rate, error) { return b.engineRate(ctx, b.onSQLite, nil) }),
		c.chains.take(func() (rate, error) { return b.riverChains(ctx) }),
		c.dbos.take(func() (rate, error) { return b.dbosRate(ctx) }),
		c.singles.take(func() (rate, error) { return b.riverSingles(ctx) }),
		c.raw64.take(func() (rate, error) { return b.rawBatches(ctx, 64, rowSize) }),
		c.lite64.take(func() (rate, error) { return b.rawBatchesSQLite(ctx, 64, rowSize) }),
		c.plain.take(func() (rate, error) { return b.riverPlain(ctx, 100, riverCooldown) }),
		c.many.take(func() (rate, error) { return b.riverPlain(ctx, 1000, 2*time.Millisecond) }),
		c.raw512.take(func() (rate, error) { return b.rawBatches(ctx, 512, rowSize) }),
		c.lite512.take(func() (rate, error) { return b.rawBatchesSQLite(ctx, 512, rowSize) }),
	)
	if err == nil {
		c.compare()
	}
	return err
}

// compare sets the engine against the others, round by round.
func (c *contest) compare() {
	for i, steps := range c.pg.rate.Samples {
		c.times.add(steps / c.chains.rate.Samples[i])
		c.single.add(steps / c.singles.rate.Samples[i])
		c.timesDBOS.add(steps / c.dbos.rate.Samples[i])
		c.drain.add(steps / max(c.plain.rate.Samples[i], c.many.rate.Samples[i]))
		c.share.add(100 * steps / c.raw64.rate.Samples[i])
		c.shareLite.add(100 * c.lite.rate.Samples[i] / c.lite64.rate.Samples[i])
	}
}

func (b *bench) engineRate(ctx context.Context, where place, pg *server) (r rate, err error) {
	err = where(ctx, func(o store.Opener) error {
		r, err = stepRate(ctx, pg, b.window(), o)
		return err
	})
	return r, err
}

// rowSize is the mean size of a journal row of a five-step run.
func (b *bench) rowSize(ctx context.Context) (size int, err error) {
	w := fiveSteps()
	err = b.onSQLite(ctx, func(o store.Opener) error {
		var id durable.ID
		err := withEngine(o, 1, func(e *durable.Engine) error {
			r, err := w.Start(ctx, e, doc{})
			if err == nil {
				id = r.ID
				_, err = r.Wait(ctx)
			}
			return err
		}, w)
		if err != nil {
			return err
		}
		t, err := capture(ctx, o, id)
		if err != nil {
			return err
		}
		for _, row := range t.rows {
			size += len(row)
		}
		size /= len(t.rows)
		return nil
	})
	return size, err
}
