package sim

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// What happens by time alone: runs that may take only so long, and notices of waits that are
// still open.

// plantLimits gives half of the workflows a time.
func (s *Sim) plantLimits() {
	if !s.Timed {
		return
	}
	r := rand.New(rand.NewPCG(s.Seed, 0x71ed))
	for _, f := range s.flows {
		limit := time.Duration(500+r.IntN(20_000)) * time.Millisecond
		if r.IntN(2) > 0 {
			continue
		}
		for _, d := range f.defs {
			d.Tree.Timeout = limit
		}
	}
}

// limit is how long a run of the workflow may take, 0 for ever.
func (f *flow) limit() time.Duration { return f.defs[base].Tree.Timeout }

// expires is when the time of a run is over, by the store's clock.
func (w *work) expires() time.Time {
	from := w.created.Truncate(time.Microsecond)
	if w.from.After(from) {
		from = w.from.Truncate(time.Microsecond)
	}
	return from.Add(w.flow.limit())
}

// judgeExpired looks at a fact that says that the time of a run is over.
func (s *Sim) judgeExpired(p *process, w *work) {
	switch {
	case w.flow.limit() == 0 || w.late:
		s.fail("RS-8", "%s says that the time of %s is over, which has %s; before=%v", p.name, w, w.flow.limit(), w.late)
	case s.clock().Before(w.expires()):
		s.fail("G11", "%s says that the time of %s is over, %s early", p.name, w, w.expires().Sub(s.clock()))
	}
	w.late = true
	s.mark("run_timeout")
}

// judgeLateEnd looks at the end of a run whose time is over.
func (s *Sim) judgeLateEnd(w *work, r *store.Release) {
	switch {
	case !w.late:
	case w.hist.Cancel != nil:
	case r.Status == store.Failed, r.Status == store.Compensated, r.Status == store.CompensationFailed:
		if r.ErrorCode != "run_timeout" && (w.hist.Back == nil || w.hist.Back.Err.Code == "run_timeout") {
			s.fail("RS-8", "the time of %s was over, and it is %s with %s", w, r.Status, r.ErrorCode)
		}
	default:
		s.fail("RS-8", "the time of %s was over, and it is %s", w, r.Status)
	}
}

// judgeLater looks whether a run that is parked sleeps past the end of its time.
func (s *Sim) judgeLater(w *work) {
	if w.flow.limit() > 0 && !w.late && w.hist.Back == nil && (w.status == store.Waiting || w.status == store.Pending) && (w.due.IsZero() || w.due.After(w.expires()) && w.due.After(s.clock())) {
		s.fail("RS-8", "%s is %s until %s, and its time is over at %s", w, w.status, w.due, w.expires())
	}
}

// watchTime looks at a calm world: the end of a run's time, and notices, are not late.
func (s *Sim) watchTime(w *work) {
	p := w.owners[w.epoch]
	if !s.Timed || w.owner == (store.Incarnation{}) || p.dead || p.left || p.leaving || w.poison != "" {
		return // what nobody has is due in time
	}
	slack := max(2*promptly, s.crowding()) + second
	pl := plan.Eval(w.definition(p), w.hist)
	if pl.Outcome != plan.Going || s.now < w.taken+slack {
		return
	}
	if w.flow.limit() > 0 && !w.late && w.hist.Back == nil && s.clock().After(w.expires().Add(slack)) {
		s.fail("calm", "the time of %s is over since %s, and nobody says so", w, w.expires())
	}
	for _, o := range pl.Waits {
		if n := o.Wait.Notices; len(n) > 0 && s.clock().After(time.UnixMicro(n[0].At).Add(slack)) && s.now > w.opened(o.Wait.ID)+slack {
			s.fail("calm", "a notice of %s at %s is due since %s, and nobody says so", w, o.Path, time.UnixMicro(n[0].At))
		}
	}
}

// opened is when a wait was opened.
func (w *work) opened(id string) time.Duration {
	for _, x := range w.waits {
		if x.ID == id {
			return x.since
		}
	}
	return w.s.now // it is being closed
}

// notices is what is to happen at a wait while it is open, in the order in which it is asked for.
func (w *work) notices(path, key string) (to string, list []journal.Notice) {
	h := hash(w.salt, "notices", path, key)
	if !w.s.Timed || h%3 == 0 {
		return "", nil
	}
	if h /= 3; h%2 == 0 {
		to = "ann"
	}
	r := rand.New(rand.NewPCG(h, 0x407e))
	for i := range r.IntN(4) {
		n := journal.Notice{After: int64(1 + r.IntN(4_000_000))}
		if r.IntN(3) == 0 {
			n.To = "boss " + strconv.Itoa(i)
		}
		list = append(list, n)
	}
	return to, list
}

// noticed is what the world knows of the notices of one wait.
type noticed struct {
	to   string // who is to act
	done int
	list []journal.Notice // in the order of their times
}

// judgeOpened begins the account of a wait's notices, and looks whether they are as asked for.
func (s *Sim) judgeOpened(w *work, f *journal.Fact, pl *place) {
	if !s.Timed {
		return
	}
	to, list := w.notices(f.Path, f.Call)
	slices.SortStableFunc(list, func(a, b journal.Notice) int { return int(a.After - b.After) })
	if len(list) != len(f.Wait.Notices) || f.Wait.To != to {
		if topicOf(f.Call) != "" {
			s.fail("notice", "%s opens %s at %s for %q with %d notices; %q and %d were asked for", w, f.Call, f.Path, f.Wait.To, len(f.Wait.Notices), to, len(list))
		}
		return
	}
	for i, n := range f.Wait.Notices {
		early := begin().Add(s.now - 2*second).Add(time.Duration(list[i].After) * time.Microsecond)
		if n.After != list[i].After || n.To != list[i].To || s.Jumps == 0 && s.Calm && time.UnixMicro(n.At).Before(early) {
			s.fail("notice", "notice %d of %s of %s at %s is %+v, and %+v was asked for", i, f.Call, w, f.Path, n, list[i])
		}
	}
	w.noticed[f.Wait.ID] = &noticed{to: to, list: f.Wait.Notices}
}

// mayNotice tells why a notice should not be recorded.
func (s *Sim) mayNotice(w *work, f *journal.Fact, a *store.Advance, open bool) string {
	at := w.hist.At(f.Path)
	if !open || at == nil || at.Calls[f.Call] == nil {
		return "nothing waits there"
	}
	wait := at.Calls[f.Call].Wait
	x := w.noticed[wait.ID]
	if x == nil || x.done == len(x.list) {
		return "nothing is to be noticed"
	}
	n := x.list[x.done]
	kind, to := journal.NoteReminded, x.to
	if n.To != "" {
		kind, to = journal.NoteEscalated, n.To
	}
	switch {
	case s.clock().UnixMicro() < n.At:
		return "G11: it is early"
	case wait.Deadline != 0 && wait.Deadline <= n.At:
		return "the wait is over before that"
	case f.Note == nil || f.Note.Kind != kind || f.Note.To != to:
		return "it says something else"
	}
	for _, m := range w.inbox {
		if !m.taken && (m.wait == wait.ID || m.wait == "" && m.topic == wait.Topic && wait.Topic != "") && (a == nil || !slices.Contains(a.Took, m.seq)) {
			return "G10: message " + strconv.FormatInt(m.seq, 10) + " has come before"
		}
	}
	x.done++
	x.to = to
	s.mark(kind)
	w.notes[noteKey(f.Path, f.Call, f.Note)]++
	return ""
}

func noteKey(path, call string, n *journal.Note) string {
	return path + " " + call + " " + n.Kind + " " + n.To + " " + strconv.FormatInt(n.At, 10)
}

// judgeNoticed looks at what a worker tells of a notice: what is recorded, once.
func (s *Sim) judgeNoticed(p *process, w *work, path, call string, n *journal.Note) {
	key := noteKey(path, call, n)
	if w.notes[key] == 0 {
		s.fail("notice", "%s tells of the notice %s of %s, which is not recorded, or twice", p.name, key, w)
	}
	w.notes[key]--
	s.mark("noticed")
}

// judgeLabels looks whether lists show who is to act on the waits that are open.
func (s *Sim) judgeLabels(w *work) {
	if !s.Timed {
		return
	}
	for _, x := range w.waits {
		if n := w.noticed[x.ID]; n != nil && x.Label != n.to {
			s.fail("doctor", "%s is to act on %s of %s at %s, and lists show %q", n.to, x.Call, w, x.Path, x.Label)
		}
	}
}

// watched puts the notices of a wait for an event into a request.
func (w *work) watched(path string, c *run.CallRequest, n *tree.Node) {
	if n.Kind != tree.Child {
		c.Wait.To, c.Wait.Notices = w.notices(path, c.Key)
	}
}
