package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// Seeds are of kinds, by their upper half. Those of kind 0 are as they were before
// there were others.
const (
	limitedSeeds = 1 << 32  // limits over all workers and pauses of queues
	laneSeeds    = 2 << 32  // lanes, items, decisions and nodes that wait
	familySeeds  = 3 << 32  // children
	sagaSeeds    = 4 << 32  // compensations
	orderSeeds   = 5 << 32  // orders to open waits
	publishSeeds = 6 << 32  // events that are published
	mixedSeeds   = 7 << 32  // several of these at once
	recallSeeds  = 8 << 32  // children with compensations
	spreadSeeds  = 9 << 32  // items that are runs of their own
	timedSeeds   = 10 << 32 // runs with a time, and notices of waits
)

// refilled is how long a calm world may leave room in a limit while a run is
// due: as long as a worker rests that others were faster than, and the way.
const refilled = 500 * time.Millisecond

// limit draws limits and pauses.
func (o *Options) limit() {
	r := rand.New(rand.NewPCG(o.Seed, 0x11a7))
	o.Global, o.Rates = map[string]int{}, map[string]run.Rate{}
	for _, name := range []string{"default", "ai"} {
		if r.IntN(2) == 0 {
			o.Global[name] = 1 + r.IntN(3)
		}
		if r.IntN(3) == 0 {
			o.Rates[name] = run.Rate{N: 1 + r.IntN(3), Per: time.Duration(1+r.IntN(20)) * 100 * time.Millisecond}
		}
	}
	o.Holds = r.IntN(3)
	o.Runs += r.IntN(4)
}

// shared is what the world knows of what queues share.
type shared struct {
	starts  map[string][]time.Time // by the store's clock
	asked   map[string][]time.Time // when Reconcile began, which takes a token too
	room    map[string]time.Duration
	paused  map[string]time.Duration // true time since when
	resumed map[string]time.Duration
}

func newShared() shared {
	return shared{
		starts: map[string][]time.Time{}, asked: map[string][]time.Time{}, room: map[string]time.Duration{},
		paused: map[string]time.Duration{}, resumed: map[string]time.Duration{},
	}
}

// plantHolds has queues paused for a while, by hands that no fault hits.
func (s *Sim) plantHolds() {
	for range s.Holds {
		name := []string{"default", "ai"}[s.rng.IntN(2)]
		from := s.between(0, s.Until)
		s.at(nil, from, func() { s.hold(name, true) })
		s.at(nil, from+s.between(0, s.Until-from), func() { s.hold(name, false) })
	}
	if s.Holds > 0 {
		s.at(nil, s.Until, func() { s.hold("default", false); s.hold("ai", false) })
	}
}

func (s *Sim) hold(name string, paused bool) {
	if err := s.db.mem.SetPaused(context.Background(), name, "a person", paused && !s.Mutant.Unpaused); err != nil {
		s.fail("QU-10", "%s cannot be paused: %v", name, err)
	}
	_, was := s.shared.paused[name]
	switch {
	case paused && !was:
		s.mark("queue paused")
		s.shared.paused[name] = s.now
	case !paused && was:
		delete(s.shared.paused, name)
		s.shared.resumed[name] = s.now
	}
	s.hint(nil)
}

// queueOf is the queue of a body.
func (w *work) queueOf(path string) string {
	path, _, _ = journal.CutUndo(path)
	for _, d := range w.flow.defs {
		if n := tree.Find(d.Tree, path); n != nil && n.Queue != "" {
			return n.Queue
		}
	}
	return "default"
}

// judgeShared looks at what a row means for limits: at no commit more bodies
// are open than Global allows, and no window sees more starts than Rate allows.
func (s *Sim) judgeShared(p *process, w *work, list []journal.Fact) {
	for _, f := range list {
		if f.Kind != journal.Tried {
			continue
		}
		name := w.queueOf(f.Path)
		s.judgeRate(p, w, name)
		if since, paused := s.shared.paused[name]; paused && s.Calm && s.now > since+hinted+second {
			s.fail("QU-10", "%s begins %s of %s in %s, which is paused since %s", p.name, f.Path, w, name, since)
		}
	}
	for name, most := range s.Global {
		if n := s.open(name); n > most {
			s.fail("G18", "%d bodies are open in %s after a write of %s, and %d may be", n, name, w, most)
		} else if n == most {
			s.mark("limit reached")
		}
	}
}

func (s *Sim) judgeRate(p *process, w *work, name string) {
	rate, limited := s.Rates[name]
	if !limited || s.Jumps > 0 {
		return
	}
	now := s.clock()
	s.shared.starts[name] = append(s.shared.starts[name], now)
	if n := s.lately(name, s.shared.starts, now); n > rate.N {
		s.fail("G18", "%s begins the %dth body of %s within %s for %s, and %d may be", p.name, n, name, rate.Per, w, rate.N)
	} else if n == rate.N {
		s.mark("rate reached")
	}
}

// lately counts the starts in the window that ends now.
func (s *Sim) lately(name string, starts map[string][]time.Time, now time.Time) (n int) {
	for _, at := range starts[name] {
		if now.Sub(at) < s.Rates[name].Per {
			n++
		}
	}
	return n
}

// open counts the bodies that are recorded as begun and not as ended.
func (s *Sim) open(name string) (n int) {
	for _, w := range s.works {
		if w.owner == (store.Incarnation{}) || w.hist.Cancel != nil { // what still runs of it has given back its loan when it returned
			continue
		}
		for path := range w.places {
			if at := w.hist.At(path); at != nil && at.Open == w.epoch && w.queueOf(path) == name {
				n++
			}
		}
	}
	return n
}

// bound tells whether a run that is cancelled may still hold something of a queue:
// its owner has died, and with it bodies that had not returned.
func (s *Sim) bound(name string) bool {
	for _, w := range s.works {
		p := w.owners[w.epoch]
		if w.hist.Cancel == nil || w.owner == (store.Incarnation{}) || !p.dead {
			continue
		}
		for path := range w.places {
			if at := w.hist.At(path); at != nil && at.Open == w.epoch && w.queueOf(path) == name {
				return true
			}
		}
	}
	return false
}

// crowded tells whether a queue has no room for one more body now.
func (s *Sim) crowded(name string) bool {
	if _, paused := s.shared.paused[name]; paused {
		return true
	}
	if most := s.Global[name]; most > 0 {
		n := 0
		for _, p := range s.processes {
			for _, b := range p.bodies {
				if b.v.Queue == name && b.v.Question == nil {
					n++
				}
			}
		}
		if max(n, s.open(name)) >= most || s.bound(name) {
			return true
		}
	}
	rate, limited := s.Rates[name]
	return limited && s.lately(name, s.shared.starts, s.clock())+s.lately(name, s.shared.asked, s.clock()) >= rate.N
}

// roomSince is since when a queue has had room for the run that is due in it;
// not ok: it has none.
func (s *Sim) roomSince(name string) (since time.Duration, ok bool) {
	if s.crowded(name) {
		delete(s.shared.room, name)
		return 0, false
	}
	if _, known := s.shared.room[name]; !known {
		s.shared.room[name] = s.now
	}
	return s.shared.room[name], true
}
