package storetest

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

// drawBoth draws some amounts from counters, or settles some, and looks at what counts.
func (p *pair) drawBoth() {
	p.tb.Helper()
	for range 4 {
		p.drawOne()
	}
}

func (p *pair) drawOne() {
	p.tb.Helper()
	id := fmt.Sprint("d", p.rnd.IntN(8))
	var draws []store.Draw
	for _, name := range []string{"a", "b", "a of"} {
		d := store.Draw{Counter: shared(name[:1]), Amount: int64(p.rnd.IntN(8)), Limit: int64(12 + p.rnd.IntN(8)), For: time.Duration(pick(p.rnd, 3, 5)) * time.Hour}
		if name == "a of" && len(p.ids) > 0 {
			d.Of, d.For = p.known().ID, pick(p.rnd, 0, time.Hour)
		} else if name == "a of" {
			continue
		}
		if p.rnd.IntN(3) > 0 {
			draws = append(draws, d)
		}
	}
	settle := p.rnd.IntN(3) == 0
	type answer struct {
		Code    store.Code
		Counter string
		At      time.Time
		Err     string
		Counts  []int64
	}
	both(p, fmt.Sprintf("draw %s (settling: %v) %+v", id, settle, draws), func(s *side) (a answer) {
		if settle {
			req := store.Settling{ID: id}
			for _, d := range draws {
				req.Amounts = append(req.Amounts, store.Settled{Counter: d.Counter, Amount: d.Amount})
			}
			a.Err = errorName(s.st.Settle(s.ctx(), req))
		} else {
			res, err := s.st.Draw(s.ctx(), store.Drawing{ID: id, Draws: draws})
			a.Code, a.Counter, a.At, a.Err = res.Code, res.Counter.Of.String()+res.Counter.Name, s.about(res.At), errorName(err)
		}
		for _, d := range draws {
			n, err := s.st.Count(s.ctx(), d.Counter)
			s.ok(err, "count")
			a.Counts = append(a.Counts, n.All, n.Open)
		}
		return a
	})
}
