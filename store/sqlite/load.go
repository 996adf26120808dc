package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/durable-go/durable/store"
)

// Columns of a header row, in the order in which header reads them.
const headerColumns = `
	SELECT e.id, e.workflow, e.version, e.queue, e.key, e.priority, e.tags, e.status, e.due, e.created, e.changed, e.ended,
		e.owner, e.epoch, (SELECT max(seq) FROM journal WHERE execution = e.n), e.inbox, e.stalls, e.stall_length,
		e.error_code, e.error, e.blocked, e.parent, e.detached, e.depth, e.n, e.waits `

// header reads a row that begins with headerColumns.
func header(r row) (x store.Execution, err error) {
	x = store.Execution{
		ID: r.id(0), Workflow: r.text(1), Version: r.text(2), Queue: r.text(3), Key: r.text(4), Priority: int(r.int(5)),
		Status: store.Status(r.text(7)), Due: r.time(8), Created: r.time(9), Changed: r.time(10), Ended: r.time(11),
		Owner: r.id(12), Epoch: r.int(13), Length: int(r.int(14)), Inbox: r.int(15), Stalls: int(r.int(16)),
		ErrorCode: r.text(18), Error: r.bytes(19), Blocked: store.SplitBlocked(r.text(20)),
		Parent: r.id(21), Detached: r.int(22) != 0, Depth: int(r.int(23)),
	}
	if r.int(17) != r.int(14) {
		x.Stalls = 0 // rows came since the last expiry
	}
	x.Tags, err = decodeTags(r.text(6))
	return x, err
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, id store.ID, whole bool) (rec store.Record, err error) {
	err = s.view(ctx, "load", func(c *conn) error {
		var n int64
		found, err := c.one("SELECT n FROM execution WHERE id = ?", func(r row) { n = r.int(0) }, id)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("execution %s: %w", id, store.ErrNotFound)
		}
		now := time.Now().UnixMicro()
		list, _, err := c.records(now, []int64{n}, whole)
		if err == nil {
			rec = list[0]
		}
		return err
	})
	return rec, err
}

// records reads whole executions by their short names, in that order, with one
// statement per table however many they are.
func (c *conn) records(now int64, ns []int64, whole bool) (list []store.Record, heads []*head, err error) {
	names, err := json.Marshal(ns)
	if err != nil {
		return nil, nil, err
	}
	list = make([]store.Record, 0, len(ns))
	heads = make([]*head, 0, len(ns))
	at := make(map[int64]*store.Record, len(ns))
	err = c.query(headerColumns+`, EXISTS (SELECT 1 FROM hold WHERE execution = e.n)
		FROM json_each(?) d CROSS JOIN execution e ON e.n = d.value ORDER BY d.key`,
		func(r row) error {
			x, err := header(r)
			list = append(list, store.Record{Execution: x, Now: fromMicros(now)})
			at[r.int(24)] = &list[len(list)-1]
			heads = append(heads, &head{n: r.int(24), status: x.Status, owner: x.Owner, epoch: x.Epoch, length: x.Length, inbox: x.Inbox, waits: r.int(25), held: r.int(26) != 0, parent: x.Parent, blocked: x.Blocked})
			return err
		}, string(names))
	if err != nil {
		return nil, nil, err
	}
	if !whole {
		if err := c.query("SELECT s.execution, s.seq, s.body FROM json_each(?) d CROSS JOIN snapshot s ON s.execution = d.value",
			func(r row) error {
				x := at[r.int(0)]
				x.SnapshotSeq, x.Snapshot = int(r.int(1)), r.bytes(2)
				return nil
			}, string(names)); err != nil {
			return nil, nil, err
		}
	}
	rows := `SELECT j.execution, j.seq, j.epoch, j.at, j.body FROM json_each(?1) d CROSS JOIN journal j ON j.execution = d.value
		WHERE j.seq > CASE WHEN ?2 THEN 0 ELSE ifnull((SELECT seq FROM snapshot WHERE execution = d.value), 0) END
		ORDER BY d.key, j.seq`
	if err := c.query(rows, func(r row) error {
		x := at[r.int(0)]
		if x.Rows == nil {
			x.Rows = make([]store.Row, 0, x.Length-x.SnapshotSeq)
		}
		x.Rows = append(x.Rows, store.Row{Seq: int(r.int(1)), Epoch: r.int(2), At: r.time(3), Body: r.bytes(4)})
		return nil
	}, string(names), bit(whole)); err != nil {
		return nil, nil, err
	}
	return list, heads, c.query(`SELECT m.execution, m.seq, m.topic, m.payload, m.wait, m.at FROM json_each(?) d CROSS JOIN message m ON m.execution = d.value
		ORDER BY d.key, m.seq`,
		func(r row) error {
			x := at[r.int(0)]
			x.Messages = append(x.Messages, store.Message{Seq: r.int(1), Topic: r.text(2), Payload: r.bytes(3), Wait: r.text(4), At: r.time(5)})
			return nil
		}, string(names))
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
