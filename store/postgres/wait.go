package postgres

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

const (
	addWait = `
		INSERT INTO durable.wait (id, execution, path, call, kind, name, topic, deadline, opened, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce($8, 'infinity'::timestamptz), $9, $10)`
	setWaits  = `UPDATE durable.execution SET waits = $2 WHERE id = $1`
	dropWaits = `DELETE FROM durable.wait WHERE execution = $1 AND id = ANY($2)`
	dropAll   = `DELETE FROM durable.wait WHERE execution = $1`

	// A NULL does not filter.
	readWaits = `
		SELECT w.id, w.execution, e.workflow, e.queue, w.path, w.call, w.kind, w.name, w.topic, w.detail, w.deadline, w.opened
		FROM durable.wait w JOIN durable.execution e ON e.id = w.execution
		WHERE ($1::text IS NULL OR w.id = $1) AND ($2::uuid IS NULL OR w.execution = $2)
			AND ($3::text IS NULL OR e.workflow = $3) AND ($4::text IS NULL OR w.name = $4)
			AND ($5::text[] IS NULL OR w.kind = ANY($5))
			AND ($6::timestamptz IS NULL OR (w.deadline, w.opened, w.id) > ($6, $7::timestamptz, $8::text))
		ORDER BY w.deadline, w.opened, w.id LIMIT $9`
)

func (t *tx) open(id store.ID, x *head, waits []store.Wait) {
	for _, w := range waits {
		t.exec(addWait, w.ID, [16]byte(id), w.Path, w.Call, w.Kind, w.Name, w.Topic, timeOrNull(w.Deadline), t.now, w.Detail)
	}
	t.count(id, x, int64(len(waits)))
}

// shut closes waits of an execution; those of others and absent ones stay so.
func (t *tx) shut(ctx context.Context, id store.ID, x *head, waits []string) error {
	if len(waits) == 0 || x.waits == 0 {
		return nil
	}
	shut, err := t.changes(ctx, dropWaits, [16]byte(id), waits)
	t.count(id, x, -shut)
	return err
}

func (t *tx) shutAll(id store.ID, x *head) {
	if x.waits > 0 {
		x.waits = 0 // the release that follows writes it
		t.exec(dropAll, [16]byte(id))
	}
}

// count keeps the number of open waits.
func (t *tx) count(id store.ID, x *head, more int64) {
	if more != 0 {
		x.waits += more
		t.exec(setWaits, [16]byte(id), x.waits)
	}
}

// Waits implements store.Store.
func (s *Store) Waits(ctx context.Context, f store.WaitFilter) (page store.WaitPage, err error) {
	var at *waitPlace
	if f.Cursor != "" {
		if at, err = parseWaitPlace(f.Cursor); err != nil {
			return store.WaitPage{}, explain("waits", err)
		}
	}
	limit := pageSize(f.Limit)
	err = s.view(ctx, "waits", func(q pgx.Tx) error {
		rows, err := q.Query(ctx, s.schema.of(readWaits), waitArgs(f, at, limit+1)...)
		if err != nil {
			return err
		}
		return each(rows, func(r pgx.CollectableRow) error {
			var w store.Wait
			err := r.Scan(&w.ID, (*nullable)(&w.Execution), &w.Workflow, &w.Queue, &w.Path, &w.Call, &w.Kind, &w.Name, &w.Topic, &w.Detail,
				(*instant)(&w.Deadline), (*instant)(&w.Opened))
			page.Waits = append(page.Waits, w)
			return err
		})
	})
	if err != nil {
		return store.WaitPage{}, err
	}
	if len(page.Waits) > limit {
		page.Waits = page.Waits[:limit]
		page.Cursor = placeOf(page.Waits[limit-1])
	}
	return page, nil
}

// waitArgs are the arguments of readWaits. The first says that it is planned
// for these values: a plan for any filter would use no index.
func waitArgs(f store.WaitFilter, at *waitPlace, limit int) []any {
	var deadline, opened, id, kinds any
	if at != nil {
		deadline, opened, id = at.deadline(), at.Opened, at.ID
	}
	if len(f.Kinds) > 0 {
		kinds = f.Kinds
	}
	return []any{
		pgx.QueryExecModeCacheDescribe,
		textOrNull(f.ID), idOrNull(f.Execution), textOrNull(f.Workflow), textOrNull(f.Name), kinds, deadline, opened, id, limit,
	}
}

// waitPlace is where a page of waits ended.
type waitPlace struct {
	Deadline, Opened time.Time
	ID               string
}

func placeOf(w store.Wait) string {
	text, err := json.Marshal(waitPlace{w.Deadline, w.Opened, w.ID})
	if err != nil {
		panic("postgres: a wait's place cannot be written: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseWaitPlace(cursor string) (*waitPlace, error) {
	at := new(waitPlace)
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, at)
	}
	if err != nil {
		return nil, store.ErrBadCursor
	}
	return at, nil
}
