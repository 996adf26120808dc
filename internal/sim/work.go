package sim

import (
	"fmt"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
	"github.com/durable-go/durable/store"
)

// work is one execution as the world knows it: built from the writes that the
// store accepted, and from what bodies really did.
type work struct {
	s      *Sim
	n      int
	id     store.ID
	flow   *flow
	salt   uint64
	poison string // the place about which nothing can be recorded
	cursed int    // so many workers die when they claim it

	acked     bool              // the start
	cancelled bool              // acknowledged
	seq       int               // of messages sent
	again     map[string]string // messages sent again under a new name, by a mutant

	parent   *work
	depth    int
	level    int // its depth, if items are as deep as what they are items of
	detached bool
	doomed   bool // it was told to end, or to go back, while nobody had it
	ends     []store.Status
	ordered  bool // its parent has ordered it to go back
	back     back
	revoked  map[string]int64 // waits of which somebody was told that they are cancelled
	lingered time.Duration    // when a body of it was last seen that runs somewhere

	asking []string // where the outside might be asked before the row that is looked at

	// As the accepted writes say.
	begun   bool
	created time.Time
	from    time.Time           // its first due time
	late    bool                // its time is over, as it has recorded
	noticed map[string]*noticed // by the ids of waits
	notes   map[string]int      // recorded, and not told
	hist    *journal.History
	rows    int
	refused int      // the row that somebody wanted to write and may not, last
	bodies  [][]byte // of the rows
	epoch   int64
	owner   store.Incarnation
	status  store.Status
	queue   string
	due     time.Time
	inbox   []*mail
	used    map[string]bool // dedupes
	waits   []*wait
	since   time.Duration // true time of the last change
	owners  map[int64]*process
	model   *model

	places  map[string]*place
	choices map[string]int           // how often the decision at a path was taken
	idle    map[string]time.Duration // bodies that could begin, since when
	taken   time.Duration            // when it was claimed
	handed  map[string]bool          // hand-backs that somebody tried to deliver, by path and epoch
	crashes []crash
	blocks  int             // so many times in a row, with no body begun in between
	blocked map[string]bool // fingerprints of code that could not go on, since it was let go in another way
	stalled bool            // blocked since its owners died
	closed  bool            // has ended, or stands where it must for ever
}

// mail is an accepted message.
type mail struct {
	seq   int64
	topic string
	wait  string
	taken bool
	at    time.Duration

	when    time.Time // of an order: by the store's clock
	payload []byte
	pub     *publication
	from    *work        // whose end it tells of
	says    store.Status // of the end of a child, or of an answer to an order to go back
}

// wait is an open wait.
type wait struct {
	store.Wait
	since time.Duration
}

// crash is a fact that says that a process died in a body.
type crash struct {
	path  string
	epoch int64
	back  bool // taken back
}

// place is what the world knows about one path of a run.
type place struct {
	script   *script
	tried    map[int64]int // facts, by epoch
	starts   map[int64]int // bodies begun, by epoch
	started  int           // in all
	cleared  int
	failures int
	final    bool
	inARow   int // real deaths without a new fact in between
	snoozed  int
	died     int
	effects  int // how often the body of an AtMostOnce step came to its end
	asked    int // how often Reconcile failed
	done     int // facts
	rows     int // of transactions that have landed

	transacts bool                     // its body ends with a transaction
	runs      map[string]int           // of functions of Do
	wanted    map[string]time.Duration // when a timed wait was last asked for
	topics    map[string]string        // that calls of children wait for
	kids      map[string]*kid          // the last one of each call
	items     *items                   // of a spread Each
	deed      *deed                    // what is to be undone of it
}

func (s *Sim) newWork(n int, id store.ID, f *flow, salt uint64) *work {
	w := &work{
		s: s, n: n, id: id, flow: f, salt: salt,
		hist: journal.NewHistory(), used: make(map[string]bool), owners: make(map[int64]*process),
		places: make(map[string]*place), handed: make(map[string]bool), choices: make(map[string]int), noticed: make(map[string]*noticed), notes: make(map[string]int), revoked: make(map[string]int64),
	}
	w.model = newModel(w)
	return w
}

func (w *work) place(path string) *place {
	p := w.places[path]
	if p == nil {
		p = &place{
			tried: make(map[int64]int), starts: make(map[int64]int),
			runs: make(map[string]int), wanted: make(map[string]time.Duration),
			topics: make(map[string]string), kids: make(map[string]*kid),
		}
		w.places[path] = p
	}
	return p
}

// script is the program of the step at a path.
func (w *work) script(path string, n *tree.Node) *script {
	p := w.place(path)
	if p.script == nil {
		p.script = newScript(hash(w.salt, path), n, w.s.Calm)
		if w.s.Publish {
			p.script.correlate(hash(w.salt, path))
		}
		if w.kidFlow() != nil {
			p.script.family(hash(w.salt, path), n.AtMostOnce)
		}
	}
	return p.script
}

func (w *work) changed() { w.since = w.s.now }

func (w *work) String() string { return fmt.Sprintf("run%d", w.n) }

func (s *Sim) work(id store.ID) *work {
	for _, w := range s.works {
		if w.id == id {
			return w
		}
	}
	return nil
}

func (s *Sim) title(id store.ID) string {
	if w := s.work(id); w != nil {
		return w.String()
	}
	return "nothing"
}
