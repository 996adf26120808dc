package run

import (
	"errors"
	"slices"
	"time"

	"github.com/durable-go/durable/store"
)

// Limits of one batch: enough to pay for a flush many times over, and small
// enough that a flush stays short.
const (
	maxBatchWrites = 512
	maxBatchBytes  = 4 << 20
	maxRetryPause  = time.Second
	// What is Busy is asked again after pauses that double, up to these.
	minBusyPause = 2 * time.Millisecond
	maxBusyPause = 256 * time.Millisecond
)

// How long a batch may take before its outcome is taken for unknown: longer
// after each failure, so that a slow database is not asked for ever what it
// cannot do in time. A further batch does not wait for a slow one to be as large.
const (
	minPatience = 10 * time.Second
	maxPatience = time.Minute
	slowBatch   = time.Second
)

// Item is a write on its way to the store.
type Item struct {
	Write store.Write
	Ref   any       // given back with the verdict
	left  bool      // it has been on its way to the store
	again time.Time // it was Busy, and is asked again then
	busy  int       // so many times in a row
}

// Settled is an item with its verdict. Err is set if the database refuses the
// write for ever.
type Settled struct {
	Item
	Verdict  store.Verdict
	Err      error
	Asked    time.Time // when the batch left
	StoreNow time.Time
}

// Batch is some writes that are sent together.
type Batch struct {
	Writes []store.Write
	items  []Item
	asked  time.Time
}

// Committer is the machine that gathers writes into batches: group commit. It
// takes whatever has gathered, with no timer and no delay when idle. A batch
// whose outcome is unknown is sent again: writes are idempotent, so asking again
// is how one finds out. A batch that the database refuses is sent again write by
// write, so that only the culprit suffers. One that is Busy is asked again soon,
// and its neighbours go on.
//
// While one batch is on its way the next one gathers. A store that does several
// at once gets a second one meanwhile, if it is worth it; an execution has only
// one write that is not a Deliver on its way at any time.
//
// It is not safe for concurrent use.
type Committer struct {
	Width    int // batches on their way at once; 0 is 1
	queue    []Item
	resting  []Item // were Busy, in the order in which they are asked again
	flights  map[*Batch]bool
	busy     map[store.ID]bool // what has a write on its way that must be the only one
	alone    int               // so many of the next items go one by one
	failures int
	retryAt  time.Time
	counts   Counts
}

// Add queues a write.
func (c *Committer) Add(it Item) { c.queue = append(c.queue, it) }

// Idle tells whether nothing is queued or in flight.
func (c *Committer) Idle() bool {
	return len(c.queue) == 0 && len(c.flights) == 0 && len(c.resting) == 0
}

// Failing tells whether the last batch failed.
func (c *Committer) Failing() bool { return c.failures > 0 }

// Patience is how long a batch that leaves now may take.
func (c *Committer) Patience() time.Duration {
	return min(minPatience<<min(c.failures, 3), maxPatience)
}

// RetryAt is when Next should be asked again, later than now: after a failure,
// for what was Busy, or beside a batch that is slow; zero: when something is
// added or settled.
func (c *Committer) RetryAt(now time.Time) time.Time {
	at := c.retryAt
	if len(c.resting) > 0 && c.resting[0].again.After(at) {
		at = c.resting[0].again
	}
	if at.IsZero() && len(c.queue) > 0 && len(c.flights) < max(c.Width, 1) {
		for b := range c.flights {
			if slow := b.asked.Add(slowBatch); slow.After(at) {
				at = slow
			}
		}
	}
	if !at.After(now) { // Next has been asked since
		return time.Time{}
	}
	return at
}

// wake queues what has rested.
func (c *Committer) wake(now time.Time) {
	n := 0
	for n < len(c.resting) && !now.Before(c.resting[n].again) {
		n++
	}
	c.queue = append(c.queue, c.resting[:n]...)
	c.resting = c.resting[n:]
}

// rest puts a Busy item aside for a moment.
func (c *Committer) rest(it Item, now time.Time) {
	it.again = now.Add(min(minBusyPause<<min(it.busy, 10), maxBusyPause))
	it.busy++
	i := len(c.resting)
	for i > 0 && it.again.Before(c.resting[i-1].again) {
		i--
	}
	c.resting = slices.Insert(c.resting, i, it)
}

// mayLeave tells whether a batch should leave now. A further one has to be as
// large as those that are on their way: else it had better gather.
func (c *Committer) mayLeave(now time.Time) bool {
	if len(c.queue) == 0 || now.Before(c.retryAt) || len(c.flights) >= max(c.Width, 1) {
		return false
	}
	if c.failures > 0 || c.alone > 0 {
		return len(c.flights) == 0
	}
	for b := range c.flights {
		if len(c.queue) < len(b.items) && now.Before(b.asked.Add(slowBatch)) {
			return false
		}
	}
	return true
}

// Next returns the next batch; nil if none should leave now.
func (c *Committer) Next(now time.Time) *Batch {
	c.wake(now)
	if !c.mayLeave(now) {
		return nil
	}
	limit := maxBatchWrites
	if c.alone > 0 {
		limit = 1
	}
	if c.flights == nil {
		c.flights, c.busy = make(map[*Batch]bool), make(map[store.ID]bool)
	}
	b := &Batch{asked: now}
	var (
		rest  []Item
		bytes int
	)
	for i, it := range c.queue {
		id, only := target(&it.Write)
		if len(b.items) == limit || bytes > maxBatchBytes {
			rest = append(rest, c.queue[i:]...)
			break
		}
		if only && c.taken(&it.Write, id) {
			rest = append(rest, it)
			continue
		}
		if only {
			c.take(&it.Write, id, true)
		}
		bytes += size(&it.Write)
		it.left = true
		b.items = append(b.items, it)
		b.Writes = append(b.Writes, it.Write)
	}
	c.queue = rest
	if len(b.items) == 0 {
		return nil
	}
	if c.alone > 0 {
		c.alone--
	}
	c.flights[b] = true
	c.counts.Batches++
	c.counts.Writes += int64(len(b.items))
	return b
}

// Done takes the answer to a batch and returns what is settled.
func (c *Committer) Done(b *Batch, res store.Result, err error, now time.Time) []Settled {
	delete(c.flights, b)
	for i := range b.items {
		if id, only := target(&b.items[i].Write); only {
			c.take(&b.items[i].Write, id, false)
		}
	}
	if err != nil {
		return c.failed(b, err, now)
	}
	c.failures, c.retryAt = 0, time.Time{}
	out := make([]Settled, 0, len(b.items))
	for i, it := range b.items {
		c.counts.verdict(res.Verdicts[i].Code)
		if res.Verdicts[i].Code == store.Busy {
			c.rest(it, now)
			continue
		}
		out = append(out, Settled{Item: it, Verdict: res.Verdicts[i], Asked: b.asked, StoreNow: res.Now})
	}
	return out
}

func (c *Committer) failed(b *Batch, err error, now time.Time) []Settled {
	if errors.Is(err, store.ErrRefused) {
		if len(b.items) == 1 {
			c.counts.Refused++
			return []Settled{{Item: b.items[0], Err: err, Asked: b.asked}}
		}
		c.alone += len(b.items)
		c.queue = append(b.items, c.queue...)
		return nil
	}
	c.failures++
	c.counts.Failed++
	c.retryAt = now.Add(min(20*time.Millisecond<<min(c.failures, 10), maxRetryPause))
	c.queue = append(b.items, c.queue...)
	return nil
}

// Forget takes queued writes out that nobody waits for any more. Those that
// have ever left stay, since they may have landed: only their verdict tells.
func (c *Committer) Forget(drop func(Item) bool) {
	kept := c.queue[:0]
	for _, it := range c.queue {
		if it.left || !drop(it) {
			kept = append(kept, it)
		}
	}
	clear(c.queue[len(kept):])
	c.queue = kept
}

// target is the execution that a write changes, and whether a batch may hold
// only one such write of it.
func target(w *store.Write) (id store.ID, only bool) {
	switch {
	case w.Begin != nil:
		return w.Begin.ID, true
	case w.Advance != nil:
		return w.Advance.ID, true
	case w.Control != nil:
		return w.Control.ID, true
	}
	return w.Deliver.ID, false
}

// taken tells whether an execution that a write changes, or begins beside, has
// another write on its way: a child can be at work before its parent knows that the
// write which began it has landed.
func (c *Committer) taken(w *store.Write, id store.ID) bool {
	if c.busy[id] {
		return true
	}
	if w.Advance == nil {
		return false
	}
	return slices.ContainsFunc(w.Advance.Children, func(b store.Begin) bool { return c.busy[b.ID] })
}

// take notes whether what a write changes has one on its way.
func (c *Committer) take(w *store.Write, id store.ID, busy bool) {
	note := func(id store.ID) {
		if busy {
			c.busy[id] = true
		} else {
			delete(c.busy, id)
		}
	}
	note(id)
	if w.Advance != nil {
		for i := range w.Advance.Children {
			note(w.Advance.Children[i].ID)
		}
	}
}

func size(w *store.Write) int {
	const overhead = 128
	switch {
	case w.Begin != nil:
		n := overhead + len(w.Begin.Row) + len(w.Begin.Snapshot)
		for _, b := range w.Begin.Blobs {
			n += len(b)
		}
		return n
	case w.Advance != nil:
		n := overhead + len(w.Advance.Row) + len(w.Advance.Snapshot)
		for _, b := range w.Advance.Blobs {
			n += len(b)
		}
		for i := range w.Advance.Children {
			n += overhead + len(w.Advance.Children[i].Row)
		}
		for i := range w.Advance.Chunks {
			n += len(w.Advance.Chunks[i].Text)
		}
		for i := range w.Advance.Logs {
			n += len(w.Advance.Logs[i].Text) + len(w.Advance.Logs[i].Attrs)
		}
		return n
	case w.Deliver != nil:
		return overhead + len(w.Deliver.Payload)
	}
	return overhead + len(w.Control.Row)
}
