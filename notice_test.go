package durable_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

func TestWaits_RemindersAndEscalation(t *testing.T) {
	var told tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		a, err := durable.WaitForApproval(ctx, "ok", durable.Assignee("ada"), durable.Timeout(72*time.Hour),
			durable.Reminder(24*time.Hour, 48*time.Hour, 100*time.Hour), durable.Escalate(36*time.Hour, "team:finance"))
		n.Kind = ends(a.Approved, err)
		return nil
	}))
	cfg := serve(w)
	cfg.OnNotice = func(n durable.Notice) {
		told.add(fmt.Sprintf("%s %s %s %s", n.Path, n.Wait, n.Kind, n.To))
		if n.Kind == "escalated" {
			panic("a hook that panics hurts nobody")
		}
	}
	onStores(t, cfg, func(t *testing.T, e env) {
		ctx := context.Background()
		told.reset()
		began := time.Now()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		look := func(hours int, assignee string, reminded int, notes string) {
			t.Helper()
			e.Sleep(time.Until(began.Add(time.Duration(hours)*time.Hour + 2*time.Second)))
			p, err := e.PendingInputs(ctx, durable.InputFilter{Assignee: assignee})
			if err != nil || len(p.Inputs) != 1 {
				t.Fatalf("after %d hours %s has %+v, %v", hours, assignee, p, err)
			}
			in := p.Inputs[0]
			var kinds []string
			for _, o := range in.Notes {
				kinds = append(kinds, o.Kind+":"+o.To)
			}
			if in.Assignee != assignee || in.Reminded != reminded || strings.Join(kinds, " ") != notes || in.Deadline.Sub(began.Add(72*time.Hour)).Abs() > time.Second {
				t.Errorf("after %d hours: %+v", hours, in)
			}
			if reminded > 0 && in.RemindedAt.IsZero() {
				t.Error("nobody knows when the reminder was")
			}
			if x := run.Look(); x.Status != durable.Waiting || x.Worker != "" {
				t.Errorf("after %d hours it is %s with %q", hours, x.Status, x.Worker)
			}
		}
		look(23, "ada", 0, "")
		look(24, "ada", 1, "reminded:ada")
		e.Restart()
		look(30, "ada", 1, "reminded:ada")
		look(36, "team:finance", 1, "reminded:ada escalated:team:finance")
		e.Crash()
		look(48, "team:finance", 2, "reminded:ada escalated:team:finance reminded:team:finance")
		if p, err := e.PendingInputs(ctx, durable.InputFilter{Assignee: "ada"}); err != nil || len(p.Inputs) != 0 {
			t.Errorf("ada still has %+v, %v", p, err)
		}
		e.Sleep(200 * time.Hour)
		if got := run.Done(); got.Kind != "timeout" {
			t.Errorf("it ended with %q", got.Kind)
		}
		if got := strings.Join(told.all(), "|"); got != "s approval:ok#1 reminded ada|s approval:ok#1 escalated team:finance|s approval:ok#1 reminded team:finance" {
			t.Errorf("told %s", got)
		}
		if ws := run.Look().Steps[0].Waits; len(ws) != 1 || len(ws[0].Notes) != 3 || ws[0].Ended.Sub(began.Add(72*time.Hour)).Abs() > 2*time.Second {
			t.Errorf("waits %+v", ws)
		}
	})
}

// An answer leaves nothing behind: no reminder comes for a wait that is over,
// and a notice does not shorten the wait that follows.
func TestWaits_NoReminderAfterTheAnswer(t *testing.T) {
	var told tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		if _, err := durable.WaitForEvent[int](ctx, "e", durable.Reminder(time.Hour)); err != nil {
			return err
		}
		_, err := durable.WaitForText(ctx, "t", durable.Timeout(3*time.Hour), durable.OnTimeout("x"))
		return err
	}))
	cfg := serve(w)
	cfg.OnNotice = func(n durable.Notice) { told.add(n.Kind) }
	onStores(t, cfg, func(t *testing.T, e env) {
		told.reset()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		run.Event("e", 1)
		began := time.Now()
		run.Settle()
		e.Sleep(10 * time.Hour)
		run.Done()
		if d := run.Look().Ended.Sub(began); d < 3*time.Hour || d > 3*time.Hour+2*time.Second {
			t.Errorf("the second wait lasted %s", d)
		}
		if n := len(told.all()); n != 0 {
			t.Errorf("%d notices", n)
		}
	})
}

// While nobody works, notices wait: afterwards each comes once, the deadline
// first if it has passed, too.
func TestWaits_NoticesAfterAnOutage(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Kind = ends(durable.WaitForText(ctx, "t", durable.Timeout(10*time.Hour), durable.Reminder(time.Hour, 2*time.Hour), durable.Escalate(3*time.Hour, "bob")))
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		for _, away := range []time.Duration{5 * time.Hour, 20 * time.Hour} {
			run := durabletest.Start(e.Engine, w, note{})
			run.Settle()
			if err := e.PauseQueue(ctx, "default"); err != nil {
				t.Fatal(err)
			}
			e.Sleep(away)
			if err := e.ResumeQueue(ctx, "default"); err != nil {
				t.Fatal(err)
			}
			e.Sleep(time.Minute)
			if away < 10*time.Hour {
				p, err := e.PendingInputs(ctx, durable.InputFilter{Assignee: "bob"})
				if err != nil || len(p.Inputs) != 1 || p.Inputs[0].Reminded != 2 {
					t.Fatalf("%+v, %v", p, err)
				}
				e.Sleep(10 * time.Hour)
			} else if ws := run.Look().Steps[0].Waits; len(ws) != 1 || len(ws[0].Notes) != 0 {
				t.Errorf("notices of a wait that was over: %+v", ws)
			}
			if got := run.Done(); got.Kind != "timeout" {
				t.Errorf("it ended with %q", got.Kind)
			}
		}
	})
}
