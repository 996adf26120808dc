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
			e.error_code, e.error, e.blocked `

	readHeaders   = headerColumns + `FROM durable.execution e WHERE e.id = ANY($1)`
	readSnapshots = `SELECT execution, seq, body FROM durable.snapshot WHERE execution = ANY($1)`
	// With $2, all rows; else those after the snapshot.
	readRows = `
		SELECT j.execution, j.seq, j.epoch, j.at, j.body
		FROM unnest($1::uuid[]) AS w (id) LEFT JOIN durable.snapshot s ON s.execution = w.id
		JOIN durable.journal j ON j.execution = w.id AND ($2 OR j.seq > coalesce(s.seq, 0))
		ORDER BY j.execution, j.seq`
	readMessages = `
		SELECT execution, seq, topic, payload, wait, at FROM durable.message WHERE execution = ANY($1)
		ORDER BY execution, seq`
)

// header reads a row that has headerColumns.
func header(r pgx.CollectableRow) (x store.Execution, err error) {
	var stallLength int
	err = r.Scan((*nullable)(&x.ID), &x.Workflow, &x.Version, &x.Queue, &x.Key, &x.Priority, &x.Tags, &x.Status,
		(*instant)(&x.Due), (*instant)(&x.Created), (*instant)(&x.Changed), (*instant)(&x.Ended),
		(*nullable)(&x.Owner), &x.Epoch, &x.Length, &x.Inbox, &x.Stalls, &stallLength, &x.ErrorCode, &x.Error, &x.Blocked)
	if stallLength != x.Length {
		x.Stalls = 0 // rows came since the last expiry
	}
	if len(x.Tags) == 0 {
		x.Tags = nil
	}
	return x, err
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, id store.ID, whole bool) (rec store.Record, err error) {
	err = s.view(ctx, "load", func(q pgx.Tx) error {
		list, err := s.records(ctx, q, ids{id}, whole)
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("execution %s: %w", id, store.ErrNotFound)
		}
		if err == nil {
			rec = list[0]
		}
		return err
	})
	return rec, err
}

// records reads whole executions in the order in which they are asked for, with one
// statement per table however many they are, in one round trip. They must not
// change meanwhile: within one snapshot, or locked.
func (s *Store) records(ctx context.Context, q pgx.Tx, of ids, whole bool) ([]store.Record, error) {
	at := make(map[uuid.UUID]*store.Record, len(of))
	var now time.Time
	var b pgx.Batch
	read := func(statement string, args []any, row func(pgx.CollectableRow) error) {
		b.Queue(s.schema.of(statement), args...).Query(func(rows pgx.Rows) error { return each(rows, row) })
	}
	which := [][16]byte(of)
	read(readHeaders, []any{which}, func(r pgx.CollectableRow) error {
		x, err := header(r)
		at[x.ID] = &store.Record{Execution: x}
		return err
	})
	if !whole {
		read(readSnapshots, []any{which}, func(r pgx.CollectableRow) error {
			var id uuid.UUID
			var seq int
			var body []byte
			if err := r.Scan((*nullable)(&id), &seq, &body); err != nil {
				return err
			}
			at[id].SnapshotSeq, at[id].Snapshot = seq, body
			return nil
		})
	}
	read(readRows, []any{which, whole}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var row store.Row
		if err := r.Scan((*nullable)(&id), &row.Seq, &row.Epoch, (*instant)(&row.At), &row.Body); err != nil {
			return err
		}
		at[id].Rows = append(at[id].Rows, row)
		return nil
	})
	read(readMessages, []any{which}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		var m store.Message
		if err := r.Scan((*nullable)(&id), &m.Seq, &m.Topic, &m.Payload, &m.Wait, (*instant)(&m.At)); err != nil {
			return err
		}
		at[id].Messages = append(at[id].Messages, m)
		return nil
	})
	read(readClock, nil, func(r pgx.CollectableRow) error { return r.Scan((*instant)(&now)) })
	if err := q.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	list := make([]store.Record, 0, len(of))
	for _, id := range of {
		if rec := at[id]; rec != nil {
			rec.Now = now
			list = append(list, *rec)
		}
	}
	return list, nil
}
