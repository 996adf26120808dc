package storetest

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// audit looks at every execution and reports what no sequence of writes may
// lead to. It uses the reads of the contract only.
func (e *env) audit() {
	e.tb.Helper()
	f := store.Filter{Limit: 1000}
	for {
		page, err := e.st.List(e.ctx(), f)
		e.ok(err, "audit: list")
		for _, x := range page.Executions {
			rec, err := e.st.Load(e.ctx(), x.ID, true)
			e.ok(err, "audit: load")
			waits := e.waits(x.ID)
			for _, complaint := range ailments(rec, waits) {
				e.tb.Errorf("audit after %s: G21 broken: %s: %s", e.clause.name, complaint, describe(rec.Execution))
			}
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			return
		}
	}
}

// ailments lists what is wrong with one execution.
func ailments(r store.Record, waits []store.Wait) []string {
	var bad []string
	check := func(healthy bool, complaint string) {
		if !healthy {
			bad = append(bad, complaint)
		}
	}
	owned := r.Owner != uuid.Nil
	check(r.Status.Valid(), "invalid status")
	check(r.Status != store.Running || owned, "running without an owner (QU-9)")
	check(!owned || r.Status == store.Running || r.Status == store.Compensating, "owned, but neither running nor compensating")
	check(r.Status != store.Waiting || len(waits) > 0, "waiting without a wait (QU-9)")
	check(!r.Status.Ended() || len(waits) == 0, "ended with an open wait (CN-4)")
	check(r.Status.Ended() == !r.Ended.IsZero(), "Ended does not agree with the status")
	check(r.Status != store.Pending || !r.Due.IsZero(), "pending and never due")
	check(r.Status == store.Blocked || owned || len(r.Blocked) == 0, "a fingerprint, but neither blocked nor claimed out of it")
	check(r.SnapshotSeq == 0 && len(r.Snapshot) == 0, "a snapshot in a whole record")
	check(r.Length == len(r.Rows) && r.Length > 0, "length is not the number of rows")
	var epoch int64
	for i, row := range r.Rows {
		check(row.Seq == i+1, "rows are not dense")
		check(row.Epoch >= epoch && row.Epoch <= r.Epoch, "epochs of rows fall, or are ahead of the execution's")
		epoch = row.Epoch
	}
	var seq int64
	for _, m := range r.Messages {
		check(m.Seq > seq && m.Seq <= r.Inbox, "messages are out of order or beyond the inbox")
		seq = m.Seq
	}
	return bad
}

func describe(x store.Execution) string {
	return fmt.Sprintf("%s %s owner=%v epoch=%d length=%d inbox=%d due=%v", x.ID, x.Status, x.Owner != uuid.Nil, x.Epoch, x.Length, x.Inbox, x.Due)
}
