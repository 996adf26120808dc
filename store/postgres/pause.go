package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	// The pauses as columns of a statement that asks for something else.
	pauseColumns = `ARRAY(SELECT queue FROM durable.pause ORDER BY queue), ARRAY(SELECT since FROM durable.pause ORDER BY queue), ARRAY(SELECT who FROM durable.pause ORDER BY queue)`
	readPaused   = `SELECT ` + pauseColumns
	addPause     = `INSERT INTO durable.pause (queue, since, who) VALUES ($1, clock_timestamp(), $2) ON CONFLICT DO NOTHING`
	dropPause    = `DELETE FROM durable.pause WHERE queue = $1`
	readLeases   = `SELECT who, name, expires, report FROM durable.lease ORDER BY name, who`
)

// pauses reads pauseColumns.
type pauses struct {
	queues []string
	since  []time.Time
	by     []string
}

func (p *pauses) list() (list []store.Pause) {
	for i, queue := range p.queues {
		list = append(list, store.Pause{Queue: queue, Since: p.since[i].UTC(), By: p.by[i]})
	}
	return list
}

// SetPaused implements store.Store.
func (s *Store) SetPaused(ctx context.Context, queue, by string, paused bool) error {
	return s.update(ctx, "pause", func(_ context.Context, t *tx) error {
		t.hints = true
		if paused {
			t.exec(addPause, queue, by)
		} else {
			t.exec(dropPause, queue)
		}
		return nil
	})
}

// Survey implements store.Store.
func (s *Store) Survey(ctx context.Context) (seen store.Survey, err error) {
	err = s.view(ctx, "survey", func(b *pgx.Batch) {
		read(s.schema, b, readClock, nil, func(r pgx.CollectableRow) error { return r.Scan((*instant)(&seen.Now)) })
		read(s.schema, b, readPaused, nil, func(r pgx.CollectableRow) error {
			var p pauses
			err := r.Scan(&p.queues, &p.since, &p.by)
			seen.Paused = p.list()
			return err
		})
		read(s.schema, b, readLeases, nil, func(r pgx.CollectableRow) error {
			var l store.Living
			err := r.Scan((*nullable)(&l.Who), &l.Name, (*instant)(&l.Expires), &l.Report)
			seen.Leases = append(seen.Leases, l)
			return err
		})
	})
	if err != nil {
		return store.Survey{}, err
	}
	return seen, nil
}
