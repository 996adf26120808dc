package ai

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// lateLine is the line to a store of which a test holds the ends.
type lateLine struct {
	store.Store
	opener store.Opener
	drawn  func(ctx context.Context, counter string) error // before the reply to who has drawn
	settle func(counter string)                            // before somebody settles
}

func (l *lateLine) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := l.opener.OpenStore(ctx)
	own := *l
	own.Store = s
	return &own, err
}

func (l *lateLine) Draw(ctx context.Context, req store.Drawing) (store.Drawn, error) {
	res, err := l.Store.Draw(ctx, req)
	for _, d := range req.Draws {
		if err == nil && res.Code == store.Applied && l.drawn != nil {
			err = l.drawn(ctx, d.Counter.Name)
		}
	}
	return res, err
}

func (l *lateLine) Settle(ctx context.Context, req store.Settling) error {
	for _, a := range req.Amounts {
		if l.settle != nil {
			l.settle(a.Counter.Name)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.Store.Settle(ctx, req)
}

// A place comes back that was taken when the caller's time was over, before the reply came.
func TestShared_PlaceTakenTooLate(t *testing.T) {
	lost := 0
	line := &lateLine{opener: memory.New(), drawn: func(ctx context.Context, counter string) error {
		if !strings.HasSuffix(counter, ":busy") || lost > 0 {
			return nil
		}
		lost++
		<-ctx.Done()
		return ctx.Err()
	}}
	placeComesBack(t, line, func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 5*time.Second)
	})
	if lost != 1 {
		t.Error("no reply was lost")
	}
}

// A place comes back if the body ends while it is given back.
func TestShared_PlaceGivenBackAtTheEnd(t *testing.T) {
	var end context.CancelFunc
	line := &lateLine{opener: memory.New(), settle: func(counter string) {
		if strings.HasSuffix(counter, ":busy") {
			end()
		}
	}}
	placeComesBack(t, line, func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, end = context.WithCancel(ctx)
		return ctx, end
	})
}

// placeComesBack lets a call take the only place in a context that ends, and another that place.
func placeComesBack(t *testing.T, line store.Opener, within func(context.Context) (context.Context, context.CancelFunc)) {
	t.Helper()
	var c *Client
	first := define(func(ctx context.Context, _ *doc) error {
		ctx, stop := within(ctx)
		defer stop()
		_, _ = GenerateText(WithClient(ctx, c), "smart", "x")
		return nil
	})
	next := durable.Define("next", durable.Step("s", func(ctx context.Context, _ *doc) error {
		_, err := GenerateText(WithClient(ctx, c), "smart", "y")
		return err
	}))
	durabletest.Run(t, config(first, next), func(t *testing.T, e *durabletest.Engine) {
		c = newClient(t, Config{Shared: true, Limits: map[string]Limit{"fake:*": {Concurrent: 1}}}, &counted{answer: echoes})
		durabletest.Start(e, first, doc{}).Done()
		began := time.Now()
		durabletest.Start(e, next, doc{}).Done()
		if d := time.Since(began); d > time.Minute {
			t.Errorf("the next call waited for %s", d)
		}
	}, durabletest.Store(line))
}

// AI-29: a call is settled with the budget of its run if the body ends meanwhile.
func TestAI29_SettledAtTheEnd(t *testing.T) {
	var end context.CancelFunc
	line := &lateLine{opener: memory.New(), settle: func(counter string) {
		if strings.HasPrefix(counter, "ai:tokens:") {
			end()
		}
	}}
	p := &counted{answer: func(int, string, *model.Request) (*Response, error) {
		return &Response{Message: Message{Text: "a"}, Stop: StopEnd, Usage: Usage{Input: 3, Output: 4}}, nil
	}}
	w := define(func(ctx context.Context, _ *doc) error {
		ctx, end = context.WithCancel(ctx)
		defer end()
		_, _ = GenerateText(ctx, "smart", "x", MaxTokens(100))
		return nil
	})
	c := newClient(t, Config{Budgets: map[string]Budget{"w": {Tokens: 1000}}}, p)
	durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, doc{})
		r.Done()
		tokensCount(t, e, r.ID, 7)
	}, durabletest.Store(line), durabletest.Context(WithClient(t.Context(), c)))
}

// tokensCount says how many tokens count against the budget of a run.
func tokensCount(t *testing.T, e *durabletest.Engine, id durable.ID, want int64) {
	t.Helper()
	n, err := e.Counter(t.Context(), id, "ai:tokens:"+id.String())
	if err != nil || n.All != want {
		t.Errorf("the budget has counted %d, %v; want %d", n.All, err, want)
	}
}

// AI-29: what was reserved for a call that cannot be streamed comes back, also if the worker dies in between.
func TestAI29_StreamRefused(t *testing.T) {
	p := &talker{every: 3 * time.Second, size: 6, answer: func(int, string, *model.Request) (*Response, error) {
		r := answer("a text")
		r.Usage = Usage{Input: 3, Output: 4}
		return r, nil
	}}
	refused := 0
	lane := func(name string, after time.Duration) *durable.StepNode[doc] {
		return durable.Step(name, func(ctx context.Context, d *doc) error {
			if err := durable.Sleep(ctx, after); err != nil {
				return err
			}
			if _, err := GenerateText(ctx, "smart", name, MaxTokens(100), StreamTo("answer")); IsKind(err, Invalid) {
				refused++
			}
			return nil
		})
	}
	w := durable.Define("w", durable.Parallel("p", lane("one", 0), lane("two", 2*time.Second)))
	c := newClient(t, Config{Budgets: map[string]Budget{"w": {Tokens: 1000}}}, p)
	onStores(t, WithClient(t.Context(), c), config(w), func(t *testing.T, e *durabletest.Engine) {
		for n := 1; ; n++ {
			crashes := e.Crashes()
			e.CrashAfter(n)
			r := durabletest.Start(e, w, doc{}, durable.Key(fmt.Sprint(n)))
			r.Done()
			e.Sleep(time.Second)
			tokensCount(t, e, r.ID, treeSpending(t, t.Context(), e.Engine, r.ID).Tokens)
			if e.Crashes() == crashes {
				if n < 8 || refused == 0 {
					t.Errorf("it took %d writes, and %d calls were refused", n, refused)
				}
				break
			}
		}
	})
}
