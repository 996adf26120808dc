package sim

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Runs that go back. The world keeps a list of its own of what is to be undone,
// without the fold of package journal.

// undoing is something that a run has done, or may have done.
type undoing struct {
	path string // of the step
	n    int
	log  []string // the state that its undo is to see
	over bool
	well bool
	kin  *kin // not nil: not the step is undone, but a child that it called
}

// deed is a step that is to be undone, and what it called, the last called last.
type deed struct {
	path string
	own  *undoing // nil: only what it called is
	kids []*undoing
}

// back is what the world knows of the undoing of a run.
type back struct {
	deeds   []*deed // what was tried or done last stands at the end
	n       int     // numbers that were given
	turned  bool
	halted  bool
	revived bool
	asked   bool // it was cancelled to go back, and that is acknowledged
	order   int  // the newest order of its parent to go back that it has read
}

// list is all that is to be undone, in the order in which that happens.
func (bk *back) list() (list []*undoing) {
	for _, d := range slices.Backward(bk.deeds) {
		if d.own != nil {
			list = append(list, d.own)
		}
		for _, u := range slices.Backward(d.kids) {
			list = append(list, u)
		}
	}
	return list
}

// compensates gives some steps something that undoes them.
func (g *planter) compensates(n *tree.Node) *tree.Node {
	if g.sagas && g.r.IntN(3) > 0 {
		n.Undo = &tree.Retry{MaxAttempts: 1 + g.r.IntN(4), Base: 50 * time.Millisecond, Max: second}
	}
	return n
}

// undoScript is the program of what undoes the step at a path.
func (w *work) undoScript(path string, n *tree.Node) *script {
	p := w.place(path)
	if p.script == nil {
		p.script = newScript(hash(w.salt, path), &tree.Node{Kind: tree.Step, Retry: n.Undo}, w.s.Calm)
	}
	return p.script
}

// prepare reads what an undo is to see, and begins it.
func (b *body) prepare() {
	b.key = "state"
	call(b.p, "load", storeTimeout, func() (store.Record, error) { return b.p.s.db.whole(b.w.id) }, func(rec store.Record, err error) {
		switch {
		case b.over:
			return
		case err != nil && b.stopped == nil:
			b.after(100*time.Millisecond, b.prepare)
			return
		case err != nil:
			b.key = ""
			b.react()
			return
		}
		b.key = ""
		state, err := undoState(&rec, b.v.Undoes.N)
		if err != nil {
			b.p.s.fail("G14", "%s cannot be undone: %v", b.w, err)
			return
		}
		b.v.State = state
		b.judgeUndoState()
		if b.stopped != nil && !b.script.deaf {
			b.react()
			return
		}
		b.step()
	})
}

func undoState(rec *store.Record, n int) ([]byte, error) {
	rows := make([]journal.Row, len(rec.Rows))
	for i, row := range rec.Rows {
		facts, err := journal.Decode(row.Body)
		if err != nil {
			return nil, err
		}
		rows[i] = journal.Row{Seq: row.Seq, Epoch: row.Epoch, Facts: facts}
	}
	states, err := journal.UndoStates(rows, 1<<20, func(m int) bool { return m == n })
	return states[n], err
}

// judgeUndoState compares what an undo sees with what the step left.
func (b *body) judgeUndoState() {
	var st state
	if err := json.Unmarshal(b.v.State, &st); err != nil {
		b.p.s.fail("state", "%s at %s: %v", b.w, b.v.Path, err)
	}
	for _, u := range b.w.back.list() {
		if u.n == b.v.Undoes.N && !slices.Equal(u.log, st.Log) {
			b.p.s.fail("G14", "%s of %s sees %q; the step left %q", b.v.Path, b.w, st.Log, u.log)
		}
	}
}

// keepUndos keeps the list.
func (s *Sim) keepUndos(p *process, w *work, f *journal.Fact) {
	bk := &w.back
	switch {
	case !s.goesBack() || bk.turned:
		return
	case f.Kind == journal.Turned:
		bk.turned = true
		s.keepOpenKin(w)
		return
	case f.Path == "":
		return
	}
	pl := w.place(f.Path)
	switch f.Kind {
	case journal.Tried, journal.Done:
		bk.renew(pl)
		n := tree.Find(w.definition(p), f.Path)
		if n == nil || n.Kind != tree.Step || n.Undo == nil && (pl.deed == nil || pl.deed.own == nil) {
			return
		}
		d := bk.deed(pl, f.Path)
		if d.own == nil {
			bk.n++
			d.own = &undoing{path: f.Path, n: bk.n}
		}
		d.own.log = slices.Clone(*w.model.at(f.Path))
	case journal.Called, journal.Received:
		s.keepKin(w, f)
	case journal.Cleared:
		bk.forget(pl)
	case journal.Delayed, journal.Failed:
		if f.Undo && pl.items != nil {
			s.keepOpenItems(w, f.Path)
		}
		if f.Kind == journal.Delayed && f.Why != journal.ByError {
			return
		}
		if f.Err == nil || !slices.Contains([]string{"step_timeout", "crash_limit", "journal_limit"}, f.Err.Code) {
			bk.forget(pl)
		}
	}
}

// deed is what is to be undone of a place.
func (bk *back) deed(pl *place, path string) *deed {
	if pl.deed == nil {
		pl.deed = &deed{path: path}
		bk.deeds = append(bk.deeds, pl.deed)
	}
	return pl.deed
}

// renew puts what is to be undone of a place at the end: it has been tried or done again.
func (bk *back) renew(pl *place) {
	if pl.deed != nil {
		bk.deeds = append(slices.DeleteFunc(bk.deeds, func(x *deed) bool { return x == pl.deed }), pl.deed)
	}
}

// forget takes out what a step said itself that it did not do. What it called stays.
func (bk *back) forget(pl *place) {
	switch {
	case pl.deed == nil:
	case len(pl.deed.kids) > 0:
		pl.deed.own = nil
	default:
		bk.deeds = slices.DeleteFunc(bk.deeds, func(x *deed) bool { return x == pl.deed })
		pl.deed = nil
	}
}

// next is what is to be undone now, nil if nothing is left.
func (bk *back) next() *undoing {
	for _, u := range bk.list() {
		if !u.over {
			return u
		}
	}
	return nil
}

// goesBack tells whether runs may go back: items that are dismissed do, and end their children.
func (s *Sim) goesBack() bool { return s.Sagas || s.Spread }

// judgeBack looks at a fact of a run that may go back.
func (s *Sim) judgeBack(p *process, w *work, f *journal.Fact, a *store.Advance) {
	if !s.goesBack() {
		return
	}
	bk := &w.back
	step, n, undo := journal.CutUndo(f.Path)
	switch {
	case f.Kind == journal.Turned:
		s.mark("turned")
	case f.Kind == journal.Recalled:
		bk.order = f.Attempt
		s.orders++
		s.mark("ordered to go back")
	case f.Kind == journal.Halted:
		bk.halted = true
		s.mark("halted")
	case f.Kind == journal.Revived:
		s.revive(w)
	case f.Kind == journal.Handed || f.Path == "":
	case undo && !bk.turned:
		s.fail("G14", "%s undoes %s of %s, which has not turned", p.name, f.Path, w)
	case !undo && bk.turned:
		s.fail("G14", "%s records %s at %s of %s, which goes back", p.name, f.Kind, f.Path, w)
	case undo:
		u := bk.due(step, n)
		if u == nil {
			s.fail("G14", "%s records %s at %s of %s out of turn: %s is next", p.name, f.Kind, f.Path, w, bk.next())
			return
		}
		if u.kin != nil {
			s.judgeKin(w, u, f, a)
			return
		}
		told := func(m *mail) bool { // and not, in this write, before an order to try again
			heard := bk.revived && a != nil && slices.Contains(a.Took, m.seq)
			return m.topic == run.TopicHalt && !m.taken && m.at < w.taken && !heard
		}
		if f.Kind == journal.Tried && (bk.halted || slices.ContainsFunc(w.inbox, told)) {
			s.fail("G14", "%s begins %s of %s, whose rollback was ended", p.name, f.Path, w)
		}
		if f.Kind == journal.Done || f.Kind == journal.Failed {
			u.over, u.well = true, f.Kind == journal.Done
			s.mark("undone")
		}
	}
}

func (u *undoing) String() string {
	if u == nil {
		return "nothing"
	}
	return u.path
}

// revive is what another try of a rollback means.
func (s *Sim) revive(w *work) {
	s.mark("revived")
	w.back.halted, w.back.revived = false, true
	for _, u := range w.back.list() {
		if u.kin != nil && !(u.over && u.well) {
			u.kin.again()
		}
		if u.over && !u.well {
			u.over = false
			pl := w.place(u.path + "~" + strconv.Itoa(u.n))
			pl.final, pl.failures, pl.inARow = false, 0, 0
		}
	}
}

// judgeUndoBegins looks at an undo that begins.
func (b *body) judgeUndoBegins() {
	for _, x := range b.p.bodies {
		if x != b && x.w == b.w && x.v.Question == nil {
			b.p.s.fail("G14", "%s begins %s of %s beside %s", b.p.name, b.v.Path, b.w, x.v.Path)
		}
	}
}

// judgeUndone looks at the end of a run that could have gone back.
func (s *Sim) judgeUndone(w *work) {
	if !s.goesBack() {
		return
	}
	bk := &w.back
	list := bk.list()
	bad := slices.ContainsFunc(list, func(u *undoing) bool { return !u.over || !u.well })
	s.judgeKinUndone(w, list)
	switch w.status {
	case store.Failed:
		if w.undoable() { // what had not ended is told that nobody wants it
			s.fail("G14", "%s fails, and %d steps of it are not undone", w, len(list))
		}
	case store.Compensated:
		if !bk.turned || bad {
			s.fail("G14", "%s is compensated; it turned=%v, and not all is undone=%v", w, bk.turned, bad)
		}
	case store.CompensationFailed:
		if !bk.turned || !bad {
			s.fail("G14", "%s is compensation_failed, and all is undone", w)
		}
	default:
		if bk.turned {
			s.fail("G14", "%s goes back, and ends as %s", w, w.status)
		}
	}
	if bk.asked && w.status != store.Compensated && w.status != store.CompensationFailed {
		s.fail("G15", "%s was cancelled to go back, and ends as %s", w, w.status)
	}
}

// meddle is what people do with rollbacks.
func (s *Sim) meddle(w *work) {
	switch {
	case !s.Sagas || w.hist.Back == nil || s.calm():
	case w.status == store.Compensating && s.chance(0.05):
		w.seq++
		s.deliver(w, store.Deliver{ID: w.id, Topic: run.TopicHalt, Dedupe: "halt:" + strconv.Itoa(w.seq)}, 0)
	case w.status == store.CompensationFailed && s.chance(0.4):
		s.again(w)
	}
}

// again has what could not be undone tried again.
func (s *Sim) again(w *work) {
	p := s.through(func() {})
	if p == nil {
		return
	}
	c := store.Control{
		ID: w.id, From: []store.Status{store.CompensationFailed}, Release: store.Release{Status: store.Compensating},
		Row: journal.Encode([]journal.Fact{{Kind: journal.Revived, At: s.clock().UnixMicro()}}),
	}
	s.at(p, 0, func() {
		p.submit(store.Write{Control: &c}, &caller{lost: func() {}, done: func(run.Settled) { p.w.Poke("", p.local()) }})
	})
}

// goBack cancels a run so that it goes back.
func (s *Sim) goBack(w *work) {
	if w.hist.Back != nil { // meanwhile
		return
	}
	p := s.through(func() { s.goBack(w) })
	if p == nil {
		return
	}
	err := &journal.Error{Code: "cancelled", Message: "by a person"}
	c := store.Control{
		ID: w.id, From: w.cancellable(),
		Row:     journal.Encode([]journal.Fact{{Kind: journal.Cancelled, At: s.clock().UnixMicro(), Err: err, Undo: true}}),
		Release: store.Release{Status: store.Compensating},
		Before:  w.epoch + 1,
	}
	if owner := w.owners[w.epoch]; w.owner != (store.Incarnation{}) && owner != p {
		c.Release.Due = s.clock().Add(2 * second)
	}
	s.at(p, 0, func() {
		p.submit(store.Write{Control: &c}, &caller{lost: func() { s.goBack(w) }, done: func(x run.Settled) {
			switch x.Verdict.Code {
			case store.Applied, store.Landed:
				s.mark("cancelled, and goes back")
				w.back.asked = true
				p.w.Taken(w.id, p.local())
			case store.Superseded, store.Ended:
				s.lookAgain(w, x.Verdict)
			}
		}})
	})
}

// busyAt tells whether a body of a run may have run at a worker a moment ago: then it
// leaves the next undo to others.
func (s *Sim) busyAt(w *work) bool {
	if slices.ContainsFunc(s.processes, func(p *process) bool { return p.busy(w) }) {
		w.lingered = s.now
	}
	return s.Sagas && w.lingered > 0 && s.now < w.lingered+second
}

// acts tells whether a visit is of a body that changes the outside.
func acts(v *run.Visit) bool { return v.Question == nil && v.Mode != plan.Reconcile }
