package memory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

func (x *execution) hasWait(id string) bool {
	return slices.ContainsFunc(x.waits, func(w store.Wait) bool { return w.ID == id })
}

// shut closes waits; absent ones are ignored.
func (x *execution) shut(ids ...string) {
	if len(ids) == 0 {
		return
	}
	var left []store.Wait
	for _, w := range x.waits {
		if !slices.Contains(ids, w.ID) {
			left = append(left, w)
		}
	}
	x.waits = left
}

// open opens waits of an execution that is being edited. It reports whether
// something that was published is there for one of them.
func (t *tx) open(x *execution, a *store.Advance) (took bool, err error) {
	ends := a.Release != nil && a.Release.Status.Ended()
	opened := slices.Clone(x.waits)
	for _, w := range a.Open {
		if t.isOpen(w.ID) || t.opened[w.ID] {
			return false, fmt.Errorf("memory: wait %q is open already: %w", w.ID, store.ErrRefused)
		}
		if !ends && t.takeKept(x, &w) {
			took = true
			continue
		}
		t.opened[w.ID] = true
		w.Execution, w.Workflow, w.Queue = x.ID, "", ""
		w.Opened, w.Deadline, w.Detail = t.now, w.Deadline.Round(0), bytes.Clone(w.Detail)
		opened = append(opened, w)
	}
	x.waits = opened
	return took, nil
}

// alter changes waits of an execution that is being edited; absent ones are ignored.
func (x *execution) alter(waits []store.Wait) {
	if len(waits) == 0 {
		return
	}
	x.waits = slices.Clone(x.waits)
	for _, w := range waits {
		if i := slices.IndexFunc(x.waits, func(o store.Wait) bool { return o.ID == w.ID }); i >= 0 {
			x.waits[i].Deadline, x.waits[i].Label, x.waits[i].Detail = w.Deadline.Round(0), w.Label, bytes.Clone(w.Detail)
		}
	}
}

// isOpen looks for a wait that was open before this transaction and still is.
func (t *tx) isOpen(wait string) bool {
	id, was := t.waits[wait]
	return was && t.look(id).hasWait(wait)
}

// Waits implements store.Store.
func (s *Store) Waits(ctx context.Context, f store.WaitFilter) (store.WaitPage, error) {
	after, err := parseWaitCursor(f.Cursor)
	if err != nil {
		return store.WaitPage{}, err
	}
	if _, err := s.enter(ctx); err != nil {
		return store.WaitPage{}, err
	}
	defer s.leave()
	var found []store.Wait
	visit := func(x *execution) {
		for _, w := range x.waits {
			w.Workflow, w.Queue, w.Detail = x.Workflow, x.Queue, bytes.Clone(w.Detail)
			if waitMatches(w, f) && (f.Cursor == "" || compareWaits(w, after) > 0) {
				found = append(found, w)
			}
		}
	}
	if f.Execution == uuid.Nil {
		for _, id := range s.data.ids {
			visit(s.data.executions[id])
		}
	} else if x := s.data.executions[f.Execution]; x != nil {
		visit(x)
	}
	slices.SortFunc(found, compareWaits)
	page := store.WaitPage{Waits: found}
	if n := pageSize(f.Limit); len(found) > n {
		page.Waits, page.Cursor = found[:n:n], waitCursor(found[n-1])
	}
	return page, nil
}

func waitMatches(w store.Wait, f store.WaitFilter) bool {
	return (f.ID == "" || w.ID == f.ID) &&
		(f.Workflow == "" || w.Workflow == f.Workflow) &&
		(f.Queue == "" || w.Queue == f.Queue) &&
		(f.Name == "" || w.Name == f.Name) &&
		(f.Label == "" || w.Label == f.Label) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, w.Kind))
}

// compareWaits orders by deadline with none last, then by age, then by ID.
func compareWaits(a, b store.Wait) int {
	if a.Deadline.IsZero() != b.Deadline.IsZero() {
		if a.Deadline.IsZero() {
			return 1
		}
		return -1
	}
	return cmp.Or(a.Deadline.Compare(b.Deadline), a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID))
}

// waitPlace is where a page of waits ended.
type waitPlace struct {
	Deadline, Opened time.Time
	ID               string
}

func waitCursor(w store.Wait) string {
	b, err := json.Marshal(waitPlace{w.Deadline, w.Opened, w.ID})
	if err != nil {
		panic("memory: a wait's time has no JSON: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseWaitCursor(cursor string) (store.Wait, error) {
	if cursor == "" {
		return store.Wait{}, nil
	}
	var p waitPlace
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return store.Wait{}, fmt.Errorf("memory: waits: %w", store.ErrBadCursor)
	}
	return store.Wait{Deadline: p.Deadline, Opened: p.Opened, ID: p.ID}, nil
}
