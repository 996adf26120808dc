package sim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// What the world knows of families, and what it is not content with: a child begins
// once, its end is told once and as it was, who is no longer wanted is told.

// callAt is a call of a child whose end is awaited.
type callAt struct{ path, call string }

// openCalls is the calls of children that wait, with the topics of their reports.
func (w *work) openCalls() map[callAt]string {
	open := make(map[callAt]string)
	for _, c := range w.hist.OpenCalls("") {
		if strings.HasPrefix(c.Call, "call:") {
			open[callAt{c.Path, c.Call}] = c.Wait.Topic
		}
	}
	return open
}

// judgeFamily looks at what a row means for children. before is the calls that were
// open before it.
func (s *Sim) judgeFamily(p *process, w *work, a *store.Advance, before map[callAt]string) {
	if !s.Children {
		return
	}
	list, _ := journal.Decode(a.Row) // judgeFacts has read it
	begun := make(map[string]bool)
	for i := range a.Children {
		if k := s.kids[a.Children[i].ID]; k != nil && k.isItem() {
			continue
		}
		begun[a.Children[i].ID.String()] = true
	}
	for _, f := range list {
		if f.Kind == journal.Waited && strings.HasPrefix(f.Call, "call:") {
			before[callAt{f.Path, f.Call}] = f.Wait.Topic
		}
		if f.Child != "" && !begun[f.Child] {
			s.fail("G16", "%s records a child of %s at %s that does not begin with it", p.name, w, f.Path)
		}
		if f.Child != "" {
			delete(begun, f.Child)
		}
	}
	if len(begun) > 0 {
		s.fail("G16", "%s begins children of %s that its row does not name", p.name, w)
	}
	for i := range a.Children {
		s.bear(p, w, &a.Children[i])
	}
	if len(s.scattered) > 0 {
		s.fail("EA-7", "%s says that items of %s begin, and they do not", p.name, w)
	}
	s.judgeTells(p, w, a, list, before)
}

// bear begins a child in the world.
func (s *Sim) bear(p *process, parent *work, b *store.Begin) {
	k := s.kids[b.ID]
	if k == nil || k.parent != parent {
		s.fail("G16", "%s begins a child of %s that nobody asked for", p.name, parent)
		return
	}
	pl := parent.place(k.path)
	if old := pl.kids[k.key]; old != nil && !old.let && (!old.work.hasEnded() || old.work.status == store.Completed || strings.HasPrefix(k.key, "spawn:") && !old.broke) {
		s.fail("G16", "%s begins the child %s of %s at %s twice: the first is %s", p.name, k.key, parent, k.path, old.work.status)
	}
	pl.kids[k.key] = k
	w := s.newWork(k.n, k.id, k.flow, k.salt)
	w.parent, w.detached, w.depth, w.acked = parent, b.Detached, parent.depth+1, true
	k.work, w.level = w, parent.level+1
	if k.isItem() {
		s.bearItem(p, parent, k, w)
	}
	s.works = append(s.works, w)
	s.mark("child")
	s.began(w, b)
	s.judgeFacts(p, w, b.Row, nil, false)
}

// hasEnded tells whether a run has ended, also if somebody has its rollback tried again since.
func (w *work) hasEnded() bool {
	return w.status.Ended() || w.status == store.Compensating && w.back.revived
}

// judgeTells looks whether those whose calls are over without an end of theirs are
// told, and nobody else.
func (s *Sim) judgeTells(p *process, w *work, a *store.Advance, list []journal.Fact, calls map[callAt]string) {
	ends := a.Release != nil && a.Release.Status.Ended()
	for _, f := range list {
		if f.Kind == journal.Received {
			delete(calls, callAt{f.Path, f.Call})
		}
	}
	if !ends || w.hist.Cancel != nil {
		for c := range w.openCalls() {
			delete(calls, c)
		}
	}
	told, items := make(map[string]bool), make(map[store.ID]bool)
	halts := slices.ContainsFunc(list, func(f journal.Fact) bool { return f.Kind == journal.Halted })
	if halts {
		s.judgeHalt(w, a)
	}
	for i := range a.Tell {
		if a.Tell[i].Topic == run.TopicHalt {
			s.haltKin(w, &a.Tell[i], halts)
			continue
		}
		if c := s.work(a.Tell[i].ID); c != nil && c.isItem() {
			items[c.id] = true
			s.tell(c, &mail{topic: a.Tell[i].Topic}, a.Tell[i].Dedupe)
			continue
		}
		topic := store.ChildTopic(a.Tell[i].ID)
		told[topic] = true
		known := false
		for _, x := range calls {
			known = known || x == topic
		}
		if !known {
			s.fail("G16", "%s cancels the child %s of %s, which is still wanted", p.name, s.title(a.Tell[i].ID), w)
		}
		if c := s.work(a.Tell[i].ID); c != nil && c.parent == w {
			s.tell(c, &mail{topic: a.Tell[i].Topic}, a.Tell[i].Dedupe)
		}
	}
	s.judgeItemTells(w, a, items)
	for c, topic := range calls {
		if !told[topic] && !(ends && w.hist.Cancel != nil) {
			s.fail("G16", "%s ends the call %s of %s at %s without its child being told", p.name, c.call, w, c.path)
		}
		if k := w.place(c.path).kids[c.call]; k != nil {
			k.let = true
			s.mark("child let go")
		}
	}
}

// tell puts a message of the family into an inbox.
func (s *Sim) tell(w *work, m *mail, dedupe string) {
	if w.used[dedupe] || w.status.Ended() {
		return
	}
	s.letter(w, m, dedupe)
	fromAbove := m.topic == run.TopicCancel || m.topic == run.TopicRecall || m.topic == run.TopicHalt
	wakes := w.status == store.Waiting && w.listens(m) != nil || fromAbove && (w.status == store.Waiting || w.status == store.Pending)
	if m.topic == run.TopicCancel {
		s.mark("child told to end")
	}
	if fromAbove {
		w.doom()
	}
	// What an end tells all children makes no rollback due.
	if w.status == store.Compensating && w.owner == (store.Incarnation{}) && (w.parent == nil || dedupe != store.FamilyDedupe(w.parent.id)) {
		w.due = s.clock()
		w.changed()
	}
	if wakes {
		w.status, w.due = store.Pending, s.clock()
		if m.from != nil && m.from.isItem() { // before its other items
			w.due = w.created
		}
		w.changed()
	}
}

// letter puts a message into an inbox and wakes nobody.
func (s *Sim) letter(w *work, m *mail, dedupe string) {
	w.used[dedupe] = true
	m.seq, m.at = int64(len(w.inbox)+1), s.now
	w.inbox = append(w.inbox, m)
}

// judgeRelatives looks whether the end of a run is told to those who are to know.
func (s *Sim) judgeRelatives(w *work, r *store.Release) {
	if !s.Children {
		return
	}
	if w.doomed && !w.late && w.status != store.Cancelled && w.status != store.Compensated && w.status != store.CompensationFailed {
		s.fail("G15", "%s was cancelled by its parent while nobody had it, and ends as %s", w, w.status)
	}
	if w.parent != nil {
		s.judgeReport(w, r.Report)
		s.judgeBackReport(w, r)
		s.tell(w.parent, &mail{topic: r.ReportTopic(w.id), says: w.status, from: w}, r.ReportDedupe(w.id))
	}
	if w.hist.Cancel == nil {
		if r.Family != nil {
			s.fail("G16", "%s is %s, and tells its children that they are cancelled", w, w.status)
		}
		return
	}
	if r.Family == nil {
		s.fail("G15", "%s is cancelled, and its children are not told", w)
	}
	for _, c := range s.works {
		if c.parent == w && !c.detached {
			s.tell(c, &mail{topic: run.TopicCancel}, store.FamilyDedupe(w.id))
		}
	}
}

// judgeReport compares a report with what has become of the child.
func (s *Sim) judgeReport(w *work, report []byte) {
	var r run.ChildReport
	switch err := json.Unmarshal(report, &r); {
	case err != nil:
		s.fail("G16", "%s ends, and its parent is told %q", w, report)
	case r.ID != w.id || r.Status != w.status:
		s.fail("G16", "%s is %s, and its parent is told that it is %s", w, w.status, r.Status)
	case r.Status == store.Completed && !w.isItem() && !bytes.Equal(r.State, w.hist.State):
		s.fail("G16", "%s ends with %s, and its parent is told %s", w, w.hist.State, r.State)
	}
}

// judgeBackReport looks whether an end says that there is something to undo, and answers the order of the
// parent, if there is one.
func (s *Sim) judgeBackReport(w *work, r *store.Release) {
	var report run.ChildReport
	if err := json.Unmarshal(r.Report, &report); err != nil || report.Undo != (w.status == store.Completed && !w.detached && w.undoable()) {
		s.fail("G14", "%s is %s, and its parent is told undo=%v", w, w.status, report.Undo)
	}
	topic, dedupe := store.ChildTopic(w.id), store.ChildTopic(w.id)
	if w.isItem() {
		topic = run.ItemsTopic(w.flow.name)
	}
	if n := w.back.order; n == 0 && w.back.turned {
		dedupe = run.BackDedupe(w.id, w.epoch)
	} else if n > 0 {
		topic, dedupe = store.RecallTopic(w.id), store.RecallDedupe(w.id, "recall:"+strconv.Itoa(n))
	}
	if r.ReportTopic(w.id) != topic || r.ReportDedupe(w.id) != dedupe {
		s.fail("G16", "%s ends and tells its parent as %s, %s; its order is %d", w, r.ReportTopic(w.id), r.ReportDedupe(w.id), w.back.order)
	}
}

// judgeHeard looks at what a run records of the end of a child of its.
func (s *Sim) judgeHeard(w *work, f *journal.Fact) {
	var r run.ChildReport
	if err := json.Unmarshal(f.Data, &r); err != nil {
		s.fail("G16", "%s records %q of its child at %s", w, f.Data, f.Path)
		return
	}
	c := s.work(r.ID)
	switch {
	case c == nil || c.parent != w || !slices.Contains(c.ends, r.Status):
		s.fail("G16", "%s records the end of a child at %s that has not ended", w, f.Path)
		return
	case f.Kind == journal.Received && w.mail(f.Message).topic != store.ChildTopic(c.id):
		s.fail("G9", "%s takes message %d for the end of another child", w, f.Message)
	case (f.Err == nil) != (r.Status == store.Completed):
		s.fail("G16", "%s was %s, and %s takes it for ended well=%v", c, r.Status, w, f.Err == nil)
	}
	if k := s.kids[r.ID]; k != nil && f.Err != nil {
		k.broke = true
	}
	if c.status == r.Status { // else it has gone back since
		s.judgeReport(c, f.Data)
	}
	s.mark("end of a child heard")
}

// doom notes that nothing can save a run any more from the cancel that is in its inbox:
// nobody has it, and its end is not recorded.
func (w *work) doom() {
	if w.owner == (store.Incarnation{}) && w.unheard() && w.hist.Back == nil && !w.s.Deploy && plan.Eval(w.flow.defs[w.s.lastVariant()].Tree, w.hist).Outcome == plan.Going {
		w.doomed = true
	}
}

// going tells whether the owner of a run has something to do in it but to wait for its
// bodies to return.
func (w *work) going() bool {
	p := w.owners[w.epoch]
	return w.definition(p) != nil && plan.Eval(w.definition(p), w.hist).Outcome == plan.Going
}

// unheard tells whether a run was told to end, or to go back, by its parent and has not read that.
func (w *work) unheard() bool {
	return slices.ContainsFunc(w.inbox, func(m *mail) bool {
		return (m.topic == run.TopicCancel || m.topic == run.TopicRecall) && !m.taken
	})
}

// heardOf tells whether a message is one by which a parent cancels a run.
func (w *work) heardOf(seq int64) bool {
	m := w.mail(seq)
	return m != nil && m.topic == run.TopicCancel
}
