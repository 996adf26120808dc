package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// drawClauses are about amounts that are drawn from counters.
func drawClauses() []clause {
	return []clause{
		{"draw/up to the limit, and At tells when more fits", "G18, CR-1", drawLimit},
		{"draw/in any window", "G18, CR-1", drawWindow},
		{"draw/all or nothing", "CR-1", drawAll},
		{"draw/the same ID takes once", "G18, CR-1", drawOnce},
		{"draw/settled to what it was", "CR-2", drawSettled},
		{"draw/settled once", "CR-2", drawSettledOnce},
		{"draw/what is settled counts as long", "CR-2", drawSettledWindow},
		{"draw/of an execution, with which it goes", "CR-1, RN-2", drawOf},
		{"draw/a hundred settled add up", "CR-2", drawMany},
		{"draw/survives a restart", "CR-1", drawRestart},
		{"draw/malformed ones are refused", "DF-1, CR-1", drawMalformed},
		{"race/draws", "G18, CR-1", raceDraws},
	}
}

func shared(name string) store.Counter { return store.Counter{Name: name} }

// from is an amount of a limit of 10 for an hour.
func from(name string, amount int64) store.Draw {
	return store.Draw{Counter: shared(name), Amount: amount, Limit: 10, For: time.Hour}
}

func (e *env) draw(id string, want store.Code, draws ...store.Draw) store.Drawn {
	e.tb.Helper()
	res, err := e.st.Draw(e.ctx(), store.Drawing{ID: id, Draws: draws})
	e.ok(err, "draw")
	if res.Code != want || res.Now.IsZero() {
		e.failf("drawing %s got %s, want %s: %+v", id, codeName(res.Code), codeName(want), res)
	}
	return res
}

func (e *env) settle(id string, c store.Counter, amount int64) {
	e.tb.Helper()
	e.ok(e.st.Settle(e.ctx(), store.Settling{ID: id, Amounts: []store.Settled{{Counter: c, Amount: amount}}}), "settle")
}

func (e *env) counts(c store.Counter, all, open int64, why string) {
	e.tb.Helper()
	n, err := e.st.Count(e.ctx(), c)
	e.ok(err, "count")
	if n.All != all || n.Open != open || n.Now.IsZero() {
		e.failf("%s: %d count, %d of them open; want %d and %d", why, n.All, n.Open, all, open)
	}
}

func drawLimit(e *env) {
	e.counts(shared("a"), 0, 0, "nobody has drawn")
	one := e.draw("1", store.Applied, from("a", 4))
	late := from("a", 6)
	late.For = 2 * time.Hour
	two := e.draw("2", store.Applied, late)
	e.draw("none", store.Applied, from("a", 0))
	e.counts(shared("a"), 10, 10, "two draws")
	t1, t2 := one.Now.Add(time.Hour), two.Now.Add(2*time.Hour)
	for amount, want := range map[int64]time.Time{1: t1, 4: t1, 5: t2, 10: t2, 11: {}} {
		res := e.draw(fmt.Sprint("more", amount), store.Full, from("a", amount))
		if d := res.At.Sub(want); res.Counter != shared("a") || res.At.IsZero() != want.IsZero() || !want.IsZero() && (d < -time.Millisecond || d > time.Millisecond) {
			e.failf("%d of 10 fit at %v; want %v: %+v", amount, res.At, want, res)
		}
	}
	more := from("a", 1)
	more.Limit = 11
	e.draw("raised", store.Applied, more)
	e.draw("other", store.Applied, from("b", 10))
}

// drawWindow takes as fast as it can and looks at when it was given.
func drawWindow(e *env) {
	const window = 20 * time.Millisecond
	var given []time.Time
	n := 0
	e.until("nine draws are given", func() bool {
		n++
		res, err := e.st.Draw(e.ctx(), store.Drawing{ID: fmt.Sprint(n), Draws: []store.Draw{{Counter: shared("rate"), Amount: 1, Limit: 3, For: window}}})
		e.ok(err, "draw")
		switch res.Code {
		case store.Applied:
			given = append(given, res.Now)
		case store.Full:
			if !res.At.After(res.Now.Add(-time.Microsecond)) || res.At.After(res.Now.Add(window+time.Millisecond)) {
				e.failf("full at %v, and At is %v", res.Now, res.At)
			}
		default:
			e.failf("a draw got %s", codeName(res.Code))
		}
		return len(given) == 9
	})
	for i := 3; i < len(given); i++ {
		if d := given[i].Sub(given[i-3]); d < window {
			e.failf("draws %d to %d of 3 came within %v, and the window is %v", i-2, i+1, d, window)
		}
	}
}

func drawAll(e *env) {
	e.draw("1", store.Applied, from("a", 2), from("b", 9), from("c", 10))
	res := e.draw("2", store.Full, from("a", 1), from("c", 1), from("b", 5))
	if res.Counter != shared("c") {
		e.failf("full: %+v; want the first that has no room", res)
	}
	e.counts(shared("a"), 2, 2, "nothing of it was taken")
	e.counts(shared("b"), 9, 9, "nothing of it was taken")
	never := from("b", 11)
	if res := e.draw("3", store.Full, from("c", 1), never); !res.At.IsZero() {
		e.failf("one of them never fits, and At is %v", res.At)
	}
}

func drawOnce(e *env) {
	e.draw("1", store.Applied, from("a", 6), from("b", 6))
	e.draw("1", store.Landed, from("a", 6), from("b", 6))
	e.draw("1", store.Landed, from("b", 10))
	e.draw("1", store.Applied, from("a", 6), from("c", 6)) // of one it has taken before
	e.counts(shared("a"), 6, 6, "taken three times by one ID")
	e.counts(shared("c"), 6, 6, "taken once")
	e.draw("2", store.Full, from("a", 6))
	e.draw("2", store.Applied, from("a", 4)) // what was refused is not known
	short := store.Draw{Counter: shared("d"), Amount: 1, Limit: 1, For: time.Millisecond}
	e.draw("3", store.Applied, short)
	e.until("its time is over", func() bool {
		res, err := e.st.Draw(e.ctx(), store.Drawing{ID: "3", Draws: []store.Draw{short}})
		e.ok(err, "draw")
		return res.Code == store.Applied // the same ID, anew
	})
}

func drawSettled(e *env) {
	e.draw("1", store.Applied, from("a", 6))
	e.settle("1", shared("a"), 2)
	e.counts(shared("a"), 2, 0, "settled to less")
	e.draw("2", store.Applied, from("a", 8))
	e.settle("2", shared("a"), 50)
	e.counts(shared("a"), 52, 0, "settled to more than the limit")
	e.draw("3", store.Full, from("a", 1))
	e.draw("4", store.Applied, from("b", 10))
	e.settle("4", shared("b"), 0)
	e.counts(shared("b"), 0, 0, "given back")
	e.draw("5", store.Applied, from("b", 10))
	e.ok(e.st.Settle(e.ctx(), store.Settling{ID: "5", Amounts: []store.Settled{{Counter: shared("b"), Amount: 1}, {Counter: shared("c"), Amount: 1}}}), "settle two")
	e.counts(shared("b"), 1, 0, "settled with another")
	e.counts(shared("c"), 0, 0, "settled, and never drawn")
}

func drawSettledOnce(e *env) {
	e.settle("1", shared("a"), 3)
	e.counts(shared("a"), 0, 0, "what nobody drew")
	e.draw("1", store.Applied, from("a", 6))
	e.settle("1", shared("a"), 3)
	e.settle("1", shared("a"), 3)
	e.settle("1", shared("a"), 9)
	e.counts(shared("a"), 3, 0, "settled three times")
	e.draw("1", store.Landed, from("a", 6)) // a request that was late
	e.counts(shared("a"), 3, 0, "drawn again after it was settled")
}

func drawSettledWindow(e *env) {
	const window = 64 * time.Millisecond
	d := store.Draw{Counter: shared("a"), Amount: 3, Limit: 3, For: window}
	first := e.draw("1", store.Applied, d)
	e.settle("1", shared("a"), 3)
	res := store.Drawn{}
	n := 1
	e.until("there is room again", func() bool {
		n++
		var err error
		res, err = e.st.Draw(e.ctx(), store.Drawing{ID: fmt.Sprint(n), Draws: []store.Draw{d}})
		e.ok(err, "draw")
		return res.Code == store.Applied
	})
	if d := res.Now.Sub(first.Now); d < window-time.Millisecond {
		e.failf("what was settled counted for %v, and the window is %v", d, window)
	}
}

func drawOf(e *env) {
	r, other := e.running(), e.running()
	of := func(id store.ID, amount int64) store.Draw {
		return store.Draw{Counter: store.Counter{Of: id, Name: "budget"}, Amount: amount, Limit: 10}
	}
	e.draw("1", store.Applied, of(r.id, 10), of(other.id, 3), from("budget", 5))
	if res := e.draw("2", store.Full, of(r.id, 1)); !res.At.IsZero() {
		e.failf("time does not help, and At is %v", res.At)
	}
	e.settle("1", of(r.id, 0).Counter, 4)
	e.draw("3", store.Applied, of(r.id, 6))
	e.counts(of(other.id, 0).Counter, 3, 3, "another execution's")
	e.counts(shared("budget"), 5, 5, "nobody's")
	e.draw("4", store.NotFound, from("budget", 1), of(uuid.New(), 1))
	e.counts(shared("budget"), 5, 5, "with that of an execution that is not there")
	e.advance(r, r.park(store.Completed))
	e.draw("5", store.Full, of(r.id, 1))
	e.until("the end is old enough", func() bool { return e.prune(store.PruneRequest{Age: 0, Limit: 10}) == 1 })
	e.draw("6", store.NotFound, of(r.id, 1))
	e.counts(of(r.id, 0).Counter, 0, 0, "of what was removed")
	e.counts(of(other.id, 0).Counter, 3, 3, "another execution's")
}

// drawMany draws and settles often.
func drawMany(e *env) {
	for i := range 100 {
		id := fmt.Sprint(i)
		e.draw(id, store.Applied, store.Draw{Counter: shared("a"), Amount: 10, Limit: 10_000, For: 1000 * time.Hour})
		e.settle(id, shared("a"), 7)
	}
	e.counts(shared("a"), 700, 0, "a hundred settled")
}

func drawRestart(e *env) {
	e.draw("1", store.Applied, from("a", 6))
	e.draw("2", store.Applied, from("a", 4))
	e.settle("2", shared("a"), 3)
	e.restart()
	e.counts(shared("a"), 9, 6, "after a restart")
	e.draw("1", store.Landed, from("a", 6))
	e.draw("3", store.Full, from("a", 2))
}

func drawMalformed(e *env) {
	many := make([]store.Draw, store.MaxDraws+1)
	for i := range many {
		many[i] = from(fmt.Sprint(i), 1)
	}
	for why, d := range map[string]store.Drawing{
		"no ID":             {Draws: []store.Draw{from("a", 1)}},
		"no draws":          {ID: "x"},
		"too many":          {ID: "x", Draws: many},
		"twice":             {ID: "x", Draws: []store.Draw{from("a", 1), from("a", 2)}},
		"no name":           {ID: "x", Draws: []store.Draw{from("", 1)}},
		"negative":          {ID: "x", Draws: []store.Draw{from("a", -1)}},
		"huge":              {ID: "x", Draws: []store.Draw{from("a", store.MaxAmount+1)}},
		"backwards":         {ID: "x", Draws: []store.Draw{{Counter: shared("a"), Limit: 1, For: -1}}},
		"nobody's for ever": {ID: "x", Draws: []store.Draw{{Counter: shared("a"), Limit: 1}}},
	} {
		_, err := e.st.Draw(e.ctx(), d)
		e.is(err, store.ErrRefused, why)
	}
	e.is(e.st.Settle(e.ctx(), store.Settling{ID: "x"}), store.ErrRefused, "settling nothing")
	e.is(e.st.Settle(e.ctx(), store.Settling{ID: "x", Amounts: []store.Settled{{Counter: shared("a"), Amount: -1}}}), store.ErrRefused, "settling less than nothing")
	e.draw("x", store.Applied, many[:store.MaxDraws]...)
}

// Many draw from the same counters at one moment, in any order: never is more out than fits.
func raceDraws(e *env) {
	const limit = 50
	var given atomic.Int64
	var mu sync.Mutex
	var ids []string
	e.together(func(i int, st store.Store) {
		for n := range 20 {
			draws := []store.Draw{
				{Counter: shared("a"), Amount: 1, Limit: limit, For: time.Hour},
				{Counter: shared(fmt.Sprint("b", i%3)), Amount: 1, Limit: limit, For: time.Hour},
				{Counter: shared("c"), Amount: 2, Limit: 10 * limit, For: time.Hour},
			}
			if n%2 == 1 {
				slices.Reverse(draws)
			}
			id := fmt.Sprint(i, " ", n)
			res, err := st.Draw(e.ctx(), store.Drawing{ID: id, Draws: draws})
			if err != nil {
				e.errorf("draw: %v", err)
				return
			}
			if res.Code == store.Applied {
				given.Add(1)
				mu.Lock()
				ids = append(ids, id)
				mu.Unlock()
			}
		}
	})
	if given.Load() != limit {
		e.failf("%d draws were given of %d", given.Load(), limit)
	}
	e.counts(shared("a"), limit, limit, "after the race")
	e.counts(shared("c"), 2*limit, 2*limit, "after the race")
	e.together(func(i int, st store.Store) {
		for _, id := range ids { // everybody settles all
			if err := st.Settle(e.ctx(), store.Settling{ID: id, Amounts: []store.Settled{{Counter: shared("a"), Amount: 3}, {Counter: shared("c")}}}); err != nil {
				e.errorf("settle: %v", err)
			}
		}
	})
	e.counts(shared("a"), 3*limit, 0, "settled by all")
	e.counts(shared("c"), 0, 0, "settled by all")
}
