package plan_test

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
	"pgregory.net/rapid"
)

// drawTree is a workflow with every kind of node, policies and hard names.
func drawTree(t *rapid.T) *tree.Workflow {
	left := rapid.IntRange(1, 12).Draw(t, "nodes")
	id := 0
	var draw func(depth int) []*tree.Node
	draw = func(depth int) []*tree.Node {
		var list []*tree.Node
		for n := rapid.IntRange(1, 4).Draw(t, "siblings"); n > 0 && left > 0; n-- {
			left--
			id++
			node := drawNode(t, fmt.Sprint(rapid.SampledFrom([]string{"n", "n", "n", "c", "cc"}).Draw(t, "letter"), id), depth)
			switch node.Kind {
			case tree.Sequence, tree.Loop, tree.Each:
				if node.Body = draw(depth - 1); len(node.Body) == 0 {
					node.Body = []*tree.Node{step("last")}
				}
			case tree.Parallel:
				for i := range rapid.IntRange(1, 3).Draw(t, "lanes") {
					lane := draw(depth - 1)
					if len(lane) == 0 {
						lane = []*tree.Node{step("last")}
					}
					node.Cases = append(node.Cases, way(fmt.Sprint("lane", i), lane...))
				}
			case tree.Branch:
				for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"", "x", "y", "default", "é", "0"}), 1, 3, rapid.ID[string]).Draw(t, "keys") {
					node.Cases = append(node.Cases, way(key, draw(depth-1)...))
				}
				if node.Else = rapid.Bool().Draw(t, "else"); node.Else {
					node.Default = draw(depth - 1)
				}
			}
			list = append(list, node)
		}
		return list
	}
	return workflow(draw(4)...)
}

func drawNode(t *rapid.T, name string, depth int) *tree.Node {
	if depth > 0 {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return seq(name)
		case 1:
			return loop(name)
		case 2:
			return branch(name)
		case 3:
			n := parallel(name)
			n.Settle = rapid.Bool().Draw(t, "settle")
			n.Joins = n.Settle || rapid.Bool().Draw(t, "merge")
			return n
		case 4:
			n := each(name)
			n.Settle = rapid.Bool().Draw(t, "settle")
			n.Joins = n.Settle || rapid.Bool().Draw(t, "into")
			n.Concurrency = rapid.IntRange(0, 3).Draw(t, "concurrency")
			return n
		}
	}
	switch rapid.IntRange(0, 7).Draw(t, "leaf") {
	case 0:
		return decision(name)
	case 1:
		n := event(name)
		n.Kind = rapid.SampledFrom([]tree.Kind{tree.Input, tree.Event, tree.Pause, tree.Child}).Draw(t, "wait")
		return n
	}
	n := step(name)
	switch rapid.IntRange(0, 4).Draw(t, "policy") {
	case 0:
		n = once(name)
		n.Reconciles = rapid.Bool().Draw(t, "reconciles")
	case 1:
		n.Retry = nil
	case 2:
		n.Retry.MaxAttempts = 4
	}
	return n
}

// Bigger trees than the exhaustive test has, and much more that goes wrong,
// with a reload from bytes and a snapshot at any time. More cases with
// -rapid.checks=n or DURABLE_CHECKS=n.
func TestRT1_RT8_RT9_DF4_RandomRunsOfRandomTrees(t *testing.T) {
	moreChecks(t, 20_000)
	seen := make(map[string]bool)
	rapid.Check(t, func(t *rapid.T) {
		w := drawTree(t)
		x, err := newWorld(genuine(), limits{
			fail: 6, final: 1, snooze: 3, wait: 4, do: 4, crash: 7, stop: 2, passes: 4,
			items: 4, jumps: 4, late: 2, twice: rapid.IntRange(0, 1).Draw(t, "twice"), lost: rapid.IntRange(0, 1).Draw(t, "lost"), skip: 1,
			cancel: rapid.IntRange(0, 1).Draw(t, "cancels"),
		}, w)
		if err != nil {
			t.Fatal(err)
		}
		for n := rapid.IntRange(1, 150).Draw(t, "facts"); n > 0; n-- {
			more, err := x.step(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "what") })
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
			if rapid.IntRange(0, 9).Draw(t, "reload") == 0 {
				if err := x.reload(rapid.IntRange(0, len(x.rows)).Draw(t, "snapshot")); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := x.reload(len(x.rows)); err != nil {
			t.Fatal(err)
		}
		for k := range x.seen {
			seen[k] = true
		}
	})
	for _, k := range []string{"delayederror", "delayedsnooze", "delayedcrash", "delayedloss", "delayedasking", "failed", "handed", "cleared", "cancelled", "fired", "closed"} {
		if !seen[k] {
			t.Errorf("no run had a fact %s", k)
		}
	}
}

// moreChecks raises the number of random cases to n, unless -rapid.checks says
// how many, or to DURABLE_CHECKS.
func moreChecks(t *testing.T, n int) {
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() != checks.DefValue {
		return
	}
	text := strconv.Itoa(n)
	if s := os.Getenv("DURABLE_CHECKS"); s != "" {
		text = s
	}
	if err := checks.Value.Set(text); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(checks.DefValue) })
}

// Wrapping a node into a sequence of its own, and renaming, change paths only.
func TestWrappingANodeChangesPathsOnly(t *testing.T) {
	plain := workflow(step("a"), branch("b", way("x", step("c"))), step("d"))
	wrapped := workflow(seq("s", step("a")), branch("b", way("x", seq("s", seq("s", step("c"))))), step("d"))
	var counts [2]int
	for i, w := range []*tree.Workflow{plain, wrapped} {
		if err := exhaust(genuine(), limits{fail: 1, crash: 1}, w, 1, &counts[i], map[string]bool{}); err != nil {
			t.Fatal(err)
		}
	}
	if counts[0] != counts[1] {
		t.Errorf("%d runs, wrapped %d", counts[0], counts[1])
	}
}

// BenchmarkFact is the cost of one fact: folding it and planning anew, in a
// run that stands deep in a loop.
func BenchmarkFact(b *testing.B) {
	w := workflow(step("a"), seq("s", branch("b", way("x", loop("l", step("model"), step("tool"))))), step("z"))
	begin := func() *journal.History {
		h := journal.NewHistory()
		facts := []journal.Fact{
			{Kind: journal.Began, Data: []byte(`{"log":[],"text":"` + fmt.Sprintf("%4000d", 7) + `","n":0}`)},
			{Kind: journal.Done, Path: "a", Attempt: 1},
			{Kind: journal.Answered, Path: "s/b", Answer: &journal.Answer{Way: journal.WayCase, Case: "x"}},
		}
		if err := h.Apply(journal.Row{Seq: 1, Facts: facts}); err != nil {
			b.Fatal(err)
		}
		return h
	}
	h := begin()
	pass := 0
	fold := func(f journal.Fact) {
		if err := h.Fold(&f, 2); err != nil {
			b.Fatal(err)
		}
		if p := plan.Eval(w, h); p.Outcome != plan.Going {
			b.Fatal(written(p))
		}
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		switch n % 5 {
		case 0:
			fold(journal.Fact{Kind: journal.Answered, Path: "s/b[x]/l", Answer: &journal.Answer{Way: journal.WayAgain, Pass: pass}})
		case 1:
			fold(journal.Fact{Kind: journal.Tried, Path: fmt.Sprintf("s/b[x]/l[%d]/model", pass), Attempt: 1, Epoch: 1})
		case 2:
			fold(journal.Fact{Kind: journal.Done, Path: fmt.Sprintf("s/b[x]/l[%d]/model", pass), Attempt: 1, Data: []byte(`[["set","/n",1]]`)})
		case 3:
			fold(journal.Fact{Kind: journal.Tried, Path: fmt.Sprintf("s/b[x]/l[%d]/tool", pass), Attempt: 1, Epoch: 1})
		case 4:
			fold(journal.Fact{Kind: journal.Done, Path: fmt.Sprintf("s/b[x]/l[%d]/tool", pass), Attempt: 1, Data: []byte(`[["set","/n",2]]`)})
			pass++
		}
	}
}

// BenchmarkExecution is a whole run: two steps, two lanes of which one waits, three
// items, and a decision that goes back once. Every fact is folded and planned after.
func BenchmarkExecution(b *testing.B) {
	w := workflow(step("a"), parallel("p", way("x", step("s"), step("t")), way("y", event("e"))), each("i", step("one")), decision("d"), step("z"))
	tried := func(path string) journal.Fact {
		return journal.Fact{Kind: journal.Tried, Path: path, Attempt: 1, Epoch: 1}
	}
	done := func(path string) journal.Fact {
		return journal.Fact{Kind: journal.Done, Path: path, Attempt: 1, Data: []byte(`[["set","/n",1]]`)}
	}
	run := []journal.Fact{{Kind: journal.Began, Data: []byte(`{"n":0,"text":"some text"}`)}, tried("a"), done("a")}
	pass := func(last journal.Fact) {
		run = append(run, journal.Fact{Kind: journal.Answered, Path: "p", Answer: &journal.Answer{Way: journal.WayLanes, Items: 2}},
			tried("p[x]/s"), journal.Fact{Kind: journal.Waited, Path: "p[y]/e", Call: "event:x#1", Wait: &journal.Wait{ID: "w", Kind: "event"}},
			done("p[x]/s"), tried("p[x]/t"), done("p[x]/t"), journal.Fact{Kind: journal.Closed, Path: "p[x]"},
			journal.Fact{Kind: journal.Received, Path: "p[y]/e", Call: "event:x#1", Data: []byte("2")}, journal.Fact{Kind: journal.Done, Path: "p[y]/e"},
			journal.Fact{Kind: journal.Closed, Path: "p[y]"}, journal.Fact{Kind: journal.Done, Path: "p"},
			journal.Fact{Kind: journal.Answered, Path: "i", Answer: &journal.Answer{Way: journal.WayItems, Items: 3}, Data: []byte(`[{"n":1},{"n":2},{"n":3}]`)})
		for _, item := range []string{"i[0]", "i[1]", "i[2]"} {
			run = append(run, tried(item+"/one"), done(item+"/one"), journal.Fact{Kind: journal.Closed, Path: item})
		}
		run = append(run, journal.Fact{Kind: journal.Done, Path: "i"}, tried("d"), last)
	}
	back, on := done("d"), done("d")
	back.Answer = &journal.Answer{Way: journal.WayGoto, Case: "p", Drop: []string{"d", "i", "p"}}
	on.Answer = &journal.Answer{Way: journal.WayNext}
	pass(back)
	pass(on)
	run = append(run, tried("z"), done("z"))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		h := journal.NewHistory()
		var p plan.Plan
		for i := range run {
			if err := h.Fold(&run[i], 1); err != nil {
				b.Fatal(err)
			}
			p = plan.Eval(w, h)
		}
		if p.Outcome != plan.Completed {
			b.Fatal(written(p))
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "executions/s")
	b.ReportMetric(float64(n*len(run))/b.Elapsed().Seconds(), "facts/s")
}

// BenchmarkItem is the cost of one item of an Each over 1,000: three facts, and the
// plan after each, with so many begun and not ended.
func BenchmarkItem(b *testing.B) {
	for _, open := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint("open=", open), func(b *testing.B) {
			n := each("i", step("one"))
			w := workflow(n)
			list := "[" + strings.Repeat(`{"n":1},`, 999) + `{"n":1}]`
			fold := func(h *journal.History, f journal.Fact) {
				if err := h.Fold(&f, 1); err != nil {
					b.Fatal(err)
				}
				if p := plan.Eval(w, h); p.Outcome != plan.Going {
					b.Fatal(written(p))
				}
			}
			var h *journal.History
			i := 1000
			for b.Loop() {
				if i == 1000 {
					b.StopTimer()
					i, h = 0, journal.NewHistory()
					fold(h, journal.Fact{Kind: journal.Began, Data: []byte(`{}`)})
					fold(h, journal.Fact{Kind: journal.Answered, Path: "i", Answer: &journal.Answer{Way: journal.WayItems, Items: 1000}, Data: []byte(list)})
					for k := range open {
						fold(h, journal.Fact{Kind: journal.Tried, Path: fmt.Sprintf("i[%d]/one", k), Attempt: 1, Epoch: 1})
					}
					b.StartTimer()
				}
				fold(h, journal.Fact{Kind: journal.Done, Path: fmt.Sprintf("i[%d]/one", i), Attempt: 1})
				fold(h, journal.Fact{Kind: journal.Closed, Path: fmt.Sprintf("i[%d]", i)})
				if k := i + open; k < 1000 {
					fold(h, journal.Fact{Kind: journal.Tried, Path: fmt.Sprintf("i[%d]/one", k), Attempt: 1, Epoch: 1})
				}
				i++
			}
		})
	}
}
