package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// judge looks at one write that the store has answered.
func (s *Sim) judge(p *process, asked *store.Write, v store.Verdict) {
	switch {
	case v.Code == store.Busy: // nothing was written
	case asked.Begin != nil:
		s.judgeBegin(p, asked.Begin, v)
	case asked.Advance != nil:
		s.judgeAdvance(p, asked.Advance, v)
	case asked.Deliver != nil:
		s.judgeDeliver(p, asked.Deliver, v)
	default:
		s.judgeControl(p, asked.Control, v)
	}
}

func (s *Sim) judgeBegin(p *process, b *store.Begin, v store.Verdict) {
	w := s.work(b.ID)
	if s.traced() {
		s.logf("%s begins %s, eager=%v: %s", p.name, w, b.Owner != store.Incarnation{}, code(v))
	}
	if v.Code == store.Landed && !w.begun {
		s.fail("G1", "%s has never begun and the store says that it has", w)
	}
	if v.Code != store.Applied {
		return
	}
	if w.begun {
		s.fail("G1", "%s begins twice", w)
		return
	}
	s.began(w, b)
	if b.Owner != (store.Incarnation{}) {
		s.mark("eager start")
		if s.Global[b.Queue] > 0 || s.Rates[b.Queue].N > 0 {
			s.fail("ST-10", "%s begins %s past the limit of %s", p.name, w, b.Queue)
		}
		if t := s.db.term(b.Owner); t == nil || t.gone || !s.clock().Before(t.ends) {
			s.fail("G7", "%s begins in the hands of a worker without a lease", w)
		}
		w.status, w.owner, w.epoch, w.owners[1] = store.Running, b.Owner, 1, p
		s.db.term(b.Owner).used = true
	}
	s.judgeFacts(p, w, b.Row, nil, false)
}

// began is the beginning of a run that is pending.
func (s *Sim) began(w *work, b *store.Begin) {
	w.begun, w.rows, w.status, w.due, w.queue = true, 1, store.Pending, b.Due, b.Queue
	if b.Due.IsZero() {
		w.due = s.clock()
	}
	w.bodies, w.created, w.from = append(w.bodies, b.Row), s.clock(), b.Due
	w.changed()
}

func (s *Sim) judgeAdvance(p *process, a *store.Advance, v store.Verdict) {
	w := s.work(a.ID)
	if s.traced() {
		s.logf("%s advances %s at %d epoch %d:%s%s: %s", p.name, w, a.Base, a.Epoch, facts(a.Row), toward(a.Release), code(v))
	}
	switch v.Code {
	case store.Landed:
		s.mark("landed after all")
	case store.Superseded:
		s.mark("fenced write")
	case store.Unseen:
		w.refused = a.Base + 1
		w.changed() // there is news
		s.mark("message before the write that did not know it")
	case store.Early:
		s.mark("timer too early for the store")
	case store.Full:
		s.mark("others were faster")
	}
	if v.Code != store.Applied {
		return
	}
	switch {
	case w.owner != a.Owner || w.epoch != a.Epoch || w.status != store.Running && w.status != store.Compensating:
		s.fail("G7", "%s writes %s at epoch %d, which is %s at epoch %d and has another owner=%v", p.name, w, a.Epoch, w.status, w.epoch, w.owner != a.Owner)
	case w.rows != a.Base:
		s.fail("G7", "%s writes row %d of %s, which has %d", p.name, a.Base+1, w, w.rows)
	case w.status.Ended():
		s.fail("G15", "%s changes %s, which has ended", p.name, w)
	}
	if a.Snapshot != nil {
		s.mark("snapshot")
	}
	calls := w.openCalls()
	s.told, s.answers, s.orders, s.scattered, s.openItems = nil, 0, 0, nil, w.openItems()
	if len(a.Row) > 0 {
		w.rows++
		w.bodies = append(w.bodies, a.Row)
		w.changed()
		s.judgeFacts(p, w, a.Row, a, false)
	}
	s.take(w, a)
	w.waits = slices.DeleteFunc(w.waits, func(x *wait) bool { return slices.Contains(a.Shut, x.ID) })
	took := s.opens(w, a)
	s.alter(w, a)
	s.judgeLabels(w)
	s.judgeLanes(w)
	s.judgeFamily(p, w, a, calls)
	if a.Release != nil {
		if a.Release.Status == store.Pending && s.facts == 0 && !a.Release.Due.IsZero() {
			s.mark("put off without a fact")
		}
		if a.Release.Status == store.Pending && len(w.waits) > 0 && !(s.Lanes && !a.Release.Due.After(s.clock())) {
			s.fail("doctor", "%s is put off while a wait is open: %s of %s", w, w.waits[0].Call, w.waits[0].Path)
		}
		r := *a.Release
		if took && r.Status == store.Waiting {
			r.Status, r.Due = store.Pending, time.Time{}
		}
		s.park(w, &r)
		s.judgeLater(w)
		if w.status == store.Compensating && w.due.After(s.clock()) {
			s.judgeSleep(w)
			s.judgeDeafness(w)
		}
	}
	s.judgeRecalls(w, a)
}

// judgeLanded looks at what a process hears about a write that had landed
// before: it must have been that write.
func (s *Sim) judgeLanded(a *store.Advance) {
	if w := s.work(a.ID); a.Base >= len(w.bodies) || !bytes.Equal(a.Row, w.bodies[a.Base]) {
		s.fail("G3", "a write of %s has landed that never did", w)
	}
}

// take removes what a write consumes: each message once, each by one fact.
func (s *Sim) take(w *work, a *store.Advance) {
	used := map[int64]int{}
	if len(a.Row) > 0 {
		list, _ := journal.Decode(a.Row) // judgeFacts has read it
		for _, f := range list {
			if f.Message != 0 {
				used[f.Message]++
			}
		}
	}
	for _, seq := range a.Took {
		m := w.mail(seq)
		if m == nil || m.taken {
			s.fail("G9", "message %d of %s is taken, but not there", seq, w)
			return
		}
		m.taken = true
		n := used[seq]
		switch {
		case n == 0 && m.isOrder():
			s.judgeDropped(w, m)
		case n == 0 && w.back.turned && s.answers > 0 && w.answers(m):
			s.answers--
		case n == 0 && w.back.turned && w.repeats(m):
			s.mark("an answer that was given twice")
		case n == 0 && m.from != nil && m.from.isItem():
			s.judgeLate(w, m)
		case n == 0 && m.topic == run.TopicRecall && s.orders > 0:
			s.orders--
		case n != 1 && m.topic != run.TopicHanded:
			s.fail("G9", "message %d of %s is taken by %d facts", seq, w, n)
		}
		delete(used, seq)
	}
	if s.answers+s.orders != 0 {
		s.fail("G9", "%s records %d answers and %d orders that no message brought", w, s.answers, s.orders)
	}
	for seq := range used {
		s.fail("G9", "a fact of %s uses message %d, which stays in the inbox", w, seq)
	}
}

func (w *work) mail(seq int64) *mail {
	if seq < 1 || seq > int64(len(w.inbox)) {
		return nil
	}
	return w.inbox[seq-1]
}

// park moves a run to where a release says.
func (s *Sim) park(w *work, r *store.Release) {
	w.owner, w.status, w.due = store.Incarnation{}, r.Status, r.Due
	w.changed()
	if r.Queue != "" {
		w.queue = r.Queue
	}
	if r.Status != store.Blocked {
		w.blocked = nil
	}
	switch {
	case r.Status == store.Waiting:
		if len(w.waits) == 0 {
			s.fail("QU-9", "%s waits for nothing", w)
		}
		s.judgeSleep(w)
	case r.Status == store.Pending, r.Status == store.Compensating:
		if r.Due.IsZero() {
			w.due = s.clock()
		}
	case r.Status == store.Blocked:
		s.mark("blocked")
		if len(w.blocked) > 0 {
			s.mark("blocked by several kinds of code")
		}
		if w.blocked == nil {
			w.blocked = make(map[string]bool)
		}
		w.blocked[r.Blocked] = true
		s.blocked(w, r)
	case r.Status.Ended():
		w.waits = nil
		s.judgeLateEnd(w, r)
		s.judgeRelatives(w, r)
		s.ended(w)
	}
}

// judgeSleep looks whether a run that is parked has overlooked a message.
func (s *Sim) judgeSleep(w *work) {
	for _, m := range w.inbox {
		if x := w.listens(m); x != nil && !m.taken {
			s.fail("G9", "%s goes to sleep although message %d for %s is there", w, m.seq, x.Name)
		}
	}
}

// listens finds the open wait that a message ends.
func (w *work) listens(m *mail) *wait {
	for _, x := range w.waits {
		if m.wait == x.ID || m.wait == "" && x.Topic != "" && x.Topic == m.topic {
			return x
		}
	}
	return nil
}

func (s *Sim) judgeDeliver(p *process, d *store.Deliver, v store.Verdict) {
	w := s.work(d.ID)
	if s.traced() {
		s.logf("%s delivers %s%s to %s: %s", p.name, d.Topic, d.Wait, w, code(v))
	}
	if d.Topic == run.TopicHanded {
		w.handed[strings.TrimPrefix(d.Dedupe, "handed:")] = true
	}
	switch v.Code {
	case store.NotFound:
		if w.begun {
			s.fail("G1", "%s has begun and is not found", w)
		}
	case store.Landed:
		s.mark("message sent twice")
		if !w.used[d.Dedupe] {
			s.fail("G9", "a message to %s is acknowledged and was never accepted", w)
		}
	case store.Ended:
		if !w.status.Ended() {
			s.fail("G9", "a message to %s is turned away, which has not ended", w)
		}
	case store.Applied:
		if w.used[d.Dedupe] {
			s.fail("G9", "message %q is accepted twice by %s", d.Dedupe, w)
		}
		if w.status.Ended() {
			s.fail("G15", "%s takes a message after its end", w)
		}
		w.used[d.Dedupe] = true
		m := &mail{seq: int64(len(w.inbox) + 1), topic: d.Topic, wait: d.Wait, at: s.now}
		x := w.listens(m)
		if d.Wait != "" && x == nil {
			s.fail("IN-4", "%s takes an answer to a wait that is not open", w)
		}
		w.inbox = append(w.inbox, m)
		if m.isOrder() {
			s.accepted(w, m, d)
		}
		if d.Wait != "" && !d.Keep {
			w.waits = slices.DeleteFunc(w.waits, func(x *wait) bool { return x.ID == d.Wait })
		}
		if w.status == store.Compensating && w.owner == (store.Incarnation{}) {
			w.due = s.clock()
			w.changed()
		}
		if w.status == store.Waiting && x != nil {
			w.status, w.due = store.Pending, s.clock()
			w.changed()
		}
		if w.status == store.Pending && x == nil && d.Topic != run.TopicHanded {
			s.mark("message before its wait")
		}
	}
}

func (s *Sim) judgeControl(p *process, c *store.Control, v store.Verdict) {
	w := s.work(c.ID)
	if s.traced() {
		s.logf("%s controls %s%s: %s", p.name, w, toward(&c.Release), code(v))
	}
	if v.Code != store.Applied {
		return
	}
	if w.status.Ended() && !(w.status == store.CompensationFailed && c.Status == store.Compensating) {
		s.fail("G15", "%s is changed after its end", w)
	}
	w.closed = false
	if c.Owner != (store.Incarnation{}) {
		s.mark("a run nobody drives is let go")
		if w.owner != c.Owner {
			s.fail("G7", "%s lets %s go, which it does not own", p.name, w)
		}
	}
	w.epoch++
	if len(c.Row) > 0 {
		w.rows++
		w.bodies = append(w.bodies, c.Row)
		s.judgeFacts(p, w, c.Row, nil, true)
	}
	s.park(w, &c.Release)
}

func (s *Sim) judgeClaim(p *process, owner store.Incarnation, r *store.Record) {
	w := s.work(r.ID)
	s.logf("%s claims %s at row %d, epoch %d", p.name, w, r.Length, r.Epoch)
	t := s.db.term(owner)
	if since, paused := s.shared.paused[r.Queue]; paused {
		s.fail("QU-10", "%s claims %s from %s, which is paused since %s", p.name, w, r.Queue, since)
	}
	switch {
	case w.owner != (store.Incarnation{}):
		s.fail("G7", "%s claims %s, which has an owner", p.name, w)
	case r.Epoch != w.epoch+1:
		s.fail("G7", "%s claims %s at epoch %d after epoch %d", p.name, w, r.Epoch, w.epoch)
	case t == nil || t.gone || !s.clock().Before(t.ends):
		s.fail("G7", "%s claims %s without a lease", p.name, w)
	case w.status == store.Running || w.status.Ended() || (w.status == store.Compensating) != (r.Status == store.Compensating):
		s.fail("G7", "%s claims %s, which is %s", p.name, w, w.status)
	case w.status != store.Blocked && s.clock().Before(w.due):
		s.fail("G11", "%s claims %s before it is due", p.name, w)
	case r.Length != w.rows || r.Inbox != int64(len(w.inbox)):
		s.fail("G9", "%s claims %s with %d rows and %d messages; it has %d and %d", p.name, w, r.Length, r.Inbox, w.rows, len(w.inbox))
	}
	if d := p.defs[w.flow.name]; w.status == store.Blocked && d != nil && w.blocked[d.Fingerprint] {
		s.fail("VR-4", "%s takes up %s, with which it could not go on before", p.name, w)
	}
	if w.status == store.Blocked {
		s.mark("blocked, then taken up by other code")
	}
	if r.Epoch > 1 && w.status == store.Pending && len(w.owners) > 0 && w.owners[w.epoch] != p {
		s.mark("another worker goes on")
	}
	w.doom()
	w.owner, w.epoch, w.status, w.owners[r.Epoch] = owner, r.Epoch, r.Status, p
	w.closed, t.used, w.taken = false, true, s.now
	w.changed()
}

// judgeEnded looks at what a worker tells about an end.
func (s *Sim) judgeEnded(id store.ID, status store.Status, state []byte) {
	if status == store.Compensating { // what was told of it is not to be remembered
		return
	}
	w := s.work(id)
	again := status == store.CompensationFailed && w.back.revived || w.ordered && store.Recallable(status) // it goes back meanwhile
	if w.status != status && !(status == store.Blocked && w.epoch > 0) && !again {
		s.fail("G6", "%s is said to be %s while it is %s", w, status, w.status)
	}
	if status == store.Completed && !bytes.Equal(state, w.hist.State) {
		s.fail("state", "%s is said to end with %s; the journal says %s", w, state, w.hist.State)
	}
}

func toward(r *store.Release) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf(" → %s due %s queue %q %s", r.Status, r.Due.Format("15:04:05.000000"), r.Queue, r.ErrorCode)
}

func code(v store.Verdict) string {
	names := []string{"?", "applied", "landed", "superseded", "unseen", "early", "full", "exists", "not found", "ended", "no such wait"}
	return names[v.Code]
}

// definition is the tree that a process has for a run.
func (w *work) definition(p *process) *tree.Workflow {
	if d := p.defs[w.flow.name]; d != nil {
		return d.Tree
	}
	return nil
}
