package postgres

import (
	"bytes"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/durable-go/durable/store"
)

const (
	addRows = `
		INSERT INTO durable.journal (execution, seq, epoch, at, body)
		SELECT w.execution, w.seq, w.epoch, $5, w.body FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::bytea[]) AS w (execution, seq, epoch, body)`
	setSnapshots = `
		INSERT INTO durable.snapshot (execution, seq, body)
		SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bytea[])
		ON CONFLICT (execution) DO UPDATE SET seq = excluded.seq, body = excluded.body`
	takeMessages = `
		DELETE FROM durable.message m USING unnest($1::uuid[], $2::bigint[]) AS w (execution, seq)
		WHERE m.execution = w.execution AND m.seq = w.seq`
	dropWaits = `
		DELETE FROM durable.wait x USING unnest($1::uuid[], $2::text[]) AS w (execution, id)
		WHERE x.id = w.id AND x.execution = w.execution`
	dropAllWaits = `DELETE FROM durable.wait WHERE execution = ANY($1)`
	addWaits     = `
		INSERT INTO durable.wait (id, execution, path, call, kind, name, topic, deadline, opened, label, detail, shared)
		SELECT w.id, w.execution, w.path, w.call, w.kind, w.name, w.topic, w.deadline, $12, w.label, w.detail, w.shared
		FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[], $10::bytea[], $11::boolean[])
			AS w (id, execution, path, call, kind, name, topic, deadline, label, detail, shared)`
	alterWaits = `
		UPDATE durable.wait x SET deadline = w.deadline, label = w.label, detail = w.detail
		FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::text[], $5::bytea[]) AS w (id, execution, deadline, label, detail)
		WHERE x.id = w.id AND x.execution = w.execution`
	addLogs = `
		INSERT INTO durable.log (execution, path, attempt, n, at, level, text, attrs)
		SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::integer[], $5::timestamptz[], $6::integer[], $7::text[], $8::bytea[])
		ON CONFLICT DO NOTHING`
	addMessages = `
		INSERT INTO durable.message (execution, seq, topic, wait, at, payload, kin)
		SELECT w.execution, w.seq, w.topic, w.wait, $6, w.payload, w.kin
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $7::boolean[]) AS w (execution, seq, topic, wait, payload, kin)`
	addAccepted = `
		INSERT INTO durable.accepted (execution, dedupe) SELECT * FROM unnest($1::uuid[], $2::text[])`
	parkAll = `
		UPDATE durable.execution e SET status = w.status, due = w.due, owner = NULL, epoch = w.epoch, changed = $12, ended = w.ended, waits = w.waits,
			inbox = w.inbox, queue = coalesce(nullif(w.queue, ''), e.queue), error_code = w.code, error = w.detail, blocked = w.blocked
		FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::text[], $8::text[], $9::bytea[], $10::text[], $11::bigint[])
			AS w (id, status, due, epoch, ended, waits, queue, code, detail, blocked, inbox)
		WHERE e.id = w.id`
	countAll = `
		UPDATE durable.execution e SET inbox = w.inbox, waits = w.waits, status = w.status, due = CASE WHEN w.woken AND w.first THEN e.created WHEN w.woken THEN $7 ELSE e.due END
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::boolean[], $6::boolean[]) AS w (id, inbox, waits, status, woken, first)
		WHERE e.id = w.id`
)

// draft is what a transaction will write, in the order of its writes.
type draft struct {
	rows      []rowDraft
	snapshots []rowDraft
	took      []messageRef
	shut      []waitRef
	shutAll   ids
	opened    []waitDraft
	altered   []waitDraft
	logs      []logDraft
	chunks    []chunkDraft
	blobs     []blobDraft
	messages  []messageDraft
	children  []*store.Begin
	given     []keptRef // publications
}

type rowDraft struct {
	id    store.ID
	seq   int
	epoch int64
	body  []byte
}

type messageRef struct {
	id  store.ID
	seq int64
}

type waitRef struct {
	id   store.ID
	wait string
}

type waitDraft struct {
	id store.ID
	*store.Wait
}

type logDraft struct {
	id store.ID
	*store.Log
}

type messageDraft struct {
	id  store.ID
	seq int64
	kin bool
	*store.Deliver
}

// queue notes one statement for each table that is written, and then the
// heads, all in the order of ids. Blobs wait for the end of the transaction, see finish.
func (d *draft) queue(t *tx) {
	d.queueChildren(t)
	if len(d.rows) > 0 {
		id, seq, epoch, body := rowColumns(d.rows)
		t.exec(addRows, id, seq, epoch, body, t.now)
	}
	if len(d.snapshots) > 0 {
		id, seq, _, body := rowColumns(d.snapshots)
		t.exec(setSnapshots, id, seq, body)
	}
	if len(d.took) > 0 {
		id, seq := make([][16]byte, len(d.took)), make([]int64, len(d.took))
		for i, m := range d.took {
			id[i], seq[i] = m.id, m.seq
		}
		t.exec(takeMessages, id, seq)
	}
	d.queueWaits(t)
	d.queueLogs(t)
	d.queueChunks(t)
	d.queueMessages(t)
	d.queueGiven(t)
	t.queueChanged()
	*d = draft{blobs: d.blobs}
}

func rowColumns(rows []rowDraft) (id [][16]byte, seq []int32, epoch []int64, body [][]byte) {
	n := len(rows)
	id, seq, epoch, body = make([][16]byte, n), make([]int32, n), make([]int64, n), make([][]byte, n)
	for i, r := range rows {
		id[i], seq[i], epoch[i], body[i] = r.id, int32(r.seq), r.epoch, r.body
	}
	return id, seq, epoch, body
}

// queueWaits closes before it opens.
func (d *draft) queueWaits(t *tx) {
	if len(d.shutAll) > 0 {
		t.exec(dropAllWaits, [][16]byte(d.shutAll))
	}
	if n := len(d.shut); n > 0 {
		execution, id := make([][16]byte, n), make([]string, n)
		for i, w := range d.shut {
			execution[i], id[i] = w.id, w.wait
		}
		t.exec(dropWaits, execution, id)
	}
	if len(d.opened) > 0 {
		shared := make([]bool, len(d.opened))
		for i, w := range d.opened {
			shared[i] = w.Shared
		}
		t.exec(addWaits, append(waitColumns(d.opened), shared, t.now)...)
	}
	if len(d.altered) > 0 {
		c := waitColumns(d.altered)
		t.exec(alterWaits, c[0], c[1], c[7], c[8], c[9])
	}
}

// waitColumns are the first arguments of addWaits.
func waitColumns(waits []waitDraft) []any {
	n := len(waits)
	execution, deadline, detail := make([][16]byte, n), make([]pgtype.Timestamptz, n), make([][]byte, n)
	text := make([][]string, 7) // id, path, call, kind, name, topic, label
	for i := range text {
		text[i] = make([]string, n)
	}
	for i, w := range waits {
		execution[i], deadline[i], detail[i] = w.id, forever(w.Deadline), w.Detail
		for k, s := range []string{w.ID, w.Path, w.Call, w.Kind, w.Name, w.Topic, w.Label} {
			text[k][i] = s
		}
	}
	return []any{text[0], execution, text[1], text[2], text[3], text[4], text[5], deadline, text[6], detail}
}

func (d *draft) queueLogs(t *tx) {
	n := len(d.logs)
	if n == 0 {
		return
	}
	id, path, attempt, number := make([][16]byte, n), make([]string, n), make([]int32, n), make([]int32, n)
	at, level, text, attrs := make([]pgtype.Timestamptz, n), make([]int32, n), make([]string, n), make([][]byte, n)
	for i, l := range d.logs {
		id[i], path[i], attempt[i], number[i] = l.id, l.Path, int32(l.Attempt), int32(l.N)
		at[i], level[i], text[i], attrs[i] = pgtype.Timestamptz{Time: stamp(l.At), Valid: true}, int32(l.Level), printable(l.Text), l.Attrs
	}
	t.exec(addLogs, id, path, attempt, number, at, level, text, attrs)
}

func (d *draft) queueMessages(t *tx) {
	n := len(d.messages)
	if n == 0 {
		return
	}
	id, seq, topic, wait := make([][16]byte, n), make([]int64, n), make([]string, n), make([]string, n)
	payload, kin := make([][]byte, n), make([]bool, n)
	var named [][16]byte
	var dedupe []string
	for i, m := range d.messages {
		id[i], seq[i], topic[i], wait[i], payload[i], kin[i] = m.id, m.seq, m.Topic, m.Wait, m.Payload, m.kin
		if m.Dedupe != "" { // else it was published: the publication has the name
			named, dedupe = append(named, m.id), append(dedupe, m.Dedupe)
		}
	}
	t.exec(addMessages, id, seq, topic, wait, payload, t.now, kin)
	if len(named) > 0 {
		t.exec(addAccepted, named, dedupe)
	}
}

// queueChanged writes the heads that have changed.
func (t *tx) queueChanged() {
	var parked, counted ids
	for id, x := range t.heads {
		if x.parked != nil {
			parked = append(parked, id)
		}
		if x.counts {
			counted = append(counted, id)
		}
	}
	order := func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }
	if slices.SortFunc(parked, order); len(parked) > 0 {
		t.queueParked(parked)
	}
	if slices.SortFunc(counted, order); len(counted) > 0 {
		t.queueCounted(counted)
	}
}

func (t *tx) queueParked(of ids) {
	n := len(of)
	status, due, epoch, ended, waits := make([]string, n), make([]pgtype.Timestamptz, n), make([]int64, n), make([]pgtype.Timestamptz, n), make([]int64, n)
	queue, code, detail, blocked, inbox := make([]string, n), make([]string, n), make([][]byte, n), make([]string, n), make([]int64, n)
	for i, id := range of {
		x := t.heads[id]
		p := x.parked
		status[i], due[i], epoch[i], ended[i], waits[i] = string(p.status), optional(p.due), x.epoch, optional(p.ended), p.waits
		queue[i], code[i], detail[i], blocked[i] = p.queue, p.code, p.detail, p.blocked
		inbox[i] = p.inbox
		x.parked = nil
	}
	t.exec(parkAll, [][16]byte(of), status, due, epoch, ended, waits, queue, code, detail, blocked, inbox, t.now)
}

func (t *tx) queueCounted(of ids) {
	n := len(of)
	inbox, waits, status, woken, first := make([]int64, n), make([]int64, n), make([]string, n), make([]bool, n), make([]bool, n)
	for i, id := range of {
		x := t.heads[id]
		inbox[i], waits[i], status[i], woken[i] = x.inbox, x.waits, string(x.status), x.woken
		first[i] = x.first
		x.counts, x.woken, x.first = false, false, false
	}
	t.exec(countAll, [][16]byte(of), inbox, waits, status, woken, first, t.now)
}
