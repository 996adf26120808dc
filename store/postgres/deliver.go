package postgres

import (
	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func (t *tx) deliver(d *store.Deliver) store.Verdict {
	x := t.heads[d.ID]
	if begun, here := t.begun[d.ID]; x == nil || here && !begun {
		return store.Verdict{Code: store.NotFound}
	}
	_, open := x.open[d.Wait]
	switch {
	case x.used[d.Dedupe]:
		return store.Verdict{Code: store.Landed}
	case x.status.Ended():
		return store.Verdict{Code: store.Ended, Status: x.status}
	case d.Wait != "" && !open:
		return store.Verdict{Code: store.NoSuchWait}
	case d.Max > 0 && x.untaken >= int64(d.Max):
		return store.Verdict{Code: store.Full}
	}
	x.inbox++
	x.untaken++
	x.use(d.Dedupe)
	x.counts = true
	t.draft.messages = append(t.draft.messages, messageDraft{d.ID, x.inbox, false, d})
	if x.status == store.Waiting && (d.Wait != "" || x.awaits(d.Topic)) {
		x.status, x.woken = store.Pending, true
	}
	x.hurry()
	if d.Wait != "" && !d.Keep {
		t.shut(d.ID, x, []string{d.Wait})
	}
	t.hints = true
	return store.Verdict{Code: store.Applied}
}

// hurry makes a rollback due that is parked: it has a message.
func (x *head) hurry() {
	if x.status == store.Compensating && x.owner == uuid.Nil {
		x.woken = true
	}
}

// awaits tells whether an open wait has the topic.
func (x *head) awaits(topic string) bool {
	if topic == "" {
		return false
	}
	for _, t := range x.open {
		if t == topic {
			return true
		}
	}
	return false
}
