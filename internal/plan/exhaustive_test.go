package plan_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/durable-go/durable/internal/tree"
)

// odometer counts through all choices of a run: each call of choose is a digit
// of its own radix.
type odometer struct {
	digits, radix []int
	at            int
}

func (o *odometer) choose(n int) int {
	if o.at == len(o.digits) {
		o.digits, o.radix = append(o.digits, 0), append(o.radix, n)
	}
	o.radix[o.at] = n
	o.at++
	return o.digits[o.at-1]
}

// next goes to the next run; false means that all have been.
func (o *odometer) next() bool {
	o.at = 0
	for i := len(o.digits) - 1; i >= 0; i-- {
		if o.digits[i]++; o.digits[i] < o.radix[i] {
			o.digits, o.radix = o.digits[:i+1], o.radix[:i+1]
			return true
		}
	}
	return false
}

// forests calls fn with all lists of nodes that have n nodes in all, over
// Step, Sequence, Branch (one case, with and without a default) and Loop.
func forests(n int, fn func([]*tree.Node)) {
	id := 0
	name := func() string { id++; return fmt.Sprint("n", id) }
	var lists func(n int, fn func([]*tree.Node))
	one := func(n int, fn func(*tree.Node)) {
		if n == 1 {
			fn(step(name()))
		} else {
			lists(n-1, func(body []*tree.Node) { fn(seq(name(), body...)) })
			lists(n-1, func(body []*tree.Node) { fn(loop(name(), body...)) })
		}
		lists(n-1, func(body []*tree.Node) { fn(branch(name(), way("x", body...))) })
		for i := range n {
			lists(i, func(a []*tree.Node) {
				lists(n-1-i, func(b []*tree.Node) { fn(otherwise(branch(name(), way("x", a...)), b...)) })
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

// exhaust runs all orders of legal facts of a tree.
func exhaust(e engine, l limits, w *tree.Workflow, most int, count *int, seen map[string]bool) error {
	var o odometer
	for {
		x, err := newWorld(e, l, w)
		if err == nil {
			err = x.run(most, o.choose)
		}
		if err != nil {
			return err
		}
		*count++
		for k := range x.seen {
			seen[k] = true
		}
		if !o.next() {
			return nil
		}
	}
}

// Every tree of up to four nodes, every order of what may happen: two
// attempts, two passes, a crash, a wait, a snooze, a call, a stop and a cancel,
// not all of them in one run, and the fewer the larger the tree. With
// DURABLE_EXHAUSTIVE=all larger trees get as much as smaller ones, which takes
// long.
func TestBR1_BR2_BR3_BR4_LP1_LP2_EveryOrderInEveryTree(t *testing.T) {
	sizes := [][]limits{
		1: {
			{fail: 2, wait: 1, crash: 1, cancel: 1, passes: 2},
			{fail: 1, snooze: 1, do: 1, crash: 1, passes: 2},
			{fail: 1, wait: 1, do: 1, stop: 1, final: 1},
		},
		2: {{fail: 1, wait: 1, passes: 2}, {fail: 1, crash: 1, passes: 2}, {snooze: 1, crash: 1, cancel: 1, passes: 1}},
		3: {{fail: 1, crash: 1, passes: 1}, {wait: 1, passes: 2}, {crash: 1, passes: 2}},
		4: {{crash: 1, passes: 1}},
	}
	if os.Getenv("DURABLE_EXHAUSTIVE") == "all" {
		copy(sizes[2:], sizes[1:])
	}
	trees, runs := 0, 0
	seen := make(map[string]bool)
	for n := 1; n < len(sizes); n++ {
		forests(n, func(nodes []*tree.Node) {
			trees++
			for _, l := range sizes[n] {
				if err := exhaust(genuine(), l, workflow(nodes...), 400, &runs, seen); err != nil {
					t.Fatal(err)
				}
			}
		})
		t.Logf("up to %d nodes: %d trees, %d runs", n, trees, runs)
	}
	for _, k := range []string{"tried", "done", "delayederror", "delayedsnooze", "delayedcrash", "failed", "answered", "called", "waited", "received", "fired", "handed", "cancelled"} {
		if !seen[k] {
			t.Errorf("no run had a fact %s", k)
		}
	}
}

// All that may happen to a step that must not run twice.
func TestRS12_RS13_EveryOrderInDoubt(t *testing.T) {
	seen := make(map[string]bool)
	runs := 0
	for _, reconciles := range []bool{false, true} {
		n := once("pay")
		n.Reconciles = reconciles
		for _, l := range []limits{{fail: 1, crash: 1}, {stop: 1, crash: 1}, {cancel: 1, crash: 1, snooze: 1}} {
			if err := exhaust(genuine(), l, workflow(n), 400, &runs, seen); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d runs", runs)
	for _, k := range []string{"delayedloss", "delayedcrash", "delayedasking", "handed", "cleared", "waited", "received"} {
		if !seen[k] {
			t.Errorf("no run had a fact %s", k)
		}
	}
}
