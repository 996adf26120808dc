package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
)

// early puts an early answer into the store, whether or not its question is open.
func early(t *testing.T, e env, id durable.ID, name, value string) error {
	t.Helper()
	s, err := e.opener.OpenStore(context.Background())
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	_, err = s.Commit(context.Background(), []store.Write{{Deliver: &store.Deliver{
		ID: id, Topic: "early:" + name, Dedupe: uuid.NewString(), Payload: fmt.Appendf(nil, `{"value":%s,"at":"2026-01-02T03:04:05Z"}`, value),
	}}})
	e.Sleep(6 * time.Hour) // without hints it is found by polling
	return err
}

// ends says how a wait ended.
func ends(v any, err error) string {
	var c *durable.WaitCancelled
	switch {
	case errors.As(err, &c) && errors.Is(err, durable.ErrWaitCancelled):
		return "cancelled by " + c.By + ": " + c.Reason
	case errors.Is(err, durable.ErrTimeout):
		return "timeout"
	case err != nil:
		return "error " + err.Error()
	}
	return fmt.Sprint("value ", v)
}

func TestIN6_CancelEndsAnyWait(t *testing.T) {
	waits := map[string]func(ctx context.Context) (any, error){
		"input": func(ctx context.Context) (any, error) { return durable.WaitForInput[int](ctx, "x") },
		"approval": func(ctx context.Context) (any, error) {
			return durable.WaitForApproval(ctx, "x", durable.Timeout(time.Hour), durable.OnTimeout(durable.Approval{}))
		},
		"choice": func(ctx context.Context) (any, error) {
			return durable.WaitForChoice(ctx, "x", durable.ChoicesOf(1, 2))
		},
		"text":  func(ctx context.Context) (any, error) { return durable.WaitForText(ctx, "x") },
		"form":  func(ctx context.Context) (any, error) { return durable.WaitForForm[expense](ctx, "x") },
		"event": func(ctx context.Context) (any, error) { return durable.WaitForEvent[int](ctx, "x") },
		"sleep": func(ctx context.Context) (any, error) { return 0, durable.Sleep(ctx, 90*24*time.Hour) },
	}
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Trace = append(n.Trace, ends(waits[n.Kind](ctx)), ends(durable.WaitForEvent[int](ctx, "later")))
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		for kind := range waits {
			run := durabletest.Start(e.Engine, w, note{Kind: kind})
			synctest.Wait()
			open, err := e.OpenWaits(ctx, run.ID)
			if err != nil || len(open) != 1 || open[0].Kind != kind {
				t.Fatalf("%s: %+v, %v", kind, open, err)
			}
			name := "x"
			if kind == "sleep" {
				name = open[0].ID
			}
			wantError(t, e.CancelWait(ctx, run.ID, "y", "no"), durable.ErrNoSuchWait)
			if err := e.CancelWait(ctx, run.ID, name, "not needed\x00 \xff", durable.By("ada")); err != nil {
				t.Fatal(err)
			}
			wantError(t, e.CancelWait(ctx, run.ID, name, "again"), durable.ErrNoSuchWait)
			if kind != "sleep" && kind != "event" {
				wantError(t, e.ProvideInput(ctx, run.ID, "x", 1), durable.ErrNoSuchWait)
			}
			run.Settle()
			e.Restart()
			run.Event("later", 7)
			got := run.Done()
			if want := "cancelled by ada: not needed\x00 \uFFFD|value 7"; strings.Join(got.Trace, "|") != want {
				t.Errorf("%s: %q, want %q", kind, got.Trace, want)
			}
			x := run.Look()
			if ws := x.Steps[0].Waits; len(ws) != 2 || ws[0].By != "cancelled" || ws[0].Kind != kind || ws[1].By != "message" || ws[0].Ended.Before(ws[0].Opened) {
				t.Errorf("%s: waits %+v", kind, ws)
			}
			wantError(t, e.CancelWait(ctx, run.ID, "x", "late"), durable.ErrRunDone)
		}
		wantError(t, e.CancelWait(ctx, durable.ID{9}, "x", ""), durable.ErrNotFound)
	})
}

func TestIN6_AmbiguousAndInDoubt(t *testing.T) {
	w := durable.Define("w", durable.Step("once", func(ctx context.Context, n *note) error { return rest(ctx, time.Hour) }).AtMostOnce())
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		e.Crash()
		run.Settle()
		ctx := context.Background()
		wantError(t, e.CancelWait(ctx, run.ID, "in_doubt", "no"), durable.ErrInvalid, "answer it")
		wantError(t, e.ExtendWait(ctx, run.ID, "in_doubt", time.Hour), durable.ErrInvalid)
		run.Answer("in_doubt", map[string]string{"outcome": "done"})
		run.Done()
	})
}

func TestRT7_ACancelledWaitIsNotRetried(t *testing.T) {
	var tries tally
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		tries.add("x")
		_, err := durable.WaitForText(ctx, "t")
		if err != nil {
			return fmt.Errorf("the text: %w", err)
		}
		return nil
	}).Retry(durable.Retry{MaxAttempts: 5, Backoff: durable.Constant, Base: time.Second}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		tries.reset()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		if err := e.CancelWait(context.Background(), run.ID, "t", "enough"); err != nil {
			t.Fatal(err)
		}
		_, err := run.End()
		f := wantFailure(t, err, durable.Failed, "wait_cancelled", "s")
		if !strings.Contains(f.Message, "enough") || len(tries.all()) != 2 {
			t.Errorf("%s, after %d bodies", f.Message, len(tries.all()))
		}
	})
}

func TestIN6_Extend(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		var opts []durable.WaitOption
		if n.N > 0 {
			opts = append(opts, durable.Timeout(time.Duration(n.N)*time.Hour))
		}
		n.Trace = append(n.Trace, ends(durable.WaitForText(ctx, "t", opts...)))
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		for name, c := range map[string]struct {
			hours  int
			extend func(id durable.ID) error
			ends   time.Duration // after the start
		}{
			"later":   {2, func(id durable.ID) error { return e.ExtendWait(ctx, id, "t", 5*time.Hour, durable.By("ada")) }, 6 * time.Hour},
			"earlier": {20, func(id durable.ID) error { return e.ExtendWait(ctx, id, "t", time.Hour, durable.By("ada")) }, 2 * time.Hour},
			"given":   {0, func(id durable.ID) error { return e.ExtendWait(ctx, id, "t", 3*time.Hour, durable.By("ada")) }, 4 * time.Hour},
			"at once": {5, func(id durable.ID) error { return e.ExtendWait(ctx, id, "t", 0, durable.By("ada")) }, time.Hour},
			"until": {5, func(id durable.ID) error {
				return e.ExtendWaitUntil(ctx, id, "t", time.Now().Add(30*time.Hour), durable.By("ada"))
			}, 31 * time.Hour},
		} {
			began := time.Now()
			run := durabletest.Start(e.Engine, w, note{N: c.hours})
			run.Settle()
			e.Sleep(time.Hour)
			if err := c.extend(run.ID); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			synctest.Wait()
			if c.ends > time.Hour {
				p, err := e.PendingInputs(ctx, durable.InputFilter{Execution: run.ID})
				if err != nil || len(p.Inputs) != 1 {
					t.Fatalf("%s: %+v, %v", name, p, err)
				}
				in := p.Inputs[0]
				if d := in.Deadline.Sub(began.Add(c.ends)); d.Abs() > time.Second {
					t.Errorf("%s: the deadline is off by %s", name, d)
				}
				if len(in.Notes) != 1 || in.Notes[0].Kind != "extended" || in.Notes[0].By != "ada" || !in.Notes[0].Until.Equal(in.Deadline) {
					t.Errorf("%s: notes %+v", name, in.Notes)
				}
				if in.Opened.Sub(began).Abs() > time.Second {
					t.Errorf("%s: it seems to have been opened %s after the start", name, in.Opened.Sub(began))
				}
			}
			e.Restart()
			e.Sleep(40 * time.Hour)
			got := run.Done()
			if strings.Join(got.Trace, "") != "timeout" {
				t.Errorf("%s: %q", name, got.Trace)
			}
			x := run.Look()
			if d := x.Ended.Sub(began) - c.ends; d < 0 || d > 2*time.Second {
				t.Errorf("%s: it ended %s after its time", name, d)
			}
			if ws := x.Steps[0].Waits; len(ws) != 1 || ws[0].By != "timeout" || len(ws[0].Notes) != 1 || ws[0].Notes[0].By != "ada" {
				t.Errorf("%s: waits %+v", name, ws)
			}
			wantError(t, e.ExtendWait(ctx, run.ID, "t", time.Hour), durable.ErrRunDone)
		}
		wantError(t, e.ExtendWaitUntil(ctx, durable.ID{1}, "t", time.Time{}), durable.ErrInvalid)
	})
}

// Answer, cancel, extension and timeout meet at the deadline: one ends the wait,
// and it is the one whose caller was told so.
func TestIN6_OneWins(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		if n.Kind == "event" {
			n.Trace = append(n.Trace, ends(durable.WaitForEvent[int](ctx, "x", durable.Timeout(time.Hour))))
		} else {
			n.Trace = append(n.Trace, ends(durable.WaitForInput[int](ctx, "x", durable.Timeout(time.Hour))))
		}
		return nil
	}))
	cfg := serve(w)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 100}}
	onStores(t, cfg, func(t *testing.T, e env) {
		ctx := context.Background()
		const n = 60
		seen := map[string]int{}
		for round := range 6 {
			kind := []string{"input", "event"}[round%2]
			var runs []*durabletest.Started[note]
			for range n {
				runs = append(runs, durabletest.Start(e.Engine, w, note{Kind: kind}))
			}
			synctest.Wait()
			opened, err := e.OpenWaits(ctx, runs[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(opened[0].Deadline.Add(time.Duration(round/2-1) * time.Millisecond))) // lint:sleep virtual time, up to the deadline
			answered, cancelled, extended := make([]error, n), make([]error, n), make([]error, n)
			var all sync.WaitGroup
			for i, r := range runs {
				do := []func(){
					func() {
						if kind == "event" {
							answered[i] = e.SendEvent(ctx, r.ID, "x", 7)
						} else {
							answered[i] = e.ProvideInput(ctx, r.ID, "x", 7)
						}
					},
					func() { cancelled[i] = e.CancelWait(ctx, r.ID, "x", "why") },
					func() { extended[i] = e.ExtendWait(ctx, r.ID, "x", time.Minute) },
				}
				for k := range do {
					all.Go(do[(k+i)%len(do)])
				}
			}
			all.Wait()
			e.Sleep(2 * time.Hour)
			for i, r := range runs {
				end := r.Done().Trace[0]
				seen[end]++
				won := cancelled[i] == nil
				if won != strings.HasPrefix(end, "cancelled") {
					t.Errorf("%s: it ended with %q; cancel was told %v", kind, end, cancelled[i])
				}
				if kind == "input" && (answered[i] == nil) != (end == "value 7") {
					t.Errorf("it ended with %q; the answer was told %v", end, answered[i])
				}
				if extended[i] == nil && end == "timeout" && r.Look().Steps[0].Waits[0].Notes == nil {
					t.Error("it was extended, and ended at the old time")
				}
				for _, err := range []error{answered[i], cancelled[i], extended[i]} {
					if err != nil && !errors.Is(err, durable.ErrNoSuchWait) && !errors.Is(err, durable.ErrRunDone) {
						t.Errorf("told %v", err)
					}
				}
			}
		}
		t.Logf("%v", seen)
	})
}

func TestIN6_CrashAfterEveryCommit(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Trace = append(n.Trace, ends(durable.WaitForText(ctx, "a", durable.Timeout(6*time.Minute), durable.Assignee("ada"),
			durable.Reminder(2*time.Minute, 4*time.Minute), durable.Escalate(3*time.Minute, "bob"))))
		n.Trace = append(n.Trace, ends(durable.WaitForEvent[int](ctx, "b", durable.Reminder(time.Minute))))
		return nil
	}))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		ctx := context.Background()
		until := func(do func() error) {
			t.Helper()
			for range 50 {
				err := do()
				if err == nil || errors.Is(err, durable.ErrNoSuchWait) || errors.Is(err, durable.ErrRunDone) { // it had landed, and nobody was told
					return
				}
				e.Sleep(time.Second)
			}
			t.Fatal("the engine does not come back")
		}
		for n := 1; ; n++ {
			crashes := e.Crashes()
			e.CrashAfter(n)
			run := durabletest.Start(e.Engine, w, note{}, durable.Key(fmt.Sprint(n)))
			run.Settle()
			e.Sleep(5 * time.Minute)
			until(func() error { return e.ExtendWait(ctx, run.ID, "a", 12*time.Minute, durable.By("eve")) })
			e.Sleep(6 * time.Minute)
			x := run.Settle()
			p, err := e.PendingInputs(ctx, durable.InputFilter{Execution: run.ID, Assignee: "bob"})
			if err != nil || len(p.Inputs) != 1 {
				t.Fatalf("killed after commit %d: %s, %+v, %v", n, x.Status, p, err)
			}
			var notes []string
			for _, o := range p.Inputs[0].Notes {
				notes = append(notes, o.Kind)
			}
			if got := strings.Join(notes, " "); got != "reminded escalated reminded extended" && got != "reminded escalated reminded extended extended" || p.Inputs[0].Reminded != 2 {
				t.Errorf("killed after commit %d: notes %s", n, got)
			}
			e.Sleep(12 * time.Minute)
			run.Settle()
			until(func() error { return e.CancelWait(ctx, run.ID, "b", "enough") })
			got := run.Done()
			if want := "timeout|cancelled by : enough"; strings.Join(got.Trace, "|") != want {
				t.Errorf("killed after commit %d: %q, want %q", n, got.Trace, want)
			}
			if e.Crashes() == crashes {
				if n < 10 {
					t.Errorf("the run took only %d commits", n)
				}
				return
			}
		}
	})
}

// Reminders come once, and so do the answers of people: a text, a form, a choice.
func TestIN6_IN3_PeopleUnderCrashes(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		w := durable.Define("w", durable.Step("s", func(ctx context.Context, c *claim) (err error) {
			bodies.add("s")
			if c.Text, err = durable.WaitForText(ctx, "text", durable.Assignee("ada"), durable.Reminder(unit/2, 2*unit), durable.Escalate(unit, "bob")); err != nil {
				return err
			}
			form, err := durable.WaitForForm[amountForm](ctx, "form")
			if err != nil {
				return err
			}
			c.Amount = form.Amount
			c.Account, err = durable.WaitForChoice(ctx, "account", durable.ChoicesOf("travel", "office"))
			return err
		}))
		reminded := cue{when: []string{"text"}, do: func(ctx context.Context, e *durable.Engine, _ durable.ID, a ask) error {
			if len(a.Notes) < 3 {
				return errors.New("not all notices have come")
			}
			return e.ProvideInput(ctx, a.run, "text", fmt.Sprint(len(a.Notes), a.Assignee))
		}}
		wrong := cue{when: []string{"form"}, do: func(ctx context.Context, e *durable.Engine, _ durable.ID, a ask) error {
			if err := e.ProvideInput(ctx, a.run, "form", amountForm{Amount: 101}); !errors.Is(err, durable.ErrInvalid) {
				return fmt.Errorf("a wrong form: %w", err)
			}
			return nil
		}}
		return &weather[claim]{
			flow: w, bodies: &bodies, width: 1, cues: []cue{reminded, wrong, answer("form", amountForm{Amount: 7, Way: "cash"}), answer("account", "travel")},
			end: func(c claim, err error) error {
				if err != nil || c != (claim{Text: "3bob", Amount: 7, Account: "travel"}) {
					return fmt.Errorf("%+v, %w", c, err)
				}
				return nil
			},
		}
	})
}

// A call of a child whose wait is cancelled: the body goes on, and the child is
// cancelled, as when the call times out.
func TestIN6_CancelEndsACall(t *testing.T) {
	sleeper := durable.Define("child", body("nap", func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, 1000*time.Hour) }))
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Trace = append(n.Trace, ends(durable.Call(ctx, sleeper, note{})))
		return nil
	}))
	onStores(t, serve(w, sleeper), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		open, err := e.OpenWaits(ctx, run.ID)
		if err != nil || len(open) != 1 {
			t.Fatalf("%+v, %v", open, err)
		}
		if err := e.ExtendWait(ctx, run.ID, open[0].ID, 100*time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := e.CancelWait(ctx, run.ID, open[0].ID, "too slow", durable.By("ada")); err != nil {
			t.Fatal(err)
		}
		if got := run.Done().Trace; len(got) != 1 || got[0] != "cancelled by ada: too slow" {
			t.Errorf("%q", got)
		}
		e.Sleep(time.Minute)
		p, err := e.Executions(ctx, durable.Filter{Workflow: "child"})
		if err != nil || len(p.Executions) != 1 || p.Executions[0].Status != durable.Cancelled {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// Names and reasons from hostile people are kept as they are, or refused.
func TestIN6_HostileText(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Trace = append(n.Trace, ends(durable.WaitForText(ctx, `n"',;--`, durable.Assignee(`'; DROP TABLE wait;--`))))
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		for _, reason := range []string{"", "\x00", "\xff\xfe", `","by":"eve`, strings.Repeat("x", 1<<20), "\u202e\x1b[2J"} {
			run := durabletest.Start(e.Engine, w, note{})
			run.Settle()
			p, err := e.PendingInputs(ctx, durable.InputFilter{Execution: run.ID, Assignee: `'; DROP TABLE wait;--`})
			if err != nil || len(p.Inputs) != 1 {
				t.Fatalf("%+v, %v", p, err)
			}
			for _, name := range []string{"", "%", "w_", strings.Repeat("y", 1<<20), "\x00", "\xff"} {
				if err := e.CancelWait(ctx, run.ID, name, "no"); err == nil {
					t.Errorf("%.20q cancels a wait", name)
				}
			}
			if err := e.CancelWait(ctx, run.ID, `n"',;--`, reason, durable.By("\x00\xff")); err != nil {
				t.Fatal(err)
			}
			if got := run.Done().Trace[0]; !strings.HasPrefix(got, "cancelled by") || !json.Valid([]byte(fmt.Sprintf("%q", "x"))) {
				t.Errorf("%q", got)
			}
		}
	})
}
