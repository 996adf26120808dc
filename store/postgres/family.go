package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/durable-go/durable/store"
)

// What ends may have to tell its parent or its children, whose rows are then locked with
// its own: all rows of a transaction in one order. Who they are is asked before,
// and who has become a child meanwhile makes the transaction begin anew.
//
// Many children may end at once, by several batches. A batch that finds a row of
// a family locked waits for it, but not for long: what holds it is most often another
// batch, and may be a caller's open transaction. Rows that writes are to change by
// themselves are not waited for.
const (
	readParents = `
		SELECT w.id, x.parent FROM unnest($1::uuid[]) AS w (id)
		CROSS JOIN LATERAL (SELECT e.parent FROM durable.execution e WHERE e.id = w.id LIMIT 1) AS x WHERE x.parent IS NOT NULL`
	readChildren = `
		SELECT c.parent, c.id FROM unnest($1::uuid[]) AS w (id)
		CROSS JOIN LATERAL (
			SELECT e.parent, e.id FROM durable.execution e WHERE e.parent = w.id AND e.ended IS NULL AND NOT e.detached ORDER BY e.parent, e.id OFFSET 0) AS c`
	// Whether an execution waits for a topic.
	readTopics = `
		SELECT w.id, w.topic FROM unnest($1::uuid[], $2::text[]) AS w (id, topic)
		CROSS JOIN LATERAL (SELECT FROM durable.wait x WHERE x.execution = w.id AND x.topic = w.topic LIMIT 1) AS x`
	waitForKin  = `SET LOCAL lock_timeout = '100ms'`
	addChildren = `
		WITH made AS (
			INSERT INTO durable.execution (id, workflow, version, queue, priority, tags, status, due, epoch, created, changed, input_hash, parent, detached, depth)
			SELECT b.id, b.workflow, b.version, b.queue, b.priority, b.tags::text[], 'pending', coalesce(b.due, $13), 0, $13, $13, b.input_hash, b.parent, b.detached, b.depth
			FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::timestamptz[], $8::bytea[], $9::uuid[], $10::boolean[], $11::integer[])
				AS b (id, workflow, version, queue, priority, tags, due, input_hash, parent, detached, depth)
			ON CONFLICT DO NOTHING
			RETURNING id
		)
		INSERT INTO durable.journal (execution, seq, epoch, at, body)
		SELECT b.id, 1, 0, $13, b.body FROM unnest($1::uuid[], $12::bytea[]) AS b (id, body)
		WHERE (b.id IN (SELECT id FROM made)) IS TRUE`
)

// kin is the families of what a batch may end.
type kin struct {
	reporters ids                   // what ends with a report
	topics    map[store.ID]string   // of their reports
	dedupes   map[store.ID]string   // and their dedupe names
	enders    ids                   // what ends with a notice
	told      []*store.Deliver      // to children, with a row of their parent
	recalls   []*store.Deliver      // what would answer those that are orders
	parents   map[store.ID]store.ID // of reporters
	before    map[store.ID]ids      // children of enders, before anything is locked
	children  map[store.ID]ids      // and as the locks have them
	born      map[store.ID]ids      // children that begin with this batch and are not detached
	asked     map[store.ID]bool     // executions that are locked for their family
}

// errKin is returned when rows of a family are locked by somebody else.
var errKin = errors.New("rows of a family are locked")

// patience is what a transaction does about rows of families that others have locked.
type patience uint8

const (
	hopeful  patience = iota // it is done again, and waits
	waits                    // it waits for a moment
	resigned                 // it does without the writes that need them, which are Busy
)

// kinOf says which writes concern families.
func kinOf(writes []store.Write, of []int) (k kin) {
	for _, i := range of {
		var id store.ID
		var r *store.Release
		switch w := &writes[i]; {
		case w.Advance != nil:
			id, r = w.Advance.ID, w.Advance.Release
		case w.Control != nil:
			id, r = w.Control.ID, &w.Control.Release
		}
		if w := &writes[i]; w.Advance != nil {
			for n := range w.Advance.Tell {
				k.told = append(k.told, &w.Advance.Tell[n])
			}
			for n := range w.Advance.Recall {
				d := &w.Advance.Recall[n]
				k.told = append(k.told, d)
				k.recalls = append(k.recalls, store.RecallAnswer(w.Advance.ID, d, ""))
			}
		}
		if r == nil {
			continue
		}
		if len(r.Report) > 0 {
			k.reporters = append(k.reporters, id)
			if k.topics == nil {
				k.topics, k.dedupes = map[store.ID]string{}, map[store.ID]string{}
			}
			k.topics[id], k.dedupes[id] = r.ReportTopic(id), r.ReportDedupe(id)
		}
		if r.Family != nil {
			k.enders = append(k.enders, id)
		}
	}
	return k
}

// meet asks who is in the families of a batch, and adds them to what is to be locked.
func (t *tx) meet(ctx context.Context, l *locks) error {
	k := &t.kin
	if len(k.reporters)+len(k.enders)+len(k.told) == 0 {
		return nil
	}
	k.parents, k.asked = map[store.ID]store.ID{}, map[store.ID]bool{}
	kids := slices.Clone(k.reporters)
	for _, d := range k.told {
		kids = append(kids, d.ID)
		k.asked[d.ID] = true
	}
	if len(kids) > 0 {
		t.read(readParents, []any{[][16]byte(kids)}, func(r pgx.CollectableRow) error {
			var id, parent uuid.UUID
			err := r.Scan((*nullable)(&id), (*nullable)(&parent))
			k.parents[id] = parent
			if slices.Contains(k.reporters, [16]byte(id)) {
				k.asked[parent] = true
			}
			return err
		})
	}
	if len(k.enders) > 0 {
		k.before = map[store.ID]ids{}
		t.readChildren(func(parent, child uuid.UUID) {
			k.before[parent], k.asked[child] = append(k.before[parent], child), true
		})
	}
	if t.patience == waits {
		t.exec(waitForKin)
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	for id := range k.asked {
		l.executions = append(l.executions, id)
	}
	l.executions = l.executions.sorted()
	return nil
}

func (t *tx) readChildren(child func(parent, child uuid.UUID)) {
	t.read(readChildren, []any{[][16]byte(t.kin.enders)}, func(r pgx.CollectableRow) error {
		var parent, id uuid.UUID
		err := r.Scan((*nullable)(&parent), (*nullable)(&id))
		child(parent, id)
		return err
	})
}

// kinEvidence notes the statements that read what families are told by, once the
// rows are locked.
func (t *tx) kinEvidence() {
	k := &t.kin
	var of, named ids
	var topics, names []string
	for _, child := range k.reporters {
		if parent, there := k.parents[uuid.UUID(child)]; there {
			of, topics = append(of, parent), append(topics, k.topics[child])
			named, names = append(named, parent), append(names, k.dedupes[child])
		}
	}
	if len(of) > 0 {
		t.read(readTopics, []any{[][16]byte(of), topics}, func(r pgx.CollectableRow) error {
			var id uuid.UUID
			var topic string
			err := r.Scan((*nullable)(&id), &topic)
			t.head(id).hear(topic)
			return err
		})
	}
	if len(k.enders) > 0 {
		k.children = map[store.ID]ids{}
		t.readChildren(func(parent, child uuid.UUID) { k.children[parent] = append(k.children[parent], child) })
		for parent, list := range k.before {
			for _, child := range list {
				named, names = append(named, child), append(names, store.FamilyDedupe(parent))
			}
		}
	}
	for _, d := range slices.Concat(k.told, k.recalls) {
		named, names = append(named, d.ID), append(names, d.Dedupe)
	}
	if len(named) > 0 {
		t.readUsed(named, names)
	}
}

// hear notes that an open wait has a topic.
func (x *head) hear(topic string) {
	if x.topics == nil {
		x.topics = map[string]bool{}
	}
	x.topics[topic] = true
}

// met looks at whether the locks have found the families as they were.
func (t *tx) met() error {
	for _, list := range t.kin.children {
		for _, id := range list {
			if !t.kin.asked[uuid.UUID(id)] {
				return errRaced // begun since we asked
			}
		}
	}
	return nil
}

// kinTaken tells whether somebody else has a row of the family that a write would tell.
func (t *tx) kinTaken(w *store.Write) bool {
	k := &t.kin
	if len(k.asked) == 0 {
		return false
	}
	id := idOf(w)
	is := func(d store.Deliver) bool { return t.taken(d.ID) }
	if w.Advance != nil && (slices.ContainsFunc(w.Advance.Tell, is) || slices.ContainsFunc(w.Advance.Recall, is)) {
		return true
	}
	if parent, there := k.parents[id]; there && t.taken(parent) {
		return true
	}
	return slices.ContainsFunc(k.children[id], func(child [16]byte) bool { return t.taken(child) })
}

// lackKin asks for a transaction that waits, if only rows of families are missing
// for some writes. What is Busy by itself gets that verdict, so as not to be waited for.
func (t *tx) lackKin(writes []store.Write, of []int, verdicts []store.Verdict) error {
	if t.patience != hopeful || t.patient || len(t.kin.asked) == 0 {
		return nil
	}
	var busy []int
	lack := false
	for _, i := range of {
		switch w := &writes[i]; {
		case w.Begin != nil:
		case t.taken(idOf(w)):
			busy = append(busy, i)
		case t.kinTaken(w):
			lack = true
		}
	}
	if !lack {
		return nil
	}
	for _, i := range busy {
		verdicts[i] = store.Verdict{Code: store.Busy}
	}
	return errKin
}

// bear notes the children that are not there yet.
func (t *tx) bear(children []store.Begin) {
	for i := range children {
		b := &children[i]
		if t.heads[b.ID] != nil {
			continue
		}
		x := &head{status: store.Pending, length: 1, open: map[string]string{}, used: map[string]bool{}}
		t.heads[b.ID], t.hints = x, true
		if t.have == nil {
			t.have = map[store.ID]bool{}
		}
		t.have[b.ID] = true
		t.draft.children = append(t.draft.children, b)
		if t.kin.parents != nil { // the same row may tell it something
			t.kin.parents[b.ID] = b.Parent
		}
		if !b.Detached {
			if t.kin.born == nil {
				t.kin.born = map[store.ID]ids{}
			}
			t.kin.born[b.Parent] = append(t.kin.born[b.Parent], b.ID)
		}
	}
}

// tellAll tells children what a row of their parent says.
func (t *tx) tellAll(parent store.ID, list []store.Deliver) {
	for i := range list {
		if d := &list[i]; t.kin.parents[d.ID] == parent {
			t.tell(d, wakesChild)
		}
	}
}

// wakesChild tells whether what a parent tells makes a child pending. A rollback becomes due.
func wakesChild(c *head) bool {
	c.hurry()
	return c.status == store.Waiting || c.status == store.Pending
}

// recallAll orders children to go back.
func (t *tx) recallAll(parent store.ID, list []store.Deliver) error {
	for i := range list {
		d, status := &list[i], store.Status("")
		c := t.heads[d.ID]
		if c != nil && t.kin.parents[d.ID] == parent {
			status = c.status
		}
		switch {
		case status != "" && c.used[d.Dedupe]:
		case store.Recallable(status):
			if err := t.release(d.ID, c, &store.Release{Status: store.Compensating}); err != nil {
				return err
			}
			t.tell(d, wakesChild)
		case status != "" && !status.Ended():
			t.tell(d, wakesChild)
		default:
			t.tell(store.RecallAnswer(parent, d, status), func(p *head) bool {
				p.hurry()
				return false
			})
		}
	}
	return nil
}

// tellFamily tells an end to the parent and to the children.
func (t *tx) tellFamily(id store.ID, r *store.Release) {
	if parent, there := t.kin.parents[id]; there && len(r.Report) > 0 {
		topic := r.ReportTopic(id)
		d := &store.Deliver{ID: parent, Topic: topic, Payload: r.Report, Dedupe: r.ReportDedupe(id)}
		t.tell(d, func(p *head) bool {
			p.hurry()
			p.first = p.first || r.Topic != "" && p.status == store.Waiting && p.hears(topic)
			return p.status == store.Waiting && p.hears(topic)
		})
	}
	if r.Family == nil {
		return
	}
	dedupe := store.FamilyDedupe(id)
	for _, child := range slices.Concat(t.kin.children[id], t.kin.born[id]) {
		d := &store.Deliver{ID: child, Topic: r.Family.Topic, Payload: r.Family.Payload, Dedupe: dedupe}
		t.tell(d, func(c *head) bool { return c.status == store.Waiting || c.status == store.Pending })
	}
}

// tell puts a message into the inbox of one of a family, unless that has ended or was told before.
func (t *tx) tell(d *store.Deliver, wakes func(*head) bool) {
	x := t.heads[d.ID]
	if x == nil || x.status.Ended() || x.used[d.Dedupe] {
		return
	}
	x.inbox++
	x.use(d.Dedupe)
	x.counts = true
	t.draft.messages = append(t.draft.messages, messageDraft{d.ID, x.inbox, true, d})
	if wakes(x) {
		x.status, x.woken = store.Pending, true
	}
	t.hints = true
}

// hears tells whether an open wait has a topic that was asked about.
func (x *head) hears(topic string) bool {
	if x.open != nil {
		return x.awaits(topic)
	}
	return x.topics[topic]
}

// use notes a dedupe name.
func (x *head) use(name string) {
	if x.used == nil {
		x.used = map[string]bool{}
	}
	x.used[name] = true
}

func (d *draft) queueChildren(t *tx) {
	n := len(d.children)
	if n == 0 {
		return
	}
	slices.SortFunc(d.children, func(a, b *store.Begin) int { return compareIDs(a.ID, b.ID) })
	id, parent, due := make([][16]byte, n), make([][16]byte, n), make([]pgtype.Timestamptz, n)
	workflow, version, queue, tags := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	priority, depth, detached := make([]int32, n), make([]int32, n), make([]bool, n)
	hash, row := make([][]byte, n), make([][]byte, n)
	for i, b := range d.children {
		id[i], parent[i], due[i] = b.ID, b.Parent, optional(b.Due)
		workflow[i], version[i], queue[i], tags[i] = b.Workflow, b.Version, b.Queue, textArray(b.Tags)
		priority[i], depth[i], detached[i] = int32(b.Priority), int32(b.Depth), b.Detached
		hash[i], row[i] = b.InputHash, b.Row
	}
	t.exec(addChildren, id, workflow, version, queue, priority, tags, due, hash, parent, detached, depth, row, t.now)
}

// timedOut tells whether a lock was waited for in vain.
func timedOut(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "55P03" // lock_not_available
}
