package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/durable-go/durable/store"
)

// Nearly all writes are of three kinds, and a batch of them is one round trip
// with one statement for each kind: begins, steps (a row, perhaps blobs) and
// partings (a row, a release, perhaps waits). A statement takes what fits and
// leaves the rest without a verdict, to be judged one by one.
//
// The execution of a step is read and not locked: the lease that the
// transaction holds keeps owner and epoch as they are, and the last row's number
// is the base. The same owner on two connections races for the journal's key:
// then the transaction fails and all are judged one by one.
//
// The LIMITs pin the plan: one look into an index per row.
const (
	steps = `
		WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
		fits AS MATERIALIZED (
			SELECT w.id, w.base, w.epoch, w.body, x.inbox
			FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[]) AS w (id, owner, epoch, base, seen, body)
			CROSS JOIN LATERAL (SELECT e.owner, e.epoch, e.inbox FROM durable.execution e WHERE e.id = w.id LIMIT 1) AS x
			CROSS JOIN LATERAL (
				SELECT j.seq FROM durable.journal j WHERE j.execution = w.id AND j.execution BETWEEN $7 AND $8 ORDER BY j.seq DESC LIMIT 1) AS last
			WHERE x.owner = w.owner AND x.epoch = w.epoch AND last.seq = w.base AND (w.seen < 0 OR x.inbox <= w.seen)
		),
		written AS (
			INSERT INTO durable.journal (execution, seq, epoch, at, body)
			SELECT fits.id, fits.base + 1, fits.epoch, clock.now, fits.body FROM fits, clock
		)
		SELECT clock.now, ARRAY(SELECT id FROM fits), ARRAY(SELECT inbox FROM fits) FROM clock`

	// The rows of executions are locked if nobody else has them; a lock gives
	// their newest version. What a message has changed at this moment is left out.
	partings = `
		WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
		fits AS MATERIALIZED (
			SELECT w.*, x.inbox
			FROM clock, unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::integer[], $5::bigint[], $6::bytea[], $7::timestamptz[],
					$8::text[], $9::text[], $10::timestamptz[], $11::boolean[], $12::text[], $13::bytea[], $14::bigint[])
				AS w (id, owner, epoch, base, seen, body, not_before, status, queue, due, ends, code, detail, waits)
			CROSS JOIN LATERAL (
				SELECT e.owner, e.epoch, e.inbox, e.waits, e.status FROM durable.execution e WHERE e.id = w.id
				LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
			) AS x
			CROSS JOIN LATERAL (
				SELECT j.seq FROM durable.journal j WHERE j.execution = w.id AND j.execution BETWEEN $25 AND $26 ORDER BY j.seq DESC LIMIT 1) AS last
			WHERE x.owner = w.owner AND x.epoch = w.epoch AND x.status = 'running' AND x.waits = 0 AND last.seq = w.base
				AND (w.seen < 0 OR x.inbox <= w.seen) AND (w.not_before IS NULL OR w.not_before <= clock.now)
				AND (SELECT TRUE FROM durable.hold h WHERE h.execution = w.id LIMIT 1) IS NULL
		),
		written AS (
			INSERT INTO durable.journal (execution, seq, epoch, at, body)
			SELECT fits.id, fits.base + 1, fits.epoch, clock.now, fits.body FROM fits, clock
		),
		opened AS (
			INSERT INTO durable.wait (id, execution, path, call, kind, name, topic, deadline, opened, label, detail)
			SELECT v.id, v.execution, v.path, v.call, v.kind, v.name, v.topic, v.deadline, clock.now, v.label, v.detail
			FROM clock, unnest($15::text[], $16::uuid[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::timestamptz[], $23::text[], $24::bytea[])
				AS v (id, execution, path, call, kind, name, topic, deadline, label, detail)
			WHERE (v.execution IN (SELECT id FROM fits)) IS TRUE
		),
		parted AS (
			UPDATE durable.execution e SET status = f.status, due = CASE WHEN f.due = '-infinity' THEN clock.now ELSE f.due END, owner = NULL,
				changed = clock.now, ended = CASE WHEN f.ends THEN clock.now END, waits = f.waits,
				queue = coalesce(nullif(f.queue, ''), e.queue), error_code = f.code, error = f.detail, blocked = ''
			FROM fits f, clock WHERE e.id = f.id
		)
		SELECT clock.now, ARRAY(SELECT id FROM fits), ARRAY(SELECT inbox FROM fits) FROM clock`
)

const maxBase = 1<<31 - 2 // what the column holds, less one

// quick is the writes of a batch that quick statements can take, by their places.
type quick struct {
	begins   []int
	steps    []int
	partings []int
}

func (q *quick) count() int { return len(q.begins) + len(q.steps) + len(q.partings) }

// quickOf sorts the writes of a batch. Executions that get a message in the same
// batch are left out, and second begins with one key, since their order counts.
func quickOf(writes []store.Write) (q quick) {
	told, keys := map[store.ID]bool{}, map[[2]string]bool{}
	for i := range writes {
		if d := writes[i].Deliver; d != nil {
			told[d.ID] = true
		}
	}
	for i := range writes {
		a := writes[i].Advance
		switch {
		case writes[i].Begin != nil && writes[i].Begin.Snapshot != nil:
			continue
		case writes[i].Begin != nil:
			if key := [2]string{writes[i].Begin.Workflow, writes[i].Begin.Key}; key[1] == "" || !keys[key] {
				keys[key] = true
				q.begins = append(q.begins, i)
			}
			continue
		case a == nil || len(a.Row) == 0 || a.Owner == uuid.Nil || a.Base < 0 || a.Base > maxBase || told[a.ID],
			a.Snapshot != nil, len(a.Took)+len(a.Shut)+len(a.Alter)+len(a.Logs)+len(a.Chunks)+len(a.Holds)+len(a.Children)+len(a.Tell)+len(a.Recall) > 0:
			continue
		case slices.ContainsFunc(a.Open, isShared): // something may be kept for it
			continue
		case a.Release != nil && len(a.Blobs) == 0 && parts(a):
			q.partings = append(q.partings, i)
		case a.Release == nil && a.NotBefore.IsZero() && len(a.Open) == 0:
			q.steps = append(q.steps, i)
		}
	}
	q.begins = beginnings(writes, q.begins)
	return q
}

// parts tells whether a release is of a kind that partings know.
func parts(a *store.Advance) bool {
	switch s := a.Release.Status; {
	case len(a.Release.Report) > 0 || a.Release.Family != nil:
		return false // there is a family to be told
	case s == store.Waiting:
		return len(a.Open) > 0
	case s == store.Pending:
		return true
	default:
		// Who is blocked remembers by which code, which is read first.
		return len(a.Open) == 0 && s != store.Running && s != store.Blocked && store.Legal(store.Running, s)
	}
}

// commitQuick commits a batch in one round trip. Writes that did not fit have
// no verdict.
func (s *Store) commitQuick(ctx context.Context, writes []store.Write, q quick, verdicts []store.Verdict) (now time.Time, err error) {
	if err := s.enter(ctx); err != nil {
		return time.Time{}, err
	}
	c, err := s.acquire(ctx, s.write)
	if err != nil {
		return time.Time{}, err
	}
	defer leave(c)
	var b pgx.Batch
	b.Queue(beginWrite)
	all := slices.Concat(q.begins, q.steps, q.partings)
	if leases := locksOf(writes, all).leases; len(leases) > 0 {
		b.Queue(s.schema.of(shareLeases), [][16]byte(leases))
	}
	s.schema.queueSteps(&b, steps, stepArgs(writes, q.steps), writes, q.steps, verdicts, &now)
	s.schema.queueSteps(&b, partings, partingColumns(writes, q.partings), writes, q.partings, verdicts, &now)
	if len(q.begins) > 0 { // last: it may wait for another's key
		s.schema.queueBegins(&b, writes, q.begins, func(at time.Time, made ids) {
			now = at
			done := made.set()
			for _, i := range q.begins {
				if done[writes[i].Begin.ID] {
					verdicts[i] = store.Verdict{Code: store.Applied}
				}
			}
		})
	}
	s.schema.queueBlobs(&b, blobsOf(writes, slices.Concat(q.begins, q.steps))) // after all that may wait for anything else, see finish
	if err := appliedQuick(ctx, c.Conn(), &b, writes, q); err != nil {
		rollback(ctx, c.Conn())
		return time.Time{}, err
	}
	ended := ""
	b.Queue(commitTx).Exec(func(tag pgconn.CommandTag) error {
		ended = tag.String()
		return nil
	})
	if err := c.SendBatch(ctx, &b).Close(); err != nil {
		rollback(ctx, c.Conn())
		return time.Time{}, err
	}
	if ended != isCommitted {
		return time.Time{}, pgx.ErrTxCommitRollback
	}
	if concernsOthers(writes, verdicts) {
		s.hint()
	}
	return now, nil
}

// concernsOthers tells whether something was written that somebody else may
// want to know: not a step, nor what began in its owner's hands, nor an end.
func concernsOthers(writes []store.Write, verdicts []store.Verdict) bool {
	for i := range writes {
		b, a := writes[i].Begin, writes[i].Advance
		switch {
		case verdicts[i].Code != store.Applied:
		case b != nil && b.Owner == uuid.Nil, a != nil && a.Release != nil && !a.Release.Status.Ended():
			return true
		}
	}
	return false
}

// queueSteps adds a statement that gives verdicts to those that it has written.
func (n schema) queueSteps(b *pgx.Batch, statement string, args []any, writes []store.Write, of []int, verdicts []store.Verdict, now *time.Time) {
	if len(of) == 0 {
		return
	}
	read(n, b, statement, args, func(r pgx.CollectableRow) error {
		var written ids
		var inboxes []int64
		if err := r.Scan((*instant)(now), (*[][16]byte)(&written), &inboxes); err != nil {
			return err
		}
		inbox := make(map[store.ID]int64, len(written))
		for k, id := range written {
			inbox[id] = inboxes[k]
		}
		for _, i := range of {
			if n, applied := inbox[writes[i].Advance.ID]; applied {
				verdicts[i] = store.Verdict{Code: store.Applied, Inbox: n}
			}
		}
		return nil
	})
}

// blobsOf are the blobs of begins and steps, which are kept if their rows are written.
func blobsOf(writes []store.Write, of []int) (list []blobDraft) {
	add := func(id store.ID, bodies [][]byte, seq int32, epoch int64) {
		for _, body := range bodies {
			d := newBlobDraft(id, body)
			d.seq, d.epoch = seq, epoch
			list = append(list, d)
		}
	}
	for _, i := range of {
		if a := writes[i].Advance; a != nil {
			add(a.ID, a.Blobs, int32(a.Base)+1, a.Epoch)
			continue
		}
		b, epoch := writes[i].Begin, int64(0)
		if b.Owner != uuid.Nil {
			epoch = 1
		}
		add(b.ID, b.Blobs, 1, epoch)
	}
	return list
}

// stepArgs are the arguments of steps.
func stepArgs(writes []store.Write, of []int) []any {
	args := stepColumns(writes, of)
	first, last := ids(args[0].([][16]byte)).span()
	return append(args, first, last)
}

// stepColumns are the first arguments of steps and partings.
func stepColumns(writes []store.Write, of []int) []any {
	n := len(of)
	id, owner, epoch := make(ids, n), make(ids, n), make([]int64, n)
	base, seen, body := make([]int32, n), make([]int64, n), make([][]byte, n)
	for k, i := range of {
		a := writes[i].Advance
		id[k], owner[k], epoch[k], base[k], seen[k], body[k] = a.ID, a.Owner, a.Epoch, int32(a.Base), a.Seen, a.Row
	}
	return []any{[][16]byte(id), [][16]byte(owner), epoch, base, seen, body}
}

// partingColumns are the arguments of partings.
func partingColumns(writes []store.Write, of []int) []any {
	n := len(of)
	notBefore, due, waits, ends := make([]pgtype.Timestamptz, n), make([]pgtype.Timestamptz, n), make([]int64, n), make([]bool, n)
	status, queue, code, detail := make([]string, n), make([]string, n), make([]string, n), make([][]byte, n)
	var opened []waitDraft
	for k, i := range of {
		a := writes[i].Advance
		r := a.Release
		notBefore[k], waits[k], ends[k] = optional(a.NotBefore), int64(len(a.Open)), r.Status.Ended()
		status[k], queue[k] = string(r.Status), r.Queue
		switch {
		case r.Status.Ended():
			code[k], detail[k] = r.ErrorCode, r.Error
		case r.Due.IsZero() && r.Status != store.Waiting:
			due[k] = pgtype.Timestamptz{Valid: true, InfinityModifier: pgtype.NegativeInfinity} // now
		default:
			due[k] = optional(r.Due)
		}
		for w := range a.Open {
			opened = append(opened, waitDraft{a.ID, &a.Open[w]})
		}
	}
	args := append(stepColumns(writes, of), notBefore, status, queue, due, ends, code, detail, waits)
	first, last := ids(args[0].([][16]byte)).span()
	return append(append(args, waitColumns(opened)...), first, last)
}
