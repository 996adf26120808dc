package ai

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// More kills take longer: go test ./ai -run Weather -agent.kills 20000
var weatherKills = flag.Int("agent.kills", 1000, "how often agents are killed at moments of chance")

// Killed at moments of chance, again and again, agents record no call twice, give no money back twice, and every
// request that may have been paid without an answer is in the records.
func TestAI8_AgentWeather(t *testing.T) {
	kills, runs, possibly := 0, 0, 0
	var want []Message
	for seed := uint64(1); kills < *weatherKills && !t.Failed(); seed++ {
		e := new(effects)
		p, ctx := longTalk(t)
		j := newTape(t)
		j.answer = human(e)
		chance := rand.New(rand.NewPCG(seed, 42))
		j.dies = func(string, bool) bool { return chance.IntN(20) == 0 }
		var got *AgentResult
		err := errors.New("not begun")
		for attempt := 0; err != nil && attempt < 50; attempt++ { // five crashes of one request in a row are a failed attempt
			err = j.finish(ctx, func(ctx context.Context) (err error) {
				got, err = Agent{Name: "a", Model: "smart", Tools: kit(e)}.Run(ctx, "do it")
				return err
			})
		}
		if kills += j.dead; err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		runs++
		if want == nil {
			want = got.Messages
		}
		if !reflect.DeepEqual(want, got.Messages) {
			t.Errorf("seed %d: another transcript: %+v", seed, got.Messages)
		}
		n, err := audit(p, e, j.Memory)
		if possibly += n; err != nil {
			t.Errorf("seed %d: %v\n%s\n%q", seed, err, e, j.Order)
		}
	}
	t.Logf("%d kills in %d runs; 0 calls recorded twice, 0 refunds twice, %d requests without an answer, all of them listed", kills, runs, possibly)
}

// audit checks what a run of longTalk has left.
func audit(p *played, e *effects, m *Memory) (possiblyPaid int, err error) {
	answers, cut, seen := map[string]int{}, 0, map[string]bool{}
	for _, key := range m.Order {
		if seen[key] {
			return 0, fmt.Errorf("%s is recorded twice", key)
		}
		seen[key] = true
		name := key[:strings.LastIndex(key, "#")]
		if !strings.Contains(name, "/turn[") || strings.HasSuffix(name, "/try") {
			continue
		}
		var o outcome
		if err := json.Unmarshal(m.Records[key], &o); err != nil {
			return 0, err
		}
		if o.Interrupted {
			cut++
		}
		if o.Answer != "" {
			answers[name]++
		}
	}
	for name, n := range answers {
		if n != 1 {
			return 0, fmt.Errorf("%s has %d answers", name, n)
		}
	}
	unanswered := p.requests() - len(answers)
	if len(answers) != 5 || unanswered > cut {
		return 0, fmt.Errorf("%d requests, %d answers, and only %d of the others are listed as possibly paid", p.requests(), len(answers), cut)
	}
	keys := 0
	for what, n := range e.done {
		switch {
		case strings.HasPrefix(what, "key "):
			keys++
		case strings.HasPrefix(what, "refund"), strings.HasPrefix(what, "note"):
			if n != 1 {
				return 0, fmt.Errorf("%s ran %d times", what, n)
			}
		}
	}
	if keys != 7 { // look, note, two refunds, look, two books
		return 0, fmt.Errorf("7 calls have %d keys", keys)
	}
	return unanswered, nil
}

// Acceptance 15: what an agent stores grows with what is said, not with its square.
func TestAI15_AgentStorage(t *testing.T) {
	text := func(n, size int) string {
		return fmt.Sprintf("%d %s", n, strings.Repeat(string(rune('a'+n%26)), size))
	}
	measure := func(turns, size int) (stored, said int) {
		var lines []func(*Request) Response
		for n := range turns - 1 {
			lines = append(lines, func(r *Request) Response {
				resp := calls("look", fmt.Sprintf(`{"order":"%d"}`, n))(r)
				resp.Message.Text = text(n, size/2)
				return resp
			})
		}
		_, ctx := play(t, append(lines, speak("done"))...)
		j := newTape(t)
		look := NewTool("look", "looks", func(_ context.Context, o order) (string, error) { return o.Order + text(len(o.Order), size/2), nil }, ReadOnly())
		var r *AgentResult
		if err := j.finish(ctx, func(ctx context.Context) (err error) {
			r, err = Agent{Name: "a", Model: "smart", Tools: []Tool{look}, MaxTurns: turns}.Run(ctx, "do it")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for _, b := range j.Blobs {
			stored += len(b)
		}
		for key, v := range j.Records {
			stored += len(key) + len(v)
		}
		distinct := map[string]int{}
		for i := range r.Messages {
			own, _ := messageBodies(&r.Messages[i])
			distinct[own.hash()] = len(own)
		}
		for _, n := range distinct {
			said += n
		}
		return stored, said
	}
	stored, said := measure(100, 4<<10)
	t.Logf("100 turns of 4 KiB: %d bytes stored, %d said, %.2f times", stored, said, float64(stored)/float64(said))
	if float64(stored) > 1.5*float64(said) {
		t.Errorf("100 turns of 4 KiB: %d bytes stored for %d bytes of messages", stored, said)
	}
	half, _ := measure(50, 2<<10)
	whole, _ := measure(100, 2<<10)
	if whole > half*5/2 || whole > 1<<20 {
		t.Errorf("50 turns of 2 KiB: %d bytes, 100 turns: %d", half, whole)
	}
}
