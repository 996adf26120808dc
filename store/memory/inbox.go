package memory

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// dedupe is what Deliver.Dedupe is unique in.
type dedupe struct {
	id  store.ID
	key string
}

func (t *tx) applyDeliver(d *store.Deliver) store.Verdict {
	x := t.look(d.ID)
	if x == nil {
		return store.Verdict{Code: store.NotFound}
	}
	k := dedupe{d.ID, d.Dedupe}
	switch _, used := t.dedupes.get(k); {
	case used:
		return store.Verdict{Code: store.Landed}
	case x.Status.Ended():
		return store.Verdict{Code: store.Ended, Status: x.Status}
	case d.Wait != "" && !x.hasWait(d.Wait):
		return store.Verdict{Code: store.NoSuchWait}
	case d.Max > 0 && x.foreign() >= d.Max:
		return store.Verdict{Code: store.Full}
	}
	x = t.put(d, false)
	if x.Status == store.Waiting && (d.Wait != "" || x.listens(d.Topic)) {
		x.Status, x.Due = store.Pending, t.now
	}
	x.hurry(t.now)
	if d.Wait != "" && !d.Keep {
		x.shut(d.Wait)
	}
	return store.Verdict{Code: store.Applied}
}

// put puts a message into an inbox.
func (t *tx) put(d *store.Deliver, kin bool) *execution {
	x := t.edit(d.ID)
	x.Inbox++
	x.messages = append(x.messages, message{kin: kin, Message: store.Message{
		Seq: x.Inbox, Topic: d.Topic, Payload: bytes.Clone(d.Payload), Wait: d.Wait, At: t.now,
	}})
	t.dedupes.over[dedupe{d.ID, d.Dedupe}] = true
	return x
}

// hurry makes a rollback due that is parked: it has a message.
func (x *execution) hurry(now time.Time) {
	if x.Status == store.Compensating && x.Owner == uuid.Nil {
		x.Due = now
	}
}

// listens tells whether an open wait has this topic. The empty topic is none.
func (x *execution) listens(topic string) bool {
	return topic != "" && slices.ContainsFunc(x.waits, func(w store.Wait) bool { return w.Topic == topic })
}

// take removes messages from the inbox.
func (x *execution) take(seqs []int64) {
	if len(seqs) == 0 {
		return
	}
	var left []message
	for _, m := range x.messages {
		if !slices.Contains(seqs, m.Seq) {
			left = append(left, m)
		}
	}
	x.messages = left
}
