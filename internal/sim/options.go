package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
)

// Options is one world. Draw makes one of a seed.
type Options struct {
	Seed     uint64
	Calm     bool          // no faults, but Crashes and Stops: latencies are bounded
	Until    time.Duration // faults and clients stop
	Patience time.Duration // after that, everything has ended
	Workers  int
	Runs     int
	Lease    time.Duration
	Poll     time.Duration
	Slots    int           // of queue "default"; "ai" has half of it
	Delay    time.Duration // the longest way to the store, and back
	Drift    float64       // by how much a worker's clock may run too fast or too slow
	Cancels  int
	Plus     bool // in a calm world: the trees that a deploy brings

	LoseRequest, LoseReply, Duplicate, LoseHint float64 // chances per message
	Late                                        float64 // of an answer that overtakes nobody
	Busy                                        float64 // of a write whose execution somebody else holds
	Width                                       int     // batches of a process on their way at once

	Crashes, Pauses, Stops, Outages, Fulls, Slows, Jumps int // how many come before Until
	Deploy                                               bool
	Tx                                                   bool // half of the steps end with a transaction
	Limit                                                int  // of facts in a journal, if not 0
	Poison                                               bool // the database refuses one run's writes
	Curse                                                bool // one run kills the engine that claims it

	Global map[string]int      // bodies of a queue over all workers
	Rates  map[string]run.Rate // starts of bodies of a queue over all workers
	Holds  int                 // how often a queue is paused
	Lanes  bool                // workflows have lanes, items, decisions and nodes that wait

	Timed    bool // runs have a time, and waits have notices
	Spread   bool // some items are runs of their own
	Children bool // steps and nodes call and spawn workflows
	Sagas    bool // steps have compensations
	Orders   bool // people end and extend open waits
	Publish  bool // some events are for a key, and are published

	Hash   bool // hash the trace
	Mutant Mutant
}

// Mutant plants a bug between the machines and the world. Every field may be
// nil.
type Mutant struct {
	Name    string
	Send    func(p *process, w *store.Write)                                                   // the machine writes something else
	Write   func(d *database, w *store.Write)                                                  // the store takes it for something else
	Verdict func(d *database, w *store.Write, v *store.Verdict)                                // the store lies about it
	Settle  func(p *process, w []store.Write, r store.Result, err error) (store.Result, error) // the shell takes the answer for another
	Read    func(d *database, r *store.Record)                                                 // the store gives out something else
	Renew   func(d *database, l store.Lease, n store.Renewal, err error) (store.Renewal, error)
	Renewed func(p *process, n store.Renewal, err error) (store.Renewal, error)
	Clock   func(p *process, t time.Time) time.Time // the store's clock as the worker hears it
	Config  func(c *run.Config)
	Publish func(d *database, p *store.Publication)
	Expire  bool // nobody expires leases
	Fresh   bool // clients send again under a new name
	Early   bool // writes are acknowledged when they leave
	Deaf    bool // bodies are not stopped
	Hasty   bool // a body is said to have ended when its time is over
	Brisk   bool // a body is said to have ended when it is told to
	Rows    bool // rows of a transaction land whatever becomes of its record

	Unpaused bool // the store forgets that a queue is paused
	Untold   bool // workers are not told which queues are
}

const second = time.Second

// Draw makes the options of a seed. One seed in four is calm.
func Draw(seed uint64) Options {
	o := draw(seed)
	switch kind := seed &^ (1<<32 - 1); kind {
	case 0:
	case limitedSeeds:
		o.limit()
	default:
		o.Lanes = kind == laneSeeds || kind == spreadSeeds || seed/4%3 == 0
		if o.Spread = kind == spreadSeeds; o.Spread {
			o.Deploy, o.Plus = false, false // of items there is one kind of code
		}
		mixed := kind == mixedSeeds
		if o.Sagas = kind == sagaSeeds || kind == recallSeeds || o.Spread && seed/16%2 == 1 || kind == timedSeeds && seed/32%2 == 1 || mixed && seed/8%2 == 0; o.Sagas {
			o.Cancels += int(seed / 32 % 3)
		}
		switch o.Timed = kind == timedSeeds; kind {
		case recallSeeds:
			mixed = seed/16%4 == 1
		case timedSeeds:
			mixed = seed/16%2 == 1
		}
		o.Orders, o.Publish = mixed || kind == orderSeeds, mixed || kind == publishSeeds
		if o.Children = kind == familySeeds || kind == recallSeeds || kind == spreadSeeds || mixed && seed/8%2 == 1; o.Children {
			o.Patience = 3 * time.Hour // a run takes as long as all its children
		}
		if seed%5 == 0 {
			o.limit()
		}
	}
	return o
}

func draw(seed uint64) Options {
	r := rand.New(rand.NewPCG(seed, 0x09710))
	upTo := func(n int) int { return r.IntN(n + 1) }
	o := Options{
		Seed: seed, Patience: 20 * time.Minute, Lease: 10 * second,
		Workers: 1 + r.IntN(3), Runs: 1 + r.IntN(4), Cancels: max(0, upTo(5)-3),
	}
	if seed%4 == 0 {
		o.Calm, o.Until, o.Poll, o.Slots, o.Delay = true, 10*second, 60*second, 16, time.Duration(1+r.IntN(20))*time.Millisecond
		o.Plus = r.IntN(2) == 0
		if r.IntN(3) == 0 {
			o.Crashes, o.Workers = 1, max(o.Workers, 2)
		} else if r.IntN(3) == 0 {
			o.Stops, o.Workers = 1, max(o.Workers, 2)
		}
		return o
	}
	// Drawn apart, so that known seeds keep what they showed.
	o.Width, o.Busy = 1+int(seed/2%2), 0.1*float64(seed/8%2)
	o.Tx = seed/16%4 == 1
	o.Until = time.Duration(10+r.IntN(40)) * second
	o.Poll = time.Duration(100+r.IntN(1900)) * time.Millisecond
	o.Slots = 2 + r.IntN(3)
	o.Delay = time.Duration(1+r.IntN(100)) * time.Millisecond
	o.Drift = float64(upTo(2)) * 1e-4
	some := func(of float64) float64 { return of * float64(upTo(2)) / 2 }
	o.LoseRequest, o.LoseReply, o.Duplicate, o.LoseHint = some(0.1), some(0.15), some(0.1), some(1)
	o.Late = some(0.1)
	o.Crashes, o.Pauses, o.Stops, o.Outages = upTo(2), upTo(2), upTo(2), max(0, upTo(3)-1)
	o.Fulls, o.Slows, o.Jumps = max(0, upTo(3)-2), max(0, upTo(3)-2), max(0, upTo(4)-3)
	o.Deploy, o.Poison = r.IntN(3) == 0, r.IntN(8) == 0
	o.Curse = r.IntN(20) == 0
	if r.IntN(8) == 0 {
		o.Jumps = 20
	}
	if r.IntN(20) == 0 {
		o.Limit = 10 + r.IntN(10)
	}
	return o
}

func (o Options) String() string {
	type plain Options
	o.Mutant = Mutant{}
	return fmt.Sprintf("%+v", plain(o))
}
