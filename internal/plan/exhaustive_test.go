package plan_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/tree"
)

// forests calls fn with all lists of nodes that have n nodes in all, over all
// kinds: Step, Decision, Event for the nodes that wait, Sequence, Branch (one case,
// with and without a default), Loop, Parallel (one lane, and two that are merged or
// settled) and Each (merged, settled, one at a time).
func forests(n int, fn func([]*tree.Node)) {
	id := 0
	name := func(letter string) string { id++; return fmt.Sprint(letter, id) }
	var lists func(n int, fn func([]*tree.Node))
	one := func(n int, fn func(*tree.Node)) {
		if n == 1 {
			fn(step(name("n")))
			fn(step(name("c"))) // writes what others like it write
			fn(decision(name("n")))
			fn(event(name("n")))
		} else {
			lists(n-1, func(body []*tree.Node) {
				fn(seq(name("n"), body...))
				fn(loop(name("n"), body...))
				fn(parallel(name("n"), way("x", body...)))
				fn(each(name("n"), body...))
				fn(settle(each(name("n"), body...)))
				one := each(name("n"), body...)
				one.Concurrency = 1
				fn(one)
			})
		}
		lists(n-1, func(body []*tree.Node) { fn(branch(name("n"), way("x", body...))) })
		for i := range n {
			lists(i, func(a []*tree.Node) {
				lists(n-1-i, func(b []*tree.Node) {
					fn(otherwise(branch(name("n"), way("x", a...)), b...))
					if len(a) > 0 && len(b) > 0 {
						fn(parallel(name("n"), way("x", a...), way("y", b...)))
						fn(settle(parallel(name("n"), way("x", a...), way("y", b...))))
					}
				})
			})
		}
	}
	lists = func(n int, fn func([]*tree.Node)) {
		if n == 0 {
			fn(nil)
			return
		}
		for i := 1; i <= n; i++ {
			one(i, func(first *tree.Node) {
				lists(n-i, func(rest []*tree.Node) { fn(append([]*tree.Node{first}, rest...)) })
			})
		}
	}
	lists(n, fn)
}

// exhaust looks at all that may happen in a tree; one in so many histories is read from its snapshot, besides all that end.
func exhaust(e engine, l limits, w *tree.Workflow, owners int, count *int, seen map[string]bool) error {
	x, err := newWorld(e, l, w)
	if err != nil {
		return err
	}
	x.tick = 0 // times tell orders apart that come to the same
	x.seen, x.owners = seen, owners
	known := make(map[digest]struct{})
	err = x.explore(400, known)
	*count += len(known)
	return err
}

// Every tree of up to four nodes, every order of what may happen: two
// attempts, passes and items, a crash, a late report, a wait, a snooze, a call, a stop, a
// cancel, a goto back, not all of them in one run, and the fewer the larger the tree. Of the
// larger trees only one in so many is looked at, unless DURABLE_EXHAUSTIVE is "all", which takes
// three to four hours of one core, or "2/64", one of the 64 parts of all, which take between two and six
// minutes each. With a number all of three nodes are, and one in so many of four. With any of these, only one in eight
// histories of trees of four nodes goes by way of its snapshot; without, all do.
func TestBR1_BR2_BR3_BR4_LP1_LP2_PA_EA_DC_EveryOrderInEveryTree(t *testing.T) {
	sizes := [][]limits{
		1: {
			{fail: 2, wait: 1, crash: 1, cancel: 1, passes: 2, skip: 1, lost: 1},
			{fail: 1, snooze: 1, do: 1, crash: 1, passes: 2, late: 1},
			{fail: 1, wait: 1, do: 1, stop: 1, final: 1},
		},
		2: {
			{fail: 1, wait: 1, passes: 2, items: 2, jumps: 1, skip: 1},
			{fail: 1, crash: 1, passes: 2, items: 2, jumps: 2, late: 1},
			{snooze: 1, crash: 1, cancel: 1, passes: 1, items: 1, jumps: 1, lost: 1},
			{twice: 1, final: 1, items: 2, passes: 1},
		},
		3: {
			{crash: 1, passes: 1, items: 1, jumps: 1, late: 1},
			{final: 1, passes: 2, items: 2, jumps: 1},
			{twice: 1, items: 2, passes: 1, skip: 1},
		},
		4: {{passes: 1, items: 2, jumps: 1}, {final: 1, crash: 1, passes: 1, items: 1}, {crash: 1, jumps: 1, late: 1, items: 1}},
	}
	every := []int{1: 1, 2: 1, 3: 9, 4: 997}
	owners := []int{1: 1, 2: 1, 3: 1, 4: 1}
	part := 0
	s := os.Getenv("DURABLE_EXHAUSTIVE")
	switch k, n, parts := strings.Cut(s, "/"); {
	case s == "":
	case s == "all":
		every = []int{1: 1, 2: 1, 3: 1, 4: 1}
	case parts:
		part = positive(t, k)
		every = []int{1: 1, 2: 1, 3: positive(t, n), 4: positive(t, n)}
	default:
		every = []int{1: 1, 2: 1, 3: 1, 4: positive(t, s)}
	}
	if s != "" {
		owners[4] = 8
	}
	trees, states := 0, 0
	seen := make(map[string]bool)
	for n := 1; n < len(sizes); n++ {
		forests(n, func(nodes []*tree.Node) {
			if trees++; trees%every[n] != part%every[n] { // part n of n is 0
				return
			}
			for _, l := range sizes[n] {
				if err := exhaust(genuine(), l, workflow(nodes...), owners[n], &states, seen); err != nil {
					t.Fatal(err)
				}
			}
		})
		t.Logf("up to %d nodes: %d trees, %d histories", n, trees, states)
	}
	for _, k := range []string{"tried", "done", "delayederror", "delayedsnooze", "delayedcrash", "failed", "answered", "called", "waited", "received", "fired", "handed", "cancelled", "closed"} {
		if !seen[k] {
			t.Errorf("no run had a fact %s", k)
		}
	}
}

func positive(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("DURABLE_EXHAUSTIVE: %q is no number; say all, 997 or 2/8", s)
	}
	return n
}

// All that may happen to a step that must not run twice.
func TestRS12_RS13_EveryOrderInDoubt(t *testing.T) {
	seen := make(map[string]bool)
	histories := 0
	for _, reconciles := range []bool{false, true} {
		n := once("pay")
		n.Reconciles = reconciles
		for _, l := range []limits{{fail: 1, crash: 1}, {stop: 1, crash: 1}, {cancel: 1, crash: 1, snooze: 1}} {
			if err := exhaust(genuine(), l, workflow(n), 1, &histories, seen); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d histories", histories)
	for _, k := range []string{"delayedloss", "delayedcrash", "delayedasking", "handed", "cleared", "waited", "received"} {
		if !seen[k] {
			t.Errorf("no run had a fact %s", k)
		}
	}
}
