//go:build fail

package crash

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

const (
	lease     = 500 * time.Millisecond // the shortest that an engine takes
	calmLease = 5 * time.Second        // where nobody dies: that of a busy machine holds
	patience  = 60 * time.Second       // for everything that must happen some time
)

// world is one database, its ledger, the workers on it and what they said.
type world struct {
	t       testing.TB
	dir     string
	file    string // the database; "" is durable.db
	schema  string // not empty: the database is a schema on the server
	mutant  string
	lease   time.Duration
	rng     *rand.Rand
	events  chan event
	live    []*worker
	tasks   []*task
	answers map[string]*answered // by wait
	deaths  []death
	starved bool     // there was no space for a time
	stops   int      // workers that ended in order
	next    int      // number of the next command
	seen    int      // events
	settled bool     // no run was left to do, after all starts
	fired   []string // lines of failpoints
}

// worker is a worker process, as its parent sees it.
type worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	pid     int
	ready   bool
	busy    bool
	stopped bool // said that it ended in order
	paused  bool
	ending  bool                  // was told to stop: what it has not done, it need not do
	born    int                   // how many events there were before it
	asked   bool                  // to say when no run is left to do
	sent    map[int]func(message) // commands without an ack
	mu      sync.Mutex
	log     []byte // the end of its standard error
}

// event is something that a worker said or that became of it.
type event struct {
	w    *worker
	m    message
	fail string           // a failpoint's line
	log  bool             // it logged something
	end  *os.ProcessState // it has ended
}

// death is a fault that the parent counted: it explains bodies that ran twice.
type death struct {
	pid int
	how string // killed, itself, exit, paused
}

// task is one run that the parent wants, and what it does with it.
type task struct {
	workflow string
	key, tag string // one of them
	input    any
	at       time.Time
	sends    []int // payloads, each an event of its own
	cancel   bool
	want     func(state json.RawMessage) error

	asked, acked bool
	run          durable.ID
	sent         []bool // acknowledged
	cancelled    bool   // acknowledged
	goesBack     bool   // the run is to end as compensated
	mayFail      string // an error code that the run may end with
	startNever   bool   // its start was not acknowledged and is not repeated
}

// answered is a question that the parent answered.
type answered struct {
	run   durable.ID
	by    string
	acked bool
	when  int // how many events there were before its ack
}

// newWorld makes a world on a fast disk: what a process that dies leaves is the
// same on every file system.
func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	base := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "crash-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, dir: dir, lease: lease, rng: rand.New(rand.NewPCG(seed, 1)),
		events: make(chan event, 4096), answers: map[string]*answered{},
	}
	if err := os.Mkdir(w.archive(), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range slices.Clone(w.live) {
			p.signal(syscall.SIGKILL)
			w.until("the last worker is gone", func() bool { return !slices.Contains(w.live, p) })
		}
		if t.Failed() && os.Getenv("CRASH_KEEP") != "" {
			t.Log("kept: ", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) db() string {
	switch {
	case w.schema != "":
		return server.cluster.URL("postgres")
	case w.file != "":
		return w.file
	}
	return filepath.Join(w.dir, "durable.db")
}
func (w *world) ledger() string  { return filepath.Join(w.dir, "ledger") }
func (w *world) archive() string { return filepath.Join(w.dir, "archive") }

// spawn starts a worker process. fail is its FAIL.
func (w *world) spawn(fail string, wrap ...string) *worker {
	w.t.Helper()
	s, err := json.Marshal(settings{DB: w.db(), Schema: w.schema, Ledger: w.ledger(), Archive: w.archive(), Lease: w.lease, Mutant: w.mutant, Ask: true})
	if err != nil {
		w.t.Fatal(err)
	}
	args := append(slices.Clone(wrap), os.Args[0])
	p := &worker{cmd: exec.Command(args[0], args[1:]...), born: w.seen, sent: map[int]func(message){}}
	p.cmd.Env = append(os.Environ(), settingsVariable+"="+string(s), "FAIL="+fail)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	p.pid = p.cmd.Process.Pid
	w.live = append(w.live, p)
	var read sync.WaitGroup
	read.Go(func() { w.listen(p, out) })
	read.Go(func() { w.overhear(p, errs) })
	go func() {
		read.Wait() // what it said before its end comes before its end
		_ = p.cmd.Wait()
		w.events <- event{w: p, end: p.cmd.ProcessState}
	}()
	return p
}

func (w *world) listen(p *worker, out io.Reader) {
	for r := bufio.NewReader(out); ; {
		text, err := r.ReadBytes('\n')
		if err != nil {
			return // a line without an end was not said
		}
		var m message
		if json.Unmarshal(text, &m) != nil {
			m = message{Op: "broken", Err: string(text)}
		}
		w.events <- event{w: p, m: m}
	}
}

func (w *world) overhear(p *worker, errs io.Reader) {
	for r := bufio.NewReader(errs); ; {
		text, err := r.ReadString('\n')
		if rest, ok := strings.CutPrefix(text, "fail: "); ok && !strings.Contains(rest, " error") {
			w.events <- event{w: p, fail: strings.TrimSpace(rest)}
		}
		p.mu.Lock()
		p.log = append(p.log, text...)
		if n := len(p.log); n > 64<<10 {
			p.log = slices.Clone(p.log[n-32<<10:])
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case w.events <- event{w: p, log: true}:
		default: // there are events enough to look again
		}
	}
}

func (p *worker) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.log)
}

// signal is for a process that the world started and has not waited for.
func (p *worker) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// until takes events until ok. What must happen and does not is fatal.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	if !w.within(patience, ok) {
		var logs strings.Builder
		for _, p := range w.live {
			fmt.Fprintf(&logs, "\n--- worker %d (ready %v)\n%s", p.pid, p.ready, tail(p.text(), 3000))
		}
		w.t.Fatalf("in vain for %s: %s\n%s%s", patience, what, w.unfinished(), logs.String())
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// within takes events for that long, or until ok.
func (w *world) within(d time.Duration, ok func() bool) bool {
	w.t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	for !ok() {
		select {
		case e := <-w.events:
			w.take(e)
		case <-end.C:
			return ok()
		}
	}
	return true
}

func (w *world) take(e event) {
	w.t.Helper()
	w.seen++
	switch {
	case e.log:
	case e.end != nil:
		w.ended(e.w, e.end)
	case e.fail != "":
		w.fired = append(w.fired, e.fail)
		if strings.HasSuffix(e.fail, " stop") {
			e.w.paused = true
			w.deaths = append(w.deaths, death{e.w.pid, "paused"})
		}
	default:
		w.said(e.w, e.m)
	}
}

func (w *world) ended(p *worker, s *os.ProcessState) {
	w.t.Helper()
	w.live = slices.DeleteFunc(w.live, func(x *worker) bool { return x == p })
	clear(p.sent)
	status, _ := s.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		w.deaths = append(w.deaths, death{p.pid, "killed"})
	case s.ExitCode() == exitStatus:
		w.deaths = append(w.deaths, death{p.pid, "exit"})
	case s.Success() && p.stopped:
		w.stops++
	default:
		w.t.Errorf("worker %d ended: %s\n%s", p.pid, s, tail(p.text(), 4000))
	}
}

// all tells whether everything is acknowledged and no run is left to do. It
// asks every worker that has not been asked, and one answer is enough.
func (w *world) all() bool {
	for _, t := range w.tasks {
		if !t.done() {
			return false
		}
	}
	for _, p := range w.live {
		if p.ready && !p.asked {
			p.asked = true
			w.command(p, message{Op: "settle"}, func(m message) {
				if m.Err == "" {
					w.settled = true
				}
			})
		}
	}
	return w.settled
}

// done tells whether all of a task is acknowledged.
func (t *task) done() bool {
	return t.startNever || t.acked && !slices.Contains(t.sent, false) && (!t.cancel || t.cancelled)
}

func (w *world) unfinished() string {
	var b strings.Builder
	for i, t := range w.tasks {
		if !t.done() {
			fmt.Fprintf(&b, "task %d of %s, run %s: acked %v sent %v cancelled %v\n", i, t.workflow, t.run, t.acked, t.sent, t.cancelled)
		}
	}
	fmt.Fprintf(&b, "settled %v, %d workers, deaths %v, fired %v", w.settled, len(w.live), w.deaths, w.fired)
	return b.String()
}

// finish brings everything to its end, with a new worker whenever one dies, and
// stops them in order.
func (w *world) finish() {
	w.t.Helper()
	for {
		if len(w.live) == 0 {
			w.spawn("")
		}
		w.until("all is done", func() bool { return len(w.live) == 0 || w.all() })
		if len(w.live) > 0 {
			break
		}
	}
	for len(w.live) > 0 {
		w.stop(w.live[0])
	}
}

// stop tells a worker to stop, and waits for its end.
func (w *world) stop(p *worker) {
	w.t.Helper()
	p.ending = true
	w.command(p, message{Op: "stop"}, nil)
	w.until("the worker ends", func() bool { return !slices.Contains(w.live, p) })
}

// kill kills a worker and waits for its end.
func (w *world) kill(p *worker) {
	w.t.Helper()
	p.signal(syscall.SIGKILL)
	w.until("the killed worker is gone", func() bool { return !slices.Contains(w.live, p) })
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // what is no number counts nothing
	return n
}

// lives tells whether a worker has not ended.
func (w *world) lives(p *worker) bool { return slices.Contains(w.live, p) }

// settle ends the test, if the world is not as it must be.
func (w *world) verify() report {
	w.t.Helper()
	r, wrong := w.check(true)
	for _, x := range wrong {
		w.t.Error(x)
	}
	if len(wrong) > 0 {
		w.t.Logf("deaths %v, in order %d, fired %v", w.deaths, w.stops, w.fired)
	}
	return r
}

// seed draws or repeats the seed of a test, and prints it.
func seed(t testing.TB) uint64 {
	t.Helper()
	s := uint64(time.Now().UnixNano())
	if text := os.Getenv("CRASH_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CRASH_SEED=%d", s)
	return s
}

// cycles is how many random kills the pipeline gets.
func cycles() int {
	if n, err := strconv.Atoi(os.Getenv("CRASH_CYCLES")); err == nil && n > 0 {
		return n
	}
	return 25
}
