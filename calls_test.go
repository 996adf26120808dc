package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store/memory"
)

// callLines are the recorded calls of a run, one line each.
func callLines(x *durable.Execution) (list []string) {
	for _, s := range x.Steps {
		for _, c := range s.Calls {
			line := fmt.Sprintf("%s %d: %s %s#%d/%d", s.Path, c.Attempt, c.Kind, c.Name, c.Count, c.Item)
			if c.Error != nil {
				line += " error " + c.Error.Message
			} else {
				line += " = " + string(c.Result)
			}
			list = append(list, line)
			if c.At.Before(s.Started) || s.Attempt != c.Attempt {
				list = append(list, fmt.Sprintf("recorded at %s in attempt %d, which is %d and began at %s", c.At, c.Attempt, s.Attempt, s.Started))
			}
		}
	}
	return list
}

func TestQY9_CallsOfEveryAttemptAndPass(t *testing.T) {
	w := durable.Define("w",
		durable.Loop("turns", func(n *note) bool { return n.N < 100 }, body("ask", func(ctx context.Context, n *note) error {
			for range 2 {
				v, err := durable.Do(ctx, "a#1/2:b", func(context.Context) (int, error) { return n.N, nil })
				if err != nil {
					return err
				}
				n.Kind = fmt.Sprint(v)
			}
			n.N++
			return nil
		})),
		body("flaky", func(ctx context.Context, n *note) error {
			info, _ := durable.Info(ctx)
			if _, err := durable.All(ctx, "all", []string{"x", "y"}, func(_ context.Context, s string) (string, error) { return s + s, nil }); err != nil {
				return err
			}
			if err := durable.Sleep(ctx, time.Hour); err != nil {
				return err
			}
			_, err := durable.Do(ctx, "pay", func(context.Context) (map[string]int, error) {
				if info.Failures == 0 {
					return nil, errFlaky
				}
				return map[string]int{"cents": 5}, nil
			})
			return err
		}).Retry(durable.Retry{MaxAttempts: 2}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Done()
		if rows := e.record(t, run.ID).Length; rows < 257 {
			t.Errorf("with %d rows there is no snapshot", rows)
		}
		x, err := e.Execution(context.Background(), run.ID, durable.WithCalls)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for pass := range 100 {
			for count := range 2 {
				want = append(want, fmt.Sprintf("turns[%d]/ask 1: do a#1/2:b#%d/0 = %d", pass, count+1, pass))
			}
		}
		want = append(want, `flaky 1: all all#1/0 = "xx"`, `flaky 1: all all#1/1 = "yy"`, "flaky 1: do pay#1/0 error flaky", `flaky 2: do pay#1/0 = {"cents":5}`)
		got := callLines(x)
		slices.Sort(got) // items of an All end in any order
		slices.Sort(want)
		for i := range max(len(got), len(want)) {
			if i >= min(len(got), len(want)) || got[i] != want[i] {
				t.Fatalf("line %d of %d and %d: got\n%s\nwant\n%s", i, len(got), len(want), strings.Join(got[i:min(i+3, len(got))], "\n"), strings.Join(want[i:min(i+3, len(want))], "\n"))
			}
		}
		x, err = e.Execution(context.Background(), run.ID, durable.WithSteps)
		if err != nil || len(x.Steps) < 100 || len(callLines(x)) != 0 {
			t.Errorf("without WithCalls there are %d steps with %d calls, %v", len(x.Steps), len(callLines(x)), err)
		}
	})
}

// Costs are summed over runs by a loop.
func TestQY9_EachExecution(t *testing.T) {
	paid := func(name string) *durable.Workflow[note] {
		return durable.Define(name, body("s", func(ctx context.Context, n *note) error {
			_, err := durable.Do(ctx, "pay", func(context.Context) (int, error) { return n.N, nil })
			return err
		}))
	}
	a, b := paid("a"), paid("b")
	onStores(t, serve(a, b), func(t *testing.T, e env) {
		for i := range 25 {
			durabletest.Start(e.Engine, a, note{N: i}, durable.Tags("t")).Done()
			durabletest.Start(e.Engine, b, note{N: 1000}).Done()
		}
		ctx := context.Background()
		sum := func(f durable.Filter) (sum, runs int) {
			var last durable.ID
			for x, err := range e.EachExecution(ctx, f, durable.WithCalls) {
				if err != nil {
					t.Fatal(err)
				}
				if last != (durable.ID{}) && x.ID.String() >= last.String() {
					t.Error("not newest first")
				}
				last = x.ID
				for _, s := range x.Steps {
					for _, c := range s.Calls {
						n := 0
						if err := json.Unmarshal(c.Result, &n); err != nil {
							t.Fatal(err)
						}
						sum += n
					}
				}
				runs++
			}
			return sum, runs
		}
		for _, f := range []durable.Filter{{Workflow: "a", Limit: 10}, {Tags: []string{"t"}, Limit: 25}, {Workflow: "a", Count: true}} {
			if total, runs := sum(f); total != 300 || runs != 25 {
				t.Errorf("%+v: %d in %d runs", f, total, runs)
			}
		}
		seen := 0
		for x, err := range e.EachExecution(ctx, durable.Filter{Limit: 3}) {
			if err != nil || x.State != nil || x.Steps != nil {
				t.Fatalf("%+v, %v", x, err)
			}
			if seen++; seen == 4 {
				break
			}
		}
		for x, err := range e.EachExecution(ctx, durable.Filter{Statuses: []durable.Status{"odd"}}) {
			if x != nil || !errors.Is(err, durable.ErrInvalid) {
				t.Errorf("%+v, %v", x, err)
			}
			seen++
		}
		if seen != 5 {
			t.Errorf("%d rounds, want 5", seen)
		}
		removed := 0
		for x, err := range e.EachExecution(ctx, durable.Filter{Limit: 50}, durable.WithSteps) { // which are removed meanwhile
			if err != nil {
				t.Fatal(x, err)
			}
			if removed++; removed == 1 {
				e.Sleep(time.Hour)
				if _, err := e.Prune(ctx, durable.PruneOptions{OlderThan: time.Minute}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if removed != 1 {
			t.Errorf("%d runs are there after they were removed", removed)
		}
	})
}

type valueKey struct{}

// What the context of Run carries is there in every step, its functions and its compensations.
func TestDO11_ValuesOfTheContextOfRun(t *testing.T) {
	var seen tally
	look := func(ctx context.Context, where string) {
		seen.add(fmt.Sprint(where, " ", ctx.Value(valueKey{})))
	}
	w := durable.Define("w",
		body("a", func(ctx context.Context, n *note) error {
			look(ctx, "step")
			_, err := durable.Do(ctx, "d", func(ctx context.Context) (int, error) {
				look(ctx, "do")
				return 1, nil
			})
			return err
		}).Compensate(func(ctx context.Context, n *note) error {
			look(ctx, "undo")
			return nil
		}),
		durable.Each("items", func(*note) []int { return []int{1} }, durable.Step("item", func(ctx context.Context, _ *int) error {
			look(ctx, "item")
			return nil
		})),
		body("b", func(ctx context.Context, n *note) error {
			look(ctx, "last")
			return errFlaky
		}))
	e, err := durable.Open(t.Context(), memory.New(), serve(w))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "ours"))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	run, err := w.Start(t.Context(), e, note{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Wait(t.Context()); err == nil {
		t.Error("it does not fail")
	}
	stop()
	if err := errors.Join(<-ended, e.Close()); err != nil {
		t.Error(err)
	}
	if want := []string{"step ours", "do ours", "item ours", "last ours", "undo ours"}; !slices.Equal(seen.all(), want) {
		t.Errorf("%q, want %q", seen.all(), want)
	}
}

// A scope is no part of a call's name.
func TestQY9_CallsOfScopes(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		outer, _ := durable.Scope(ctx, "a/b@c")
		inner, _ := durable.Scope(outer, "d")
		if _, err := durable.Do(inner, "x@1/2", func(context.Context) (int, error) { return 1, nil }); err != nil {
			return err
		}
		_, err := durable.All(inner, "all", []string{"x", "y"}, func(_ context.Context, s string) (string, error) { return s, nil })
		return err
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Done()
		x, err := e.Execution(t.Context(), run.ID, durable.WithCalls)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"s 1: do x@1/2#1/0 = 1", "s 1: all all#1/0 = \"x\"", "s 1: all all#1/1 = \"y\""}
		got := callLines(x)
		slices.Sort(got[1:])
		slices.Sort(want[1:])
		if !slices.Equal(got, want) || x.Steps[0].Calls[0].Scope != "a/b@c/d" || x.Steps[0].Calls[1].Scope != "a/b@c/d" {
			t.Errorf("%q in %q, want %q", got, x.Steps[0].Calls[0].Scope, want)
		}
	})
}
