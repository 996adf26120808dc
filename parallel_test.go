package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

// board is the state of tests with lanes.
type board struct {
	In    int            `json:"in,omitempty"`
	A     int            `json:"a,omitempty"`
	B     string         `json:"b,omitempty"`
	C     []int          `json:"c,omitempty"`
	D     map[string]int `json:"d,omitempty"`
	Pages []page         `json:"pages,omitempty"`
	Trace []string       `json:"trace,omitempty"`
}

type page struct {
	N    int    `json:"n"`
	Text string `json:"text,omitempty"`
}

// set is a step that changes a board.
func set(name string, fn func(b *board)) *durable.StepNode[board] {
	return durable.Step(name, func(_ context.Context, b *board) error {
		fn(b)
		return nil
	})
}

// later is a step that changes a board after a time.
func later(name string, d time.Duration, fn func(b *board)) *durable.StepNode[board] {
	return durable.Step(name, func(ctx context.Context, b *board) error {
		if err := rest(ctx, d); err != nil {
			return err
		}
		fn(b)
		return nil
	})
}

func TestPA1_LanesBeginTogetherOnCopies(t *testing.T) {
	var running most
	lane := func(name string, fn func(b *board)) durable.Node[board] {
		return durable.Step(name, func(ctx context.Context, b *board) error {
			running.in()
			defer running.out()
			if b.A != 0 || b.B != "" || len(b.C) != 1 {
				return fmt.Errorf("a lane sees another's change: %+v", b)
			}
			if err := rest(ctx, time.Minute); err != nil {
				return err
			}
			fn(b)
			return nil
		})
	}
	w := durable.Define("w",
		set("first", func(b *board) { b.C = []int{7}; b.In = 0 }),
		durable.Parallel("work",
			lane("a", func(b *board) { b.A = 1 }),
			lane("b", func(b *board) { b.B = "x" }),
			durable.Sequence("c", lane("c1", func(b *board) { b.C = nil }), set("c2", func(b *board) { b.D = map[string]int{"k": 1} }))),
		set("end", func(b *board) { b.Trace = append(b.Trace, "end") }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		running = most{}
		begun := time.Now()
		got := durabletest.Start(e.Engine, w, board{In: 5}).Done()
		if got.A != 1 || got.B != "x" || got.C != nil || got.D["k"] != 1 || got.In != 0 || len(got.Trace) != 1 {
			t.Errorf("after the join: %+v", got)
		}
		if running.peak != 3 || time.Since(begun) > 2*time.Minute {
			t.Errorf("%d lanes at once, in %s", running.peak, time.Since(begun))
		}
	})
}

func TestPA1_OneLaneAndFifty(t *testing.T) {
	for _, n := range []int{1, 50} {
		var lanes []durable.Node[board]
		for i := range n {
			lanes = append(lanes, durable.Step(fmt.Sprint("l", i), func(_ context.Context, b *board) error {
				b.D = map[string]int{}
				if n == 1 {
					b.D["0"] = 1
				}
				return nil
			}))
		}
		w := durable.Define("w", durable.Parallel("p", lanes...))
		onStores(t, serve(w), func(t *testing.T, e env) {
			run := durabletest.Start(e.Engine, w, board{})
			run.Done()
			tried := map[string]int{}
			for _, f := range e.facts(t, run.ID) {
				if f.Kind == journal.Done {
					tried[f.Path]++
				}
			}
			if len(tried) != n+1 {
				t.Errorf("%d of %d ended: %v", len(tried), n+1, tried)
			}
		})
	}
}

func TestPA3_MergeByChangedFields(t *testing.T) {
	for name, c := range map[string]struct {
		a, b func(b *board)
		want board
		bad  []string
	}{
		"removed and set": {func(b *board) { b.A = 0 }, func(b *board) { b.B = "new" }, board{In: 1, B: "new", C: []int{1}}, nil},
		"the same value":  {func(b *board) { b.A = 5 }, func(b *board) { b.A = 5 }, board{In: 1, A: 5, B: "old", C: []int{1}}, nil},
		"written back":    {func(b *board) { b.A = 0; b.A = 1 }, func(b *board) { b.A = 9 }, board{In: 1, A: 9, B: "old", C: []int{1}}, nil},
		"list grown":      {func(b *board) { b.C = append(b.C, 2) }, func(b *board) {}, board{In: 1, A: 1, B: "old", C: []int{1, 2}}, nil},
		"differently":     {func(b *board) { b.A = 5 }, func(b *board) { b.A = 6 }, board{}, []string{`"a"`, `"one"`, `"two"`, ".Merge"}},
		"set and removed": {func(b *board) { b.A = 5 }, func(b *board) { b.A = 0 }, board{}, []string{`"a"`}},
		"both grew": {
			func(b *board) { b.C = append(b.C, 2) }, func(b *board) { b.C = append(b.C, 2) },
			board{},
			[]string{`"c"`, `"one"`, `"two"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := durable.Define("w", durable.Parallel("p", set("one", c.a), set("two", c.b)))
			onStores(t, serve(w), func(t *testing.T, e env) {
				run := durabletest.Start(e.Engine, w, board{In: 1, A: 1, B: "old", C: []int{1}})
				if c.bad == nil {
					if got := run.Done(); fmt.Sprint(got) != fmt.Sprint(c.want) {
						t.Errorf("%+v, want %+v", got, c.want)
					}
					return
				}
				wantError(t, wantFailure(t, run.Fails(), durable.Failed, "merge_conflict", "p"), nil, c.bad...)
			})
		})
	}
}

func TestPA4_MergeDecides(t *testing.T) {
	var asked tally
	errNo := errors.New("they do not fit")
	w := durable.Define("w",
		durable.Parallel("p", set("one", func(b *board) { b.A += 1 }), set("two", func(b *board) { b.A += 10 })).
			Merge(func(b *board, lanes map[string]durable.Outcome[board]) error {
				asked.add("merge")
				switch b.In {
				case 1:
					return errNo
				case 2:
					panic("no")
				case 3:
					b.B = strings.Repeat("x", 2<<20)
				}
				b.A = lanes["one"].Value.A + lanes["two"].Value.A
				return nil
			}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		asked.reset()
		if got := durabletest.Start(e.Engine, w, board{A: 100}).Done(); got.A != 101+110 || asked.of("merge") != 1 {
			t.Errorf("%+v, asked %d times", got, asked.of("merge"))
		}
		wantError(t, wantFailure(t, durabletest.Start(e.Engine, w, board{In: 1}).Fails(), durable.Failed, "merge", "p"), nil, "do not fit")
		wantFailure(t, durabletest.Start(e.Engine, w, board{In: 2}).Fails(), durable.Failed, "merge", "p")
		wantFailure(t, durabletest.Start(e.Engine, w, board{In: 3}).Fails(), durable.Failed, "too_large", "p")
	})
}

func TestPA5_TheFirstFailureEndsTheOthers(t *testing.T) {
	var ends tally
	w := durable.Define("w",
		durable.Parallel("p",
			durable.Step("slow", func(ctx context.Context, _ *board) error {
				<-ctx.Done()
				ends.add("slow")
				_ = rest(context.Background(), 5*time.Second) // the run ends when this has returned
				ends.add("slow returned")
				return context.Cause(ctx)
			}),
			durable.Step("waits", func(ctx context.Context, _ *board) error {
				_, err := durable.WaitForEvent[int](ctx, "never")
				return err
			}),
			durable.Step("bad", func(ctx context.Context, _ *board) error {
				_ = rest(ctx, time.Minute)
				return errors.New("broken")
			}),
			durable.Sequence("two", later("t1", 61*time.Second, func(*board) {}), set("t2", func(*board) { ends.add("t2") }))),
		set("end", func(*board) { ends.add("end") }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ends.reset()
		run := durabletest.Start(e.Engine, w, board{})
		wantError(t, wantFailure(t, run.Fails(), durable.Failed, "error", "p[bad]/bad"), nil, "broken")
		if got := ends.all(); !slices.Equal(got, []string{"slow", "slow returned"}) {
			t.Errorf("%q", got)
		}
		if waits, err := e.OpenWaits(context.Background(), run.ID); err != nil || len(waits) != 0 {
			t.Errorf("open waits: %+v, %v", waits, err)
		}
	})
}

func TestPA6_Settle(t *testing.T) {
	w := durable.Define("w",
		durable.Parallel("p",
			set("good", func(b *board) { b.A = 1 }),
			durable.Sequence("bad", set("b1", func(b *board) { b.A = 2 }), durable.Step("b2", func(context.Context, *board) error { return errFlaky })),
			// An inner block fails in a lane that is settled: what runs and waits in it ends first.
			durable.Sequence("inner", durable.Parallel("q",
				durable.Step("hangs", func(ctx context.Context, _ *board) error { <-ctx.Done(); return context.Cause(ctx) }),
				durable.Step("waits", func(ctx context.Context, _ *board) error { return durable.Sleep(ctx, 1000*time.Hour) }),
				durable.Step("breaks", func(ctx context.Context, _ *board) error { _ = rest(ctx, time.Second); return errFlaky }))),
			later("late", 5*time.Minute, func(b *board) { b.B = "late" })).
			Settle().
			Merge(func(b *board, lanes map[string]durable.Outcome[board]) error {
				for _, name := range []string{"good", "bad", "inner", "late"} {
					if l := lanes[name]; l.Err != nil {
						b.Trace = append(b.Trace, name+" failed")
					} else {
						b.A += l.Value.A
						b.B += l.Value.B
					}
				}
				return nil
			}),
		set("end", func(b *board) { b.Trace = append(b.Trace, "end") }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, board{})
		got := run.Done()
		if got.A != 1 || got.B != "late" || !slices.Equal(got.Trace, []string{"bad failed", "inner failed", "end"}) {
			t.Errorf("%+v", got)
		}
		x, err := e.Execution(context.Background(), run.ID, durable.WithSteps)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range x.Steps {
			if (s.Path == "p[inner]/q[hangs]/hangs" || s.Path == "p[inner]/q[waits]/waits") && s.Status != "cancelled" {
				t.Errorf("%s is %s", s.Path, s.Status)
			}
		}
	})
}

func TestPA8_OnlyTheWaitingLaneStandsStill(t *testing.T) {
	var bodies tally
	w := durable.Define("w",
		set("first", func(*board) { bodies.add("first") }),
		durable.Parallel("p",
			durable.Sequence("waits",
				durable.Step("ask", func(ctx context.Context, b *board) error {
					bodies.add("ask")
					n, err := durable.WaitForEvent[int](ctx, "go")
					b.A = n
					return err
				}),
				durable.Step("sleeps", func(ctx context.Context, _ *board) error {
					bodies.add("sleeps")
					return durable.Sleep(ctx, time.Hour)
				})),
			durable.Sequence("retries", durable.Step("flaky", func(ctx context.Context, b *board) error {
				bodies.add("flaky")
				if info, _ := durable.Info(ctx); info.Attempt < 3 {
					return errFlaky
				}
				b.B = "done"
				return nil
			}).Retry(durable.Retry{MaxAttempts: 3})),
			durable.Loop("passes", func(b *board) bool { return len(b.C) < 3 },
				durable.Step("pass", func(ctx context.Context, b *board) error {
					bodies.add("pass")
					b.C = append(b.C, len(b.C))
					return nil
				}))),
		set("end", func(*board) { bodies.add("end") }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		bodies.reset()
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(10 * time.Minute)
		if err := e.SendEvent(context.Background(), run.ID, "go", 42); err != nil {
			t.Fatal(err)
		}
		got := run.Done()
		if got.A != 42 || got.B != "done" || len(got.C) != 3 {
			t.Errorf("%+v", got)
		}
		for name, n := range map[string]int{"first": 1, "ask": 2, "sleeps": 2, "flaky": 3, "pass": 3, "end": 1} {
			if bodies.of(name) != n {
				t.Errorf("%s ran %d times, want %d", name, bodies.of(name), n)
			}
		}
	})
}

// More lanes than slots, and other runs beside them: all go on as slots get free.
func TestPA1_LanesWaitForSlots(t *testing.T) {
	var lanes []durable.Node[board]
	for i := range 7 {
		lanes = append(lanes, later(fmt.Sprint("l", i), time.Minute, func(*board) {}))
	}
	w := durable.Define("w", durable.Parallel("p", lanes...), set("end", func(b *board) { b.A = 1 }))
	cfg := serve(w)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 3}}
	onStores(t, cfg, func(t *testing.T, e env) {
		begun := time.Now()
		var runs []*durabletest.Started[board]
		for range 4 {
			runs = append(runs, durabletest.Start(e.Engine, w, board{}))
		}
		for _, r := range runs {
			if got := r.Done(); got.A != 1 {
				t.Errorf("%+v", got)
			}
		}
		if took := time.Since(begun); took > 13*time.Minute { // 28 minutes of work in 3 slots
			t.Errorf("it took %s", took)
		}
	})
}

func TestPA2_LanesOfOtherQueues(t *testing.T) {
	var where tally
	lane := func(name, queue string) durable.Node[board] {
		return durable.Step(name, func(ctx context.Context, _ *board) error {
			where.add(name)
			return rest(ctx, time.Second)
		}).Queue(queue)
	}
	w := durable.Define("w", durable.Parallel("p", lane("here", "default"), lane("there", "gpu"), lane("both", "default")), set("end", func(b *board) { b.A = 1 }))
	here, there := serve(w), serve(w)
	here.Queues = map[string]durable.Queue{"default": {}, "gpu": durable.Elsewhere}
	there.Queues = map[string]durable.Queue{"gpu": {}, "default": durable.Elsewhere}
	onStores(t, here, func(t *testing.T, e env) {
		where.reset()
		e.Join(there)
		if got := durabletest.Start(e.Engine, w, board{}).Done(); got.A != 1 {
			t.Errorf("%+v", got)
		}
		for _, name := range []string{"here", "there", "both"} {
			if where.of(name) != 1 {
				t.Errorf("%s ran %d times", name, where.of(name))
			}
		}
	})
}

func TestPA7_PA9_CancelAndCount(t *testing.T) {
	var done tally
	w := durable.Define("w", durable.Parallel("p",
		set("quick", func(*board) { done.add("quick") }),
		durable.Step("slow", func(ctx context.Context, _ *board) error {
			<-ctx.Done()
			done.add(fmt.Sprint(errors.Is(context.Cause(ctx), durable.ErrTaken)))
			return context.Cause(ctx)
		})), set("end", func(*board) { done.add("end") }))
	onStores(t, serve(w), func(t *testing.T, e env) {
		done.reset()
		run := durabletest.Start(e.Engine, w, board{})
		e.Sleep(time.Minute)
		if err := e.Cancel(context.Background(), run.ID, "enough"); err != nil {
			t.Fatal(err)
		}
		e.Sleep(time.Minute)
		if len(done.all()) != 2 || done.of("quick") != 1 {
			t.Errorf("%q", done.all())
		}
		x, err := e.Execution(context.Background(), run.ID, durable.WithSteps)
		if err != nil || x.Status != durable.Cancelled || !slices.Contains(steps(x), "p[quick]/quick 1 done") {
			t.Errorf("%+v %v", steps(x), err)
		}
	})
}

// Lanes that merge, that are settled, and that fail, whatever happens.
func TestPA3_PA4_PA5_PA6_CrashAfterEveryCommit(t *testing.T) {
	t.Run("merge", func(t *testing.T) { onWeather(t, mergingLanes) })
	t.Run("conflict", func(t *testing.T) { onWeather(t, conflictingLanes) })
	t.Run("failure", func(t *testing.T) { onWeather(t, failingLanes) })
}

func mergingLanes(unit time.Duration) forecast {
	var bodies tally
	did := func(name string, fn func(b *board)) *durable.StepNode[board] {
		return set(name, func(b *board) { bodies.add(name); fn(b) })
	}
	retried := durable.Step("retried", func(ctx context.Context, b *board) error {
		bodies.add("retried")
		if info, _ := durable.Info(ctx); info.Failures < 2 {
			return errFlaky
		}
		b.B = "retried"
		return nil
	}).Retry(durable.Retry{MaxAttempts: 3, Base: unit / 4})
	w := durable.Define("w",
		durable.Parallel("fields",
			durable.Sequence("one", did("a1", func(b *board) { b.A++ }), durable.Pause("p", func(*board) time.Duration { return unit }), did("a2", func(b *board) { b.A++ })),
			retried,
			did("grows", func(b *board) { b.C = append(b.C, 7) })),
		durable.Parallel("merged", did("left", func(b *board) { b.A += 10 }), did("right", func(b *board) { b.A += 100 })).
			Merge(func(b *board, lanes map[string]durable.Outcome[board]) error {
				b.A = lanes["left"].Value.A + lanes["right"].Value.A
				return nil
			}),
		durable.Parallel("settled",
			durable.Sequence("bad", did("b1", func(b *board) { b.A = 0 }), durable.Step("b2", func(context.Context, *board) error { return errFlaky })),
			durable.Sequence("good", durable.Step("naps", func(ctx context.Context, b *board) error {
				bodies.add("naps")
				return durable.Sleep(ctx, unit)
			}), did("g", func(b *board) { b.In = 1 }))).
			Settle().Merge(func(b *board, lanes map[string]durable.Outcome[board]) error {
			b.In = lanes["good"].Value.In
			b.Trace = append(b.Trace, fmt.Sprint(lanes["bad"].Err != nil, lanes["good"].Err != nil))
			return nil
		}))
	return &weather[board]{flow: w, bodies: &bodies, width: 3, end: func(b board, err error) error {
		return wantBoard(b, err, `{"in":1,"a":114,"b":"retried","c":[7],"trace":["true false"]}`)
	}}
}

func conflictingLanes(time.Duration) forecast {
	var bodies tally
	w := durable.Define("w", durable.Parallel("p",
		set("one", func(b *board) { bodies.add("one"); b.A = 1 }),
		set("two", func(b *board) { bodies.add("two"); b.A = 2 })))
	return &weather[board]{flow: w, bodies: &bodies, width: 2, end: func(_ board, err error) error {
		return wantEnd(err, durable.Failed, "merge_conflict", "p")
	}}
}

// failingLanes fail while others wait, sleep, have called and have items that wait.
func failingLanes(time.Duration) forecast {
	var bodies tally
	child := durable.Define("child", body("s", func(ctx context.Context, _ *note) error { bodies.add("s"); return holds(ctx) }))
	w := durable.Define("w", durable.Parallel("p",
		durable.Step("waits", func(ctx context.Context, _ *board) error { bodies.add("waits"); return holds(ctx) }),
		durable.Step("sleeps", func(ctx context.Context, _ *board) error {
			bodies.add("sleeps")
			return durable.Sleep(ctx, 1000*time.Hour)
		}),
		durable.Step("calls", func(ctx context.Context, _ *board) error {
			bodies.add("calls")
			_, err := durable.Call(ctx, child, note{})
			return err
		}),
		durable.Sequence("items", durable.Each("pages", pagesOf, read("one", func(ctx context.Context, _ *page) error { bodies.add("one"); return holds(ctx) }))),
		durable.Step("bad", func(ctx context.Context, _ *board) error { bodies.add("bad"); return breaks(ctx) })),
		set("end", func(*board) { bodies.add("end") }))
	return &weather[board]{
		flow: w, others: []durable.Definition{child}, in: ofPages(2), bodies: &bodies, width: 7,
		cues: []cue{send("break", 1).once("never", "never", "never", "never", "sleep")},
		end: func(_ board, err error) error {
			if bodies.of("end") > 0 {
				return errors.New("it went on")
			}
			return wantEnd(err, durable.Failed, "permanent", "p[bad]/bad")
		},
		tree: func(_ *durable.Engine, list []kin) error { return wantStatuses(list, "child cancelled", "w failed") },
	}
}
