package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

const (
	// The priorities that some queues have, highest first, by jumping from one to
	// the next: is any due, and when is the next one? What sleeps is not looked at.
	// Then the queues that have executions blocked by other code, by jumping from one
	// list of fingerprints to the next, and with it all the time and whether the lease
	// is alive. (A SELECT with LIMIT 1 where an EXISTS might read the whole index.)
	lookAround = `
		WITH RECURSIVE clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
		line (queue, priority) AS (
			SELECT asked.queue, (SELECT max(e.priority) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = asked.queue)
			FROM unnest($1::text[]) AS asked (queue)
			UNION ALL
			SELECT line.queue, (SELECT max(e.priority) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = line.queue AND e.priority < line.priority)
			FROM line WHERE line.priority IS NOT NULL
		),
		kind (queue, workflow, version, fingerprint, blocked) AS (
			SELECT asked.queue, d.workflow, d.version, d.fingerprint,
				(SELECT min(e.blocked) FROM durable.execution e
					WHERE e.status = 'blocked' AND e.queue = asked.queue AND e.workflow = d.workflow AND e.version = d.version)
			FROM unnest($1::text[]) AS asked (queue), unnest($3::text[], $4::text[], $5::text[]) AS d (workflow, version, fingerprint)
			WHERE (SELECT TRUE FROM durable.execution e WHERE e.status = 'blocked' AND e.queue = asked.queue LIMIT 1)
			UNION ALL
			SELECT kind.queue, kind.workflow, kind.version, kind.fingerprint,
				(SELECT min(e.blocked) FROM durable.execution e
					WHERE e.status = 'blocked' AND e.queue = kind.queue AND e.workflow = kind.workflow AND e.version = kind.version AND e.blocked > kind.blocked)
			FROM kind WHERE kind.blocked IS NOT NULL
		),
		seen AS (
			SELECT line.queue, line.priority,
				(SELECT TRUE FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = line.queue AND e.priority = line.priority AND e.due <= (SELECT now FROM clock) LIMIT 1) IS NOT NULL AS due,
				(SELECT min(e.due) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = line.queue AND e.priority = line.priority AND e.due > (SELECT now FROM clock)) AS next,
				FALSE AS blocked
			FROM line WHERE line.priority IS NOT NULL
			UNION ALL
			SELECT DISTINCT kind.queue, NULL::integer, NULL::boolean, NULL::timestamptz, TRUE FROM kind
			WHERE kind.fingerprint <> ALL (string_to_array(kind.blocked, ' '))
		)
		SELECT clock.now, EXISTS (SELECT FROM durable.lease WHERE who = $2 AND expires > clock.now), ` + pauseColumns + `, seen.*
		FROM clock LEFT JOIN seen ON TRUE
		ORDER BY seen.blocked, seen.queue, seen.priority DESC`

	// What somebody else has locked he is claiming, or he changes it and gives a hint.
	takeDue = `
		SELECT e.id FROM durable.execution e
		WHERE e.due IS NOT NULL AND e.queue = $1 AND e.priority = $2 AND e.due <= $3
			AND (e.workflow, e.version) IN (SELECT * FROM unnest($4::text[], $5::text[]))
		ORDER BY e.due, e.id LIMIT $6 FOR NO KEY UPDATE SKIP LOCKED`
	// Of each list of fingerprints a few more than asked for, since others may have some.
	takeBlocked = `
		WITH RECURSIVE kind (workflow, version, fingerprint, blocked) AS (
			SELECT d.workflow, d.version, d.fingerprint,
				(SELECT min(e.blocked) FROM durable.execution e
					WHERE e.status = 'blocked' AND e.queue = $1 AND e.workflow = d.workflow AND e.version = d.version)
			FROM unnest($2::text[], $3::text[], $4::text[]) AS d (workflow, version, fingerprint)
			UNION ALL
			SELECT kind.workflow, kind.version, kind.fingerprint,
				(SELECT min(e.blocked) FROM durable.execution e
					WHERE e.status = 'blocked' AND e.queue = $1 AND e.workflow = kind.workflow AND e.version = kind.version AND e.blocked > kind.blocked)
			FROM kind WHERE kind.blocked IS NOT NULL
		),
		few AS MATERIALIZED (
			SELECT x.id, kind.blocked FROM kind CROSS JOIN LATERAL (
				SELECT e.id, e.priority FROM durable.execution e
				WHERE e.status = 'blocked' AND e.queue = $1 AND e.workflow = kind.workflow AND e.version = kind.version AND e.blocked = kind.blocked
				ORDER BY e.priority DESC, e.id LIMIT $5 + 100
			) AS x
			WHERE kind.fingerprint <> ALL (string_to_array(kind.blocked, ' '))
			ORDER BY x.priority DESC, x.id LIMIT $5 + 100
		)
		SELECT x.id FROM few CROSS JOIN LATERAL (
			SELECT e.id FROM durable.execution e WHERE e.id = few.id AND e.status = 'blocked' AND e.queue = $1 AND e.blocked = few.blocked
			LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
		) AS x
		LIMIT $5`
	claimAll = `
		UPDATE durable.execution SET owner = $2, epoch = epoch + 1, status = CASE WHEN status = 'compensating' THEN status ELSE 'running' END,
			due = NULL, changed = $3, error_code = '', error = NULL
		WHERE id = ANY($1)`
	// Without locks: what others are just claiming may still be counted in. To lock one
	// more than the limit would hide it from those that have room for it. The OFFSET
	// keeps workflows out of the search: an index on them has all that has finished.
	anyLeft = `
		WITH RECURSIVE line (priority) AS (
			SELECT max(e.priority) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = $1
			UNION ALL
			SELECT (SELECT max(e.priority) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = $1 AND e.priority < line.priority)
			FROM line WHERE line.priority IS NOT NULL
		),
		kind (workflow, version, fingerprint, blocked) AS (
			SELECT d.workflow, d.version, d.fingerprint,
				(SELECT min(e.blocked) FROM durable.execution e
					WHERE e.status = 'blocked' AND e.queue = $1 AND e.workflow = d.workflow AND e.version = d.version)
			FROM unnest($3::text[], $4::text[], $5::text[]) AS d (workflow, version, fingerprint)
			UNION ALL
			SELECT kind.workflow, kind.version, kind.fingerprint,
				(SELECT min(e.blocked) FROM durable.execution e
					WHERE e.status = 'blocked' AND e.queue = $1 AND e.workflow = kind.workflow AND e.version = kind.version AND e.blocked > kind.blocked)
			FROM kind WHERE kind.blocked IS NOT NULL
		)
		SELECT EXISTS (SELECT FROM line CROSS JOIN LATERAL (
				SELECT e.workflow, e.version FROM durable.execution e
				WHERE e.due IS NOT NULL AND e.queue = $1 AND e.priority = line.priority AND e.due <= $2 OFFSET 0
			) AS e WHERE (e.workflow, e.version) IN (SELECT * FROM unnest($3::text[], $4::text[])))
			OR EXISTS (SELECT FROM kind WHERE kind.fingerprint <> ALL (string_to_array(kind.blocked, ' ')))`
)

// Claim implements store.Store. It looks before it opens a transaction, so that
// an idle worker costs one statement.
func (s *Store) Claim(ctx context.Context, req store.ClaimRequest) (got store.Claimed, err error) {
	c := claim{definitions: columns(req.Definitions), room: room{req: &req}}
	err = s.enter(ctx)
	if err == nil {
		err = fail.Err(fail.ClaimBefore)
	}
	if err != nil {
		return got, explain("claim", err)
	}
	if err := c.look(ctx, s, req); err != nil {
		return got, explain("claim", err)
	}
	if err := c.narrow(ctx, s); err != nil {
		return got, explain("claim", err)
	}
	if len(c.due) == 0 && len(c.blocked) == 0 {
		return store.Claimed{Now: c.now, NextDue: c.nextDue(), Paused: c.paused}, nil
	}
	err = s.update(ctx, "claim", func(ctx context.Context, t *tx) error {
		got, err = c.take(ctx, t, req)
		if len(got.Records) > 0 {
			fail.Point(fail.ClaimTaken)
		}
		return err
	})
	if err == nil {
		err = fail.Err(fail.ClaimAfter)
	}
	if err != nil {
		return store.Claimed{}, err
	}
	return got, nil
}

// definitions are what may be claimed, as columns.
type definitions struct{ workflows, versions, fingerprints []string }

func columns(asked []store.Definition) (d definitions) {
	places := map[[2]string]int{}
	for _, a := range asked {
		i, twice := places[[2]string{a.Workflow, a.Version}]
		if twice {
			d.fingerprints[i] = a.Fingerprint
			continue
		}
		places[[2]string{a.Workflow, a.Version}] = len(d.workflows)
		d.workflows, d.versions, d.fingerprints = append(d.workflows, a.Workflow), append(d.versions, a.Version), append(d.fingerprints, a.Fingerprint)
	}
	return d
}

// claim is a search for what to take.
type claim struct {
	definitions
	room
	now     time.Time
	due     []line   // priorities that have due executions, highest first
	blocked []string // queues that have blocked ones
	next    time.Time
	left    map[string]int // how many more of a queue; those asked with 0 are not in it
	taken   ids
}

type line struct {
	queue    string
	priority int
}

func leaseLost(who store.Incarnation) error {
	return fmt.Errorf("incarnation %s: %w", who, store.ErrLeaseLost)
}

// look asks what there may be to take.
func (c *claim) look(ctx context.Context, s *Store, req store.ClaimRequest) error {
	names := make([]string, 0, len(req.Queues))
	for name := range req.Queues {
		names = append(names, name)
	}
	slices.Sort(names)
	alive := false
	row := func(r pgx.CollectableRow) error {
		var queue *string
		var priority *int
		var any, isBlocked *bool
		var next time.Time
		var p pauses
		if err := r.Scan((*instant)(&c.now), &alive, &p.queues, &p.since, &p.by, &queue, &priority, &any, (*instant)(&next), &isBlocked); err != nil {
			return err
		}
		c.paused = p.list()
		switch {
		case queue == nil:
		case *isBlocked:
			c.blocked = append(c.blocked, *queue)
		default:
			if *any {
				c.due = append(c.due, line{*queue, *priority})
			}
			if c.next.IsZero() || !next.IsZero() && next.Before(c.next) {
				c.next = next
			}
		}
		return nil
	}
	err := s.use(ctx, s.write, func(conn *pgx.Conn) error {
		return query(ctx, conn, s.schema.of(lookAround), []any{names, [16]byte(req.Owner), c.workflows, c.versions, c.fingerprints}, row)
	})
	if err == nil && !alive {
		err = leaseLost(req.Owner)
	}
	return err
}

// take locks and claims what look has found.
func (c claim) take(ctx context.Context, t *tx, req store.ClaimRequest) (got store.Claimed, err error) {
	c.left, c.taken = map[string]int{}, nil
	for name := range req.Queues {
		if limit := c.limit(name); limit > 0 {
			c.left[name] = limit
		}
	}
	var l locks
	l.leases.add(req.Owner)
	expires, err := t.seize(ctx, &l)
	if err != nil {
		return got, err
	}
	t.readClock()
	if err := c.search(ctx, t); err != nil {
		return got, err
	}
	if at, there := expires[req.Owner]; !there || !t.now.Before(at) {
		return got, leaseLost(req.Owner)
	}
	got = store.Claimed{Now: t.now, NextDue: c.nextDue(), More: map[string]bool{}, Paused: c.paused}
	if len(c.taken) == 0 {
		return got, nil
	}
	t.exec(claimAll, [][16]byte(c.taken), [16]byte(req.Owner), t.now)
	for queue, left := range c.left {
		if left > 0 || c.cut(queue) {
			continue
		}
		t.read(anyLeft, []any{queue, t.now, c.workflows, c.versions, c.fingerprints}, func(r pgx.CollectableRow) error {
			var more bool
			err := r.Scan(&more)
			got.More[queue] = more
			return err
		})
	}
	rec := loading{of: c.taken}
	rec.queue(t.s.schema, &t.later, false)
	if err := t.flush(ctx); err != nil {
		return got, err
	}
	got.Records = rec.records()
	return got, nil
}

// search locks what is due, line by line, then what is blocked by other code.
func (c *claim) search(ctx context.Context, t *tx) error {
	for _, l := range c.due {
		if err := c.from(ctx, t, l.queue, takeDue, l.queue, l.priority, c.now, c.workflows, c.versions, c.left[l.queue]); err != nil {
			return err
		}
	}
	for _, queue := range c.blocked {
		if err := c.from(ctx, t, queue, takeBlocked, queue, c.workflows, c.versions, c.fingerprints, c.left[queue]); err != nil {
			return err
		}
	}
	return t.flush(ctx)
}

// from locks executions of a queue that has room.
func (c *claim) from(ctx context.Context, t *tx, queue, statement string, args ...any) error {
	if c.left[queue] == 0 {
		return nil
	}
	t.read(statement, args, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		err := r.Scan((*nullable)(&id))
		c.taken = append(c.taken, id)
		c.left[queue]--
		return err
	})
	return t.flush(ctx)
}
