package main

import (
	"context"
	"strings"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/postgres"
)

// budget is what the engine asks of the server, counted on the connections of a
// pool that was handed to it.
func budget(ctx context.Context, b *bench, s *section) error {
	trips := s.metric("trips", "round trips for each run of 3 steps, alone", "").must(atMost(5))
	statements := s.metric("statements", "statements for each of these runs, begin and commit included", "")
	idle := s.metric("idle", "statements a second of a worker with nothing to do", "1/s").must(atMost(1))
	idleTrips := s.metric("idle.trips", "round trips a second of it", "1/s")
	s.note("Statements are the Query and Execute messages on the wire.")
	return b.round(ctx, func(ctx context.Context) error {
		return b.pg.schema(ctx, func(schema string) error {
			w := stepsOf("three", 3)
			var on wire
			pool, err := on.pool(ctx, plainText(b.pg.url))
			if err != nil {
				return err
			}
			defer pool.Close()
			return withEngine(postgres.New(pool, postgres.Schema(schema)), 10, func(e *durable.Engine) error {
				const runs = 100
				for range 10 { // connections, prepared statements, the first claim
					if err := complete(ctx, e, w); err != nil {
						return err
					}
				}
				t, n := on.trips.Load(), on.statements.Load()
				for range runs {
					if err := complete(ctx, e, w); err != nil {
						return err
					}
				}
				trips.add(float64(on.trips.Load()-t) / runs)
				statements.add(float64(on.statements.Load()-n) / runs)
				if err := pause(ctx, time.Second); err != nil {
					return err
				}
				rest := pick(b.quick, 4*time.Second, 10*time.Second)
				t, n = on.trips.Load(), on.statements.Load()
				if err := pause(ctx, rest); err != nil {
					return err
				}
				idle.add(float64(on.statements.Load()-n) / rest.Seconds())
				idleTrips.add(float64(on.trips.Load()-t) / rest.Seconds())
				return nil
			}, w)
		})
	})
}

// plainText is the address without TLS, whose messages could not be counted.
func plainText(address string) string {
	switch {
	case strings.Contains(address, "sslmode="):
		return address
	case !strings.Contains(address, "://"):
		return address + " sslmode=disable"
	case strings.Contains(address, "?"):
		return address + "&sslmode=disable"
	}
	return address + "?sslmode=disable"
}
