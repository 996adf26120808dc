package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable/store"
)

// publication is one that is kept, or one that somebody got: then only its Dedupe counts.
type publication struct {
	dedupe  string
	payload []byte
	until   time.Time
	got     int
}

// Publish implements store.Store.
func (s *Store) Publish(ctx context.Context, p store.Publication) (store.Published, error) {
	if err := p.Check(); err != nil {
		return store.Published{}, fmt.Errorf("memory: publish: %w", err)
	}
	now, err := s.enter(ctx)
	if err != nil {
		return store.Published{}, err
	}
	defer s.leave()
	s.data.sweep(now)
	list := s.data.published[p.Topic]
	for _, old := range list {
		if old.dedupe == p.Dedupe {
			return store.Published{Now: now, Code: store.Landed, Got: old.got}, nil
		}
	}
	t := s.data.begin(now)
	kept := publication{dedupe: p.Dedupe, until: now.Add(p.Keep)}
	for _, id := range t.ids {
		if w, ok := t.executions[id].oldest(p.Topic); ok {
			t.edit(id).accept(now, p.Topic, p.Payload, w)
			kept.got++
		}
	}
	if kept.got == 0 {
		kept.payload = bytes.Clone(p.Payload)
	}
	t.published.over[p.Topic] = append(slices.Clip(list), kept)
	t.install()
	s.changed()
	return store.Published{Now: now, Code: store.Applied, Got: kept.got}, nil
}

// oldest is the shared wait with a topic that has been open for longest.
func (x *execution) oldest(topic string) (id string, ok bool) {
	var first *store.Wait
	for i := range x.waits {
		w := &x.waits[i]
		if w.Shared && w.Topic == topic && (first == nil || w.Opened.Before(first.Opened) || w.Opened.Equal(first.Opened) && w.ID < first.ID) {
			first = w
		}
	}
	if first == nil {
		return "", false
	}
	return first.ID, true
}

// accept puts a published message into the inbox and closes the wait that it is for.
func (x *execution) accept(now time.Time, topic string, payload []byte, wait string) {
	x.Inbox++
	x.messages = append(x.messages, message{Message: store.Message{Seq: x.Inbox, Topic: topic, Payload: bytes.Clone(payload), Wait: wait, At: now}})
	x.shut(wait)
	x.hurry(now)
	if x.Status == store.Waiting {
		x.Status, x.Due = store.Pending, now
	}
}

// takeKept gives an execution the oldest publication that is kept for a wait that it is to
// open. It reports whether there was one.
func (t *tx) takeKept(x *execution, w *store.Wait) bool {
	if !w.Shared {
		return false
	}
	list, _ := t.published.get(w.Topic)
	for i, p := range list {
		if p.got > 0 || !t.now.Before(p.until) {
			continue
		}
		list = slices.Clone(list)
		list[i].got, list[i].payload = 1, nil
		t.published.over[w.Topic] = list
		x.accept(t.now, w.Topic, p.payload, w.ID)
		return true
	}
	return false
}

// sweep forgets publications whose time is over.
func (d *data) sweep(now time.Time) {
	for topic, list := range d.published {
		left := slices.DeleteFunc(slices.Clone(list), func(p publication) bool { return !now.Before(p.until) })
		if d.published[topic] = left; len(left) == 0 {
			delete(d.published, topic)
		}
	}
}
