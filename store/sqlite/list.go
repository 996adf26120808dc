package sqlite

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// List implements store.Store.
func (s *Store) List(ctx context.Context, f store.Filter) (page store.Page, err error) {
	args, err := filterArgs(f)
	if err != nil {
		return store.Page{}, s.explain("list", err)
	}
	below, err := parseListCursor(f.Cursor) // the greatest ID of the page
	if err != nil {
		return store.Page{}, s.explain("list", err)
	}
	pageArgs := slices.Clone(args)
	if before(below, args[1].(uuid.UUID)) {
		pageArgs[1] = below
	}
	limit := pageSize(f.Limit)
	err = s.view(ctx, "list", func(c *conn) error {
		search := searchFor(f)
		for _, status := range search.statuses {
			if err := c.query(search.page, func(r row) error {
				x, err := header(r)
				page.Executions = append(page.Executions, x)
				return err
			}, append(pageArgs, status, limit+1)...); err != nil {
				return err
			}
			if !f.Count {
				continue
			}
			if _, err := c.one(search.count, func(r row) { page.Count += int(r.int(0)) }, append(args, status)...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return store.Page{}, err
	}
	slices.SortFunc(page.Executions, func(a, b store.Execution) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	if len(page.Executions) > limit {
		page.Executions = page.Executions[:limit]
		last := page.Executions[limit-1].ID
		page.Cursor = cursorOf('x', last[:])
	}
	return page, nil
}

// search is how a list is found: one pair of statements, run once per status.
type search struct {
	page, count string
	statuses    []any
}

// searchFor chooses the index that leaves the least to look at. What no index
// knows (tags, queue, version, error code) is looked up row by row, newest
// first, until the page is full.
func searchFor(f store.Filter) search {
	switch {
	case f.Workflow != "" && f.Key != "":
		return search{pageByKey, countByKey, []any{nil}}
	case f.Parent != uuid.Nil:
		return search{pageByParent, countByParent, []any{nil}}
	case len(f.Statuses) > 0 && !slices.Contains(f.Statuses, store.Completed):
		s := search{page: pageByStatus, count: countByStatus}
		for _, status := range slices.Compact(slices.Sorted(slices.Values(f.Statuses))) {
			s.statuses = append(s.statuses, status)
		}
		return s
	case f.Workflow != "":
		return search{pageByWorkflow, countByWorkflow, []any{nil}}
	}
	return search{pageOfAll, countOfAll, []any{nil}}
}

const (
	// A NULL does not filter. The prefix of an ID is a range of IDs.
	listFilters = `
		AND e.id BETWEEN ?1 AND ?2
		AND (?3 IS NULL OR e.workflow = ?3)
		AND (?4 IS NULL OR e.version = ?4)
		AND (?5 IS NULL OR e.status IN (SELECT value FROM json_each(?5)))
		AND (?6 IS NULL OR e.queue = ?6)
		AND (?7 IS NULL OR e.key = ?7)
		AND (?8 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?8) want WHERE want.value NOT IN (SELECT value FROM json_each(e.tags))))
		AND (?9 IS NULL OR e.error_code = ?9)
		AND (?10 IS NULL OR e.created >= ?10)
		AND (?11 IS NULL OR e.created < ?11)
		AND (?12 IS NULL OR e.parent = ?12)
		AND (?13 IS NULL OR e.parent IS NULL)
		AND (?14 IS NULL OR e.status = ?14)`
	listOrder = ` ORDER BY e.id DESC LIMIT ?15`
	listCount = `SELECT count(*) `

	ofAll      = `FROM execution e WHERE TRUE` + listFilters
	byKey      = `FROM execution e INDEXED BY execution_key WHERE e.key IS NOT NULL AND e.workflow = ?3 AND e.key = ?7` + listFilters
	byStatus   = `FROM execution e INDEXED BY execution_status WHERE e.status <> 'completed' AND e.status = ?14` + listFilters
	byParent   = `FROM execution e INDEXED BY execution_parent WHERE e.parent = ?12` + listFilters
	byWorkflow = `FROM execution e INDEXED BY execution_workflow WHERE e.workflow = ?3` + listFilters

	pageOfAll       = headerColumns + ofAll + listOrder
	pageByKey       = headerColumns + byKey + listOrder
	pageByParent    = headerColumns + byParent + listOrder
	pageByStatus    = headerColumns + byStatus + listOrder
	pageByWorkflow  = headerColumns + byWorkflow + listOrder
	countOfAll      = listCount + ofAll
	countByKey      = listCount + byKey
	countByParent   = listCount + byParent
	countByStatus   = listCount + byStatus
	countByWorkflow = listCount + byWorkflow
)

// filterArgs are the arguments 1 to 13 of listFilters.
func filterArgs(f store.Filter) ([]any, error) {
	first, last := prefixRange(f.IDPrefix)
	var version, statuses, tags, top any
	if f.TopLevel {
		top = 1
	}
	if f.Version != nil {
		version = *f.Version
	}
	if len(f.Statuses) > 0 {
		text, err := json.Marshal(f.Statuses)
		if err != nil {
			return nil, err
		}
		statuses = string(text)
	}
	if len(f.Tags) > 0 {
		text, err := encodeTags(f.Tags)
		if err != nil {
			return nil, err
		}
		tags = text
	}
	return []any{
		first, last, textOrNull(f.Workflow), version, statuses, textOrNull(f.Queue), textOrNull(f.Key), tags, textOrNull(f.ErrorCode),
		timeOrNull(f.After), timeOrNull(f.Before), idOrNull(f.Parent), top,
	}, nil
}

// prefixRange is the first and the last ID that begin with the prefix. What is
// no prefix of an ID gives an empty range.
func prefixRange(prefix string) (first, last uuid.UUID) {
	digits := strings.ReplaceAll(prefix, "-", "")
	if len(digits) > 32 {
		return uuid.Max, uuid.Nil
	}
	last = uuid.Max
	for i := range len(digits) {
		v := strings.IndexByte("0123456789abcdef", digits[i])
		if v < 0 {
			return uuid.Max, uuid.Nil
		}
		shift := 4 * (1 - i%2)
		first[i/2] |= byte(v) << shift
		last[i/2] &^= byte(15-v) << shift
	}
	return first, last
}

// pageSize applies the contract's limits.
func pageSize(limit int) int {
	switch {
	case limit <= 0:
		return 50
	case limit > 1000:
		return 1000
	}
	return limit
}

// cursorOf makes a cursor of some kind that is opaque to callers.
func cursorOf(kind byte, body []byte) string {
	return string(kind) + base64.RawURLEncoding.EncodeToString(body)
}

func parseCursor(kind byte, text string) ([]byte, error) {
	if text[0] != kind {
		return nil, store.ErrBadCursor
	}
	body, err := base64.RawURLEncoding.DecodeString(text[1:])
	if err != nil {
		return nil, store.ErrBadCursor
	}
	return body, nil
}

// parseListCursor returns the greatest ID that comes after the cursor's.
func parseListCursor(text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Max, nil
	}
	body, err := parseCursor('x', text)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.FromBytes(body)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, store.ErrBadCursor
	}
	for i := len(id) - 1; ; i-- {
		id[i]--
		if id[i] != 0xff {
			return id, nil
		}
	}
}

func before(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }
