package sqlite

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// advance is the hot path: for a plain step of an execution whose head is kept
// it is one INSERT.
func (t *tx) advance(a *store.Advance) (store.Verdict, error) {
	x, err := t.head(a.ID)
	if err != nil || x == nil {
		return store.Verdict{Code: store.Superseded}, err
	}
	switch {
	case a.Owner == uuid.Nil || x.owner != a.Owner || x.epoch != a.Epoch || x.length != a.Base:
		return t.late(x, a)
	case a.Seen >= 0 && x.inbox > a.Seen:
		return store.Verdict{Code: store.Unseen, Inbox: x.inbox}, nil
	case !a.NotBefore.IsZero() && t.now < micros(a.NotBefore):
		return store.Verdict{Code: store.Early}, nil
	case len(a.Recall) > 0 && x.status != store.Compensating:
		return store.Verdict{}, fmt.Errorf("execution %s is %s and recalls children: %w", a.ID, x.status, store.ErrRefused)
	}
	if len(a.Holds) > 0 {
		if fits, at, err := t.hold(x, a.Holds); err != nil || !fits {
			return store.Verdict{Code: store.Full, At: at}, err
		}
	}
	if len(a.Row) > 0 {
		if err := t.append(x, a.Row); err != nil {
			return store.Verdict{}, err
		}
	}
	took, err := t.carry(x, a)
	if err != nil {
		return store.Verdict{}, err
	}
	if err := t.bear(a.Children); err != nil {
		return store.Verdict{}, err
	}
	if err := t.tellAll(a.ID, a.Tell); err != nil {
		return store.Verdict{}, err
	}
	if r := a.Parting(took); r != nil {
		if err := t.release(a.ID, x, r); err != nil {
			return store.Verdict{}, err
		}
	}
	if err := t.recallAll(a.ID, x, a.Recall); err != nil {
		return store.Verdict{}, err
	}
	return store.Verdict{Code: store.Applied, Inbox: x.inbox}, nil
}

// late tells a write that had landed before from one that is out of date.
func (t *tx) late(x *head, a *store.Advance) (store.Verdict, error) {
	if len(a.Row) == 0 || a.Base < 0 || a.Base >= x.length {
		return store.Verdict{Code: store.Superseded}, nil
	}
	landed, err := t.one("SELECT 1 FROM journal WHERE execution = ? AND seq = ? AND epoch = ? AND body = ?", func(row) {}, x.n, a.Base+1, a.Epoch, a.Row)
	if err != nil || !landed {
		return store.Verdict{Code: store.Superseded}, err
	}
	return store.Verdict{Code: store.Landed, Inbox: x.inbox}, nil
}

// carry writes what comes with a row. It reports whether something that was published is
// there for a wait that it was to open.
func (t *tx) carry(x *head, a *store.Advance) (took bool, err error) {
	if a.Snapshot != nil {
		if err := t.snapshot(x, a.Snapshot); err != nil {
			return false, err
		}
		fail.Point(fail.Snapshot)
	}
	for _, seq := range a.Took {
		if _, err := t.exec("DELETE FROM message WHERE execution = ? AND seq = ?", x.n, seq); err != nil {
			return false, err
		}
	}
	if err := t.shut(x, a.Shut); err != nil {
		return false, err
	}
	if took, err = t.open(x, a); err != nil {
		return false, err
	}
	if err := t.alter(x, a.Alter); err != nil {
		return false, err
	}
	if len(a.Open) > 0 {
		fail.Point(fail.WaitOpen)
	}
	for i := range a.Logs {
		if err := t.log(x, &a.Logs[i]); err != nil {
			return false, err
		}
	}
	if len(a.Logs) > 0 {
		fail.Point(fail.LogFlush)
	}
	for i := range a.Chunks {
		if err := t.stream(x, &a.Chunks[i]); err != nil {
			return false, err
		}
	}
	if len(a.Chunks) > 0 {
		fail.Point(fail.StreamFlush)
	}
	for _, content := range a.Blobs {
		if err := t.keep(x, content); err != nil {
			return false, err
		}
	}
	return took, nil
}

// snapshot replaces the snapshot of an execution with one of all its rows.
func (t *tx) snapshot(x *head, body []byte) error {
	_, err := t.exec(`INSERT INTO snapshot (execution, seq, body) VALUES (?, ?, ?)
		ON CONFLICT (execution) DO UPDATE SET seq = excluded.seq, body = excluded.body`, x.n, x.length, body)
	return err
}
