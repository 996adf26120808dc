package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	// A NULL does not filter. The prefix of an ID is a range of IDs.
	listFilters = `
		FROM durable.execution e
		WHERE e.id BETWEEN $1 AND $2
		AND ($3::text IS NULL OR e.workflow = $3)
		AND ($4::text IS NULL OR e.version = $4)
		AND ($5::text[] IS NULL OR e.status = ANY($5))
		AND ($6::text IS NULL OR e.queue = $6)
		AND ($7::text IS NULL OR e.key = $7)
		AND ($8::text[] IS NULL OR e.tags @> $8)
		AND ($9::text IS NULL OR e.error_code = $9)
		AND ($10::timestamptz IS NULL OR e.created >= $10)
		AND ($11::timestamptz IS NULL OR e.created < $11)
		AND ($12::uuid IS NULL OR e.parent = $12)
		AND ($13::boolean IS NULL OR e.parent IS NULL)`
	readPage = headerColumns + listFilters + ` AND ($14::uuid IS NULL OR e.id < $14) ORDER BY e.id DESC LIMIT $15`
	// For one status. It is in the order so that the index must be one that has it:
	// else a guess that it is frequent could go through all that is newer.
	readPageOfStatus = headerColumns + listFilters + ` AND ($14::uuid IS NULL OR e.id < $14) ORDER BY e.status DESC, e.id DESC LIMIT $15`
	// For one workflow, in the same way. It is asked for as a range, since a value
	// that is equal for all does not count in an order; $3 is NULL.
	readPageOfWorkflow = headerColumns + listFilters + ` AND ($14::uuid IS NULL OR e.id < $14) AND e.workflow >= $16 AND e.workflow <= $16
		ORDER BY e.workflow DESC, e.id DESC LIMIT $15`
	// For one key of a workflow, so at most one execution: no order that would favour
	// another index.
	readPageByKey = headerColumns + listFilters + ` AND ($14::uuid IS NULL OR e.id < $14) LIMIT $15`
	// For the children of one, as of one workflow.
	readPageOfParent = headerColumns + listFilters + ` AND ($14::uuid IS NULL OR e.id < $14) AND e.parent >= $16 AND e.parent <= $16
		ORDER BY e.parent DESC, e.id DESC LIMIT $15`
	countPage = `SELECT count(*) ` + listFilters
)

// List implements store.Store.
func (s *Store) List(ctx context.Context, f store.Filter) (page store.Page, err error) {
	below := uuid.Nil
	if f.Cursor != "" {
		if below, err = uuid.Parse(f.Cursor); err != nil || below == uuid.Nil {
			return store.Page{}, explain("list", store.ErrBadCursor)
		}
	}
	args := listArgs(f)
	limit := pageSize(f.Limit)
	row := func(r pgx.CollectableRow) error {
		x, err := header(r)
		page.Executions = append(page.Executions, x)
		return err
	}
	statement, of := readPage, append(args, idOrNull(below), limit+1)
	switch {
	case f.Workflow != "" && f.Key != "":
		statement = readPageByKey
	case f.Parent != uuid.Nil:
		statement, of = readPageOfParent, append(slices.Clone(of), [16]byte(f.Parent))
		of[12] = nil // args begin with a mode
	case len(f.Statuses) == 1 && f.Statuses[0] != store.Completed:
		statement = readPageOfStatus
	case f.Workflow != "":
		statement, of = readPageOfWorkflow, append(slices.Clone(of), f.Workflow)
		of[3] = nil // args begin with a mode
	}
	if f.Count {
		page.Count, err = s.listAndCount(ctx, statement, of, args, row)
	} else {
		err = s.ask(ctx, "list", statement, of, row)
	}
	if err != nil {
		return store.Page{}, err
	}
	if len(page.Executions) > limit {
		page.Executions = page.Executions[:limit]
		page.Cursor = page.Executions[limit-1].ID.String()
	}
	return page, nil
}

// listAndCount asks for a page and for how many there are in all, within one
// state of the database.
func (s *Store) listAndCount(ctx context.Context, statement string, page, all []any, row func(pgx.CollectableRow) error) (n int, err error) {
	if err := s.enter(ctx); err != nil {
		return 0, explain("list", err)
	}
	err = pgx.BeginTxFunc(ctx, s.read, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(q pgx.Tx) error {
		rows, err := q.Query(ctx, s.schema.of(statement), page...)
		if err == nil {
			err = each(rows, row)
		}
		if err != nil {
			return err
		}
		return q.QueryRow(ctx, s.schema.of(countPage), all...).Scan(&n)
	})
	if err != nil {
		return 0, explain("list", err)
	}
	return n, nil
}

// listArgs are the arguments of listFilters. The first says that they are planned
// for these values: a plan for any filter would use no index.
func listArgs(f store.Filter) []any {
	first, last := prefixRange(f.IDPrefix)
	var version, statuses, tags, top any
	if f.TopLevel {
		top = true
	}
	if f.Version != nil {
		version = *f.Version
	}
	if len(f.Statuses) > 0 {
		list := make([]string, len(f.Statuses))
		for i, s := range f.Statuses {
			list[i] = string(s)
		}
		statuses = list
	}
	if len(f.Tags) > 0 {
		tags = f.Tags
	}
	return []any{
		pgx.QueryExecModeCacheDescribe,
		[16]byte(first), [16]byte(last), textOrNull(f.Workflow), version, statuses, textOrNull(f.Queue), textOrNull(f.Key), tags, textOrNull(f.ErrorCode),
		timeOrNull(f.After), timeOrNull(f.Before), idOrNull(f.Parent), top,
	}
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
