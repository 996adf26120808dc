package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type order struct {
	Order string `json:"order"`
	Euros int    `json:"euros,omitempty"`
}

// kit are tools of every kind, whose effects are counted.
func kit(e *effects) []Tool {
	did := func(name string) func(context.Context, order) (string, error) {
		return func(ctx context.Context, o order) (string, error) {
			e.add(name + " " + o.Order)
			e.add("key " + IdempotencyKey(ctx))
			return name + " of " + o.Order, nil
		}
	}
	return []Tool{
		NewTool("look", "looks", did("look"), ReadOnly()),
		NewTool("note", "notes", did("note")),
		NewTool("book", "books", did("book"), Idempotent()),
		NewTool("refund", "gives money back", did("refund"), Writes()),
		NewTool("stroll", "takes its time", func(ctx context.Context, o order) (string, error) {
			j := journalOf(ctx)
			v, err := j.Do(ctx, "first", func(context.Context) (json.RawMessage, error) {
				e.add("first " + o.Order)
				return json.RawMessage(`"a"`), nil
			})
			if err != nil {
				return "", err
			}
			if err := j.Sleep(ctx, "nap", time.Hour); err != nil {
				return "", err
			}
			w, err := j.Do(ctx, "first", func(context.Context) (json.RawMessage, error) {
				e.add("second " + o.Order)
				return json.RawMessage(`"b"`), nil
			})
			return string(v) + string(w), err
		}, Inline()),
		AskHuman("ask", "asks somebody", 0),
	}
}

// human answers what agents of kit ask; it knows what has happened.
func human(e *effects) func(name string, q Question) any {
	return func(name string, q Question) any {
		switch {
		case strings.HasPrefix(name, "approve:"):
			return approve(q, nil)
		case strings.HasPrefix(name, "doubt:"):
			d := q.Details.(DoubtDetails)
			var o order
			if err := json.Unmarshal(d.Args, &o); err != nil {
				panic(err)
			}
			if e.of(d.Tool+" "+o.Order) > 0 {
				return DoubtAnswer{Happened: "yes", Result: d.Tool + " of " + o.Order}
			}
			return DoubtAnswer{Happened: "no"}
		}
		return "blue"
	}
}

// talkLines are 5 turns with tools of every kind.
func talkLines() []func(*Request) Response {
	return []func(*Request) Response{
		calls("look", `{"order":"1"}`, "note", `{"order":"1"}`),
		calls("refund", `{"order":"1"}`, "refund", `{"order":"2"}`, "look", `{"order":"2"}`),
		calls("book", `{"order":"1"}`, "stroll", `{"order":"1"}`, "book", `{"order":"2"}`),
		calls("ask", `{"question":"which colour?"}`, "stroll", `{"order":"2"}`),
		speak("done"),
	}
}

func longTalk(t *testing.T) (*played, context.Context) { return play(t, talkLines()...) }

var errTranscript = errors.New("another transcript")

// Acceptance 8: killed right after each record in turn, and right before each, an agent of 5 turns pays each once, and
// no tool runs twice that may not.
func TestAI8_AgentKilledEverywhere(t *testing.T) {
	var want *AgentResult
	for _, after := range []bool{true, false} {
		for n := 0; ; n++ {
			e := new(effects)
			p, ctx := longTalk(t)
			j := newTape(t)
			count, possibly := 0, 0
			j.answer = human(e)
			j.dies = func(key string, a bool) bool {
				if a != after {
					return false
				}
				if count++; count != n {
					return false
				}
				if !after && strings.Contains(key, "/turn[") && !strings.HasSuffix(key, "/try") {
					possibly = 1
				}
				return true
			}
			var got *AgentResult
			err := j.finish(ctx, func(ctx context.Context) (err error) {
				got, err = Agent{Name: "a", Model: "smart", Tools: kit(e)}.Run(ctx, "do it")
				if err == nil && want != nil && !reflect.DeepEqual(got.Messages, want.Messages) {
					return fmt.Errorf("%w: %+v", errTranscript, got.Messages)
				}
				return err
			})
			if err != nil {
				t.Fatalf("killed at record %d (after: %v): %v", n, after, err)
			}
			if want == nil {
				want = got
				if got.Text != "done" || got.Turns != 5 || got.Usage.Input != 50 || len(got.Messages) != 16 {
					t.Fatalf("%+v", got)
				}
			}
			if p.requests() != 5+possibly {
				t.Errorf("killed at record %d (after: %v): %v requests, of which %d possibly paid: %q", n, after, p.asked, possibly, j.Order)
			}
			for _, what := range []string{"note 1", "refund 1", "refund 2", "first 1", "second 1", "first 2", "second 2"} {
				if k := e.of(what); k != 1 && (after || !strings.HasPrefix(what, "first") && !strings.HasPrefix(what, "second") || k > 2) {
					t.Errorf("killed at record %d (after: %v): %s %d times", n, after, what, k)
				}
			}
			if n > 0 && j.dead == 0 {
				break
			}
		}
	}
}

// Acceptance 9: an edited system prompt acts from the next turn on.
func TestAI9_EditedPrompt(t *testing.T) {
	e := new(effects)
	p, ctx := play(t,
		calls("note", `{"order":"1"}`), calls("note", `{"order":"2"}`), calls("note", `{"order":"3"}`), speak("done"))
	j := newTape(t)
	j.dies = func(key string, after bool) bool { return key == "agent:a/tool[3.1]" && after && j.dead == 0 }
	err := j.finish(ctx, func(ctx context.Context) error {
		system := "old"
		tools := kit(e)
		if j.dead > 0 {
			system, tools = "new", tools[1:]
		}
		_, err := Agent{Name: "a", Model: "smart", System: system, Tools: tools}.Run(ctx, "do it")
		return err
	})
	if err != nil || p.requests() != 4 || e.of("note 1") != 1 || e.of("note 2") != 1 || e.of("note 3") != 1 {
		t.Errorf("%v, %v requests, %s", err, p.asked, e)
	}
	for i, r := range p.last {
		if want := map[bool]string{true: "new", false: "old"}[i == 3]; r.System != want {
			t.Errorf("turn %d was asked with the system prompt %q", i+1, r.System)
		}
	}
}

// Acceptance 14: what was not declared and what does not fit is refused, in words that the model reads.
func TestAI14_Refusals(t *testing.T) {
	e := new(effects)
	deep := `{"order":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`
	_, ctx := play(t,
		calls("hammer", `{}`, "note", `{"order":1,"colour":"red","euros":"x"}`, "note", `{`, "note", deep, "note", `{"order":"`+strings.Repeat("x", maxArgs)+`"}`,
			"note", `{"order":"1"} {}`, "note", `{"order":"5","euros":null}`),
		speak("done"))
	j := newTape(t)
	var r *AgentResult
	for range 2 { // what is recorded stays
		err := j.Run(ctx, func(ctx context.Context) (err error) {
			r, err = Agent{Name: "a", Model: "smart", Tools: kit(e)}.Run(WithJournal(ctx, j), "do it")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got := texts(r.Messages)
	for i, want := range [][]string{
		{"! there is no tool \"hammer\""},
		{"! the arguments do not fit", "/colour", "/euros", "/order"},
		{"no JSON"},
		{"deeper than 64"},
		{"at most 1048576"},
		{"! the arguments do not fit", "JSON"},
		{"note of 5"},
	} {
		for _, part := range want {
			if !strings.Contains(got[i], part) {
				t.Errorf("call %d: %q does not say %q", i+1, got[i], part)
			}
		}
	}
	if s := e.String(); !strings.Contains(s, "note 5:1") || strings.Count(s, "note") != 1 {
		t.Errorf("ran: %s", s)
	}
}

// Errors are told to the model, and long results are cut.
func TestAgentToolErrors(t *testing.T) {
	tries := 0
	tools := []Tool{
		NewTool("fail", "fails", func(context.Context, struct{}) (string, error) { return "", errors.New("no luck") }),
		NewTool("long", "says much", func(context.Context, struct{}) (string, error) { return strings.Repeat("ä", 100_000), nil }),
		NewTool("slow", "takes long", func(ctx context.Context, _ struct{}) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}, Timeout(time.Millisecond)),
		NewTool("stop", "stops", func(ctx context.Context, _ struct{}) (map[string]int, error) {
			if tries++; tries < 2 {
				return nil, Fatal(errors.New("the disk is full"))
			}
			return map[string]int{"n": tries}, nil
		}),
	}
	p, ctx := play(t, calls("fail", ``, "long", `null`, "slow", `{}`), calls("stop", `{}`), speak("done"))
	j := newTape(t)
	var r *AgentResult
	body := func(ctx context.Context) (err error) {
		r, err = Agent{Name: "a", Model: "smart", Tools: tools}.Run(WithJournal(ctx, j), "do it")
		return err
	}
	for range 2 {
		if err := j.Run(ctx, body); tries == 1 && (err == nil || !strings.Contains(err.Error(), "the disk is full")) {
			t.Fatalf("Fatal does not stop: %v", err)
		}
		if tries == 1 && len(r.Messages) != 5 {
			t.Errorf("after an error there are %d messages", len(r.Messages))
		}
	}
	got := texts(r.Messages)
	if len(got) != 4 || got[0] != "! no luck" || !strings.HasSuffix(got[1], "…\n[cut off: the first 65536 of 200000 bytes]") || len(got[1]) > 65600 ||
		!strings.HasPrefix(got[2], "! the tool took longer than 1ms") || got[3] != `{"n":2}` {
		t.Errorf("%.100q", got)
	}
	if p.requests() != 3 || tries != 2 {
		t.Errorf("%d requests, %d tries of what stopped", p.requests(), tries)
	}
}

// An agent that finds no answer ends.
func TestAgentOutOfTurns(t *testing.T) {
	e := new(effects)
	circle := calls("look", `{"order":"1"}`)
	p, ctx := play(t, circle, circle, circle, circle)
	r, err := Agent{Name: "a", Model: "smart", Tools: kit(e), MaxTurns: 3}.Run(ctx, "do it")
	if !IsKind(err, OutOfTurns) || p.requests() != 3 || r.Turns != 3 || len(r.Messages) != 7 || e.of("look 1") != 3 {
		t.Errorf("%v after %d requests: %+v", err, p.requests(), r)
	}
}

// Two agents of one name have records of their own; a conversation goes on under the same name.
func TestAgentNames(t *testing.T) {
	_, ctx := play(t, speak("one"), speak("two"))
	j := newTape(t)
	err := j.finish(ctx, func(ctx context.Context) error {
		a := Agent{Name: "a", Model: "smart"}
		first, err := a.Run(ctx, "x")
		if err != nil {
			return err
		}
		if _, err = a.Run(ctx, "y"); err != nil {
			return err
		}
		again, err := first.Continue(ctx, "z")
		if err != nil {
			return err
		}
		if again.Text != "two" || again.Turns != 2 || len(again.Messages) != 4 {
			return fmt.Errorf("%+v", again)
		}
		if _, err := first.Continue(ctx, "z"); !IsKind(err, Invalid) {
			return fmt.Errorf("a result that is not the last goes on: %w", err)
		}
		return nil
	})
	want := []string{"agent:a/turn[1]/try#1", "agent:a/turn[1]#1", "agent:a#2/turn[1]/try#1", "agent:a#2/turn[1]#1", "agent:a/turn[2]/try#1", "agent:a/turn[2]#1"}
	if err != nil || !slices.Equal(j.Order, want) {
		t.Errorf("%v, records %q", err, j.Order)
	}
}

// An answer that pauses is one turn: it is sent back until it ends.
func TestAgentPauses(t *testing.T) {
	pause := func(*Request) Response { return Response{Message: Message{Text: "…"}, Stop: StopPause} }
	p, ctx := play(t, pause, pause, speak("done"))
	r, err := Agent{Name: "a", Model: "smart"}.Run(ctx, "x")
	if err != nil || r.Text != "……done" || r.Turns != 1 || len(r.Messages) != 2 || p.requests() != 3 || r.Usage.Input != 30 {
		t.Errorf("%v: %+v", err, r)
	}
	_, ctx = play(t, pause, pause, pause, pause, speak("done"))
	if _, err := (Agent{Name: "a", Model: "smart"}).Run(ctx, "x"); !IsKind(err, BadAnswer) {
		t.Errorf("a model pauses for ever: %v", err)
	}
}

// A tool call that MaxTokens cut off is asked for once more with twice as many, and nothing of the half one runs.
func TestAgentTruncatedCall(t *testing.T) {
	e := new(effects)
	half := func(r *Request) Response {
		resp := calls("note", `{"order":"1"}`)(r)
		if r.MaxTokens < 200 {
			resp = calls("note", `{"order":"half"}`)(r)
			resp.Stop = StopLength
		}
		return resp
	}
	p, ctx := play(t, half, speak("done"))
	r, err := Agent{Name: "a", Model: "smart", Tools: kit(e), Options: []Option{MaxTokens(100)}}.Run(ctx, "x")
	if err != nil || r.Turns != 2 || p.requests() != 3 || e.of("note 1") != 1 || e.of("note half") != 0 {
		t.Errorf("%v, %v, %s", err, p.asked, e)
	}
	dropped := func(r *Request) Response { // some wires leave the half call out
		resp := speak("I will")(r)
		if r.MaxTokens < 200 {
			resp.Stop = StopLength
			return resp
		}
		return calls("note", `{"order":"2"}`)(r)
	}
	_, ctx = play(t, dropped, speak("done"))
	if r, err := (Agent{Name: "a", Model: "smart", Tools: kit(e), Options: []Option{MaxTokens(100)}}).Run(ctx, "x"); err != nil || r.Text != "done" || e.of("note 2") != 1 {
		t.Errorf("%v, %+v", err, r)
	}
	_, ctx = play(t, half, speak("done"))
	if _, err := (Agent{Name: "a", Model: "smart", Tools: kit(e), Options: []Option{MaxTokens(50)}}).Run(ctx, "x"); !IsKind(err, Truncated) {
		t.Errorf("%v", err)
	}
}

// All mistakes of an agent come together, before anything is asked.
func TestAgentMistakes(t *testing.T) {
	type loop struct{ Next []loop }
	id := func(_ context.Context, o order) (order, error) { return o, nil }
	good := NewTool("good", "is good", id)
	p, ctx := play(t, speak("x"))
	_, err := Agent{
		Name: "no good", Model: "smart", MaxTurns: -1, Options: []Option{Repair(2)},
		Tools: []Tool{
			{},
			good, good, NewTool("a b", "", id), NewTool("both", "x", id, ReadOnly(), Writes()), NewTool("rec", "x", func(context.Context, loop) (int, error) { return 0, nil }),
			NewTool("text", "x", func(context.Context, string) (int, error) { return 0, nil }), NewTool[order, order]("none", "x", nil),
			NewTool("if", "x", id, ApproveIf(func(int) bool { return true })), NewTool("late", "x", id, ApproveWithin(time.Hour)),
			NewTool("find", "x", id, Reconcile(func(context.Context, int) (int, bool, error) { return 0, false, nil })),
			NewTool("in", "x", id, Inline(), Timeout(time.Hour)), NewTool("out", "x", id, MaxOutput(0)), NewTool("opt", "x", id, nil),
		},
	}.Run(ctx, "x")
	for _, text := range []string{
		`"no good" is bad`, "MaxTurns is -1", "Repair is for objects", "tool 1 is empty", "two tools are named good", `"a b" is bad`, "the description is empty", "ReadOnly says all",
		"contains itself", "models give an object", "the function is nil", "ApproveIf has a func(int) bool", "ApproveWithin without", "Reconcile has a func", "may wait for days", "MaxOutput is 0", "an option is nil",
	} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	if !IsKind(err, Invalid) || p.requests() != 0 {
		t.Errorf("%v after %d requests", err, p.requests())
	}
}
