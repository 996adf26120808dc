package sim

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// judgeFacts looks at an accepted row, fact by fact. a is nil unless an owner
// wrote it.
func (s *Sim) judgeFacts(p *process, w *work, row []byte, a *store.Advance, control bool) {
	list, err := journal.Decode(row)
	if err != nil {
		s.fail("journal", "row %d of %s: %v", w.rows, w, err)
		return
	}
	s.facts = len(list)
	w.asking = s.asking(p, w)
	for i := range list {
		f := &list[i]
		if why := s.allowed(p, w, f, a, control); why != "" {
			s.fail("G2", "%s records %s at %q %s in row %d of %s: %s", p.name, f.Kind, f.Path, f.Call, w.rows, w, why)
			return
		}
		s.account(p, w, f, a)
		w.model.apply(f)
		s.keepUndos(p, w, f)
		if err := w.hist.Fold(f, w.rows); err != nil {
			s.fail("journal", "row %d of %s: %v", w.rows, w, err)
			return
		}
	}
	w.hist.Length = w.rows
	s.judgeShared(p, w, list)
}

// limited tells whether a visit ends since the journal is full.
func (s *Sim) limited(w *work, f *journal.Fact, body *plan.Body) bool {
	if s.Limit == 0 || body == nil || f.Err == nil || f.Err.Code != "journal_limit" || body.Mode != plan.Undo && w.hist.Live < s.Limit {
		return false
	}
	s.mark("journal limit")
	return true
}

func (s *Sim) mayTry(w *work, f *journal.Fact, body *plan.Body, place *journal.Place) string {
	switch {
	case body == nil || body.Mode == plan.Reconcile:
		return "no body is planned there"
	case place.Open != 0:
		return "a body is open there"
	case f.Epoch != w.epoch:
		return "it names another epoch"
	case f.Attempt != place.NextAttempt():
		return "it has the wrong number"
	case s.Jumps == 0 && s.clock().Add(5*time.Millisecond).UnixMicro() < place.Until:
		return "G12: its delay is not over"
	}
	return ""
}

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

func find(list []plan.Body, path string) *plan.Body {
	for i := range list {
		if list[i].Path == path {
			return &list[i]
		}
	}
	return nil
}

// account keeps the books that no fold of ours keeps.
func (s *Sim) account(p *process, w *work, f *journal.Fact, a *store.Advance) {
	s.judgeBack(p, w, f, a)
	s.closeItems(w, f)
	pl := w.place(f.Path)
	switch f.Kind {
	case journal.Tried:
		s.judgeTried(p, w, f)
		pl.tried[f.Epoch]++
		w.blocks = 0
	case journal.Done, journal.Failed:
		if f.Kind == journal.Done {
			w.place(f.Path).done++
		}
		if pl.final {
			s.fail("G3", "%s ends twice at %s", w, f.Path)
		}
		pl.final = true
		if f.Kind == journal.Failed && f.Err != nil && f.Err.Code == "crash_limit" {
			s.mark("crash limit")
			if at := w.hist.At(f.Path); at.Open != 0 {
				w.crashes = append(w.crashes, crash{path: f.Path, epoch: at.Open})
			}
		} else if f.Kind == journal.Failed {
			s.countFailure(w, f, pl)
		}
	case journal.Delayed:
		s.accountDelay(w, f, pl)
	case journal.Called, journal.Waited:
		pl.inARow = 0
		if f.Kind == journal.Called && strings.HasPrefix(f.Call, "await:") {
			s.judgeHeard(w, f)
		}
		if f.Kind == journal.Waited {
			s.judgeOpened(w, f, pl)
			s.judgeWait(w, f, pl)
		}
	case journal.Revoked:
		pl.inARow = 0
	case journal.Received:
		pl.inARow = 0
		s.judgeEnd(w, f)
		s.judgeReceived(w, f, a)
	case journal.Fired:
		pl.inARow = 0
		s.judgeEnd(w, f)
		s.judgeFired(w, f, a)
	case journal.Answered:
		if f.Answer.Spread {
			s.spreads(p, w, f, a)
		}
	case journal.Began:
		if limit := w.flow.limit().Microseconds(); f.Limit != limit {
			s.fail("RS-8", "%s begins with %dµs of time; it has %d", w, f.Limit, limit)
		}
	case journal.Expired:
		s.judgeExpired(p, w)
	case journal.Scattered:
		s.judgeScattered(p, w, f, a)
	case journal.Handed:
		s.judgeHanded(p, w, f)
	case journal.Cleared:
		pl.cleared++
		if w.hist.At(f.Path).Calls[journal.InDoubtCall] != nil {
			pl.inARow = 0
		}
	}
}

// judgeTried looks at a body that begins: not of a run whose end is decided, unless it undoes.
func (s *Sim) judgeTried(p *process, w *work, f *journal.Fact) {
	if _, _, undo := journal.CutUndo(f.Path); w.late && !undo {
		s.fail("RS-8", "%s begins %s of %s, whose time is over", p.name, f.Path, w)
	}
	if _, _, undo := journal.CutUndo(f.Path); w.doomed && !undo && w.owners[w.epoch] == p {
		s.fail("G15", "%s begins %s of %s, which was cancelled by its parent before it was claimed", p.name, f.Path, w)
	}
}

// judgeHanded looks at a body that was stopped and takes its crash back.
func (s *Sim) judgeHanded(p *process, w *work, f *journal.Fact) {
	s.mark("hand-back")
	// It may have been stopped for a failure whose write was refused, as a message came first.
	if s.Calm && s.Crashes == 0 && !p.leaving && w.refused != w.rows && find(plan.Eval(w.definition(p), w.hist).Bodies, f.Path) != nil {
		s.fail("G4", "%s hands back %s of %s although nothing is wrong", p.name, f.Path, w)
	}
	for i := range w.crashes {
		if c := &w.crashes[i]; c.path == f.Path && c.epoch == f.Epoch {
			c.back = true
		}
	}
}

func (s *Sim) countFailure(w *work, f *journal.Fact, pl *place) {
	pl.failures++
	path, _, undo := journal.CutUndo(f.Path)
	n := tree.Find(w.flow.defs[plus].Tree, path)
	if f.Err != nil && f.Err.Code == "journal_limit" {
		return
	}
	if n == nil || !n.Kind.Acts() {
		return
	}
	most, policy := 1, n.Retry
	if undo {
		policy = n.Undo
	}
	if policy != nil {
		most = policy.MaxAttempts
	}
	if pl.failures > most {
		s.fail("G12", "%s fails %d times at %s, which has %d attempts", w, pl.failures, f.Path, most)
	}
}

func (s *Sim) accountDelay(w *work, f *journal.Fact, pl *place) {
	switch f.Why {
	case journal.ByError:
		pl.inARow = 0
		s.countFailure(w, f, pl)
	case journal.BySnooze:
		pl.inARow = 0
	case journal.ByCrash:
		w.crashes = append(w.crashes, crash{path: f.Path, epoch: f.Epoch})
		if by := w.owners[f.Epoch]; by == nil || !by.dead && !by.troubled && by.s.now >= by.sleeping {
			s.fail("G4", "%s is said to have crashed at %s in epoch %d, and nothing happened to its worker", w, f.Path, f.Epoch)
		}
	}
}

func (s *Sim) judgeWait(w *work, f *journal.Fact, pl *place) {
	if f.Call == journal.InDoubtCall {
		s.mark("in doubt")
		return
	}
	asked, ok := pl.wanted[f.Call]
	if ok && f.Wait.Deadline > 1 && s.Jumps == 0 && time.UnixMicro(f.Wait.Deadline).Before(begin().Add(asked-20*time.Millisecond)) {
		s.fail("SL-2", "the wait %s of %s at %s ends %s too early", f.Call, w, f.Path, begin().Add(asked).Sub(time.UnixMicro(f.Wait.Deadline)))
	}
}

func (s *Sim) judgeReceived(w *work, f *journal.Fact, a *store.Advance) {
	m := w.mail(f.Message)
	switch {
	case m == nil:
		s.fail("G9", "%s takes message %d, which never was", w, f.Message)
		return
	case strings.HasPrefix(m.topic, "child:"):
		s.judgeHeard(w, f)
	case m.pub != nil:
		s.judgePub(w, f, m)
	case m.wait == "" && m.topic != topicOf(f.Call):
		s.fail("G9", "%s takes message %d of %s for %s", w, m.seq, m.topic, f.Call)
	case m.wait != "":
		if c := w.hist.At(f.Path).Calls[f.Call]; c == nil || c.Wait == nil || c.Wait.ID != m.wait {
			s.fail("G9", "%s takes the answer %d at %s, which is for another wait", w, m.seq, f.Path)
		}
	}
	for _, x := range w.inbox[:m.seq-1] {
		if m.wait == "" && !x.taken && x.topic == m.topic && x.wait == "" && (a == nil || !slices.Contains(a.Took, x.seq)) {
			s.fail("G9", "%s takes message %d before message %d", w, m.seq, x.seq)
		}
	}
}

func (s *Sim) judgeFired(w *work, f *journal.Fact, a *store.Advance) {
	s.mark("timer fired")
	id, topic := "", topicOf(f.Call)
	if t := w.place(f.Path).topics[f.Call]; t != "" {
		topic = t
	}
	if pl := w.hist.At(f.Path); pl != nil && pl.Calls[f.Call] != nil {
		open := pl.Calls[f.Call].Wait
		id = open.ID
		if s.clock().UnixMicro() < open.Deadline {
			s.fail("G11", "%s of %s at %s fires %s early", f.Call, w, f.Path, time.UnixMicro(open.Deadline).Sub(s.clock()))
		}
	}
	for _, m := range w.inbox {
		if !m.taken && (m.wait != "" && m.wait == id || m.wait == "" && topic != "" && m.topic == topic) && !slices.Contains(a.Took, m.seq) {
			s.fail("G10", "%s of %s at %s fires over message %d", f.Call, w, f.Path, m.seq)
		}
	}
}

// judgeStart looks at a body that begins.
func (b *body) judgeStart() {
	s, v, w, pl := b.p.s, b.v, b.w, b.place
	s.logf("%s starts %s of %s, mode %d, question=%v, epoch %d", b.p.name, v.Path, w, v.Mode, v.Question != nil, v.Epoch)
	if !b.p.local().Before(b.p.trust) {
		s.fail("G7", "%s begins %s of %s past its trust", b.p.name, v.Path, w)
	}
	if v.Question == nil && v.Mode == plan.Reconcile {
		s.shared.asked[v.Queue] = append(s.shared.asked[v.Queue], s.clock())
	}
	if v.Epoch == w.epoch && w.model.shut(v.Path) {
		s.fail("PA-5", "%s begins %s of %s, which is in a lane or item that has ended", b.p.name, v.Path, w)
	}
	if !acts(v) {
		return
	}
	if v.Mode == plan.Undo {
		b.judgeUndoBegins()
	}
	if b.p.leaving && s.now > b.p.stopped+time.Millisecond {
		s.fail("QU-11", "%s begins %s of %s although it stops and the grace is over", b.p.name, v.Path, w)
	}
	pl.starts[v.Epoch]++
	pl.started++
	if pl.starts[v.Epoch] > pl.tried[v.Epoch] {
		s.fail("G6", "%s begins %s of %s before that is durable", b.p.name, v.Path, w)
		return
	}
	if n := tree.Find(w.flow.defs[plus].Tree, v.Path); n != nil && n.AtMostOnce && pl.started > 1+pl.cleared {
		s.fail("G5", "%s begins %s of %s for the %dth time; it was cleared %d times", b.p.name, v.Path, w, pl.started, pl.cleared)
	}
	if pl.inARow >= plan.CrashLimit {
		s.fail("G13", "%s begins %s of %s after %d crashes in a row", b.p.name, v.Path, w, pl.inARow)
	}
	if v.Epoch != w.epoch {
		s.mark("body begun on old news")
		return
	}
	at := w.hist.At(v.Path)
	calls := 0
	for _, c := range at.Calls {
		if c.State != journal.Open {
			calls++
		}
	}
	if v.Mode == plan.Run && !bytes.Equal(v.State, w.hist.StateAt(v.Path)) || v.Failures != at.Failures || v.Crashes != at.Died || v.Attempt != at.Attempt || len(v.Calls) != calls {
		s.fail("G6", "%s begins %s of %s with what is not recorded: %s, attempt %d, failures %d, %d calls", b.p.name, v.Path, w, v.State, v.Attempt, v.Failures, len(v.Calls))
	}
}

// judgeReply looks at the reply to a durable call.
func (b *body) judgeReply(r run.CallReply) {
	if r.Call == nil || b.v.Epoch != b.w.epoch {
		return
	}
	at := b.w.hist.At(b.v.Path)
	if at == nil || at.Calls[b.key] == nil || outcome(at.Calls[b.key]) != outcome(r.Call) {
		b.p.s.fail("G6", "%s of %s at %s is answered before it is durable", b.key, b.w, b.v.Path)
	}
}

// judgeDo looks at a function of Do that is about to run.
func (b *body) judgeDo(key string) {
	at := b.w.hist.At(b.v.Path)
	if b.v.Epoch == b.w.epoch && at != nil && at.Calls[key] != nil {
		b.p.s.fail("DO-1", "the function of %s of %s at %s runs although its result is recorded", key, b.w, b.v.Path)
	}
}
