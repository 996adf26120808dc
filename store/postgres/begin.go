package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/durable-go/durable/store"
)

// Executions and their first rows. What is in the way of one, an ID or a key,
// keeps only that one out. An eager start needs a live lease, which the
// transaction holds. Back come the time and the IDs that were made.
const addExecutions = `
	WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
	made AS (
		INSERT INTO durable.execution (id, workflow, version, queue, key, priority, tags, status, due, owner, epoch, created, changed, input_hash)
		SELECT b.id, b.workflow, b.version, b.queue, nullif(b.key, ''), b.priority, b.tags::text[],
			CASE WHEN b.owner IS NULL THEN 'pending' ELSE 'running' END,
			CASE WHEN b.owner IS NULL THEN coalesce(b.due, clock.now) END,
			b.owner, CASE WHEN b.owner IS NULL THEN 0 ELSE 1 END, clock.now, clock.now, b.input_hash
		FROM clock, unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::timestamptz[], $9::uuid[], $10::bytea[])
			AS b (id, workflow, version, queue, key, priority, tags, due, owner, input_hash)
		WHERE b.owner IS NULL OR EXISTS (SELECT FROM durable.lease l WHERE l.who = b.owner AND l.expires > clock.now)
		ON CONFLICT DO NOTHING
		RETURNING id, epoch
	),
	written AS (
		INSERT INTO durable.journal (execution, seq, epoch, at, body)
		SELECT b.id, 1, CASE WHEN b.owner IS NULL THEN 0 ELSE 1 END, clock.now, b.body
		FROM clock, unnest($1::uuid[], $9::uuid[], $11::bytea[]) AS b (id, owner, body)
		WHERE (b.id IN (SELECT id FROM made)) IS TRUE
	)
	SELECT clock.now, ARRAY(SELECT id FROM made) FROM clock`

// beginnings are the begins of a batch by their places, in an order in which two
// batches cannot wait for each other's keys.
func beginnings(writes []store.Write, of []int) []int {
	list := slices.DeleteFunc(slices.Clone(of), func(i int) bool { return writes[i].Begin == nil })
	slices.SortStableFunc(list, func(i, k int) int {
		a, b := writes[i].Begin, writes[k].Begin
		if a.Key == "" && b.Key == "" {
			return 0
		}
		return cmp.Or(cmp.Compare(a.Workflow, b.Workflow), cmp.Compare(a.Key, b.Key))
	})
	return list
}

// queueBegins adds the statement that makes the executions of some begins.
func (n schema) queueBegins(b *pgx.Batch, writes []store.Write, of []int, made func(now time.Time, ids ids)) {
	size := len(of)
	id, owner, due := make([][16]byte, size), make([]pgtype.UUID, size), make([]pgtype.Timestamptz, size)
	workflow, version, queue, key, tags := make([]string, size), make([]string, size), make([]string, size), make([]string, size), make([]string, size)
	priority, hash, row := make([]int32, size), make([][]byte, size), make([][]byte, size)
	for k, i := range of {
		w := writes[i].Begin
		id[k], owner[k], due[k] = w.ID, pgtype.UUID{Bytes: w.Owner, Valid: w.Owner != uuid.Nil}, optional(w.Due)
		workflow[k], version[k], queue[k], key[k], tags[k] = w.Workflow, w.Version, w.Queue, w.Key, textArray(w.Tags)
		priority[k], hash[k], row[k] = int32(w.Priority), w.InputHash, w.Row
	}
	args := []any{id, workflow, version, queue, key, priority, tags, due, owner, hash, row}
	read(n, b, addExecutions, args, func(r pgx.CollectableRow) error {
		var now time.Time
		var done ids
		err := r.Scan((*instant)(&now), (*[][16]byte)(&done))
		made(now, done)
		return err
	})
}

// textArray writes a list as the database reads one.
func textArray(list []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

const whatIsThere = `
	SELECT EXISTS (SELECT FROM durable.execution WHERE id = $1), x.id, x.input_hash
	FROM (SELECT) AS one LEFT JOIN LATERAL (SELECT e.id, e.input_hash FROM durable.execution e WHERE e.workflow = $2 AND e.key = $3) AS x ON TRUE`

// begin judges a Begin: it was made with the locks, or something was in the way.
func (t *tx) begin(ctx context.Context, b *store.Begin) (v store.Verdict, err error) {
	if _, made := t.begun[b.ID]; made {
		t.begun[b.ID] = true
		t.hints = t.hints || b.Owner == uuid.Nil
		if b.Snapshot != nil {
			t.draft.snapshots = append(t.draft.snapshots, rowDraft{id: b.ID, seq: 1, body: b.Snapshot})
		}
		for _, body := range b.Blobs {
			t.draft.blobs = append(t.draft.blobs, newBlobDraft(b.ID, body))
		}
		return store.Verdict{Code: store.Applied}, nil
	}
	var there bool
	var id uuid.UUID
	var hash []byte
	// What was in the way has been committed by now, so it is seen.
	if _, err := t.one(ctx, whatIsThere, []any{[16]byte(b.ID), b.Workflow, textOrNull(b.Key)}, &there, (*nullable)(&id), &hash); err != nil {
		return v, err
	}
	if turn, ofBatch := t.begun[id]; ofBatch && !turn {
		id = uuid.Nil // it comes after this one
	}
	switch {
	case there:
		return store.Verdict{Code: store.Landed}, nil
	case id != uuid.Nil:
		return store.Verdict{Code: store.Exists, ID: id, Same: bytes.Equal(hash, b.InputHash)}, nil
	case b.Owner != uuid.Nil && !t.alive[b.Owner]:
		return store.Verdict{Code: store.Superseded}, nil
	}
	return v, errRaced // it has gone meanwhile
}
