//go:build fail

package crash

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// One worker that nobody hurts: the oracles find nothing to say, and no body
// runs twice.
func TestCalm(t *testing.T) {
	t.Parallel()
	onStores(t, calm)
}

func calm(t *testing.T, fresh fresh) {
	w := fresh(t, seed(t))
	w.lease = calmLease
	w.fillWith(t, "mix")
	w.fillWith(t, "long")
	w.finish()
	r := w.verify()
	if r.Crashed != 0 || r.Handed != 0 || r.Deaths != 0 {
		t.Errorf("%s", r)
	}
	t.Log(r)
}

// killAt kills a worker at a random moment while it is busy.
func (w *world) killAt(p *worker, from, to time.Duration) {
	w.t.Helper()
	w.within(4*lease, func() bool { return p.busy || !w.lives(p) || w.all() })
	w.within(from+time.Duration(w.rng.Int64N(int64(to-from))), func() bool { return !w.lives(p) })
	if w.lives(p) {
		w.kill(p)
	}
}

// Random kills of the document pipeline: CRASH_CYCLES of them, spread over a
// few worlds. Each worker gets new documents and dies 5 to 50 ms after its
// first body.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	onStores(t, randomKills)
}

func randomKills(t *testing.T, fresh fresh) {
	const worlds = 5
	s := seed(t)
	var (
		sum report
		mu  sync.Mutex
	)
	t.Cleanup(func() { t.Log("in all: ", &sum) })
	for i := range worlds {
		kills := cycles() / worlds
		if i < cycles()%worlds {
			kills++
		}
		t.Run(fmt.Sprintf("documents-%d", i), func(t *testing.T) {
			t.Parallel()
			r := killing(t, fresh(t, s+uint64(i)), kills, "documents")
			mu.Lock()
			defer mu.Unlock()
			sum.add(r)
		})
	}
}

// The same with all kinds of runs at once.
func TestRandomKillsOfAll(t *testing.T) {
	t.Parallel()
	s := seed(t)
	onStores(t, func(t *testing.T, fresh fresh) {
		for i := range 3 {
			t.Run(fmt.Sprintf("mix-%d", i), func(t *testing.T) {
				t.Parallel()
				killing(t, fresh(t, s+uint64(i)), max(cycles()/5, 3), "mix")
			})
		}
	})
}

func killing(t *testing.T, w *world, kills int, kind string) report {
	killed := 0
	for killed < kills {
		w.fillWith(t, kind)
		for range min(5, kills-killed) {
			p := w.spawn("")
			w.killAt(p, 5*time.Millisecond, 50*time.Millisecond)
			killed++
		}
		// A run whose body was hit twice waits seconds for its next try. They
		// may pile up, but not without end.
		if killed%10 == 0 {
			w.finish()
		}
	}
	w.finish()
	r := w.verify()
	if r.Deaths != kills {
		t.Errorf("%d deaths of %d kills", r.Deaths, kills)
	}
	t.Log(r)
	return r
}
