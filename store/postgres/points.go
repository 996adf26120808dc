package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// Crash tests need moments at which a transaction has written and not yet
// committed. In one round trip there are none that a client could see; so with
// the points built in, and only then, the commit is sent apart from what goes
// before it. The constant fail.On is false in all other builds.

// applied sends what a transaction writes, and passes the points before its commit.
func (t *tx) applied(ctx context.Context) error {
	if !fail.On {
		return nil
	}
	d := &t.draft
	m := moments{
		wrote: len(d.rows)+len(d.messages)+len(d.logs)+len(d.chunks) > 0, snapshot: len(d.snapshots) > 0, opened: len(d.opened) > 0,
		logged: len(d.logs) > 0, streamed: len(d.chunks) > 0, told: len(d.messages) > 0, parted: parked(t.heads), controlled: t.controlled,
	}
	d.queue(t)
	if err := t.flush(ctx); err != nil {
		return err
	}
	pass(m)
	return nil
}

func parked(heads map[store.ID]*head) bool {
	for _, x := range heads {
		if x.parked != nil {
			return true
		}
	}
	return false
}

// appliedQuick is the same for a quick batch.
func appliedQuick(ctx context.Context, c *pgx.Conn, b *pgx.Batch, writes []store.Write, q quick) error {
	if !fail.On {
		return nil
	}
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	*b = pgx.Batch{}
	m := moments{wrote: true, parted: len(q.partings) > 0}
	for _, i := range q.partings {
		m.opened = m.opened || len(writes[i].Advance.Open) > 0
	}
	pass(m)
	return nil
}

// moments are what a transaction that has not committed has done.
type moments struct{ wrote, snapshot, opened, logged, streamed, told, parted, controlled bool }

func pass(m moments) {
	if m.controlled {
		fail.Point(fail.Control)
	}
	if m.snapshot {
		fail.Point(fail.Snapshot)
	}
	if m.opened {
		fail.Point(fail.WaitOpen)
	}
	if m.logged {
		fail.Point(fail.LogFlush)
	}
	if m.streamed {
		fail.Point(fail.StreamFlush)
	}
	if m.told {
		fail.Point(fail.DeliverBetween)
	}
	if m.parted {
		fail.Point(fail.Release)
	}
	if m.wrote {
		fail.Point(fail.CommitFlush)
	}
}
