package run

import (
	"errors"
	"time"

	"github.com/durable-go/durable/store"
)

// Limits of one batch: enough to pay for a flush many times over, and small
// enough that a flush stays short.
const (
	maxBatchWrites = 512
	maxBatchBytes  = 4 << 20
	maxRetryPause  = 2 * time.Second
)

// Item is a write on its way to the store.
type Item struct {
	Write store.Write
	Ref   any  // given back with the verdict
	left  bool // it has been on its way to the store
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

// Committer is the machine that gathers writes into batches: group commit. It
// takes whatever has gathered, one batch at a time, with no timer and no delay
// when idle. A batch whose outcome is unknown is sent again: writes are
// idempotent, so asking again is how one finds out. A batch that the database
// refuses is sent again write by write, so that only the culprit suffers.
//
// It is not safe for concurrent use.
type Committer struct {
	queue    []Item
	sending  []Item
	asked    time.Time
	alone    int // so many of the next items go one by one
	failures int
	retryAt  time.Time
}

// Add queues a write.
func (c *Committer) Add(it Item) { c.queue = append(c.queue, it) }

// Idle tells whether nothing is queued or in flight.
func (c *Committer) Idle() bool { return len(c.queue) == 0 && len(c.sending) == 0 }

// Failing tells whether the last batch failed.
func (c *Committer) Failing() bool { return c.failures > 0 }

// RetryAt is when Next will give a batch after a failure; zero: at once.
func (c *Committer) RetryAt() time.Time { return c.retryAt }

// Next returns the next batch, nil if one is in flight, nothing is queued or
// the pause after a failure is not over.
func (c *Committer) Next(now time.Time) []store.Write {
	if len(c.sending) > 0 || len(c.queue) == 0 || now.Before(c.retryAt) {
		return nil
	}
	limit := maxBatchWrites
	if c.alone > 0 {
		limit = 1
		c.alone--
	}
	var (
		writes []store.Write
		rest   []Item
		bytes  int
		seen   = make(map[store.ID]bool, min(len(c.queue), limit))
	)
	for i, it := range c.queue {
		id, only := target(&it.Write)
		if len(writes) == limit || bytes > maxBatchBytes {
			rest = append(rest, c.queue[i:]...)
			break
		}
		if only && seen[id] { // at most one such write per execution and batch
			rest = append(rest, it)
			continue
		}
		seen[id] = true
		bytes += size(&it.Write)
		it.left = true
		c.sending = append(c.sending, it)
		writes = append(writes, it.Write)
	}
	c.queue, c.asked = rest, now
	return writes
}

// Done takes the answer to the batch in flight and returns what is settled.
func (c *Committer) Done(res store.Result, err error, now time.Time) []Settled {
	sent := c.sending
	c.sending = nil
	if err != nil {
		return c.failed(sent, err, now)
	}
	c.failures, c.retryAt = 0, time.Time{}
	out := make([]Settled, len(sent))
	for i, it := range sent {
		out[i] = Settled{Item: it, Verdict: res.Verdicts[i], Asked: c.asked, StoreNow: res.Now}
	}
	return out
}

func (c *Committer) failed(sent []Item, err error, now time.Time) []Settled {
	if errors.Is(err, store.ErrRefused) {
		if len(sent) == 1 {
			return []Settled{{Item: sent[0], Err: err, Asked: c.asked}}
		}
		c.alone = len(sent)
		c.queue = append(sent, c.queue...)
		return nil
	}
	c.failures++
	c.retryAt = now.Add(min(20*time.Millisecond<<min(c.failures, 10), maxRetryPause))
	c.queue = append(sent, c.queue...)
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

func size(w *store.Write) int {
	const overhead = 128
	switch {
	case w.Begin != nil:
		return overhead + len(w.Begin.Row)
	case w.Advance != nil:
		n := overhead + len(w.Advance.Row) + len(w.Advance.Snapshot)
		for _, b := range w.Advance.Blobs {
			n += len(b)
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
