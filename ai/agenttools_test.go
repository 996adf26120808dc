package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

type verdict struct {
	Guilty bool   `json:"guilty"`
	Why    string `json:"why"`
}

func (v verdict) Validate() error {
	if v.Guilty && v.Why == "" {
		return errors.New("say why")
	}
	return nil
}

// The answer comes as a call of the tool answer, alone, and fits; plain text gets one reminder.
func TestRunFor(t *testing.T) {
	e := new(effects)
	p, ctx := play(t,
		calls("answer", `{"guilty":true,"why":"x"}`, "look", `{"order":"1"}`), // with another call
		calls("answer", `{"guilty":"yes"}`),
		calls("answer", `{"guilty":true,"why":""}`),
		speak("I think he did it."),
		calls("answer", `{"guilty":true,"why":"the dog"}`),
		speak("You are welcome."))
	v, r, err := RunFor[verdict](ctx, Agent{Name: "judge", Model: "smart", Tools: kit(e)}, "Guilty?")
	if err != nil || v != (verdict{true, "the dog"}) || r.Turns != 5 || e.of("look 1") != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	got := texts(r.Messages)
	for i, want := range []string{"call answer alone", "look of 1", "/why: it is missing", "say why", "accepted"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("result %d is %q, want %q", i+1, got[i], want)
		}
	}
	if m := p.last[4].Messages; m[len(m)-1].Role != User || !strings.Contains(m[len(m)-1].Text, "tool answer") {
		t.Errorf("the reminder is %+v", m[len(m)-1])
	}
	next, err := r.Continue(ctx, "Thank you.")
	if err != nil || next.Text != "You are welcome." || len(p.last[5].Tools) != len(kit(e)) {
		t.Errorf("%+v, %v", next, err)
	}
	_, ctx = play(t, speak("yes"), speak("yes"))
	if _, r, err := RunFor[verdict](ctx, Agent{Name: "judge", Model: "smart"}, "Guilty?"); !IsKind(err, BadAnswer) || len(r.Messages) != 4 {
		t.Errorf("text twice: %v", err)
	}
	p, ctx = play(t, speak("yes"), speak("yes"), calls("answer", `{"guilty":false}`), calls("answer", `{"guilty":false,"why":""}`))
	j := newTape(t)
	body := func(ctx context.Context) error {
		_, _, err := RunFor[verdict](ctx, Agent{Name: "judge", Model: "smart"}, "Guilty?")
		return err
	}
	if err := j.finish(ctx, body); !IsKind(err, BadAnswer) || p.requests() != 2 {
		t.Errorf("text twice: %v", err)
	}
	if err := j.finish(ctx, body); err != nil || p.requests() != 4 { // the next attempt goes on from there
		t.Errorf("the next attempt: %v after %d requests", err, p.requests())
	}
	_, ctx = play(t, calls("answer", `{"value":[1,2]}`))
	if v, _, err := RunFor[[]int](ctx, Agent{Name: "judge", Model: "smart"}, "Which?"); err != nil || !slices.Equal(v, []int{1, 2}) {
		t.Errorf("%v, %v", v, err)
	}
	_, ctx = play(t, speak("yes"))
	type endless struct{ Next []endless }
	if _, _, err := RunFor[endless](ctx, Agent{Name: "judge", Model: "smart"}, "Which?"); !IsKind(err, Invalid) {
		t.Errorf("%v", err)
	}
	mine := NewTool("answer", "is mine", func(context.Context, order) (int, error) { return 0, nil })
	if _, _, err := RunFor[verdict](ctx, Agent{Name: "judge", Model: "smart", Tools: []Tool{mine}}, "Guilty?"); !IsKind(err, Invalid) {
		t.Errorf("two tools named answer: %v", err)
	}
}

// An agent as a tool has records of its own, asks for approvals as ever, and what it spends counts for both.
func TestAgentAsTool(t *testing.T) {
	var want []Message
	for n := 0; ; n++ {
		e := new(effects)
		inner, ctx := play(t, func(r *Request) Response {
			return calls("refund", `{"order":"`+r.Messages[0].Text+`"}`)(r)
		}, speak("it is done"))
		outer := &played{lines: []func(*Request) Response{
			calls("helper", `{"task":"1"}`, "helper", `{"task":"2"}`), speak("all done"),
		}}
		c, err := New(Config{Providers: map[string]Provider{"in": inner, "out": outer}, Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		ctx = WithClient(ctx, c)
		j := newTape(t)
		j.answer = human(e)
		count := 0
		j.dies = func(_ string, after bool) bool {
			if after {
				count++
			}
			return after && count == n
		}
		sub := Agent{Name: "helper", Model: "in:one", Tools: kit(e)[3:4]}
		var r *AgentResult
		err = j.finish(ctx, func(ctx context.Context) (err error) {
			r, err = Agent{Name: "boss", Model: "out:one", Tools: []Tool{sub.AsTool("helper", "helps")}}.Run(ctx, "x")
			return err
		})
		if err != nil || r.Usage.Input != 60 || r.Cost.Unpriced != 6 || inner.requests() != 4 || outer.requests() != 2 || e.of("refund 1") != 1 || e.of("refund 2") != 1 {
			t.Fatalf("killed at record %d: %v, %+v, %s", n, err, r, e)
		}
		keys := 0
		for what, k := range e.done {
			if strings.HasPrefix(what, "key ") {
				if keys++; k != 1 {
					t.Errorf("two calls have one key: %s", e)
				}
			}
		}
		if keys != 2 {
			t.Errorf("keys of calls: %s", e)
		}
		if want == nil {
			want = r.Messages
		}
		if fmt.Sprint(want) != fmt.Sprint(r.Messages) {
			t.Errorf("killed at record %d: %v", n, r.Messages)
		}
		if n > 0 && j.dead == 0 {
			break
		}
	}
}

// What an agent as a tool cannot do is told to the outer model; what needs the step stops both.
func TestAgentAsToolErrors(t *testing.T) {
	e := new(effects)
	_, ctx := play(t, speak("x"))
	run := func(opts []func(*Request) Response, tools []Tool) (*AgentResult, error) {
		inner := &played{lines: opts}
		outer := &played{lines: []func(*Request) Response{calls("helper", `{"task":"x"}`), speak("sorry")}}
		c, err := New(Config{Providers: map[string]Provider{"in": inner, "out": outer}, Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		sub := Agent{Name: "helper", Model: "in:one", Tools: tools, MaxTurns: 1}
		return Agent{Name: "boss", Model: "out:one", Tools: []Tool{sub.AsTool("helper", "helps")}}.Run(WithClient(ctx, c), "x")
	}
	r, err := run([]func(*Request) Response{calls("look", `{"order":"1"}`)}, kit(e))
	if err != nil || !strings.Contains(texts(r.Messages)[0], "no answer after 1 turns") {
		t.Errorf("%v", err)
	}
	if _, err := run([]func(*Request) Response{calls("refund", `{"order":"1"}`)}, kit(e)); !errors.Is(err, ErrNoApproval) {
		t.Errorf("%v", err)
	}
	if _, err := run([]func(*Request) Response{calls("ask", `{"question":"?"}`)}, kit(e)); !errors.Is(err, ErrNoApproval) {
		t.Errorf("%v", err)
	}
	if _, err := run(nil, kit(e)); !IsKind(err, Invalid) {
		t.Errorf("%v", err)
	}
	bad := Agent{Name: "no good"}.AsTool("bad", "x")
	if _, err := (Agent{Name: "boss", Model: "smart", Tools: []Tool{bad}}).Run(ctx, "x"); err == nil || !strings.Contains(err.Error(), "no good") {
		t.Errorf("%v", err)
	}
}

// A model asks a person, with choices or without, and learns that nobody answered.
func TestAskHuman(t *testing.T) {
	_, ctx := play(t, calls("ask", `{"question":"colour?","choices":["red","blue"]}`, "ask", `{"question":"why?"}`), speak("done"))
	j := newTape(t)
	j.answer = func(name string, q Question) any {
		d := q.Details.(HumanDetails)
		if !q.Timed || q.Timeout != time.Hour || d.Agent != "a" {
			t.Errorf("%+v", q)
		}
		if name == "ask:a[1.1]" {
			return "blue"
		}
		return q.Default
	}
	var r *AgentResult
	err := j.finish(ctx, func(ctx context.Context) (err error) {
		r, err = Agent{Name: "a", Model: "smart", Tools: []Tool{AskHuman("ask", "asks", time.Hour)}}.Run(ctx, "x")
		return err
	})
	if got := texts(r.Messages); err != nil || !slices.Equal(got, []string{"blue", "! nobody answered"}) || len(j.asked) != 2 {
		t.Errorf("%v, %q, asked %q", err, got, j.asked)
	}
}

// Tools of one turn run beside each other, those that write one after another, and results are in the model's order.
func TestToolsTogether(t *testing.T) {
	first, second := make(chan bool), make(chan bool)
	meet := func(ctx context.Context, o order) (string, error) {
		switch o.Order {
		case "1":
			close(first)
			<-second // which ends before this one
		case "2":
			<-first
			close(second)
		}
		return o.Order, nil
	}
	running := 0
	write := func(_ context.Context, o order) (string, error) {
		if running++; running > 1 {
			t.Error("two tools that write run at once")
		}
		defer func() { running-- }()
		return o.Order, nil
	}
	never := ApproveIf(func(order) bool { return false })
	_, ctx := play(t, calls("meet", `{"order":"1"}`, "meet", `{"order":"2"}`, "write", `{"order":"3"}`, "write", `{"order":"4"}`, "meet", `{"order":"5"}`), speak("done"))
	r, err := Agent{Name: "a", Model: "smart", Tools: []Tool{NewTool("meet", "x", meet), NewTool("write", "x", write, Writes(), never)}}.Run(ctx, "x")
	if err != nil || !slices.Equal(texts(r.Messages), []string{"1", "2", "3", "4", "5"}) {
		t.Errorf("%v, %q", err, texts(r.Messages))
	}
}

// An inline tool whose result is recorded does not run again, also not for another attempt of the step.
func TestAgentInlineLeftOut(t *testing.T) {
	e := new(effects)
	pay := NewTool("pay", "pays", func(ctx context.Context, o order) (string, error) {
		_, err := journalOf(ctx).Do(ctx, "pay", func(context.Context) (json.RawMessage, error) {
			if e.add("pay " + o.Order); e.of("pay "+o.Order) == 1 {
				return nil, errors.New("the bank is closed")
			}
			return json.RawMessage(`true`), nil
		})
		return "paid", err
	}, Inline())
	_, ctx := play(t, calls("pay", `{"order":"1"}`), calls("pay", `{"order":"2"}`), speak("done"))
	j := newTape(t)
	var r *AgentResult
	body := func(ctx context.Context) (err error) {
		if r, err = (Agent{Name: "a", Model: "smart", Tools: []Tool{pay}}).Run(ctx, "x"); err == nil && j.Step.Failures == 0 {
			err = errors.New("the step does not like it")
		}
		return err
	}
	if err := j.finish(ctx, body); err == nil || j.Step.Failures != 1 {
		t.Fatal(err)
	}
	err := j.finish(ctx, body)
	want := []string{"! the bank is closed", "! the bank is closed"}
	if err != nil || !slices.Equal(texts(r.Messages), want) || e.of("pay 1") != 1 || e.of("pay 2") != 1 {
		t.Errorf("%v: %q, %s", err, texts(r.Messages), e)
	}
}

// Agents that are the same, of one name, and do the same have different keys, if different calls have begun them.
func TestAgentAsToolKeys(t *testing.T) {
	e := new(effects)
	inner := &played{lines: []func(*Request) Response{calls("book", `{"order":"1"}`), speak("done")}}
	outer := &played{lines: []func(*Request) Response{calls("helper", `{"task":"x"}`), calls("helper", `{"task":"x"}`), speak("done")}}
	c, err := New(Config{Providers: map[string]Provider{"in": inner, "out": outer}, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	sub := Agent{Name: "helper", Model: "in:one", Tools: kit(e)}
	err = newTape(t).finish(WithClient(t.Context(), c), func(ctx context.Context) error {
		_, err := Agent{Name: "boss", Model: "out:one", Tools: []Tool{sub.AsTool("helper", "helps")}}.Run(ctx, "x")
		return err
	})
	if err != nil || e.of("book 1") != 2 || len(e.done) != 3 {
		t.Errorf("%v, %s", err, e)
	}
}
