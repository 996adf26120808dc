package durable_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

// decide is a decision that leaves a mark.
func decide(name string, fn func(n *note) durable.Choice) *durable.DecisionNode[note] {
	return durable.Decision(name, func(_ context.Context, n *note) (durable.Choice, error) {
		n.Trace = append(n.Trace, name)
		return fn(n), nil
	})
}

func TestDC1_GotoForwardsAndNext(t *testing.T) {
	w := durable.Define("w",
		mark("a"),
		decide("d", func(n *note) durable.Choice {
			if n.Kind == "jump" {
				return durable.Goto("c")
			}
			return durable.Next
		}).To("c"),
		mark("b"), mark("c"), mark("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{Kind: "jump"})
		wantTrace(t, run.Done(), "a", "d", "c", "end")
		goes := 0
		for _, f := range e.facts(t, run.ID) {
			if f.Path == "b" {
				t.Errorf("b has a record: %+v", f)
			}
			if f.Kind == journal.Done && f.Path == "d" && f.Answer.Way == journal.WayGoto && f.Answer.Case == "c" {
				goes++
			}
		}
		if goes != 1 {
			t.Errorf("the choice is recorded %d times", goes)
		}
		wantTrace(t, durabletest.Start(e.Engine, w, note{}).Done(), "a", "d", "b", "c", "end")
	})
}

func TestDC2_GotoBackwardsBeginsNewVisits(t *testing.T) {
	var keys tally
	w := durable.Define("w",
		mark("a"),
		body("b", func(ctx context.Context, n *note) error {
			info, _ := durable.Info(ctx)
			keys.add(fmt.Sprint("attempt ", info.Attempt))
			keys.add(info.IdempotencyKey)
			if info.Attempt < 2 { // each visit has a budget of its own
				return errFlaky
			}
			n.N++
			v, err := durable.Do(ctx, "do", func(context.Context) (int, error) { keys.add("do"); return n.N, nil })
			n.Trace = append(n.Trace, fmt.Sprint("b", v))
			return err
		}).Retry(durable.Retry{MaxAttempts: 2}),
		durable.Branch("br", func(n *note) bool { return n.N > 1 }).Case(true, mark("late")).Default(mark("early")),
		decide("again", func(n *note) durable.Choice {
			if n.N < 3 {
				return durable.Goto("b")
			}
			return durable.Next
		}),
		mark("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		keys.reset()
		wantTrace(t, durabletest.Start(e.Engine, w, note{}).Done(),
			"a", "b1", "early", "again", "b2", "late", "again", "b3", "late", "again", "end")
		seen := map[string]int{}
		for _, k := range keys.all() {
			seen[k]++
		}
		if len(seen) != 3+3 || seen["do"] != 3 || seen["attempt 1"] != 3 || seen["attempt 2"] != 3 {
			t.Errorf("three visits must have three keys, each for two attempts: %v", seen)
		}
	})
}

func TestDC2_TooManyJumps(t *testing.T) {
	var visits tally
	w := durable.Define("w",
		body("a", func(context.Context, *note) error { visits.add("a"); return nil }),
		decide("back", func(n *note) durable.Choice { n.Trace = nil; return durable.Goto("a") }))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		wantError(t, wantFailure(t, durabletest.Start(e.Engine, w, note{}).Fails(), durable.Failed, "loop_limit", "back"), nil, "1000 times", "Loop")
		if visits.of("a") != 1001 {
			t.Errorf("a ran %d times", visits.of("a"))
		}
	})
}

func TestDC3_BadTargets(t *testing.T) {
	w := durable.Define("w", mark("a"),
		decide("d", func(n *note) durable.Choice { return durable.Goto(n.Kind) }),
		durable.Branch("b", func(*note) int { return 0 }).Default(mark("inside")))
	narrow := durable.Define("narrow", mark("a"), decide("d", func(n *note) durable.Choice { return durable.Goto(n.Kind) }).To("b"), mark("b"))
	alone := durable.Define("alone", durable.Sequence("s", decide("d", func(n *note) durable.Choice { return durable.Goto(n.Kind) })))
	onStores(t, serve(w, narrow, alone), func(t *testing.T, e env) {
		for kind, want := range map[string]string{"": `goes to "", which is not beside it`, "nowhere": "there are: a, b", "inside": "not beside it", "d": "goes to itself"} {
			wantError(t, wantFailure(t, durabletest.Start(e.Engine, w, note{Kind: kind}).Fails(), durable.Failed, "decision", "d"), nil, `"d"`, want)
		}
		wantError(t, wantFailure(t, durabletest.Start(e.Engine, alone, note{Kind: "x"}).Fails(), durable.Failed, "decision", "s/d"), nil, `goes to "x", which is not beside it, nor is any other node`)
		wantError(t, wantFailure(t, durabletest.Start(e.Engine, narrow, note{}).Fails(), durable.Failed, "decision", "d"), nil, `goes to ""`)
		wantError(t, wantFailure(t, durabletest.Start(e.Engine, narrow, note{Kind: "a"}).Fails(), durable.Failed, "decision", "d"), nil, "To does not declare")
	})
	bad := durable.Define("bad", mark("a"), decide("d", func(*note) durable.Choice { return durable.Next }).To("x", "d", "a"))
	_, err := durable.Open(t.Context(), nil, serve(bad))
	wantError(t, err, nil, `goes to "x", which is not beside it; there are: a`, `goes to itself`)
}

func TestDC4_RetriesAndFailures(t *testing.T) {
	tries := func(retry bool) *durable.Workflow[note] {
		d := durable.Decision("d", func(ctx context.Context, n *note) (durable.Choice, error) {
			switch info, _ := durable.Info(ctx); {
			case info.Attempt == 1:
				return durable.Goto("c"), errFlaky
			case info.Attempt == 2:
				panic("no")
			}
			return durable.Next, nil
		})
		if retry {
			d.Retry(durable.Retry{MaxAttempts: 3}).Timeout(time.Minute).Queue("default")
		}
		return durable.Define(fmt.Sprint("w", retry), d, decide("d2", func(*note) durable.Choice { return durable.Goto("c") }), mark("b"), mark("c"))
	}
	with, without := tries(true), tries(false)
	onStores(t, serve(with, without), func(t *testing.T, e env) {
		wantTrace(t, durabletest.Start(e.Engine, with, note{}).Done(), "d2", "c")
		wantFailure(t, durabletest.Start(e.Engine, without, note{}).Fails(), durable.Failed, "error", "d")
	})
}

// Decisions in cases, lanes and passes reach their siblings there, whatever happens.
func TestBR6_DC_CrashAfterEveryCommit(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		step := func(name string) *durable.StepNode[board] {
			return durable.Step(name, func(_ context.Context, b *board) error {
				bodies.add(name)
				b.Trace = append(b.Trace, name)
				return nil
			})
		}
		decision := func(name string, goes func(b *board) bool, target string) *durable.DecisionNode[board] {
			return durable.Decision(name, func(ctx context.Context, b *board) (durable.Choice, error) {
				bodies.add(name)
				if err := durable.Sleep(ctx, unit/2); err != nil {
					return durable.Next, err
				}
				if b.A++; goes(b) {
					return durable.Goto(target), nil
				}
				return durable.Next, nil
			})
		}
		w := durable.Define("w",
			step("a"),
			durable.Loop("l", func(b *board) bool { return b.A < 3 },
				decision("skip", func(b *board) bool { return b.A == 1 }, "c"), step("b"), step("c")),
			durable.Parallel("p",
				durable.Sequence("lane", step("x"), decision("back", func(b *board) bool { return b.A < 5 }, "x"), step("y")),
				durable.Sequence("other", durable.Step("o", func(_ context.Context, b *board) error {
					bodies.add("o")
					b.B = "o"
					return nil
				}))),
			durable.Branch("way", func(b *board) bool { return b.A == 5 }).
				Case(true, step("t"), decision("on", func(*board) bool { return true }, "v"), step("u"), step("v")),
			step("end"))
		return &weather[board]{flow: w, bodies: &bodies, width: 2, end: func(b board, err error) error {
			want := fmt.Sprint([]string{"a", "c", "b", "c", "b", "c", "x", "x", "y", "t", "v", "end"})
			if err != nil || fmt.Sprint(b.Trace) != want || b.B != "o" || b.A != 6 {
				return fmt.Errorf("%+v, %w, want %s", b, err, want)
			}
			return nil
		}}
	})
}
