package ai

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

type oldPlan struct {
	Steps []string `json:"steps"`
}

type newPlan struct {
	Steps []string `json:"steps"`
	Owner string   `json:"owner"`
}

type strictPlan struct {
	Steps []string `json:"steps"`
}

func (p strictPlan) Validate() error {
	if len(p.Steps) < 2 {
		return errors.New("at least 2 steps")
	}
	return nil
}

// planning is a workflow whose agent gives a T, and then waits for somebody.
func planning[T any](got *[]T) *durable.Workflow[chat] {
	return durable.Define("talk", durable.Step("s", func(ctx context.Context, c *chat) error {
		plan, r, err := RunFor[T](ctx, Agent{Name: "a", Model: "smart"}, "plan it")
		if err != nil {
			return err
		}
		*got, c.Result = append(*got, plan), r
		_, err = durable.WaitForApproval(ctx, "ok")
		return err
	}))
}

// AI-9, for the answer of RunFor: what was accepted stays so, unless a deploy has changed what is asked for, so that it does not
// fit any more. Then the model is told, once, and gives another.
func TestAI9_AnswerAndDeploys(t *testing.T) {
	one := calls("answer", `{"steps":["x"]}`)
	t.Run("a field more", func(t *testing.T) {
		var old []oldPlan
		var plans []newPlan
		answerAfterDeploy(t, planning(&old), planning(&plans), "/owner: it is missing", one, calls("answer", `{"steps":["x"]}`), calls("answer", `{"steps":["x"],"owner":"eve"}`))
		if n := len(plans); n == 0 || plans[n-1].Owner != "eve" {
			t.Errorf("%+v", plans)
		}
	})
	t.Run("another rule", func(t *testing.T) {
		var old []oldPlan
		var plans []strictPlan
		answerAfterDeploy(t, planning(&old), planning(&plans), "at least 2 steps", one, calls("answer", `{"steps":["x","y"]}`))
		if n := len(plans); n == 0 || len(plans[n-1].Steps) != 2 {
			t.Errorf("%+v", plans)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		var old, plans []oldPlan
		answerAfterDeploy(t, planning(&old), planning(&plans), "", one)
		if n := len(plans); n == 0 || len(plans[n-1].Steps) != 1 {
			t.Errorf("%+v", plans)
		}
	})
}

// answerAfterDeploy runs a workflow until it waits with its answer, then other code of it, twice.
func answerAfterDeploy(t *testing.T, before, after *durable.Workflow[chat], why string, lines ...func(*Request) Response) {
	t.Helper()
	p := &played{lines: lines}
	durabletest.Run(t, config(before), func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, before, chat{})
		r.Settle()
		if p.requests() != 1 || !slices.Equal(r.Waits(), []string{"ok"}) {
			t.Fatalf("%d requests, waits for %q", p.requests(), r.Waits())
		}
		e.Deploy(config(after))
		r.Settle()
		e.Restart() // what is recorded since stays, too
		r.Answer("ok", true)
		got := r.Settle()
		if got.Status == durable.Waiting { // the wait was of the code before
			r.Answer("ok", true)
		}
		list := texts(r.Done().Result.Messages)
		if p.requests() != len(lines) || len(list) != len(lines) || list[len(list)-1] != "The answer is accepted." {
			t.Errorf("%d requests, the model reads %q", p.requests(), list)
		}
		if why != "" && (!strings.HasPrefix(list[0], "! this answer is not taken any more") || !strings.Contains(list[0], why)) {
			t.Errorf("the model reads %q", list[0])
		}
	}, durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))
}

// AI-10: older code may have had a tool named as that for the answer. A call of it that was cut off is none of an answer.
func TestAI10_ToolNamedAnswer(t *testing.T) {
	e := new(effects)
	p := &played{lines: []func(*Request) Response{calls("answer", `{"order":"7"}`), calls("answer", `{"order":"8"}`), speak("done")}}
	mine := talks("talk", func() Agent {
		return Agent{Name: "a", Model: "smart", Tools: []Tool{NewTool("answer", "answers a letter", func(ctx context.Context, o order) (string, error) {
			e.add("sent " + o.Order)
			<-ctx.Done()
			return "", ctx.Err()
		})}}
	})
	var got order
	asks := durable.Define("talk", durable.Step("s", func(ctx context.Context, c *chat) (err error) {
		got, c.Result, err = RunFor[order](ctx, Agent{Name: "a", Model: "smart"}, "do it")
		return err
	}))
	durabletest.Run(t, config(mine), func(t *testing.T, engine *durabletest.Engine) {
		r := durabletest.Start(engine, mine, chat{})
		engine.Sleep(1)
		engine.Crash()
		engine.Deploy(config(asks))
		r.Settle()
		if !slices.Equal(r.Waits(), []string{"doubt:a[1.1]"}) {
			t.Fatalf("it waits for %q, %s", r.Waits(), e)
		}
		r.Answer("doubt:a[1.1]", DoubtAnswer{Happened: "no"})
		if list := texts(r.Done().Result.Messages); e.of("sent 7") != 1 || got.Order != "8" || !strings.Contains(list[0], "no call for the final answer") {
			t.Errorf("%s, %+v, %q", e, got, list)
		}
	}, durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))
}
