package sqlite

import (
	"context"
	"time"

	"github.com/durable-go/durable/store"
)

const (
	// The first group of ended executions after another one, by jumping through the index.
	nextEnded = `
		SELECT workflow, version, status FROM execution INDEXED BY execution_ended
		WHERE ended IS NOT NULL AND parent IS NULL AND (workflow, version, status) > (?1, ?2, ?3)
		ORDER BY workflow, version, status LIMIT 1`
	// Those that nothing is below which is open or too young.
	oldestEnded = `
		SELECT e.n FROM execution e INDEXED BY execution_ended
		WHERE e.ended IS NOT NULL AND e.parent IS NULL AND e.workflow = ?1 AND e.version = ?2 AND e.status = ?3 AND e.ended <= ?4 AND e.waits = 0
			AND NOT EXISTS (
				WITH RECURSIVE below (id, ended) AS (
					SELECT c.id, c.ended FROM execution c INDEXED BY execution_parent WHERE c.parent = e.id
					UNION ALL
					SELECT c.id, c.ended FROM below CROSS JOIN execution c INDEXED BY execution_parent ON c.parent = below.id
				)
				SELECT 1 FROM below WHERE ended IS NULL OR ended > ?4)
		ORDER BY e.ended LIMIT ?5`
	// An execution and all below it, children before their parents.
	familyOf = `
		WITH RECURSIVE family (n, id, level) AS (
			SELECT n, id, 0 FROM execution WHERE n = ?1
			UNION ALL
			SELECT c.n, c.id, family.level + 1 FROM family CROSS JOIN execution c INDEXED BY execution_parent ON c.parent = family.id
		)
		SELECT n FROM family ORDER BY level DESC, id LIMIT ?2`
	countEnded = `
		WITH RECURSIVE family (root, id, ended) AS (
			SELECT n, id, ended FROM execution INDEXED BY execution_ended
			WHERE ended IS NOT NULL AND parent IS NULL AND workflow = ?1 AND version = ?2 AND status = ?3 AND ended <= ?4
			UNION ALL
			SELECT family.root, c.id, c.ended FROM family CROSS JOIN execution c INDEXED BY execution_parent ON c.parent = family.id
		)
		SELECT ifnull(sum(many), 0) FROM (
			SELECT count(*) AS many FROM family GROUP BY root HAVING count(ended) = count(*) AND max(ended) <= ?4)`
)

// pruneFor is how long one Prune keeps other writers waiting: there is one writer
// for the whole file. It stops after the family at which it is.
const pruneFor = 10 * time.Millisecond

// Prune implements store.Store. It may stop before its limit, to be short. Freed pages are used again for what is
// written later; the file does not shrink.
func (s *Store) Prune(ctx context.Context, req store.PruneRequest) (res store.Pruned, err error) {
	if err := req.Check(); err != nil {
		return store.Pruned{}, s.explain("prune", err)
	}
	if req.Count {
		err = s.view(ctx, "prune", func(c *conn) error {
			res.Now = time.Now()
			return c.count(req, &res)
		})
	} else {
		res.Now, err = s.update(ctx, "prune", func(t *tx) error {
			if err := t.sweepPublications(); err != nil {
				return err
			}
			if err := t.sweepDraws(); err != nil {
				return err
			}
			return t.prune(req, &res)
		})
	}
	if err != nil {
		return store.Pruned{}, err
	}
	return res, nil
}

func (c *conn) count(req store.PruneRequest, res *store.Pruned) error {
	groups, err := c.ended(req)
	for _, g := range groups {
		if err != nil {
			break
		}
		_, err = c.one(countEnded, func(r row) { res.Removed += int(r.int(0)) }, g.workflow, g.version, g.status, ends(res.Now.UnixMicro(), req.Age))
	}
	return err
}

func (t *tx) prune(req store.PruneRequest, res *store.Pruned) error {
	begun := time.Now()
	groups, err := t.ended(req)
	if err != nil {
		return err
	}
	var old []int64
	for _, g := range groups {
		if err := t.query(oldestEnded, func(r row) error {
			old = append(old, r.int(0))
			return nil
		}, g.workflow, g.version, g.status, ends(t.now, req.Age), req.Size()-len(old)); err != nil {
			return err
		}
		if len(old) == req.Size() {
			res.More = true
			break
		}
	}
	if len(old) == 0 {
		return nil
	}
	t.s.heads.forget() // names are given again
	for _, n := range old {
		if res.Removed > 0 && time.Since(begun) > pruneFor {
			res.More = true
			break
		}
		if full, err := t.removeFamily(n, req.Size(), res); err != nil || full {
			res.More = true
			return err
		}
	}
	return nil
}

// removeFamily removes an execution and all below it, or of a family larger than
// the limit so many from below. It returns true if there was no room for all.
func (t *tx) removeFamily(n int64, limit int, res *store.Pruned) (full bool, err error) {
	var family []int64
	if err := t.query(familyOf, func(r row) error {
		family = append(family, r.int(0))
		return nil
	}, n, limit+1); err != nil {
		return false, err
	}
	if left := limit - res.Removed; len(family) > left {
		if res.Removed > 0 {
			return true, nil
		}
		family, full = family[:left], true
	}
	for _, n := range family {
		if err := t.remove(n); err != nil {
			return false, err
		}
		res.Removed++
	}
	return full || res.Removed == limit, nil
}

// remove deletes an execution with everything that has its name. It has ended, so it has
// no waits and holds.
func (t *tx) remove(n int64) error {
	if err := t.forget(n); err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM journal WHERE execution = ?",
		"DELETE FROM snapshot WHERE execution = ?",
		"DELETE FROM message WHERE execution = ?",
		"DELETE FROM accepted WHERE execution = ?",
		"DELETE FROM log WHERE execution = ?",
		"DELETE FROM chunk WHERE execution = ?",
		"DELETE FROM draw WHERE run = (SELECT id FROM execution WHERE n = ?)",
		"DELETE FROM execution WHERE n = ?",
	} {
		if _, err := t.exec(statement, n); err != nil {
			return err
		}
	}
	return nil
}

// group is what the index of ended executions begins with.
type group struct{ workflow, version, status string }

// ended lists the groups that a request asks for.
func (c *conn) ended(req store.PruneRequest) (list []group, err error) {
	wanted := map[store.Status]bool{}
	for _, s := range req.Wanted() {
		wanted[s] = true
		if req.Workflow != "" && req.Version != nil {
			list = append(list, group{req.Workflow, *req.Version, string(s)})
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	at := group{workflow: req.Workflow}
	for {
		more, err := c.one(nextEnded, func(r row) { at = group{r.text(0), r.text(1), r.text(2)} }, at.workflow, at.version, at.status)
		if err != nil || !more || req.Workflow != "" && at.workflow != req.Workflow {
			return list, err
		}
		if wanted[store.Status(at.status)] && (req.Version == nil || at.version == *req.Version) {
			list = append(list, at)
		}
	}
}

// ends is the latest end that is old enough.
func ends(now int64, age time.Duration) int64 {
	return now - (age + time.Microsecond - 1).Microseconds()
}
