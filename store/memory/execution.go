package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// execution is everything that belongs to one execution alone and changes with
// it. It is never changed in place: a batch changes a copy (see tx.edit), so
// slices may only grow at their end or be replaced.
type execution struct {
	store.Execution
	inputHash   []byte
	rows        []store.Row
	snapshot    []byte
	snapshotSeq int
	messages    []message    // untaken, by Seq
	waits       []store.Wait // open, in the order in which they were opened
	holds       []store.Hold // one per name
	stallLength int          // Length when an expiry was last counted
}

// message is an untaken one.
type message struct {
	store.Message
	kin bool // it is of a parent or a child
}

// key is what Begin.Key is unique in.
type key struct{ workflow, key string }

// claimable tells whether a claim takes the execution once it is due.
func (x *execution) claimable() bool {
	switch x.Status {
	case store.Pending, store.Waiting, store.Compensating:
		return x.Owner == uuid.Nil && !x.Due.IsZero()
	}
	return false
}

// append adds a journal row.
func (x *execution) append(now time.Time, row []byte) {
	x.Length++
	x.rows = append(x.rows, store.Row{Seq: x.Length, Epoch: x.Epoch, At: now, Body: bytes.Clone(row)})
}

// release ends an ownership and moves the execution to where r says. The error
// is about a release that the contract forbids.
func (x *execution) release(now time.Time, r store.Release) error {
	if !r.Status.Valid() || !store.Legal(x.Status, r.Status) || r.Status == store.Running {
		return fmt.Errorf("memory: execution %s cannot go from %s to %q: %w", x.ID, x.Status, r.Status, store.ErrRefused)
	}
	if r.Status == store.Waiting && len(x.waits) == 0 {
		return fmt.Errorf("memory: execution %s would wait without a wait: %w", x.ID, store.ErrRefused)
	}
	blocked := x.Blocked
	x.park(now, r.Status, r.Due)
	if r.Queue != "" {
		x.Queue = r.Queue
	}
	if r.Status.Ended() {
		x.Ended, x.waits = now, nil
	}
	if r.Status.Ended() || r.Status == store.Blocked {
		x.ErrorCode, x.Error = r.ErrorCode, bytes.Clone(r.Error)
	}
	if r.Status == store.Blocked {
		x.Blocked = store.AddBlocked(blocked, r.Blocked)
	}
	return nil
}

// park makes the execution nobody's, in a status that nobody needs to explain.
// A zero due is now where the status must be due some time.
func (x *execution) park(now time.Time, s store.Status, due time.Time) {
	switch {
	case s.Ended() || s == store.Blocked:
		due = time.Time{}
	case s != store.Waiting && due.IsZero():
		due = now
	}
	x.Status, x.Due, x.Changed, x.Owner, x.holds = s, due.Round(0), now, uuid.Nil, nil
	x.Ended, x.ErrorCode, x.Error, x.Blocked = time.Time{}, "", nil, nil
}

// expire takes the execution from a worker that is gone.
func (x *execution) expire(now time.Time, count bool) {
	status := store.Pending
	if x.Status == store.Compensating {
		status = store.Compensating
	}
	x.park(now, status, now)
	x.Epoch++
	if !count {
		return
	}
	if x.Stalls > 0 && x.stallLength == x.Length {
		x.Stalls++
	} else {
		x.Stalls = 1
	}
	x.stallLength = x.Length
}

// header is the execution's header row as callers may keep it.
func (x *execution) header() store.Execution {
	h := x.Execution
	h.Tags, h.Error, h.Blocked = slices.Clone(h.Tags), bytes.Clone(h.Error), slices.Clone(h.Blocked)
	if x.stallLength != x.Length {
		h.Stalls = 0
	}
	return h
}

// record is the execution as Load and Claim return it.
func (x *execution) record(now time.Time, whole bool) store.Record {
	r := store.Record{Execution: x.header(), Now: now}
	if !whole {
		r.Snapshot, r.SnapshotSeq = bytes.Clone(x.snapshot), x.snapshotSeq
	}
	for _, row := range x.rows[r.SnapshotSeq:] {
		row.Body = bytes.Clone(row.Body)
		r.Rows = append(r.Rows, row)
	}
	for _, m := range x.messages {
		m.Payload = bytes.Clone(m.Payload)
		r.Messages = append(r.Messages, m.Message)
	}
	return r
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	now, err := s.enter(ctx)
	if err != nil {
		return store.Record{}, err
	}
	defer s.leave()
	x := s.data.executions[id]
	if x == nil {
		return store.Record{}, fmt.Errorf("memory: execution %s: %w", id, store.ErrNotFound)
	}
	return x.record(now, whole), nil
}
