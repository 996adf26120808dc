package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
)

// planned is what planning and folding cost by themselves: every fact of an
// execution is folded and the plan made anew after it, from its begin to its end, as a
// worker does it. The trees and the facts are made before the clock runs, so what is
// measured is plan.Eval and journal's Fold, with the garbage that they leave.
func planned(ctx context.Context, b *bench, s *section) error {
	trees := pick(b.quick, 200, 2000)
	sizes := []struct {
		id       string
		low, top int
	}{{"", 4, 8}, {".large", 9, 16}}
	var competitors []func(context.Context) error
	for _, size := range sizes {
		list, err := executions(trees, size.low, size.top)
		if err != nil {
			return err
		}
		nodes, facts := 0, 0
		for _, x := range list {
			nodes += x.nodes
			facts += len(x.facts)
		}
		name := fmt.Sprintf("executions of trees of %d to %d nodes", size.low, size.top)
		rate := s.metric("executions"+size.id, name+", on one core", "executions/s")
		each := s.metric("fact"+size.id, "a fact of these: folded, and planned after", "µs")
		if size.id == "" {
			rate.must(atLeast(30_000))
		}
		s.note("%s: on average %.1f nodes and %.1f facts each, %d different ones.", upper(name), float64(nodes)/float64(len(list)), float64(facts)/float64(len(list)), len(list))
		competitors = append(competitors, func(ctx context.Context) error {
			n, took, err := replay(ctx, list, b.window())
			if err == nil {
				rate.add(float64(n) / took.Seconds())
				each.add(took.Seconds() * 1e6 / float64(n) / (float64(facts) / float64(len(list))))
			}
			return err
		})
	}
	s.note("A second is one of CPU, of this process on one core, its garbage collector included: what else the machine does does not count.")
	return b.round(ctx, competitors...)
}

// replay folds and plans executions for a while, one after the other, and tells how many and
// what CPU they took.
func replay(ctx context.Context, list []*execution, window time.Duration) (n int, cpu time.Duration, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	runtime.GC()
	began := cpuTime()
	for ctx.Err() == nil {
		for range 50 {
			x := list[n%len(list)]
			h := journal.NewHistory()
			var p plan.Plan
			for i := range x.facts {
				if err := h.Fold(&x.facts[i], 1); err != nil {
					return 0, 0, err
				}
				p = plan.Eval(x.tree, h)
			}
			if p.Outcome == plan.Going {
				return 0, 0, fmt.Errorf("an execution has not ended")
			}
			n++
		}
		if cpu = cpuTime() - began; cpu > window && n >= len(list) {
			return n, cpu, nil
		}
	}
	return 0, 0, context.Cause(ctx)
}

// executions makes executions of random trees of so many nodes, always the same.
func executions(n, low, top int) ([]*execution, error) {
	rng := rand.New(rand.NewPCG(1, uint64(low)))
	list := make([]*execution, n)
	for i := range list {
		t := grower{rng: rng, left: low + rng.IntN(top-low+1)}
		x := &execution{rng: rng, tree: t.workflow(), nodes: t.serial}
		if err := x.live(); err != nil {
			return nil, err
		}
		list[i] = x
	}
	return list, nil
}
