package postgres

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/durable-go/durable/store"
)

// A NULL does not filter. The lateral joins pin the plan: one look into an index
// per wait.
const (
	waitRows = `
		SELECT w.id, w.execution, e.workflow, e.queue, w.path, w.call, w.kind, w.name, w.topic, w.detail, w.deadline, w.opened, w.label, w.shared
		FROM durable.wait w CROSS JOIN LATERAL (SELECT x.workflow, x.queue FROM durable.execution x WHERE x.id = w.execution LIMIT 1) AS e
		WHERE ($1::text IS NULL OR w.id = $1) AND ($2::uuid IS NULL OR w.execution = $2)
			AND ($3::text IS NULL OR e.workflow = $3) AND ($4::text IS NULL OR w.name = $4)
			AND ($10::text IS NULL OR e.queue = $10) AND ($11::text IS NULL OR w.label = $11)
			AND ($6::timestamptz IS NULL OR (w.deadline, w.opened, w.id) > ($6, $7::timestamptz, $8::text)) `
	// For those of one execution, or one.
	readWaits = waitRows + `
			AND ($5::text[] IS NULL OR w.kind = ANY($5))
		ORDER BY w.deadline, w.opened, w.id LIMIT $9`
	// Each kind has its own order in the index, so that a million sleepers do not
	// hide one approval. If no kinds are asked for, it jumps from one to the next.
	readWaitsByKind = `
		WITH RECURSIVE there (kind) AS (
			SELECT min(w.kind) FROM durable.wait w WHERE $5::text[] IS NULL
			UNION ALL
			SELECT (SELECT min(w.kind) FROM durable.wait w WHERE w.kind > there.kind) FROM there WHERE there.kind IS NOT NULL
		),
		asked AS (
			SELECT there.kind FROM there WHERE there.kind IS NOT NULL
			UNION
			SELECT unnest($5::text[])
		)
		SELECT found.* FROM asked CROSS JOIN LATERAL (` + waitRows + `
			AND w.kind = asked.kind
			ORDER BY w.deadline, w.opened, w.id LIMIT $9
		) AS found
		ORDER BY found.deadline, found.opened, found.id LIMIT $9`
)

// open opens waits. It reports whether something that was published is there for one
// of them.
func (t *tx) open(id store.ID, x *head, a *store.Advance) (took bool) {
	ends := a.Release != nil && a.Release.Status.Ended()
	for i := range a.Open {
		w := &a.Open[i]
		if w.Shared && !ends && t.takeKept(id, x, w) {
			took = true
			continue
		}
		t.draft.opened = append(t.draft.opened, waitDraft{id, w})
		if x.open != nil {
			x.open[w.ID] = w.Topic
		} else {
			x.hear(w.Topic)
		}
		x.waits++
		x.counts = true
	}
	return took
}

// alter changes open waits; those of others and absent ones stay as they are.
func (t *tx) alter(id store.ID, waits []store.Wait) {
	for i := range waits {
		t.draft.altered = append(t.draft.altered, waitDraft{id, &waits[i]})
	}
}

// shut closes waits of an execution; those of others and absent ones stay so.
func (t *tx) shut(id store.ID, x *head, waits []string) {
	for _, w := range waits {
		if _, open := x.open[w]; !open {
			continue
		}
		delete(x.open, w)
		x.waits--
		x.counts = true
		if !t.draft.unopen(id, w) {
			t.draft.shut = append(t.draft.shut, waitRef{id, w})
		}
	}
}

// unopen takes out a wait that was to be opened.
func (d *draft) unopen(id store.ID, wait string) bool {
	n := len(d.opened)
	d.opened = slices.DeleteFunc(d.opened, func(w waitDraft) bool { return w.id == id && w.ID == wait })
	return len(d.opened) < n
}

func (t *tx) shutAll(id store.ID, x *head) {
	if x.waits == 0 {
		return
	}
	x.waits, x.counts = 0, true
	clear(x.open)
	t.draft.opened = slices.DeleteFunc(t.draft.opened, func(w waitDraft) bool { return w.id == id })
	t.draft.shutAll = append(t.draft.shutAll, id)
}

// Waits implements store.Store.
func (s *Store) Waits(ctx context.Context, f store.WaitFilter) (page store.WaitPage, err error) {
	var at *waitPlace
	if f.Cursor != "" {
		if at, err = parseWaitPlace(f.Cursor); err != nil {
			return store.WaitPage{}, explain("waits", err)
		}
	}
	limit, statement := pageSize(f.Limit), readWaitsByKind
	if f.ID != "" || f.Execution != uuid.Nil {
		statement = readWaits
	}
	err = s.ask(ctx, "waits", statement, waitArgs(f, at, limit+1), func(r pgx.CollectableRow) error {
		var w store.Wait
		err := r.Scan(&w.ID, (*nullable)(&w.Execution), &w.Workflow, &w.Queue, &w.Path, &w.Call, &w.Kind, &w.Name, &w.Topic, &w.Detail,
			(*instant)(&w.Deadline), (*instant)(&w.Opened), &w.Label, &w.Shared)
		page.Waits = append(page.Waits, w)
		return err
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

// waitArgs are the arguments of readWaits and readWaitsByKind. The first says that it is planned
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
		textOrNull(f.Queue), textOrNull(f.Label),
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
