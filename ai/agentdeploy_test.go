package ai

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// cents is order in another form, as of a later version of the code.
type cents struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

// oldRefund is a tool that acts, and is cut off before it knows.
func oldRefund(e *effects, opts ...ToolOption) Tool {
	return NewTool("refund", "gives money back", func(ctx context.Context, o order) (string, error) {
		e.add(fmt.Sprintf("old %s %d", o.Order, o.Euros))
		e.add("key " + IdempotencyKey(ctx))
		<-ctx.Done()
		return "", ctx.Err()
	}, opts...)
}

func newRefund[In any](e *effects, name string, opts ...ToolOption) Tool {
	return NewTool(name, "gives money back", func(ctx context.Context, _ In) (string, error) {
		e.add("new")
		e.add("key " + IdempotencyKey(ctx))
		return "refunded", nil
	}, opts...)
}

// deployment is a call of the tool refund that is cut off after it has acted, and then other code.
type deployment struct {
	old, new []ToolOption
	tool     func(e *effects, opts ...ToolOption) Tool // of the new code; nil: refund as before
	edit     bool                                      // a person has agreed to the call, with other arguments
	open     bool                                      // the question is open before the deploy

	answer DoubtAnswer // the zero one: nobody is asked
	ran    int         // the new tool
	result string      // that the model reads
}

// AI-10: whatever a deploy does to a tool, a call of it that was cut off has begun: it is neither refused nor run anew before
// somebody has said whether it happened.
func TestAI10_DoubtAndDeploys(t *testing.T) {
	yes, no := DoubtAnswer{"yes", "by the bank"}, DoubtAnswer{Happened: "no"}
	asBefore := func(e *effects, opts ...ToolOption) Tool { return newRefund[order](e, "refund", opts...) }
	other := func(e *effects, opts ...ToolOption) Tool { return newRefund[cents](e, "refund", opts...) }
	renamed := func(e *effects, opts ...ToolOption) Tool { return newRefund[order](e, "pay_back", opts...) }
	one := func(opts ...ToolOption) []ToolOption { return opts }
	for name, c := range map[string]deployment{
		"as before, yes":            {tool: asBefore, answer: yes, result: "by the bank"},
		"as before, no":             {tool: asBefore, answer: no, ran: 1, result: "refunded"},
		"other arguments, yes":      {tool: other, answer: yes, result: "by the bank"},
		"other arguments, no":       {tool: other, answer: no, result: "! the arguments do not fit"},
		"other arguments, open":     {tool: other, open: true, answer: yes, result: "by the bank"},
		"renamed, yes":              {tool: renamed, answer: yes, result: "by the bank"},
		"renamed, no":               {tool: renamed, answer: no, result: `! there is no tool "refund"`},
		"renamed, open":             {tool: renamed, open: true, answer: no, result: `! there is no tool "refund"`},
		"now inline, yes":           {tool: asBefore, new: one(Inline()), answer: yes, result: "by the bank"},
		"now inline, no":            {tool: asBefore, new: one(Inline()), answer: no, ran: 1, result: "refunded"},
		"now inline, open":          {tool: asBefore, new: one(Inline()), open: true, answer: yes, result: "by the bank"},
		"now idempotent":            {tool: asBefore, new: one(Idempotent()), answer: yes, result: "by the bank"},
		"now read only":             {tool: asBefore, new: one(ReadOnly()), answer: yes, result: "by the bank"},
		"now asks":                  {tool: asBefore, new: one(Writes()), answer: yes, result: "by the bank"},
		"idempotent":                {tool: asBefore, old: one(Idempotent()), new: one(Idempotent()), ran: 1, result: "refunded"},
		"was idempotent":            {tool: asBefore, old: one(Idempotent()), answer: yes, result: "by the bank"},
		"idempotent, other":         {tool: other, old: one(Idempotent()), new: one(Idempotent()), answer: yes, result: "by the bank"},
		"idempotent, renamed":       {tool: renamed, old: one(Idempotent()), new: one(Idempotent()), answer: yes, result: "by the bank"},
		"read only, renamed":        {tool: renamed, old: one(ReadOnly()), result: `! there is no tool "refund"`},
		"inline":                    {tool: asBefore, old: one(Inline()), new: one(Inline()), ran: 1, result: "refunded"},
		"inline, renamed":           {tool: renamed, old: one(Inline()), new: one(Inline()), answer: yes, result: "by the bank"},
		"was inline":                {tool: asBefore, old: one(Inline()), answer: no, ran: 1, result: "refunded"},
		"approved, other":           {tool: other, old: one(Writes()), new: one(Writes()), answer: yes, result: "by the bank"},
		"approved, asks no more":    {tool: asBefore, old: one(Writes()), answer: no, ran: 1, result: "refunded"},
		"edited, other":             {tool: other, edit: true, old: one(Writes()), new: one(Writes()), answer: yes, result: "by the bank"},
		"edited, renamed":           {tool: renamed, edit: true, old: one(Writes()), new: one(Writes()), answer: no, result: `! there is no tool "refund"`},
		"edited, idempotent":        {tool: asBefore, edit: true, old: one(Writes(), Idempotent()), new: one(Writes(), Idempotent()), ran: 1, result: "refunded"},
		"reconciles, other, asked":  {tool: other, new: one(finds[cents](t)), answer: yes, result: "by the bank"},
		"reconciles, renamed, asks": {tool: renamed, new: one(finds[order](t)), answer: yes, result: "by the bank"},
	} {
		t.Run(name, func(t *testing.T) { c.play(t) })
	}
}

// finds is a Reconcile that must not be asked: it would look for another call.
func finds[In any](t *testing.T) ToolOption {
	return Reconcile(func(context.Context, In) (string, bool, error) {
		t.Error("Reconcile is asked about a call that the tool does not have any more")
		return "", false, nil
	})
}

func (c *deployment) play(t *testing.T) {
	e := new(effects)
	p := &played{lines: []func(*Request) Response{calls("refund", `{"order":"7","euros":80}`), speak("done")}}
	agent := func(tool Tool) *durable.Workflow[chat] {
		return talks("talk", func() Agent { return Agent{Name: "a", Model: "smart", Tools: []Tool{tool}} })
	}
	w, euros := agent(oldRefund(e, c.old...)), 80
	durabletest.Run(t, config(w), func(t *testing.T, engine *durabletest.Engine) {
		r := durabletest.Start(engine, w, chat{})
		engine.Sleep(time.Second)
		if waits := r.Waits(); slices.Equal(waits, []string{"approve:a[1]"}) {
			answer := shown(t, engine, r).Approve()
			if c.edit {
				euros = 60
				d := answer["1.1"]
				d.Decision, d.Args = "edit", json.RawMessage(`{"order":"7","euros":60}`)
				answer["1.1"] = d
			}
			r.Answer("approve:a[1]", answer)
			engine.Sleep(time.Second)
		}
		old := fmt.Sprintf("old 7 %d", euros)
		if e.of(old) != 1 || len(e.done) != 2 {
			t.Fatalf("before the deploy: %s", e)
		}
		engine.Crash()
		if c.open {
			r.Settle()
		}
		engine.Deploy(config(agent(c.tool(e, c.new...))))
		r.Settle()
		if asked := slices.Equal(r.Waits(), []string{"doubt:a[1.1]"}); asked != (c.answer != DoubtAnswer{}) {
			t.Fatalf("it waits for %q; %s", r.Waits(), e)
		} else if asked {
			if e.of("new") > 0 || p.requests() != 1 {
				t.Errorf("before anybody has answered: %s, %d requests", e, p.requests())
			}
			c.check(t, engine, r, e, euros)
			r.Answer("doubt:a[1.1]", c.answer)
		}
		got := r.Done().Result
		if list := texts(got.Messages); len(list) != 1 || !strings.HasPrefix(list[0], c.result) {
			t.Errorf("the model reads %q, want %q", list, c.result)
		}
		if e.of(old) != 1 || e.of("new") != c.ran || p.requests() != 2 {
			t.Errorf("%s, %d requests", e, p.requests())
		}
		if c.ran == 1 && len(e.done) != 3 {
			t.Errorf("the key has changed: %s", e)
		}
	}, durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p))))
}

// check looks at what a person sees: the call as it was begun.
func (c *deployment) check(t *testing.T, engine *durabletest.Engine, r *durabletest.Started[chat], e *effects, euros int) {
	t.Helper()
	page, err := engine.PendingInputs(t.Context(), durable.InputFilter{Execution: r.ID})
	if err != nil || len(page.Inputs) != 1 {
		t.Fatal(err, page)
	}
	d := decoded[DoubtDetails](t, page.Inputs[0].Details)
	if d.Tool != "refund" || string(d.Args) != fmt.Sprintf(`{"euros":%d,"order":"7"}`, euros) || e.of("key "+d.Key) != 1 || d.Began.IsZero() {
		t.Errorf("a person sees %+v; %s", d, e)
	}
	if refused := strings.HasPrefix(c.result, "! "); refused && !c.open && !strings.HasPrefix(d.Gone, c.result[2:]) {
		t.Errorf("a person is not told that the tool is gone: %+v", d)
	}
}

// AI-10: marks of older code say neither how the tool was declared nor which key it had: then the code of now decides, as it did.
func TestAI10_OldMarks(t *testing.T) {
	for name, c := range map[string]struct {
		opts  []ToolOption
		asked bool
	}{
		"plain":      {nil, true},
		"idempotent": {[]ToolOption{Idempotent()}, false},
		"inline":     {[]ToolOption{Inline()}, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := new(effects)
			_, ctx := play(t, calls("refund", `{"order":"7","euros":80}`), speak("done"))
			j := newTape(t)
			j.dies = func(key string, after bool) bool { return key == "agent:a/turn[1]" && after }
			j.answer = func(_ string, q Question) any {
				d := q.Details.(DoubtDetails)
				if d.Key == "" || string(d.Args) != `{"euros":80,"order":"7"}` {
					t.Errorf("%+v", d)
				}
				return DoubtAnswer{Happened: "yes"}
			}
			body := func(ctx context.Context) error {
				_, err := Agent{Name: "a", Model: "smart", Tools: []Tool{newRefund[order](e, "refund", c.opts...)}}.Run(WithJournal(ctx, j), "x")
				return err
			}
			if err := j.Run(ctx, body); err == nil || len(e.done) > 0 {
				t.Fatalf("%v, %s", err, e)
			}
			j.Records["agent:a/tool[1.1]/try#1"] = canonical(map[string]any{"tool": "refund", "args": argsHash("refund", []byte(`{"euros":80,"order":"7"}`)), "at": 1})
			if err := j.finish(ctx, body); err != nil || (len(j.asked) == 1) != c.asked || (e.of("new") == 0) != c.asked {
				t.Errorf("%v, asked %q, %s", err, j.asked, e)
			}
		})
	}
}

// A person's stop ends the step also if the tool is gone, and so does an error that stopped the agent, until the next attempt.
func TestAgentDeployAfterStop(t *testing.T) {
	e := new(effects)
	p, ctx := play(t, calls("refund", `{"order":"7"}`), speak("done"))
	j := newTape(t)
	tool := NewTool("refund", "x", func(context.Context, order) (string, error) {
		e.add("refund")
		return "", Fatal(fmt.Errorf("the bank has closed the account"))
	})
	body := func(ctx context.Context) error {
		_, err := Agent{Name: "a", Model: "smart", Tools: []Tool{tool}}.Run(ctx, "x")
		return err
	}
	if err := j.finish(ctx, body); err == nil || !strings.Contains(err.Error(), "closed the account") {
		t.Fatal(err)
	}
	tool = newRefund[order](e, "pay_back") // the next attempt finds that it is gone
	if err := j.finish(ctx, body); err != nil || e.of("refund") != 1 || e.of("new") != 0 || p.requests() != 2 {
		t.Errorf("%v: %s", err, e)
	}
}

// AI-10: a tool that was ReadOnly has no marks of the tries that have ended; that of a try which is cut off since is not taken for one of them.
func TestAI10_NoLongerReadOnly(t *testing.T) {
	e := new(effects)
	_, ctx := play(t, calls("refund", `{"order":"7"}`), speak("done"))
	j := newTape(t)
	j.dies = func(key string, after bool) bool { // when it has acted
		return key == "agent:a/tool[1.1]" && !after && e.of("new") == 1 && j.dead == 0
	}
	j.answer = func(string, Question) any { return DoubtAnswer{Happened: "yes"} }
	tool := NewTool("refund", "x", func(context.Context, order) (string, error) { return "", Fatal(fmt.Errorf("no")) }, ReadOnly())
	body := func(ctx context.Context) error {
		_, err := Agent{Name: "a", Model: "smart", Tools: []Tool{tool}}.Run(ctx, "x")
		return err
	}
	for range 2 {
		if err := j.finish(ctx, body); err == nil {
			t.Fatal("it goes on")
		}
	}
	tool = newRefund[order](e, "refund")
	if err := j.finish(ctx, body); err != nil || e.of("new") != 1 || len(j.asked) != 1 {
		t.Errorf("%v: %s, asked %q", err, e, j.asked)
	}
}
