package main

import (
	"context"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// growth is the throughput beside a crowd of finished runs against that of an
// empty schema.
func growth(ctx context.Context, b *bench, s *section) error {
	crowd := thousands(int64(b.crowd))
	empty := s.metric("empty", "engine on PostgreSQL, nothing there", "steps/s")
	full := s.metric("full", "beside "+crowd+" finished runs of 5 steps", "steps/s")
	ratio := s.metric("ratio", "speed beside them, of the empty one", "%").must(atLeast(95))
	s.note("The finished runs were written through the store in batches, then vacuumed and analyzed.")
	return b.pg.schema(ctx, func(many string) error {
		if err := b.crowdOf(ctx, many, b.crowd, finisher(ctx)); err != nil {
			return err
		}
		measure := func(o store.Opener, m *metric) error {
			r, err := stepRate(ctx, b.pg, b.window(), o)
			m.add(r.perSecond())
			return err
		}
		err := b.round(
			ctx,
			func(ctx context.Context) error {
				return b.onPostgres(ctx, func(o store.Opener) error { return measure(o, empty) })
			},
			func(ctx context.Context) error {
				if err := b.pg.checkpoint(ctx); err != nil {
					return err
				}
				return measure(b.pg.store(many), full)
			},
		)
		if err != nil {
			return err
		}
		for i := range empty.Samples {
			ratio.add(100 * full.Samples[i] / empty.Samples[i])
		}
		return nil
	})
}

// finisher makes one run that has ended.
func finisher(ctx context.Context) func(o store.Opener) (durable.ID, error) {
	return func(o store.Opener) (id durable.ID, err error) {
		w := fiveSteps()
		err = withEngine(o, 1, func(e *durable.Engine) error {
			r, err := w.Start(ctx, e, doc{})
			if err != nil {
				return err
			}
			id = r.ID
			_, err = r.Wait(ctx)
			return err
		}, w)
		return id, err
	}
}
