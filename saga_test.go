package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// saga makes steps that can be undone, and remembers what happened.
type saga struct{ tally }

// step does and can be undone. What it sees is noted: the number N.
func (s *saga) step(name string, policy ...durable.Retry) *durable.StepNode[note] {
	return body(name, func(_ context.Context, n *note) error {
		s.add(name)
		n.N++
		n.Trace = append(n.Trace, name)
		return nil
	}).Compensate(s.undo(name), policy...)
}

func (s *saga) undo(name string) func(ctx context.Context, n *note) error {
	return func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		text := fmt.Sprintf("undo %s at %d", name, n.N)
		if info.InDoubt {
			text += " in doubt"
		}
		s.add(text)
		n.Kind, n.N = "undone", -1 // reaches nobody
		return nil
	}
}

// fail is a step that fails at once.
func fail(name string) *durable.StepNode[note] {
	return body(name, func(context.Context, *note) error { return durable.Permanent(errors.New("no " + name)) })
}

// undos is what was undone, in order.
func (s *saga) undos() (list []string) {
	for _, text := range s.all() {
		if strings.HasPrefix(text, "undo ") {
			list = append(list, strings.TrimPrefix(text, "undo "))
		}
	}
	return list
}

func (s *saga) want(t *testing.T, want ...string) {
	t.Helper()
	if got := s.undos(); !slices.Equal(got, want) {
		t.Errorf("undone were %q, want %q", got, want)
	}
}

// rollbacks are the attempts of compensations: step, number, status.
func rollbacks(x *durable.Execution) (list []string) {
	for _, s := range x.Steps {
		if s.Kind == "compensate" {
			text := fmt.Sprintf("%s %d %s", s.Undoes, s.Attempt, s.Status)
			if s.InDoubt {
				text += " in doubt"
			}
			list = append(list, text)
		}
	}
	return list
}

func wantRollbacks(t *testing.T, x *durable.Execution, want ...string) {
	t.Helper()
	if got := rollbacks(x); !slices.Equal(got, want) {
		t.Errorf("compensations are %q, want %q", got, want)
	}
}

func TestCO1_UndoneInReverse(t *testing.T) {
	var s saga
	w := durable.Define("w", s.step("a"), mark("x"), s.step("b"), fail("c"), s.step("d"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "c")
		s.want(t, "b at 2", "a at 1")
		x := r.Look()
		if x.Status != durable.Compensated || x.Error == nil || x.Error.Path != "c" || x.Ended.IsZero() {
			t.Errorf("%+v", x)
		}
		wantRollbacks(t, x, "b 1 done", "a 1 done")
		if got := string(x.State); !strings.Contains(got, `"n":2`) || strings.Contains(got, "undone") {
			t.Errorf("the run's state is %s", got)
		}
		for _, rec := range x.Steps {
			if rec.Kind == "compensate" && (rec.Started.IsZero() || rec.Ended.IsZero() || !strings.Contains(string(rec.Change), "undone")) {
				t.Errorf("%+v", rec)
			}
			if rec.Path == "a" && !slices.ContainsFunc(x.Steps, func(u durable.StepRecord) bool { return u.Path == rec.Undo && u.Undoes == "a" }) {
				t.Errorf("no link from %+v", rec)
			}
		}
		p, err := e.Executions(context.Background(), durable.Filter{Statuses: []durable.Status{durable.Compensated}})
		if err != nil || len(p.Executions) != 1 || p.Executions[0].Error.Path != "c" {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestCO1_NothingToUndo(t *testing.T) {
	var s saga
	early := durable.Define("early", fail("c"), s.step("d"))
	fine := durable.Define("fine", s.step("a"), s.step("b"))
	self := durable.Define("self", fail("a").Compensate(s.undo("a")))
	inMemory(t, serve(early, fine, self), func(t *testing.T, e env) {
		_, err := durabletest.Start(e.Engine, early, note{}).End()
		wantFailure(t, err, durable.Failed, "permanent", "c")
		_, err = durabletest.Start(e.Engine, self, note{}).End()
		wantFailure(t, err, durable.Failed, "permanent", "a")
		durabletest.Start(e.Engine, fine, note{}).Done()
		s.want(t)
	})
}

func TestCO2_InDoubt(t *testing.T) {
	var s saga
	hang := func(ctx context.Context, n *note) error {
		n.N = 100
		s.add("hang")
		<-ctx.Done()
		return errors.New("cut off")
	}
	big := func(_ context.Context, n *note) error {
		n.Kind = strings.Repeat("x", 3000)
		return nil
	}
	again := 0
	for name, c := range map[string]struct {
		node durable.Node[note]
		want []string
	}{
		"timeout":        {body("x", hang).Timeout(time.Second).Compensate(s.undo("x")), []string{"x at 1 in doubt", "a at 1"}},
		"too large":      {body("x", big).Compensate(s.undo("x")), []string{"x at 1 in doubt", "a at 1"}},
		"own error":      {fail("x").Compensate(s.undo("x")), []string{"a at 1"}},
		"panic":          {body("x", func(context.Context, *note) error { panic("no") }).Compensate(s.undo("x")), []string{"a at 1"}},
		"cancelled lane": {durable.Parallel("p", body("x", hang).Compensate(s.undo("x")), durable.Sequence("l", s.step("y"), fail("z"))), []string{"y at 2", "x at 1 in doubt", "a at 1"}},
		"timeout, then an error": {body("x", func(ctx context.Context, n *note) error {
			if again++; again == 1 {
				return hang(ctx, n)
			}
			return errors.New("no")
		}).Timeout(time.Second).Retry(durable.Retry{MaxAttempts: 2}).Compensate(s.undo("x")), []string{"a at 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := durable.Define("w", s.step("a"), c.node, fail("end"))
			cfg := serve(w)
			cfg.MaxPayload = 2000
			inMemory(t, cfg, func(t *testing.T, e env) {
				s.reset()
				_, err := durabletest.Start(e.Engine, w, note{}).End()
				var end *durable.RunError
				if !errors.As(err, &end) || end.Status != durable.Compensated {
					t.Fatal(err)
				}
				got := s.undos()
				if name == "cancelled lane" { // the lanes begin in any order
					slices.Sort(got)
					slices.Sort(c.want)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("undone were %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestCO2_CrashLimit(t *testing.T) {
	var s saga
	w := durable.Define("w", s.step("a"), body("bomb", func(ctx context.Context, _ *note) error {
		<-ctx.Done()
		return ctx.Err()
	}).Timeout(durable.NoTimeout).Compensate(s.undo("bomb")))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		for range 5 {
			e.Sleep(5 * time.Minute)
			e.Crash()
		}
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "crash_limit", "bomb")
		s.want(t, "bomb at 1 in doubt", "a at 1")
	})
}

// nested is a workflow whose every nesting has something to undo.
func nested(s *saga) *durable.Workflow[note] {
	jumps := func(_ context.Context, n *note) (durable.Choice, error) {
		if n.Kind == "" {
			n.Kind = "once"
			return durable.Goto("visit"), nil
		}
		return durable.Next, nil
	}
	return durable.Define("nested",
		durable.Loop("loop", func(n *note) bool { return n.N < 2 }, s.step("pass")),
		s.step("visit"),
		durable.Decision("back", jumps).To("visit"),
		durable.Each("items", func(n *note) []note { return []note{{N: 10}, {N: 20}} }, s.step("item")).Concurrency(1),
		durable.Branch("way", func(*note) string { return "x" }).Case("x", s.step("case")),
		durable.Parallel("lanes", durable.Sequence("l", s.step("lane")), body("m", func(context.Context, *note) error { return nil })),
		s.step("last"),
		fail("end"))
}

func TestCO1_NestedOneByOne(t *testing.T) {
	var s saga
	w := nested(&s)
	onStores(t, serve(w), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		s.want(t, "last at 7", "lane at 6", "case at 5", "item at 21", "item at 11", "visit at 4", "visit at 3", "pass at 2", "pass at 1")
	})
}

func TestCO7_CrashAfterEveryCommit(t *testing.T) {
	onWeather(t, func(time.Duration) forecast {
		var s saga
		return &weather[note]{flow: nested(&s), bodies: &s.tally, width: 2, end: func(n note, err error) error {
			return wantEnd(err, durable.Compensated, "permanent", "end")
		}, tree: func(_ *durable.Engine, list []kin) error { return treeUndone(list) }}
	})
}

func TestCO4_SeesItsStepAndItsKey(t *testing.T) {
	var s saga
	keys := map[string]string{}
	key := func(name string) func(ctx context.Context, n *note) error {
		return func(ctx context.Context, n *note) error {
			info, _ := durable.Info(ctx)
			if of := info.Compensates; of != "" {
				if want := keys[fmt.Sprint(of, n.N)]; info.IdempotencyKey != want || of != name || info.Path == of {
					return durable.Permanent(fmt.Errorf("%+v, want key %s", info, want))
				}
				s.add("undo " + name)
				return nil
			}
			n.N++
			keys[fmt.Sprint(info.Path, n.N)] = info.IdempotencyKey
			return nil
		}
	}
	again := func(_ context.Context, n *note) (durable.Choice, error) {
		if n.N < 2 {
			return durable.Goto("a"), nil
		}
		return durable.Next, nil
	}
	w := durable.Define("w", body("a", key("a")).Compensate(key("a")), durable.Decision("d", again), fail("end"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		_, err := durabletest.Start(e.Engine, w, note{}).End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		s.want(t, "a", "a")
		if len(keys) != 2 || keys["a1"] == keys["a2"] {
			t.Errorf("keys of two visits: %v", keys)
		}
	})
}

// A run with many steps replays its journal once for many undos, and a state of
// every size is the one that its step left.
func TestCO4_StatesOfManySteps(t *testing.T) {
	var got []int
	w := durable.Define("w", durable.Loop("l", func(n *note) bool { return n.N < 300 },
		body("s", func(_ context.Context, n *note) error {
			n.N++
			n.Kind = strings.Repeat("x", 100_000)
			return nil
		}).Compensate(func(_ context.Context, n *note) error {
			got = append(got, n.N)
			return nil
		})), fail("end"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		_, err := durabletest.Start(e.Engine, w, note{}).End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		for i, n := range got {
			if n != 300-i {
				t.Fatalf("undo %d saw %d", i, n)
			}
		}
		if len(got) != 300 {
			t.Errorf("%d undone", len(got))
		}
	})
}

func TestCO5_RetriesOfItsOwn(t *testing.T) {
	var s saga
	flaky := func(fails int, how func() error) func(ctx context.Context, n *note) error {
		return func(ctx context.Context, _ *note) error {
			info, _ := durable.Info(ctx)
			durable.Logger(ctx).Info(fmt.Sprintf("try %d after %d failures", info.Attempt, info.Failures))
			s.add(fmt.Sprint("try ", info.Attempt))
			if info.Attempt <= fails {
				return how()
			}
			return nil
		}
	}
	exact := durable.Retry{MaxAttempts: 3, Backoff: durable.Constant, Base: time.Minute, Jitter: durable.NoJitter}
	for name, c := range map[string]struct {
		fails  int
		how    func() error
		policy []durable.Retry
		want   []string
		took   time.Duration
	}{
		"default":          {4, func() error { return errFlaky }, nil, []string{"a 1 retrying", "a 2 retrying", "a 3 retrying", "a 4 retrying", "a 5 done"}, 0},
		"too often":        {5, func() error { return errFlaky }, nil, []string{"a 1 retrying", "a 2 retrying", "a 3 retrying", "a 4 retrying", "a 5 failed"}, 0},
		"panic":            {1, func() error { panic("oh") }, nil, []string{"a 1 retrying", "a 2 done"}, 0},
		"policy":           {2, func() error { return errFlaky }, []durable.Retry{exact}, []string{"a 1 retrying", "a 2 retrying", "a 3 done"}, 2 * time.Minute},
		"permanent":        {1, func() error { return durable.Permanent(errFlaky) }, nil, []string{"a 1 failed"}, 0},
		"no cancel":        {1, func() error { return durable.CancelRun("no") }, nil, []string{"a 1 failed"}, 0},
		"snooze":           {1, func() error { return durable.Snooze(time.Hour) }, []durable.Retry{{MaxAttempts: 1}}, nil, 0},
		"only some errors": {1, func() error { return errFlaky }, []durable.Retry{{MaxAttempts: 3, If: func(error) bool { return false }}}, []string{"a 1 failed"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			undo := flaky(c.fails, c.how)
			if name == "snooze" {
				undo = func(context.Context, *note) error {
					if first {
						first = false
						return durable.Snooze(time.Hour)
					}
					return nil
				}
				c.want = []string{"a 1 done"}
			}
			w := durable.Define("w", mark("a").Timeout(time.Nanosecond*1000).Compensate(undo, c.policy...), fail("end"))
			inMemory(t, serve(w), func(t *testing.T, e env) {
				r := durabletest.Start(e.Engine, w, note{})
				begun := time.Now()
				_, err := r.End()
				status := durable.Compensated
				if strings.HasSuffix(c.want[len(c.want)-1], "failed") {
					status = durable.CompensationFailed
				}
				wantFailure(t, err, status, "permanent", "end")
				x := r.Look()
				wantRollbacks(t, x, c.want...)
				if c.took > 0 && time.Since(begun) < c.took {
					t.Errorf("it took %s, want %s", time.Since(begun), c.took)
				}
				logs, err := e.Logs(context.Background(), r.ID, time.Time{})
				if name == "default" && (err != nil || len(logs) != 5 || logs[4].Attempt != 5 || logs[4].Path != x.Steps[len(x.Steps)-1].Path) {
					t.Errorf("logs %+v, %v", logs, err)
				}
			})
		})
	}
}

// refunding is a workflow whose undo does, sleeps and waits.
func (s *saga) refunding(unit time.Duration) *durable.Workflow[note] {
	undo := func(ctx context.Context, n *note) error {
		s.add("undo")
		id, err := durable.Do(ctx, "refund", func(context.Context) (int, error) {
			s.add("refund")
			return n.N, nil
		})
		if err != nil {
			return err
		}
		if err := durable.Sleep(ctx, unit); err != nil {
			return err
		}
		who, err := durable.WaitForEvent[string](ctx, "refunded")
		if err != nil {
			return err
		}
		ok, err := durable.WaitForApproval(ctx, "close")
		if err != nil || !ok.Approved {
			return fmt.Errorf("%+v, %w", ok, err)
		}
		s.add(fmt.Sprint("closed ", id, who))
		return nil
	}
	return durable.Define("w", s.step("a"), body("b", func(_ context.Context, n *note) error { n.N = 7; return nil }).Compensate(undo), fail("end"))
}

// An undo may do, sleep, and wait for events and people, and none of it twice.
func TestCO5_DurableCalls(t *testing.T) {
	var s saga
	w := s.refunding(time.Hour)
	onStores(t, serve(w), func(t *testing.T, e env) {
		s.reset()
		begun := time.Now()
		r := durabletest.Start(e.Engine, w, note{})
		x := r.Settle()
		if x.Status != durable.Compensating || time.Since(begun) < time.Hour || x.Error == nil || x.Error.Path != "end" || !x.Due.IsZero() {
			t.Fatalf("after %s %+v", time.Since(begun), x)
		}
		if got := r.Waits(); !slices.Equal(got, []string{"refunded"}) {
			t.Fatalf("it waits for %q", got)
		}
		wantRollbacks(t, x, "b 1 waiting")
		e.Restart()
		e.Sleep(24 * time.Hour)
		r.Event("refunded", "bank")
		r.Settle()
		e.Crash()
		r.Answer("close", true)
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		if s.of("refund") != 1 || s.of("closed 7bank") != 1 {
			t.Errorf("%q", s.all())
		}
		s.want(t, "a at 1")
		wantRollbacks(t, r.Look(), "b 1 done", "a 1 done")
	})
}

func TestCO5_DurableCallsUnderCrashes(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var s saga
		return &weather[note]{
			flow: s.refunding(unit), bodies: &s.tally, width: 1, cues: []cue{send("refunded", "x"), answer("close", true)},
			end: func(_ note, err error) error {
				if s.of("closed 7x") == 0 {
					return fmt.Errorf("it did %q", s.all())
				}
				return wantEnd(err, durable.Compensated, "permanent", "end")
			},
			tree: func(_ *durable.Engine, list []kin) error { return treeUndone(list) },
		}
	})
}

func TestCO6_AFailureStopsNobody(t *testing.T) {
	var (
		s    saga
		down = true
	)
	stuck := func(name string) *durable.StepNode[note] {
		return mark(name).Compensate(func(ctx context.Context, n *note) error {
			s.add("undo " + name)
			if down {
				return errFlaky
			}
			return nil
		}, durable.Retry{MaxAttempts: 2, Base: time.Second})
	}
	w := durable.Define("w", s.step("a"), stuck("b"), s.step("c"), stuck("d"), fail("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		s.reset()
		down = true
		ctx := context.Background()
		r := durabletest.Start(e.Engine, w, note{})
		_, err := r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		s.want(t, "d", "d", "c at 2", "b", "b", "a at 1")
		wantRollbacks(t, r.Look(), "d 1 retrying", "d 2 failed", "c 1 done", "b 1 retrying", "b 2 failed", "a 1 done")

		if err := e.Retry(ctx, r.ID, durable.By("ann")); err != nil {
			t.Fatal(err)
		}
		_, err = r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		down = false
		s.reset()
		if err := e.Retry(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		_, err = r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		s.want(t, "d", "b")
		wantRollbacks(t, r.Look(), "d 1 retrying", "d 2 failed", "c 1 done", "b 1 retrying", "b 2 failed", "a 1 done",
			"d 3 retrying", "d 4 failed", "b 3 retrying", "b 4 failed", "d 5 done", "b 5 done")
		wantError(t, e.Retry(ctx, r.ID), durable.ErrNotRetryable, "compensated")
		wantError(t, e.Retry(ctx, durable.ID{1}), durable.ErrNotFound)
	})
}

func TestCO6_AnUndoThatKillsItsProcess(t *testing.T) {
	var s saga
	w := durable.Define("w", s.step("a"), mark("bomb").Compensate(func(ctx context.Context, _ *note) error {
		<-ctx.Done()
		return ctx.Err()
	}), fail("end"))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		for range 5 {
			e.Sleep(5 * time.Minute)
			if x := r.Look(); x.Status != durable.Compensating {
				t.Fatalf("it is %s", x.Status)
			}
			e.Crash()
		}
		_, err := r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		s.want(t, "a at 1")
		wantRollbacks(t, r.Look(), "bomb 1 crashed", "bomb 2 crashed", "bomb 3 crashed", "bomb 4 crashed", "bomb 5 failed", "a 1 done")
	})
}

// Bodies that do not hear that they are no longer wanted are waited for.
func TestCO8_NoUndoBesideABody(t *testing.T) {
	var s saga
	deaf := body("deaf", func(context.Context, *note) error {
		<-time.After(30 * time.Second)
		s.add("undo nothing: deaf ends")
		return nil
	})
	lanes := durable.Define("lanes", s.step("a"), durable.Parallel("p", deaf, fail("f")))
	alone := durable.Define("alone", s.step("a"), deaf)
	onStores(t, serve(lanes, alone), func(t *testing.T, e env) {
		s.reset()
		_, err := durabletest.Start(e.Engine, lanes, note{}).End()
		wantFailure(t, err, durable.Compensated, "permanent", "p[f]/f")
		s.want(t, "nothing: deaf ends", "a at 1")

		s.reset()
		r := durabletest.Start(e.Engine, alone, note{})
		e.Sleep(time.Second)
		if err := e.Cancel(context.Background(), r.ID, "enough", durable.AndCompensate()); err != nil {
			t.Fatal(err)
		}
		_, err = r.End()
		wantFailure(t, err, durable.Compensated, "cancelled", "")
		s.want(t, "nothing: deaf ends", "a at 1")
	})
}

// Code that cannot undo what is to be undone blocks the run, and what is blocked
// is not rolled back.
func TestCO9_Blocked(t *testing.T) {
	var s saga
	hold := mark("b").Compensate(func(ctx context.Context, _ *note) error {
		_, err := durable.WaitForEvent[string](ctx, "go")
		return err
	})
	full := durable.Define("w", s.step("a"), hold, fail("end"))
	bare := durable.Define("w", mark("a"), hold, fail("end"))
	gone := durable.Define("w", mark("x"))
	onStores(t, serve(full), func(t *testing.T, e env) {
		s.reset()
		ctx := context.Background()
		r := durabletest.Start(e.Engine, full, note{})
		r.Settle()
		e.Deploy(serve(bare))
		r.Event("go", "")
		x := r.Settle()
		if x.Status != durable.Blocked || x.Error == nil || x.Error.Path != "a" || !strings.Contains(x.Error.Message, "compensation") {
			t.Fatalf("%+v", x)
		}
		wantError(t, e.Cancel(ctx, r.ID, "no"), durable.ErrCompensating)
		e.Deploy(serve(full))
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		s.want(t, "a at 1")

		r = durabletest.Start(e.Engine, full, note{})
		r.Settle()
		e.Deploy(serve(bare))
		r.Event("go", "")
		if x := r.Settle(); x.Status != durable.Blocked {
			t.Fatalf("%+v", x)
		}
		if err := e.Cancel(ctx, r.ID, "no", durable.Force()); err != nil {
			t.Fatal(err)
		}
		_, err = r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "end")
		wantRollbacks(t, r.Look(), "b 1 done", "a 0 skipped")
	})
	wait := durable.Define("w", s.step("a"), body("wait", func(ctx context.Context, _ *note) error {
		_, err := durable.WaitForEvent[string](ctx, "go")
		return err
	}))
	onStores(t, serve(wait), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, wait, note{})
		r.Settle()
		e.Deploy(serve(gone))
		r.Event("go", "")
		if x := r.Settle(); x.Status != durable.Blocked {
			t.Fatalf("%+v", x)
		}
		s.want(t)
		if err := e.Cancel(context.Background(), r.ID, "no", durable.AndCompensate()); err != nil {
			t.Fatal(err)
		}
		e.Deploy(serve(wait))
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "cancelled", "")
		s.want(t, "a at 1")
	})
}

func TestDF2_CompensationMistakes(t *testing.T) {
	s := saga{}
	w := durable.Define("w",
		mark("nil").Compensate(nil),
		s.step("twice").Compensate(s.undo("twice")),
		mark("policy").Compensate(s.undo("x"), durable.Retry{}),
		mark("policies").Compensate(s.undo("x"), durable.Retry{MaxAttempts: 1}, durable.Retry{MaxAttempts: 1}))
	bad := refusal(t, serve(w))
	if len(bad.Mistakes) != 4 {
		t.Error(bad)
	}
	wantMistakes(t, bad, [2]string{"nil", "Compensate: the function is nil"}, [2]string{"twice", "Compensate is given twice"},
		[2]string{"policy", "Compensate: Retry.MaxAttempts is 0"}, [2]string{"policies", "give at most one Retry"})
}

// What an undo writes to the user's own tables is written once, with its record.
func TestCO5_TxInAnUndo(t *testing.T) {
	w := durable.Define("w", mark("pay").Compensate(func(ctx context.Context, _ *note) error {
		return durable.Tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE account SET cents = cents + 1")
			return err
		})
	}), fail("end"))
	onShared(t, serve(w), func(t *testing.T, s shared) {
		s.exec(t, "INSERT INTO account VALUES ('a', 0)")
		for n := 1; ; n++ {
			crashes := s.Crashes()
			s.CrashAfter(n)
			_, err := durabletest.Start(s.Engine, w, note{}, durable.Key(fmt.Sprint(n))).End()
			wantFailure(t, err, durable.Compensated, "permanent", "end")
			var cents int
			if err := s.db.QueryRowContext(context.Background(), "SELECT cents FROM account").Scan(&cents); err != nil || cents != n {
				t.Fatalf("killed after commit %d: paid back %d times, %v", n, cents, err)
			}
			if s.Crashes() == crashes {
				break
			}
		}
	})
}

// A run whose journal is full is rolled back all the same.
func TestCO9_JournalLimit(t *testing.T) {
	if raced { // there it takes a minute, and the root is tried without the race detector, too
		return
	}
	undone := 0
	w := durable.Define("w", durable.Loop("l", func(*note) bool { return true },
		body("s", func(_ context.Context, n *note) error { n.N++; return nil }).Compensate(func(_ context.Context, n *note) error {
			undone++
			return nil
		})).Max(20_000))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		_, err := durabletest.Start(e.Engine, w, note{}).End()
		var end *durable.RunError
		if !errors.As(err, &end) || end.Status != durable.Compensated || end.Cause.Code != "journal_limit" {
			t.Fatal(err)
		}
		if undone < 9000 || undone > 10_000 {
			t.Errorf("%d undone", undone)
		}
	})
}
