package sqlite

import (
	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

const addChild = `
	INSERT INTO execution (id, workflow, version, queue, priority, tags, status, due, epoch, created, changed, input_hash, parent, detached, depth)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, 0, ?8, ?8, ?9, ?10, ?11, ?12)
	ON CONFLICT DO NOTHING`

// bear begins the children that are not there yet.
func (t *tx) bear(children []store.Begin) error {
	for i := range children {
		b := &children[i]
		tags, err := encodeTags(b.Tags)
		if err != nil {
			return err
		}
		due := t.now
		if !b.Due.IsZero() {
			due = micros(b.Due)
		}
		r, err := t.exec(addChild, b.ID, b.Workflow, b.Version, b.Queue, b.Priority, tags, due, t.now, b.InputHash, b.Parent, bit(b.Detached), b.Depth)
		if err != nil {
			return err
		}
		if made, err := r.RowsAffected(); err != nil || made == 0 {
			if err != nil {
				return err
			}
			continue
		}
		x := &head{status: store.Pending, parent: b.Parent}
		if x.n, err = r.LastInsertId(); err != nil {
			return err
		}
		t.heads.keep(b.ID, x)
		if err := t.append(x, b.Row); err != nil {
			return err
		}
	}
	return nil
}

// tellAll tells children what a row of their parent says.
func (t *tx) tellAll(parent store.ID, list []store.Deliver) error {
	for i := range list {
		d := &list[i]
		c, err := t.head(d.ID)
		if err != nil {
			return err
		}
		if c == nil || c.parent != parent || c.status.Ended() {
			continue
		}
		if told, err := t.used(c, d); err != nil || told {
			if err != nil {
				return err
			}
			continue
		}
		if err := t.tellChild(c, d); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) tellChild(c *head, d *store.Deliver) error {
	if err := t.put(c, d, true); err != nil {
		return err
	}
	if _, err := t.exec(wakeChild, c.n, c.inbox, t.now); err != nil {
		return err
	}
	if c.status == store.Waiting {
		c.status = store.Pending
	}
	return nil
}

// recallAll orders children to go back.
func (t *tx) recallAll(parent store.ID, p *head, list []store.Deliver) error {
	for i := range list {
		if err := t.recall(parent, p, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) recall(parent store.ID, p *head, d *store.Deliver) error {
	c, err := t.head(d.ID)
	if err != nil {
		return err
	}
	if c == nil || c.parent != parent {
		return t.answer(p, store.RecallAnswer(parent, d, ""))
	}
	switch told, err := t.used(c, d); {
	case err != nil || told:
		return err
	case store.Recallable(c.status):
		if err := t.put(c, d, true); err != nil {
			return err
		}
		if err := t.release(d.ID, c, &store.Release{Status: store.Compensating}); err != nil {
			return err
		}
		return t.heard(c, false, false)
	case c.status.Ended():
		return t.answer(p, store.RecallAnswer(parent, d, c.status))
	}
	return t.tellChild(c, d)
}

// answer tells the one that recalls that a child cannot go back.
func (t *tx) answer(p *head, d *store.Deliver) error {
	if told, err := t.used(p, d); err != nil || told || p.status.Ended() {
		return err
	}
	if err := t.put(p, d, true); err != nil {
		return err
	}
	return t.heard(p, false, false)
}

const wakeChild = `
	UPDATE execution SET inbox = ?2,
		due = CASE WHEN status IN ('pending', 'waiting') OR status = 'compensating' AND owner IS NULL THEN ?3 ELSE due END,
		status = CASE WHEN status = 'waiting' THEN 'pending' ELSE status END
	WHERE n = ?1`

// tellFamily tells an end to the parent and to the children.
func (t *tx) tellFamily(id store.ID, x *head, r *store.Release) error {
	if len(r.Report) > 0 && x.parent != uuid.Nil {
		if err := t.report(id, x.parent, r); err != nil {
			return err
		}
	}
	if r.Family == nil {
		return nil
	}
	if err := t.notify(id, r.Family); err != nil {
		return err
	}
	return nil
}

// report puts a message into the inbox of a parent.
func (t *tx) report(child, parent store.ID, r *store.Release) error {
	p, err := t.head(parent)
	if err != nil || p == nil || p.status.Ended() {
		return err
	}
	topic := r.ReportTopic(child)
	d := &store.Deliver{ID: parent, Topic: topic, Payload: r.Report, Dedupe: r.ReportDedupe(child)}
	if told, err := t.used(p, d); err != nil || told {
		return err
	}
	if err := t.put(p, d, true); err != nil {
		return err
	}
	wakes, err := t.listens(p, topic)
	if err != nil {
		return err
	}
	return t.heard(p, wakes, r.Topic != "")
}

const (
	// Who hears of an end, unless told before. The last statement says that they were.
	children = `
		FROM execution e INDEXED BY execution_parent
		WHERE e.parent = ?1 AND e.ended IS NULL AND e.detached = 0
			AND NOT EXISTS (SELECT 1 FROM accepted a WHERE a.execution = e.n AND a.dedupe = ?2)`
	noticeMessages = `
		INSERT INTO message (execution, seq, topic, wait, at, payload, kin)
		SELECT e.n, e.inbox + 1, ?3, '', ?4, ?5, 1 ` + children
	noticeHeads = `
		UPDATE execution SET inbox = inbox + 1,
			due = CASE WHEN status IN ('pending', 'waiting') THEN ?3 ELSE due END,
			status = CASE WHEN status = 'waiting' THEN 'pending' ELSE status END
		WHERE n IN (SELECT e.n ` + children + `)`
	noticeAccepted = `
		INSERT INTO accepted (execution, dedupe) SELECT e.n, ?2 ` + children
)

// notify puts a message into the inboxes of all children that are to hear of an
// end, in three statements however many they are.
func (t *tx) notify(parent store.ID, m *store.Notice) error {
	dedupe := store.FamilyDedupe(parent)
	if _, err := t.exec(noticeMessages, parent, dedupe, m.Topic, t.now, m.Payload); err != nil {
		return err
	}
	told, err := t.changes(noticeHeads, parent, dedupe, t.now)
	if err != nil || told == 0 {
		return err
	}
	t.heads.forget()
	_, err = t.exec(noticeAccepted, parent, dedupe)
	return err
}
