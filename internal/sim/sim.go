// Package sim runs the machines of package run on one thread, with a heap of
// events, one random source and every kind of trouble, and watches from the
// outside that nothing wrong happens.
//
// It drives the production Worker and Committer through run.Effects; the
// database is store/memory, whose clock is the simulated true time. The same
// seed gives the same trace. Nobody but tests imports it.
//
// Seeds are of kinds, see limitedSeeds: plain, with limits over all workers, with
// lanes, with children, compensations, orders to waits, publications, children that have
// compensations, items that are runs of their own, runs with a time and waits with notices, and
// with several of these. What the world expects follows from accepted writes and from scripts, not from
// the machines.
//
// It models a store that does one thing at a time: real isolation shows only
// in the tests of the stores themselves.
package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// Report is what became of one seed.
type Report struct {
	Err   error          // the first oracle that was not content, or nil
	Marks map[string]int // how often the rare states were reached
	Trace uint64         // equal for equal seeds
	Now   time.Duration  // simulated time at the end
	Steps int            // events
}

// Sim is one simulated world.
type Sim struct {
	Options
	rng   *rand.Rand
	trace io.Writer
	sum   uint64
	marks map[string]int
	fault error

	now   time.Duration // true time since the beginning
	jump  time.Duration // by how much the store's clock has jumped
	heap  heap
	steps int

	db        *database
	processes []*process // all that ever were; those that live come first by chance only
	spawned   int
	works     []*work           // the executions
	kids      map[store.ID]*kid // children that bodies have asked for
	kidN      int
	pubs      []*publication
	pubN      int
	tops      int       // so many of the flows are not of children
	flows     []*flow   // the workflows
	seq       int       // for mutants
	facts     int       // in the row that was judged last
	told      []*member // in that row: who is ordered to go back
	answers   int       // in that row: to such orders
	openItems []*work   // before that row
	scattered []itemOf  // in that row: items that begin
	orders    int       // in that row: of a parent to go back
	shared    shared
	closing   bool // all runs have ended; the workers are told to stop
}

// Run simulates one seed. trace, if not nil, gets one line per event of note.
func Run(o Options, trace io.Writer) Report {
	s := &Sim{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x5eed)), trace: trace, marks: make(map[string]int), shared: newShared(), kids: make(map[store.ID]*kid)}
	s.db = newDatabase(s)
	s.plant()
	s.loop()
	return Report{Err: s.fault, Marks: s.marks, Trace: s.sum, Now: s.now, Steps: s.steps}
}

// loop is the world: it takes the earliest event, defers it if its process is
// paused, runs it, and asks the oracles.
func (s *Sim) loop() {
	for s.fault == nil && !s.over() {
		e := s.heap.pop()
		s.now = max(s.now, e.at)
		if s.now > s.Until+s.Patience {
			s.fail("liveness", "%s after the last fault not everything has ended: %s", s.Patience, s.unfinished())
			break
		}
		if e.p != nil && (e.p.dead || e.p.postpone(e)) {
			continue
		}
		s.steps++
		e.fn()
		if e.p != nil {
			e.p.settle()
		}
		s.watch()
	}
	if s.fault == nil {
		s.inspect()
	}
}

// at schedules fn, for a process that may die or sleep before, or for the world.
func (s *Sim) at(p *process, in time.Duration, fn func()) {
	s.heap.push(event{at: s.now + max(in, 0), p: p, fn: fn})
}

// fail keeps the first complaint of an oracle.
func (s *Sim) fail(oracle, format string, args ...any) {
	if s.fault == nil {
		s.fault = fmt.Errorf("%s: at %s: %s", oracle, s.now, fmt.Sprintf(format, args...))
		s.logf("FAULT %v", s.fault)
	}
}

// mark counts a rare state.
func (s *Sim) mark(name string) {
	s.marks[name]++
	s.logf("mark %s", name)
}

// traced tells whether anybody reads the trace or its hash.
func (s *Sim) traced() bool { return s.trace != nil || s.Hash }

// logf adds to the trace. Its hash is made of every line also when nobody
// reads them, unless the seed runs for speed only.
func (s *Sim) logf(format string, args ...any) {
	if !s.traced() {
		return
	}
	line := fmt.Sprintf("%12s ", s.now) + fmt.Sprintf(format, args...) + "\n"
	h := fnv.New64a()
	_, _ = io.WriteString(h, line) // a hash never fails
	s.sum = s.sum*1099511628211 + h.Sum64()
	if s.trace != nil {
		_, _ = io.WriteString(s.trace, line)
	}
}

func (s *Sim) clock() time.Time { return begin().Add(s.now + s.jump) }

// begin is the simulated true time at which a seed begins.
func begin() time.Time { return time.Date(2031, 5, 4, 0, 0, 0, 0, time.UTC) }

// chance is true with probability p. It draws in any case, so that options do
// not shift what follows.
func (s *Sim) chance(p float64) bool { return s.rng.Float64() < p }

func (s *Sim) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(s.rng.Int64N(int64(high-low)))
}

// calm tells whether no more faults come.
func (s *Sim) calm() bool { return s.Calm || s.now >= s.Until }

func (s *Sim) newID() uuid.UUID {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(s.rng.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

// event is something that will happen.
type event struct {
	at  time.Duration
	seq uint64
	p   *process
	fn  func()
}

// heap gives events by time, then by the order in which they were scheduled.
type heap struct {
	list []event
	seq  uint64
}

func (h *heap) less(i, j int) bool {
	a, b := &h.list[i], &h.list[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (h *heap) push(e event) {
	h.seq++
	e.seq = h.seq
	h.list = append(h.list, e)
	for i := len(h.list) - 1; i > 0 && h.less(i, (i-1)/2); i = (i - 1) / 2 {
		h.list[i], h.list[(i-1)/2] = h.list[(i-1)/2], h.list[i]
	}
}

func (h *heap) pop() event {
	top := h.list[0]
	last := len(h.list) - 1
	h.list[0], h.list[last] = h.list[last], event{}
	h.list = h.list[:last]
	for i := 0; ; {
		low := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if h.less(c, low) {
				low = c
			}
		}
		if low == i {
			return top
		}
		h.list[i], h.list[low] = h.list[low], h.list[i]
		i = low
	}
}
