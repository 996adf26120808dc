package durable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// wantRefused wants an error that names exactly these options as not for a call.
func wantRefused(t *testing.T, err error, call string, options ...string) {
	t.Helper()
	wantError(t, err, durable.ErrInvalid, "options that are not for "+call+": ")
	if err == nil {
		return
	}
	for _, name := range options {
		wantError(t, err, nil, name+" is for ")
	}
	if n := strings.Count(err.Error(), " is for "); n != len(options) {
		t.Errorf("%d options are refused, want %q: %v", n, options, err)
	}
}

// An option that would have no effect is refused, with all others of the call.
func TestEV4_IN4_OptionsOfOtherCalls(t *testing.T) {
	w := durable.Define("w",
		durable.Input("q", func(*note) durable.Ask { return durable.Ask{} }, func(n *note, s string) { n.Kind = s }))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		all := []durable.ActOption{
			durable.By("ada"), durable.EventID("1"), durable.Early(), durable.AndCompensate(), durable.Force(), durable.KeepPaused(), durable.Keep(time.Hour),
			durable.Early(), // once is enough in the error
		}
		_, publish := e.Publish(ctx, "x", "k", 1, all...)
		_, drain := e.DrainQueue(ctx, "default", all...)
		_, again := e.Publish(ctx, "x", "k", 1, durable.Early())
		wantRefused(t, e.SendEvent(ctx, run.ID, "x", 1, all...), "SendEvent", "By", "Early", "AndCompensate", "Force", "KeepPaused", "Keep")
		wantRefused(t, publish, "Publish", "By", "Early", "AndCompensate", "Force", "KeepPaused")
		wantRefused(t, again, "Publish", "Early")
		wantRefused(t, e.ProvideInput(ctx, run.ID, "q", "a", all...), "ProvideInput", "EventID", "AndCompensate", "Force", "KeepPaused", "Keep")
		wantRefused(t, e.Cancel(ctx, run.ID, "", all...), "Cancel", "EventID", "Early", "KeepPaused", "Keep")
		wantRefused(t, e.Retry(ctx, run.ID, all...), "Retry", "EventID", "Early", "AndCompensate", "Force", "KeepPaused", "Keep")
		wantRefused(t, e.CancelWait(ctx, run.ID, "q", "", all...), "CancelWait", "EventID", "Early", "AndCompensate", "Force", "KeepPaused", "Keep")
		wantRefused(t, e.ExtendWait(ctx, run.ID, "q", 1, all...), "ExtendWait", "EventID", "Early", "AndCompensate", "Force", "KeepPaused", "Keep")
		wantRefused(t, e.PauseQueue(ctx, "default", all...), "PauseQueue", "EventID", "Early", "AndCompensate", "Force", "KeepPaused", "Keep")
		wantRefused(t, drain, "DrainQueue", "EventID", "Early", "AndCompensate", "Force", "Keep")
		if x := run.Look(); x.Status != durable.Waiting {
			t.Errorf("a refused call has changed the run: %s", x.Status)
		}
		run.Answer("q", "yes", durable.By("ada"), durable.Early())
		run.Done()
	})
}

func TestCH6_DO6_OptionsOfOtherCalls(t *testing.T) {
	child := durable.Define("child", mark("a"))
	start := []durable.StartOption{durable.Key("k"), durable.Tags("x"), durable.Priority(5), durable.At(time.Now()), durable.InQueue("default")}
	wait := []durable.WaitOption{
		durable.Timeout(time.Hour), durable.OnTimeout(note{}), durable.Named("n"), durable.Prompt("p"), durable.Details(1), durable.Schema([]byte("true")),
		durable.Length(1, 2), durable.Multiline(), durable.Assignee("ada"), durable.Reminder(time.Hour), durable.Escalate(time.Hour, "eve"), durable.Correlate("x"),
	}
	both := []durable.CallOption{durable.Detached()}
	for _, o := range start {
		both = append(both, o)
	}
	for _, o := range wait {
		both = append(both, o)
	}
	ignored := []string{"Named", "Prompt", "Details", "Schema", "Length", "Multiline", "Correlate"}
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		k, err := durable.Spawn(ctx, child, note{})
		if err != nil {
			return err
		}
		if _, err := durable.Await(ctx, k); err != nil {
			return err
		}
		_, err = durable.Spawn(ctx, child, note{}, both...)
		wantRefused(t, err, "Spawn", append([]string{"Key", "Timeout", "OnTimeout", "Assignee", "Reminder", "Escalate"}, ignored...)...)
		_, err = durable.Call(ctx, child, note{}, both...)
		wantRefused(t, err, "Call", append([]string{"Detached", "Key"}, ignored...)...)
		_, err = durable.Await(ctx, k, both...) // it has ended
		wantRefused(t, err, "Await", append([]string{"Detached", "Key", "Tags", "Priority", "At", "InQueue"}, ignored...)...)
		wantRefused(t, durable.Sleep(ctx, 1, wait...), "Sleep", "Timeout", "OnTimeout", "Prompt", "Details", "Schema", "Length", "Multiline", "Assignee", "Reminder", "Escalate", "Correlate")
		_, err = durable.WaitForEvent[int](ctx, "x", wait...)
		wantRefused(t, err, "WaitForEvent", "Named", "Prompt", "Details", "Schema", "Length", "Multiline")
		_, err = durable.WaitForAny(ctx, []string{"x"}, wait...)
		wantRefused(t, err, "WaitForAny", "Named", "Prompt", "Details", "Schema", "Length", "Multiline")
		_, err = durable.WaitForAll(ctx, []string{"x"}, wait...)
		wantRefused(t, err, "WaitForAll", "Named", "Prompt", "Details", "Schema", "Length", "Multiline")
		_, err = durable.WaitForInput[int](ctx, "x", wait...)
		wantRefused(t, err, "WaitForInput", "Named", "Length", "Multiline", "Correlate")
		_, err = durable.WaitForApproval(ctx, "x", wait...)
		wantRefused(t, err, "WaitForApproval", "Named", "Schema", "Length", "Multiline", "Correlate")
		_, err = durable.WaitForChoice(ctx, "x", durable.ChoicesOf(1), wait...)
		wantRefused(t, err, "WaitForChoice", "Named", "Schema", "Length", "Multiline", "Correlate")
		_, err = durable.WaitForChoices(ctx, "x", durable.ChoicesOf(1), wait...)
		wantRefused(t, err, "WaitForChoices", "Named", "Schema", "Multiline", "Correlate")
		_, err = durable.WaitForText(ctx, "x", wait...)
		wantRefused(t, err, "WaitForText", "Named", "Schema", "Correlate")
		_, err = durable.WaitForForm[review](ctx, "x", wait...)
		wantRefused(t, err, "WaitForForm", "Named", "Schema", "Length", "Multiline", "Correlate")
		return nil
	}))
	asked := durable.Define("asked", durable.Input("q", func(*note) durable.Ask { return durable.Ask{Options: wait} }, func(*note, bool) {}))
	inMemory(t, serve(w, child, asked), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Done()
		if kids := childrenOf(t, e, run.ID); len(kids) != 1 {
			t.Errorf("%d children, want the one that is awaited", len(kids))
		}
		wantError(t, durabletest.Start(e.Engine, asked, note{}).Fails(), nil, "not for WaitForInput: Named is for Sleep; Length is for WaitForChoices, WaitForText; Multiline", "Correlate")
	})
}

func TestIN3_ARefusedChoiceSaysWhatThereIs(t *testing.T) {
	many := make([]int, 100)
	for i := range many {
		many[i] = i
	}
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		if _, err := durable.WaitForChoice(ctx, "place", []durable.ChoiceOf[place]{{Value: place{City: "Ulm"}, Label: "one"}, {Value: place{City: "<b>" + strings.Repeat("ö", 200)}, Label: "two"}}); err != nil {
			return err
		}
		_, err := durable.WaitForChoices(ctx, "many", durable.ChoicesOf(many...))
		return err
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		refused := func(wait string, value any, want string) {
			t.Helper()
			err := e.ProvideInput(context.Background(), run.ID, wait, value)
			var bad *durable.AnswerError
			if !errors.As(err, &bad) || len(bad.Fields) != 1 || bad.Fields[0].Message != want {
				t.Errorf("error %v, want %q", err, want)
			}
		}
		refused("place", place{City: "Bonn"}, `it must be one of {"city":"Ulm","zip":""}, {"city":"<b>`+strings.Repeat("ö", 44)+"…")
		run.Answer("place", place{City: "Ulm"})
		run.Settle()
		list := strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintln(many[:20]), " ", ", "), "]\n")
		refused("many", []int{100}, "it must be one of "+strings.TrimPrefix(list, "[")+" and 80 more")
		run.Answer("many", []int{99})
		run.Done()
	})
}
