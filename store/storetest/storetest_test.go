package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// recorder is a test that may fail without failing the one it runs in.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// record runs a test body and returns how it failed.
func record(t *testing.T, body func(tb testing.TB)) []string {
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		body(r)
	}()
	<-ended
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	return r.failures
}

// spoilt opens handles that have a bug.
type spoilt struct {
	store.Opener
	plant func(store.Store) store.Store
}

func (s spoilt) OpenStore(ctx context.Context) (store.Store, error) {
	st, err := s.Opener.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	return s.plant(st), nil
}

func (b bug) harness() Harness { return Harness{Opener: spoilt{memory.New(), b.plant()}} }

func named(t *testing.T, name string) clause {
	t.Helper()
	for _, c := range clauses() {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("no clause is called %q", name)
	return clause{}
}

// enough is how often a clause may miss a bug: who comes first in a race, and how long something takes,
// is the scheduler's. A clause that neither races nor measures catches it at once, or never.
const enough = 200

// A check that cannot fail is not a check: each bug must be caught by the
// clauses that are meant for it, with a message that names their guarantee.
func TestClausesCatchPlantedBugs(t *testing.T) {
	for _, b := range bugs() {
		for _, name := range b.clauses {
			t.Run(b.name+"/"+name, func(t *testing.T) {
				c := named(t, name)
				var failures []string
				for tries := 0; tries < enough && len(failures) == 0; tries++ {
					failures = record(t, func(tb testing.TB) { c.on(tb, b.harness()) })
				}
				if len(failures) == 0 {
					t.Fatal("the clause passed")
				}
				t.Log(failures[0])
				if want := c.guards + " broken"; !strings.HasPrefix(failures[0], want) {
					t.Errorf("the clause failed for another reason: %s", failures[0])
				}
			})
		}
	}
}

// Recorded and without a bug, every clause passes: so it is the bug that the
// test above sees.
func TestClausesPassWithoutBugs(t *testing.T) {
	for _, c := range clauses() {
		if failures := record(t, func(tb testing.TB) { c.on(tb, Harness{Opener: memory.New()}) }); len(failures) > 0 {
			t.Errorf("%s: %s", c.name, failures[0])
		}
	}
}

func TestClauseNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range clauses() {
		if seen[c.name] || c.guards == "" {
			t.Errorf("clause %q is there twice or guards nothing", c.name)
		}
		seen[c.name] = true
	}
}

func TestDifferentialCatchesPlantedBugs(t *testing.T) {
	for _, b := range bugs() {
		switch b.name {
		case "pages by offset", "a closed store works", "a claim is handed out twice", "records are shared", "filters with wildcards",
			"neither epoch nor owner checked", "expired lease comes back", "prune ignores the limit",
			"prune leaves dedupe names", // names rarely meet again
			"a view is read piece by piece",
			"only the last to block counts", "who blocked is never forgotten", "nothing is ever out of date":
			continue // not what a single-threaded, comparing driver is for, or implied by others
		}
		t.Run(b.name, func(t *testing.T) {
			for seed := range uint64(30) {
				failures := record(t, func(tb testing.TB) { newPair(tb, Harness{Opener: memory.New()}, b.harness(), seed).drive(200) })
				if len(failures) > 0 {
					return
				}
			}
			t.Error("thirty seeds passed")
		})
	}
}

// The driver is worth little if it rarely reaches a verdict: each must come,
// and refused batches too.
func TestDifferentialReachesEveryVerdict(t *testing.T) {
	reached, refused := map[store.Code]int{}, 0
	for seed := range uint64(8) {
		p := newPair(t, Harness{Opener: memory.New()}, Harness{Opener: memory.New()}, seed)
		p.drive(300)
		for code, n := range p.reached {
			reached[code] += n
		}
		refused += p.refusals
	}
	for code := store.Applied; code <= store.NoSuchWait; code++ {
		if reached[code] == 0 {
			t.Errorf("%s never came", codeName(code))
		}
	}
	if refused == 0 {
		t.Error("no batch was refused")
	}
	t.Logf("verdicts %v, %d batches refused", reached, refused)
}
