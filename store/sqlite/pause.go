package sqlite

import (
	"context"
	"time"

	"github.com/durable-go/durable/store"
)

// SetPaused implements store.Store.
func (s *Store) SetPaused(ctx context.Context, queue, by string, paused bool) error {
	_, err := s.update(ctx, "pause", func(t *tx) error {
		if !paused {
			_, err := t.exec("DELETE FROM pause WHERE queue = ?", queue)
			return err
		}
		_, err := t.exec("INSERT INTO pause (queue, since, who) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", queue, t.now, by)
		return err
	})
	return err
}

// paused lists the queues that are paused.
func paused(c *conn) (list []store.Pause, err error) {
	err = c.query("SELECT queue, since, who FROM pause ORDER BY queue", func(r row) error {
		list = append(list, store.Pause{Queue: r.text(0), Since: r.time(1), By: r.text(2)})
		return nil
	})
	return list, err
}

// Survey implements store.Store.
func (s *Store) Survey(ctx context.Context) (seen store.Survey, err error) {
	err = s.view(ctx, "survey", func(c *conn) (err error) {
		if seen.Paused, err = paused(c); err != nil {
			return err
		}
		return c.query("SELECT who, name, expires, report FROM lease ORDER BY name, who", func(r row) error {
			seen.Leases = append(seen.Leases, store.Living{Who: r.id(0), Name: r.text(1), Expires: r.time(2), Report: r.bytes(3)})
			return nil
		})
	})
	if err != nil {
		return store.Survey{}, err
	}
	seen.Now = fromMicros(time.Now().UnixMicro())
	return seen, nil
}
