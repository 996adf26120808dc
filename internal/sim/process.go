package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// process is one worker process: the production machines, a clock of its own,
// and bodies. When it dies all of that is gone.
type process struct {
	s       *Sim
	name    string
	variant int
	defs    map[string]*run.Definition
	slots   map[string]int

	w *run.Worker
	c run.Committer

	offset   time.Duration // of its clock
	sleeping time.Duration // paused until then
	armed    time.Duration // when it will tick; 0: not
	ticks    int           // at this very moment
	ticked   time.Duration
	sending  bool // it will look at the committer again
	hinted   bool
	dead     bool
	died     time.Duration
	left     bool // stopped in order
	killed   bool // its end may have cut short what it had to say
	leaving  bool
	stopped  time.Duration     // leaving: when contexts end
	stopper  store.Incarnation // leaving: who it was when it was told to
	deadline time.Duration     // leaving: gives up waiting for its committer
	troubled bool              // a fault has hit it

	who    store.Incarnation
	trust  time.Time // by its own clock, from the renewals that it has heard of
	steady time.Time // since when its renewals have held
	failed bool      // one has not
	bodies []*body

	callers []*caller
}

// caller is a client whose write is on its way through a process's committer.
type caller struct {
	eager any
	done  func(run.Settled)
	lost  func()
}

// grace is what bodies get when a worker stops.
const grace = 3 * second

var _ run.Effects = (*process)(nil)

func (s *Sim) spawn(variant int) *process {
	s.spawned++
	p := &process{
		s: s, name: fmt.Sprintf("p%d", s.spawned), variant: variant, c: run.Committer{Width: s.Width},
		defs: make(map[string]*run.Definition), offset: s.between(-time.Hour, time.Hour),
	}
	if s.spawned%2 == 0 {
		p.offset += time.Duration(s.spawned) * 24 * time.Hour
	}
	p.slots = map[string]int{"default": s.Slots, "ai": max(1, s.Slots/2)}
	if len(s.processes)%2 == 1 && !s.calm() {
		delete(p.slots, "ai")
	}
	cfg := run.Config{Name: p.name, Lease: s.Lease, Grace: grace, HungAfter: s.hungAfter(), JournalLimit: 10_000, Queues: make(map[string]run.Queue)}
	if s.Limit > 0 {
		cfg.JournalLimit = s.Limit
	}
	for i, f := range s.flows {
		if i > 0 && !s.calm() && s.chance(0.2) {
			continue // code that this process does not have
		}
		p.defs[f.name] = f.defs[variant]
		cfg.Definitions = append(cfg.Definitions, f.defs[variant])
	}
	for name, n := range p.slots {
		cfg.Queues[name] = run.Queue{Concurrency: n, Global: s.Global[name], Rate: s.Rates[name], PollInterval: s.Poll}
	}
	if m := s.Mutant; m.Config != nil {
		m.Config(&cfg)
	}
	p.w = run.NewWorker(cfg, p)
	s.processes = append(s.processes, p)
	s.logf("%s begins with variant %d", p.name, variant)
	s.at(p, 0, func() { p.w.Run(p.local()) })
	return p
}

// final tells whether a process has all the code there is.
func (p *process) final() bool {
	want := p.s.lastVariant()
	return p.variant == want && len(p.defs) == len(p.s.flows) && p.slots["ai"] > 0
}

// local is the process's own monotonic clock.
func (p *process) local() time.Time {
	return begin().Add(p.offset + p.s.now + time.Duration(float64(p.s.now)*p.drift()))
}

func (p *process) drift() float64 {
	if p.offset%2 == 0 {
		return -p.s.Drift
	}
	return p.s.Drift
}

// until is how long it takes until the process's clock shows t.
func (p *process) until(t time.Time) time.Duration {
	d := t.Sub(p.local())
	if d <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(float64(d)/(1+p.drift()))) + time.Microsecond
}

// postpone puts off an event of a process that is paused.
func (p *process) postpone(e event) bool {
	if p.s.now >= p.sleeping {
		return false
	}
	e.at = p.sleeping
	p.s.heap.push(e)
	return true
}

// settle does what the shell does after each event: it sends what has gathered
// and sets the timer.
func (p *process) settle() {
	if p.dead {
		return
	}
	p.send()
	p.arm()
	p.check()
	if p.leaving && p.w.Stopped() && (p.c.Idle() || p.s.now >= p.deadline) && (!p.s.closing || len(p.bodies) == 0) {
		p.leave()
	}
}

func (p *process) arm() {
	at := p.w.Deadline(p.local())
	if at.IsZero() {
		return
	}
	due := p.s.now + p.until(at)
	if p.armed != 0 && p.armed <= due {
		return
	}
	p.armed = due
	p.s.at(p, due-p.s.now, func() {
		if p.armed != due {
			return
		}
		p.armed = 0
		if p.ticked != p.s.now {
			p.ticked, p.ticks = p.s.now, 0
		}
		if p.ticks++; p.ticks > 100 {
			p.s.fail("hot loop", "%s ticks again and again without waiting", p.name)
			return
		}
		p.w.Tick(p.local())
	})
}

// send hands the next batch to the store.
func (p *process) send() {
	s := p.s
	b := p.c.Next(p.local())
	if b == nil {
		if in := p.until(p.c.RetryAt(p.local())); in > 0 && !p.sending {
			p.sending = true
			s.at(p, in, func() { p.sending = false })
		}
		return
	}
	writes := b.Writes
	if s.Mutant.Early && advances(writes) {
		p.settled(b, store.Result{Now: s.clock(), Verdicts: applied(writes)}, nil)
		call(p, "commit", storeTimeout, func() (store.Result, error) { return s.db.commit(p, writes) }, func(store.Result, error) {})
		return
	}
	call(p, "commit", storeTimeout, func() (store.Result, error) { return s.db.commit(p, writes) },
		func(r store.Result, err error) { p.settled(b, r, err) })
}

func advances(writes []store.Write) bool {
	return !slices.ContainsFunc(writes, func(w store.Write) bool { return w.Advance == nil })
}

func applied(writes []store.Write) []store.Verdict {
	list := make([]store.Verdict, len(writes))
	for i := range list {
		list[i].Code = store.Applied
	}
	return list
}

// settled hands verdicts to the worker and to callers, as the shell does.
func (p *process) settled(b *run.Batch, res store.Result, err error) {
	if m := p.s.Mutant; m.Settle != nil {
		res, err = m.Settle(p, b.Writes, res, err)
	}
	now := p.local()
	for _, it := range p.c.Done(b, res, err, now) {
		at := p.heard(it.StoreNow)
		if it.Write.Advance != nil && it.Err == nil && it.Verdict.Code == store.Landed {
			p.s.judgeLanded(it.Write.Advance)
		}
		c, ok := it.Ref.(*caller)
		if !ok {
			p.w.Committed(it.Ref, it.Verdict, it.Err, it.Asked, now, at)
			continue
		}
		if c.eager != nil {
			p.w.Begun(c.eager, it.Verdict, it.Err, it.Asked, now, at)
		}
		p.callers = slices.DeleteFunc(p.callers, func(x *caller) bool { return x == c })
		c.done(it)
	}
}

// heard is the store's clock as the worker is told.
func (p *process) heard(t time.Time) time.Time {
	if m := p.s.Mutant; m.Clock != nil && !t.IsZero() {
		return m.Clock(p, t)
	}
	return t
}

// submit sends a client's write through the process.
func (p *process) submit(w store.Write, c *caller) {
	p.callers = append(p.callers, c)
	p.c.Add(run.Item{Write: w, Ref: c})
}

// withdraw takes an eager start back that has not left, as the shell does when
// its caller goes away.
func (p *process) withdraw(c *caller, again func()) {
	withdrawn := false
	p.c.Forget(func(it run.Item) bool {
		if it.Ref == c {
			withdrawn = true
		}
		return it.Ref == c
	})
	if !withdrawn {
		return
	}
	p.s.mark("eager start withdrawn")
	p.callers = slices.DeleteFunc(p.callers, func(x *caller) bool { return x == c })
	now := p.local()
	p.w.Begun(c.eager, store.Verdict{Code: store.Superseded}, nil, now, now, time.Time{})
	p.s.at(nil, second, again)
}

// stop begins a stop in order.
func (p *process) stop(now bool) {
	if p.dead || p.leaving {
		return
	}
	p.s.logf("%s is told to stop, now=%v", p.name, now)
	p.leaving, p.deadline = true, p.s.now+20*second
	p.stopped, p.stopper = p.s.now+grace, p.who
	if now {
		p.stopped = p.s.now
		p.w.StopNow(p.local())
	} else {
		p.w.Stop(p.local())
	}
	p.s.at(p, 20*second, func() {})
}

// leave ends a process that has stopped.
func (p *process) leave() {
	if len(p.bodies) == 0 {
		p.checkLeaks()
	}
	p.s.logf("%s leaves", p.name)
	// Did it leave in peace? Then it has said all that it had to say.
	p.left, p.killed = true, len(p.bodies) > 0 || !p.c.Idle() || p.who != p.stopper || p.s.now >= p.stopped+2*second-10*time.Millisecond
	who := p.w.Who()
	call(p, "retire", storeTimeout, func() (int, error) { return 0, p.s.db.retire(p, who) }, func(int, error) {})
	p.end()
	p.respawn()
}

// crash kills the process: all that it knew is gone.
func (s *Sim) crash(p *process) {
	s.logf("%s crashes", p.name)
	p.troubled, p.killed = true, true
	for _, b := range p.bodies {
		b.died()
	}
	p.end()
	p.respawn()
}

func (p *process) end() {
	p.dead, p.died = true, p.s.now
	p.s.processes = slices.DeleteFunc(slices.Clone(p.s.processes), func(x *process) bool { return x == p })
	for _, c := range p.callers {
		p.s.at(nil, p.s.between(0, second), c.lost)
	}
}

func (p *process) respawn() {
	s := p.s
	if s.closing {
		return
	}
	down := s.between(0, 8*second)
	s.at(nil, down, func() {
		if !s.closing {
			s.spawn(s.variant())
		}
	})
}

// Renew implements run.Effects, as do the methods that follow.
func (p *process) Renew(l store.Lease) {
	asked := p.local()
	call(p, "renew", max(l.Duration/3, 10*time.Millisecond),
		func() (store.Renewal, error) { return p.s.db.renew(p, l) },
		func(n store.Renewal, err error) {
			switch {
			case l.Who != p.who:
			case err != nil:
				p.troubled, p.failed, p.steady = true, true, time.Time{}
			default:
				p.trust = asked.Add(l.Duration - l.Duration/10)
				if p.steady.IsZero() {
					p.steady = asked
				}
			}
			if m := p.s.Mutant; m.Renewed != nil {
				n, err = m.Renewed(p, n, err)
			}
			if n.Now = p.heard(n.Now); p.s.Mutant.Untold {
				n.Paused = nil
			}
			p.s.logf("%s hears of its renewal: %v", p.name, err)
			p.w.Renewed(l.Who, n, err, p.local())
		})
}

func (p *process) Claim(req store.ClaimRequest) {
	call(p, "claim", storeTimeout,
		func() (store.Claimed, error) { return p.s.db.claim(p, req) },
		func(c store.Claimed, err error) {
			if c.Now = p.heard(c.Now); p.s.Mutant.Untold {
				c.Paused = nil
			}
			p.w.Claimed(req.Owner, c, err, p.local())
			for i := range c.Records {
				if w := p.s.work(c.Records[i].ID); w.cursed > 0 && w.owners[w.epoch] == p {
					w.cursed--
					p.s.crash(p)
				}
			}
		})
}

func (p *process) Expire() {
	if p.failed && (p.steady.IsZero() || p.local().Before(p.steady.Add(p.s.Lease))) {
		p.s.fail("RT-10", "%s takes over from others so soon after its own renewals failed", p.name)
	}
	call(p, "expire", storeTimeout,
		func() (int, error) { return p.s.db.expire(p) },
		func(n int, err error) { p.w.Expired(n, err, p.local()) })
}

func (p *process) Retire(who store.Incarnation) {
	call(p, "retire", storeTimeout, func() (int, error) { return 0, p.s.db.retire(p, who) }, func(int, error) {})
}

func (p *process) Load(id store.ID) { p.load(id, 20*time.Millisecond, p.s.now+storeTimeout) }

func (p *process) load(id store.ID, pause, until time.Duration) {
	call(p, "load", storeTimeout,
		func() (store.Record, error) { return p.s.db.load(id) },
		func(r store.Record, err error) {
			if err == nil || errors.Is(err, store.ErrNotFound) || p.s.now >= until {
				p.w.Loaded(id, r, err, p.local())
				return
			}
			p.s.at(p, pause, func() { p.load(id, min(2*pause, 2*second), until) })
		})
}

func (p *process) Commit(w store.Write, ref any) {
	if m := p.s.Mutant; m.Send != nil {
		m.Send(p, &w)
	}
	p.c.Add(run.Item{Write: w, Ref: ref})
}

func (p *process) Start(v *run.Visit) {
	b := newBody(p, v)
	b.judgeStart()
	p.judgeBeside(v)
	p.bodies = append(p.bodies, b)
	v.Handle = b
	p.s.at(p, p.s.between(0, time.Millisecond), b.begin)
}

func (p *process) Stop(v *run.Visit, cause error) {
	if b, ok := v.Handle.(*body); ok && !p.s.Mutant.Deaf {
		b.stop(cause)
	}
}

func (p *process) Reply(v *run.Visit, r run.CallReply) { v.Handle.(*body).answered(r) }

func (p *process) Ended(id store.ID, status store.Status, state []byte, err *journal.Error) {
	p.s.judgeEnded(id, status, state)
}

// Streamed is nobody's news here.
func (p *process) Streamed(store.ID) {}

func (p *process) Noticed(id store.ID, path, call string, n journal.Note) {
	p.s.logf("%s notes at %s of %s: %+v", p.name, call, path, n)
	p.s.judgeNoticed(p, p.s.work(id), path, call, &n)
}

func (p *process) Note(text string, id store.ID, err error) {
	if p.s.traced() {
		p.s.logf("%s notes: %s (%v) %v", p.name, text, p.s.title(id), err)
	}
}

func (p *process) Draw() float64 { return p.s.rng.Float64() }

func (p *process) NewIncarnation() store.Incarnation {
	p.failed = p.failed || p.who != (store.Incarnation{})
	p.who, p.trust, p.steady = p.s.newID(), time.Time{}, time.Time{}
	return p.who
}

// check asks what a process must never be.
func (p *process) check() {
	now, running := p.local(), map[string]int{}
	for _, b := range p.bodies {
		if !b.tired || !p.s.Mutant.Hasty {
			running[b.v.Queue]++
		}
		if acts(b.v) && b.stopped == nil && !b.over && p.armed > p.s.now &&
			(b.who != p.who || !now.Before(p.trust)) {
			p.s.fail("G7", "%s lets a body at %s of %s go on past its trust", p.name, b.v.Path, p.s.title(b.v.Execution))
		}
	}
	for name, total := range p.slots {
		used, _ := p.w.Slots(name)
		if used < 0 || used > total || running[name] > used {
			p.s.fail("G18", "%s has %d of %d slots of %s taken and runs %d bodies in them", p.name, used, total, name, running[name])
		}
	}
}

func (p *process) checkLeaks() {
	for name := range p.slots {
		if used, _ := p.w.Slots(name); used != 0 {
			p.s.fail("leak", "%s leaves with %d slots of %s taken", p.name, used, name)
		}
	}
	if n := p.w.Running(); n != 0 {
		p.s.fail("leak", "%s leaves with %d runs in its hands", p.name, n)
	}
}
