package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

const day = 24 * time.Hour

func test(t *testing.T, test func(t *testing.T, e *durabletest.Engine, w *durable.Workflow[Claim])) {
	w := claims(day)
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) { test(t, e, w) })
}

func TestIN3_AllThatIsWrongWithAForm(t *testing.T) {
	test(t, func(t *testing.T, e *durabletest.Engine, w *durable.Workflow[Claim]) {
		r := durabletest.Start(e, w, Claim{Who: "Ada"})
		r.Settle()
		err := e.ProvideInput(context.Background(), r.ID, "claim", map[string]any{"amount": 0, "account": "gifts"})
		var refused *durable.AnswerError
		if !errors.As(err, &refused) || len(refused.Fields) != 3 {
			t.Errorf("%v", err)
		}
		r.Answer("claim", map[string]any{"amount": 35, "purpose": "a taxi"})
		if c := r.Done(); c.Status != "paid" || c.Expense.Account != "office" {
			t.Errorf("%+v", c)
		}
	})
}

func TestIN1_WhoIsAskedAndWhen(t *testing.T) {
	test(t, func(t *testing.T, e *durabletest.Engine, w *durable.Workflow[Claim]) {
		assignee := func() string {
			page, err := e.PendingInputs(context.Background(), durable.InputFilter{Name: "approve"})
			if err != nil || len(page.Inputs) != 1 {
				t.Fatalf("%v, %v", page, err)
			}
			return page.Inputs[0].Assignee
		}
		r := durabletest.Start(e, w, Claim{Who: "Cleo"})
		r.WillAnswer("claim", spent("Cleo"))
		r.Settle()
		if who := assignee(); who != "lead" {
			t.Errorf("%s is asked", who)
		}
		e.Sleep(4 * day)
		if who := assignee(); who != "finance" {
			t.Errorf("%s is asked", who)
		}
		r.Answer("approve", true, durable.By("finance"))
		if c := r.Done(); c.Status != "paid, approved by finance" {
			t.Errorf("%+v", c)
		}
	})
}

// A week of silence, with the worker killed after each of its commits.
func TestWN3_SilenceIsANo(t *testing.T) {
	for n := 0; ; n++ {
		crashed := false
		test(t, func(t *testing.T, e *durabletest.Engine, w *durable.Workflow[Claim]) {
			r := durabletest.Start(e, w, Claim{Who: "Dan"})
			r.Settle()
			r.Answer("claim", spent("Dan"))
			if n > 0 {
				e.CrashAfter(n)
			}
			begin := time.Now()
			c := r.Done()
			if c.Status != "refused: nobody answered for a week" {
				t.Errorf("killed after commit %d: %+v", n, c)
			}
			if took := time.Since(begin); took < 7*day || took > 8*day {
				t.Errorf("killed after commit %d: it took %s", n, took)
			}
			var notes []string
			for _, s := range r.Look().Steps {
				for _, w := range s.Waits {
					for _, note := range w.Notes {
						notes = append(notes, note.Kind)
					}
				}
			}
			if got := strings.Join(notes, " "); got != "reminded reminded escalated" {
				t.Errorf("killed after commit %d: %s", n, got)
			}
			crashed = e.Crashes() > 0
		})
		if n > 0 && !crashed {
			return
		}
	}
}

func TestRun(t *testing.T) {
	db := filepath.Join(t.TempDir(), "expense.db")
	var first, second bytes.Buffer
	if err := run(t.Context(), nil, &first, db, 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"Ada, 35 EUR for a taxi: paid\n", "Bob, 480 EUR for a chair: paid, approved by lead", "Cleo, 1900 EUR for a conference: paid, approved by finance",
		"Dan, 9000 EUR for a boat: refused: nobody answered for a week", "approve: passed on to finance", "approve: out of time",
	} {
		if !strings.Contains(first.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &first)
		}
	}
	if err := run(t.Context(), nil, &second, db, 500*time.Millisecond); err != nil { // finds what is decided
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("the second start says\n%s, the first said\n%s", &second, &first)
	}
}

func TestRun_OnATerminal(t *testing.T) {
	// Ada mistypes, and is asked again.
	in := strings.NewReader(strings.Repeat("lots\na taxi\ngifts\n"+"50\na taxi\ntravel\n", 8))
	var out bytes.Buffer
	if err := run(t.Context(), in, &out, filepath.Join(t.TempDir(), "expense.db"), day); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Ada is asked: What did you spend?", `Amount, in EUR: `, "/amount: ", "/account: ", "Ada, 50 EUR for a taxi: paid"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, &out)
		}
	}
}
