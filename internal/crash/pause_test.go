//go:build fail

package crash

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/durable-go/durable/internal/fail"
)

// Two workers on one file, and one of them dies: the other goes on with its runs.
func TestQU4_TwoWorkers(t *testing.T) {
	t.Parallel()
	onStores(t, twoWorkers)
}

func twoWorkers(t *testing.T, fresh fresh) {
	w := fresh(t, seed(t))
	w.lease = 3 * lease
	for range 3 {
		w.fillWith(t, "mix")
	}
	a := w.spawn("")
	w.until("the first is ready", func() bool { return a.ready })
	b := w.spawn("")
	w.until("both are busy", func() bool { return a.busy && b.ready })
	w.killAt(a, time.Millisecond, 20*time.Millisecond)
	w.until("all is done", w.all)
	w.stop(b)
	if r := w.verify(); r.Deaths != 1 {
		t.Error(r)
	}
}

// Two workers at once from the very first moment: both make the file, both work.
func TestQU13_TwoWorkersMakeTheFile(t *testing.T) {
	t.Parallel()
	onStores(t, twoMakers)
}

func twoMakers(t *testing.T, fresh fresh) {
	w := fresh(t, seed(t))
	w.lease = calmLease
	for range 3 {
		w.fillWith(t, "mix")
	}
	a, b := w.spawn(""), w.spawn("")
	w.until("both are ready", func() bool { return a.ready && b.ready })
	w.finish()
	r := w.verify()
	if r.Deaths != 0 || r.Crashed != 0 {
		t.Error(r)
	}
	lines, err := readLedger(w.ledger())
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[int]int{}
	for _, l := range lines {
		if l.Kind == "begin" {
			bodies[l.PID]++
		}
	}
	if len(bodies) != 2 {
		t.Errorf("bodies by process: %v", bodies)
	}
}

// A worker is stopped for longer than its lease at a label, another takes over,
// and the first comes back: whatever it still writes is refused. Where it was
// stopped within a transaction nobody could take over, so that not every label
// costs it its lease.
func TestQU5_Paused(t *testing.T) {
	t.Parallel()
	onStores(t, pauses)
}

func pauses(t *testing.T, fresh fresh) {
	s := seed(t)
	var (
		mu       sync.Mutex
		refused  int
		finished int
	)
	labels := []fail.Label{
		fail.Tried, fail.BodyBefore, fail.BodyAfter, fail.DoBefore, fail.DoAfter, fail.CommitBefore, fail.CommitAfter,
		fail.ClaimAfter, fail.RenewBefore, fail.RenewAfter, fail.StartAfter, fail.Wake,
	}
	// Last, when all cases are through: the rare states must have been there.
	t.Cleanup(func() {
		t.Logf("%d pauses: %d times the first lost its lease", finished, refused)
		if !t.Failed() && finished >= len(labels) && refused == 0 {
			t.Error("too few to prove anything")
		}
	})
	for _, l := range labels {
		for hit := 1; hit <= 1+cycles()/100; hit++ {
			t.Run(fmt.Sprintf("%s@%d", l, hit), func(t *testing.T) {
				t.Parallel()
				w := fresh(t, s+uint64(hit))
				w.fillWith(t, "mix")
				a := paused(t, w, fmt.Sprintf("%s=stop@%d", l, hit))
				w.verify()
				mu.Lock()
				defer mu.Unlock()
				finished++
				refused += count(a.text(), "the lease is lost")
			})
		}
	}
}

// A worker that is stopped inside a body while it does nothing else holds no
// lock, so another surely takes the run over, and the body goes on beside its
// successor: both are in the ledger, one result is in the journal.
func TestQU5_PausedInABody(t *testing.T) {
	t.Parallel()
	onStores(t, pausedInABody)
}

func pausedInABody(t *testing.T, fresh fresh) {
	s := seed(t)
	for hit := 1; hit <= 3; hit++ {
		t.Run(fmt.Sprint(hit), func(t *testing.T) {
			t.Parallel()
			w := fresh(t, s+uint64(hit))
			w.addCalls()
			a := paused(t, w, fmt.Sprintf("%s=stop@%d", fail.DoBefore, hit))
			w.verify()
			if both(t, w) == 0 {
				t.Error("the body did not go on beside its successor")
			}
			if count(a.text(), "the lease is lost") == 0 {
				t.Error("the first worker did not notice that its lease was over")
			}
		})
	}
}

// paused runs what there is to run through a pause of the first worker; it returns that
// worker when all have ended.
func paused(t *testing.T, w *world, fail string) *worker {
	t.Helper()
	a := w.spawn(fail)
	w.until("the first worker is stopped", func() bool { return a.paused })
	b := w.spawn("")
	w.until("the second is ready", func() bool { return b.ready })
	// A process that is stopped within a transaction keeps the lock of the file,
	// and nobody can write until it goes on: SQLite's price. Nothing is lost then.
	w.within(4*time.Second, w.all)
	a.signal(syscall.SIGCONT)
	w.until("all is done", w.all)
	a.paused = false
	back := false
	w.until("the first worker is back", func() bool {
		// What it was told before must be done; it may not even have been ready.
		if a.ready && !back && len(a.sent) == 0 {
			back = true
			w.command(a, message{Op: "settle"}, func(message) { a.stopped = true })
		}
		return a.stopped
	})
	a.stopped = false
	w.stop(a)
	w.stop(b)
	return a
}

func count(text, part string) (n int) {
	for i := 0; i+len(part) <= len(text); i++ {
		if text[i:i+len(part)] == part {
			n++
		}
	}
	return n
}

// both counts what bodies did in one process after they had begun in another.
func both(t *testing.T, w *world) int {
	t.Helper()
	lines, err := readLedger(w.ledger())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	last := map[string]int{} // who began it last
	for _, l := range lines {
		key := l.Run.String() + l.Path
		switch {
		case l.Kind == "begin":
			last[key] = l.PID
		case last[key] != l.PID:
			n++
		}
	}
	return n
}
