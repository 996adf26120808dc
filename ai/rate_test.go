package ai

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// A place is one's own until a minute after its turn; then, and when it is left, what it took is there again.
func TestRates_PlaceComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(map[string]Limit{"fake:*": {Requests: 60}, "fake:one": {Requests: 6}})
		now := time.Now()
		for range 6 {
			if p, _, _ := r.try(testOpened("k"), ticket{}, now); p == nil {
				t.Fatal("no leave")
			}
		}
		wait := func(call string, at time.Duration, want time.Duration) {
			t.Helper()
			p, d, q := r.try(testOpened("k"), ticket{call: call}, now.Add(at))
			if want == 0 && p == nil || p != nil && want > 0 || (d-want).Abs() > time.Millisecond || q != ownTurn {
				t.Errorf("%s after %s: %v, a wait of %s, want %s", call, at, p != nil, d, want)
			}
		}
		wait("a", 0, 10*time.Second)
		wait("b", 0, 20*time.Second)
		wait("c", 0, 30*time.Second)
		wait("a", time.Second, 9*time.Second) // it is its own place still
		wait("b", 20*time.Second, 0)
		wait("d", 20*time.Second, 20*time.Second)
		other := &opened{spec: spec{provider: "fake", name: "two"}, bucket: "k"}
		for i := range 53 { // those who wait for one model take nothing of the others
			if p, d, _ := r.try(other, ticket{call: "x"}, now.Add(20*time.Second)); p == nil {
				t.Fatalf("other model %d: %s", i, d)
			}
		}
		r.leave(testOpened("k"), ticket{call: "d"})
		wait("e", 20*time.Second, 20*time.Second)
		wait("c", 30*time.Second+lateness, 0)
		for i := range 5 { // a and e did not come, and b and c went
			wait(fmt.Sprint("f", i), 40*time.Second+lateness+time.Second, 0)
		}
	})
}

// A call that is ended while it waits in its slot leaves its place.
func TestRates_EndedInTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(map[string]Limit{"fake:*": {Requests: 60}})
		now := time.Now()
		for range 60 {
			_, _, _ = r.try(testOpened("k"), ticket{}, now)
		}
		ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer stop()
		if _, _, _, err := r.admit(ctx, testOpened("k"), ticket{call: "a"}); !errors.Is(err, context.DeadlineExceeded) || len(r.places) != 0 {
			t.Errorf("%v, %d places", err, len(r.places))
		}
		if _, d, _ := r.try(testOpened("k"), ticket{call: "b"}, time.Now()); d > 501*time.Millisecond {
			t.Errorf("the next waits for %s", d)
		}
	})
}

// Whoever uses a key first looks up whether it has to rest; the others wait for that, and an error leaves it to the next.
func TestRates_Learn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates(nil)
		looks := 0
		look := func() (time.Duration, error) {
			elapse(time.Second)
			if looks++; looks == 1 {
				return 0, errors.New("away")
			}
			return time.Minute, nil
		}
		failed := make(chan error, 4)
		for range 4 {
			go func() { failed <- r.learn(t.Context(), "k", look) }()
		}
		errs := 0
		for range 4 {
			if <-failed != nil {
				errs++
			}
		}
		if _, d, q := r.try(testOpened("k"), ticket{}, time.Now()); errs != 1 || looks != 2 || d > time.Minute || d < 59*time.Second || q != coolDown {
			t.Errorf("%d errors, %d looks, a wait of %s", errs, looks, d)
		}
		if p, _, _ := r.try(testOpened("k"), ticket{hurry: true}, time.Now()); p == nil {
			t.Error("a person has said that it is to be tried")
		}
	})
}

// Limits that would limit nothing are refused, with what to write instead.
func TestNew_LimitsThatFitNoModel(t *testing.T) {
	env := func(name string) string { return map[string]string{"AI_MODEL_QUICK": "gemini:flash"}[name] }
	for pattern, want := range map[string]string{
		"antropic:*":                           `"antropic:*": no such provider; the providers are anthropic, `,
		"smart":                                `"smart" is an alias, and limits are those of what it leads to: give them to "fake:one", or to "fake:*"`,
		"smart:*":                              `"smart" is an alias`,
		"quick":                                `give them to "gemini:flash"`,
		"fake:old":                             `"fake:old" is an alias, and limits are those of what it leads to: give them to "fake:new"`,
		"other":                                `"other" reads provider:name, or provider:*`,
		"openai-chat@http://h:8000/v1/:*":      `it reads "openai-chat@http://h:8000/v1:*"`,
		"cohere@http://h:8000/v1:*":            "the wires that can be at an address",
		"fake:*":                               "",
		"fake:new":                             "",
		"anthropic:*":                          "",
		"gemini:flash":                         "",
		"ollama:qwen3:8b":                      "",
		"openai-chat@http://h:8000/v1:*":       "",
		"openai-chat@http://h:8000/v1:qwen:8b": "",
	} {
		_, err := New(Config{
			Getenv: env, Providers: map[string]Provider{"fake": &script{}},
			Aliases: map[string]string{"smart": "fake:one", "fake:old": "fake:new", "anthropic": "anthropic:one"}, Limits: map[string]Limit{pattern: {Requests: 1}},
		})
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", pattern, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "in Limits")):
			t.Errorf("%q: %v, want %s", pattern, err, want)
		}
	}
}
