package sim

import (
	"bytes"
	"reflect"
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

// allowed tells why a fact should not be there: the plan before it does not
// ask for it.
func (s *Sim) allowed(p *process, w *work, f *journal.Fact, a *store.Advance, control bool) string {
	if f.Kind == journal.Began {
		return unless(w.hist.Input == nil, "it has begun before")
	}
	if control {
		return unless(f.Kind == journal.Cancelled || f.Kind == journal.Revived && w.hist.Back != nil, "only its owner may say that")
	}
	def := w.definition(p)
	if def == nil {
		return "the process does not have this workflow"
	}
	pl := plan.Eval(def, w.hist)
	var (
		body     = find(pl.Bodies, f.Path)
		place    = &journal.Place{}
		question = slices.IndexFunc(pl.Questions, func(q plan.Question) bool { return q.Path == f.Path })
	)
	if body != nil && body.Place != nil {
		place = body.Place
	}
	at := w.hist.At(f.Path)
	// A body may end in the write in which its lane is given up.
	runs := at != nil && at.Open == w.epoch && (body != nil || s.Lanes)
	never := f.Kind == journal.Cleared && at != nil && at.InDoubt && w.place(f.Path).starts[w.epoch] == 0 // recorded as begun, then stopped before
	if f.Kind == journal.Turned {
		return unless(pl.Outcome == plan.Turning, "it does not turn")
	}
	if f.Kind == journal.Halted {
		m := w.mail(f.Message)
		return unless(w.hist.Back != nil && m != nil && m.topic == run.TopicHalt, "nobody says so")
	}
	if f.Kind == journal.Answered && (pl.Outcome == plan.Failed || pl.Outcome == plan.Turning) && s.Tx { // asked before, and a transaction kept the worker from looking
		return ""
	}
	if f.Kind != journal.Handed && pl.Outcome != plan.Going && !runs && !never {
		return "nothing is planned any more"
	}
	if runs && body == nil {
		place = at
	}
	asked := func(what func(q *plan.Question) bool) bool { return question >= 0 && what(&pl.Questions[question]) }
	node := tree.Find(def, f.Path)
	asks := body != nil && body.Mode == plan.Reconcile
	fresh := runs && place.Calls[f.Call] == nil
	match := func(list []plan.Wait) bool {
		return slices.ContainsFunc(list, func(x plan.Wait) bool { return x.Path == f.Path && x.Call == f.Call })
	}
	switch f.Kind {
	case journal.Cancelled:
		if f.Message != 0 {
			return unless(w.heardOf(f.Message), "no parent says so")
		}
		return unless(len(pl.Bodies) == 1 && pl.Bodies[0].Place != nil && pl.Bodies[0].Place.Open == w.epoch || runs, "no body runs that could say so")
	case journal.Tried:
		return s.mayTry(w, f, body, place)
	case journal.Done:
		if b := w.model.blocks[f.Path]; b != nil && b.conflict() && node != nil && !node.Joins {
			return "PA-3: two lanes have changed the log"
		}
		if why := s.mayDecide(w, f, node, def); why != "" {
			return why
		}
		return unless(runs || asks || follows(pl.Facts, f) || asked(func(q *plan.Question) bool { return q.InDoubt != nil || q.Join || q.Ended != nil }), "no body runs there")
	case journal.Closed:
		return unless(follows(pl.Closes, f), "it has not ended")
	case journal.Failed:
		dead := body != nil && place.Open != 0 && place.Open < w.epoch && f.Err != nil && f.Err.Code == "crash_limit"
		if follows(pl.Facts, f) {
			s.mark(f.Err.Code)
			return unless(w.model.blocks[f.Path].conflict(), "the lanes agree")
		}
		return unless(runs || dead || question >= 0 || s.limited(w, f, body) || asks && (f.Err.Code == "crash_limit" || f.Err.Code == "step_timeout"), "nothing runs there")
	case journal.Delayed:
		switch f.Why {
		case journal.ByCrash:
			return unless(body != nil && place.Open != 0 && place.Open < w.epoch && f.Epoch == place.Open, "no body of an older epoch is open there")
		case journal.ByAsking:
			return unless(asks, "nobody asks the outside")
		}
		return unless(runs, "no body runs there")
	case journal.Answered:
		if follows(pl.Facts, f) {
			return ""
		}
		if question < 0 {
			return "it was not asked"
		}
		entries := len(*w.model.at(f.Path))
		switch q := pl.Questions[question]; {
		case q.Node.Kind.Waits():
			return unless(f.Answer.Way == journal.WaySkip && q.Ended == nil && w.waitFor(f.Path, q.Node, entries) == nil, "it is wanted")
		case q.Node.Kind == tree.Each:
			a, list := w.list(f.Path, entries)
			return unless(!q.Join && reflect.DeepEqual(a, f.Answer) && bytes.Equal(list, f.Data), "there are other items")
		}
		want, broken := w.answer(f.Path, pl.Questions[question].Node, pl.Questions[question].Pass, entries)
		return unless(!broken && reflect.DeepEqual(want, f.Answer), "the question's function says something else")
	case journal.Called:
		return unless(fresh, "no body runs there, or the call has a record")
	case journal.Waited:
		return unless(fresh || match(pl.Opens) || asked(func(q *plan.Question) bool { return q.Node.Kind.Waits() && q.Ended == nil }), "no body asks for it")
	case journal.Received, journal.Fired:
		return unless(fresh || match(pl.Waits), "nothing waits there")
	case journal.Revoked, journal.Altered:
		return s.mayObey(w, f, match(pl.Waits))
	case journal.Handed:
		here := at != nil && at.Open == f.Epoch && w.owners[f.Epoch] == p // it remembers how it let go
		lost := a != nil && a.Release != nil && a.Release.Status == store.Blocked
		return unless(runs || here || lost || f.Message != 0, "no body ran there")
	case journal.Cleared:
		return unless(asks || never || question >= 0 && pl.Questions[question].InDoubt != nil, "it is not in doubt")
	}
	return "nobody knows what that is"
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
	s.judgeBack(p, w, f)
	pl := w.place(f.Path)
	switch f.Kind {
	case journal.Tried:
		if w.doomed && w.owners[w.epoch] == p {
			s.fail("G15", "%s begins %s of %s, which was cancelled by its parent before it was claimed", p.name, f.Path, w)
		}
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
	case journal.Handed:
		s.mark("hand-back")
		if s.Calm && s.Crashes == 0 && !p.leaving && find(plan.Eval(w.definition(p), w.hist).Bodies, f.Path) != nil {
			s.fail("G4", "%s hands back %s of %s although nothing is wrong", p.name, f.Path, w)
		}
		for i := range w.crashes {
			if c := &w.crashes[i]; c.path == f.Path && c.epoch == f.Epoch {
				c.back = true
			}
		}
	case journal.Cleared:
		pl.cleared++
		if w.hist.At(f.Path).Calls[journal.InDoubtCall] != nil {
			pl.inARow = 0
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
