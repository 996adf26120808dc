package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// publishTo publishes from a goroutine.
func (e *env) publishTo(st store.Store, p store.Publication) store.Published {
	res, err := st.Publish(e.ctx(), p)
	if err != nil {
		e.errorf("publish: %v", err)
	}
	return res
}

// A publication and the opening of a wait for it, at one moment: it arrives, once.
func racePublish(e *env) {
	const rounds = 40
	var runs [rounds]run
	for i := range runs {
		runs[i] = e.running()
	}
	var got atomic.Int64
	e.together(func(i int, st store.Store) {
		for n := i / 2; n < rounds; n += workers / 2 {
			r, topic := runs[n], fmt.Sprint("t", n)
			if i%2 == 0 {
				got.Add(int64(e.publishTo(st, publication(topic, "p")).Got))
			} else if v := e.try(st, advancing(r.waitFor(r.shared("w", topic)))); v.Code != store.Applied {
				e.errorf("open: verdict %d", v.Code)
			}
		}
	})
	for n, r := range runs {
		e.hasPublished(r.id, fmt.Sprint("t", n), "p")
		if w := e.waits(r.id); len(w) != 0 {
			e.failf("round %d: the wait is open", n)
		}
	}
	e.tb.Logf("%d of %d were there first", got.Load(), rounds)
}

// Many ask at one moment, fewer are kept: each goes to one of them.
func raceTakers(e *env) {
	const each, there = 8, 20
	runs := make([]run, workers*each)
	for i := range runs {
		runs[i] = e.running()
	}
	for i := range there / 2 {
		e.publish(publication("t", fmt.Sprint(i)), store.Applied, 0)
	}
	e.together(func(i int, st store.Store) {
		for n := range each {
			r := runs[i*each+n]
			if v := e.try(st, advancing(r.waitFor(r.shared("w", "t")))); v.Code != store.Applied {
				e.errorf("open: verdict %d", v.Code)
			}
		}
	})
	have := map[string]int{}
	for _, r := range runs {
		rec := e.load(r.id)
		for _, m := range rec.Messages {
			have[string(m.Payload)]++
		}
		if open := len(e.waits(r.id)); len(rec.Messages)+open != 1 || (rec.Status == store.Waiting) != (open == 1) {
			e.failf("%d messages, %d waits: %s", len(rec.Messages), open, describe(rec.Execution))
		}
	}
	for payload, n := range have {
		if n != 1 {
			e.failf("%d got %q", n, payload)
		}
	}
	if len(have) != there/2 {
		e.failf("%d of %d arrived", len(have), there/2)
	}
}

func raceRepublish(e *env) {
	var tally tally
	r := e.listening("t")
	e.together(func(_ int, st store.Store) {
		for range 13 { // 104 in all
			tally.add(e.publishTo(st, publication("t", "p")).Code)
			tally.add(e.publishTo(st, publication("u", "p")).Code)
		}
	})
	if tally.of[store.Applied] != 2 {
		e.failf("%d were applied, want one for each topic", tally.of[store.Applied])
	}
	e.hasPublished(r.id, "t", "p")
	e.hasPublished(e.listening("u").id, "u", "p")
	e.hasPublished(e.listening("u").id, "u")
}

// Owners that take and wait anew, senders and publishers at once: nothing is lost.
func racePublishAndSend(e *env) {
	const rounds = 30
	var mu sync.Mutex
	seen := map[string]int{}
	var sent, published atomic.Int64
	id := e.listening("t").id
	var over atomic.Bool
	take := func(st store.Store, rec store.Record, who uuid.UUID) {
		var taken []string
		r := run{id: id, owner: who, epoch: rec.Epoch, base: rec.Length}
		a := r.waitFor(r.shared(fmt.Sprint("w", rec.Length), "t"))
		for _, m := range rec.Messages {
			a.Took, taken = append(a.Took, m.Seq), append(taken, string(m.Payload))
		}
		for _, w := range e.openOf(st, id) {
			a.Shut = append(a.Shut, w.ID)
		}
		a.Seen = rec.Inbox
		v := e.try(st, advancing(a))
		if v.Code == store.Unseen { // then by a later claim
			a = r.park(store.Pending)
			v = e.try(st, advancing(a))
			taken = nil
		}
		if v.Code != store.Applied {
			e.errorf("take: verdict %d", v.Code)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, p := range taken {
			seen[p]++
		}
	}
	e.together(func(i int, st store.Store) {
		switch {
		case i == 0:
			defer over.Store(true)
			who := e.leaseOn(st)
			for idle := 0; idle < 3; {
				c, err := st.Claim(e.ctx(), usual(who))
				if err != nil {
					e.errorf("claim: %v", err)
					return
				}
				idle++
				if len(c.Records) > 0 {
					idle = 0
					take(st, c.Records[0], who)
				} else if sent.Load()+published.Load() < (workers-1)*rounds {
					idle = 0
				}
			}
		case i%2 == 0:
			for n := range rounds {
				e.try(st, delivering(send(id, "t", fmt.Sprint("m", i, n))))
				sent.Add(1)
			}
		default:
			for n := range rounds {
				e.publishTo(st, publication("t", fmt.Sprint("p", i, n)))
				published.Add(1)
			}
		}
	})
	for _, m := range e.load(id).Messages {
		seen[string(m.Payload)]++
	}
	for { // what is still kept
		m := e.load(e.listening("t").id).Messages
		if len(m) == 0 {
			break
		}
		seen[string(m[0].Payload)]++
	}
	for p, n := range seen {
		if n != 1 {
			e.failf("%q arrived %d times", p, n)
		}
	}
	if len(seen) != (workers-1)*rounds {
		e.failf("%d of %d arrived", len(seen), (workers-1)*rounds)
	}
}

// leaseOn is a lease made from a goroutine.
func (e *env) leaseOn(st store.Store) store.Incarnation {
	who := uuid.New()
	if _, err := st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
		e.errorf("create a lease: %v", err)
	}
	return who
}

// openOf lists open waits from a goroutine.
func (e *env) openOf(st store.Store, id store.ID) []store.Wait {
	p, err := st.Waits(e.ctx(), store.WaitFilter{Execution: id, Limit: 1000})
	if err != nil {
		e.errorf("list waits: %v", err)
	}
	return p.Waits
}
