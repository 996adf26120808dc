package durable_test

import (
	"context"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

// eventsAndPauses is a workflow of wait nodes; unit is how long a pause takes.
func eventsAndPauses(bodies *tally, unit time.Duration) *durable.Workflow[board] {
	step := func(name string) *durable.StepNode[board] {
		return set(name, func(*board) { bodies.add(name) })
	}
	return durable.Define("w",
		step("a"),
		durable.Event("approved", func(b *board, n int) { b.A = n }),
		durable.Pause("cool", func(b *board) time.Duration { return time.Duration(b.A) * unit }),
		durable.Parallel("p",
			durable.Event("left", func(b *board, s string) { b.B = s }).Named("word"),
			durable.Pause("right", func(*board) time.Duration { return unit })),
		durable.Loop("l", func(b *board) bool { return len(b.C) < 2 },
			durable.Event("more", func(b *board, n int) { b.C = append(b.C, n) }).Timeout(unit).OnTimeout(7)),
		step("end"))
}

func TestWN1_EventAndPause(t *testing.T) {
	var bodies tally
	w := eventsAndPauses(&bodies, time.Minute)
	onStores(t, serve(w), func(t *testing.T, e env) {
		begun := time.Now()
		run := durabletest.Start(e.Engine, w, board{})
		run.Event("word", "hello") // before it is waited for
		run.Event("approved", 3)
		got := run.Done()
		if got.A != 3 || got.B != "hello" || len(got.C) != 2 || got.C[1] != 7 {
			t.Errorf("%+v", got)
		}
		if took := time.Since(begun); took < 5*time.Minute || took > 7*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestWN1_EventAndPauseCrashAfterEveryCommit(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		return &weather[board]{
			flow: eventsAndPauses(&bodies, unit), bodies: &bodies, width: 1, cues: []cue{send("approved", 3), send("word", "hello")},
			end: func(b board, err error) error { return wantBoard(b, err, `{"a":3,"b":"hello","c":[7,7]}`) },
		}
	})
}

func TestWN2_When(t *testing.T) {
	var asked tally
	w := durable.Define("w",
		durable.Event("go", func(b *board, n int) { b.A = n }).When(func(b *board) bool { asked.add("go"); return b.In == 1 }),
		durable.Pause("rest", func(*board) time.Duration { return time.Hour }).When(func(b *board) bool { asked.add("rest"); return b.In == 1 }),
		set("end", func(b *board) { b.B = "end" }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		asked.reset()
		run := durabletest.Start(e.Engine, w, board{})
		if got := run.Done(); got.B != "end" || asked.of("go") != 1 || asked.of("rest") != 1 {
			t.Errorf("%+v, asked %q", got, asked.all())
		}
		skipped := 0
		for _, f := range e.facts(t, run.ID) {
			if f.Kind == journal.Answered && f.Answer.Way == journal.WaySkip {
				skipped++
			}
		}
		if skipped != 2 {
			t.Errorf("%d are recorded as passed by", skipped)
		}
		other := durabletest.Start(e.Engine, w, board{In: 1})
		other.Event("go", 4)
		if got := other.Done(); got.A != 4 {
			t.Errorf("%+v", got)
		}
	})
}

func TestWN3_EndsThatFail(t *testing.T) {
	w := durable.Define("w", durable.Branch("b", func(b *board) int { return b.In }).
		Case(0, durable.Event("late", func(*board, int) {}).Timeout(time.Minute)).
		Case(1, durable.Event("panics", func(*board, int) { panic("no") })).
		Case(2, durable.Pause("pause", func(*board) time.Duration { panic("no") })).
		Case(3, durable.Event("typed", func(*board, int) {})).
		Case(4, durable.Pause("when", func(*board) time.Duration { return 0 }).When(func(*board) bool { panic("no") })))
	onStores(t, serve(w), func(t *testing.T, e env) {
		for in, c := range []struct {
			event         string
			payload       any
			code, path, x string
		}{
			{"", nil, "wait_timeout", "b[0]/late", "timed out"},
			{"panics", 1, "panic", "b[1]/panics", "no"},
			{"", nil, "panic", "b[2]/pause", "no"},
			{"typed", "text", "payload", "b[3]/typed", "string"},
			{"", nil, "panic", "b[4]/when", "no"},
		} {
			run := durabletest.Start(e.Engine, w, board{In: in})
			if c.event != "" {
				run.Event(c.event, c.payload)
			}
			wantError(t, wantFailure(t, run.Fails(), durable.Failed, c.code, c.path), nil, c.x)
		}
	})
}

// A node and a body that wait for one name are two waits.
func TestWN4_NodesAndCallsMix(t *testing.T) {
	w := durable.Define("w", durable.Parallel("p",
		durable.Event("e", func(b *board, n int) { b.A = n }),
		durable.Step("s", func(ctx context.Context, b *board) (err error) {
			if err = durable.Sleep(ctx, time.Second); err != nil {
				return err
			}
			n, err := durable.WaitForEvent[int](ctx, "e")
			b.D = map[string]int{"e": n}
			return err
		})))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(time.Minute)
		run.Event("e", 1)
		run.Event("e", 2)
		if got := run.Done(); got.A != 1 || got.D["e"] != 2 {
			t.Errorf("the wait that opened first gets the first: %+v", got)
		}
	})
	bad := durable.Define("bad", durable.Event("x", func(*board, int) {}).OnTimeout(1).Named("a\nb"), durable.Pause[board]("y", nil).When(nil))
	_, err := durable.Open(t.Context(), nil, serve(bad))
	wantError(t, err, nil, "x: OnTimeout without Timeout", "x: Named", "y: the function is nil", "y: When: the function is nil")
}
