package main

import (
	"context"
	"fmt"
	"runtime"
)

// scaling is the total of 1 to 4 worker processes on one PostgreSQL, each with
// 100 runs of its own at a time.
func scaling(ctx context.Context, b *bench, s *section) error {
	var measures []func(context.Context) error
	for n := 1; n <= 4; n++ {
		m := s.metric(fmt.Sprintf("workers%d", n), fmt.Sprintf("%d worker process%s, all together", n, pick(n == 1, "", "es")), "steps/s")
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
