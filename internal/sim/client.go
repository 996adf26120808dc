package sim

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// plant makes the world and schedules all that comes from outside: clients,
// people, and trouble.
func (s *Sim) plant() {
	r := rand.New(rand.NewPCG(s.Seed, 0xf10a))
	for i := range 1 + r.IntN(2) {
		s.flows = append(s.flows, newFlow(r, i, s.kinds(s.Lanes, true)))
	}
	s.tops = len(s.flows)
	s.plantKidFlows()
	s.plantItemFlows()
	s.plantLimits()
	for range s.Workers {
		s.spawn(s.variant())
	}
	for i := range s.Runs {
		w := s.newWork(i+1, s.newID(), s.flows[r.IntN(s.tops)], r.Uint64())
		s.works = append(s.works, w)
		if s.Poison && i == 0 {
			nodes := w.flow.defs[plus].Tree.Root.Body
			w.poison = nodes[r.IntN(len(nodes))].Name
		}
		if s.Curse && i == s.Runs-1 {
			w.cursed = 5
		}
		in := s.between(0, s.Until/2)
		b := store.Begin{ID: w.id, Workflow: w.flow.name, Queue: "default", Priority: r.IntN(3)}
		if r.IntN(4) == 0 {
			b.Due = begin().Add(in + s.between(0, 5*second))
		}
		s.at(nil, in, func() { s.start(w, b) })
		for range r.IntN(5) {
			s.at(nil, s.between(0, s.Until), func() { s.send(w, s.topic()) })
		}
	}
	for range s.Cancels {
		s.at(nil, s.between(0, s.Until), func() { s.cancel(s.works[s.rng.IntN(len(s.works))]) })
	}
	s.at(nil, second, s.people)
	s.plantPublications()
	s.plantFaults()
	s.plantHolds()
}

func (s *Sim) topic() string { return "event:" + string(rune('a'+s.rng.IntN(2))) }

// variant is the code that a process gets which begins now.
func (s *Sim) variant() int {
	if s.Deploy && s.now < s.Until {
		return s.rng.IntN(3)
	}
	return s.lastVariant()
}

func (s *Sim) lastVariant() int {
	if s.Deploy || s.Plus {
		return plus
	}
	return base
}

func (s *Sim) plantFaults() {
	some := func(n int, fn func()) {
		for range n {
			s.at(nil, s.between(0, s.Until), fn)
		}
	}
	one := func(fn func(p *process)) func() {
		return func() {
			if len(s.processes) > 0 {
				fn(s.processes[s.rng.IntN(len(s.processes))])
			}
		}
	}
	some(s.Crashes, one(s.crash))
	some(s.Pauses, one(func(p *process) {
		p.troubled = true
		p.sleeping = s.now + s.between(0, 4*s.Lease)
		s.logf("%s is paused until %s", p.name, p.sleeping)
		for _, b := range p.bodies {
			if b.v.Node.AtMostOnce || b.place.failures > 0 {
				s.mark("pause in a delicate body")
			}
		}
	}))
	some(s.Stops, one(func(p *process) { p.stop(s.chance(0.4)) }))
	some(s.Outages, func() { s.db.downUntil = s.now + s.between(0, 2*s.Lease); s.mark("outage") })
	some(s.Fulls, func() { s.db.fullUntil = s.now + s.between(0, 2*s.Lease); s.mark("disk full") })
	some(s.Slows, func() { s.db.slowUntil = s.now + s.between(0, 2*s.Lease); s.mark("slow store") })
	some(s.Jumps, func() {
		s.jump += s.between(-5*second, 5*second)
		s.mark("the store's clock jumps")
		for _, p := range s.processes {
			p.troubled = true // its lease may end with it
		}
	})
	if s.Deploy {
		some(2, one(func(p *process) { p.stop(false) }))
	}
	if !s.Calm {
		s.at(nil, s.Until, s.finalDeploy)
	}
}

// finalDeploy brings the code that has everything to all processes.
func (s *Sim) finalDeploy() {
	again := false
	for _, p := range s.processes {
		if !p.final() {
			again = true
			s.at(p, 0, func() { p.stop(false) })
		}
	}
	if again || len(s.processes) < s.Workers {
		s.at(nil, 5*second, s.finalDeploy)
	}
}

// through gives a process that takes a client's call, and calls again later if
// there is none.
func (s *Sim) through(again func()) *process {
	var up []*process
	for _, p := range s.processes {
		if !p.leaving && s.now >= p.sleeping {
			up = append(up, p)
		}
	}
	if len(up) == 0 {
		if !s.closing {
			s.at(nil, 500*time.Millisecond, again)
		}
		return nil
	}
	return up[s.rng.IntN(len(up))]
}

// start begins a run, until that is acknowledged.
func (s *Sim) start(w *work, b store.Begin) {
	p := s.through(func() { s.start(w, b) })
	if p == nil {
		return
	}
	again := func() { s.start(w, b) }
	s.at(p, 0, func() {
		input := []byte(`{"run":` + strconv.Itoa(w.n) + `,"log":[]}`)
		if write, ref, ok := p.w.Begin(b, input, p.local()); ok {
			c := &caller{eager: ref, lost: again, done: func(x run.Settled) {
				if x.Verdict.Code == store.Superseded {
					s.mark("eager start refused")
					s.startPending(p, w, b, input, ref, again)
					return
				}
				s.acknowledged(w)
			}}
			p.submit(write, c)
			if !s.calm() && s.chance(0.2) {
				s.at(p, s.between(0, second), func() { p.withdraw(c, again) })
			}
			return
		}
		s.startPending(p, w, b, input, nil, again)
	})
}

// startPending begins a run that any worker may claim: after eager, if that is not nil.
func (s *Sim) startPending(p *process, w *work, b store.Begin, input []byte, eager any, again func()) {
	b.Row = run.BeginRow(&b, w.flow.limit(), input, s.clock())
	p.submit(store.Write{Begin: &b}, &caller{lost: again, done: func(x run.Settled) {
		s.acknowledged(w)
		if eager != nil {
			p.w.BegunInstead(eager, x.Verdict)
		}
		p.w.Poke(b.Queue, p.local())
	}})
}

func (s *Sim) acknowledged(w *work) {
	if !w.begun {
		s.fail("G1", "the start of %s is acknowledged, and it is not there", w)
	}
	w.acked = true
}

// send sends an event, now and then twice.
func (s *Sim) send(w *work, topic string) {
	w.seq++
	d := store.Deliver{ID: w.id, Topic: topic, Payload: []byte(strconv.Itoa(w.seq)), Dedupe: "event:" + strconv.Itoa(w.seq)}
	s.deliver(w, d, 0)
	if s.chance(0.15) {
		s.at(nil, s.between(0, 5*second), func() { s.deliver(w, d, 0) })
	}
}

// deliver sends a message until that is acknowledged.
func (s *Sim) deliver(w *work, d store.Deliver, try int) {
	again := func() { s.deliver(w, d, try+1) }
	if try > 0 && s.Mutant.Fresh {
		d.Dedupe += " again " + strconv.Itoa(try)
		w.fresh(d.Dedupe)
	}
	p := s.through(again)
	if p == nil {
		return
	}
	s.at(p, 0, func() {
		p.submit(store.Write{Deliver: &d}, &caller{lost: again, done: func(x run.Settled) {
			switch x.Verdict.Code {
			case store.Applied, store.Landed:
				p.w.Delivered(d.ID, p.local())
			case store.NotFound:
				s.mark("message before the run")
				s.at(nil, second, again)
			}
		}})
	})
}

// cancel cancels a run from outside.
func (s *Sim) cancel(w *work) {
	if !w.acked || w.hist.Back != nil {
		return
	}
	if s.Sagas && s.chance(0.6) {
		s.goBack(w)
		return
	}
	p := s.through(func() { s.cancel(w) })
	if p == nil {
		return
	}
	err := &journal.Error{Code: "cancelled", Message: "by a person"}
	row := journal.Encode([]journal.Fact{{Kind: journal.Cancelled, At: s.clock().UnixMicro(), Err: err, Data: []byte("a person")}})
	c := store.Control{
		ID: w.id, From: w.cancellable(), Row: row,
		Release: store.Release{Status: store.Cancelled, ErrorCode: "cancelled", Error: run.EncodeError(err), Family: run.Notice(w.id, err.Message)},
		Before:  w.epoch + 1,
	}
	if w.parent != nil {
		c.Topic = run.ItemsTopic(w.flow.name)
		c.Report = run.ChildReport{ID: w.id, Workflow: w.flow.name, Status: store.Cancelled, Error: err}.Encode()
	}
	s.at(p, 0, func() {
		p.submit(store.Write{Control: &c}, &caller{lost: func() { s.cancel(w) }, done: func(x run.Settled) {
			switch x.Verdict.Code {
			case store.Applied, store.Landed:
				s.mark("cancelled")
				w.cancelled = true
				p.w.Taken(w.id, p.local())
			case store.Superseded, store.Ended:
				s.lookAgain(w, x.Verdict)
			}
		}})
	})
}

// lookAgain cancels a run that has moved since the cancel looked.
func (s *Sim) lookAgain(w *work, v store.Verdict) {
	if v.Code == store.Superseded || !v.Status.Ended() && v.Status != store.Compensating {
		s.mark("cancel of what has moved")
		s.cancel(w)
	}
}

// cancellable is the statuses in which a cancel may meet a run that looks as it does now:
// what is blocked may go back.
func (w *work) cancellable() []store.Status {
	if w.status == store.Blocked {
		return []store.Status{store.Blocked}
	}
	return []store.Status{store.Pending, store.Running, store.Waiting}
}

// people look at the open waits now and then, and send what is waited for.
func (s *Sim) people() {
	for _, w := range s.works {
		s.meddle(w)
		for _, x := range slices.Clone(w.waits) {
			s.command(w, x)
			switch {
			case x.Kind == "in_doubt":
				answers := []string{`"done"`, `"run"`, `"run"`, `"fail"`}
				d := store.Deliver{ID: w.id, Wait: x.ID, Payload: []byte(answers[s.rng.IntN(len(answers))])}
				w.seq++
				d.Dedupe = "answer:" + x.ID + ":" + strconv.Itoa(w.seq)
				s.deliver(w, d, 0)
			case x.Shared:
				if x.Deadline.IsZero() && s.chance(0.5) {
					s.publishSome(x.Topic)
				}
			case strings.HasPrefix(x.Topic, "event:") && (x.Deadline.IsZero() || s.chance(0.2)) && s.chance(0.7):
				s.send(w, x.Topic)
			}
		}
		if w.status == store.Blocked && !w.closed && (w.stalled || s.now > s.Until+s.Patience/2) {
			s.unblock(w)
		} else if w.status == store.Blocked && w.unheard() { // nobody takes it up to read that
			s.cancel(w)
		}
	}
	if !s.closing {
		s.at(nil, s.between(second, 4*second), s.people)
	}
}

// unblock is what an operator does with a run that no new code will free.
func (s *Sim) unblock(w *work) {
	p := s.through(func() {})
	if p == nil {
		return
	}
	s.mark("unblocked by an operator")
	c := store.Control{ID: w.id, From: []store.Status{store.Blocked}, Release: store.Release{Status: store.Pending}}
	s.at(p, 0, func() {
		p.submit(store.Write{Control: &c}, &caller{lost: func() {}, done: func(run.Settled) { p.w.Poke("", p.local()) }})
	})
}

// fresh remembers a name under which a mutant sends a message a second time.
func (w *work) fresh(dedupe string) {
	name, _, _ := strings.Cut(dedupe, " again ")
	if w.again == nil {
		w.again = make(map[string]string)
	}
	w.again[dedupe] = name
}
