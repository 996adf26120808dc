package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// tx is a transaction: what has changed so far, laid over the data. Nothing
// reaches the data before install, so a refused batch is simply dropped.
type tx struct {
	*data
	now       time.Time
	edits     map[store.ID]*execution
	order     []store.ID // of edits, so that install is deterministic
	keys      overlay[key, store.ID]
	dedupes   overlay[dedupe, bool]
	opened    map[string]bool // waits opened here
	tokens    overlay[string, []token]
	published overlay[string, []publication]
	kept      []keptBlob
	logs      []loggedBy
	chunks    []chunkOf
}

func (d *data) begin(now time.Time) *tx {
	return &tx{
		data:      d,
		now:       now,
		edits:     map[store.ID]*execution{},
		keys:      overlay[key, store.ID]{under: d.keys, over: map[key]store.ID{}},
		dedupes:   overlay[dedupe, bool]{under: d.dedupes, over: map[dedupe]bool{}},
		opened:    map[string]bool{},
		tokens:    overlay[string, []token]{under: d.tokens, over: map[string][]token{}},
		published: overlay[string, []publication]{under: d.published, over: map[string][]publication{}},
	}
}

// look returns the execution as this transaction sees it, or nil.
func (t *tx) look(id store.ID) *execution {
	if x := t.edits[id]; x != nil {
		return x
	}
	return t.executions[id]
}

// edit returns the execution for change.
func (t *tx) edit(id store.ID) *execution {
	if x := t.edits[id]; x != nil {
		return x
	}
	copied := *t.executions[id]
	t.add(&copied)
	return &copied
}

// undo forgets what edit gave and takes the execution back to what it was.
func (t *tx) undo(was execution) { *t.edits[was.ID] = was }

func (t *tx) add(x *execution) {
	t.edits[x.ID] = x
	t.order = append(t.order, x.ID)
}

// install makes the changes visible to all.
func (t *tx) install() {
	d := t.data
	for _, id := range t.order {
		d.index(d.executions[id], t.edits[id])
		d.executions[id] = t.edits[id]
	}
	maps.Copy(d.keys, t.keys.over)
	maps.Copy(d.dedupes, t.dedupes.over)
	maps.Copy(d.tokens, t.tokens.over)
	maps.Copy(d.published, t.published.over)
	for _, k := range t.kept {
		d.blobs.keep(k)
	}
	for _, l := range t.logs {
		d.keepLog(l)
	}
	for _, c := range t.chunks {
		d.keepChunk(c)
	}
}

// index keeps what finds executions in step with them. was is nil for a new one.
func (d *data) index(was, is *execution) {
	if was == nil {
		at, _ := slices.BinarySearchFunc(d.ids, is.ID, compareIDs)
		d.ids = slices.Insert(d.ids, at, is.ID)
		if is.Parent != uuid.Nil {
			put(d.children, is.Parent, is.ID)
		}
	} else {
		if was.claimable() || was.Status == store.Blocked {
			d.queues[was.Queue].remove(was)
		}
		if was.Owner != uuid.Nil {
			delete(d.owned[was.Owner], was.ID)
		}
		for _, w := range was.waits {
			delete(d.waits, w.ID)
		}
		for _, h := range was.holds {
			delete(d.holds[h.Name], was.ID)
		}
	}
	if is.claimable() || is.Status == store.Blocked {
		if d.queues[is.Queue] == nil {
			d.queues[is.Queue] = &line{}
		}
		d.queues[is.Queue].insert(is)
	}
	if is.Owner != uuid.Nil {
		put(d.owned, is.Owner, is.ID)
	}
	for _, w := range is.waits {
		d.waits[w.ID] = is.ID
	}
	for _, h := range is.holds {
		put(d.holds, h.Name, is.ID)
	}
}

// put adds to a set in a map of sets.
func put[K, V comparable](sets map[K]map[V]struct{}, k K, v V) {
	if sets[k] == nil {
		sets[k] = map[V]struct{}{}
	}
	sets[k][v] = struct{}{}
}

// overlay is a map seen through additions that may still be dropped.
type overlay[K comparable, V any] struct{ under, over map[K]V }

func (o overlay[K, V]) get(k K) (V, bool) {
	if v, ok := o.over[k]; ok {
		return v, true
	}
	v, ok := o.under[k]
	return v, ok
}
