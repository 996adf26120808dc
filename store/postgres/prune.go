package postgres

import (
	"context"
	"slices"
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
	// Ranges of ids whose time is over: nothing new comes into their partitions.
	closedParts = `SELECT name, first, until FROM durable.part WHERE until <= $1 ORDER BY first`
	noteOrphans = `UPDATE durable.part SET orphans = coalesce(orphans, $2) WHERE name = ANY($1)`
)

// Prune implements store.Store. A message that is on its way to an execution
// waits for the locks that this holds, and then finds nothing.
func (s *Store) Prune(ctx context.Context, req store.PruneRequest) (res store.Pruned, err error) {
	if err := req.Check(); err != nil {
		return store.Pruned{}, explain("prune", err)
	}
	prune := func(ctx context.Context, t *tx) error {
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
	}
	err = s.enter(ctx)
	for try := 1; err == nil; try++ {
		// Not on a connection that commits or claims may wait for.
		if err = s.attempt(ctx, s.read, prune); err == nil {
			s.tendLater()
			return res, nil
		}
		if raced(err) && try < raceTries {
			err = nil
		}
	}
	return store.Pruned{}, explain("prune", err)
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
	for _, statement := range []string{pruneExecutions, pruneMessages, pruneAccepted} {
		t.exec(statement, all)
	}
	return t.leave(ctx, gone)
}

// leave deletes the rows that executions have in partitions into which new ones still
// come, or which are never dropped. In those whose time is over they stay, as nobody's: these
// partitions go as a whole, or are swept.
func (t *tx) leave(ctx context.Context, gone ids) error {
	var closed []part
	t.read(closedParts, []any{[16]byte(firstID(t.now))}, func(r pgx.CollectableRow) error {
		var p part
		err := r.Scan(&p.name, (*nullable)(&p.first), (*nullable)(&p.until))
		closed = append(closed, p)
		return err
	})
	if err := t.flush(ctx); err != nil {
		return err
	}
	var now ids
	var noted []string
	for _, id := range gone {
		i := slices.IndexFunc(closed, func(p part) bool { return compareIDs(id, p.first) >= 0 && compareIDs(id, p.until) < 0 })
		switch {
		case i < 0:
			now = append(now, id)
		case !slices.Contains(noted, closed[i].name):
			noted = append(noted, closed[i].name)
		}
	}
	t.clear(now)
	if len(noted) > 0 {
		t.exec(noteOrphans, noted, t.now)
	}
	return nil
}
