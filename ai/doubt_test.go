package ai

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// cutOff runs an agent whose only tool is cut off after it has acted, the given number of times.
func cutOff(t *testing.T, j *tape, times int, reply string, opts ...ToolOption) (*effects, *AgentResult, error) {
	t.Helper()
	e := new(effects)
	_, ctx := play(t, calls("pay", `{"order":"1"}`), speak("done"))
	j.dies = func(key string, after bool) bool {
		return key == "agent:a/tool[1.1]" && !after && j.dead < min(times, e.of("pay"))
	}
	var r *AgentResult
	err := j.finish(ctx, func(ctx context.Context) (err error) {
		tool := NewTool("pay", "pays", func(ctx context.Context, o order) (string, error) {
			e.add("pay")
			e.add("key " + IdempotencyKey(ctx))
			return reply, nil
		}, opts...)
		r, err = Agent{Name: "a", Model: "smart", Tools: []Tool{tool}}.Run(ctx, "do it")
		return err
	})
	return e, r, err
}

// Acceptance 10: an unmarked tool that was cut off waits for a person, one that may be repeated runs again with the same key.
func TestAI10_Doubt(t *testing.T) {
	for name, c := range map[string]struct {
		opts    []ToolOption
		answers []DoubtAnswer
		ran     int
		result  string
	}{
		"yes":               {answers: []DoubtAnswer{{"yes", "paid by hand"}}, ran: 1, result: "paid by hand"},
		"yes, no result":    {answers: []DoubtAnswer{{Happened: "yes"}}, ran: 1, result: "This call was cut off. A person says that it has happened; its result is not known."},
		"no":                {answers: []DoubtAnswer{{Happened: "no"}}, ran: 2, result: "paid"},
		"no, and cut again": {answers: []DoubtAnswer{{Happened: "no"}, {"yes", "ok"}}, ran: 2, result: "ok"},
		"idempotent":        {opts: []ToolOption{Idempotent()}, ran: 2, result: "paid"},
		"read only":         {opts: []ToolOption{ReadOnly()}, ran: 2, result: "paid"},
	} {
		j := newTape(t)
		left := slices.Clone(c.answers)
		j.answer = func(name string, q Question) any {
			d := q.Details.(DoubtDetails)
			if name != "doubt:a[1.1]" || d.Tool != "pay" || string(d.Args) != `{"order":"1"}` || len(d.Key) != 32 || d.Began.IsZero() {
				t.Errorf("%s: %+v", name, d)
			}
			a := left[0]
			left = left[1:]
			return a
		}
		times := max(1, len(c.answers))
		e, r, err := cutOff(t, j, times, "paid", c.opts...)
		if err != nil || e.of("pay") != c.ran || len(e.done) != 2 || !slices.Equal(texts(r.Messages), []string{c.result}) || len(left) > 0 {
			t.Errorf("%s: %v, %s, %q", name, err, e, texts(r.Messages))
		}
	}
}

// A stop ends the step; its next attempt asks again, and does not run the tool by itself.
func TestDoubtStop(t *testing.T) {
	j := newTape(t)
	n := 0
	j.answer = func(string, Question) any {
		if n++; n == 1 {
			return DoubtAnswer{Happened: "stop"}
		}
		return DoubtAnswer{Happened: "yes", Result: "found it"}
	}
	e, _, err := cutOff(t, j, 1, "paid")
	if err == nil || !strings.Contains(err.Error(), "a person has stopped the agent") || j.Step.Failures != 1 {
		t.Fatalf("%v", err)
	}
	_, ctx := play(t, calls("pay", `{"order":"1"}`), speak("done"))
	var r *AgentResult
	err = j.finish(ctx, func(ctx context.Context) (err error) {
		tool := NewTool("pay", "pays", func(context.Context, order) (string, error) { e.add("pay"); return "", nil })
		r, err = Agent{Name: "a", Model: "smart", Tools: []Tool{tool}}.Run(ctx, "do it")
		return err
	})
	if err != nil || e.of("pay") != 1 || !slices.Equal(texts(r.Messages), []string{"found it"}) {
		t.Errorf("%v, %s, %q", err, e, texts(r.Messages))
	}
}

// Reconcile finds out by itself; a person is asked only when it cannot.
func TestAI10_Reconcile(t *testing.T) {
	down := errors.New("the bank does not answer")
	for name, c := range map[string]struct {
		fails    int
		happened bool
		ran      int
		asked    int
		result   string
	}{
		"it happened":        {happened: true, ran: 1, result: "as the bank says"},
		"it did not":         {ran: 2, result: "paid"},
		"asked again later":  {fails: 4, happened: true, ran: 1, result: "as the bank says"},
		"it cannot be known": {fails: 5, ran: 1, asked: 1, result: "by a person"},
	} {
		j := newTape(t)
		j.answer = func(_ string, q Question) any {
			if q.Details.(DoubtDetails).Error != down.Error() {
				t.Errorf("%+v", q.Details)
			}
			return DoubtAnswer{"yes", "by a person"}
		}
		tries := 0
		var keys []string
		e, r, err := cutOff(t, j, 1, "paid", Reconcile(func(ctx context.Context, o order) (string, bool, error) {
			keys = append(keys, IdempotencyKey(ctx))
			if tries++; tries <= c.fails {
				return "", false, down
			}
			return "as the bank says", c.happened, nil
		}))
		if err != nil || e.of("pay") != c.ran || len(j.asked) != c.asked || !slices.Equal(texts(r.Messages), []string{c.result}) {
			t.Errorf("%s: %v, %s, %q, asked %q", name, err, e, texts(r.Messages), j.asked)
		}
		if e.of("key "+keys[0]) != c.ran || len(slices.Compact(keys)) != 1 {
			t.Errorf("%s: Reconcile has the keys %q, the tool %s", name, keys, e)
		}
		if want := min(c.fails, 4); len(j.Slept) != want || want == 4 && j.Slept[3] != 64*time.Second {
			t.Errorf("%s: slept %v", name, j.Slept)
		}
	}
}

// A panic of a tool is one of the body; what it did is in doubt.
func TestDoubtAfterPanic(t *testing.T) {
	e := new(effects)
	_, ctx := play(t, calls("pay", `{"order":"1"}`), speak("done"))
	j := newTape(t)
	j.answer = func(string, Question) any { return DoubtAnswer{"yes", "so it is"} }
	var r *AgentResult
	body := func(ctx context.Context) (err error) {
		tool := NewTool("pay", "pays", func(context.Context, order) (string, error) { e.add("pay"); panic("out of cheese") })
		r, err = Agent{Name: "a", Model: "smart", Tools: []Tool{tool}}.Run(WithJournal(ctx, j), "do it")
		return err
	}
	func() {
		defer func() {
			if p, _ := recover().(string); !strings.Contains(p, "out of cheese") || !strings.Contains(p, "tool pay of agent a") {
				t.Errorf("panicked: %.200q", p)
			}
		}()
		_ = j.Run(ctx, body)
	}()
	if err := j.finish(ctx, body); err != nil || e.of("pay") != 1 || !slices.Equal(texts(r.Messages), []string{"so it is"}) {
		t.Errorf("%v, %s", err, e)
	}
}

// What people may answer is what the schema says.
func TestDoubtSchema(t *testing.T) {
	if !json.Valid([]byte(doubtSchema)) {
		t.Error("the schema is no JSON")
	}
}
