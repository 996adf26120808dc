package ai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// A budget of a run counts over all its steps, lanes, workers and crashes; a raise lets the rest go.
func TestBudget_OfARun(t *testing.T) {
	p := &counted{answer: echoes}
	w := durable.Define("w",
		durable.Each("items", func(d *doc) []int { return make([]int, 20) }, durable.Step("ask", func(ctx context.Context, n *int) error {
			_, err := GenerateText(ctx, "smart", "x", Key(fmt.Sprint(*n)))
			return err
		})),
		durable.Step("more", func(ctx context.Context, d *doc) error {
			_, err := GenerateText(ctx, "smart", "more")
			return err
		}),
	)
	run := func(t *testing.T, e *durabletest.Engine) {
		before := p.count()
		r := durabletest.Start(e, w, doc{})
		e.Sleep(time.Minute)
		if n := p.count() - before; n != 10 {
			t.Fatalf("%d requests, and the budget is 10", n)
		}
		e.Crash()
		e.Sleep(24 * time.Hour)
		if n := p.count() - before; n != 10 {
			t.Fatalf("%d requests after a crash, and the budget is 10", n)
		}
		page, err := e.PendingInputs(t.Context(), durable.InputFilter{Execution: r.ID})
		if err != nil || len(page.Inputs) != 10 || !strings.Contains(page.Inputs[0].Prompt, "the budget of the run is 10 calls") {
			t.Fatalf("%d inputs, %v: %+v", len(page.Inputs), err, page.Inputs[0])
		}
		if err := e.ProvideInput(t.Context(), r.ID, page.Inputs[0].ID, map[string]any{"do": "raise", "calls": 21}); err != nil {
			t.Fatal(err)
		}
		e.Sleep(2 * time.Hour)
		r.Done()
		if n := p.count() - before; n != 21 {
			t.Errorf("%d requests", n)
		}
	}
	for _, store := range []string{"memory", "sqlite"} {
		t.Run(store, func(t *testing.T) {
			c := newClient(t, Config{Budgets: map[string]Budget{"w": {Calls: 10}}}, p)
			var opts []durabletest.Option
			if store == "sqlite" {
				opts = append(opts, durabletest.Store(sqliteOpener(t)))
			}
			cfg := config(w)
			cfg.Lease = time.Minute
			durabletest.Run(t, cfg, run, append(opts, durabletest.Context(WithClient(t.Context(), c)))...)
		})
	}
}

// Fail, and an answer "fail", end the step for good; nothing is sent.
func TestBudget_Fail(t *testing.T) {
	for _, fail := range []bool{true, false} {
		p := &counted{answer: echoes}
		w := define(func(ctx context.Context, d *doc) error {
			_, err := GenerateText(ctx, "smart", "x", MaxTokens(100))
			return err
		})
		c := newClient(t, Config{Budgets: map[string]Budget{"w": {Tokens: 99, Fail: fail}}}, p)
		durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
			r := durabletest.Start(e, w, doc{})
			if !fail {
				r.WillAnswer("ai.hold", map[string]any{"do": "fail"})
			}
			if end := r.Fails(); end.Cause.Code != "permanent" || !strings.Contains(end.Cause.Message, "over budget") || p.count() != 0 {
				t.Errorf("%v after %d requests", end, p.count())
			}
		}, durabletest.Context(WithClient(t.Context(), c)))
	}
}

// Money counts at real costs; an interrupted try keeps what was reserved, an error that used nothing costs nothing.
func TestBudget_Settlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const table = `{"as_of":"2026-01-01","models":{"fake:one":{"input":1,"output":1}}}`
		var log bytes.Buffer
		s := &script{lines: []line{fails(Error{Kind: Transient, Status: 529}), says("a"), says("b"), says("c"), says("d")}}
		c, err := New(Config{
			Getenv: noEnv, Providers: map[string]Provider{"fake": s}, Prices: []byte(table), Budgets: map[string]Budget{"w": {Money: 240}},
		})
		if err != nil {
			t.Fatal(err)
		}
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		defer slog.SetDefault(slog.Default())
		ctx := WithClient(t.Context(), c)
		j := step()
		ask := func(ctx context.Context, text string) error {
			_, err := GenerateText(ctx, "fake:one", text, MaxTokens(200))
			return err
		}
		// Each call reserves about 205 and costs 15, so three go one after the other.
		var r Response
		err = j.Run(ctx, func(ctx context.Context) error {
			for i := range 3 {
				if err := ask(ctx, fmt.Sprint(i)); err != nil {
					return err
				}
			}
			_, err := GenerateText(ctx, "fake:one", "last", MaxTokens(200), Result(&r))
			return err
		})
		if err != nil && err != ErrWaiting {
			t.Fatal(err)
		}
		if len(s.requests) != 4 || err != ErrWaiting {
			t.Errorf("%d requests, %v", len(s.requests), err)
		}
		if !strings.Contains(log.String(), "four fifths of a budget") {
			t.Errorf("no warning: %s", log.String())
		}
		j.Answers = []json.RawMessage{json.RawMessage(`{"do":"raise"}`)}
		err = j.Run(ctx, func(ctx context.Context) error {
			for i := range 3 {
				if err := ask(ctx, fmt.Sprint(i)); err != nil {
					return err
				}
			}
			_, err := GenerateText(ctx, "fake:one", "last", MaxTokens(200), Result(&r))
			return err
		})
		if err != nil || len(s.requests) != 5 || r.Cost.Known != 15 {
			t.Errorf("%v, %d requests, %s", err, len(s.requests), r.Cost)
		}
	})
}

// A purse of an agent counts what is replayed as it was.
func TestBudget_OfAnAgentReplays(t *testing.T) {
	s, ctx := scriptedClient(t, says("a"), says("b"), says("c"))
	c, err := clientOf(ctx)
	if err != nil {
		t.Fatal(err)
	}
	j := step()
	turns := func(n int) (*purse, error) {
		p := newPurse("agent a", Budget{Calls: 2, Fail: true})
		err := j.Run(ctx, func(ctx context.Context) error {
			for i := range n {
				k := &call{
					name: fmt.Sprintf("agent:a/turn[%d]", i), position: true, model: "smart", purse: p,
					req: model.Request{Messages: []Message{{Role: User, Text: "x"}}, MaxTokens: 10},
				}
				if _, err := c.ask(ctx, journalOf(ctx), k); err != nil {
					return err
				}
			}
			return nil
		})
		return p, err
	}
	if p, err := turns(1); err != nil || p.spent != (spending{Tokens: 15, Calls: 1}) {
		t.Fatalf("%+v, %v", p.spent, err)
	}
	if p, err := turns(2); err != nil || p.spent != (spending{Tokens: 30, Calls: 2}) {
		t.Fatalf("%+v, %v", p.spent, err)
	}
	if p, err := turns(3); !IsKind(err, OverBudget) || p.spent.Calls != 2 || len(s.requests) != 2 {
		t.Fatalf("%+v, %v, %d requests", p.spent, err, len(s.requests))
	}
}

// Text in ideographs is as many tokens as it has characters, not three quarters of that; a conversation that grows is estimated as one that is
// written anew.
func TestBudget_EastAsianText(t *testing.T) {
	s, ctx := scriptedClient(t, says("a"))
	c, err := clientOf(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(text string) error {
		k := &call{
			name: "x", position: true, model: "smart", purse: newPurse("agent a", Budget{Tokens: 550, Fail: true}),
			req: model.Request{Messages: []Message{{Role: User, Text: text}}, MaxTokens: 100},
		}
		return step().Run(ctx, func(ctx context.Context) error {
			_, err := c.ask(ctx, journalOf(ctx), k)
			return err
		})
	}
	if err := ask(strings.Repeat("文", 450)); !IsKind(err, OverBudget) || len(s.requests) != 0 {
		t.Errorf("450 characters and 100 tokens fit into 550: %v", err)
	}
	if err := ask(strings.Repeat("word ", 300)); err != nil {
		t.Errorf("1,500 bytes and 100 tokens do not fit into 550: %v", err)
	}
	msgs := []Message{{Role: User, Text: "文文 a"}, {Role: Assistant, Text: "b"}, {Role: User, Text: "c", Files: []File{{MIME: "text/plain", Data: []byte("文文")}}}}
	var grown thread
	for n := 1; n <= 3; n += 2 {
		p := write(&model.Request{System: "s", Messages: msgs[:n]}, &grown)
		grown = p.next
		if whole := write(&model.Request{System: "s", Messages: msgs[:n]}, nil); whole.size != p.size {
			t.Errorf("%d messages: %d quarters, and written anew %d", n, p.size, whole.size)
		}
	}
}

// full is a journal that keeps no more bodies, for a time.
type full struct {
	*Memory
	left int
}

func (f *full) Blob(ctx context.Context, body []byte) (string, error) {
	if f.left--; f.left >= 0 {
		return "", errors.New("the disk is full")
	}
	return f.Memory.Blob(ctx, body)
}

// With a journal of one's own, what a request that could not be kept has reserved does not count.
func TestBudget_NothingIsLeftOfWhatWasNotKept(t *testing.T) {
	p := &counted{answer: echoes}
	c := newClient(t, Config{Budgets: map[string]Budget{"w": {Calls: 2}}}, p)
	m := &Memory{Step: StepInfo{Execution: "r", Workflow: "w", Attempt: 1, Epoch: 1}}
	j := &full{Memory: m, left: 3}
	for try := 1; ; try++ {
		err := m.Run(WithClient(t.Context(), c), func(ctx context.Context) error {
			_, err := GenerateText(WithJournal(ctx, j), "smart", "x")
			return err
		})
		if err == nil && try == 4 {
			break
		}
		if err == nil || try == 4 {
			t.Fatalf("try %d: %v", try, err)
		}
	}
	if p.count() != 1 || len(m.Asked) != 0 {
		t.Errorf("%d requests, asked %d", p.count(), len(m.Asked))
	}
}
