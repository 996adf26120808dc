package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// parked is what a crowd of sleeping runs costs those who work beside it.
func parked(ctx context.Context, b *bench, s *section) error {
	crowd := thousands(int64(b.crowd))
	claim := newLatencies(s, "claim", "one claim beside "+crowd+" sleeping runs")
	claim.p99.must(atMost(5))
	claimNone := newLatencies(s, "claim.none", "the same beside none")
	heap := s.metric("heap", "live heap of an idle worker beside them, less beside none", "MiB").must(atMost(1))
	rss := s.metric("rss", "resident memory of it beside them, less beside none", "MiB")
	rssAll := s.metric("rss.all", "resident memory of it beside them", "MiB")
	idle := s.metric("idle", "CPU of it, as a share of one CPU", "%").goal(atMost(2))
	idleServer := s.metric("idle.server", "CPU of its connections at the server", "%")
	wake := s.metric("wake", "waiting runs woken by events from 64 callers, beside them", "runs/s")
	return b.pg.schema(ctx, func(many string) error {
		return b.pg.schema(ctx, func(none string) error {
			if err := b.crowdOf(ctx, many, b.crowd, sleeper(ctx)); err != nil {
				return err
			}
			return b.round(
				ctx,
				func(ctx context.Context) error { return b.claims(ctx, none, claimNone) },
				func(ctx context.Context) error { return b.claims(ctx, many, claim) },
				func(ctx context.Context) error {
					few, err := b.idle(ctx, none)
					if err != nil {
						return err
					}
					all, err := b.idle(ctx, many)
					if err != nil {
						return err
					}
					heap.add(mib(all.heap - few.heap))
					rss.add(mib(all.resident - few.resident))
					rssAll.add(mib(all.resident))
					idle.add(100 * all.cpu)
					if all.known {
						idleServer.add(100 * all.server)
					}
					return nil
				},
				func(ctx context.Context) error { return b.wakes(ctx, many, wake) },
			)
		})
	})
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// sleeper makes one run that sleeps for a month.
func sleeper(ctx context.Context) func(o store.Opener) (durable.ID, error) {
	return func(o store.Opener) (id durable.ID, err error) {
		l := newLibrary(nil)
		err = withEngine(o, 1, func(e *durable.Engine) error {
			r, err := l.asleep.Start(ctx, e, doc{})
			if err != nil {
				return err
			}
			id = r.ID
			return until(ctx, func() (bool, error) {
				x, err := e.Execution(ctx, id)
				return x.Status == durable.Waiting, err
			})
		}, l.all()...)
		return id, err
	}
}

// claims times single claims that find eight due runs, in the queue and of the
// definition of all that sleep.
func (b *bench) claims(ctx context.Context, schema string, l latencies) error {
	s, err := b.pg.store(schema).OpenStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	me := uuid.New()
	if _, err := s.Renew(ctx, store.Lease{Who: me, Name: "bench", Duration: time.Hour, New: true}); err != nil {
		return err
	}
	const due = 8
	n := pick(b.quick, 50, 500)
	took := make([]time.Duration, 0, n)
	ask := store.ClaimRequest{Owner: me, Definitions: []store.Definition{{Workflow: "asleep"}}, Queues: map[string]int{"default": 100}}
	for i := range n + 20 {
		writes := make([]store.Write, due)
		for i := range writes {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			writes[i].Begin = &store.Begin{ID: id, Workflow: "asleep", Queue: "default", Row: []byte("due")}
		}
		if err := applied(s.Commit(ctx, writes)); err != nil {
			return err
		}
		start := time.Now()
		got, err := s.Claim(ctx, ask)
		if err != nil {
			return err
		}
		if i >= 20 {
			took = append(took, time.Since(start))
		}
		if len(got.Records) != due {
			return fmt.Errorf("%d of %d due runs claimed", len(got.Records), due)
		}
		for i, rec := range got.Records {
			writes[i] = store.Write{Advance: &store.Advance{
				ID: rec.ID, Owner: me, Epoch: rec.Epoch, Base: rec.Length, Row: []byte("end"), Seen: -1,
				Release: &store.Release{Status: store.Cancelled},
			}}
		}
		if err := applied(s.Commit(ctx, writes)); err != nil {
			return err
		}
	}
	l.add(took)
	return s.Retire(ctx, me)
}

// idleWorker is a worker process that has nothing to do.
type idleWorker struct {
	heap, resident int64
	cpu, server    float64 // of one CPU
	known          bool
}

func (b *bench) idle(ctx context.Context, schema string) (w idleWorker, err error) {
	c, err := b.worker(ctx, schema, 100)
	if err != nil {
		return w, err
	}
	defer c.kill()
	if err := pause(ctx, time.Second); err != nil {
		return w, err
	}
	before, err := c.ask(ctx, command{})
	if err != nil {
		return w, err
	}
	server, known, err := b.pg.backendCPU(ctx)
	if err != nil {
		return w, err
	}
	start := time.Now()
	if err := pause(ctx, b.window()); err != nil {
		return w, err
	}
	took := time.Since(start)
	now, still, err := b.pg.backendCPU(ctx)
	if err != nil {
		return w, err
	}
	after, err := c.ask(ctx, command{})
	if err != nil {
		return w, err
	}
	w.heap, w.resident = after.Heap, after.Resident
	w.cpu = float64(after.CPU-before.CPU) / float64(took.Microseconds())
	w.server, w.known = (now-server).Seconds()/took.Seconds(), known && still
	return w, c.stop()
}

// wakes sends an event to each of many waiting runs and is done when each has
// gone on.
func (b *bench) wakes(ctx context.Context, schema string, m *metric) error {
	const callers = 64
	n := pick(b.quick, 1000, 10_000)
	l := newLibrary(nil)
	return withEngine(b.pg.store(schema), 100, func(e *durable.Engine) error {
		ids, err := waitingRuns(ctx, e, l, n)
		if err != nil {
			return err
		}
		var (
			all  sync.WaitGroup
			next = make(chan durable.ID)
			errs = make([]error, callers)
		)
		start := time.Now()
		for i := range callers {
			all.Go(func() {
				for id := range next {
					if err := e.SendEvent(ctx, id, "go", int64(0)); err != nil {
						errs[i] = err
					}
				}
			})
		}
		for _, id := range ids {
			next <- id
		}
		close(next)
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		err = until(ctx, func() (bool, error) { return l.woken.Load() >= int64(n), nil })
		m.add(float64(n) / time.Since(start).Seconds())
		return err
	}, l.all()...)
}
