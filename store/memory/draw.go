package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// draw is an amount of a counter. Times are microseconds since 1970, as in the other
// stores.
type draw struct {
	id      string
	amount  int64
	until   int64
	span    int64
	settled bool
}

// counting is what counts of a counter.
func (d *data) counting(c store.Counter, now int64) []draw {
	return slices.DeleteFunc(slices.Clone(d.draws[c]), func(x draw) bool { return x.until <= now })
}

func sum(list []draw) (n int64) {
	for _, x := range list {
		n += x.amount
	}
	return n
}

func find(list []draw, id string) *draw {
	for i := range list {
		if list[i].id == id {
			return &list[i]
		}
	}
	return nil
}

// Draw implements store.Store.
func (s *Store) Draw(ctx context.Context, req store.Drawing) (store.Drawn, error) {
	if err := req.Check(); err != nil {
		return store.Drawn{}, fmt.Errorf("memory: draw: %w", err)
	}
	now, err := s.enter(ctx)
	if err != nil {
		return store.Drawn{}, err
	}
	defer s.leave()
	d, at, res := s.data, now.UnixMicro(), store.Drawn{Now: now, Code: store.Landed}
	take, never := make(map[store.Counter][]draw), false
	for i := range req.Draws {
		x := &req.Draws[i]
		if x.Of != uuid.Nil && d.executions[x.Of] == nil {
			return store.Drawn{Now: now, Code: store.NotFound}, nil
		}
		list := d.counting(x.Counter, at)
		if find(list, "d"+req.ID) != nil {
			continue
		}
		take[x.Counter] = append(list, draw{"d" + req.ID, x.Amount, x.Until(at), x.Span(), false})
		if over := sum(list) + x.Amount - x.Limit; over > 0 {
			if res.Code != store.Full {
				res.Code, res.Counter = store.Full, x.Counter
			}
			free := freed(list, over)
			never = never || free.IsZero()
			if free.After(res.At) {
				res.At = free
			}
		}
	}
	if never {
		res.At = time.Time{}
	}
	if res.Code == store.Full || len(take) == 0 {
		return res, nil
	}
	for c, list := range take {
		d.draws[c] = list
	}
	res.Code = store.Applied
	return res, nil
}

// freed is when so much will have come free; zero if never.
func freed(list []draw, amount int64) time.Time {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b draw) int { return int(max(min(a.until-b.until, 1), -1)) })
	for _, x := range list {
		if amount -= x.amount; amount <= 0 && x.until < store.Never {
			return time.UnixMicro(x.until).UTC()
		}
	}
	return time.Time{}
}

// Settle implements store.Store.
func (s *Store) Settle(ctx context.Context, req store.Settling) error {
	if err := req.Check(); err != nil {
		return fmt.Errorf("memory: settle: %w", err)
	}
	now, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	at := now.UnixMicro()
	for _, a := range req.Amounts {
		list := s.data.counting(a.Counter, at)
		x := find(list, "d"+req.ID)
		if x == nil || x.settled {
			continue
		}
		until := store.Grain(x.until, x.span)
		*x = draw{x.id, 0, at + store.SettledFor.Microseconds(), x.span, true}
		id := fmt.Sprint("s", until)
		if sum := find(list, id); sum != nil {
			sum.amount += a.Amount
		} else if a.Amount > 0 {
			list = append(list, draw{id, a.Amount, until, 0, true})
		}
		s.data.draws[a.Counter] = list
	}
	return nil
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, c store.Counter) (store.Count, error) {
	now, err := s.enter(ctx)
	if err != nil {
		return store.Count{}, err
	}
	defer s.leave()
	n := store.Count{Now: now}
	for _, x := range s.data.counting(c, now.UnixMicro()) {
		n.All += x.amount
		if !x.settled {
			n.Open += x.amount
		}
	}
	return n, nil
}

// sweepDraws forgets what counts no more.
func (d *data) sweepDraws(now time.Time) {
	for c := range d.draws {
		if d.draws[c] = d.counting(c, now.UnixMicro()); len(d.draws[c]) == 0 {
			delete(d.draws, c)
		}
	}
}
