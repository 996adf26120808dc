package postgres

import (
	"context"

	"github.com/durable-go/durable/store"
)

const (
	// All that a message is judged by: was its name used, is its wait open, does
	// an open wait have its topic, how many are there.
	weighMessage = `
		SELECT EXISTS (SELECT FROM durable.accepted WHERE execution = $1 AND dedupe = $2),
			EXISTS (SELECT FROM durable.wait WHERE execution = $1 AND id = $3),
			EXISTS (SELECT FROM durable.wait WHERE execution = $1 AND topic = $4 AND topic <> ''),
			(SELECT count(*) FROM durable.message WHERE execution = $1)`
	addAccepted = `INSERT INTO durable.accepted (execution, dedupe) VALUES ($1, $2)`
	addMessage  = `INSERT INTO durable.message (execution, seq, topic, wait, at, payload) VALUES ($1, $2, $3, $4, $5, $6)`
	closeWait   = `DELETE FROM durable.wait WHERE id = $1`
	setInbox    = `
		UPDATE durable.execution SET inbox = $2, waits = $3, status = $4, due = CASE WHEN $5 THEN $6 ELSE due END
		WHERE id = $1`
)

func (t *tx) deliver(ctx context.Context, d *store.Deliver) (store.Verdict, error) {
	x, id := t.heads[d.ID], [16]byte(d.ID)
	if x == nil {
		return store.Verdict{Code: store.NotFound}, nil
	}
	var used, open, matches bool
	var untaken int64
	if _, err := t.one(ctx, weighMessage, []any{id, d.Dedupe, d.Wait, d.Topic}, &used, &open, &matches, &untaken); err != nil {
		return store.Verdict{}, err
	}
	switch {
	case used:
		return store.Verdict{Code: store.Landed}, nil
	case x.status.Ended():
		return store.Verdict{Code: store.Ended, Status: x.status}, nil
	case d.Wait != "" && !open:
		return store.Verdict{Code: store.NoSuchWait}, nil
	case d.Max > 0 && untaken >= int64(d.Max):
		return store.Verdict{Code: store.Full}, nil
	}
	x.inbox++
	t.exec(addAccepted, id, d.Dedupe)
	t.exec(addMessage, id, x.inbox, d.Topic, d.Wait, t.now, d.Payload)
	if d.Wait != "" {
		x.waits--
		t.exec(closeWait, d.Wait)
	}
	wakes := x.status == store.Waiting && (d.Wait != "" || matches)
	if wakes {
		x.status = store.Pending
	}
	t.exec(setInbox, id, x.inbox, x.waits, x.status, wakes, t.now)
	t.hints = true
	return store.Verdict{Code: store.Applied}, nil
}
