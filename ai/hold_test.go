package ai

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// AI-18: "try again" sends at once, also if the key was to rest; and a rest of hours is a hold that says until when.
func TestAI18_TryAgainPassesTheCoolDown(t *testing.T) {
	out := &model.Headroom{Requests: model.Window{Limit: 1000, Remaining: 0, Reset: 5 * time.Hour}}
	for name, c := range map[string]struct {
		fails  int
		err    Error
		shared bool
	}{
		"a wait of hours":         {1, Error{Kind: RateLimited, Status: 429, RetryAfter: 5 * time.Hour}, false},
		"with headers":            {1, Error{Kind: Quota, Status: 429, RetryAfter: 5 * time.Hour, Headroom: out}, false},
		"for all workers":         {1, Error{Kind: RateLimited, Status: 429, RetryAfter: 5 * time.Hour, Headroom: out}, true},
		"ten that say nothing":    {10, Error{Kind: RateLimited, Status: 429}, false},
		"ten, for all the others": {10, Error{Kind: RateLimited, Status: 429}, true},
	} {
		t.Run(name, func(t *testing.T) {
			sent := 0
			p := slow{func(context.Context) (*Response, error) {
				if sent++; sent <= c.fails {
					e := c.err
					return nil, &e
				}
				return answer("a"), nil
			}}
			var client *Client
			w := asks(func() *Client { return client })
			onBoth(t, config(w), func(t *testing.T, e *durabletest.Engine) {
				sent, client = 0, newClient(t, Config{Shared: c.shared}, p)
				r := durabletest.Start(e, w, doc{})
				for range 100 {
					if e.Sleep(time.Minute); slices.Contains(r.Waits(), "ai.hold") {
						break
					}
				}
				if sent != c.fails {
					t.Fatalf("%d requests before the hold", sent)
				}
				began := time.Now()
				r.Answer("ai.hold", "try again")
				r.Done()
				if d := time.Since(began); d > 5*time.Second || sent != c.fails+1 {
					t.Errorf("done after %s and %d requests", d, sent-c.fails)
				}
			})
		})
	}
}

// What a provider says of a key in a good answer may hold the next call, and then a person knows why and until when.
func TestAI18_RestOfHoursIsAHold(t *testing.T) {
	for _, answered := range []bool{true, false} {
		sent := 0
		p := slow{func(context.Context) (*Response, error) {
			r := answer("a")
			if sent++; sent == 1 {
				r.Headroom = &model.Headroom{Requests: model.Window{Limit: 200, Remaining: 0, Reset: 20 * time.Hour}}
			}
			return r, nil
		}}
		var client *Client
		w := asks(func() *Client { return client })
		durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
			client = newClient(t, Config{}, p)
			durabletest.Start(e, w, doc{N: 1}).Done()
			began := time.Now()
			r := durabletest.Start(e, w, doc{N: 2})
			e.Sleep(time.Minute)
			page, err := e.PendingInputs(t.Context(), durable.InputFilter{Execution: r.ID})
			if err != nil || len(page.Inputs) != 1 || page.Inputs[0].Name != "ai.hold" {
				t.Fatalf("%+v, %v", page, err)
			}
			until := began.Add(20 * time.Hour).UTC().Format("2006-01-02 15:")
			if text := page.Inputs[0].Prompt; !strings.Contains(text, until) || !strings.Contains(text, "its provider has said before") {
				t.Errorf("%q, which is to say %q", text, until)
			}
			if answered {
				r.Answer("ai.hold", "try again")
			}
			r.Done()
			if d := time.Since(began); answered && d > 2*time.Minute || !answered && (d < 20*time.Hour || d > 21*time.Hour) || sent != 2 {
				t.Errorf("answered: %v; done after %s, %d requests", answered, d, sent)
			}
		})
	}
}

// A queue for limits of ours is none: nobody need say anything, however long it is.
func TestRates_LongQueueIsNoHold(t *testing.T) {
	p := slow{func(context.Context) (*Response, error) { return answer("a"), nil }}
	var client *Client
	w := asks(func() *Client { return client })
	durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
		client = newClient(t, Config{Limits: map[string]Limit{"fake:*": {Requests: 1}}}, p)
		var last *durabletest.Started[doc]
		for n := range 40 {
			last = durabletest.Start(e, w, doc{N: n})
		}
		e.Sleep(time.Second)
		if waits := last.Waits(); slices.Contains(waits, "ai.hold") {
			t.Errorf("it waits for %q", waits)
		}
		last.Done()
	})
}

// AI-17: a wait that is stated is kept, and up to a tenth is added, so that not all come back at once.
func TestAI17_StatedWaitsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(map[time.Duration]bool)
		for range 20 {
			_, ctx := scriptedClient(t, fails(Error{Kind: RateLimited, Status: 429, RetryAfter: 100 * time.Second}), says("a"))
			j := step()
			j.OnSleep = elapse
			if err := j.Run(ctx, func(ctx context.Context) error { _, err := GenerateText(ctx, "smart", "x"); return err }); err != nil || len(j.Slept) != 1 {
				t.Fatal(err, j.Slept)
			}
			d := j.Slept[0]
			if d < 100*time.Second || d > 110*time.Second {
				t.Errorf("slept %s", d)
			}
			seen[d] = true
		}
		if len(seen) < 10 {
			t.Errorf("all slept for %v", seen)
		}
	})
}
