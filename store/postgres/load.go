package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	// Columns of a header row, in the order in which header reads them.
	headerColumns = `
		SELECT e.id, e.workflow, e.version, e.queue, coalesce(e.key, ''), e.priority, e.tags, e.status, e.due, e.created, e.changed, e.ended,
			e.owner, e.epoch, (SELECT max(seq) FROM durable.journal WHERE execution = e.id), e.inbox, e.stalls, e.stall_length,
			e.error_code, e.error, e.blocked, e.parent, e.detached, e.depth `

	readHeaders = headerColumns + `FROM durable.execution e WHERE e.id = ANY($1)`
	// The ids are between $2 and $3, which says nothing new, but leaves aside at once the
	// partitions in which they cannot be.
	readSnapshots = `
		SELECT s.* FROM unnest($1::uuid[]) AS w (id)
		CROSS JOIN LATERAL (
			SELECT execution, seq, body FROM durable.snapshot WHERE execution = w.id AND execution BETWEEN $2 AND $3 LIMIT 1) AS s`
	// With $4, all rows; else those after the snapshot.
	readRows = `
		SELECT j.execution, j.seq, j.epoch, j.at, j.body
		FROM unnest($1::uuid[]) AS w (id)
		CROSS JOIN LATERAL (
			SELECT j.* FROM durable.journal j
			WHERE j.execution = w.id AND j.execution BETWEEN $2 AND $3 AND j.seq > CASE WHEN $4 THEN 0 ELSE coalesce(
				(SELECT s.seq FROM durable.snapshot s WHERE s.execution = w.id AND s.execution BETWEEN $2 AND $3), 0) END
			ORDER BY j.seq OFFSET 0
		) AS j`
	readMessages = `
		SELECT execution, seq, topic, payload, wait, at FROM durable.message WHERE execution = ANY($1)
		ORDER BY execution, seq`
)

// header reads a row that has headerColumns.
func header(r pgx.CollectableRow) (x store.Execution, err error) {
	var stallLength int
	var blocked string
	err = r.Scan((*nullable)(&x.ID), &x.Workflow, &x.Version, &x.Queue, &x.Key, &x.Priority, &x.Tags, &x.Status,
		(*instant)(&x.Due), (*instant)(&x.Created), (*instant)(&x.Changed), (*instant)(&x.Ended),
		(*nullable)(&x.Owner), &x.Epoch, &x.Length, &x.Inbox, &x.Stalls, &stallLength, &x.ErrorCode, &x.Error, &blocked,
		(*nullable)(&x.Parent), &x.Detached, &x.Depth)
	x.Blocked = store.SplitBlocked(blocked)
	if stallLength != x.Length {
		x.Stalls = 0 // rows came since the last expiry
	}
	if len(x.Tags) == 0 {
		x.Tags = nil
	}
	return x, err
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	l := loading{of: ids{id}}
	if err := s.view(ctx, "load", func(b *pgx.Batch) { l.queue(s.schema, b, whole) }); err != nil {
		return store.Record{}, err
	}
	list := l.records()
	if len(list) == 0 {
		return store.Record{}, explain("load", fmt.Errorf("execution %s: %w", id, store.ErrNotFound))
	}
	return list[0], nil
}

// loading reads whole executions, with one statement per table however many
// they are. They must not change meanwhile: within one snapshot, or locked.
type loading struct {
	of  ids
	at  map[uuid.UUID]*store.Record
	now time.Time
}

func (l *loading) queue(in schema, b *pgx.Batch, whole bool) {
	l.at = make(map[uuid.UUID]*store.Record, len(l.of))
	which := [][16]byte(l.of)
	first, last := l.of.span()
	read(in, b, readHeaders, []any{which}, func(r pgx.CollectableRow) error {
		x, err := header(r)
		l.at[x.ID] = &store.Record{Execution: x}
		return err
	})
	if !whole {
		read(in, b, readSnapshots, []any{which, first, last}, func(r pgx.CollectableRow) error {
			var id uuid.UUID
			var seq int
			var body []byte
			err := r.Scan((*nullable)(&id), &seq, &body)
			if rec := l.at[id]; rec != nil {
				rec.SnapshotSeq, rec.Snapshot = seq, body
			}
			return err
		})
	}
	read(in, b, readRows, []any{which, first, last, whole}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var row store.Row
		err := r.Scan((*nullable)(&id), &row.Seq, &row.Epoch, (*instant)(&row.At), &row.Body)
		if rec := l.at[id]; rec != nil {
			rec.Rows = append(rec.Rows, row)
		}
		return err
	})
	read(in, b, readMessages, []any{which}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var m store.Message
		err := r.Scan((*nullable)(&id), &m.Seq, &m.Topic, &m.Payload, &m.Wait, (*instant)(&m.At))
		if rec := l.at[id]; rec != nil {
			rec.Messages = append(rec.Messages, m)
		}
		return err
	})
	read(in, b, readClock, nil, func(r pgx.CollectableRow) error { return r.Scan((*instant)(&l.now)) })
}

// records are what was there, in the order in which it was asked for.
func (l *loading) records() []store.Record {
	list := make([]store.Record, 0, len(l.of))
	for _, id := range l.of {
		if rec := l.at[id]; rec != nil {
			rec.Now = l.now
			list = append(list, *rec)
		}
	}
	return list
}
