package memory

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// compareIDs orders by age, as UUIDv7 does.
func compareIDs(a, b store.ID) int { return bytes.Compare(a[:], b[:]) }

// pageSize is the limit that Filter and WaitFilter mean.
func pageSize(limit int) int {
	switch {
	case limit <= 0:
		return 50
	case limit > 1000:
		return 1000
	}
	return limit
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, f store.Filter) (store.Page, error) {
	before, err := parseListCursor(f.Cursor)
	if err != nil {
		return store.Page{}, err
	}
	if _, err := s.enter(ctx); err != nil {
		return store.Page{}, err
	}
	defer s.leave()
	var page store.Page
	size, full := pageSize(f.Limit), false
	for _, id := range slices.Backward(s.data.within(f)) {
		x := s.data.executions[id]
		if full && !f.Count {
			break
		}
		if !matches(x, f) {
			continue
		}
		page.Count++
		switch {
		case f.Cursor != "" && compareIDs(id, before) >= 0:
		case len(page.Executions) < size:
			page.Executions = append(page.Executions, x.header())
		case !full:
			full = true
			page.Cursor = page.Executions[size-1].ID.String()
		}
	}
	if !f.Count {
		page.Count = 0
	}
	return page, nil
}

// within is the IDs in which a filter looks: one, if it names a whole ID, or the
// children of one.
func (d *data) within(f store.Filter) []store.ID {
	if f.Parent != uuid.Nil {
		return slices.SortedFunc(maps.Keys(d.children[f.Parent]), compareIDs)
	}
	id, err := uuid.Parse(f.IDPrefix)
	if err != nil || len(f.IDPrefix) != 36 && len(f.IDPrefix) != 32 {
		return d.ids
	}
	at, there := slices.BinarySearchFunc(d.ids, id, compareIDs)
	if !there {
		return nil
	}
	return d.ids[at : at+1]
}

func parseListCursor(cursor string) (store.ID, error) {
	if cursor == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(cursor)
	if err != nil {
		return uuid.Nil, fmt.Errorf("memory: list: %w", store.ErrBadCursor)
	}
	return id, nil
}

// matches compares whole values: no character of a filter has a meaning.
func matches(x *execution, f store.Filter) bool {
	switch {
	case f.Workflow != "" && x.Workflow != f.Workflow,
		f.Version != nil && x.Version != *f.Version,
		len(f.Statuses) > 0 && !slices.Contains(f.Statuses, x.Status),
		f.Queue != "" && x.Queue != f.Queue,
		f.Key != "" && x.Key != f.Key,
		f.ErrorCode != "" && x.ErrorCode != f.ErrorCode,
		!f.After.IsZero() && x.Created.Before(f.After),
		!f.Before.IsZero() && !x.Created.Before(f.Before),
		f.Parent != uuid.Nil && x.Parent != f.Parent,
		f.TopLevel && x.Parent != uuid.Nil,
		!strings.HasPrefix(hex.EncodeToString(x.ID[:]), strings.ReplaceAll(f.IDPrefix, "-", "")):
		return false
	}
	for _, tag := range f.Tags {
		if !slices.Contains(x.Tags, tag) {
			return false
		}
	}
	return true
}
