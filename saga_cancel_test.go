package durable_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

func TestCN6_AndCompensate(t *testing.T) {
	var s saga
	ctx := context.Background()
	w := durable.Define("w", s.step("a"), durable.Parallel("p",
		body("wait", func(ctx context.Context, n *note) error {
			_, err := durable.WaitForEvent[string](ctx, "go")
			return err
		}).Compensate(s.undo("wait")),
		body("run", func(ctx context.Context, n *note) error {
			return rest(ctx, time.Hour)
		}).Compensate(s.undo("run"))))
	onStores(t, serve(w), func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Minute)
		if err := e.Cancel(ctx, r.ID, "not wanted", durable.AndCompensate(), durable.By("ann")); err != nil {
			t.Fatal(err)
		}
		_, err := r.End()
		if f := wantFailure(t, err, durable.Compensated, "cancelled", ""); f.Message != "not wanted" {
			t.Errorf("%+v", f)
		}
		got := s.undos()
		slices.Sort(got)
		if !slices.Equal(got, []string{"a at 1", "run at 1 in doubt", "wait at 1 in doubt"}) || s.undos()[2] != "a at 1" {
			t.Errorf("undone were %q", s.undos())
		}
		if waits := r.Waits(); len(waits) > 0 {
			t.Errorf("it still waits for %q", waits)
		}
		for _, err := range []error{
			e.Cancel(ctx, r.ID, "again"), e.Cancel(ctx, r.ID, "again", durable.AndCompensate()), e.Cancel(ctx, r.ID, "again", durable.Force()),
			e.SendEvent(ctx, r.ID, "go", "late"),
		} {
			wantError(t, err, durable.ErrRunDone, "compensated")
		}
		if x := r.Look(); x.Status != durable.Compensated {
			t.Errorf("it is %s", x.Status)
		}
	})
}

func TestCN6_OfWhatHasNotBegun(t *testing.T) {
	var s saga
	w := durable.Define("w", s.step("a"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{}, durable.At(time.Now().Add(time.Hour)))
		if err := e.Cancel(context.Background(), r.ID, "", durable.AndCompensate()); err != nil {
			t.Fatal(err)
		}
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "cancelled", "")
		s.want(t)
	})
}

// A plain cancel undoes nothing, nor does a body that cancels its run.
func TestCO9_CancelAlone(t *testing.T) {
	var s saga
	w := durable.Define("w", s.step("a"), body("b", func(ctx context.Context, n *note) error {
		if n.Kind == "self" {
			return durable.CancelRun("enough")
		}
		return rest(ctx, time.Hour)
	}).Compensate(s.undo("b")))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Minute)
		if err := e.Cancel(context.Background(), r.ID, "", durable.Force()); err != nil {
			t.Fatal(err)
		}
		_, err := r.End()
		wantFailure(t, err, durable.Cancelled, "cancelled", "")
		_, err = durabletest.Start(e.Engine, w, note{Kind: "self"}).End()
		wantFailure(t, err, durable.Cancelled, "cancelled", "b")
		s.want(t)
	})
}

func TestCN6_CancelWhileCompensating(t *testing.T) {
	var s saga
	ctx := context.Background()
	slow := func(name string) *durable.StepNode[note] {
		return mark(name).Compensate(func(ctx context.Context, _ *note) error {
			s.add("undo " + name)
			if err := rest(ctx, time.Minute); err != nil {
				return err
			}
			s.add("undo " + name + " ends")
			return nil
		})
	}
	wait := mark("wait").Compensate(func(ctx context.Context, _ *note) error {
		_, err := durable.WaitForEvent[string](ctx, "go")
		return err
	})
	later := mark("later").Compensate(func(context.Context, *note) error { return errFlaky },
		durable.Retry{MaxAttempts: 9, Base: time.Hour, Max: time.Hour})
	first := durable.Define("first", slow("a"), slow("b"), slow("c"), fail("end"))
	asleep := durable.Define("asleep", slow("a"), wait, fail("end"))
	tired := durable.Define("tired", slow("a"), later, fail("end"))
	last := durable.Define("last", slow("a"), fail("end"))
	onStores(t, serve(first, asleep, tired, last), func(t *testing.T, e env) {
		end := func(w *durable.Workflow[note], want durable.Status, undone ...string) {
			t.Helper()
			s.reset()
			r := durabletest.Start(e.Engine, w, note{})
			e.Sleep(30 * time.Second)
			wantError(t, e.Cancel(ctx, r.ID, "no"), durable.ErrCompensating)
			wantError(t, e.Cancel(ctx, r.ID, "no", durable.AndCompensate()), durable.ErrCompensating)
			for range 2 {
				if err := e.Cancel(ctx, r.ID, "stop it", durable.Force()); err != nil && !errors.Is(err, durable.ErrRunDone) {
					t.Fatal(err)
				}
			}
			begun := time.Now()
			_, err := r.End()
			wantFailure(t, err, want, "permanent", "end")
			if time.Since(begun) > 5*time.Minute {
				t.Errorf("stopped after %s", time.Since(begun))
			}
			wantRollbacks(t, r.Look(), undone...)
			if len(r.Waits()) > 0 {
				t.Errorf("it waits for %q", r.Waits())
			}
		}
		end(first, durable.CompensationFailed, "c 1 done", "b 0 skipped", "a 0 skipped")
		s.want(t, "c", "c ends")
		end(asleep, durable.CompensationFailed, "wait 1 skipped", "a 0 skipped")
		end(tired, durable.CompensationFailed, "later 1 retrying", "later 0 skipped", "a 0 skipped")
		end(last, durable.Compensated, "a 1 done")

		// What was skipped is undone when it is retried.
		r := durabletest.Start(e.Engine, first, note{})
		e.Sleep(30 * time.Second)
		if err := e.Cancel(ctx, r.ID, "stop it", durable.Force()); err != nil {
			t.Fatal(err)
		}
		r.Fails()
		if err := e.Retry(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "permanent", "end")
		wantRollbacks(t, r.Look(), "c 1 done", "b 1 done", "a 1 done")
	})
}

// A cancel at every moment of a run: it ends exactly one way, whoever asks is told
// so, and what is done is undone or is not.
func TestCN6_AtEveryMoment(t *testing.T) {
	var s saga
	step := func(name string) durable.Node[note] {
		return body(name, func(ctx context.Context, n *note) error {
			n.N++
			if err := rest(ctx, 10*time.Millisecond); err != nil {
				return err
			}
			s.add("done " + name)
			return nil
		}).Compensate(s.undo(name))
	}
	for _, failing := range []bool{false, true} {
		nodes := []durable.Node[note]{step("a"), step("b"), step("c")}
		if failing {
			nodes = append(nodes, fail("end"))
		}
		w := durable.Define("w", nodes...)
		onStores(t, serve(w), func(t *testing.T, e env) {
			other := e.Join(serve(w))
			for i := range 45 {
				s.reset()
				r := durabletest.Start(e.Engine, w, note{})
				e.Sleep(time.Duration(i) * time.Millisecond)
				via := e.Engine
				if i%2 == 0 {
					via = other
				}
				err := via.Cancel(context.Background(), r.ID, "no", durable.AndCompensate())
				_, endErr := r.End()
				x := r.Look()
				switch {
				case err == nil:
					wantFailure(t, endErr, durable.Compensated, "cancelled", "")
				case errors.Is(err, durable.ErrCompensating) && failing:
					wantFailure(t, endErr, durable.Compensated, "permanent", "end")
				case errors.Is(err, durable.ErrRunDone) && !failing && x.Status == durable.Completed:
				case errors.Is(err, durable.ErrRunDone) && failing && x.Status == durable.Compensated:
				default:
					t.Fatalf("after %d ms: %v, %v, %+v", i, err, endErr, x)
				}
				undone := map[string]int{}
				for _, name := range rollbacks(x) {
					undone[name[:1]]++
				}
				for _, name := range []string{"a", "b", "c"} {
					if tried := slices.ContainsFunc(x.Steps, func(p durable.StepRecord) bool { return p.Path == name }); x.Status == durable.Compensated && tried != (undone[name] == 1) {
						t.Errorf("after %d ms: %s begun %v, undone %v", i, name, tried, undone)
					}
				}
			}
		})
	}
}

// Restarts in the middle, on several workers, and one owner at a time.
func TestCO7_ManyWorkers(t *testing.T) {
	var (
		s  saga
		mu sync.Mutex
	)
	running := map[durable.ID]int{}
	slow := func(name string) durable.Node[note] {
		return mark(name).Compensate(func(ctx context.Context, n *note) error {
			info, _ := durable.Info(ctx)
			mu.Lock()
			running[info.Execution]++
			if running[info.Execution] > 1 {
				s.add("two at once")
			}
			mu.Unlock()
			err := rest(ctx, time.Second)
			mu.Lock()
			running[info.Execution]--
			mu.Unlock()
			return err
		})
	}
	w := durable.Define("w", slow("a"), slow("b"), slow("c"), fail("end"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		s.reset()
		e.Join(serve(w))
		var runs []*durabletest.Started[note]
		for range 30 {
			runs = append(runs, durabletest.Start(e.Engine, w, note{}))
		}
		for range 3 {
			e.Sleep(700 * time.Millisecond)
			e.Restart()
		}
		for _, r := range runs {
			_, err := r.End()
			wantFailure(t, err, durable.Compensated, "permanent", "end")
			if got := rollbacks(r.Look()); len(got) != 3 {
				t.Errorf("%q", got)
			}
		}
		if s.of("two at once") > 0 {
			t.Error("two undos of a run at once")
		}
	})
}

// The write that turns back is refused a beginning, since the queue is full: what the
// run waited for is closed all the same.
func TestCN6_TurnedThoughTheQueueIsFull(t *testing.T) {
	var s saga
	w := durable.Define("w", s.step("a").Queue("narrow"), body("wait", func(ctx context.Context, _ *note) error {
		_, err := durable.WaitForEvent[string](ctx, "go")
		return err
	}))
	hog := durable.Define("hog", body("hog", func(ctx context.Context, _ *note) error { return rest(ctx, time.Hour) }).Timeout(durable.NoTimeout)).Queue("narrow")
	cfg := serve(w, hog)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 5}, "narrow": {Concurrency: 5, Global: 1}}
	onStores(t, cfg, func(t *testing.T, e env) {
		s.reset()
		r := durabletest.Start(e.Engine, w, note{})
		r.Settle()
		durabletest.Start(e.Engine, hog, note{})
		e.Sleep(time.Second)
		if err := e.Cancel(context.Background(), r.ID, "no", durable.AndCompensate()); err != nil {
			t.Fatal(err)
		}
		e.Sleep(time.Minute)
		if x := r.Look(); x.Status != durable.Compensating || len(r.Waits()) > 0 {
			t.Errorf("it is %s and waits for %q", x.Status, r.Waits())
		}
		s.want(t)
		_, err := r.End()
		wantFailure(t, err, durable.Compensated, "cancelled", "")
		s.want(t, "a at 1")
	})
}

// A rollback is blocked, or freed, between the look of a cancel and its write.
func TestCO9_CN6_BlockedWhileACancelLooks(t *testing.T) {
	wait := body("wait", func(ctx context.Context, _ *note) error {
		if _, err := durable.WaitForEvent[string](ctx, "go"); err != nil {
			return err
		}
		return durable.Permanent(errFlaky)
	})
	full := durable.Define("w", mark("a").Compensate(func(ctx context.Context, _ *note) error {
		_, err := durable.WaitForEvent[string](ctx, "undo")
		return err
	}), wait)
	bare := durable.Define("w", mark("a"), wait)
	var meanwhile func()
	opener := &lateLooks{memory.New(), func(*store.Record) {
		if do := meanwhile; do != nil {
			meanwhile = nil
			do()
		}
	}}
	durabletest.Run(t, serve(full), func(t *testing.T, e *durabletest.Engine) {
		ctx := context.Background()
		for name, c := range map[string]struct {
			opts []durable.ActOption
			want error
		}{
			"cancel":  {nil, durable.ErrCompensating},
			"go back": {[]durable.ActOption{durable.AndCompensate()}, durable.ErrCompensating},
			"force":   {[]durable.ActOption{durable.Force()}, nil},
		} {
			r := durabletest.Start(e, full, note{})
			r.Settle()
			e.Deploy(serve(bare))
			meanwhile = func() {
				r.Event("go", "")
				e.Sleep(time.Minute)
			}
			if err := e.Cancel(ctx, r.ID, "no", c.opts...); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			e.Deploy(serve(full))
			status := durable.CompensationFailed
			if c.want != nil {
				status = durable.Compensated
				r.WillSend("undo", "")
			}
			_, err := r.End()
			wantFailure(t, err, status, "permanent", "wait")
		}

		r := durabletest.Start(e, full, note{})
		r.Settle()
		e.Deploy(serve(bare))
		r.Event("go", "")
		if x := r.Settle(); x.Status != durable.Blocked {
			t.Fatalf("%+v", x)
		}
		meanwhile = func() {
			e.Join(serve(full))
			e.Sleep(time.Minute)
		}
		if err := e.Cancel(ctx, r.ID, "no", durable.Force()); err != nil {
			t.Errorf("freed while it is forced: %v", err)
		}
		_, err := r.End()
		wantFailure(t, err, durable.CompensationFailed, "permanent", "wait")
	}, durabletest.Store(opener))
}

// Between the look of a cancel and its write the run fails, is blocked in its rollback and let go
// on: then it is as pending as before, and goes back.
func TestCO9_CN6_BlockedAndUnblockedWhileACancelLooks(t *testing.T) {
	wait := body("wait", func(ctx context.Context, _ *note) error {
		if _, err := durable.WaitForEvent[string](ctx, "go"); err != nil {
			return err
		}
		return durable.Permanent(errFlaky)
	})
	var s saga
	full, bare := durable.Define("w", s.step("a"), wait), durable.Define("w", mark("a"), wait)
	var meanwhile func()
	opener := &lateLooks{memory.New(), func(*store.Record) {
		if do := meanwhile; do != nil {
			meanwhile = nil
			do()
		}
	}}
	durabletest.Run(t, serve(full), func(t *testing.T, e *durabletest.Engine) {
		ctx := context.Background()
		for name, c := range map[string]struct {
			opts   []durable.ActOption
			want   error
			status durable.Status
			undone []string
		}{
			"cancel":  {nil, durable.ErrCompensating, durable.Compensated, []string{"a at 1"}},
			"go back": {[]durable.ActOption{durable.AndCompensate()}, durable.ErrCompensating, durable.Compensated, []string{"a at 1"}},
			"force":   {[]durable.ActOption{durable.Force()}, nil, durable.CompensationFailed, nil},
		} {
			s.reset()
			r := durabletest.Start(e, full, note{})
			r.Settle()
			e.Deploy(serve(bare))
			meanwhile = func() {
				r.Event("go", "")
				e.Sleep(time.Minute)
				if x := r.Look(); x.Status != durable.Blocked {
					t.Errorf("%s: it is %s", name, x.Status)
				}
				for _, err := range []error{e.PauseQueue(ctx, "default"), e.Unblock(ctx, r.ID)} { // nobody takes it up
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if x := r.Look(); x.Status != durable.Pending {
					t.Errorf("%s: let go on, it is %s", name, x.Status)
				}
			}
			if err := e.Cancel(ctx, r.ID, "no", c.opts...); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			e.Deploy(serve(full))
			if err := e.ResumeQueue(ctx, "default"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			_, err := r.End()
			wantFailure(t, err, c.status, "permanent", "wait")
			s.want(t, c.undone...)
		}
	}, durabletest.Store(opener))
}
