package ai

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable/ai/model"
)

// elapse lets virtual time pass.
func elapse(d time.Duration) { <-time.After(d) }

func testOpened(bucket string) *opened {
	return &opened{spec: spec{provider: "fake", name: "one"}, bucket: bucket}
}

// So many requests go in a minute, and no more in any other.
func TestRates_Requests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(map[string]Limit{"fake:*": {Requests: 60}})
		var sent []time.Time
		for len(sent) < 200 {
			p, wait, _, err := r.admit(t.Context(), testOpened("k"), ticket{})
			if err != nil {
				t.Fatal(err)
			}
			if p == nil {
				elapse(wait)
				continue
			}
			p.settle(&Usage{}, nil, "fake")
			p.release()
			sent = append(sent, time.Now())
		}
		for i := range sent {
			n := 0
			for _, at := range sent[i:] {
				if at.Sub(sent[i]) < time.Minute {
					n++
				}
			}
			if n > 121 { // a full level, and what fills up meanwhile
				t.Fatalf("%d requests within a minute", n)
			}
		}
		if d := sent[199].Sub(sent[0]); d < 139*time.Second || d > 150*time.Second {
			t.Errorf("200 requests took %s", d)
		}
	})
}

// What was estimated too high comes back, what was estimated too low is missing.
func TestRates_Settlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(map[string]Limit{"fake:*": {Input: 600, Output: 600}})
		now := time.Now()
		p, _, _ := r.try(testOpened("k"), ticket{input: 600, output: 600}, now)
		if q, d, _ := r.try(testOpened("k"), ticket{input: 10}, now); q != nil || d != time.Second {
			t.Errorf("there is room for more than the limit: %v, %s", q, d)
		}
		p.settle(&Usage{Input: 500, CacheRead: 50, Output: 0}, nil, "fake")
		if _, d, _ := r.try(testOpened("k"), ticket{input: 60}, now); d != time.Second {
			t.Errorf("50 are left, and 60 have to wait for %s", d)
		}
		if q, d, _ := r.try(testOpened("k"), ticket{input: 50, output: 600}, now); q == nil {
			t.Errorf("50 are left, and have to wait for %s", d)
		}
		if q, d, _ := r.try(testOpened("other key"), ticket{input: 600, output: 600}, now); q == nil {
			t.Errorf("another key has to wait for %s", d)
		}
		if _, d, _ := r.try(&opened{spec: spec{provider: "else", name: "one"}, bucket: "k"}, ticket{input: 600, output: 600}, now); d != 0 {
			t.Errorf("no limit, and a wait of %s", d)
		}
		a := newRates(map[string]Limit{"anthropic:*": {Input: 600}})
		o := &opened{spec: spec{provider: "anthropic", name: "one"}, bucket: "k"}
		p, _, _ = a.try(o, ticket{input: 600}, now)
		p.settle(&Usage{Input: 100, CacheRead: 5000}, nil, "anthropic")
		if q, d, _ := a.try(o, ticket{input: 500}, now); q == nil {
			t.Errorf("what came from a cache counts: %s", d)
		}
	})
}

// One above the whole limit goes alone, when everything is there.
func TestRates_AboveTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(map[string]Limit{"fake:one": {Input: 100}})
		now := time.Now()
		if p, _, _ := r.try(testOpened("k"), ticket{input: 1}, now); p == nil {
			t.Fatal("no leave")
		}
		p, d, _ := r.try(testOpened("k"), ticket{input: 1000}, now)
		if p != nil || d <= 0 || d > time.Second {
			t.Fatalf("it goes with others: %s", d)
		}
		if p, d, _ = r.try(testOpened("k"), ticket{input: 1000}, now.Add(d)); p == nil {
			t.Fatalf("it never goes: %s", d)
		}
		if _, d, _ = r.try(testOpened("k"), ticket{input: 1}, now.Add(time.Second)); d < 8*time.Minute {
			t.Errorf("the next waits for %s only", d)
		}
	})
}

// Only so many are on their way.
func TestRates_Concurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(map[string]Limit{"fake:*": {Concurrent: 2}})
		now := time.Now()
		a, _, _ := r.try(testOpened("k"), ticket{}, now)
		b, _, _ := r.try(testOpened("k"), ticket{}, now)
		if c, d, _ := r.try(testOpened("k"), ticket{}, now); c != nil || d <= 0 {
			t.Errorf("a third goes")
		}
		a.release()
		a.release()
		if c, _, _ := r.try(testOpened("k"), ticket{}, now); c == nil {
			t.Errorf("a place is free, and none goes")
		}
		if c, _, _ := r.try(testOpened("k"), ticket{}, now); c != nil {
			t.Errorf("a place was given back twice")
		}
		b.release()
	})
}

// The provider knows better what is left.
func TestRates_Headroom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(map[string]Limit{"fake:*": {Requests: 60}})
		now := time.Now()
		p, _, _ := r.try(testOpened("k"), ticket{}, now)
		p.settle(&Usage{}, &model.Headroom{Requests: model.Window{Limit: 60, Remaining: 1}}, "fake")
		if q, _, _ := r.try(testOpened("k"), ticket{}, now); q == nil {
			t.Error("one is left")
		}
		if _, d, _ := r.try(testOpened("k"), ticket{}, now); d != time.Second {
			t.Errorf("none is left, and the wait is %s", d)
		}
		free := newRates(nil)
		p, _, _ = free.try(testOpened("k"), ticket{}, now)
		p.settle(&Usage{}, &model.Headroom{Input: model.Window{Limit: 100, Remaining: 0, Reset: 7 * time.Second}}, "fake")
		if _, d, _ := free.try(testOpened("k"), ticket{}, now); d != 7*time.Second {
			t.Errorf("without a limit of ours: %s", d)
		}
	})
}

// A call that is held back sleeps durably, and walks the same road when its body runs again.
func TestRates_CallSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{lines: []line{says("a"), says("b")}}
		c, err := New(Config{
			Getenv: noEnv, Providers: map[string]Provider{"fake": s}, Limits: map[string]Limit{"fake:*": {Requests: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx := WithClient(t.Context(), c)
		j := step()
		j.OnSleep = elapse
		j.Kill = 6
		body := func(ctx context.Context) error {
			for i := range 2 {
				if _, err := GenerateText(ctx, "fake:one", fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return nil
		}
		if err := j.Run(ctx, body); !errors.Is(err, ErrKilled) {
			t.Fatal(err)
		}
		if err := j.Run(ctx, body); err != nil || len(s.requests) != 2 {
			t.Fatalf("%v, %d requests: %q", err, len(s.requests), j.Order)
		}
		if len(j.Slept) != 1 || j.Slept[0] < 59*time.Second || j.Slept[0] > 67*time.Second {
			t.Errorf("slept %s", j.Slept)
		}
		// Outside of steps nothing waits: it is an error that says for how long.
		_, err = GenerateText(ctx, "fake:one", "x")
		var e *Error
		if !errors.As(err, &e) || e.Kind != RateLimited || e.RetryAfter < 59*time.Second {
			t.Errorf("%v", err)
		}
	})
}

// Ten refusals in a row that do not say for how long are a quota.
func TestBareRateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := fails(Error{Kind: RateLimited, Status: 429})
		var lines []line
		for range 10 {
			lines = append(lines, busy)
		}
		s, ctx := scriptedClient(t, lines...)
		j := step()
		j.OnSleep = elapse
		err := j.Run(ctx, func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "x"); return err })
		if !errors.Is(err, ErrWaiting) || len(s.requests) != 10 || len(j.Slept) < 9 {
			t.Errorf("%v, %d requests, slept %s", err, len(s.requests), j.Slept)
		}
		if d := j.Slept[0]; d < 30*time.Second || d > 33*time.Second {
			t.Errorf("slept %s first", d)
		}
		if d := j.Slept[len(j.Slept)-1]; d < 10*time.Minute || d > 11*time.Minute {
			t.Errorf("slept %s last", d)
		}
	})
}
