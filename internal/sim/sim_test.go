package sim

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Seeds make much garbage and keep nothing.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// number reads an option of the environment.
func number(t *testing.T, name string, or uint64) uint64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return or
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// seedsToRun is SIM_SEEDS, or what fits into a minute of one core: the race detector makes a
// seed six times as dear, and finds little where each has one thread.
func seedsToRun(t *testing.T) uint64 {
	t.Helper()
	if raced {
		return number(t, "SIM_SEEDS", 200)
	}
	return number(t, "SIM_SEEDS", 4000)
}

// TestSeeds runs seeds: SIM_SEEDS of them (4,000, with the race detector 200) from SIM_FIRST (1) on, or the
// one of SIM_SEED, with its trace.
func TestSeeds(t *testing.T) {
	if os.Getenv("SIM_SEED") != "" {
		o := Draw(number(t, "SIM_SEED", 0))
		fmt.Println(o)
		if r := Run(o, os.Stdout); r.Err != nil {
			t.Fatal(r.Err)
		}
		return
	}
	n, first := seedsToRun(t), number(t, "SIM_FIRST", 1)
	began := time.Now()
	marks := runSeeds(t, first, n)
	t.Logf("%d seeds, %.0f a second", n, float64(n)/time.Since(began).Seconds())
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		t.Logf("%8d %s", marks[name], name)
	}
	if t.Failed() || n < 4000 {
		return
	}
	for _, name := range rare() {
		if marks[name] == 0 {
			t.Errorf("not one of %d seeds came to: %s", n, name)
		}
	}
}

// TestLimitedSeeds runs a quarter as many with limits over all workers and
// queues that are paused.
func TestG18_QU10_LimitedSeeds(t *testing.T) {
	n := seedsToRun(t) / 4
	marks := runSeeds(t, limitedSeeds+number(t, "SIM_FIRST", 1), n)
	if t.Failed() || n < 1000 {
		return
	}
	for _, name := range []string{"queue paused", "limit reached", "rate reached", "others were faster", "takeover", "completed"} {
		if t.Logf("%8d %s", marks[name], name); marks[name] == 0 {
			t.Errorf("not one of %d seeds came to: %s", n, name)
		}
	}
}

// TestLaneSeeds runs half as many with lanes, items, decisions and nodes that wait.
func TestPA_EA_DC_LaneSeeds(t *testing.T) {
	n := seedsToRun(t) / 2
	began := time.Now()
	marks := runSeeds(t, laneSeeds+number(t, "SIM_FIRST", 1), n)
	t.Logf("%d seeds, %.0f a second", n, float64(n)/time.Since(began).Seconds())
	if t.Failed() || n < 1000 {
		return
	}
	for _, name := range []string{"lanes side by side", "a decision goes back", "merge_conflict", "takeover", "message before the write that did not know it", "completed", "failed"} {
		if t.Logf("%8d %s", marks[name], name); marks[name] == 0 {
			t.Errorf("not one of %d seeds came to: %s", n, name)
		}
	}
}

// kindOfSeeds runs half as many seeds of a kind, which must come to certain states.
func kindOfSeeds(t *testing.T, kind uint64, rare ...string) {
	t.Helper()
	someOfKind(t, 2, kind, rare...)
}

// someOfKind runs a part of the seeds of a kind, which must come to certain states.
func someOfKind(t *testing.T, part, kind uint64, rare ...string) {
	t.Helper()
	n := seedsToRun(t) / part
	began := time.Now()
	marks := runSeeds(t, kind+number(t, "SIM_FIRST", 1), n)
	t.Logf("%d seeds, %.0f a second", n, float64(n)/time.Since(began).Seconds())
	if t.Failed() || n < 500 {
		return
	}
	for _, name := range rare {
		if t.Logf("%8d %s", marks[name], name); marks[name] == 0 {
			t.Errorf("not one of %d seeds came to: %s", n, name)
		}
	}
}

// runSeeds runs n seeds on all cores and returns what they came to.
func runSeeds(t *testing.T, first, n uint64) map[string]int {
	var (
		next  atomic.Uint64
		bad   atomic.Int64
		mu    sync.Mutex
		marks = make(map[string]int)
		wg    sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1); i <= n && bad.Load() < 10; i = next.Add(1) {
				o := Draw(first + i - 1)
				r := Run(o, nil)
				mu.Lock()
				for k, v := range r.Marks {
					marks[k] += v
				}
				mu.Unlock()
				if r.Err != nil {
					bad.Add(1)
					t.Errorf("%v\n\treplay with SIM_SEED=%d; options %s", r.Err, o.Seed, o)
				}
			}
		})
	}
	wg.Wait()
	return marks
}

// rare is the states for whose sake there are seeds at all.
func rare() []string {
	return []string{
		"a run nobody drives is let go",
		"another worker goes on",
		"blocked",
		"blocked by several kinds of code",
		"blocked, then taken up by other code",
		"body ignores the end of its context",
		"busy",
		"cancelled",
		"commit delivered twice",
		"completed",
		"crash limit",
		"disk full",
		"eager start",
		"eager start refused",
		"failed",
		"fenced write",
		"eager start withdrawn",
		"hand-back",
		"in doubt",
		"journal limit",
		"landed after all",
		"message before its wait",
		"message before the run",
		"message before the write that did not know it",
		"message sent twice",
		"outage",
		"pause in a delicate body",
		"put off without a fact",
		"reply of claim lost",
		"reply of commit lost",
		"reply of expire lost",
		"reply of load lost",
		"reply of renew lost",
		"reply of retire lost",
		"slow store",
		"snapshot",
		"stall limit",
		"takeover",
		"the store's clock jumps",
		"timer fired",
		"timer too early for the store",
		"unblocked by an operator",
		"write refused",
		"transaction",
		"transaction rolled back",
		"transaction whose outcome is unknown",
	}
}

// The same seed gives the same trace.
func TestReplay(t *testing.T) {
	for seed := uint64(1); seed <= 100; seed++ {
		o := Draw(seed)
		o.Hash = true
		a, b := Run(o, nil), Run(o, nil)
		if a.Trace != b.Trace || a.Steps != b.Steps || a.Now != b.Now {
			t.Errorf("seed %d gives two traces: %d and %d steps", seed, a.Steps, b.Steps)
		}
	}
}

// Seeds that once showed something: one file a bug, each line a seed; what it
// showed stands in the comments.
func TestKnownSeeds(t *testing.T) {
	files, err := filepath.Glob("testdata/seeds/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for lines := bufio.NewScanner(f); lines.Scan(); {
				line, _, _ := strings.Cut(lines.Text(), "#")
				if line = strings.TrimSpace(line); line == "" {
					continue
				}
				seed, err := strconv.ParseUint(line, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if r := Run(Draw(seed), nil); r.Err != nil {
					t.Errorf("seed %d: %v", seed, r.Err)
				}
			}
		})
	}
}
