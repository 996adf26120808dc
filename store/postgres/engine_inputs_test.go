package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
)

type bill struct {
	Amount int    `json:"amount" durable:"required;min=1;max=100"`
	Reason string `json:"reason" durable:"required"`
	Kind   string `json:"kind" durable:"enum=a|b;default=a"`
}

type visit struct {
	Plan string   `json:"plan"`
	Ends []string `json:"ends"`
}

// await is what a visit waits for.
func (v *visit) await(ctx context.Context) (any, error) {
	switch v.Plan {
	case "form":
		return durable.WaitForForm[bill](ctx, "x")
	case "notices":
		return durable.WaitForText(ctx, "x", durable.Assignee("ada"), durable.Reminder(200*time.Millisecond, 600*time.Millisecond),
			durable.Escalate(400*time.Millisecond, "bob"))
	case "short":
		return durable.WaitForText(ctx, "x", durable.Timeout(time.Minute))
	case "event":
		return durable.WaitForEvent[int](ctx, "x")
	}
	return durable.WaitForChoice(ctx, "x", durable.ChoicesOf(1, 2))
}

// visits are two engines on one database.
func visits(t *testing.T, ctx context.Context) (*durable.Workflow[visit], [2]*durable.Engine) {
	flow := durable.Define("visit", durable.Step("wait", func(ctx context.Context, v *visit) error {
		x, err := v.await(ctx)
		var c *durable.WaitCancelled
		switch {
		case errors.As(err, &c):
			v.Ends = append(v.Ends, "cancelled "+c.Reason)
		case errors.Is(err, durable.ErrTimeout):
			v.Ends = append(v.Ends, "timeout")
		case err != nil:
			return err
		default:
			v.Ends = append(v.Ends, fmt.Sprint(x))
		}
		return nil
	}))
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	var engines [2]*durable.Engine
	o := opener(t)
	for i := range engines {
		e, err := durable.Open(ctx, o, durable.Config{Workflows: []durable.Definition{flow}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		engines[i] = e
		t.Cleanup(func() { _ = e.Close() })
		running.Go(func() { _ = e.Run(ctx) })
	}
	return flow, engines
}

// untilOpen waits until the run asks, and what it asks satisfies a condition.
func untilOpen(t *testing.T, ctx context.Context, e *durable.Engine, id durable.ID, ok func(w durable.OpenWait) bool) durable.OpenWait {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		open, err := e.OpenWaits(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if len(open) == 1 && ok(open[0]) {
			return open[0]
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never waited so: %+v", open)
		}
	}
}

func anyWait(durable.OpenWait) bool { return true }

func TestIN6_OnPostgres(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	flow, e := visits(t, ctx)
	start := func(plan string) *durable.Run[visit] {
		run, err := flow.Start(ctx, e[0], visit{Plan: plan})
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	ends := func(run *durable.Run[visit], want string) {
		t.Helper()
		if v, err := run.Wait(ctx); err != nil || len(v.Ends) != 1 || want != "" && v.Ends[0] != want {
			t.Errorf("it ended with %q, %v, want %q", v.Ends, err, want)
		}
	}

	notices := start("notices")
	short := start("short")
	untilOpen(t, ctx, e[1], short.ID, anyWait)
	if err := e[1].ExtendWait(ctx, short.ID, "x", time.Hour, durable.By("eve")); err != nil {
		t.Fatal(err)
	}
	w := untilOpen(t, ctx, e[0], notices.ID, func(w durable.OpenWait) bool { return len(w.Notes) == 3 })
	if w.Assignee != "bob" || w.Notes[0].Kind != "reminded" || w.Notes[1].Kind != "escalated" || w.Notes[2].To != "bob" {
		t.Errorf("%+v", w)
	}
	p, err := e[1].PendingInputs(ctx, durable.InputFilter{Assignee: "bob", Queue: "default"})
	if err != nil || len(p.Inputs) != 1 || p.Inputs[0].Reminded != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := e[1].ProvideInput(ctx, notices.ID, "x", "fine"); err != nil {
		t.Error(err)
	}
	ends(notices, "fine")
	w = untilOpen(t, ctx, e[0], short.ID, func(w durable.OpenWait) bool { return len(w.Notes) == 1 })
	if time.Until(w.Deadline) < 50*time.Minute || w.Notes[0].By != "eve" {
		t.Errorf("%+v", w)
	}
	if err := e[0].ExtendWait(ctx, short.ID, "x", 10*time.Millisecond); err != nil {
		t.Error(err)
	}
	ends(short, "timeout")

	form := start("form")
	untilOpen(t, ctx, e[1], form.ID, anyWait)
	var bad *durable.AnswerError
	err = e[1].ProvideInput(ctx, form.ID, "x", map[string]any{"amount": 101, "reason": "", "kind": "c"})
	if !errors.As(err, &bad) || len(bad.Fields) != 3 {
		t.Errorf("error %v, want three fields", err)
	}
	if err := e[1].ProvideInput(ctx, form.ID, "x", map[string]any{"amount": 100, "reason": "tea"}); err != nil {
		t.Error(err)
	}
	ends(form, "{100 tea a}")
}

// Answers and cancels from two machines: one wins, and its caller is told.
func TestIN6_OneWinsOnPostgres(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	flow, e := visits(t, ctx)
	seen := map[string]int{}
	for i := range 60 {
		plan := []string{"choice", "event"}[i%2]
		run, err := flow.Start(ctx, e[i%2], visit{Plan: plan})
		if err != nil {
			t.Fatal(err)
		}
		untilOpen(t, ctx, e[0], run.ID, anyWait)
		var answered, cancelled error
		var both sync.WaitGroup
		both.Go(func() {
			if plan == "event" {
				answered = e[0].SendEvent(ctx, run.ID, "x", 2)
			} else {
				answered = e[0].ProvideInput(ctx, run.ID, "x", 2)
			}
		})
		both.Go(func() {
			if i%3 == 0 && plan == "event" { // let the event be taken meanwhile
				<-time.After(time.Duration(i) * 50 * time.Microsecond)
			}
			cancelled = e[1].CancelWait(ctx, run.ID, "x", "why")
		})
		both.Wait()
		v, err := run.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		end := v.Ends[0]
		seen[plan+" "+end]++
		if (cancelled == nil) != (end == "cancelled why") || plan == "choice" && (answered == nil) != (end == "2") {
			t.Errorf("%s ended with %q; the answer was told %v, the cancel %v", plan, end, answered, cancelled)
		}
		for _, err := range []error{answered, cancelled} {
			if err != nil && !errors.Is(err, durable.ErrNoSuchWait) && !errors.Is(err, durable.ErrRunDone) {
				t.Errorf("told %v", err)
			}
		}
	}
	t.Log(seen)
}
