package durable_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// claim is the state of tests with questions; its form is the amount.
type claim struct {
	In      int    `json:"in,omitempty"`
	By      string `json:"by,omitempty"`
	Text    string `json:"text,omitempty"`
	Account string `json:"account,omitempty"`
	Amount  int    `json:"amount,omitempty"`
	N       int    `json:"n,omitempty"`
}

type amountForm struct {
	Amount int    `json:"amount" durable:"required;min=1;max=100"`
	Note   string `json:"note" durable:"max=5"`
	Way    string `json:"way" durable:"enum=cash|card;required"`
}

// questions is a workflow of questions, the last of which nobody answers.
func questions(bodies *tally, unit time.Duration) *durable.Workflow[claim] {
	return durable.Define("w",
		durable.Input("ok", func(c *claim) durable.Ask {
			return durable.Ask{Prompt: "Is it right?", Details: c.In, Options: []durable.WaitOption{durable.Assignee("ann")}}
		}, func(c *claim, a durable.Approval) { c.By = a.By }),
		durable.Input("text", func(*claim) durable.Ask { return durable.Ask{Options: []durable.WaitOption{durable.Length(2, 4)}} },
			func(c *claim, s string) { c.Text = s }),
		durable.Input("account", func(*claim) durable.Ask { return durable.Ask{Prompt: "Which?"} }, func(c *claim, s string) { c.Account = s }).
			Choices(func(*claim) []durable.ChoiceOf[string] { return durable.ChoicesOf("travel", "office") }),
		durable.Input("form", func(*claim) durable.Ask { return durable.Ask{} }, func(c *claim, f amountForm) { c.Amount = f.Amount }).Form(),
		durable.Input("number", func(*claim) durable.Ask {
			return durable.Ask{Options: []durable.WaitOption{durable.Timeout(unit), durable.OnTimeout(7)}}
		}, func(c *claim, n int) { c.N = n }),
		durable.Input("never", func(*claim) durable.Ask { return durable.Ask{} }, func(*claim, int) {}).When(func(c *claim) bool { return c.In == 99 }),
		durable.Step("end", func(context.Context, *claim) error { bodies.add("end"); return nil }))
}

func TestWN1_InputNodes(t *testing.T) {
	var bodies tally
	w := questions(&bodies, time.Minute)
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, claim{In: 3})
		run.Settle()
		list, err := e.PendingInputs(context.Background(), durable.InputFilter{Assignee: "ann"})
		if err != nil || len(list.Inputs) != 1 || list.Inputs[0].Kind != "approval" || list.Inputs[0].Prompt != "Is it right?" || string(list.Inputs[0].Details) != "3" {
			t.Fatalf("%+v, %v", list, err)
		}
		run.Answer("ok", true, durable.By("ann"))
		run.Settle()
		wantError(t, e.ProvideInput(context.Background(), run.ID, "text", "x"), durable.ErrInvalid)
		run.Answer("text", "abc")
		run.Settle()
		wantError(t, e.ProvideInput(context.Background(), run.ID, "account", "private"), durable.ErrInvalid)
		run.Answer("account", "office")
		run.Settle()
		wantError(t, e.ProvideInput(context.Background(), run.ID, "form", map[string]any{"amount": 101, "note": "too long", "way": "gold"}), durable.ErrInvalid, "amount", "note", "way")
		run.Answer("form", amountForm{Amount: 5, Way: "cash"})
		if got := run.Done(); got != (claim{In: 3, By: "ann", Text: "abc", Account: "office", Amount: 5, N: 7}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestWN1_InputNodesUnderCrashes(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		var bodies tally
		return &weather[claim]{
			flow: questions(&bodies, unit), bodies: &bodies, width: 1,
			cues: []cue{answer("ok", true), answer("text", "abc"), answer("account", "office"), answer("form", amountForm{Amount: 5, Way: "card"})},
			end: func(c claim, err error) error {
				if err != nil || c != (claim{Text: "abc", Account: "office", Amount: 5, N: 7}) {
					return fmt.Errorf("%+v, %w", c, err)
				}
				return nil
			},
		}
	})
}

func TestWN3_InputNodesThatFail(t *testing.T) {
	nothing := func(*claim, int) {}
	w := durable.Define("w", durable.Branch("b", func(c *claim) int { return c.In }).
		Case(0, durable.Input("late", func(*claim) durable.Ask {
			return durable.Ask{Options: []durable.WaitOption{durable.Timeout(time.Minute)}}
		}, nothing)).
		Case(1, durable.Input("cancelled", func(*claim) durable.Ask { return durable.Ask{} }, nothing)).
		Case(2, durable.Input("none", func(*claim) durable.Ask { return durable.Ask{} }, nothing).Choices(func(*claim) []durable.ChoiceOf[int] { return nil })).
		Case(3, durable.Input("length", func(*claim) durable.Ask { return durable.Ask{Options: []durable.WaitOption{durable.Length(1, 2)}} }, nothing)).
		Case(4, durable.Input("panics", func(*claim) durable.Ask { panic("no") }, nothing)))
	onStores(t, serve(w), func(t *testing.T, e env) {
		for in, c := range []struct{ code, path, text string }{
			{"wait_timeout", "b[0]/late", "timed out"},
			{"permanent", "b[1]/cancelled", "not needed"},
			{"permanent", "b[2]/none", "0 choices"},
			{"permanent", "b[3]/length", "Length"},
			{"panic", "b[4]/panics", "no"},
		} {
			run := durabletest.Start(e.Engine, w, claim{In: in})
			if in == 1 {
				run.Settle()
				if err := e.CancelWait(context.Background(), run.ID, "cancelled", "not needed"); err != nil {
					t.Fatal(err)
				}
			}
			wantError(t, wantFailure(t, run.Fails(), durable.Failed, c.code, c.path), nil, c.text)
		}
	})
	type odd struct {
		M map[string]claim `json:"m"`
	}
	bad := durable.Define("bad",
		durable.Input("form", func(*claim) durable.Ask { return durable.Ask{} }, func(*claim, odd) {}).Form(),
		durable.Input[claim, int]("nil", nil, nil).Choices(nil))
	_, err := durable.Open(t.Context(), nil, serve(bad))
	wantError(t, err, nil, "form: Form:", "cannot be a form", "nil: a function is nil", "nil: Choices: the function is nil")
}
