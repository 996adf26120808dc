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

// traffic is one run that takes and waits anew, while others send and publish to it.
type traffic struct {
	*env
	id    store.ID
	mu    sync.Mutex
	seen  map[string]int // how often each message arrived
	given atomic.Int64   // sent or published
}

const perSender = 30

// Owners that take and wait anew, senders and publishers at once: nothing is lost.
func racePublishAndSend(e *env) {
	t := &traffic{env: e, id: e.listening("t").id, seen: map[string]int{}}
	e.together(func(i int, st store.Store) {
		switch {
		case i == 0:
			t.own(st)
		case i%2 == 0:
			for n := range perSender {
				e.try(st, delivering(send(t.id, "t", fmt.Sprint("m", i, n))))
				t.given.Add(1)
			}
		default:
			for n := range perSender {
				e.publishTo(st, publication("t", fmt.Sprint("p", i, n)))
				t.given.Add(1)
			}
		}
	})
	t.arrived(e.load(t.id).Messages)
	for { // what is still kept
		kept := e.load(e.listening("t").id).Messages
		if len(kept) == 0 {
			break
		}
		t.arrived(kept[:1])
	}
	for p, n := range t.seen {
		if n != 1 {
			e.failf("%q arrived %d times", p, n)
		}
	}
	if len(t.seen) != (workers-1)*perSender {
		e.failf("%d of %d arrived", len(t.seen), (workers-1)*perSender)
	}
}

// own claims the run and takes what is there, until nothing more is to come.
func (t *traffic) own(st store.Store) {
	who := t.leaseOn(st)
	for idle := 0; idle < 3; {
		c, err := st.Claim(t.ctx(), usual(who))
		if err != nil {
			t.errorf("claim: %v", err)
			return
		}
		idle++
		if len(c.Records) > 0 {
			idle = 0
			t.take(st, c.Records[0], who)
		} else if t.given.Load() < (workers-1)*perSender {
			idle = 0
		}
	}
}

// take takes all messages and waits anew, or leaves them to a later claim.
func (t *traffic) take(st store.Store, rec store.Record, who uuid.UUID) {
	taken := rec.Messages
	r := run{id: t.id, owner: who, epoch: rec.Epoch, base: rec.Length}
	a := r.waitFor(r.shared(fmt.Sprint("w", rec.Length), "t"))
	for _, m := range taken {
		a.Took = append(a.Took, m.Seq)
	}
	for _, w := range t.openOf(st, t.id) {
		a.Shut = append(a.Shut, w.ID)
	}
	a.Seen = rec.Inbox
	v := t.try(st, advancing(a))
	if v.Code == store.Unseen {
		v, taken = t.try(st, advancing(r.park(store.Pending))), nil
	}
	if v.Code != store.Applied {
		t.errorf("take: verdict %d", v.Code)
	}
	t.arrived(taken)
}

func (t *traffic) arrived(messages []store.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range messages {
		t.seen[string(m.Payload)]++
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
