//go:build fail

package crash

import (
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store"
)

// A step that ends its process every time (os.Exit: RS-3) is tried five times
// and then fails with crash_limit. Runs beside it complete, also one whose body
// is long enough to be hit each time.
func TestRT9_RS3_CrashLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t))
	w.add(&task{workflow: "exits", input: sum{}, mayFail: "crash_limit"})
	w.add(&task{workflow: "slow", input: sum{N: 900}})
	w.fillWith(t, "mix")
	w.finish()
	r := w.verify()
	if len(w.deaths) != 5 || slices.ContainsFunc(w.deaths, func(d death) bool { return d.how != "exit" }) {
		t.Errorf("deaths: %v, want 5 exits", w.deaths)
	}
	_, wrong := w.check(true)
	if len(wrong) > 0 {
		return
	}
	x := w.record(t, w.tasks[0])
	if x.Status != store.Failed || x.ErrorCode != "crash_limit" {
		t.Errorf("the run that kills its process is %s (%s)", x.Status, x.ErrorCode)
	}
	lines, err := readLedger(w.ledger())
	if err != nil {
		t.Fatal(err)
	}
	var attempts []int
	for _, l := range lines {
		if l.Workflow == "exits" && l.Kind == "begin" {
			attempts = append(attempts, l.Attempt)
		}
	}
	if !slices.Equal(attempts, []int{1, 2, 3, 4, 5}) {
		t.Errorf("its attempts were %v", attempts)
	}
	t.Log(r)
}

// The first repeat of a body whose process died comes at once, the second waits
// for the default backoff: 2 s, give or take a quarter.
func TestCrashBackoff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t))
	w.add(&task{workflow: "slow", input: sum{N: 3000}})
	for range 2 {
		p := w.spawn("")
		w.until("the body runs", func() bool { return p.busy })
		w.kill(p)
	}
	w.finish()
	w.verify()
	lines, err := readLedger(w.ledger())
	if err != nil {
		t.Fatal(err)
	}
	var begins []time.Time
	for _, l := range lines {
		if l.Kind == "begin" {
			begins = append(begins, l.At)
		}
	}
	if len(begins) != 3 {
		t.Fatalf("%d bodies, want 3", len(begins))
	}
	// The fact is written when the next owner finds the dead body, after the lease.
	if gap := begins[1].Sub(begins[0]); gap > 20*lease {
		t.Errorf("the first repeat came after %s", gap)
	}
	if gap := begins[2].Sub(begins[1]); gap < 1500*time.Millisecond {
		t.Errorf("the second repeat came after %s", gap)
	}
}

// record reads one run.
func (w *world) record(t *testing.T, x *task) *record {
	t.Helper()
	j := &judge{w: w, records: map[durable.ID]*record{}, lines: map[durable.ID][]line{}}
	if err := j.read(); err != nil {
		t.Fatal(err)
	}
	r := j.records[x.run]
	if r == nil {
		t.Fatalf("run %s is not there", x.run)
	}
	return r
}
