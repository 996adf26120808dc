package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/durable-go/durable/internal/fail"
	"github.com/durable-go/durable/store"
)

// Claim implements store.Store.
func (s *Store) Claim(ctx context.Context, req store.ClaimRequest) (got store.Claimed, err error) {
	definitions, err := encodeDefinitions(req.Definitions)
	if err == nil {
		err = fail.Err(fail.ClaimBefore)
	}
	if err != nil {
		return store.Claimed{}, s.explain("claim", err)
	}
	now, err := s.update(ctx, "claim", func(t *tx) error {
		if live, err := t.alive(req.Owner); err != nil || !live {
			if err == nil {
				err = fmt.Errorf("incarnation %s: %w", req.Owner, store.ErrLeaseLost)
			}
			return err
		}
		var ns []int64
		n, err := t.narrow(req)
		if err != nil {
			return err
		}
		got.More, got.Paused = map[string]bool{}, n.paused
		var next int64 = forever
		for _, queue := range slices.Sorted(maps.Keys(req.Queues)) {
			limit := n.limit(queue)
			found, soon, err := t.due(queue, definitions, limit)
			if err != nil {
				return err
			}
			if len(found) > limit {
				found = found[:limit]
				if limit > 0 {
					got.More[queue] = limit == req.Queues[queue]
				}
			}
			ns = append(ns, found...)
			free, err := t.whenFree(n, queue, len(found))
			if err != nil {
				return err
			}
			next = min(next, soon, free)
		}
		got.NextDue = fromMicros(next)
		got.Records, err = t.take(req.Owner, ns)
		fail.Point(fail.ClaimTaken)
		return err
	})
	if err == nil {
		err = fail.Err(fail.ClaimAfter)
	}
	if err != nil {
		return store.Claimed{}, err
	}
	got.Now = now
	return got, nil
}

// encodeDefinitions is what the searches below compare with.
func encodeDefinitions(ds []store.Definition) (string, error) {
	list := make([][3]string, len(ds))
	for i, d := range ds {
		list[i] = [3]string{d.Workflow, d.Version, d.Fingerprint}
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// The searches name their index, so that no change of statistics makes a claim
// walk over executions that sleep or have ended.
const (
	nextPriority = `
		SELECT priority FROM execution INDEXED BY execution_due
		WHERE due IS NOT NULL AND queue = ? AND priority < ?
		ORDER BY priority DESC LIMIT 1`
	dueNow = `
		SELECT n FROM execution INDEXED BY execution_due
		WHERE due IS NOT NULL AND queue = ?1 AND priority = ?2 AND due <= ?3
			AND (workflow, version) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?4))
		ORDER BY due, id LIMIT ?5`
	dueLater = `
		SELECT due FROM execution INDEXED BY execution_due
		WHERE due IS NOT NULL AND queue = ? AND priority = ? AND due > ?
		ORDER BY due LIMIT 1`
	anyBlocked = `
		SELECT 1 FROM execution INDEXED BY execution_blocked
		WHERE status = 'blocked' AND queue = ? LIMIT 1`
	// From one list of fingerprints to the next, so that those which wait for
	// other code are not even looked at.
	unblocked = `
		WITH RECURSIVE kind (workflow, version, fingerprint, blocked) AS (
			SELECT d.value ->> 0, d.value ->> 1, d.value ->> 2,
				(SELECT min(e.blocked) FROM execution e INDEXED BY execution_blocked
					WHERE e.status = 'blocked' AND e.queue = ?1 AND e.workflow = d.value ->> 0 AND e.version = d.value ->> 1)
			FROM json_each(?2) d
			UNION ALL
			SELECT kind.workflow, kind.version, kind.fingerprint,
				(SELECT min(e.blocked) FROM execution e INDEXED BY execution_blocked
					WHERE e.status = 'blocked' AND e.queue = ?1 AND e.workflow = kind.workflow AND e.version = kind.version AND e.blocked > kind.blocked)
			FROM kind WHERE kind.blocked IS NOT NULL
		)
		SELECT e.n FROM kind CROSS JOIN execution e INDEXED BY execution_blocked
		WHERE kind.blocked IS NOT NULL AND instr(' ' || kind.blocked || ' ', ' ' || kind.fingerprint || ' ') = 0
			AND e.status = 'blocked' AND e.queue = ?1 AND e.workflow = kind.workflow AND e.version = kind.version AND e.blocked = kind.blocked
		ORDER BY e.priority DESC, e.id LIMIT ?3`
)

// due finds what may be claimed in one queue: up to one more than the limit, to
// know whether something is left. soon is when the next one gets due.
func (t *tx) due(queue, definitions string, limit int) (ns []int64, soon int64, err error) {
	soon = forever
	collect := func(r row) error {
		ns = append(ns, r.int(0))
		return nil
	}
	for priority := forever; ; {
		found, err := t.one(nextPriority, func(r row) { priority = r.int(0) }, queue, priority)
		if err != nil {
			return nil, 0, err
		}
		if !found {
			break
		}
		if limit > 0 && len(ns) <= limit {
			if err := t.query(dueNow, collect, queue, priority, t.now, definitions, limit+1-len(ns)); err != nil {
				return nil, 0, err
			}
		}
		if _, err := t.one(dueLater, func(r row) { soon = min(soon, r.int(0)) }, queue, priority, t.now); err != nil {
			return nil, 0, err
		}
	}
	if limit <= 0 || len(ns) > limit {
		return ns, soon, nil
	}
	if found, err := t.one(anyBlocked, func(row) {}, queue); err != nil || !found {
		return ns, soon, err
	}
	err = t.query(unblocked, collect, queue, definitions, limit+1-len(ns))
	return ns, soon, err
}

// take makes the executions the owner's and reads them.
func (t *tx) take(owner store.Incarnation, ns []int64) ([]store.Record, error) {
	if len(ns) == 0 {
		return nil, nil
	}
	for _, n := range ns {
		if _, err := t.exec(`
			UPDATE execution SET owner = ?2, epoch = epoch + 1, status = iif(status = 'compensating', status, 'running'), due = NULL,
				changed = ?3, error_code = '', error = NULL
			WHERE n = ?1`, n, owner, t.now); err != nil {
			return nil, err
		}
	}
	list, heads, err := t.records(t.now, ns, false)
	if err != nil {
		return nil, err
	}
	for i, x := range heads {
		t.heads.keep(list[i].ID, x)
	}
	return list, nil
}
