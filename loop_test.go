package durable_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// turn is a step that counts passes in n.N.
func turn() *durable.StepNode[note] {
	return body("turn", func(_ context.Context, n *note) error {
		n.N++
		return nil
	})
}

func TestLP1_PassesAndPaths(t *testing.T) {
	w := durable.Define("w", durable.Loop("l", func(n *note) bool { return n.N < 3 }, mark("a"), turn()), mark("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		wantTrace(t, durabletest.Start(e.Engine, w, note{N: 9}).Done(), "end")
		run := durabletest.Start(e.Engine, w, note{})
		wantTrace(t, run.Done(), "a", "a", "a", "end")
		want := []string{"l[0]/a 1 done", "l[0]/turn 1 done", "l[1]/a 1 done", "l[1]/turn 1 done", "l[2]/a 1 done", "l[2]/turn 1 done", "end 1 done"}
		x := run.Look()
		if got := steps(x); !slices.Equal(got, want) {
			t.Errorf("steps %q, want %q", got, want)
		}
		var answers []string
		for _, s := range x.Steps {
			if s.Kind == "loop" {
				answers = append(answers, s.Answer)
			}
		}
		if !slices.Equal(answers, []string{"again", "again", "again", "leave"}) {
			t.Errorf("answers %q", answers)
		}
	})
}

func TestLP2_CrashAndWaitInAPass(t *testing.T) {
	var bodies tally
	w := durable.Define("w", durable.Loop("l", func(n *note) bool { return n.N < 3 },
		body("a", func(ctx context.Context, n *note) error {
			bodies.add("a" + string(rune('0'+n.N)))
			if info, _ := durable.Info(ctx); n.N == 1 && info.Crashes == 0 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}),
		body("b", func(ctx context.Context, n *note) error {
			if n.N < 2 {
				return nil
			}
			return durable.Sleep(ctx, time.Hour)
		}),
		turn()))
	onStores(t, serve(w), func(t *testing.T, e env) {
		bodies.reset()
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		e.Crash()
		e.Sleep(6*time.Hour + time.Minute)
		e.Restart() // in the sleep of pass 2
		if got := run.Done(); got.N != 3 {
			t.Errorf("%d passes", got.N)
		}
		if got := bodies.all(); !slices.Equal(got, []string{"a0", "a1", "a1", "a2"}) {
			t.Errorf("bodies %q", got)
		}
	})
}

func TestLP3_Limits(t *testing.T) {
	three := durable.Define("three", durable.Loop("l", func(*note) bool { return true }, turn()).Max(3))
	exact := durable.Define("exact", durable.Loop("l", func(n *note) bool { return n.N < 3 }, turn()).Max(3))
	plain := durable.Define("plain", durable.Loop("l", func(*note) bool { return true }, turn()))
	panics := durable.Define("panics", durable.Loop("l", func(n *note) bool { return n.Trace[9] == "" }, turn()))
	inMemory(t, serve(three, exact, plain, panics), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, three, note{})
		_, err := run.End()
		wantFailure(t, err, durable.Failed, "loop_limit", "l")
		if x := run.Look(); string(x.State) != `{"n":3}` {
			t.Errorf("state %s", x.State)
		}
		durabletest.Start(e.Engine, exact, note{}).Done()
		long := durabletest.Start(e.Engine, plain, note{})
		_, err = long.End()
		wantFailure(t, err, durable.Failed, "loop_limit", "l")
		if x := long.Look(); string(x.State) != `{"n":1000}` || len(steps(x)) != 1000 {
			t.Errorf("state %s, %d steps", x.State, len(steps(x)))
		}
		_, err = durabletest.Start(e.Engine, panics, note{}).End()
		f := wantFailure(t, err, durable.Failed, "loop", "l")
		if !strings.Contains(f.Message, "index out of range") {
			t.Errorf("failure %+v", f)
		}
	})
}

func TestLP4_DeployInAPass(t *testing.T) {
	pause := body("pause", func(ctx context.Context, n *note) error {
		if n.N == 1 {
			return durable.Sleep(ctx, time.Hour)
		}
		return nil
	})
	again := func(n *note) bool { return n.N < 3 }
	old := durable.Define("w", durable.Loop("l", again, mark("a"), pause, turn()))
	added := durable.Define("w", durable.Loop("l", again, mark("before"), mark("a"), pause, mark("after"), turn()))
	onStores(t, serve(old), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, old, note{})
		synctest.Wait()
		e.Deploy(serve(added))
		wantTrace(t, run.Done(), "a", "a", "after", "before", "a", "after")
	})
}
