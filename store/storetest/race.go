package storetest

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func raceClauses() []clause {
	return []clause{
		{"race/claims never share an execution", "G7, QU-1", raceClaims},
		{"race/one start per key", "G1, ST-7", raceKey},
		{"race/one message per dedupe", "G9, EV-4", raceDedupe},
		{"race/one answer per wait", "G9, IN-4", raceAnswer},
		{"race/one write per base", "G3, G7", raceBase},
		{"race/nothing of an old epoch lands after Expire", "G7, QU-5", raceExpire},
		{"race/cancel against completion", "G15, CN-2", raceCancel},
		{"race/no wake is lost", "G9, EV-8", raceWake},
		{"race/holds never exceed the limit", "G18", raceHolds},
	}
}

// workers is how many goroutines a race has.
const workers = 8

// together runs body in several goroutines that start at once, each with a
// handle of its own, and waits for all.
func (e *env) together(body func(i int, st store.Store)) {
	e.tb.Helper()
	var ready, done sync.WaitGroup
	ready.Add(workers)
	for i := range workers {
		st := e.open()
		done.Go(func() {
			ready.Done()
			ready.Wait()
			body(i, st)
		})
	}
	done.Wait()
}

// try commits one write from a goroutine; a failed call is an error of the
// clause and has no verdict.
func (e *env) try(st store.Store, w store.Write) store.Verdict {
	for range busyTries {
		r, err := st.Commit(e.ctx(), []store.Write{w})
		if err != nil || len(r.Verdicts) != 1 {
			e.errorf("commit: %d verdicts, %v", len(r.Verdicts), err)
			return store.Verdict{}
		}
		if r.Verdicts[0].Code != store.Busy {
			return r.Verdicts[0]
		}
		runtime.Gosched()
	}
	e.errorf("commit: Busy %d times, though nobody holds an execution for long", busyTries)
	return store.Verdict{}
}

// busyTries is how often a write may be Busy while several change one
// execution as fast as they can.
const busyTries = 10_000

// tally counts verdicts of several goroutines.
type tally struct {
	mu sync.Mutex
	of map[store.Code]int
}

func (t *tally) add(c store.Code) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[store.Code]int{}
	}
	t.of[c]++
}

func raceClaims(e *env) {
	const runs = 200
	e.begun(runs)
	var mu sync.Mutex
	owner := map[store.ID]int{}
	e.together(func(i int, st store.Store) {
		who := uuid.New()
		if _, err := st.Renew(e.ctx(), store.Lease{Who: who, Duration: time.Hour, New: true}); err != nil {
			e.errorf("create a lease: %v", err)
			return
		}
		req := usual(who)
		req.Queues[queue] = 7
		for {
			c, err := st.Claim(e.ctx(), req)
			if err != nil {
				e.errorf("claim: %v", err)
				return
			}
			if len(c.Records) == 0 {
				return
			}
			mu.Lock()
			for _, rec := range c.Records {
				if first, taken := owner[rec.ID]; taken {
					e.errorf("workers %d and %d both claimed %s", first, i, rec.ID)
				}
				owner[rec.ID] = i
				if rec.Epoch != 1 || rec.Owner != who {
					e.errorf("claimed with epoch %d", rec.Epoch)
				}
			}
			mu.Unlock()
		}
	})
	if len(owner) != runs {
		e.failf("%d of %d were claimed", len(owner), runs)
	}
}

func raceKey(e *env) {
	var got tally
	var mu sync.Mutex
	seen := map[store.ID]bool{}
	e.together(func(_ int, st store.Store) {
		b := start()
		b.Key = "k"
		v := e.try(st, beginning(b))
		got.add(v.Code)
		id := b.ID
		if v.Code == store.Exists {
			id = v.ID
		}
		mu.Lock()
		defer mu.Unlock()
		seen[id] = true
	})
	if got.of[store.Applied] != 1 || got.of[store.Exists] != workers-1 || len(seen) != 1 {
		e.failf("%d starts with one key: %v and %d ids", workers, got.of, len(seen))
	}
}

func raceDedupe(e *env) {
	id := e.pending()
	var got tally
	e.together(func(_ int, st store.Store) {
		for range 5 {
			got.add(e.try(st, delivering(send(id, "t", "m1"))).Code)
		}
	})
	if rec := e.load(id); got.of[store.Applied] != 1 || rec.Inbox != 1 || len(rec.Messages) != 1 {
		e.failf("one message sent %d times: %v, inbox %d", 5*workers, got.of, rec.Inbox)
	}
}

func raceAnswer(e *env) {
	r := e.waiting("")
	var got tally
	e.together(func(i int, st store.Store) {
		d := send(r.id, "", fmt.Sprint("answer ", i))
		d.Wait = r.wait("w", "").ID
		got.add(e.try(st, delivering(d)).Code)
	})
	if rec := e.load(r.id); got.of[store.Applied] != 1 || got.of[store.NoSuchWait] != workers-1 || rec.Inbox != 1 {
		e.failf("%d answers to one wait: %v, inbox %d", workers, got.of, rec.Inbox)
	}
}

func raceBase(e *env) {
	r := e.running()
	const rows = 10
	var got tally
	e.together(func(i int, st store.Store) {
		mine := r
		for range rows {
			got.add(e.try(st, advancing(mine.next(fmt.Sprint("by ", i%2)))).Code)
			mine.base++
		}
	})
	// Half of them write the same row, so to them it has landed.
	rec := e.whole(r.id)
	if rec.Length != 1+rows || len(rec.Rows) != 1+rows || got.of[store.Applied] != rows ||
		got.of[store.Landed] != rows*(workers/2-1) || got.of[store.Superseded] != rows*workers/2 {
		e.failf("%d rows written by %d at once: %v, length %d", rows, workers, got.of, rec.Length)
	}
}

// Writers stop after some rows by themselves: a store may serve them before
// the Expire, as long as none is served after it. In every other round all use
// one handle, where a store can be fairer.
func raceExpire(e *env) {
	const rounds, rows = 6, 25
	for round := range rounds {
		r := e.running()
		e.lapse(r.owner)
		var applied atomic.Int64
		var length int // as seen once Expire had returned
		e.together(func(i int, st store.Store) {
			if round%2 == 1 {
				st = e.st
			}
			if i == 0 {
				if _, err := st.Expire(e.ctx()); err != nil {
					e.errorf("expire: %v", err)
				}
				rec, err := st.Load(e.ctx(), r.id, true)
				if err != nil {
					e.errorf("load: %v", err)
				}
				length = rec.Length
				return
			}
			mine := r
			for range rows {
				v := e.try(st, advancing(mine.next(fmt.Sprint("by ", i))))
				if v.Code == store.Applied {
					applied.Add(1)
				} else if v.Code != store.Landed {
					return
				}
				mine.base++
			}
		})
		rec := e.whole(r.id)
		if rec.Length != length || rec.Length != 1+int(applied.Load()) || rec.Epoch != r.epoch+1 || rec.Status != store.Pending {
			e.failf("%d rows when Expire had returned, %d writes were applied, and now: %s", length, applied.Load(), describe(rec.Execution))
		}
	}
}

func raceCancel(e *env) {
	for range 5 {
		r := e.running()
		var got tally
		e.together(func(i int, st store.Store) {
			if i%2 == 0 {
				got.add(e.try(st, controlling(cancel(r.id))).Code)
				return
			}
			a := r.park(store.Completed)
			a.Row = fmt.Append(nil, "completed by ", i)
			got.add(e.try(st, advancing(a)).Code)
		})
		rec := e.whole(r.id)
		if got.of[store.Applied] != 1 || rec.Length != 2 || !rec.Status.Ended() {
			e.failf("cancel against completion: %v, %s", got.of, describe(rec.Execution))
		}
		if cancelled := string(rec.Rows[1].Body) == "cancelled by an operator"; cancelled != (rec.Status == store.Cancelled) {
			e.failf("the row says %q, the status %s", rec.Rows[1].Body, rec.Status)
		}
	}
}

func raceWake(e *env) {
	for range 5 {
		r := e.running()
		e.together(func(i int, st store.Store) {
			if i > 0 {
				e.try(st, delivering(send(r.id, "t", fmt.Sprint(i))))
				return
			}
			for seen := int64(0); ; {
				a := r.waitFor(r.wait("w", "t"))
				a.Seen = seen
				v := e.try(st, advancing(a))
				if v.Code != store.Unseen {
					return
				}
				if v.Inbox <= seen {
					e.errorf("Unseen says %d messages to a writer that knows of %d", v.Inbox, seen)
					return
				}
				if seen = v.Inbox; seen == workers-1 {
					return // all have come: the owner would go on, not wait
				}
			}
		})
		rec := e.load(r.id)
		if rec.Inbox != workers-1 {
			e.failf("%d of %d messages were accepted", rec.Inbox, workers-1)
		}
		if rec.Status == store.Waiting {
			e.failf("it parked while it knew of fewer than the %d messages there are, and sleeps: %s", rec.Inbox, describe(rec.Execution))
		}
	}
}

func raceHolds(e *env) {
	runs := make([]run, workers)
	for i := range runs {
		runs[i] = e.running()
	}
	holds := make([]store.Advance, workers)
	for i, r := range runs {
		holds[i] = e.holding(r, "gpu", 1)
	}
	var got tally
	e.together(func(i int, st store.Store) { got.add(e.try(st, advancing(holds[i])).Code) })
	if got.of[store.Applied] != 3 || got.of[store.Full] != workers-3 {
		e.failf("%d took 1 of 3 at once: %v", workers, got.of)
	}
}
