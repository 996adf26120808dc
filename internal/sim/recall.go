package sim

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// Runs that go back with their children: those that have completed and have something to
// undo go back in their turn, those that had not ended before everything else. The world knows
// from the ends of children what there is to undo, and from accepted writes who was told.

// kin is children of one entry that go back with their parent: one that was called, or items of a
// spread Each.
type kin struct {
	of   *items // nil: one that was called
	open bool   // they had not ended when the parent turned
	list []*member
}

// member is one of those, under its number.
type member struct {
	*kid
	n        int
	told     int  // the order that it has and has not answered; 0: none
	last     int  // the newest order
	row      int  // in which it answered last
	answered bool // and is not told again
	bad      bool // it could not
}

// again says that what could not be undone is tried again.
func (k *kin) again() {
	for _, m := range k.list {
		if !m.answered || m.bad {
			m.told, m.answered, m.bad = 0, false, false
		}
	}
}

func (k *kin) member(n int) *member {
	for _, m := range k.list {
		if m.n == n {
			return m
		}
	}
	return nil
}

// bad tells whether one of them could not go back.
func (k *kin) bad() bool { return slices.ContainsFunc(k.list, func(m *member) bool { return m.bad }) }

// left tells whether one of them has not answered.
func (k *kin) left() bool {
	return slices.ContainsFunc(k.list, func(m *member) bool { return !m.answered })
}

// members is all children that go back with a run.
func (bk *back) members() (list []*member) {
	for _, u := range bk.list() {
		if u.kin != nil {
			list = append(list, u.kin.list...)
		}
	}
	return list
}

// undoable tells whether a run is known to have something to undo.
func (w *work) undoable() bool {
	return slices.ContainsFunc(w.back.list(), func(u *undoing) bool { return u.kin == nil || !u.kin.open })
}

// keepKin notes that a child has completed which has something to undo.
func (s *Sim) keepKin(w *work, f *journal.Fact) {
	if !strings.HasPrefix(f.Call, "call:") && !strings.HasPrefix(f.Call, "await:") {
		return
	}
	var r run.ChildReport
	if json.Unmarshal(f.Data, &r) != nil {
		return
	}
	k := s.kids[r.ID]
	if k == nil {
		return
	}
	c := k.work
	undo := r.Status == store.Completed && !c.detached && c.undoable()
	if undo != f.Undo {
		s.fail("G14", "%s records at %s that a child has completed, and has something to undo=%v", w, f.Path, f.Undo)
	}
	await := strings.HasPrefix(f.Call, "await:")
	if !undo || await && slices.ContainsFunc(w.back.members(), func(m *member) bool { return m.kid == k }) {
		return
	}
	s.mark("a child completes and has something to undo")
	w.back.add(w.place(f.Path), f.Path, one(k, false))
}

// keepOpenKin notes which children had not ended when a run turns back.
func (s *Sim) keepOpenKin(w *work) {
	calls := w.hist.OpenCalls("")
	slices.SortStableFunc(calls, func(a, b journal.CallAt) int { return a.Seq - b.Seq })
	for _, c := range calls {
		id, err := uuid.Parse(strings.TrimPrefix(c.Wait.Topic, "child:"))
		if k := s.kids[id]; err == nil && k != nil && strings.HasPrefix(c.Call, "call:") {
			s.mark("a child is open when its parent goes back")
			w.back.add(w.place(c.Path), c.Path, one(k, true))
		}
	}
	for _, o := range w.hist.OpenItems("") {
		s.keepOpenItems(w, o.Path)
	}
}

// one is the entry of a child that was called.
func one(k *kid, open bool) *kin { return &kin{open: open, list: []*member{{kid: k}}} }

// keepItem notes that an item has completed which has something to undo.
func (s *Sim) keepItem(w *work, path string, it *items, k *kid) {
	s.mark("an item completes and has something to undo")
	pl := w.place(path)
	if pl.deed != nil {
		for _, u := range pl.deed.kids {
			if u.kin.of == it && !u.kin.open {
				u.kin.list = append(u.kin.list, &member{kid: k, n: k.item})
				return
			}
		}
	}
	w.back.add(pl, path, &kin{of: it, list: []*member{{kid: k, n: k.item}}})
}

// keepOpenItems notes which items are left behind that have not ended.
func (s *Sim) keepOpenItems(w *work, path string) {
	pl, k := w.place(path), kin{of: w.place(path).items, open: true}
	for n, c := range k.of.begun {
		if !k.of.ended[n] {
			k.list = append(k.list, &member{kid: s.kids[c.id], n: n})
		}
	}
	for _, x := range s.scattered { // begin with this row
		if x.path == path {
			id := run.ItemID(w.id, path, w.hist.Visit(path), w.hist.At(path).Spread.At, x.n)
			k.list = append(k.list, &member{kid: s.kids[id], n: x.n})
		}
	}
	if len(k.list) > 0 {
		s.mark("an item is open when its Each fails or goes back")
		w.back.add(pl, path, &k)
	}
}

func (bk *back) add(pl *place, path string, k *kin) {
	bk.n++
	d := bk.deed(pl, path)
	d.kids = append(d.kids, &undoing{path: path, n: bk.n, kin: k})
}

// due is the entry of a number, if its turn has come: first all children that had not ended,
// then one after another.
func (bk *back) due(step string, n int) *undoing {
	openLeft := false
	for _, u := range bk.list() {
		if u.kin == nil || !u.kin.open || u.over {
			continue
		}
		if openLeft = true; u.n == n && u.path == step {
			return u
		}
	}
	if u := bk.next(); !openLeft && u != nil && u.n == n && u.path == step {
		return u
	}
	return nil
}

// judgeKin looks at a fact about a child that goes back.
func (s *Sim) judgeKin(w *work, u *undoing, f *journal.Fact, a *store.Advance) {
	k := u.kin
	switch f.Kind {
	case journal.Done, journal.Failed:
		if k.left() || k.bad() != (f.Kind == journal.Failed) {
			s.fail("G14", "%s records %s of %s, whose children have answered=%v, bad=%v", w, f.Kind, f.Path, !k.left(), k.bad())
		}
		u.over, u.well = true, f.Kind == journal.Done
		s.mark("undone")
		s.mark("a child is undone with its parent")
		return
	case journal.Recalling:
	default:
		s.fail("G14", "%s records %s at %s, where a child is undone", w, f.Kind, f.Path)
		return
	}
	var o journal.Ordered
	if err := json.Unmarshal(f.Data, &o); err != nil {
		s.fail("journal", "%s at %s: %v", w, f.Path, err)
		return
	}
	for _, n := range numbers(o.Told) {
		m := k.member(n)
		if m == nil || m.told != 0 || m.answered || f.Attempt < m.last || f.Attempt < 1 || w.back.halted {
			s.fail("G14", "%s orders child %d of %s to go back, as %d; it is %+v; halted=%v", w, n, f.Path, f.Attempt, m, w.back.halted)
			return
		}
		m.told, m.last = f.Attempt, f.Attempt
		s.told = append(s.told, m)
	}
	for _, n := range numbers(slices.Concat(o.Undone, o.Failed)) {
		s.judgeAnswer(w, k.member(n), slices.Contains(numbers(o.Undone), n), f, a)
	}
}

// numbers is the numbers in ranges.
func numbers(list []journal.Range) (all []int) {
	for _, r := range list {
		for n := r[0]; n <= r[1]; n++ {
			all = append(all, n)
		}
	}
	return all
}

// judgeAnswer looks at what a run records of a child's answer to its order.
func (s *Sim) judgeAnswer(w *work, k *member, undone bool, f *journal.Fact, a *store.Advance) {
	if k == nil || k.told == 0 || f.Attempt != k.told {
		s.fail("G14", "%s records at %s that a child has answered %d; it is %+v", w, f.Path, f.Attempt, k)
		return
	}
	i := -1
	if a != nil {
		i = slices.IndexFunc(a.Took, func(seq int64) bool {
			m := w.mail(seq)
			return m != nil && !m.taken && k.answeredBy(m)
		})
	}
	if i < 0 {
		s.fail("G14", "%s records that %s has answered, which it has not", w, k.work)
		return
	}
	s.answers++
	status := w.mail(a.Took[i]).says
	if well := status == store.Compensated || status == store.Failed || status == store.Cancelled; well != undone {
		s.fail("G14", "%s is %s, and %s takes it for undone=%v", k.work, status, w, undone)
	}
	k.told, k.answered, k.bad, k.row = 0, true, !undone, w.rows
	s.mark("a child answers that it is " + string(status))
}

// answeredBy tells whether a message is the answer of a child to an order, which its end
// is, too, unless it can still go back: then it has the order.
func (k *member) answeredBy(m *mail) bool {
	return m.topic == store.RecallTopic(k.id) || m.from == k.work && !store.Recallable(m.says)
}

// repeats tells whether a message says once more what a child has answered with this row: it had ended,
// and the store answered at once.
func (w *work) repeats(m *mail) bool {
	return slices.ContainsFunc(w.back.members(), func(k *member) bool {
		return k.answered && k.row == w.rows && k.answeredBy(m) && k.bad == (m.says == store.CompensationFailed)
	})
}

// judgeRecalls looks at orders to children, and gives them.
func (s *Sim) judgeRecalls(w *work, a *store.Advance) {
	for i := range a.Recall {
		d := &a.Recall[i]
		j := slices.IndexFunc(s.told, func(k *member) bool { return k.id == d.ID })
		if j < 0 || d.Dedupe != "recall:"+strconv.Itoa(s.told[j].last) || d.Topic != run.TopicRecall {
			s.fail("G14", "%s orders %s to go back with %s, which its row does not say", w, s.title(d.ID), d.Dedupe)
			return
		}
		s.told = slices.Delete(s.told, j, j+1)
		s.recall(w, s.work(d.ID), d)
	}
	if len(s.told) > 0 {
		s.fail("G14", "%s says that it has ordered %s to go back, and has not", w, s.told[0].work)
	}
}

// recall is what an order does.
func (s *Sim) recall(w, c *work, d *store.Deliver) {
	switch {
	case c.used[d.Dedupe]:
	case store.Recallable(c.status):
		s.mark("a child that has ended goes back")
		s.letter(c, &mail{topic: d.Topic, payload: d.Payload}, d.Dedupe)
		c.ordered, c.closed = true, false
		s.park(c, &store.Release{Status: store.Compensating})
	case !c.status.Ended():
		s.mark("a child that has not ended is to go back")
		c.ordered = true
		s.tell(c, &mail{topic: d.Topic, payload: d.Payload}, d.Dedupe)
	default:
		s.mark("an order to go back is answered at once")
		answer := store.RecallAnswer(w.id, d, c.status)
		s.tell(w, &mail{topic: answer.Topic, payload: answer.Payload, says: c.status}, answer.Dedupe)
	}
}

// orderOf is the number of the order in a row's messages, 0 if there is none.
func (w *work) orderOf(a *store.Advance) int {
	if a == nil {
		return 0
	}
	for _, seq := range a.Took {
		var o run.Recall
		if m := w.mail(seq); m != nil && m.topic == run.TopicRecall && json.Unmarshal(m.payload, &o) == nil {
			return o.Round
		}
	}
	return 0
}

// judgeKinUndone looks at the children of a run whose rollback has ended: those that it
// takes for undone are.
func (s *Sim) judgeKinUndone(w *work, list []*undoing) {
	for _, u := range list {
		if u.kin == nil || !u.over || !u.well {
			continue
		}
		for _, m := range u.kin.list {
			if c := m.work; c.status != store.Compensated && c.status != store.Failed && c.status != store.Cancelled {
				s.fail("G14", "%s is %s and takes %s for undone, which is %s", w, w.status, c, c.status)
			}
		}
	}
}

// judgeDeafness looks whether a rollback that is parked has overlooked an answer.
func (s *Sim) judgeDeafness(w *work) {
	for _, k := range w.back.members() {
		for _, m := range w.inbox {
			if k.told != 0 && !m.taken && k.answeredBy(m) {
				s.fail("G9", "%s goes to sleep although %s has answered", w, k.work)
			}
		}
	}
}

// answers tells whether a message is an answer of a child that goes back with the run.
func (w *work) answers(m *mail) bool {
	return slices.ContainsFunc(w.back.members(), func(k *member) bool { return k.answeredBy(m) })
}

// judgeHalt looks whether those are told of the end of a rollback that go back with it.
func (s *Sim) judgeHalt(w *work, a *store.Advance) {
	for _, k := range w.back.members() {
		if k.told != 0 && !slices.ContainsFunc(a.Tell, func(d store.Deliver) bool { return d.Topic == run.TopicHalt && d.ID == k.id }) {
			s.fail("G14", "the rollback of %s is ended, and %s goes on with its", w, k.work)
		}
	}
}

// haltKin is what a run tells a child whose rollback is to end with its own.
func (s *Sim) haltKin(w *work, d *store.Deliver, halts bool) {
	told := slices.ContainsFunc(w.back.members(), func(k *member) bool { return k.id == d.ID && (k.told != 0 || k.row == w.rows) })
	if !halts || !told {
		s.fail("G14", "%s ends the rollback of %s, halts=%v, told=%v", w, s.title(d.ID), halts, told)
		return
	}
	s.mark("a child's rollback is ended with its parent's")
	s.tell(s.work(d.ID), &mail{topic: d.Topic}, d.Dedupe)
}
