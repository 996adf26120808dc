package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/durable-go/durable/store"
)

// pruneBugs are mistakes in removing what has ended.
func pruneBugs() []bug {
	asked := func(spoil func(req *store.PruneRequest)) func() func(store.Store) store.Store {
		return func() func(store.Store) store.Store {
			return func(st store.Store) store.Store { return misasked{st, spoil} }
		}
	}
	left := func(what string) func() func(store.Store) store.Store {
		return func() func(store.Store) store.Store {
			l := &leftovers{what: what, names: map[string]bool{}, keys: map[string]store.Verdict{}, logs: map[store.ID][]store.Log{}, blobs: map[string][]byte{}}
			return func(st store.Store) store.Store { return leaving{st, l} }
		}
	}
	return []bug{
		{"prune ignores the age", []string{"prune/the age counts from the end"}, asked(func(r *store.PruneRequest) { r.Age = 0 })},
		{"prune ignores the status", []string{"prune/by workflow, version and status"}, asked(func(r *store.PruneRequest) { r.Statuses = nil })},
		{"prune ignores the version", []string{"prune/by workflow, version and status"}, asked(func(r *store.PruneRequest) { r.Version = nil })},
		{
			"prune ignores the workflow",
			[]string{"prune/by workflow, version and status", "prune/neighbours keep what is theirs"},
			asked(func(r *store.PruneRequest) { r.Workflow = "" }),
		},
		{"prune ignores the limit", []string{"prune/a limit, and what is left"}, asked(func(r *store.PruneRequest) { r.Limit = 0 })},
		{"counting removes", []string{"prune/a count changes nothing"}, asked(func(r *store.PruneRequest) { r.Count = false })},
		{
			"prune takes open runs",
			[]string{"prune/never what has not ended", "race/prune against claims, ends and messages"},
			func() func(store.Store) store.Store {
				h := &hidden{ids: map[store.ID]bool{}}
				return func(st store.Store) store.Store { return greedy{st, h} }
			},
		},
		{"prune leaves keys", []string{"prune/a removed execution is like one that never was"}, left("key")},
		{"prune leaves dedupe names", []string{"prune/a removed execution may begin again"}, left("name")},
		{
			"prune leaves logs",
			[]string{"prune/a removed execution is like one that never was", "prune/a removed execution may begin again"},
			left("log"),
		},
		{"a refused write leaves its blobs", []string{"batch/one stale write among 64 good"}, left("refused blob")},
		{"prune leaves blobs", []string{"prune/a removed execution is like one that never was", "prune/a removed execution may begin again"}, left("blob")},
		{
			"prune takes bodies that others have",
			[]string{"blobs/one body for all that name it", "race/prune against executions that name the same bodies"},
			func() func(store.Store) store.Store {
				l := &lostBodies{there: map[string]bool{}}
				return func(st store.Store) store.Store { return losing{st, l} }
			},
		},
		{"prune is forgotten by a restart", []string{"prune/a restart brings nothing back"}, func() func(store.Store) store.Store {
			r := &revived{kept: map[store.ID]store.Record{}}
			return func(st store.Store) store.Store { return r.opened(st) }
		}},
	}
}

// misasked prunes something else than it is asked to.
type misasked struct {
	store.Store
	spoil func(req *store.PruneRequest)
}

func (m misasked) Prune(ctx context.Context, req store.PruneRequest) (store.Pruned, error) {
	if err := req.Check(); err != nil {
		return store.Pruned{}, err
	}
	m.spoil(&req)
	return m.Store.Prune(ctx, req)
}

// greedy also removes, or so it seems, the oldest execution that has not ended.
type greedy struct {
	store.Store
	*hidden
}

type hidden struct {
	mu  sync.Mutex
	ids map[store.ID]bool
}

func (g greedy) Prune(ctx context.Context, req store.PruneRequest) (store.Pruned, error) {
	p, err := g.Store.Prune(ctx, req)
	page, _ := g.Store.List(ctx, store.Filter{Statuses: []store.Status{store.Pending, store.Running, store.Waiting}, Limit: 1})
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(page.Executions) > 0 && !req.Count {
		g.ids[page.Executions[0].ID] = true
	}
	return p, err
}

func (g greedy) gone(id store.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ids[id]
}

func (g greedy) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	if g.gone(id) {
		return store.Record{}, store.ErrNotFound
	}
	return g.Store.Load(ctx, id, whole)
}

func (g greedy) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	if len(writes) == 1 && writes[0].Advance != nil && g.gone(writes[0].Advance.ID) {
		return store.Result{Verdicts: []store.Verdict{{Code: store.Superseded}}}, nil
	}
	return g.Store.Commit(ctx, writes)
}

// leaving forgets to remove one kind of thing.
type leaving struct {
	store.Store
	*leftovers
}

type leftovers struct {
	mu    sync.Mutex
	what  string
	names map[string]bool          // by execution and name
	keys  map[string]store.Verdict // by workflow and key
	logs  map[store.ID][]store.Log // as last read
	blobs map[string][]byte        // by execution and hash
}

func (l leaving) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(writes) == 1 && writes[0].Begin != nil && l.what == "key" {
		b := writes[0].Begin
		if v, taken := l.keys[b.Workflow+" "+b.Key]; taken && b.Key != "" && v.ID != b.ID {
			r, err := l.Store.Commit(ctx, nil)
			r.Verdicts = []store.Verdict{v}
			return r, err
		}
	}
	r, err := l.Store.Commit(ctx, writes)
	for i, v := range r.Verdicts {
		switch w := writes[i]; {
		case v.Code != store.Applied:
			if l.what == "refused blob" && w.Advance != nil {
				l.keep(w.Advance)
			}
		case w.Begin != nil:
			l.keys[w.Begin.Workflow+" "+w.Begin.Key] = store.Verdict{Code: store.Exists, ID: w.Begin.ID}
		case w.Advance != nil:
			l.logs[w.Advance.ID] = append(l.logs[w.Advance.ID], w.Advance.Logs...)
			if l.what == "blob" {
				l.keep(w.Advance)
			}
		case w.Deliver != nil:
			name := w.Deliver.ID.String() + w.Deliver.Dedupe
			if l.names[name] && l.what == "name" {
				r.Verdicts[i].Code = store.Landed
			}
			l.names[name] = true
		}
	}
	return r, err
}

func (l *leftovers) keep(a *store.Advance) {
	for _, b := range a.Blobs {
		l.blobs[a.ID.String()+hashOf(string(b))] = b
	}
}

func (l leaving) Logs(ctx context.Context, id store.ID, since time.Time) ([]store.Log, error) {
	logs, err := l.Store.Logs(ctx, id, since)
	if l.what == "log" && len(logs) == 0 {
		return l.logs[id], err
	}
	return logs, err
}

func (l leaving) Blob(ctx context.Context, id store.ID, hash string) ([]byte, error) {
	if b, there := l.blobs[id.String()+hash]; there {
		return b, nil
	}
	return l.Store.Blob(ctx, id, hash)
}

// revived has, once it is opened again, what was pruned before.
type revived struct {
	opens int
	kept  map[store.ID]store.Record
}

type reviving struct {
	store.Store
	*revived
	nth int
}

func (r *revived) opened(st store.Store) store.Store {
	r.opens++
	return reviving{st, r, r.opens}
}

func (r reviving) Prune(ctx context.Context, req store.PruneRequest) (store.Pruned, error) {
	page, err := r.List(ctx, store.Filter{Limit: 1000})
	if err != nil {
		return store.Pruned{}, fmt.Errorf("list: %w", err)
	}
	for _, x := range page.Executions {
		rec, err := r.Store.Load(ctx, x.ID, true)
		if err != nil {
			return store.Pruned{}, fmt.Errorf("load: %w", err)
		}
		r.kept[x.ID] = rec
	}
	return r.Store.Prune(ctx, req)
}

func (r reviving) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	rec, err := r.Store.Load(ctx, id, whole)
	if old, kept := r.kept[id]; err != nil && kept && r.nth > 1 {
		return old, nil
	}
	return rec, err
}

// losing removes with one execution the bodies that all have named.
type losing struct {
	store.Store
	*lostBodies
}

type lostBodies struct {
	mu    sync.Mutex
	there map[string]bool // by hash: false if a removed execution took it
}

func (l losing) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	r, err := l.Store.Commit(ctx, writes)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range writes {
		if w.Advance != nil {
			for _, b := range w.Advance.Blobs {
				l.there[hashOf(string(b))] = true
			}
		}
	}
	return r, err
}

func (l losing) Prune(ctx context.Context, req store.PruneRequest) (store.Pruned, error) {
	p, err := l.Store.Prune(ctx, req)
	if p.Removed > 0 && !req.Count {
		l.mu.Lock()
		defer l.mu.Unlock()
		for hash := range l.there {
			l.there[hash] = false
		}
	}
	return p, err
}

func (l losing) Blob(ctx context.Context, id store.ID, hash string) ([]byte, error) {
	l.mu.Lock()
	there, known := l.there[hash]
	l.mu.Unlock()
	if known && !there {
		return nil, store.ErrNotFound
	}
	return l.Store.Blob(ctx, id, hash)
}
