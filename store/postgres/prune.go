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
			WHERE ended IS NOT NULL AND parent IS NULL AND workflow >= coalesce($1::text, '') ORDER BY workflow, version, status LIMIT 1)
			UNION ALL
			SELECT next.* FROM line CROSS JOIN LATERAL (
				SELECT e.workflow, e.version, e.status FROM durable.execution e
				WHERE e.ended IS NOT NULL AND e.parent IS NULL AND (e.workflow, e.version, e.status) > (line.workflow, line.version, line.status)
				ORDER BY e.workflow, e.version, e.status LIMIT 1) AS next
			WHERE $1 IS NULL OR line.workflow = $1
		)
		SELECT workflow, version, status FROM line
		WHERE ($1 IS NULL OR workflow = $1) AND ($2::text IS NULL OR version = $2) AND status = ANY($3)`
	// Those below which nothing is open or too young: once so, it stays so, as only what
	// is open has new children. What somebody else has locked he is pruning, or he
	// sends it something.
	takeEnded = `
		SELECT e.id FROM durable.execution e
		WHERE e.ended IS NOT NULL AND e.parent IS NULL AND e.workflow = $1 AND e.version = $2 AND e.status = $3 AND e.ended <= $4 AND e.waits = 0
			AND NOT EXISTS (
				WITH RECURSIVE below AS (
					SELECT c.id, c.ended FROM durable.execution c WHERE c.parent = e.id
					UNION ALL
					SELECT next.* FROM below CROSS JOIN LATERAL (
						SELECT c.id, c.ended FROM durable.execution c WHERE c.parent = below.id OFFSET 0) AS next
				)
				SELECT FROM below WHERE ended IS NULL OR ended > $4)
		ORDER BY e.ended LIMIT $5 FOR UPDATE OF e SKIP LOCKED`
	// All below some executions, children before their parents, but no more of one
	// than can be of use.
	takeBelow = `
		WITH RECURSIVE below AS (
			SELECT w.id AS root, c.id, 1 AS level FROM unnest($1::uuid[]) AS w (id)
			CROSS JOIN LATERAL (SELECT x.id FROM durable.execution x WHERE x.parent = w.id OFFSET 0) AS c
			UNION ALL
			SELECT below.root, c.id, below.level + 1 FROM below
			CROSS JOIN LATERAL (SELECT x.id FROM durable.execution x WHERE x.parent = below.id OFFSET 0) AS c
		),
		ranked AS (SELECT root, id, row_number() OVER (PARTITION BY root ORDER BY level DESC, id) AS rank FROM below)
		SELECT root, id FROM ranked WHERE rank <= $2 ORDER BY root, rank`
	lockBelow  = `SELECT id FROM durable.execution WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED`
	countEnded = `
		WITH RECURSIVE family AS (
			SELECT id AS root, id, ended FROM durable.execution
			WHERE ended IS NOT NULL AND parent IS NULL AND workflow = $1 AND version = $2 AND status = $3 AND ended <= $4
			UNION ALL
			SELECT family.root, c.id, c.ended FROM family CROSS JOIN LATERAL (
				SELECT x.id, x.ended FROM durable.execution x WHERE x.parent = family.id OFFSET 0) AS c
		)
		SELECT coalesce(sum(many), 0)::bigint FROM (
			SELECT count(*) AS many FROM family GROUP BY root HAVING count(ended) = count(*) AND max(ended) <= $4) AS each`

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
		t.exec(sweepPublications, t.now, store.SweepPublications)
		t.exec(sweepDraws, t.now.UnixMicro(), store.SweepDraws)
		return t.prune(ctx, groups, req, &res)
	}
	err = s.enter(ctx)
	for try := 1; err == nil; try++ {
		// Not on a connection that commits or claims may wait for.
		if err = s.attempt(ctx, s.read, prune); err == nil {
			if !req.Count {
				err = s.dropBodies(ctx) // in transactions of their own: what is left of them the next one finds
			}
			if err != nil {
				return store.Pruned{}, explain("prune: remove bodies of blobs", err)
			}
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
	var roots ids
	for _, g := range groups {
		rows, err := t.Query(ctx, t.s.schema.of(takeEnded), g.workflow, g.version, g.status, t.ends(req.Age), req.Size()-len(roots))
		if err != nil {
			return err
		}
		if err := each(rows, func(r pgx.CollectableRow) error {
			var id uuid.UUID
			err := r.Scan((*nullable)(&id))
			roots = append(roots, id)
			return err
		}); err != nil {
			return err
		}
		if res.More = len(roots) == req.Size(); res.More {
			break
		}
	}
	gone, err := t.families(ctx, roots, req.Size(), res)
	if err != nil {
		return err
	}
	if res.Removed = len(gone); res.Removed == 0 {
		return nil
	}
	all := [][16]byte(gone)
	for _, statement := range []string{pruneExecutions, pruneMessages, pruneAccepted, pruneDraws, pruneChunks} {
		t.exec(statement, all)
	}
	return t.leave(ctx, gone)
}

// families are executions and all below them, as many whole ones as there is room
// for. Of one that is larger than the limit it is so many from below. A family of which
// somebody else has a row locked is left out.
func (t *tx) families(ctx context.Context, roots ids, limit int, res *store.Pruned) (gone ids, err error) {
	if len(roots) == 0 {
		return nil, nil
	}
	below, all := map[store.ID]ids{}, ids{}
	t.read(takeBelow, []any{[][16]byte(roots), limit}, func(r pgx.CollectableRow) error {
		var root, id uuid.UUID
		err := r.Scan((*nullable)(&root), (*nullable)(&id))
		below[root], all = append(below[root], id), append(all, id)
		return err
	})
	if err := t.flush(ctx); err != nil || len(all) == 0 {
		return roots, err
	}
	have := make(map[store.ID]bool, len(all))
	t.read(lockBelow, []any{[][16]byte(all)}, func(r pgx.CollectableRow) error {
		var id uuid.UUID
		err := r.Scan((*nullable)(&id))
		have[id] = true
		return err
	})
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	for _, root := range roots {
		family := below[uuid.UUID(root)]
		if slices.ContainsFunc(family, func(id [16]byte) bool { return !have[id] }) {
			continue
		}
		family = append(family, root)
		if left := limit - len(gone); len(family) > left {
			res.More = true
			if len(gone) > 0 {
				break
			}
			family = family[:left]
		}
		gone = append(gone, family...)
	}
	// If all are in somebody's hands, asking again at once is of no use.
	res.More = len(gone) > 0 && (res.More || len(gone) == limit)
	return gone, nil
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
