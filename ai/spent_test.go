package ai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// Budgets hold when each answer breaks off: what nobody knows keeps what was reserved, in the budget, in the list and in the sum.
func TestBudget_BrokenAnswers(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for name, c := range map[string]struct {
		err      error
		requests int // of 5 that the budget allows
		possibly int
		usage    Usage
	}{
		"broke off":    {&Error{Kind: Transient, Status: 200}, 5, 5, Usage{Input: 20, Output: 500, Estimated: true}},
		"no answer":    {&Error{Kind: Transient}, 5, 5, Usage{Input: 20, Output: 500, Estimated: true}},
		"not readable": {&Error{Kind: BadAnswer, Status: 200}, 5, 5, Usage{Input: 20, Output: 500, Estimated: true}},
		"any error":    {errors.New("reset"), 5, 5, Usage{Input: 20, Output: 500, Estimated: true}},
		"counted":      {&Error{Kind: Transient, Status: 200, Usage: Usage{Input: 7, Output: 9}}, 5, 0, Usage{Input: 35, Output: 45}},
		"refused":      {&Error{Kind: Transient, Status: 529}, 12, 0, Usage{}},
		"said unpaid":  {&Error{Kind: Transient, Unpaid: true}, 12, 0, Usage{}},
		"not dialled":  {refused, 12, 0, Usage{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &counted{answer: func(int, string, *model.Request) (*Response, error) { return nil, c.err }}
			client := newClient(t, Config{Budgets: map[string]Budget{"w": {Calls: 5, Tokens: 50_000, Fail: true}}}, p)
			retry := durable.Retry{MaxAttempts: 3} // of four quick tries each, if the budget allows
			w := durable.Define("w", durable.Step("s", func(ctx context.Context, _ *doc) error {
				_, err := GenerateText(ctx, "smart", "x", MaxTokens(100), Patience(0))
				return err
			}).Retry(retry))
			durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
				r := durabletest.Start(e, w, doc{})
				end := r.Fails()
				if over := strings.Contains(end.Cause.Message, "over budget"); over != (c.requests == 5) || p.count() != c.requests {
					t.Errorf("%d requests, want %d: %v", p.count(), c.requests, end)
				}
				s := sumOf(t, e, r.ID)
				if s.Requests != c.requests || s.PossiblyPaid != c.possibly || s.Usage != c.usage {
					t.Errorf("the sum: %+v", s)
				}
				if unpriced := s.Cost.Unpriced; unpriced != 0 && c.requests == 12 || unpriced != 5 && c.requests == 5 {
					t.Errorf("the cost: %s", s.Cost)
				}
			}, durabletest.Context(WithClient(t.Context(), client)))
		})
	}
}

// wireless answers requests without a network.
type wireless func(*http.Request) (*http.Response, error)

func (f wireless) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The built-in providers count what has come of an answer that is cut.
func TestAI21_CutStreamsCount(t *testing.T) {
	piece := fmt.Sprintf("%q", strings.Repeat("word ", 4000))
	for name, stream := range map[string]string{
		"openai-chat": `data: {"choices":[{"delta":{"content":` + piece + `}}]}` + "\n\n",
		"openai":      `data: {"type":"response.output_text.delta","output_index":0,"delta":` + piece + `}` + "\n\n",
		"gemini":      `data: {"candidates":[{"content":{"parts":[{"text":` + piece + `}]}}]}` + "\n\n",
		"anthropic": `data: {"type":"message_start","message":{"usage":{"input_tokens":50,"output_tokens":1}}}` + "\n\n" +
			`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":` + piece + `}}` + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			client, err := New(Config{
				Aliases: map[string]string{"smart": name + ":some-model"}, Budgets: map[string]Budget{"w": {Calls: 3, Tokens: 12_000, Fail: true}},
				Getenv: func(name string) string {
					if strings.HasSuffix(name, "_KEY") {
						return "x"
					}
					return ""
				},
				HTTP: &http.Client{Transport: wireless(func(r *http.Request) (*http.Response, error) {
					n++
					_, _ = io.Copy(io.Discard, r.Body)
					return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(strings.NewReader(stream)), Request: r}, nil
				})},
			})
			if err != nil {
				t.Fatal(err)
			}
			w := define(func(ctx context.Context, _ *doc) error {
				_, err := GenerateText(ctx, "smart", "write me a long text, please")
				return err
			})
			durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
				r := durabletest.Start(e, w, doc{})
				if end := r.Fails(); !strings.Contains(end.Cause.Message, "12000 tokens") || n != 2 {
					t.Errorf("%d requests: %v", n, end)
				}
				if s := sumOf(t, e, r.ID); s.Usage.Output < 10_000 || s.Usage.Output > 10_010 || s.Usage.Input < 10 || !s.Usage.Estimated || s.Requests != 2 || s.Cost == (Cost{}) {
					t.Errorf("the sum: %+v", s)
				}
			}, durabletest.Context(WithClient(t.Context(), client)))
		})
	}
}

// Records of earlier versions say nothing of what was lost: they count as they were settled.
func TestBudget_RecordsOfEarlierVersions(t *testing.T) {
	read := func(outcome string) CallInfo {
		mark := `{"asked":"smart","at":1,"input":5,"model":"fake:one","output":100,"try":1}`
		list := infos([]entry{
			{Path: "s", Attempt: 1, Name: "ai:x~0/try", Data: json.RawMessage(mark)},
			{Path: "s", Attempt: 1, Name: "ai:x~0", Data: json.RawMessage(outcome)},
		})
		if len(list) != 1 {
			t.Fatalf("%d calls", len(list))
		}
		return list[0]
	}
	if c := read(`{"at":9,"error":{"kind":"transient","status":200}}`); c.PossiblyPaid || c.Cost != nil || c.Usage != (Usage{}) || c.Kind != Transient {
		t.Errorf("%+v", c)
	}
	if c := read(`{"at":9,"error":{"kind":"transient","status":200},"lost":true}`); !c.PossiblyPaid || c.Cost == nil || c.Usage.Output != 100 || c.Kind != Transient || c.Took == 0 {
		t.Errorf("%+v", c)
	}
}

// The end of the caller's own time says which model was asked, and how it had failed.
func TestCallEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := fails(Error{Kind: Transient, Provider: "fake", Model: "one", Status: 529, Err: errors.New("too much to do")})
		waits := func(ctx context.Context, _ *model.Request, _ func(Delta)) (*Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ask := func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			defer cancel()
			_, err := GenerateText(ctx, "smart", "x")
			return err
		}
		_, ctx := scriptedClient(t, busy, busy, busy, busy)
		err := ask(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || IsKind(err, Transient) || !strings.Contains(err.Error(), "smart") || !strings.Contains(err.Error(), "too much to do") {
			t.Errorf("between tries: %v", err)
		}
		_, ctx = scriptedClient(t, waits)
		if err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "smart") {
			t.Errorf("in a try: %v", err)
		}
		_, ctx = scriptedClient(t, busy)
		mine := errors.New("the user has left")
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(mine)
		if _, err := GenerateText(ctx, "smart", "x"); !errors.Is(err, mine) || !strings.Contains(err.Error(), "smart") {
			t.Errorf("before it: %v", err)
		}
	})
}

type opensNothing struct{}

func (opensNothing) Open(string) (Model, error) { return nil, nil }

// A Provider that opens nothing is an error that names it.
func TestProviderOpensNothing(t *testing.T) {
	c := newClient(t, Config{}, opensNothing{})
	_, err := GenerateText(WithClient(t.Context(), c), "smart", "x")
	if !IsKind(err, Invalid) || !strings.Contains(err.Error(), "fake: one") || !strings.Contains(err.Error(), "Open returned neither a model nor an error") {
		t.Errorf("%v", err)
	}
}

// What a provider repeats of a prompt is taken out, however the prompt repeats itself.
func TestErrorWithoutPrompt(t *testing.T) {
	spaces := strings.Repeat(" ", 2000)
	r := &model.Request{System: "be brief", Messages: []Message{{Role: User, Text: strings.Repeat(" ", 8<<20) + "summarise what follows"}}}
	for text, want := range map[string]string{
		spaces:                            "[…]",
		"bad:summarise what follows here": "bad:[…] here",
		"you said be brief, twice":        "you said […], twice",
		"too short: summarise":            "too short: summarise",
		"no \x1b[2Jkey\n\u202egnorw":      "no \uFFFD[2Jkey\n\uFFFDgnorw", // no commands for a terminal
	} {
		if got := withoutPrompt(text, r); got != want {
			t.Errorf("%.50q: %q, want %q", text, got, want)
		}
	}
}
