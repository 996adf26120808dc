package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

func TestRS1_OneDoneFactThenWhatFollows(t *testing.T) {
	w := durable.Define("w", mark("a"), mark("b"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		wantTrace(t, run.Done(), "a", "b")
		var got []string
		for _, f := range e.facts(t, run.ID) {
			got = append(got, fmt.Sprintf("%s %s %d", f.Kind, f.Path, f.Attempt))
			if f.Kind == journal.Done && (f.At == 0 || len(f.Data) == 0) {
				t.Errorf("a done fact without time or change: %+v", f)
			}
		}
		want := []string{"began  0", "tried a 1", "done a 1", "tried b 1", "done b 1"}
		if !slices.Equal(got, want) {
			t.Errorf("facts %q, want %q", got, want)
		}
	})
}

func TestRS2_ErrorsAndPanicsAreReadable(t *testing.T) {
	inner := errors.New("connection refused")
	failing := durable.Define("failing", body("call", func(context.Context, *note) error {
		return fmt.Errorf("calling the bank: %w", inner)
	}))
	panicking := durable.Define("panicking", body("boom", func(context.Context, *note) error {
		var m map[string]int
		set := func(m map[string]int) { m["x"] = 1 }
		set(m)
		return nil
	}))
	cfg := serve(failing, panicking)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 1}}
	inMemory(t, cfg, func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, failing, note{})
		_, err := run.End()
		f := wantFailure(t, err, durable.Failed, "error", "call")
		if f.Message != "calling the bank: connection refused" || !slices.Equal(f.Chain, []string{"connection refused"}) {
			t.Errorf("failure %+v", f)
		}
		if s := run.Look().Steps[0]; s.Error == nil || s.Error.Message != f.Message {
			t.Errorf("the step's error is %+v", s.Error)
		}
		_, err = durabletest.Start(e.Engine, panicking, note{}).End()
		f = wantFailure(t, err, durable.Failed, "panic", "boom")
		if !strings.Contains(f.Message, "assignment to entry in nil map") || !strings.Contains(f.Stack, "step_test.go") {
			t.Errorf("failure %+v", f)
		}
		durabletest.Start(e.Engine, failing, note{}).Fails() // the only slot is free again
	})
}

func TestRS3_GoexitIsAFailedAttempt(t *testing.T) {
	w := durable.Define("w", body("leave", func(context.Context, *note) error {
		runtime.Goexit()
		return nil
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		_, err := durabletest.Start(e.Engine, w, note{}).End()
		f := wantFailure(t, err, durable.Failed, "error", "leave")
		if !strings.Contains(f.Message, "without returning") {
			t.Errorf("message %q", f.Message)
		}
	})
}

type nasty struct{}

func (nasty) Error() string { panic("no text") }

type wraps struct{ error }

func (wraps) Unwrap() error { return nil }

func TestRS4_RecordingAFailureCannotFail(t *testing.T) {
	cases := map[string]error{
		"huge":      errors.New(strings.Repeat("é", 5<<20)),
		"not UTF-8": errors.New("bad \xff\xfe text"),
		"panics":    nasty{},
		"nil in it": wraps{errors.New("outside")},
		"joined":    errors.Join(errors.New("one"), nasty{}, errors.New("two")),
		"typed nil": (*durable.RunError)(nil),
		"deep":      deep(1000),
		"panics in": fmt.Errorf("x: %w", wraps{nasty{}}),
	}
	w := durable.Define("w", body("s", func(_ context.Context, n *note) error { return cases[n.Kind] }))
	panics := durable.Define("panics", body("s", func(_ context.Context, n *note) error { panic(cases[n.Kind]) }))
	inMemory(t, serve(w, panics), func(t *testing.T, e env) {
		for name := range cases {
			for _, w := range []*durable.Workflow[note]{w, panics} {
				run := durabletest.Start(e.Engine, w, note{Kind: name})
				end := run.Fails()
				if c := end.Cause; c.Message == "" || len(c.Message) > 64<<10 || !utf8.ValidString(c.Message) {
					t.Errorf("%s: %s: a message of %d bytes, %.100q", w.Name(), name, len(c.Message), c.Message)
				}
				if run.Look().Steps[0].Error == nil {
					t.Errorf("%s: %s: the step has no error", w.Name(), name)
				}
			}
		}
	})
}

func deep(n int) error {
	err := errors.New("bottom")
	for range n {
		err = fmt.Errorf("w: %w", err)
	}
	return err
}

type loose struct {
	Any any     `json:"any,omitempty"`
	F   float64 `json:"f,omitempty"`
	N   int     `json:"n,omitempty"`
	M   *moody  `json:"m,omitempty"`
}

type moody struct{}

func (*moody) MarshalJSON() ([]byte, error) { return nil, errors.New("not today") }
func (*moody) UnmarshalJSON([]byte) error   { return nil }

type ring struct {
	Next *ring `json:"next,omitempty"`
	N    int   `json:"n,omitempty"`
}

func TestRS5_StatesThatCannotBeKept(t *testing.T) {
	retry := durable.Retry{MaxAttempts: 3, Base: time.Second}
	bodies := tally{}
	states := durable.Define("states", durable.Step("s", func(ctx context.Context, l *loose) error {
		bodies.add("s")
		l.N++
		switch info, _ := durable.Info(ctx); l.Any {
		case "nan":
			l.F = math.NaN()
		case "channel":
			l.Any = make(chan int)
		case "moody":
			l.M = &moody{}
		case "deep":
			var v any
			for range 100 {
				v = []any{v}
			}
			l.Any = v
		case "do":
			_, err := durable.Do(ctx, "nan", func(context.Context) (float64, error) { return math.Inf(1), nil })
			return err
		case "large":
			l.Any = strings.Repeat("x", 1<<20)
		default:
			_ = info
		}
		return nil
	}).Retry(retry))
	rings := durable.Define("rings", durable.Step("s", func(_ context.Context, r *ring) error {
		r.Next = r
		return nil
	}).Retry(retry))
	inMemory(t, serve(states, rings), func(t *testing.T, e env) {
		for kind, want := range map[string][2]string{
			"nan": {"encode", "NaN"}, "channel": {"encode", "chan int"}, "moody": {"encode", "not today"}, "deep": {"too_large", "deeper than 64"},
			"do": {"encode", "nan"}, "large": {"too_large", "1048576"},
		} {
			bodies.reset()
			run := durabletest.Start(e.Engine, states, loose{Any: kind})
			_, err := run.End()
			f := wantFailure(t, err, durable.Failed, want[0], "s")
			if !strings.Contains(f.Message, want[1]) {
				t.Errorf("%s: %q does not say %q", kind, f.Message, want[1])
			}
			if len(bodies.all()) != 1 {
				t.Errorf("%s: tried %d times", kind, len(bodies.all()))
			}
			if x := run.Look(); string(x.State) != `{"any":"`+kind+`"}` {
				t.Errorf("%s: the state is %s", kind, x.State)
			}
		}
		_, err := durabletest.Start(e.Engine, rings, ring{}).End()
		wantFailure(t, err, durable.Failed, "encode", "s")
	})
}

// RS-6 but for lanes.
func TestStep_FailedAttemptsLeaveNoTrace(t *testing.T) {
	cfg := func(w durable.Definition) durable.Config {
		c := serve(w)
		c.Lease = 10 * time.Second
		return c
	}
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		if len(n.Trace) > 1 || n.N != 0 {
			return durable.Permanent(fmt.Errorf("a trace is left: %+v", *n))
		}
		n.Trace = append(n.Trace, "again")
		n.N = 7
		info, _ := durable.Info(ctx)
		if _, err := durable.Do(ctx, "paid", func(context.Context) (int, error) { return info.Attempt, nil }); err != nil {
			return err
		}
		switch {
		case info.Crashes == 0:
			<-ctx.Done()
			return context.Cause(ctx)
		case info.Failures == 0:
			return errors.New("failed")
		case info.Failures == 1:
			return rest(ctx, time.Hour) // times out
		}
		paid, err := durable.Do(ctx, "paid again", func(context.Context) (int, error) { return info.Attempt, nil })
		n.N = paid
		return err
	}).Retry(durable.Retry{MaxAttempts: 5}).Timeout(time.Minute))
	onStores(t, cfg(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{Trace: []string{"first"}})
		synctest.Wait()
		e.Crash()
		got := run.Done()
		wantTrace(t, got, "first", "again")
		if got.N != 4 {
			t.Errorf("done in attempt %d, want 4: crashed, failed, timed out, done", got.N)
		}
	})
}

// RS-7 but for what doctor lists.
func TestStep_Timeout(t *testing.T) {
	var causes tally
	w := durable.Define("w", body("slow", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		if err := durable.Sleep(ctx, time.Hour); err != nil { // suspended time does not count
			return err
		}
		if info.Failures < n.N {
			err := rest(ctx, time.Hour)
			causes.add(fmt.Sprint(errors.Is(err, durable.ErrStepTimeout)))
			return err
		}
		return nil
	}).Timeout(time.Minute).Retry(durable.Retry{MaxAttempts: 2, Base: time.Second, Backoff: durable.Constant, Jitter: durable.NoJitter}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		began := time.Now()
		durabletest.Start(e.Engine, w, note{N: 1}).Done()
		if d, want := time.Since(began), time.Hour+time.Minute+time.Second; d < want || d > want+time.Second {
			t.Errorf("it took %s, want %s", d, want)
		}
		_, err := durabletest.Start(e.Engine, w, note{N: 9}).End()
		wantFailure(t, err, durable.Failed, "step_timeout", "slow")
		if got := causes.all(); !slices.Equal(got, []string{"true", "true", "true"}) {
			t.Errorf("causes %q", got)
		}
	})
}

// A body that ignores the end of its context keeps its slot; no other attempt
// begins beside it, and what it returns is dropped.
func TestStep_BodyThatIgnoresItsContext(t *testing.T) {
	deaf := make(chan struct{})
	var bodies tally
	w := durable.Define("w", body("deaf", func(_ context.Context, n *note) error {
		bodies.add("begun")
		if len(bodies.all()) == 1 {
			<-deaf
			n.Kind = "too late"
		}
		return nil
	}).Timeout(time.Minute).Retry(durable.Retry{MaxAttempts: 2}))
	other := durable.Define("other", mark("a"))
	cfg := serve(w, other)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 2}}
	inMemory(t, cfg, func(t *testing.T, e env) {
		deaf = make(chan struct{})
		run := durabletest.Start(e.Engine, w, note{})
		e.Sleep(10 * time.Minute)
		durabletest.Start(e.Engine, other, note{}).Done()
		if n := len(bodies.all()); n != 1 {
			t.Fatalf("%d bodies while the first still runs", n)
		}
		if s := run.Look().Steps[0]; s.Status != "running" {
			t.Errorf("the step is %s", s.Status)
		}
		close(deaf)
		if got := run.Done(); got.Kind != "" {
			t.Errorf("the late result counts: %+v", got)
		}
		if got := steps(run.Look()); !slices.Equal(got, []string{"deaf 1 retrying", "deaf 2 done"}) {
			t.Errorf("steps %q", got)
		}
	})
}

func TestRS10_CancelRunAndIdempotencyKeys(t *testing.T) {
	var keys tally
	w := durable.Define("w",
		durable.Loop("l", func(n *note) bool { return n.N < 2 },
			body("s", func(ctx context.Context, n *note) error {
				info, ok := durable.Info(ctx)
				if !ok || info.Workflow != "w" || info.Path != fmt.Sprintf("l[%d]/s", n.N) {
					return durable.Permanent(fmt.Errorf("info %+v, %t", info, ok))
				}
				keys.add(info.IdempotencyKey)
				if info.Attempt == 1 {
					return errors.New("again")
				}
				n.N++
				return nil
			}).Retry(durable.Retry{MaxAttempts: 2})),
		body("stop", func(context.Context, *note) error { return fmt.Errorf("because %w", durable.CancelRun("enough")) }),
		mark("never"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		keys.reset()
		run := durabletest.Start(e.Engine, w, note{})
		_, err := run.End()
		var end *durable.RunError
		if !errors.As(err, &end) || end.Status != durable.Cancelled || end.Cause.Code != "cancelled" || end.Cause.Message != "enough" {
			t.Fatalf("ended with %v", err)
		}
		durabletest.Start(e.Engine, w, note{}).End()
		k := keys.all()
		if len(k) != 8 || k[0] == "" {
			t.Fatalf("keys %q", k)
		}
		for i := range k {
			for j := range k {
				if same := i/2 == j/2; (k[i] == k[j]) != same {
					t.Errorf("keys of bodies %d and %d: %s and %s", i, j, k[i], k[j])
				}
			}
		}
	})
}

func TestRS12_AtMostOnceBeginsOnce(t *testing.T) {
	var bodies tally
	w := durable.Define("w", body("pay", func(ctx context.Context, n *note) error {
		bodies.add("pay")
		if n.Kind == "wait" {
			return durable.Sleep(ctx, time.Hour)
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}).AtMostOnce().Timeout(5*time.Minute), mark("after"))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		for kind, fault := range map[string]func(){
			"crash": e.Crash, "stop": e.Restart, "timeout": func() { e.Sleep(6 * time.Minute) },
		} {
			bodies.reset()
			run := durabletest.Start(e.Engine, w, note{Kind: kind})
			synctest.Wait()
			fault()
			run.Settle()
			if got := run.Waits(); !slices.Equal(got, []string{"in_doubt"}) {
				t.Errorf("after a %s it waits for %q", kind, got)
				continue
			}
			err := e.ProvideInput(context.Background(), run.ID, "in_doubt", map[string]string{"outcome": "perhaps"})
			wantError(t, err, durable.ErrInvalid, `"perhaps"`, `"done"`)
			run.Answer("in_doubt", map[string]any{"outcome": "done", "state": map[string]any{"kind": "paid"}}, durable.By("ada"))
			if got := run.Done(); got.Kind != "paid" || len(bodies.all()) != 1 {
				t.Errorf("after a %s: state %+v, %d bodies", kind, got, len(bodies.all()))
			}
		}
		_, err := durabletest.Start(e.Engine, w, note{Kind: "wait"}).End()
		f := wantFailure(t, err, durable.Failed, "error", "pay")
		if !strings.Contains(f.Message, "AtMostOnce") {
			t.Errorf("waiting in it: %s", f.Message)
		}
	})
}

func TestRS13_Reconcile(t *testing.T) {
	var bodies, asked tally
	finds := errors.New("the bank is away")
	w := durable.Define("w", body("pay", func(ctx context.Context, n *note) error {
		bodies.add("pay")
		if bodies.of("pay") == 1 {
			<-ctx.Done()
		}
		n.Kind = "paid by the body"
		return nil
	}).AtMostOnce().Reconcile(func(_ context.Context, n *note) error {
		asked.add("asked")
		switch n.N {
		case 1:
			n.Kind = "had been paid"
			return durable.Happened
		case 2:
			return durable.DidNotHappen
		case 3:
			if len(asked.all()) == 3 {
				return durable.Happened
			}
		}
		return finds
	}))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		crash := func(n int) *durabletest.Started[note] {
			bodies.reset()
			asked.reset()
			run := durabletest.Start(e.Engine, w, note{N: n})
			synctest.Wait()
			e.Crash()
			return run
		}
		if got := crash(1).Done(); got.Kind != "had been paid" || len(bodies.all()) != 1 {
			t.Errorf("it happened: %+v, %d bodies", got, len(bodies.all()))
		}
		if got := crash(2).Done(); got.Kind != "paid by the body" || len(bodies.all()) != 2 {
			t.Errorf("it did not: %+v, %d bodies", got, len(bodies.all()))
		}
		if crash(3).Done(); len(bodies.all()) != 1 || len(asked.all()) != 3 {
			t.Errorf("it happened, after two errors: %d bodies, %d askings", len(bodies.all()), len(asked.all()))
		}
		for outcome, want := range map[string]int{"run": 2, "fail": 1} {
			run := crash(4)
			run.Settle()
			if len(asked.all()) != 5 || !slices.Equal(run.Waits(), []string{"in_doubt"}) {
				t.Fatalf("asked %d times, then it waits for %q", len(asked.all()), run.Waits())
			}
			run.Answer("in_doubt", map[string]string{"outcome": outcome, "error": "no money came"})
			if outcome == "run" {
				run.Done()
			} else if end := run.Fails(); end.Cause.Message != "no money came" {
				t.Errorf("failed with %+v", end.Cause)
			}
			if len(bodies.all()) != want {
				t.Errorf("%s: %d bodies, want %d", outcome, len(bodies.all()), want)
			}
			var answered bool
			for _, f := range e.facts(t, run.ID) {
				answered = answered || f.Kind == journal.Received && json.Valid(f.Data)
			}
			if !answered {
				t.Errorf("the answer is not recorded")
			}
		}
	})
}
