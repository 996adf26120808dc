// Package run executes: it claims executions, makes the running bodies equal
// to the plan, commits what they say, and keeps the lease.
//
// Worker and Committer are state machines without goroutines, clocks or I/O:
// events come in as method calls with the local time, and everything they do
// to the world goes through the Effects interface. Runner is the thin shell of
// goroutines around them; the simulator puts the same machines on one thread.
package run

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
)

// Config is how a worker works. All fields but Accept are required.
type Config struct {
	Name         string // label for people
	Definitions  []*Definition
	Queues       map[string]Queue
	Lease        time.Duration
	Grace        time.Duration                               // for bodies, when stopping
	HungAfter    time.Duration                               // a run goes on without a body that ignores the end of its context for so long
	JournalLimit int                                         // live facts of one execution
	StateLimit   int                                         // bytes of a state; 0: none
	Accept       func(*journal.Wait, []byte) ([]byte, error) // checks what came by topic; gives what is to be read. Pure
}

const (
	// holdForAnswer is how long a finished step waits for the answer of the
	// question that follows it, so that both land in one write.
	holdForAnswer = 50 * time.Millisecond
	// logDelay is how long log entries gather before they get a write of their own.
	logDelay = 400 * time.Millisecond
	// stallLimit is how many owners may die on an execution without adding a
	// row before it is blocked.
	stallLimit = 5
	// abandonAfter is how long after the end of its context a body may still
	// run before a stopping worker hands its run over all the same.
	abandonAfter = 2 * time.Second
	// suspectPause is how long a run waits whose place crashed twice while
	// this worker already runs such a one.
	suspectPause = time.Second
	// hintPause is the least time between two renewals that hints bring about.
	hintPause = time.Second
	// maxCut is how many bodies are remembered that were let go unrecorded.
	maxCut = 10_000
)

// Worker is the machine of one worker process. It is not safe for concurrent
// use.
type Worker struct {
	cfg      Config
	do       Effects
	defs     map[[2]string]*Definition
	claims   []store.Definition
	clock    storeClock
	lease    lease
	retired  []store.Incarnation // lost, not yet retired in the store
	queues   []*queue            // by name
	runs     map[store.ID]*run
	renewed  time.Time // when the last renewal was asked
	claimed  time.Time // when the claim in flight was asked; zero: none
	misses   int       // claims in a row that failed
	expireAt time.Time // when to look for dead workers; zero: not known
	expiring bool
	suspect  *Visit
	old      map[placeKey]int   // bodies of runs let go that still run here
	cut      map[placeKey]int64 // epochs of bodies that were let go unrecorded, and did not crash
	strange  map[store.ID]int64
	kept     kept
	doubtful map[store.ID]*run // eager starts that are said to have landed before
	timed    map[*run]time.Time
	mortal   map[*run]time.Time // when the time of runs is over
	alarms   map[*run]time.Time // when something of a run is due while other bodies of it run
	hungry   map[*run]bool      // some of them runs, and more would with a slot
	limited  bool               // some queue has limits over all workers
	toldAt   time.Time          // when the store was asked which queues are paused
	running  bool
	stopping bool
	stopAt   time.Time
	stopped  int // stages of stopping that have been done
	counts   Counts

	lingering map[*Visit]*linger // user code that runs although its context has ended
	ending    []*Visit           // of those, the ones whose context has ended just now
	hungAt    time.Time          // when to look at them; zero: never
	hungNews  bool               // what is to be reported of them has changed
}

type placeKey struct {
	id   store.ID
	path string
}

// NewWorker returns a worker that does nothing until Run.
func NewWorker(cfg Config, do Effects) *Worker {
	w := &Worker{
		cfg:     cfg,
		do:      do,
		defs:    make(map[[2]string]*Definition),
		runs:    make(map[store.ID]*run),
		old:     make(map[placeKey]int),
		cut:     make(map[placeKey]int64),
		strange: make(map[store.ID]int64),
		timed:   make(map[*run]time.Time),
		alarms:  make(map[*run]time.Time),
		hungry:  make(map[*run]bool),
		mortal:  make(map[*run]time.Time),

		lingering: make(map[*Visit]*linger),

		doubtful: make(map[store.ID]*run),
	}
	for _, d := range cfg.Definitions {
		w.defs[[2]string{d.Tree.Name, d.Tree.Version}] = d
		w.claims = append(w.claims, store.Definition{Workflow: d.Tree.Name, Version: d.Tree.Version, Fingerprint: d.Fingerprint})
	}
	for name, q := range cfg.Queues {
		mine := &queue{name: name, slots: q.Concurrency, poll: q.PollInterval, global: q.Global, rate: q.Rate}
		w.limited = w.limited || mine.limited()
		w.queues = append(w.queues, mine)
	}
	slices.SortFunc(w.queues, func(a, b *queue) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return w
}

// Run begins to serve.
func (w *Worker) Run(now time.Time) {
	w.running = true
	w.lease = newLease(w.do.NewIncarnation(), w.cfg.Lease)
	w.pokeAll()
	w.pump(now)
}

// Stop begins a graceful stop: no new bodies; those that run get the grace.
func (w *Worker) Stop(now time.Time) {
	if !w.running || w.stopping {
		return
	}
	w.stopping, w.stopAt = true, now.Add(w.cfg.Grace)
	for _, r := range w.sorted() {
		w.drive(r, now)
	}
	w.pump(now)
}

// StopNow ends the contexts of all bodies at once.
func (w *Worker) StopNow(now time.Time) {
	w.Stop(now)
	w.stopAt = now
	w.pump(now)
}

// Stopped tells whether a stop is complete: nothing is owned or in flight.
func (w *Worker) Stopped() bool {
	return w.stopping && len(w.runs) == 0 && len(w.doubtful) == 0 && w.claimed.IsZero()
}

// Who is the present incarnation.
func (w *Worker) Who() store.Incarnation { return w.lease.who }

// Now is the store's clock, at most.
func (w *Worker) Now(now time.Time) time.Time { return w.clock.high(now) }

// Running is the number of executions in this worker's hands.
func (w *Worker) Running() int { return len(w.runs) }

// Slots tells how many slots of a queue there are and how many are taken.
func (w *Worker) Slots(name string) (used, total int) {
	if q := w.queue(name); q != nil {
		return q.used, q.slots
	}
	return 0, 0
}

func (w *Worker) queue(name string) *queue {
	for _, q := range w.queues {
		if q.name == name {
			return q
		}
	}
	return nil
}

func (w *Worker) pokeAll() {
	for _, q := range w.queues {
		q.poke()
	}
}

// Poke says that something is due in a queue; "" says that there may be
// something in any.
func (w *Worker) Poke(name string, now time.Time) {
	if name == "" {
		for _, q := range w.queues {
			q.rumour()
		}
	} else if q := w.queue(name); q != nil {
		q.poke()
	}
	w.pump(now)
}

// Hint says that somebody else changed something: work may be due, and what
// this worker owns may have messages or have been cancelled. So it asks for
// its own too, at most once a second.
func (w *Worker) Hint(now time.Time) {
	w.renewSoon()
	w.Poke("", now)
}

// renewSoon sees to it that the next renewal leaves a second after the last.
func (w *Worker) renewSoon() {
	if next := w.renewed.Add(hintPause); w.lease.held && next.Before(w.lease.next) {
		w.lease.next = next
	}
}

// Delivered says that a message was accepted for an execution.
func (w *Worker) Delivered(id store.ID, now time.Time) {
	if r := w.runs[id]; r != nil {
		if r.base > 0 { // else its first write is not settled yet
			w.fetch(r)
		}
		return
	}
	w.Poke("", now)
}

// Taken says that an execution was changed from outside its owner. Such a change may
// begin a rollback and never meets one: who has it as compensating has claimed it since.
func (w *Worker) Taken(id store.ID, now time.Time) {
	if r := w.runs[id]; r != nil && !r.undoing {
		w.drop(r, ErrTaken)
	}
	w.kin(id)
	w.Poke("", now)
}

// Tick does what is due. It is harmless at any time.
func (w *Worker) Tick(now time.Time) { w.pump(now) }

// Deadline is when Tick is wanted next; zero is never.
func (w *Worker) Deadline(now time.Time) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if !w.running {
		return at
	}
	if w.lease.asked.IsZero() {
		sooner(w.lease.next)
		if w.lease.next.IsZero() {
			sooner(now)
		}
	}
	if w.lease.held {
		sooner(w.lease.trusted)
	}
	if from, ok := w.lease.patient(); ok && w.lease.alive(now) && !w.expiring && !w.stopping && !w.expireAt.IsZero() {
		sooner(later(w.expireAt, from))
	}
	if w.lease.alive(now) && w.claimed.IsZero() && !w.stopping {
		for _, q := range w.queues {
			if q.open() {
				sooner(later(q.when(w.lease.asked), q.yieldsUntil(now)))
			}
		}
	}
	for _, t := range w.timed {
		sooner(t)
	}
	for _, t := range w.mortal {
		sooner(t)
	}
	for _, t := range w.alarms {
		sooner(t)
	}
	sooner(w.hungAt)
	if w.stopping && w.stopped < 2 {
		sooner(w.stopAt.Add(time.Duration(w.stopped) * abandonAfter))
	}
	return at
}

// pump sends what is due to be sent.
func (w *Worker) pump(now time.Time) {
	if !w.running {
		return
	}
	if w.lease.held && !w.lease.alive(now) {
		w.loseLease(now)
	}
	w.pumpLingering(now)
	if w.lease.held && w.lease.asked.IsZero() && w.mustReport() {
		w.renewSoon()
	}
	if w.lease.due(now) {
		w.lease.asked, w.renewed = now, now
		w.counts.Renewals++
		w.do.Renew(store.Lease{
			Who: w.lease.who, Name: w.cfg.Name, Duration: w.lease.duration, New: !w.lease.held, Queues: w.queueNames(), Report: w.ownReport(),
		})
	}
	for _, r := range w.dueRuns(now) {
		w.drive(r, now)
	}
	if w.stopping {
		w.pumpStop(now)
		return
	}
	if !w.lease.alive(now) {
		return
	}
	if !w.expiring && !w.expireAt.IsZero() && !now.Before(w.expireAt) && w.lease.mayExpireOthers(now) {
		w.expiring, w.expireAt = true, time.Time{}
		w.do.Expire()
	}
	w.feed(now)
	w.claim(now)
}

// sorted is the runs in a stable order, so that equal seeds give equal traces.
func (w *Worker) sorted() []*run {
	list := make([]*run, 0, len(w.runs))
	for _, r := range w.runs {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *run) int { return compareIDs(a.id, b.id) })
	return list
}

// Renewed takes the answer to a renewal of who.
func (w *Worker) Renewed(who store.Incarnation, n store.Renewal, err error, now time.Time) {
	if who != w.lease.who || w.lease.asked.IsZero() {
		return // of an incarnation that is over
	}
	asked := w.lease.asked
	switch {
	case errors.Is(err, store.ErrLeaseLost):
		w.loseLease(now)
	case err != nil:
		w.counts.RenewalsFailed++
		if !w.lease.failed || !w.lease.steady.IsZero() {
			w.do.Note("renewing the lease failed; trying again", store.ID{}, err)
		}
		w.lease.miss(now)
	default:
		w.setClock(asked, now, n.Now)
		w.lease.confirm(now)
		w.glanced(asked, &n)
		w.expireAt = time.Time{}
		if !n.NextExpiry.IsZero() {
			w.expireAt = w.clock.local(n.NextExpiry)
		}
		w.told(n.Paused, asked)
		w.retireOld()
		w.reconcile(asked, n.Owned)
	}
	w.pump(now)
}

// retireOld ends the incarnations that this process lost, so that what they
// own is free at once.
func (w *Worker) retireOld() {
	for _, who := range w.retired {
		w.do.Retire(who)
	}
	w.retired = nil
}

// reconcile compares what the store says this incarnation owns with what it
// drives. asked is when the renewal was sent.
func (w *Worker) reconcile(asked time.Time, owned []store.Owned) {
	mine := make(map[store.ID]store.Owned, len(owned))
	strange := make(map[store.ID]int64)
	for _, o := range owned {
		mine[o.ID] = o
		r := w.runs[o.ID]
		switch {
		case r == nil && w.strange[o.ID] == o.Epoch && w.claimed.IsZero():
			w.letGo(o.ID)
		case r == nil:
			strange[o.ID] = o.Epoch
		case o.Inbox > r.seen && r.base > 0:
			w.fetch(r)
		}
	}
	w.strange = strange
	for _, r := range w.sorted() {
		if o, ok := mine[r.id]; (!ok || o.Epoch != r.epoch) && r.base > 0 && r.since.Before(asked) && !r.releasing() {
			w.drop(r, ErrTaken)
		}
	}
}

// Expired takes the answer to Expire.
func (w *Worker) Expired(released int, err error, now time.Time) {
	w.expiring = false
	if err != nil {
		w.expireAt = now.Add(w.cfg.Lease / 10)
	}
	w.counts.TakenOver += int64(released)
	if released > 0 {
		w.do.Note(fmt.Sprintf("took over %d runs of workers that died", released), store.ID{}, nil)
		w.pokeAll()
	}
	w.pump(now)
}

// loseLease lets everything go and begins a new incarnation.
func (w *Worker) loseLease(now time.Time) {
	for _, r := range w.sorted() {
		w.drop(r, ErrLeaseLost)
	}
	w.do.Note("the lease is lost; running steps are stopped and the worker begins anew", store.ID{}, nil)
	w.counts.LeasesLost++
	w.retired = append(w.retired, w.lease.who)
	w.lease = newLease(w.do.NewIncarnation(), w.cfg.Lease)
	w.lease.failed = true
	w.strange = make(map[store.ID]int64)
	w.pokeAll()
	if w.stopping { // nothing is left to hand over
		clear(w.doubtful)
		w.running = false
	}
}

func compareIDs(a, b store.ID) int { return slices.Compare(a[:], b[:]) }
