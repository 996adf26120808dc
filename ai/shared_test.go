package ai

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// otherProcess is a client that knows nothing of what others in this process have asked.
func otherProcess(t *testing.T, ctx context.Context, cfg Config, p Provider) context.Context {
	cfg.Shared = true
	return WithClient(ctx, newClient(t, cfg, p))
}

func onBoth(t *testing.T, cfg durable.Config, test func(t *testing.T, e *durabletest.Engine)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { durabletest.Run(t, cfg, test) })
	t.Run("sqlite", func(t *testing.T) { durabletest.Run(t, cfg, test, durabletest.Store(sqliteOpener(t))) })
}

// AI-16: a rate limit that one worker met is waited for by all.
func TestAI16_Everywhere(t *testing.T) {
	var at []time.Time
	p := &counted{answer: func(n int, name string, r *model.Request) (*Response, error) {
		if at = append(at, time.Now()); len(at) == 1 {
			return nil, &Error{Kind: RateLimited, Status: 429, RetryAfter: 2 * time.Minute}
		}
		return echoes(n, name, r)
	}}
	w := define(func(ctx context.Context, d *doc) error {
		_, err := GenerateText(otherProcess(t, ctx, Config{}, p), "smart", fmt.Sprint(d.N))
		return err
	})
	onBoth(t, config(w), func(t *testing.T, e *durabletest.Engine) {
		at = nil
		began := time.Now()
		first := durabletest.Start(e, w, doc{N: 1})
		e.Sleep(time.Second)
		second := durabletest.Start(e, w, doc{N: 2})
		first.Done()
		second.Done()
		if len(at) != 3 || at[1].Sub(began) < 2*time.Minute || at[2].Sub(began) < 2*time.Minute || at[2].Sub(began) > 5*time.Minute {
			t.Errorf("sent at %v, began at %v", at, began)
		}
	})
}

// Requests and places are counted over all workers; an end of a call, and an error, give a place back.
func TestShared_LimitsOfAllWorkers(t *testing.T) {
	var mu sync.Mutex
	var at []time.Time
	now, most := 0, 0
	p := slow{func(ctx context.Context) (*Response, error) {
		mu.Lock()
		at = append(at, time.Now())
		now++
		most = max(most, now)
		third := len(at)%3 == 0
		mu.Unlock()
		elapse(10 * time.Second)
		mu.Lock()
		now--
		mu.Unlock()
		if third {
			return nil, &Error{Kind: Transient}
		}
		return answer("a"), nil
	}}
	w := define(func(ctx context.Context, d *doc) error {
		cfg := Config{Limits: map[string]Limit{"fake:*": {Requests: 4, Concurrent: 2}}}
		_, err := GenerateText(otherProcess(t, ctx, cfg, p), "smart", fmt.Sprint(d.N))
		return err
	})
	onBoth(t, config(w), func(t *testing.T, e *durabletest.Engine) {
		at, now, most = nil, 0, 0
		var runs []*durabletest.Started[doc]
		for n := range 12 {
			runs = append(runs, durabletest.Start(e, w, doc{N: n}))
		}
		for _, r := range runs {
			r.Done()
		}
		for i := range at {
			if i >= 4 && at[i].Sub(at[i-4]) < time.Minute {
				t.Errorf("5 requests within %s", at[i].Sub(at[i-4]))
			}
		}
		if most != 2 || len(at) < 12 || at[len(at)-1].Sub(at[0]) > 12*time.Minute {
			t.Errorf("%d at once, %d in %s", most, len(at), at[len(at)-1].Sub(at[0]))
		}
	})
}

// slow is a provider that answers by a function.
type slow struct {
	answer func(ctx context.Context) (*Response, error)
}

func (s slow) Open(string) (Model, error) { return s, nil }

func (s slow) Generate(ctx context.Context, _ *model.Request, _ func(Delta)) (*Response, error) {
	return s.answer(ctx)
}

// What was estimated too high comes back for all workers; what is above the whole limit goes alone.
func TestShared_Tokens(t *testing.T) {
	var at []time.Time
	p := slow{func(context.Context) (*Response, error) {
		at = append(at, time.Now())
		return &Response{Message: Message{Text: "a"}, Stop: StopEnd, Usage: Usage{Input: 1, Output: 100}}, nil
	}}
	ask := func(maxTokens int) func(ctx context.Context, d *doc) error {
		return func(ctx context.Context, d *doc) error {
			cfg := Config{Limits: map[string]Limit{"fake:*": {Output: 1000}}}
			_, err := GenerateText(otherProcess(t, ctx, cfg, p), "smart", fmt.Sprint(d.N), MaxTokens(maxTokens))
			return err
		}
	}
	w := define(ask(900))
	huge := durable.Define("huge", durable.Step("s", ask(5000)))
	onBoth(t, config(w, huge), func(t *testing.T, e *durabletest.Engine) {
		at = nil
		for n := range 2 {
			durabletest.Start(e, w, doc{N: n}).Done()
		}
		if d := at[1].Sub(at[0]); d > time.Second {
			t.Errorf("900 were reserved and 100 used, and the next waited for %s", d)
		}
		durabletest.Start(e, huge, doc{}).Done()
		if d := at[2].Sub(at[1]); d < 50*time.Second {
			t.Errorf("it went with others, after %s", d)
		}
	})
}

// Outside of steps there is nothing to share: it is not refused.
func TestShared_Outside(t *testing.T) {
	ctx := otherProcess(t, t.Context(), Config{Limits: map[string]Limit{"fake:*": {Requests: 1}}}, slow{func(context.Context) (*Response, error) { return answer("a"), nil }})
	if _, err := GenerateText(ctx, "smart", "x"); err != nil {
		t.Error(err)
	}
	if _, err := GenerateText(ctx, "smart", "x"); !IsKind(err, RateLimited) {
		t.Error(errors.Unwrap(err), err)
	}
}
