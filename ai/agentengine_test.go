package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// chat is the state of workflows with an agent.
type chat struct {
	Result *AgentResult
}

func talks(name string, a func() Agent) *durable.Workflow[chat] {
	return durable.Define(name, durable.Step("s", func(ctx context.Context, c *chat) (err error) {
		c.Result, err = a().Run(ctx, "do it")
		return err
	}).Retry(durable.Retry{MaxAttempts: 5}))
}

// operate answers what a run asks, as somebody who sees what has happened, until it ends.
func operate(t *testing.T, e *durabletest.Engine, r *durabletest.Started[chat], answer func(name string, q Question) any, settled ...func()) *AgentResult {
	t.Helper()
	for range 200 {
		r.Settle()
		for _, fn := range settled {
			fn()
		}
		page, err := e.PendingInputs(t.Context(), durable.InputFilter{})
		if err == nil && len(page.Inputs) == 0 {
			return r.Done().Result
		}
		for _, in := range page.Inputs {
			q := Question{Prompt: in.Prompt, Schema: in.Schema}
			switch {
			case strings.HasPrefix(in.Name, "approve:"):
				q.Details = decoded[ApprovalDetails](t, in.Details)
			case strings.HasPrefix(in.Name, "doubt:"):
				q.Details = decoded[DoubtDetails](t, in.Details)
			}
			// A worker that has just died does not take the answer; then it is asked for again.
			_ = e.ProvideInput(t.Context(), in.Execution, in.ID, answer(in.Name, q))
		}
	}
	t.Fatalf("run %s does not end", r.ID)
	return nil
}

// shown is what a run shows to who is to agree.
func shown(t *testing.T, e *durabletest.Engine, r *durabletest.Started[chat]) ApprovalDetails {
	t.Helper()
	page, err := e.PendingInputs(t.Context(), durable.InputFilter{Execution: r.ID})
	if err != nil || len(page.Inputs) != 1 {
		t.Fatal(err, page)
	}
	return decoded[ApprovalDetails](t, page.Inputs[0].Details)
}

func decoded[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// AI-8: on the real engine, in virtual time, killed after each write in turn.
func TestAI8_AgentKilledAfterEveryWrite(t *testing.T) {
	for _, store := range []string{"memory", "sqlite"} {
		t.Run(store, func(t *testing.T) {
			var want []Message
			step := map[string]int{"memory": 1, "sqlite": 4}[store]
			for n := 0; ; n += step {
				e, p := new(effects), &played{lines: talkLines()}
				var opts []durabletest.Option
				if store == "sqlite" {
					opts = append(opts, durabletest.Store(sqliteOpener(t)))
				}
				w := talks("talk", func() Agent { return Agent{Name: "a", Model: "smart", Tools: kit(e)} })
				kills, sum := 0, Sum{}
				var got *AgentResult
				durabletest.Run(t, config(w), func(t *testing.T, engine *durabletest.Engine) {
					if n > 0 {
						engine.CrashAfter(n)
					}
					r := durabletest.Start(engine, w, chat{}, durable.Key("1"))
					got = operate(t, engine, r, human(e))
					kills, sum = engine.Crashes(), sumOf(t, engine, r.ID)
				}, append(opts, durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))...)
				if want == nil {
					want = got.Messages
				}
				if !reflect.DeepEqual(got.Messages, want) || got.Turns != 5 {
					t.Errorf("killed after write %d: another transcript: %+v", n, got.Messages)
				}
				if sum.Answers != 5 || sum.Requests < p.requests() || sum.PossiblyPaid != sum.Requests-5 || p.requests() > 5+kills {
					t.Errorf("killed after write %d: %d requests, recorded %+v", n, p.requests(), sum)
				}
				for _, what := range []string{"note 1", "refund 1", "refund 2"} {
					if k := e.of(what); k != 1 {
						t.Errorf("killed after write %d: %s ran %d times: %s", n, what, k, e)
					}
				}
				if n > 0 && kills == 0 {
					if n < 20 {
						t.Errorf("it took %d writes", n)
					}
					return
				}
			}
		})
	}
}

// AI-8: on SQLite, killed at moments of chance, again and again.
func TestAI8_AgentWeatherSQLite(t *testing.T) {
	kills, possibly := 0, 0
	for seed := uint64(1); kills < *weatherKills/20 && !t.Failed(); seed++ {
		e, p := new(effects), &played{lines: talkLines()}
		chance := rand.New(rand.NewPCG(seed, 7))
		w := talks("talk", func() Agent { return Agent{Name: "a", Model: "smart", Tools: kit(e)} })
		durabletest.Run(t, config(w), func(t *testing.T, engine *durabletest.Engine) {
			engine.CrashAfter(1 + chance.IntN(12))
			r := durabletest.Start(engine, w, chat{}, durable.Key("1"))
			seen := 0
			got := operate(t, engine, r, human(e), func() {
				if engine.Crashes() > seen {
					seen = engine.Crashes()
					engine.CrashAfter(1 + chance.IntN(12))
				}
			})
			sum := sumOf(t, engine, r.ID)
			if sum.Answers != 5 || sum.Requests < p.requests() || sum.PossiblyPaid != sum.Requests-5 || got.Turns != 5 {
				t.Errorf("seed %d: %d requests, recorded %+v", seed, p.requests(), sum)
			}
			for _, what := range []string{"note 1", "refund 1", "refund 2"} {
				if k := e.of(what); k != 1 {
					t.Errorf("seed %d: %s ran %d times: %s", seed, what, k, e)
				}
			}
			kills, possibly = kills+engine.Crashes(), possibly+sum.PossiblyPaid
		}, durabletest.Store(sqliteOpener(t)), durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))
	}
	t.Logf("%d kills, %d requests listed as possibly paid", kills, possibly)
}

// AI-12: what does not fit the question is refused when it is given, and changes nothing.
func TestAI12_RefusedAnswers(t *testing.T) {
	p, e := &played{lines: []func(*Request) Response{calls("refund", `{"order":"1"}`), speak("done")}}, new(effects)
	w := talks("talk", func() Agent { return Agent{Name: "a", Model: "smart", Tools: kit(e)} })
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, engine *durabletest.Engine) {
		p.asked, p.last = nil, nil
		e.done = nil
		r := durabletest.Start(engine, w, chat{})
		r.Settle()
		right := shown(t, engine, r).Approve()["1.1"].Hash
		for _, wrong := range []Decision{
			{Decision: "approve", Hash: argsHash("refund", []byte(`{"order":"2"}`))},
			{Decision: "edit", Hash: right, Args: json.RawMessage(`{"order":2}`)},
			{Decision: "edit", Hash: right, Args: json.RawMessage(`{"order":"1","more":"x"}`)},
		} {
			before := len(r.Look().Steps)
			err := engine.ProvideInput(t.Context(), r.ID, "approve:a[1]", map[string]Decision{"1.1": wrong})
			var refused *durable.AnswerError
			if !errors.As(err, &refused) || len(r.Look().Steps) != before || e.of("refund 1") != 0 || len(r.Waits()) != 1 {
				t.Errorf("%+v: %v", wrong, err)
			}
		}
		r.Answer("approve:a[1]", map[string]Decision{"1.1": {Decision: "edit", Hash: right, Args: json.RawMessage(`{"order":"7"}`)}})
		if r.Done(); e.of("refund 7") != 1 || e.of("refund 1") != 0 || p.requests() != 2 {
			t.Errorf("%s, %v", e, p.asked)
		}
	})
}

// AI-5 for agents: a week of waiting for a yes costs no request, and holds no slot. Nobody who answers in time is a no.
func TestAI5_ApprovalTakesAWeek(t *testing.T) {
	p, e := &played{lines: []func(*Request) Response{calls("refund", `{"order":"1"}`), calls("slow", `{"order":"2"}`), speak("done")}}, new(effects)
	w := talks("talk", func() Agent {
		slow := NewTool("slow", "x", func(context.Context, order) (string, error) { e.add("slow"); return "", nil }, Approve(), ApproveWithin(24*time.Hour))
		return Agent{Name: "a", Model: "smart", Tools: append(kit(e), slow)}
	})
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, engine *durabletest.Engine) {
		p.asked, p.last = nil, nil
		e.done = nil
		r := durabletest.Start(engine, w, chat{})
		engine.Sleep(7 * 24 * time.Hour)
		if x := r.Look(); x.Status != durable.Waiting || e.of("refund 1") != 0 || p.requests() != 1 {
			t.Errorf("%s after %d requests", x.Status, p.requests())
		}
		engine.Restart()
		r.Answer("approve:a[1]", shown(t, engine, r).Approve())
		got := r.Done().Result // a day passes
		if p.requests() != 3 || e.of("refund 1") != 1 || e.of("slow") != 0 || texts(got.Messages)[1] != "! a person has rejected this call: nobody answered in time" {
			t.Errorf("%v, %s, %q", p.asked, e, texts(got.Messages))
		}
	})
}

// A budget is kept over turns, and raised by a person; the turns before are not asked again.
func TestAgentAgentBudget(t *testing.T) {
	p, e := &played{lines: []func(*Request) Response{calls("look", `{"order":"1"}`), calls("look", `{"order":"2"}`), speak("done")}}, new(effects)
	w := talks("talk", func() Agent {
		return Agent{Name: "a", Model: "smart", Tools: kit(e), Budget: Budget{Calls: 2}}
	})
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, engine *durabletest.Engine) {
		p.asked, p.last = nil, nil
		r := durabletest.Start(engine, w, chat{})
		r.Settle()
		if p.requests() != 2 || len(r.Waits()) != 1 || r.Waits()[0] != "ai.hold" {
			t.Fatalf("%d requests, waits %q", p.requests(), r.Waits())
		}
		r.Answer("ai.hold", map[string]any{"do": "raise", "calls": 3})
		if got := r.Done().Result; p.requests() != 3 || got.Turns != 3 {
			t.Errorf("%v", p.asked)
		}
	})
}

// What agents that are tools spend counts for the agent that has them.
func TestAgentBudgetOfSubAgents(t *testing.T) {
	p := &played{lines: []func(*Request) Response{calls("look", `{"order":"1"}`), speak("done")}}
	boss := &played{lines: []func(*Request) Response{calls("helper", `{"task":"x"}`), speak("done")}}
	c, err := New(Config{Providers: map[string]Provider{"in": p, "out": boss}, Getenv: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	sub := Agent{Name: "helper", Model: "in:x", Tools: kit(new(effects))}
	_, err = Agent{Name: "boss", Model: "out:x", Tools: []Tool{sub.AsTool("helper", "helps")}, Budget: Budget{Calls: 3, Fail: true}}.Run(WithClient(t.Context(), c), "x")
	if !IsKind(err, OverBudget) || p.requests() != 2 || boss.requests() != 1 {
		t.Errorf("%v after %d and %d requests", err, boss.requests(), p.requests())
	}
}

// A durable call in a tool that is not Inline is a mistake of the code, and stops the step.
func TestAgentDurableCallInPlainTool(t *testing.T) {
	p := &played{lines: []func(*Request) Response{calls("nap", `{}`), speak("done")}}
	w := talks("talk", func() Agent {
		return Agent{Name: "a", Model: "smart", Tools: []Tool{
			NewTool("nap", "x", func(ctx context.Context, _ struct{}) (string, error) { return "", durable.Sleep(ctx, time.Hour) }, ReadOnly()),
		}}
	})
	durabletest.Run(t, config(w), func(t *testing.T, engine *durabletest.Engine) {
		end := durabletest.Start(engine, w, chat{}).Fails()
		if !strings.Contains(end.Cause.Message, "make the tool Inline") || end.Cause.Attempt != 1 {
			t.Errorf("%+v", end.Cause)
		}
	}, durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))
}

// A timeout that cuts a tool off, the step's or the body's own, leaves it in doubt: it is not told to the model as the
// tool's error.
func TestAgentCutOffByTimeout(t *testing.T) {
	for _, own := range []bool{false, true} {
		p, runs := &played{lines: []func(*Request) Response{calls("slow", `{}`), speak("done")}}, 0
		step := durable.Step("s", func(ctx context.Context, c *chat) (err error) {
			if own {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, time.Minute)
				defer stop()
			}
			slow := NewTool("slow", "x", func(ctx context.Context, _ struct{}) (string, error) {
				runs++
				<-ctx.Done()
				return "", ctx.Err()
			})
			c.Result, err = Agent{Name: "a", Model: "smart", Tools: []Tool{slow}}.Run(ctx, "do it")
			return err
		}).Retry(durable.Retry{MaxAttempts: 2})
		if !own {
			step.Timeout(time.Minute)
		}
		w := durable.Define("talk", step)
		durabletest.Run(t, config(w), func(t *testing.T, engine *durabletest.Engine) {
			r := durabletest.Start(engine, w, chat{})
			r.Settle()
			if fmt.Sprint(r.Waits()) != "[doubt:a[1.1]]" || runs != 1 {
				t.Fatalf("own: %v: waits %q, ran %d times", own, r.Waits(), runs)
			}
			r.Answer("doubt:a[1.1]", DoubtAnswer{Happened: "yes", Result: "slowly"})
			if got := r.Done().Result; texts(got.Messages)[0] != "slowly" || runs != 1 || p.requests() != 2 {
				t.Errorf("own: %v: %+v, ran %d times", own, got, runs)
			}
		}, durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))
	}
}

// Agents within agents within agents: long names of records, and a person asked at the bottom.
func TestAgentNested(t *testing.T) {
	const depth = 6
	p := &counted{answer: func(_ int, name string, r *model.Request) (*Response, error) {
		if r.Messages[len(r.Messages)-1].Role != User {
			return answer("done"), nil
		}
		tool, args := "down", `{"task":"x"}`
		if name == "bottom" {
			tool, args = "ask", `{"question":"how deep?"}`
		}
		return &Response{Message: Message{Calls: []ToolCall{{ID: "1", Name: tool, Args: json.RawMessage(args)}}}, Stop: StopTools}, nil
	}}
	name := strings.Repeat("n", 64)
	a := Agent{Name: name, Model: "fake:bottom", Tools: []Tool{AskHuman("ask", "asks", 0)}}
	for range depth {
		a = Agent{Name: name, Model: "fake:level", Tools: []Tool{a.AsTool("down", "goes down")}}
	}
	w := talks("talk", func() Agent { return a })
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, engine *durabletest.Engine) {
		before := p.count()
		r := durabletest.Start(engine, w, chat{})
		r.Settle()
		engine.Restart()
		r.Answer("ask:"+name+"[1.1]", "six")
		if got := r.Done().Result; got.Text != "done" || p.count()-before != 2*(depth+1) {
			t.Errorf("%+v after %d requests", got, p.count()-before)
		}
	})
}

// An answer that is given again, by a click or by a retry, is for the wait that it was given for. Another call with the
// same place, tool and arguments, as in the next pass of a loop, needs a yes of its own.
func TestAI12_OldAnswer(t *testing.T) {
	e := new(effects)
	p := &played{lines: []func(*Request) Response{calls("refund", `{"order":"1"}`), speak("done"), calls("refund", `{"order":"1"}`), speak("done")}}
	pass := 0
	w := durable.Define("talk", durable.Loop("l", func(c *chat) bool { return c.Result == nil || pass < 2 }, durable.Step("s", func(ctx context.Context, c *chat) (err error) {
		if c.Result, err = (Agent{Name: "a", Model: "smart", Tools: kit(e)}).Run(ctx, "do it"); err == nil {
			pass++
		}
		return err
	})).Max(5))
	durabletest.Run(t, config(w), func(t *testing.T, engine *durabletest.Engine) {
		r := durabletest.Start(engine, w, chat{})
		r.Settle()
		old := shown(t, engine, r).Approve()
		r.Answer("approve:a[1]", old)
		r.Settle()
		if n := e.of("refund 1"); n != 1 {
			t.Fatalf("refunded %d times", n)
		}
		var refused *durable.AnswerError
		if err := engine.ProvideInput(t.Context(), r.ID, "approve:a[1]", old); !errors.As(err, &refused) {
			t.Errorf("the old answer to the new wait: %v", err)
		}
		r.Settle()
		if n := e.of("refund 1"); n != 1 {
			t.Errorf("refunded %d times with one yes", n)
		}
	}, durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))
}
