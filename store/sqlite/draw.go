package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

const (
	// Both are asked within the transaction that draws, which is the only one.
	drawRun  = "SELECT 1 FROM execution WHERE id = ?"
	drawSum  = "SELECT ifnull(sum(amount), 0), ifnull(sum(id = ?3), 0), ifnull(sum(amount) FILTER (WHERE settled = 0), 0) FROM draw WHERE run = ?1 AND counter = ?2 AND until > ?4"
	drawFree = `
		SELECT until FROM (SELECT until, sum(amount) OVER (ORDER BY until, id) AS freed FROM draw WHERE run = ?1 AND counter = ?2 AND until > ?3)
		WHERE freed >= ?4 AND until < ?5 ORDER BY until LIMIT 1`
	addDraw = `
		INSERT INTO draw (run, counter, id, amount, until, span, settled) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)
		ON CONFLICT DO UPDATE SET amount = excluded.amount, until = excluded.until, span = excluded.span, settled = 0`
	readDraw   = "SELECT until, span FROM draw WHERE run = ? AND counter = ? AND id = ? AND settled = 0 AND until > ?"
	settleDraw = "UPDATE draw SET amount = 0, settled = 1, until = ?4 WHERE run = ?1 AND counter = ?2 AND id = ?3"
	addSettled = `
		INSERT INTO draw (run, counter, id, amount, until, span, settled) VALUES (?1, ?2, ?3, ?4, ?5, 0, 1)
		ON CONFLICT DO UPDATE SET amount = amount + excluded.amount`
	sweepDraws = "DELETE FROM draw WHERE (run, counter, id) IN (SELECT run, counter, id FROM draw INDEXED BY draw_until WHERE until <= ?1 ORDER BY until LIMIT ?2)"
)

// Draw implements store.Store.
func (s *Store) Draw(ctx context.Context, d store.Drawing) (res store.Drawn, err error) {
	if err := d.Check(); err != nil {
		return store.Drawn{}, s.explain("draw", err)
	}
	now, err := s.update(ctx, "draw", func(t *tx) (err error) {
		res, err = t.draw(&d)
		return err
	})
	if err != nil {
		return store.Drawn{}, err
	}
	res.Now = now
	return res, nil
}

func (t *tx) draw(d *store.Drawing) (res store.Drawn, err error) {
	id := "d" + d.ID
	var take []*store.Draw
	res.Code = store.Landed
	never := false
	for i := range d.Draws {
		x := &d.Draws[i]
		if x.Of != uuid.Nil {
			if there, err := t.one(drawRun, func(row) {}, x.Of[:]); err != nil || !there {
				return store.Drawn{Code: store.NotFound}, err
			}
		}
		var counts, there int64
		if _, err := t.one(drawSum, func(r row) { counts, there = r.int(0), r.int(1) }, x.Of[:], x.Name, id, t.now); err != nil {
			return res, err
		}
		if there > 0 {
			continue
		}
		take = append(take, x)
		if over := counts + x.Amount - x.Limit; over > 0 {
			if res.Code != store.Full {
				res.Code, res.Counter = store.Full, x.Counter
			}
			var at time.Time
			free, err := t.one(drawFree, func(r row) { at = r.time(0) }, x.Of[:], x.Name, t.now, over, store.Never)
			if err != nil {
				return res, err
			}
			never = never || !free
			if at.After(res.At) {
				res.At = at
			}
		}
	}
	if never {
		res.At = time.Time{}
	}
	if res.Code == store.Full || len(take) == 0 {
		return res, nil
	}
	for _, x := range take {
		if _, err := t.exec(addDraw, x.Of[:], x.Name, id, x.Amount, x.Until(t.now), x.Span()); err != nil {
			return res, err
		}
	}
	res.Code = store.Applied
	return res, t.sweepDraws()
}

// sweepDraws removes some that count no more.
func (t *tx) sweepDraws() error {
	_, err := t.exec(sweepDraws, t.now, store.SweepDraws)
	return err
}

// Settle implements store.Store.
func (s *Store) Settle(ctx context.Context, req store.Settling) error {
	if err := req.Check(); err != nil {
		return s.explain("settle", err)
	}
	_, err := s.update(ctx, "settle", func(t *tx) error {
		for _, a := range req.Amounts {
			if err := t.settle("d"+req.ID, a); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

func (t *tx) settle(id string, a store.Settled) error {
	var until, span int64
	open, err := t.one(readDraw, func(r row) { until, span = r.int(0), r.int(1) }, a.Of[:], a.Name, id, t.now)
	if err != nil || !open {
		return err
	}
	if _, err := t.exec(settleDraw, a.Of[:], a.Name, id, t.now+store.SettledFor.Microseconds()); err != nil || a.Amount == 0 {
		return err
	}
	until = store.Grain(until, span)
	_, err = t.exec(addSettled, a.Of[:], a.Name, fmt.Sprint("s", until), a.Amount, until)
	return err
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, c store.Counter) (n store.Count, err error) {
	err = s.view(ctx, "count", func(r *conn) error {
		now := time.Now()
		n = store.Count{Now: now}
		_, err := r.one(drawSum, func(r row) { n.All, n.Open = r.int(0), r.int(2) }, c.Of[:], c.Name, "", now.UnixMicro())
		return err
	})
	return n, err
}
