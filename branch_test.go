package durable_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

type color string

type point struct{ X, Y int }

func TestBR1_OnlyTheEqualCase(t *testing.T) {
	w := durable.Define("w",
		durable.Branch("text", func(n *note) string { return n.Kind }).Case("", mark("t-empty")).Case("a", mark("t-a")).Default(mark("t-else")),
		durable.Branch("number", func(n *note) int { return n.N }).Case(0, mark("n-0")).Case(-1, mark("n-1")),
		durable.Branch("bool", func(n *note) bool { return n.N > 5 }).Case(true, mark("b-true")).Case(false, mark("b-false")),
		durable.Branch("named", func(n *note) color { return color(n.Kind) }).Case("a", mark("c-a")),
		durable.Branch("struct", func(n *note) point { return point{n.N, 0} }).Case(point{}, mark("p-0")).Case(point{7, 0}, mark("p-7")))
	onStores(t, serve(w), func(t *testing.T, e env) {
		zero := durabletest.Start(e.Engine, w, note{})
		wantTrace(t, zero.Done(), "t-empty", "n-0", "b-false", "p-0")
		wantTrace(t, durabletest.Start(e.Engine, w, note{Kind: "a", N: 7}).Done(), "t-a", "b-true", "c-a", "p-7")
		wantTrace(t, durabletest.Start(e.Engine, w, note{Kind: "*", N: -1}).Done(), "t-else", "n-1", "b-false")
		none := 0
		for _, f := range e.facts(t, zero.ID) {
			if f.Kind == journal.Answered && f.Answer.Way == journal.WayNone && f.Path == "named" {
				none++
			}
		}
		if none != 1 {
			t.Errorf("%d facts say that there was no case", none)
		}
	})
}

func TestBR2_AllNodesOfACase(t *testing.T) {
	w := durable.Define("w",
		durable.Branch("b", func(n *note) int { return n.N }).Case(0, mark("a"), mark("b"), mark("c")).Case(1).Default(mark("d")),
		mark("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		wantTrace(t, durabletest.Start(e.Engine, w, note{}).Done(), "a", "b", "c", "end")
		wantTrace(t, durabletest.Start(e.Engine, w, note{N: 1}).Done(), "end")
	})
}

func TestBR3_CrashInsideCase(t *testing.T) {
	define := func(extra bool) *durable.Workflow[note] {
		b := durable.Branch("b", func(n *note) string { return n.Kind })
		if extra {
			b.Case("new", mark("new"))
			b.Case("y", mark("y1"))
		}
		b.Case("x", mark("x1"), body("x2", func(ctx context.Context, n *note) error {
			info, _ := durable.Info(ctx)
			switch {
			case info.Crashes == 0:
				<-ctx.Done()
				return context.Cause(ctx)
			case info.Failures == 0:
				return errFlaky
			}
			if err := durable.Sleep(ctx, time.Hour); err != nil {
				return err
			}
			n.Trace = append(n.Trace, "x2")
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Minute}), mark("x3"))
		if !extra {
			b.Case("y", mark("y1"))
		}
		return durable.Define("w", mark("a"), b, mark("end"))
	}
	onStores(t, serve(define(false)), func(t *testing.T, e env) {
		w := define(false)
		run := durabletest.Start(e.Engine, w, note{Kind: "x"})
		synctest.Wait()
		e.Crash()
		e.Sleep(6*time.Hour + time.Second) // taken over, and in backoff
		e.Deploy(serve(define(true)))
		e.Sleep(10 * time.Minute) // asleep
		e.Deploy(serve(define(false)))
		wantTrace(t, run.Done(), "a", "x1", "x2", "x3", "end")
	})
}

func TestBR4_AskedOnce(t *testing.T) {
	var asked tally
	define := func(answer string) *durable.Workflow[note] {
		return durable.Define("w",
			durable.Branch("b", func(n *note) string {
				asked.add(answer)
				n.Kind = "scribbled" // dropped
				return answer
			}).Case("x", body("change", func(_ context.Context, n *note) error {
				n.Trace = append(n.Trace, "x", n.Kind)
				n.Kind = "y"
				return nil
			}), body("sleep", func(ctx context.Context, n *note) error { return durable.Sleep(ctx, time.Hour) }), mark("x3")).
				Case("y", mark("y")))
	}
	w := define("x")
	onStores(t, serve(w), func(t *testing.T, e env) {
		asked.reset()
		run := durabletest.Start(e.Engine, w, note{Kind: "x"})
		synctest.Wait()
		e.Deploy(serve(define("y")))
		wantTrace(t, run.Done(), "x", "x", "x3")
		if got := asked.all(); len(got) != 1 {
			t.Errorf("asked %q", got)
		}
	})
}

func TestBR5_PanicInTheQuestion(t *testing.T) {
	w := durable.Define("w", mark("a"),
		durable.Branch("b", func(n *note) string { return n.Trace[99] }).Case("x", mark("x")).Default(mark("d")))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		_, err := run.End()
		f := wantFailure(t, err, durable.Failed, "branch", "b")
		if !strings.Contains(f.Message, "index out of range") || !strings.Contains(f.Stack, "branch_test.go") {
			t.Errorf("failure %+v", f)
		}
	})
}

func TestBR6_BranchesAndWaitsInCases(t *testing.T) {
	w := durable.Define("w",
		durable.Branch("b", func(n *note) string { return n.Kind }).
			Case("x",
				durable.Branch("inner", func(n *note) int { return n.N }).
					Case(1, body("wait", func(ctx context.Context, n *note) error {
						v, err := durable.WaitForEvent[string](ctx, "go")
						n.Trace = append(n.Trace, v)
						return err
					})),
				mark("x2")),
		mark("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{Kind: "x", N: 1})
		run.Settle()
		e.Restart()
		run.Event("go", "went")
		wantTrace(t, run.Done(), "went", "x2", "end")
	})
}
