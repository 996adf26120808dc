package sim

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// scene is a fact that is written, and what there was before it.
type scene struct {
	s        *Sim
	p        *process
	w        *work
	f        *journal.Fact
	a        *store.Advance // nil unless an owner wrote it
	def      *tree.Workflow
	pl       plan.Plan
	body     *plan.Body
	question *plan.Question
	place    *journal.Place // of the body
	at       *journal.Place // as the history has it
	runs     bool           // a body of this epoch is open there
	never    bool           // it was recorded as begun, then stopped before
}

// allowed tells why a fact should not be there: the plan before it does not
// ask for it.
func (s *Sim) allowed(p *process, w *work, f *journal.Fact, a *store.Advance, control bool) string {
	switch def := w.definition(p); {
	case f.Kind == journal.Began:
		return unless(w.hist.Input == nil, "it has begun before")
	case control:
		return unless(f.Kind == journal.Cancelled && w.hist.Back == nil || f.Kind == journal.Revived && w.hist.Back != nil, "only its owner may say that, or it goes back")
	case def == nil:
		return "the process does not have this workflow"
	default:
		x := s.scene(p, w, f, a, def)
		return x.judge()
	}
}

func (s *Sim) scene(p *process, w *work, f *journal.Fact, a *store.Advance, def *tree.Workflow) scene {
	x := scene{s: s, p: p, w: w, f: f, a: a, def: def, pl: plan.Eval(def, w.hist), place: &journal.Place{}, at: w.hist.At(f.Path)}
	x.body = find(x.pl.Bodies, f.Path)
	if i := slices.IndexFunc(x.pl.Questions, func(q plan.Question) bool { return q.Path == f.Path }); i >= 0 {
		x.question = &x.pl.Questions[i]
	}
	// A body may end in the write in which its lane is given up. One that ignores its timeout is
	// recorded when it is given up, whatever came over its run meanwhile.
	late := f.Err != nil && f.Err.Code == "step_timeout"
	x.runs = x.at != nil && x.at.Open == w.epoch && (x.body != nil || s.Lanes || late)
	x.never = f.Kind == journal.Cleared && x.at != nil && x.at.InDoubt && w.place(f.Path).starts[w.epoch] < w.place(f.Path).tried[w.epoch]
	if x.body != nil && x.body.Place != nil {
		x.place = x.body.Place
	} else if x.runs && x.body == nil {
		x.place = x.at
	}
	return x
}

// judge looks at facts about the run as a whole, then at those about a place.
func (x *scene) judge() string {
	turns := x.pl.Outcome == plan.Turning
	switch x.f.Kind {
	case journal.Recalled:
		return unless(x.w.orderOf(x.a) == x.f.Attempt, "no parent says so")
	case journal.Revived:
		return unless(x.s.orders > 0 && x.pl.Outcome == plan.CompensationFailed, "no parent says so, or nothing has failed")
	case journal.Cancelled:
		if turns && x.f.Message != 0 { // read before, and written with what came of an earlier one
			return unless(x.w.heardOf(x.f.Message), "no parent says so")
		}
		if x.s.orders > 0 && x.f.Message == 0 {
			return unless(x.w.hist.Cancel == nil && x.w.hist.Back == nil, "it is cancelled, or goes back")
		}
	case journal.Turned:
		return unless(turns, "it does not turn")
	case journal.Halted:
		m := x.w.mail(x.f.Message)
		return unless(x.w.hist.Back != nil && m != nil && m.topic == run.TopicHalt, "nobody says so")
	case journal.Answered:
		if (turns || x.pl.Outcome == plan.Failed) && x.s.Tx { // asked before, and a transaction kept the worker from looking
			return ""
		}
	}
	if x.f.Kind != journal.Handed && x.pl.Outcome != plan.Going && !x.runs && !x.never && !x.asks() {
		return "nothing is planned any more"
	}
	switch x.f.Kind {
	case journal.Called, journal.Waited, journal.Received, journal.Fired, journal.Revoked, journal.Altered:
		return x.call()
	case journal.Answered:
		return x.answered()
	}
	return x.visit()
}

// visit judges a fact about a body.
func (x *scene) visit() string {
	f := x.f
	switch f.Kind {
	case journal.Cancelled:
		if f.Message != 0 {
			return unless(x.w.heardOf(f.Message), "no parent says so")
		}
		b := x.pl.Bodies
		return unless(len(b) == 1 && b[0].Place != nil && b[0].Place.Open == x.w.epoch || x.runs, "no body runs that could say so")
	case journal.Tried:
		return x.s.mayTry(x.w, f, x.body, x.place)
	case journal.Done:
		return x.done()
	case journal.Recalling: // see judgeKin
		return unless(slices.ContainsFunc(x.pl.Kin, func(k plan.Kin) bool { return k.Undo.At() == f.Path }), "nobody is to go back there")
	case journal.Expired: // see judgeExpired
		return ""
	case journal.Scattered: // see judgeScattered
		return ""
	case journal.Closed:
		return unless(follows(x.pl.Closes, f), "it has not ended")
	case journal.Failed:
		return x.failed()
	case journal.Delayed:
		switch f.Why {
		case journal.ByCrash:
			return unless(x.cutOff() && f.Epoch == x.place.Open, "no body of an older epoch is open there")
		case journal.ByAsking:
			return unless(x.asks(), "nobody asks the outside")
		}
		return unless(x.runs, "no body runs there")
	case journal.Handed:
		here := x.at != nil && x.at.Open == f.Epoch && x.w.owners[f.Epoch] == x.p // it remembers how it let go
		lost := x.a != nil && x.a.Release != nil && x.a.Release.Status == store.Blocked
		return unless(x.runs || here || lost || f.Message != 0, "no body ran there")
	case journal.Cleared:
		return unless(x.asks() || x.never || x.asked(func(q *plan.Question) bool { return q.InDoubt != nil }), "it is not in doubt")
	}
	return "nobody knows what that is"
}

// asks tells whether the outside is asked what became of the body. It may answer in the write in which its
// lane is given up.
func (x *scene) asks() bool {
	return x.body != nil && x.body.Mode == plan.Reconcile || x.s.Lanes && slices.Contains(x.w.asking, x.f.Path)
}

// asking is where the outside may be asked now.
func (s *Sim) asking(p *process, w *work) (paths []string) {
	def := w.definition(p)
	if def == nil || !s.Lanes || w.hist.Input == nil {
		return nil
	}
	for _, b := range plan.Eval(def, w.hist).Bodies {
		if b.Mode == plan.Reconcile {
			paths = append(paths, b.Path)
		}
	}
	return paths
}

// cutOff tells whether a body of an older epoch is open.
func (x *scene) cutOff() bool {
	return x.body != nil && x.place.Open != 0 && x.place.Open < x.w.epoch
}

// asked tells whether such a question is planned there.
func (x *scene) asked(what func(q *plan.Question) bool) bool {
	return x.question != nil && what(x.question)
}

func (x *scene) done() string {
	node := tree.Find(x.def, x.f.Path)
	if b := x.w.model.blocks[x.f.Path]; b != nil && b.conflict() && node != nil && !node.Joins {
		return "PA-3: two lanes have changed the log"
	}
	if why := x.s.mayDecide(x.w, x.f, node, x.def); why != "" {
		return why
	}
	ends := func(q *plan.Question) bool { return q.InDoubt != nil || q.Join || q.Ended != nil }
	return unless(x.runs || x.asks() || follows(x.pl.Facts, x.f) || x.asked(ends), "no body runs there")
}

func (x *scene) failed() string {
	code := ""
	if x.f.Err != nil {
		code = x.f.Err.Code
	}
	if _, _, undo := journal.CutUndo(x.f.Path); undo && follows(x.pl.Facts, x.f) { // see judgeKin
		return ""
	}
	if it := x.w.place(x.f.Path).items; it != nil && follows(x.pl.Facts, x.f) {
		x.s.mark("an item fails its Each")
		return unless(it.failed && !it.node.Settle, "no item has failed")
	}
	if follows(x.pl.Facts, x.f) {
		x.s.mark(code)
		return unless(x.w.model.blocks[x.f.Path].conflict(), "the lanes agree")
	}
	dead := x.cutOff() && code == "crash_limit"
	unsure := x.asks() && (code == "crash_limit" || code == "step_timeout")
	return unless(x.runs || dead || x.question != nil || x.s.limited(x.w, x.f, x.body) || unsure, "nothing runs there")
}

// call judges a fact about a durable call.
func (x *scene) call() string {
	fresh := x.runs && x.place.Calls[x.f.Call] == nil
	match := func(list []plan.Wait) bool {
		return slices.ContainsFunc(list, func(o plan.Wait) bool { return o.Path == x.f.Path && o.Call == x.f.Call })
	}
	switch x.f.Kind {
	case journal.Called:
		return unless(fresh, "no body runs there, or the call has a record")
	case journal.Waited:
		node := func(q *plan.Question) bool { return q.Node.Kind.Waits() && q.Ended == nil }
		return unless(fresh || match(x.pl.Opens) || x.asked(node), "no body asks for it")
	case journal.Altered:
		if x.f.Message == 0 {
			return x.s.mayNotice(x.w, x.f, x.a, match(x.pl.Waits))
		}
		return x.s.mayObey(x.w, x.f, match(x.pl.Waits))
	case journal.Revoked:
		return x.s.mayObey(x.w, x.f, match(x.pl.Waits))
	}
	return unless(fresh || match(x.pl.Waits), "nothing waits there")
}

// answered judges the answer to a question.
func (x *scene) answered() string {
	f, w, q := x.f, x.w, x.question
	if follows(x.pl.Facts, f) {
		return ""
	}
	if q == nil {
		return "it was not asked"
	}
	entries := len(*w.model.at(f.Path))
	switch {
	case q.Node.Kind.Waits():
		return unless(f.Answer.Way == journal.WaySkip && q.Ended == nil && w.waitFor(f.Path, q.Node, entries) == nil, "it is wanted")
	case q.Node.Kind == tree.Each && q.Node.Spread:
		a, _ := w.spreadList(f.Path, entries)
		return unless(!q.Join && q.Spread == nil && reflect.DeepEqual(a, f.Answer), "there are other items")
	case q.Node.Kind == tree.Each:
		a, list := w.list(f.Path, entries)
		return unless(!q.Join && reflect.DeepEqual(a, f.Answer) && bytes.Equal(list, f.Data), "there are other items")
	}
	want, broken := w.answer(f.Path, q.Node, q.Pass, entries)
	return unless(!broken && reflect.DeepEqual(want, f.Answer), "the question's function says something else")
}
