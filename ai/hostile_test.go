package ai

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
)

// Records that this code cannot read, as those of newer code or damaged ones, block the run: nothing is asked again, the
// step does not fail, and code that can read them goes on.
func TestUnreadableRecords(t *testing.T) {
	p := &counted{answer: echoes}
	client := newClient(t, Config{}, p)
	const begun = `{"try":1,"asked":"smart","model":"fake:one","at":1}`
	tool := NewTool("status", "says how it goes", func(context.Context, struct{}) (string, error) { return "well", nil })
	text := func(ctx context.Context, d *doc) error {
		_, err := GenerateText(ctx, "smart", "x", Key("k"))
		return err
	}
	agent := func(ctx context.Context, d *doc) error {
		_, err := Agent{Name: "a", Model: "smart", Tools: []Tool{tool}}.Run(ctx, "x")
		return err
	}
	for name, c := range map[string]struct {
		records [][2]string
		body    func(ctx context.Context, d *doc) error
		of      string
	}{
		"an outcome of newer code": {[][2]string{{"ai:k~0/try", begun}, {"ai:k~0", `{"background":"job_1"}`}}, text, "ai:k~0"},
		"a try that is none":       {[][2]string{{"ai:k~0/try", `{"try":1,"choice":-1,"asked":"smart","at":1}`}}, text, "ai:k~0/try"},
		"other JSON":               {[][2]string{{"ai:k~0/try", `[7]`}}, text, "ai:k~0/try"},
		"null":                     {[][2]string{{"ai:k~0/try", `null`}}, text, "ai:k~0/try"},
		"a turn of newer code":     {[][2]string{{"agent:a/turn[1]/try", begun}, {"agent:a/turn[1]", `{"answers":["x"]}`}}, agent, "agent:a/turn[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			old := define(func(ctx context.Context, d *doc) error {
				for _, r := range c.records {
					if _, err := durable.Do(ctx, r[0], func(context.Context) (json.RawMessage, error) { return json.RawMessage(r[1]), nil }); err != nil {
						return err
					}
				}
				_, err := durable.WaitForInput[string](ctx, "go")
				return err
			})
			onStores(t, WithClient(t.Context(), client), config(old), func(t *testing.T, e *durabletest.Engine) {
				r := durabletest.Start(e, old, doc{})
				r.Settle()
				e.Deploy(config(define(c.body)))
				r.Answer("go", "on")
				r.Settle()
				x, err := e.Execution(t.Context(), r.ID)
				if err != nil {
					t.Fatal(err)
				}
				if x.Status != durable.Blocked || x.Error == nil || !strings.Contains(x.Error.Error(), c.of) {
					t.Errorf("the run is %s: %v", x.Status, x.Error)
				}
			})
			if n := p.count(); n > 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

// A provider that says it has used less than nothing, or more than there is, makes no room in a budget.
func TestBudget_HostileUsage(t *testing.T) {
	for name, u := range map[string]Usage{
		"negative": {Input: -1_000_000, Output: 5},
		"over":     {Input: math.MaxInt64, Output: math.MaxInt64, CacheRead: math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			p := &counted{answer: func(int, string, *model.Request) (*Response, error) {
				r := answer("x")
				r.Usage = u
				return r, nil
			}}
			c := newClient(t, Config{Budgets: map[string]Budget{"w": {Tokens: 5000, Fail: true}}}, p)
			w := define(func(ctx context.Context, d *doc) error {
				for d.N = range 20 {
					if _, err := GenerateText(ctx, "smart", strings.Repeat("word ", 400)); err != nil {
						if !IsKind(err, OverBudget) {
							return err
						}
						return nil
					}
				}
				return nil
			})
			durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
				r := durabletest.Start(e, w, doc{})
				got := r.Done()
				calls, err := Calls(t.Context(), e.Engine, r.ID)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range calls {
					if c.Usage.Input < 0 || c.Usage.Total() < 0 {
						t.Errorf("recorded %+v", c.Usage)
					}
				}
				if name == "over" && got.N != 1 {
					t.Errorf("%d calls went out after one that took it all", got.N)
				}
			}, durabletest.Context(WithClient(t.Context(), c)))
		})
	}
}

// What is written into a cache costs more than other input; a budget has room for it before it is sent.
func TestBudget_CacheWrites(t *testing.T) {
	p := &counted{answer: echoes}
	c := newClient(t, Config{
		Prices:  []byte(`{"as_of":"2026-09-30","models":{"fake:one":{"input":1,"cache_write":10,"output":1}}}`),
		Budgets: map[string]Budget{"w": {Money: 2000, Fail: true}},
	}, p)
	for _, opts := range [][]Option{nil, {Cache(5 * time.Minute)}} {
		before := p.count()
		w := define(func(ctx context.Context, d *doc) error {
			_, err := GenerateText(ctx, "smart", strings.Repeat("x", 4000), append(opts, MaxTokens(10))...)
			if IsKind(err, OverBudget) != (p.count() == before) {
				t.Errorf("%d requests, %v", p.count()-before, err)
			}
			d.N = p.count() - before
			return nil
		})
		durabletest.Run(t, config(w), func(t *testing.T, e *durabletest.Engine) {
			if n := durabletest.Start(e, w, doc{}).Done().N; n == len(opts) {
				t.Errorf("%d options, %d requests", len(opts), n)
			}
		}, durabletest.Context(WithClient(t.Context(), c)))
	}
}

// An answer that is too long to be kept is one that was paid, and no reason to ask for ever.
func TestHugeAnswer(t *testing.T) {
	p := &counted{answer: func(int, string, *model.Request) (*Response, error) { return answer(strings.Repeat("x", maxBody)), nil }}
	c := newClient(t, Config{}, p)
	j := step()
	err := j.Run(WithClient(t.Context(), c), func(ctx context.Context) error {
		_, err := GenerateText(ctx, "smart", "x")
		return err
	})
	var e *Error
	if !errors.As(err, &e) || e.Kind != BadAnswer || e.Usage.Input != 10 || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("the error is %v", err)
	}
	if n := p.count(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// A model string is data, maybe that of a run: it forges no line of a log, and nothing is asked by it.
func TestHostileModelStrings(t *testing.T) {
	p := &counted{answer: echoes}
	ctx := WithClient(t.Context(), newClient(t, Config{}, p))
	for _, name := range []string{"fake:m\n\x00\x1b[31m", "smart\nlevel=ERROR", "fake:" + strings.Repeat("m", 1<<20), "fake:\xff", "fake\u0085:m"} {
		_, err := GenerateText(ctx, name, "x")
		if !IsKind(err, Invalid) || len(err.Error()) > 3000 || !printable(err.Error()) {
			t.Errorf("%.40q: %.300q", name, err)
		}
	}
	if n := p.count(); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// A key that no header can hold is told by its variable, and not waited for.
func TestAI33_KeyWithALineBreak(t *testing.T) {
	c, err := New(Config{Getenv: func(name string) string {
		if strings.HasSuffix(name, "_API_KEY") {
			return "sk-canary\nX-Evil: 1"
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"anthropic:m", "openai:m", "openai-chat:m", "gemini:m"} {
		err := Check(WithClient(t.Context(), c), m)
		if !IsKind(err, Invalid) || !strings.Contains(err.Error(), "_API_KEY") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", m, err)
		}
	}
}
