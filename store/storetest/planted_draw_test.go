package storetest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// drawBugs are those of counters.
func drawBugs() []bug {
	onDraw := func(spoil func(d *store.Drawing)) func() func(store.Store) store.Store {
		return func() func(store.Store) store.Store {
			return func(st store.Store) store.Store { return drawing{st, spoil, nil, nil} }
		}
	}
	onDrawn := func(spoil func(r *store.Drawn)) func() func(store.Store) store.Store {
		return func() func(store.Store) store.Store {
			return func(st store.Store) store.Store { return drawing{st, nil, spoil, nil} }
		}
	}
	onSettle := func(spoil func(s *store.Settling)) func() func(store.Store) store.Store {
		return func() func(store.Store) store.Store {
			return func(st store.Store) store.Store { return drawing{st, nil, nil, spoil} }
		}
	}
	each := func(spoil func(x *store.Draw)) func(d *store.Drawing) {
		return func(d *store.Drawing) {
			d.Draws = append([]store.Draw{}, d.Draws...)
			for i := range d.Draws {
				spoil(&d.Draws[i])
			}
		}
	}
	return []bug{
		{"draws end early", []string{"draw/in any window", "draw/up to the limit, and At tells when more fits"}, onDraw(each(func(x *store.Draw) { x.For /= 2 }))},
		{"draws may go over the limit by one", []string{"draw/up to the limit, and At tells when more fits", "race/draws"}, onDraw(each(func(x *store.Draw) { x.Limit++ }))},
		{"each drawing is another", []string{"draw/the same ID takes once"}, onDraw(func(d *store.Drawing) {
			if d.ID != "" {
				d.ID = uuid.NewString()
			}
		})},
		{"the last draw is forgotten", []string{"draw/all or nothing"}, onDraw(func(d *store.Drawing) {
			if n := len(d.Draws); n > 2 && n <= store.MaxDraws {
				d.Draws = d.Draws[:n-1]
			}
		})},
		{"counters of executions are nobody's", []string{"draw/of an execution, with which it goes"}, onDraw(each(func(x *store.Draw) {
			if x.Of != uuid.Nil {
				x.Of, x.For = uuid.Nil, time.Hour
			}
		}))},
		{"At is not told to who draws", []string{"draw/up to the limit, and At tells when more fits"}, onDrawn(func(r *store.Drawn) { r.At = time.Time{} })},
		{"another counter is named", []string{"draw/all or nothing"}, onDrawn(func(r *store.Drawn) { r.Counter.Name += "'" })},
		{"settling gives all back", []string{"draw/settled to what it was", "draw/what is settled counts as long"}, onSettle(func(s *store.Settling) {
			s.Amounts = append([]store.Settled{}, s.Amounts...)
			for i := range s.Amounts {
				s.Amounts[i].Amount = min(s.Amounts[i].Amount, 0)
			}
		})},
		{"settling changes nothing", []string{"draw/settled to what it was", "draw/settled once"}, onSettle(func(s *store.Settling) { s.ID += "'" })},
		{"settling is drawing", []string{"draw/settled once"}, func() func(store.Store) store.Store {
			return func(st store.Store) store.Store { return eager{st} }
		}},
	}
}

// drawing spoils drawings, their answers, or settlings.
type drawing struct {
	store.Store
	draw   func(d *store.Drawing)
	drawn  func(r *store.Drawn)
	settle func(s *store.Settling)
}

func (d drawing) Draw(ctx context.Context, req store.Drawing) (store.Drawn, error) {
	if d.draw != nil && req.Check() == nil {
		d.draw(&req)
	}
	res, err := d.Store.Draw(ctx, req)
	if d.drawn != nil {
		d.drawn(&res)
	}
	return res, err
}

func (d drawing) Settle(ctx context.Context, req store.Settling) error {
	if d.settle != nil && req.Check() == nil && req.ID != "" {
		d.settle(&req)
	}
	return d.Store.Settle(ctx, req)
}

// eager takes an amount that is settled without having been drawn.
type eager struct{ store.Store }

func (e eager) Settle(ctx context.Context, req store.Settling) error {
	for _, a := range req.Amounts {
		if req.Check() == nil && a.Of == uuid.Nil {
			_, _ = e.Draw(ctx, store.Drawing{ID: req.ID, Draws: []store.Draw{{Counter: a.Counter, Amount: a.Amount, Limit: 1000, For: time.Hour}}})
		}
	}
	return e.Store.Settle(ctx, req)
}
