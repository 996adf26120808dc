package ai

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// asks is a workflow of one call, with a client that is made when the test begins: it has no clock of another bubble.
func asks(client func() *Client) *durable.Workflow[doc] {
	return durable.Define("w", durable.Step("s", func(ctx context.Context, d *doc) error {
		_, err := GenerateText(WithClient(ctx, client()), "smart", fmt.Sprint(d.N))
		return err
	}).Timeout(24*time.Hour))
}

// recordsOf is how many durable calls the steps of a run have recorded.
func recordsOf(t *testing.T, e *durabletest.Engine, r *durabletest.Started[doc]) (n int) {
	t.Helper()
	x, err := e.Execution(t.Context(), r.ID, durable.WithSteps, durable.WithCalls)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range x.Steps {
		n += len(s.Calls)
	}
	return n
}

// Each of many calls that wait for a rate waits once, however many there are, and the rate is used.
func TestRates_EachWaitsOnce(t *testing.T) {
	p := slow{func(context.Context) (*Response, error) { return answer("a"), nil }}
	for _, limit := range []Limit{{Requests: 6}, {Requests: 100, Output: 6 * defaultMaxTokens}} {
		var c *Client
		w := asks(func() *Client { return c })
		durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
			c = newClient(t, Config{Limits: map[string]Limit{"fake:*": limit}}, p)
			began := time.Now()
			var runs []*durabletest.Started[doc]
			for n := range 60 {
				runs = append(runs, durabletest.Start(e, w, doc{N: n}))
			}
			for _, r := range runs {
				r.Done()
				if n := recordsOf(t, e, r); n > 4 {
					t.Errorf("%d records of one call", n)
				}
			}
			if d := time.Since(began); d > 10*time.Minute {
				t.Errorf("%+v: 60 calls took %s", limit, d)
			}
		})
	}
}

// A call that waits for a place for hours records as many waits as the logarithm of that time, in this process and with all workers.
func TestRates_LongWaitsAreFewRecords(t *testing.T) {
	var long atomic.Bool
	p := slow{func(context.Context) (*Response, error) {
		if long.Swap(false) {
			elapse(5 * time.Hour)
		}
		return answer("a"), nil
	}}
	for _, shared := range []bool{false, true} {
		var c *Client
		w := asks(func() *Client { return c })
		durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
			c = newClient(t, Config{Shared: shared, Limits: map[string]Limit{"fake:*": {Concurrent: 1}}}, p)
			long.Store(true)
			first := durabletest.Start(e, w, doc{N: 1})
			e.Sleep(time.Second)
			began := time.Now()
			second := durabletest.Start(e, w, doc{N: 2})
			second.Done()
			waited := time.Since(began)
			first.Done()
			if n := recordsOf(t, e, second); n > 10*bits.Len64(uint64(waited/time.Second)) {
				t.Errorf("shared: %v; %d records in %s", shared, n, waited)
			}
			if waited < 5*time.Hour-time.Second || waited > 5*time.Hour+2*longestSpell {
				t.Errorf("shared: %v; it waited for %s", shared, waited)
			}
		})
	}
}

// A crowd in several processes that share a limit records little, and uses the limit well.
func TestShared_CrowdRecordsLittle(t *testing.T) {
	for _, c := range []struct {
		limit   Limit
		takes   time.Duration // a request
		least   time.Duration // all
		records int           // of one call
	}{{Limit{Requests: 12}, 0, 4 * time.Minute, 25}, {Limit{Concurrent: 2}, 2 * time.Minute, time.Hour, 200}} {
		p := slow{func(context.Context) (*Response, error) { elapse(c.takes); return answer("a"), nil }}
		var clients []*Client
		var turn atomic.Int32
		w := asks(func() *Client { return clients[int(turn.Add(1))%len(clients)] })
		durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
			clients = nil
			for range 3 {
				clients = append(clients, newClient(t, Config{Shared: true, Limits: map[string]Limit{"fake:*": c.limit}}, p))
			}
			began := time.Now()
			var runs []*durabletest.Started[doc]
			for n := range 60 {
				runs = append(runs, durabletest.Start(e, w, doc{N: n}))
			}
			for _, r := range runs {
				r.Done()
				if n := recordsOf(t, e, r); n > c.records {
					t.Errorf("%d records of one call", n)
				}
			}
			if d := time.Since(began); d < c.least || d > 2*c.least {
				t.Errorf("%+v: 60 calls took %s", c.limit, d)
			}
		})
	}
}

// Calls that wait for their turn are cancelled, crash and start anew, and all others still come to their turn.
func TestRates_WhoWaitsMayGo(t *testing.T) {
	p := &counted{answer: echoes}
	var c *Client
	w := asks(func() *Client { return c })
	for _, how := range []string{"cancel", "crash", "restart"} {
		t.Run(how, func(t *testing.T) {
			durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
				limits := map[string]Limit{"fake:*": {Requests: 6}}
				c = newClient(t, Config{Limits: limits}, p)
				before, began := p.count(), time.Now()
				var runs []*durabletest.Started[doc]
				for n := range 30 {
					runs = append(runs, durabletest.Start(e, w, doc{N: n}))
				}
				e.Sleep(30 * time.Second)
				left := runs
				switch how {
				case "cancel":
					left = nil
					for i, r := range runs {
						if i%2 == 0 {
							left = append(left, r)
						} else if err := e.Cancel(t.Context(), r.ID, "not needed"); err != nil && !errors.Is(err, durable.ErrRunDone) {
							t.Fatal(err)
						}
					}
				case "crash":
					e.Crash()
				case "restart":
					c = newClient(t, Config{Limits: limits}, p)
					e.Restart()
				}
				for _, r := range left {
					r.Done()
				}
				if d := time.Since(began); d > 6*time.Minute {
					t.Errorf("it took %s", d)
				}
				if n := p.count() - before; n < len(left) || n > len(runs)+1 {
					t.Errorf("%d requests for %d runs", n, len(left))
				}
				if how != "cancel" {
					return
				}
				e.Sleep(3 * time.Minute) // what was taken for those is there again
				last := time.Now()
				for n := range 6 {
					durabletest.Start(e, w, doc{N: 100 + n}).Done()
				}
				if d := time.Since(last); d > time.Second {
					t.Errorf("places were taken for nobody: six calls took %s", d)
				}
			})
		})
	}
}

// A shared place is given back by a body that is over, however it ended.
func TestShared_PlaceComesBack(t *testing.T) {
	var hang atomic.Bool
	p := ending{&hang}
	for _, how := range []string{"step timeout", "own deadline", "stop in order"} {
		t.Run(how, func(t *testing.T) {
			var c *Client
			body := func(ctx context.Context, d *doc) error {
				if how == "own deadline" && d.N == 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, 5*time.Second)
					defer stop()
				}
				_, err := GenerateText(WithClient(ctx, c), "smart", fmt.Sprint(d.N))
				return err
			}
			first := durable.Step("s", body)
			if how == "step timeout" {
				first = first.Timeout(5 * time.Second)
			}
			w, other := durable.Define("w", first), durable.Define("other", durable.Step("s", body))
			onBoth(t, config(w, other), func(t *testing.T, e *durabletest.Engine) {
				c = newClient(t, Config{Shared: true, Limits: map[string]Limit{"fake:*": {Concurrent: 1}}}, p)
				hang.Store(true)
				r := durabletest.Start(e, w, doc{})
				e.Sleep(2 * time.Second)
				hang.Store(false)
				if how == "stop in order" {
					e.Restart()
				} else {
					r.Fails()
				}
				began := time.Now()
				durabletest.Start(e, other, doc{N: 1}).Done()
				if d := time.Since(began); d > 10*time.Second {
					t.Errorf("the next call waited for %s", d)
				}
			})
		})
	}
}

// ending is a provider that answers nothing until its context is over, as long as it hangs.
type ending struct{ hang *atomic.Bool }

func (p ending) Open(string) (Model, error) { return p, nil }

func (p ending) Generate(ctx context.Context, _ *model.Request, _ func(Delta)) (*Response, error) {
	if !p.hang.Load() {
		return answer("a"), nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// AI-16, restart included: who met a rate limit waits for it also in the next process, and so do those who begin there.
func TestAI16_AfterRestart(t *testing.T) {
	var mu sync.Mutex
	var at []time.Time
	p := slow{func(context.Context) (*Response, error) {
		mu.Lock()
		defer mu.Unlock()
		if at = append(at, time.Now()); len(at) == 1 {
			return nil, &Error{Kind: RateLimited, Status: 429, RetryAfter: 2 * time.Minute}
		}
		return answer("a"), nil
	}}
	var c *Client
	w := asks(func() *Client { return c })
	onBoth(t, config(w), func(t *testing.T, e *durabletest.Engine) {
		at, c = nil, newClient(t, Config{}, p)
		first := durabletest.Start(e, w, doc{N: 1})
		e.Sleep(time.Second)
		for n := range 3 {
			c = newClient(t, Config{}, p) // it is another process
			if n == 1 {
				e.Crash()
			} else {
				e.Restart()
			}
			for k := range 4 {
				durabletest.Start(e, w, doc{N: 10*n + k + 2})
			}
			e.Sleep(3 * time.Second)
		}
		if len(at) != 1 {
			t.Errorf("%d requests in the first seconds", len(at))
		}
		first.Done()
		durabletest.Start(e, w, doc{N: 100}).Done()
		if d := at[1].Sub(at[0]); d < 2*time.Minute || d > 4*time.Minute {
			t.Errorf("the next request came after %s", d)
		}
	})
}
