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
		WHERE ended IS NOT NULL AND (workflow, version, status) > (?1, ?2, ?3)
		ORDER BY workflow, version, status LIMIT 1`
	oldestEnded = `
		SELECT n FROM execution INDEXED BY execution_ended
		WHERE ended IS NOT NULL AND workflow = ?1 AND version = ?2 AND status = ?3 AND ended <= ?4 AND waits = 0
		ORDER BY ended LIMIT ?5`
	countEnded = `
		SELECT count(*) FROM execution INDEXED BY execution_ended
		WHERE ended IS NOT NULL AND workflow = ?1 AND version = ?2 AND status = ?3 AND ended <= ?4`
)

// pruneFor is how long one Prune keeps other writers waiting: there is one writer
// for the whole file. It stops at the next execution.
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
		res.Now, err = s.update(ctx, "prune", func(t *tx) error { return t.prune(req, &res) })
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
		if err := t.remove(n); err != nil {
			return err
		}
		res.Removed++
	}
	return nil
}

// remove deletes an execution with everything that has its name. It has ended, so it has
// no waits and holds.
func (t *tx) remove(n int64) error {
	for _, statement := range []string{
		"DELETE FROM journal WHERE execution = ?",
		"DELETE FROM snapshot WHERE execution = ?",
		"DELETE FROM message WHERE execution = ?",
		"DELETE FROM accepted WHERE execution = ?",
		"DELETE FROM log WHERE execution = ?",
		"DELETE FROM blob WHERE execution = ?",
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
