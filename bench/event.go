package main

import (
	"context"
	"fmt"
	"time"

	"github.com/durable-go/durable"
)

// eventLatency is the time from the call of SendEvent in one process to the
// line after WaitForEvent in another, when nothing else happens.
func eventLatency(ctx context.Context, b *bench, s *section) error {
	p50 := s.metric("p50", "SendEvent called to the waiting step going on, p50", "ms")
	p99 := s.metric("p99", "the same, p99", "ms").must(atMost(50)).goal(atMost(10))
	n := pick(b.quick, 60, 300)
	s.note("%d events a round, one every 20 ms.", n)
	return b.round(ctx, func(ctx context.Context) error {
		return b.pg.schema(ctx, func(schema string) error {
			l := newLibrary(nil)
			e, err := durable.Open(ctx, b.pg.store(schema), durable.Config{Workflows: l.all(), Logger: quiet()})
			if err != nil {
				return err
			}
			defer e.Close()
			c, err := b.worker(ctx, schema, 10)
			if err != nil {
				return err
			}
			defer c.kill()
			ids, err := waitingRuns(ctx, e, l, n)
			if err != nil {
				return err
			}
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			for _, id := range ids {
				if err := e.SendEvent(ctx, id, "go", time.Now().UnixMicro()); err != nil {
					return err
				}
				if err := pause(ctx, 20*time.Millisecond); err != nil {
					return err
				}
			}
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			stats, err := c.ask(ctx, command{})
			if err != nil {
				return err
			}
			if len(stats.Latencies) != n {
				return fmt.Errorf("%d of %d events have ended their waits a second later", len(stats.Latencies), n)
			}
			took := make([]time.Duration, n)
			for i, us := range stats.Latencies {
				took[i] = time.Duration(us) * time.Microsecond
			}
			p50.addMS(percentile(took, 0.50))
			p99.addMS(percentile(took, 0.99))
			return nil
		})
	})
}

// waitingRuns starts n runs and returns when all of them wait for their event.
// Somebody must execute them.
func waitingRuns(ctx context.Context, e *durable.Engine, l *library, n int) ([]durable.ID, error) {
	runs, err := l.waiting.StartMany(ctx, e, make([]doc, n), nil)
	if err != nil {
		return nil, err
	}
	ids := make([]durable.ID, n)
	for i, r := range runs {
		ids[i] = r.ID
	}
	err = until(ctx, func() (bool, error) {
		page, err := e.Executions(ctx, durable.Filter{Workflow: "waiting", Statuses: []durable.Status{durable.Pending, durable.Running}, Limit: 1})
		return len(page.Executions) == 0, err
	})
	return ids, err
}
