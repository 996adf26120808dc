package sqlite

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// open opens waits. It reports whether something that was published is there for one
// of them.
func (t *tx) open(x *head, a *store.Advance) (took bool, err error) {
	ends, opened := a.Release != nil && a.Release.Status.Ended(), int64(0)
	for i := range a.Open {
		w := &a.Open[i]
		if w.Shared && !ends {
			kept, err := t.takeKept(x, w)
			if err != nil {
				return false, err
			}
			if took = took || kept; kept {
				continue
			}
		}
		opened++
		if _, err := t.exec("INSERT INTO wait (id, execution, path, call, kind, name, topic, deadline, opened, label, shared, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			w.ID, x.n, w.Path, w.Call, w.Kind, w.Name, w.Topic, deadlineOf(*w), t.now, w.Label, bit(w.Shared), w.Detail); err != nil {
			return false, err
		}
	}
	return took, t.count(x, opened)
}

func deadlineOf(w store.Wait) int64 {
	if w.Deadline.IsZero() {
		return forever
	}
	return micros(w.Deadline)
}

// alter changes open waits; those of others and absent ones stay as they are.
func (t *tx) alter(x *head, waits []store.Wait) error {
	for _, w := range waits {
		if _, err := t.exec("UPDATE wait SET deadline = ?3, label = ?4, detail = ?5 WHERE id = ?1 AND execution = ?2", w.ID, x.n, deadlineOf(w), w.Label, w.Detail); err != nil {
			return err
		}
	}
	return nil
}

// shut closes waits of an execution; those of others and absent ones stay so.
func (t *tx) shut(x *head, ids []string) error {
	var shut int64
	for _, id := range ids {
		n, err := t.changes("DELETE FROM wait WHERE id = ? AND execution = ?", id, x.n)
		if err != nil {
			return err
		}
		shut += n
	}
	return t.count(x, -shut)
}

func (t *tx) shutAll(x *head) error {
	if x.waits == 0 {
		return nil
	}
	// The release that follows writes the count.
	x.waits = 0
	_, err := t.exec("DELETE FROM wait WHERE execution = ?", x.n)
	return err
}

// count keeps the number of open waits.
func (t *tx) count(x *head, more int64) error {
	if more == 0 {
		return nil
	}
	x.waits += more
	_, err := t.exec("UPDATE execution SET waits = ?2 WHERE n = ?1", x.n, x.waits)
	return err
}

// Waits implements store.Store.
func (s *Store) Waits(ctx context.Context, f store.WaitFilter) (page store.WaitPage, err error) {
	at, err := parseWaitCursor(f.Cursor)
	if err != nil {
		return store.WaitPage{}, s.explain("waits", err)
	}
	limit := pageSize(f.Limit)
	err = s.view(ctx, "waits", func(c *conn) error {
		if page.Waits, err = c.waits(f, at, limit+1); err != nil {
			return err
		}
		if len(page.Waits) > limit {
			page.Waits = page.Waits[:limit]
			page.Cursor = waitCursorOf(page.Waits[limit-1]).String()
		}
		return nil
	})
	if err != nil {
		return store.WaitPage{}, err
	}
	return page, nil
}

// What all three searches for waits share; they differ in where they begin.
const (
	waitColumns = `
		SELECT w.id, e.id, e.workflow, e.queue, w.path, w.call, w.kind, w.name, w.topic, w.detail, w.deadline, w.opened, w.label, w.shared `
	waitFilters = `
		AND (?2 IS NULL OR e.workflow = ?2) AND (?3 IS NULL OR w.name = ?3)
		AND (w.deadline, w.opened, w.id) > (?4, ?5, ?6)
		AND (?8 IS NULL OR e.queue = ?8) AND (?9 IS NULL OR w.label = ?9)
		ORDER BY w.deadline, w.opened, w.id LIMIT ?7`
	waitByID = waitColumns + `FROM wait w JOIN execution e ON e.n = w.execution
		WHERE w.id = ?1` + waitFilters
	waitByExecution = waitColumns + `FROM execution e CROSS JOIN wait w INDEXED BY wait_execution ON w.execution = e.n
		WHERE e.id = ?1` + waitFilters
	waitByKind = waitColumns + `FROM wait w INDEXED BY wait_kind CROSS JOIN execution e ON e.n = w.execution
		WHERE w.kind = ?1` + waitFilters
)

// waits returns the first limit waits after a place.
func (c *conn) waits(f store.WaitFilter, at waitCursor, limit int) (list []store.Wait, err error) {
	search := func(query string, by any) error {
		return c.query(query, func(r row) error {
			w := store.Wait{
				ID: r.text(0), Execution: r.id(1), Workflow: r.text(2), Queue: r.text(3), Path: r.text(4), Call: r.text(5), Kind: r.text(6),
				Name: r.text(7), Topic: r.text(8), Detail: r.bytes(9), Deadline: r.time(10), Opened: r.time(11), Label: r.text(12), Shared: r.int(13) == 1,
			}
			if (len(f.Kinds) == 0 || slices.Contains(f.Kinds, w.Kind)) && (f.Execution == uuid.Nil || f.Execution == w.Execution) {
				list = append(list, w)
			}
			return nil
		}, by, textOrNull(f.Workflow), textOrNull(f.Name), at.Deadline, at.Opened, at.ID, limit, textOrNull(f.Queue), textOrNull(f.Label))
	}
	switch {
	case f.ID != "":
		err = search(waitByID, f.ID)
		return list, err
	case f.Execution != uuid.Nil:
		if len(f.Kinds) > 0 {
			// One execution's waits are few, and the caller cuts the list.
			limit = math.MaxInt32
		}
		err = search(waitByExecution, f.Execution)
		return list, err
	}
	kinds := f.Kinds
	if len(kinds) == 0 {
		if kinds, err = c.kinds(); err != nil {
			return nil, err
		}
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(kinds))) {
		if err := search(waitByKind, k); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b store.Wait) int { return waitCursorOf(a).compare(waitCursorOf(b)) })
	return list, nil
}

// kinds lists the kinds of all open waits by jumping from one to the next.
func (c *conn) kinds() (kinds []string, err error) {
	err = c.query(`
		WITH RECURSIVE k (kind) AS (
			SELECT min(kind) FROM wait
			UNION ALL
			SELECT (SELECT min(kind) FROM wait WHERE kind > k.kind) FROM k WHERE k.kind IS NOT NULL
		)
		SELECT kind FROM k WHERE kind IS NOT NULL`,
		func(r row) error {
			kinds = append(kinds, r.text(0))
			return nil
		})
	return kinds, err
}

// waitCursor is the place of a wait in the order of Waits. The zero value is
// before all.
type waitCursor struct {
	Deadline, Opened int64
	ID               string
}

func waitCursorOf(w store.Wait) waitCursor {
	at := waitCursor{Deadline: forever, Opened: w.Opened.UnixMicro(), ID: w.ID}
	if !w.Deadline.IsZero() {
		at.Deadline = w.Deadline.UnixMicro()
	}
	return at
}

func (a waitCursor) compare(b waitCursor) int {
	switch {
	case a.Deadline != b.Deadline:
		return compare(a.Deadline, b.Deadline)
	case a.Opened != b.Opened:
		return compare(a.Opened, b.Opened)
	}
	return strings.Compare(a.ID, b.ID)
}

func compare(a, b int64) int {
	if a < b {
		return -1
	}
	return 1
}

func (a waitCursor) String() string {
	text, err := json.Marshal(a)
	if err != nil {
		panic("sqlite: a wait cursor cannot be written: " + err.Error())
	}
	return cursorOf('w', text)
}

func parseWaitCursor(text string) (at waitCursor, err error) {
	if text == "" {
		return waitCursor{Deadline: -forever}, nil
	}
	body, err := parseCursor('w', text)
	if err != nil {
		return at, err
	}
	if err := json.Unmarshal(body, &at); err != nil {
		return at, store.ErrBadCursor
	}
	return at, nil
}
