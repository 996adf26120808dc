package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	// The groups of ended executions that are asked for, by jumping through the index.
	endedGroups = `
		WITH RECURSIVE line AS (
			(SELECT workflow, version, status FROM durable.execution
			WHERE ended IS NOT NULL AND workflow >= coalesce($1::text, '') ORDER BY workflow, version, status LIMIT 1)
			UNION ALL
			SELECT next.* FROM line CROSS JOIN LATERAL (
				SELECT e.workflow, e.version, e.status FROM durable.execution e
				WHERE e.ended IS NOT NULL AND (e.workflow, e.version, e.status) > (line.workflow, line.version, line.status)
				ORDER BY e.workflow, e.version, e.status LIMIT 1) AS next
			WHERE $1 IS NULL OR line.workflow = $1
		)
		SELECT workflow, version, status FROM line
		WHERE ($1 IS NULL OR workflow = $1) AND ($2::text IS NULL OR version = $2) AND status = ANY($3)`
	// What somebody else has locked he is pruning, or he sends it something.
	takeEnded = `
		SELECT id FROM durable.execution
		WHERE ended IS NOT NULL AND workflow = $1 AND version = $2 AND status = $3 AND ended <= $4 AND waits = 0
		ORDER BY ended LIMIT $5 FOR UPDATE SKIP LOCKED`
	countEnded = `
		SELECT count(*) FROM durable.execution
		WHERE ended IS NOT NULL AND workflow = $1 AND version = $2 AND status = $3 AND ended <= $4`

	pruneExecutions = `DELETE FROM durable.execution WHERE id = ANY($1)`
	pruneMessages   = `DELETE FROM durable.message WHERE execution = ANY($1)`
	pruneAccepted   = `DELETE FROM durable.accepted WHERE execution = ANY($1)`
	pruneJournals   = `DELETE FROM durable.journal WHERE execution = ANY($1)`
	pruneSnapshots  = `DELETE FROM durable.snapshot WHERE execution = ANY($1)`
	pruneLogs       = `DELETE FROM durable.log WHERE execution = ANY($1)`
	pruneBlobs      = `DELETE FROM durable.blob WHERE execution = ANY($1)`
)

// Prune implements store.Store. A message that is on its way to an execution
// waits for the locks that this holds, and then finds nothing.
func (s *Store) Prune(ctx context.Context, req store.PruneRequest) (res store.Pruned, err error) {
	if err := req.Check(); err != nil {
		return store.Pruned{}, explain("prune", err)
	}
	err = s.update(ctx, "prune", func(ctx context.Context, t *tx) error {
		if err := t.lock(ctx, locks{}); err != nil { // for the time
			return err
		}
		res = store.Pruned{Now: t.now}
		groups, err := t.ended(ctx, req)
		if err != nil {
			return err
		}
		if req.Count {
			return t.countEnded(ctx, groups, req, &res)
		}
		return t.prune(ctx, groups, req, &res)
	})
	if err != nil {
		return store.Pruned{}, err
	}
	return res, nil
}

// group is what the index of ended executions begins with.
type group struct{ workflow, version, status string }

// ended lists the groups that a request asks for.
func (t *tx) ended(ctx context.Context, req store.PruneRequest) (list []group, err error) {
	var wanted []string
	for _, s := range req.Wanted() {
		wanted = append(wanted, string(s))
		if req.Workflow != "" && req.Version != nil {
			list = append(list, group{req.Workflow, *req.Version, string(s)})
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	var version any
	if req.Version != nil {
		version = *req.Version
	}
	rows, err := t.Query(ctx, t.s.schema.of(endedGroups), textOrNull(req.Workflow), version, wanted)
	if err != nil {
		return nil, err
	}
	err = each(rows, func(r pgx.CollectableRow) error {
		var g group
		err := r.Scan(&g.workflow, &g.version, &g.status)
		list = append(list, g)
		return err
	})
	return list, err
}

// ends is the latest end that is old enough.
func (t *tx) ends(age time.Duration) time.Time {
	return t.now.Add(-(age + time.Microsecond - 1).Truncate(time.Microsecond))
}

func (t *tx) countEnded(ctx context.Context, groups []group, req store.PruneRequest, res *store.Pruned) error {
	for _, g := range groups {
		n := 0
		if _, err := t.one(ctx, countEnded, []any{g.workflow, g.version, g.status, t.ends(req.Age)}, &n); err != nil {
			return err
		}
		res.Removed += n
	}
	return nil
}

func (t *tx) prune(ctx context.Context, groups []group, req store.PruneRequest, res *store.Pruned) error {
	var gone ids
	for _, g := range groups {
		rows, err := t.Query(ctx, t.s.schema.of(takeEnded), g.workflow, g.version, g.status, t.ends(req.Age), req.Size()-len(gone))
		if err != nil {
			return err
		}
		if err := each(rows, func(r pgx.CollectableRow) error {
			var id uuid.UUID
			err := r.Scan((*nullable)(&id))
			gone = append(gone, id)
			return err
		}); err != nil {
			return err
		}
		if res.More = len(gone) == req.Size(); res.More {
			break
		}
	}
	if res.Removed = len(gone); res.Removed == 0 {
		return nil
	}
	all := [][16]byte(gone)
	for _, statement := range []string{pruneExecutions, pruneMessages, pruneAccepted, pruneJournals, pruneSnapshots, pruneLogs, pruneBlobs} {
		t.exec(statement, all)
	}
	return nil
}
