package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/durable-go/durable"
)

// scaling is how much faster 2, 3 and 4 worker processes work off what another
// process has started than one does, on one PostgreSQL; and what they do in
// total when each starts 100 runs of its own at a time and waits for them.
func scaling(ctx context.Context, b *bench, s *section) error {
	var measures []func(context.Context) error
	for n := 1; n <= 4; n++ {
		m := s.metric(fmt.Sprintf("queued%d", n), fmt.Sprintf("%s runs that become due at once, %s", thousands(int64(b.queueSize())), workers(n)), "steps/s")
		measures = append(measures, func(ctx context.Context) error {
			for lead := pick(b.quick, 1500*time.Millisecond, 4*time.Second); ; lead *= 2 {
				err := b.pg.schema(ctx, func(schema string) error {
					total, err := b.queued(ctx, schema, n, lead)
					if err == nil {
						m.add(total)
					}
					return err
				})
				if !errors.Is(err, errLate) || lead > time.Minute {
					return err
				}
			}
		})
	}
	for _, n := range []int{1, 4} {
		m := s.metric(fmt.Sprintf("own%d", n), fmt.Sprintf("%s, each with 100 runs of its own at a time, all together", workers(n)), "steps/s")
		measures = append(measures, func(ctx context.Context) error {
			return b.pg.schema(ctx, func(schema string) error {
				total, err := b.together(ctx, schema, n)
				m.add(total)
				return err
			})
		})
	}
	s.note("Workers and server share %d CPUs: what one worker leaves idle is all that more of them can add.", runtime.NumCPU())
	return b.round(ctx, measures...)
}

func workers(n int) string { return fmt.Sprintf("%d worker%s", n, pick(n == 1, "", "s")) }

// errLate means that the runs were due before everything was ready.
var errLate = errors.New("starting the runs took too long")

func (b *bench) queueSize() int { return pick(b.quick, 500, 6000) }

// queued is the steps a second of n worker processes from the moment at which
// runs that another process started become due until the last has ended.
func (b *bench) queued(ctx context.Context, schema string, n int, lead time.Duration) (float64, error) {
	l := newLibrary(nil)
	e, err := durable.Open(ctx, b.pg.store(schema), durable.Config{Workflows: l.all(), Logger: quiet()})
	if err != nil {
		return 0, err
	}
	defer e.Close()
	due := time.Now().Add(lead)
	at := func(int) []durable.StartOption { return []durable.StartOption{durable.At(due)} }
	if _, err := l.five.StartMany(ctx, e, make([]doc, b.queueSize()), at); err != nil {
		return 0, err
	}
	for range n {
		c, err := b.worker(ctx, schema, 100)
		if err != nil {
			return 0, err
		}
		defer c.kill()
	}
	if time.Now().After(due) {
		return 0, errLate
	}
	if err := pause(ctx, time.Until(due)); err != nil {
		return 0, err
	}
	err = until(ctx, func() (bool, error) {
		page, err := e.Executions(ctx, durable.Filter{Statuses: []durable.Status{durable.Pending, durable.Running}, Limit: 1})
		return len(page.Executions) == 0, err
	})
	return float64(b.queueSize()*steps) / time.Since(due).Seconds(), err
}

// together is the steps a second of n worker processes.
func (b *bench) together(ctx context.Context, schema string, n int) (float64, error) {
	workers := make([]*child, n)
	for i := range workers {
		c, err := b.worker(ctx, schema, 100)
		if err != nil {
			return 0, err
		}
		defer c.kill()
		workers[i] = c
	}
	for _, c := range workers {
		if err := c.in.Encode(command{Drive: b.window()}); err != nil {
			return 0, err
		}
	}
	var total float64
	for _, c := range workers {
		l, err := c.answer(ctx)
		if err != nil {
			return 0, err
		}
		total += float64(l.Count) / b.window().Seconds()
	}
	for _, c := range workers {
		if err := c.stop(); err != nil {
			return 0, err
		}
	}
	return total, nil
}
