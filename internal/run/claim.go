package run

import (
	"errors"
	"time"

	"github.com/durable-go/durable/store"
)

// claim asks for due executions, one claim at a time, for all queues at once.
func (w *Worker) claim(now time.Time) {
	if !w.claimed.IsZero() || len(w.claims) == 0 {
		return
	}
	var req store.ClaimRequest
	for _, q := range w.queues {
		if q.wants(now, w.lease.asked) {
			if req.Queues == nil {
				req = store.ClaimRequest{Owner: w.lease.who, Definitions: w.claims, Queues: make(map[string]int)}
			}
			q.reserved = q.free()
			if q.empty { // probably for nothing: leave room for what begins here meanwhile
				q.reserved = max(1, q.reserved/2)
			}
			q.used += q.reserved
			q.wake, q.sure = false, false
			q.next = now.Add(q.poll) // what happens while the claim is under way may say sooner
			req.Queues[q.name] = q.reserved
			if q.limited() {
				if req.Needs == nil {
					req.Needs = make(map[string][]store.Hold)
				}
				req.Needs[q.name] = q.needs()
			}
		}
	}
	if req.Queues != nil {
		w.claimed = now
		w.counts.Claims++
		w.do.Claim(req)
	}
}

// Claimed takes the answer to a claim of owner.
func (w *Worker) Claimed(owner store.Incarnation, c store.Claimed, err error, now time.Time) {
	asked := w.claimed
	w.claimed = time.Time{}
	for _, q := range w.queues {
		if q.reserved == 0 {
			continue
		}
		q.used -= q.reserved
		q.reserved = 0
		if err != nil {
			q.wake = true
			continue
		}
		q.owed = false
		q.empty = !c.More[q.name] && !q.sure
		q.wake = q.wake || c.More[q.name]
	}
	if err != nil {
		w.claimFailed(owner, err, now)
		return
	}
	w.misses = 0
	w.setClock(asked, now, c.Now)
	if !c.NextDue.IsZero() {
		for _, q := range w.queues {
			q.soon(w.clock.local(c.NextDue))
		}
	}
	w.told(c.Paused, asked)
	w.counts.Claimed += int64(len(c.Records))
	if owner == w.lease.who {
		for i := range c.Records {
			// What was claimed of a limited queue may begin elsewhere: ask again.
			if q := w.queue(c.Records[i].Queue); q != nil && q.limited() {
				q.wake = true
			}
			w.adopt(&c.Records[i], now)
		}
	}
	w.pump(now)
}

// queueNames is the queues to look into along with a renewal: those that a
// claim would ask for.
func (w *Worker) queueNames() (names []string) {
	if w.stopping || len(w.claims) == 0 {
		return nil
	}
	for _, q := range w.queues {
		q.told = false
		names = append(names, q.name)
	}
	return names
}

// glanced counts a renewal that saw nothing to claim as a look into all queues.
// What it cannot tell about, the next claim finds at its time.
func (w *Worker) glanced(asked time.Time, n *store.Renewal) {
	if n.Blocked || !n.NextDue.IsZero() && !n.NextDue.After(n.Now) || !w.claimed.IsZero() {
		return
	}
	var due time.Time
	if !n.NextDue.IsZero() {
		due = w.clock.local(n.NextDue)
	}
	for _, q := range w.queues {
		q.quiet(asked, due)
	}
}

// claimFailed waits longer after each failure, so that a store that is away is
// not asked in a hot loop.
func (w *Worker) claimFailed(owner store.Incarnation, err error, now time.Time) {
	if owner == w.lease.who && errors.Is(err, store.ErrLeaseLost) {
		w.loseLease(now)
	}
	w.misses++
	w.counts.ClaimsFailed++
	pause := min(50*time.Millisecond<<min(w.misses, 6), maxRetryPause)
	for _, q := range w.queues {
		if q.wake {
			q.wake = false
			q.next = now.Add(pause)
		}
	}
	if w.misses == 1 {
		w.do.Note("claiming failed; trying again", store.ID{}, err)
	}
	w.pump(now)
}
