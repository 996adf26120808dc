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
	// The priorities that some queues have, highest first, by jumping from one to
	// the next: is any due, and when is the next one? What sleeps is not looked at.
	readLines = `
		WITH RECURSIVE line (queue, priority) AS (
			SELECT asked.queue, (SELECT max(e.priority) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = asked.queue)
			FROM unnest($1::text[]) AS asked (queue)
			UNION ALL
			SELECT line.queue, (SELECT max(e.priority) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = line.queue AND e.priority < line.priority)
			FROM line WHERE line.priority IS NOT NULL
		)
		SELECT line.queue, line.priority,
			EXISTS (SELECT FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = line.queue AND e.priority = line.priority AND e.due <= $2),
			(SELECT min(e.due) FROM durable.execution e WHERE e.due IS NOT NULL AND e.queue = line.queue AND e.priority = line.priority AND e.due > $2)
		FROM line WHERE line.priority IS NOT NULL
		ORDER BY line.queue, line.priority DESC`
	anyBlocked = `SELECT DISTINCT queue FROM durable.execution WHERE status = 'blocked' AND queue = ANY($1)`

	// What somebody else has locked he is claiming, or he changes it and gives a hint.
	takeDue = `
		SELECT e.id FROM durable.execution e
		WHERE e.due IS NOT NULL AND e.queue = $1 AND e.priority = $2 AND e.due <= $3
			AND (e.workflow, e.version) IN (SELECT * FROM unnest($4::text[], $5::text[]))
		ORDER BY e.due, e.id LIMIT $6 FOR NO KEY UPDATE SKIP LOCKED`
	takeBlocked = `
		SELECT e.id FROM durable.execution e JOIN unnest($2::text[], $3::text[], $4::text[]) AS d (workflow, version, fingerprint)
			ON d.workflow = e.workflow AND d.version = e.version AND d.fingerprint <> e.blocked
		WHERE e.status = 'blocked' AND e.queue = $1
		ORDER BY e.priority DESC, e.id LIMIT $5 FOR NO KEY UPDATE OF e SKIP LOCKED`
	claimAll = `
		UPDATE durable.execution SET owner = $2, epoch = epoch + 1, status = CASE WHEN status = 'compensating' THEN status ELSE 'running' END,
			due = NULL, changed = $3, error_code = '', error = NULL, blocked = ''
		WHERE id = ANY($1)`
	// Without locks: what others are just claiming may still be counted in. To lock one
	// more than the limit would hide it from those that have room for it.
	anyLeft = `
		SELECT EXISTS (SELECT FROM durable.execution e
				WHERE e.due IS NOT NULL AND e.queue = $1 AND e.due <= $2 AND (e.workflow, e.version) IN (SELECT * FROM unnest($3::text[], $4::text[])))
			OR EXISTS (SELECT FROM durable.execution e JOIN unnest($3::text[], $4::text[], $5::text[]) AS d (workflow, version, fingerprint)
				ON d.workflow = e.workflow AND d.version = e.version AND d.fingerprint <> e.blocked
				WHERE e.status = 'blocked' AND e.queue = $1)`
)

// Claim implements store.Store.
func (s *Store) Claim(ctx context.Context, req store.ClaimRequest) (got store.Claimed, err error) {
	err = s.update(ctx, "claim", func(ctx context.Context, t *tx) error {
		got = store.Claimed{More: map[string]bool{}}
		var l locks
		l.leases.add(req.Owner)
		if err := t.lock(ctx, l); err != nil {
			return err
		}
		if !t.alive[req.Owner] {
			return fmt.Errorf("incarnation %s: %w", req.Owner, store.ErrLeaseLost)
		}
		c := claim{tx: t, definitions: columns(req.Definitions), left: map[string]int{}}
		if err := c.search(ctx, req.Queues); err != nil {
			return err
		}
		got.Now, got.NextDue = t.now, c.next
		if len(c.taken) == 0 {
			return nil
		}
		if _, err := t.changes(ctx, claimAll, [][16]byte(c.taken), [16]byte(req.Owner), t.now); err != nil {
			return err
		}
		for queue, left := range c.left {
			if left > 0 {
				continue
			}
			more := false
			if _, err := t.one(ctx, anyLeft, []any{queue, t.now, c.workflows, c.versions, c.fingerprints}, &more); err != nil {
				return err
			}
			got.More[queue] = more
		}
		got.Records, err = s.records(ctx, t, c.taken, false)
		return err
	})
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
	*tx
	definitions
	left  map[string]int // how many more of a queue; those asked with 0 are not in it
	taken ids
	next  time.Time
}

// search locks what is due, then what is blocked by other code.
func (c *claim) search(ctx context.Context, queues map[string]int) error {
	var names []string
	for name, limit := range queues {
		names = append(names, name)
		if limit > 0 {
			c.left[name] = limit
		}
	}
	type line struct {
		queue    string
		priority int
	}
	var due []line
	var blocked []string
	var b pgx.Batch
	c.read(&b, readLines, []any{names, c.now}, func(r pgx.CollectableRow) error {
		var l line
		var any bool
		var next time.Time
		if err := r.Scan(&l.queue, &l.priority, &any, (*instant)(&next)); err != nil {
			return err
		}
		if any {
			due = append(due, l)
		}
		if c.next.IsZero() || !next.IsZero() && next.Before(c.next) {
			c.next = next
		}
		return nil
	})
	c.read(&b, anyBlocked, []any{names}, func(r pgx.CollectableRow) error {
		var queue string
		err := r.Scan(&queue)
		blocked = append(blocked, queue)
		return err
	})
	if err := c.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	for _, l := range due {
		if err := c.take(ctx, l.queue, takeDue, l.queue, l.priority, c.now, c.workflows, c.versions, c.left[l.queue]); err != nil {
			return err
		}
	}
	for _, queue := range blocked {
		if err := c.take(ctx, queue, takeBlocked, queue, c.workflows, c.versions, c.fingerprints, c.left[queue]); err != nil {
			return err
		}
	}
	return nil
}

// take locks executions of a queue that has room.
func (c *claim) take(ctx context.Context, queue, statement string, args ...any) error {
	if c.left[queue] == 0 {
		return nil
	}
	rows, err := c.Query(ctx, c.s.schema.of(statement), args...)
	if err != nil {
		return err
	}
	return each(rows, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		err := r.Scan((*nullable)(&id))
		c.taken = append(c.taken, id)
		c.left[queue]--
		return err
	})
}
