package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Items of an Each that are runs of their own. The world knows from accepted writes which have
// begun, and from their ends what their Each comes to.

// items is the items of a place, as the world knows them.
type items struct {
	node   *tree.Node
	begun  []*work
	ended  map[int]bool // as the run has recorded
	failed bool         // one of those did not end well
	over   bool
}

// plantItemFlows makes the workflows of items.
func (s *Sim) plantItemFlows() {
	if !s.Spread {
		return
	}
	for _, f := range slices.Clone(s.flows) {
		tree.Walk(f.defs[base].Tree, func(n *tree.Node) {
			if n.Kind != tree.Each || !n.Spread {
				return
			}
			w := &tree.Workflow{Name: tree.ItemName(f.name, n), Root: &tree.Node{Kind: tree.Sequence, Body: n.Body}}
			d := &run.Definition{Tree: w, Fingerprint: tree.Fingerprint(w)}
			s.flows = append(s.flows, &flow{name: w.Name, defs: [3]*run.Definition{d, d, d}})
		})
	}
}

func (s *Sim) flowNamed(name string) *flow {
	for _, f := range s.flows {
		if f.name == name {
			return f
		}
	}
	return nil
}

// spreadList is the list of a spread Each, with the answer that says where it lies. No two items of
// the world look alike.
func (w *work) spreadList(path string, entries int) (a *journal.Answer, part []byte) {
	a, _ = w.list(path, entries)
	a.Spread = true
	if a.Items == 0 {
		return a, nil
	}
	list := make([]state, a.Items)
	for i := range list {
		list[i] = state{Run: w.itemNumber(path, entries, i), Log: []string{"item " + strconv.Itoa(i)}}
	}
	part, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(part)
	a.Parts = []journal.Part{{Hash: hex.EncodeToString(sum[:])}}
	return a, part
}

func (w *work) itemNumber(path string, entries, i int) int {
	return 1_000_000 + int(hash(w.salt, "number", path, strconv.Itoa(entries))%1_000_000)*10 + i
}

// beginItems answers which items are to begin.
func (b *body) beginItems(q *plan.Question, st state) run.Answered {
	_, part := b.w.spreadList(b.v.Path, len(st.Log))
	var inputs []json.RawMessage
	if err := json.Unmarshal(part, &inputs); err != nil {
		panic(err)
	}
	var a run.Answered
	for n := q.Spread.From; n < q.Spread.From+q.Spread.Count; n++ {
		id := run.ItemID(b.w.id, b.v.Path, b.v.Generation, q.Spread.At, n)
		f := b.p.s.flowNamed(tree.ItemName(b.w.flow.name, b.v.Node))
		b.p.s.kids[id] = &kid{
			id: id, parent: b.w, flow: f, n: b.w.itemNumber(b.v.Path, len(st.Log), n), path: b.v.Path, key: "item:" + strconv.Itoa(n) + b.v.Generation,
			salt: hash(b.w.salt, "item", b.v.Path, strconv.Itoa(n)), item: n,
		}
		begin := store.Begin{ID: id, Workflow: f.name, Queue: "default", Priority: b.v.Priority, Parent: b.w.id, Depth: b.w.depth + 1}
		begin.Row = run.BeginRow(&begin, 0, inputs[n], b.p.s.clock())
		a.Begins = append(a.Begins, begin)
	}
	return a
}

// gather reads the items, one after another, and answers what they come to.
func (b *body) gather(q *plan.Question, n int) {
	if n == q.Spread.Count {
		b.answer()
		return
	}
	id := run.ItemID(b.w.id, b.v.Path, b.v.Generation, q.Spread.At, n)
	call(b.p, "load", storeTimeout, func() (store.Record, error) { return b.p.s.db.load(id) }, func(rec store.Record, err error) {
		switch {
		case b.over:
			return
		case err != nil && b.stopped == nil:
			b.after(second/10, func() { b.gather(q, n) })
			return
		case err != nil:
			b.gathered = nil
			b.end0()
			return
		}
		h, err := run.Replay(&rec)
		if err != nil {
			b.p.s.fail("doctor", "an item of %s: %v", b.w, err)
			return
		}
		way := plan.Way{State: h.State}
		if rec.Status != store.Completed {
			way.Err = &journal.Error{Code: "child"}
		}
		b.gathered = append(b.gathered, way)
		b.gather(q, n+1)
	})
}

// end0 answers nothing: the question is no longer asked.
func (b *body) end0() {
	b.over = true
	b.p.bodies = slices.DeleteFunc(b.p.bodies, func(x *body) bool { return x == b })
	b.p.w.Answered(b.v, run.Answered{None: true}, b.p.local())
}

// spreads begins the account of a spread Each, and looks whether its list is kept with its row.
func (s *Sim) spreads(p *process, w *work, f *journal.Fact, a *store.Advance) {
	n := tree.Find(w.definition(p), f.Path)
	w.place(f.Path).items = &items{node: n, ended: make(map[int]bool)}
	s.mark("spread")
	for _, part := range f.Answer.Parts {
		if a == nil || !slices.ContainsFunc(a.Blobs, func(b []byte) bool {
			sum := sha256.Sum256(b)
			return hex.EncodeToString(sum[:]) == part.Hash
		}) {
			s.fail("EA-6", "%s records a list at %s that is not kept with it", w, f.Path)
		}
	}
}

// judgeScattered looks at what a run records of its items.
func (s *Sim) judgeScattered(p *process, w *work, f *journal.Fact, a *store.Advance) {
	var d journal.Spreading
	it := w.place(f.Path).items
	if err := json.Unmarshal(f.Data, &d); err != nil || it == nil || it.over {
		s.fail("EA-6", "%s records items at %s, which has none: %v", w, f.Path, err)
		return
	}
	begun := len(it.begun)
	for _, x := range s.scattered { // with this row
		if x.path == f.Path {
			begun++
		}
	}
	if d.Begun > 0 && (d.From != begun || a == nil) {
		s.fail("EA-6", "%s says that item %d of %s at %s begins; %d have begun", p.name, d.From, w, f.Path, begun)
	}
	for i := range d.Begun {
		s.scattered = append(s.scattered, itemOf{f.Path, d.From + i})
	}
	open := begun + d.Begun - len(it.ended)
	if most := it.node.Ahead(); open > most {
		s.fail("EA-2", "%s has %d items begun at %s, and %d may be", w, open, f.Path, most)
	}
	if open > 1 {
		s.mark("items side by side")
	}
	for _, r := range d.Ended {
		for n := r[0]; n <= r[1]; n++ {
			s.judgeItemEnd(w, f, it, n, journal.In(d.Failed, n), journal.In(d.Undo, n), a)
		}
	}
}

// itemOf is an item that a row says has begun.
type itemOf struct {
	path string
	n    int
}

// judgeItemEnd looks at the end of an item that a run records.
func (s *Sim) judgeItemEnd(w *work, f *journal.Fact, it *items, n int, failed, inUndo bool, a *store.Advance) {
	if n >= len(it.begun) || it.ended[n] {
		s.fail("EA-6", "%s records the end of item %d at %s; %d have begun, ended before=%v", w, n, f.Path, len(it.begun), it.ended[n])
		return
	}
	c := it.begun[n]
	heard := a != nil && slices.ContainsFunc(a.Took, func(seq int64) bool {
		m := w.mail(seq)
		return m != nil && !m.taken && m.from == c
	})
	if !heard || failed != (c.status != store.Completed) {
		s.fail("G16", "%s records at %s that item %d has ended, failed=%v; it is %s, and said so=%v", w, f.Path, n, failed, c.status, heard)
	}
	undo := c.status == store.Completed && c.undoable()
	if undo != inUndo {
		s.fail("G14", "%s records at %s that item %d has something to undo=%v", w, f.Path, n, inUndo)
	}
	it.ended[n] = true
	if undo {
		s.keepItem(w, f.Path, it, s.kids[c.id])
	}
	it.failed = it.failed || failed
	s.mark("end of an item heard")
}

// bearItems gives items that begin their place among their siblings.
func (s *Sim) bearItem(p *process, parent *work, k *kid, w *work) {
	i := slices.Index(s.scattered, itemOf{k.path, k.item})
	it := parent.place(k.path).items
	if i < 0 || it == nil || len(it.begun) != k.item {
		s.fail("EA-6", "%s begins item %d of %s at %s, which its row does not say", p.name, k.item, parent, k.path)
		return
	}
	s.scattered = slices.Delete(s.scattered, i, i+1)
	it.begun, w.level = append(it.begun, w), parent.level
	w.model.log = []string{"item " + strconv.Itoa(k.item)}
}

// openItems is the items that a run has, and of whose end it has recorded nothing.
func (w *work) openItems() (list []*work) {
	for _, pl := range w.places {
		if pl.items == nil || pl.items.over {
			continue
		}
		for n, c := range pl.items.begun {
			if !pl.items.ended[n] {
				list = append(list, c)
			}
		}
	}
	slices.SortFunc(list, func(a, b *work) int { return slices.Compare(a.id[:], b.id[:]) })
	return list
}

// closeItems notes which Eachs a fact ends.
func (s *Sim) closeItems(w *work, f *journal.Fact) {
	if !s.Spread {
		return
	}
	for path, pl := range w.places {
		if pl.items == nil {
			continue
		}
		at := path == f.Path && (f.Kind == journal.Done || f.Kind == journal.Failed)
		if at || f.Kind == journal.Closed && strings.HasPrefix(path, f.Path+"/") || f.Kind == journal.Turned {
			pl.items.over = true
		}
	}
}

// judgeItemTells looks whether the items of what is over are told, and no others.
func (s *Sim) judgeItemTells(w *work, a *store.Advance, told map[store.ID]bool) {
	ends := a.Release != nil && a.Release.Status.Ended()
	wanted := w.openItems()
	for _, c := range s.openItems {
		over := ends || !slices.Contains(wanted, c)
		ended := slices.ContainsFunc(w.inbox, func(m *mail) bool { return m.from == c && m.taken })
		switch {
		case !over && told[c.id]:
			s.fail("G16", "%s cancels its item %s, which is still wanted", w, c)
		case over && !told[c.id] && !ended && !(ends && w.hist.Cancel != nil):
			s.fail("G16", "%s is over for its item %s, which is not told", w, c)
		case over && told[c.id]:
			s.mark("item told to end")
		}
	}
}

// outcomes is how the items of an Each ended, for the model of its join.
func (it *items) outcomes() (list []ended) {
	for n, c := range it.begun {
		list = append(list, ended{name: strconv.Itoa(n), log: c.model.log, failed: c.status != store.Completed})
	}
	return list
}

// judgeLate looks at the report of an item that a run took and did not record.
func (s *Sim) judgeLate(w *work, m *mail) {
	k := s.kids[m.from.id]
	if it := w.place(k.path).items; it != nil && !it.over && k.item < len(it.begun) && it.begun[k.item] == m.from && !it.ended[k.item] {
		s.fail("G16", "%s takes the report of item %d at %s and records nothing", w, k.item, k.path)
	}
}

// isItem tells whether a run is an item of a spread Each.
func (w *work) isItem() bool { return tree.IsItem(w.flow.name) }

func (k *kid) isItem() bool { return tree.IsItem(k.flow.name) }
