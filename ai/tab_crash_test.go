package ai

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// treeSpending is what the records of a run and of all below it say that they have spent, and whether something was cut off.
func treeSpending(t *testing.T, ctx context.Context, e *durable.Engine, id durable.ID) (s spending) {
	t.Helper()
	x, err := e.Execution(ctx, id, durable.WithCalls)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range gather(entriesOf(x)) {
		s = s.plus(r.spending())
	}
	for child, err := range e.EachExecution(ctx, durable.Filter{Parent: id}) {
		if err != nil {
			t.Fatal(err)
		}
		s = s.plus(treeSpending(t, ctx, e, child.ID))
	}
	return s
}

// AI-29: killed after each write in turn, what the counters of a run's budget hold is what the records of the run and of its children
// say: nothing is lost, nothing counts twice, and nothing stays reserved but for what was cut off.
func TestAI29_KilledAfterEveryWrite(t *testing.T) {
	p := &counted{answer: echoes}
	leaf := durable.Define("leaf", durable.Step("ask", func(ctx context.Context, k *int) error {
		for range 2 { // equal calls
			if _, err := GenerateText(ctx, "smart", "x", MaxTokens(100)); err != nil {
				return err
			}
		}
		return nil
	}))
	w := define(func(ctx context.Context, d *doc) error {
		if _, err := GenerateText(ctx, "smart", "mine", MaxTokens(100)); err != nil {
			return err
		}
		_, err := durable.Call(ctx, leaf, 1)
		return err
	})
	c := newClient(t, Config{Budgets: map[string]Budget{"w": {Tokens: 2000, Calls: 12}, "leaf": {Tokens: 1000}}}, p)
	onStores(t, WithClient(t.Context(), c), config(w, leaf), func(t *testing.T, e *durabletest.Engine) {
		cut := 0
		for n := 1; ; n++ {
			crashes := e.Crashes()
			e.CrashAfter(n)
			r := durabletest.Start(e, w, doc{}, durable.Key(fmt.Sprint(n)))
			r.Done()
			e.Sleep(time.Second)
			want := treeSpending(t, t.Context(), e.Engine, r.ID)
			cut += want.Calls - 3
			for part, n := range map[string]int64{"tokens": want.Tokens, "calls": int64(want.Calls)} {
				got, err := e.Counter(t.Context(), r.ID, "ai:"+part+":"+r.ID.String())
				if err != nil || got.All != n {
					t.Errorf("killed after write %d: the budget has counted %d %s, the records have %d, %v", n, got.All, part, n, err)
				}
			}
			if e.Crashes() == crashes {
				if n < 15 {
					t.Errorf("it took %d writes", n)
				}
				break
			}
		}
		if cut == 0 {
			t.Error("nothing was ever cut off")
		}
	})
}

// What a detached child spends after the end of the run that spawned it counts, too.
func TestAI29_Detached(t *testing.T) {
	p := &counted{answer: echoes}
	leaf := durable.Define("leaf", durable.Step("ask", func(ctx context.Context, k *int) error {
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		_, err := GenerateText(ctx, "smart", "x")
		return err
	}))
	w := define(func(ctx context.Context, d *doc) error {
		if _, err := GenerateText(ctx, "smart", "mine"); err != nil {
			return err
		}
		_, err := durable.Spawn(ctx, leaf, 1, durable.Detached())
		return err
	})
	c := newClient(t, Config{Budgets: map[string]Budget{"w": {Calls: 1, Fail: true}}}, p)
	onStores(t, WithClient(t.Context(), c), config(w, leaf), func(t *testing.T, e *durabletest.Engine) {
		before := p.count()
		r := durabletest.Start(e, w, doc{})
		r.Done()
		e.Sleep(10 * time.Minute)
		if _, err := e.Prune(t.Context(), durable.PruneOptions{OlderThan: time.Minute}); err != nil {
			t.Fatal(err)
		}
		e.Sleep(2 * time.Hour)
		if got := p.count() - before; got != 1 {
			t.Errorf("%d requests, and the budget is 1", got)
		}
	})
}
