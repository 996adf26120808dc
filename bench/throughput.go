package main

import (
	"context"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// throughput is the first line of the table: the engine on both databases,
// River in three ways, and the raw databases.
func throughput(ctx context.Context, b *bench, s *section) error {
	pg := s.metric("postgres", "engine on PostgreSQL", "steps/s").must(atLeast(25_000)).goal(atLeast(40_000))
	lite := s.metric("sqlite", "engine on SQLite", "steps/s").must(atLeast(30_000)).goal(atLeast(45_000))
	chains := s.metric("river.chain", "River, one job a step, the next inserted in the transaction that ends it", "jobs/s")
	singles := s.metric("river.single", "River, independent jobs that do nothing, 100 callers that insert one and wait for it", "jobs/s")
	plain := s.metric("river.plain", "River, draining jobs that do nothing and were inserted in bulk before", "jobs/s")
	many := s.metric("river.many", "the same with 1,000 workers, as River's own benchmark has it", "jobs/s")
	dbos := s.metric("dbos", "DBOS, workflows of 5 steps", "steps/s")
	times := s.metric("times", "engine on PostgreSQL against River doing the same: a job a step", "×").must(atLeast(8)).goal(atLeast(15))
	single := s.metric("times.single", "engine on PostgreSQL against River's independent jobs that do nothing", "×")
	drain := s.metric("times.drain", "engine on PostgreSQL against River draining, the better", "×")
	timesDBOS := s.metric("times.dbos", "engine on PostgreSQL against DBOS", "×")
	cpu := s.metric("cpu", "CPU of the engine, callers included, on PostgreSQL", "µs/step").must(atMost(50)).goal(atMost(30))
	server := s.metric("cpu.server", "CPU of PostgreSQL for the engine", "µs/step").must(atMost(25)).goal(atMost(15))
	cpuLite := s.metric("cpu.sqlite", "CPU of engine and SQLite together", "µs/step")
	riverCPU := s.metric("cpu.river", "CPU of River, one job a step", "µs/job")
	riverServer := s.metric("cpu.river.server", "CPU of PostgreSQL for River", "µs/job")
	dbosCPU := s.metric("cpu.dbos", "CPU of DBOS", "µs/step")
	dbosServer := s.metric("cpu.dbos.server", "CPU of PostgreSQL for DBOS", "µs/step")
	raw64 := s.metric("raw64", "raw: rows of that size in batches of 64, 2 connections", "rows/s")
	raw512 := s.metric("raw512", "raw: in batches of 512", "rows/s")
	share := s.metric("share", "engine's steps for each raw row in batches of 64", "%").goal(atLeast(40))
	lite64 := s.metric("raw64.sqlite", "raw SQLite: batches of 64", "rows/s")
	lite512 := s.metric("raw512.sqlite", "raw SQLite: batches of 512", "rows/s")
	shareLite := s.metric("share.sqlite", "engine's steps on SQLite for each raw row in batches of 64", "%")
	rowSize, err := b.rowSize(ctx)
	if err != nil {
		return err
	}
	s.note("A raw row has %d bytes of body, the mean of the engine's own journal rows in this workload.", rowSize)
	s.note("River draining is no peer of steps: nothing follows anything, the jobs were copied in before the clock ran, and completions are recorded by the thousand. It shows how fast River's machinery is by itself.")
	if b.pg.postmaster == 0 {
		s.note("The CPU of PostgreSQL is unknown: its processes cannot be seen from here.")
	}
	cost := func(own, server *metric) func(r rate) {
		return func(r rate) {
			own.add(r.cost())
			if r.known {
				server.add(r.serverCost())
			}
		}
	}
	take := func(m *metric, measure func() (rate, error), more func(r rate)) func(context.Context) error {
		return func(context.Context) error {
			r, err := measure()
			if err == nil {
				m.add(r.perSecond())
				if more != nil {
					more(r)
				}
			}
			return err
		}
	}
	err = b.round(
		ctx,
		take(pg, func() (r rate, err error) { return b.engineRate(ctx, b.onPostgres, b.pg) }, cost(cpu, server)),
		take(lite, func() (rate, error) { return b.engineRate(ctx, b.onSQLite, nil) }, func(r rate) { cpuLite.add(r.cost()) }),
		take(chains, func() (rate, error) { return b.riverChains(ctx) }, cost(riverCPU, riverServer)),
		take(dbos, func() (rate, error) { return b.dbosRate(ctx) }, cost(dbosCPU, dbosServer)),
		take(singles, func() (rate, error) { return b.riverSingles(ctx) }, nil),
		take(raw64, func() (rate, error) { return b.rawBatches(ctx, 64, rowSize) }, nil),
		take(lite64, func() (rate, error) { return b.rawBatchesSQLite(ctx, 64, rowSize) }, nil),
		take(plain, func() (rate, error) { return b.riverPlain(ctx, 100, riverCooldown) }, nil),
		take(many, func() (rate, error) { return b.riverPlain(ctx, 1000, 2*time.Millisecond) }, nil),
		take(raw512, func() (rate, error) { return b.rawBatches(ctx, 512, rowSize) }, nil),
		take(lite512, func() (rate, error) { return b.rawBatchesSQLite(ctx, 512, rowSize) }, nil),
	)
	if err != nil {
		return err
	}
	for i := range pg.Samples {
		times.add(pg.Samples[i] / chains.Samples[i])
		single.add(pg.Samples[i] / singles.Samples[i])
		timesDBOS.add(pg.Samples[i] / dbos.Samples[i])
		drain.add(pg.Samples[i] / max(plain.Samples[i], many.Samples[i]))
		share.add(100 * pg.Samples[i] / raw64.Samples[i])
		shareLite.add(100 * lite.Samples[i] / lite64.Samples[i])
	}
	return nil
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
