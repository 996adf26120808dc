package memory

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// bear begins the children that are not there yet.
func (t *tx) bear(children []store.Begin) {
	for i := range children {
		if b := &children[i]; t.look(b.ID) == nil {
			t.create(b).append(t.now, b.Row)
		}
	}
}

// tellAll tells children what their parent's row says.
func (t *tx) tellAll(parent store.ID, list []store.Deliver) {
	for i := range list {
		d := &list[i]
		if c := t.look(d.ID); c != nil && c.Parent == parent {
			t.tell(d.ID, d, t.wakesChild, false)
		}
	}
}

// wakesChild tells whether what a parent tells makes a child pending. A rollback becomes due.
func (t *tx) wakesChild(c *execution) bool {
	c.hurry(t.now)
	return c.Status == store.Waiting || c.Status == store.Pending
}

// recallAll orders children to go back.
func (t *tx) recallAll(parent *execution, list []store.Deliver) error {
	for i := range list {
		d, status := &list[i], store.Status("")
		if c := t.look(d.ID); c != nil && c.Parent == parent.ID {
			status = c.Status
		}
		_, told := t.dedupes.get(dedupe{d.ID, d.Dedupe})
		switch {
		case status != "" && told:
		case store.Recallable(status):
			c := t.put(d, true)
			if err := t.release(c, &store.Release{Status: store.Compensating}); err != nil {
				return err
			}
		case status != "" && !status.Ended():
			t.tell(d.ID, d, t.wakesChild, false)
		default:
			t.tell(parent.ID, store.RecallAnswer(parent.ID, d, status), func(p *execution) bool {
				p.hurry(t.now)
				return false
			}, false)
		}
	}
	return nil
}

// release ends an ownership and tells the family.
func (t *tx) release(x *execution, r *store.Release) error {
	if err := x.release(t.now, *r); err != nil || !r.Status.Ended() {
		return err
	}
	if parent := t.look(x.Parent); len(r.Report) > 0 && parent != nil {
		topic := r.ReportTopic(x.ID)
		t.tell(parent.ID, &store.Deliver{ID: parent.ID, Topic: topic, Payload: r.Report, Dedupe: r.ReportDedupe(x.ID)}, func(p *execution) bool {
			p.hurry(t.now)
			return p.Status == store.Waiting && p.listens(topic)
		}, r.Topic != "")
	}
	if r.Family == nil {
		return nil
	}
	for _, id := range t.childrenOf(x.ID) {
		if t.look(id).Detached {
			continue
		}
		t.tell(id, &store.Deliver{ID: id, Topic: r.Family.Topic, Payload: r.Family.Payload, Dedupe: store.FamilyDedupe(x.ID)}, func(c *execution) bool {
			return c.Status == store.Waiting || c.Status == store.Pending
		}, false)
	}
	return nil
}

// tell puts a message into the inbox of one of the family, unless that has ended
// or was told before. What it wakes is due now or, with first, since its creation.
func (t *tx) tell(id store.ID, d *store.Deliver, wakes func(*execution) bool, first bool) {
	if _, told := t.dedupes.get(dedupe{id, d.Dedupe}); told || t.look(id).Status.Ended() {
		return
	}
	if x := t.put(d, true); wakes(x) {
		x.Status, x.Due = store.Pending, t.now
		if first {
			x.Due = x.Created
		}
	}
}

// foreign counts the untaken messages that are not of the family.
func (x *execution) foreign() (n int) {
	for _, m := range x.messages {
		if !m.kin {
			n++
		}
	}
	return n
}

// childrenOf lists the children of an execution as this transaction sees them, in order.
func (t *tx) childrenOf(parent store.ID) []store.ID {
	list := slices.Collect(maps.Keys(t.children[parent]))
	for id, x := range t.edits {
		if x.Parent == parent && parent != uuid.Nil && t.executions[id] == nil {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, compareIDs)
	return list
}
