package ai

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// AI-10: a crash cuts off two calls of one turn. What is not known of the second keeps nobody from knowing of the first: each that
// has not happened runs once more.
func TestAI10_DoubtOfSiblings(t *testing.T) {
	away := errors.New("the bank does not answer")
	for name, c := range map[string]struct {
		fails int // of Reconcile; -1: there is none
		asked []string
	}{
		"a person is asked":    {-1, []string{"doubt:a[1.1]", "doubt:a[1.2]"}},
		"Reconcile fails once": {1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var e *effects
			fails := 0
			tool := func(name string) Tool {
				var opts []ToolOption
				if c.fails >= 0 {
					opts = append(opts, Reconcile(func(context.Context, order) (string, bool, error) {
						if fails++; name == "pay" && fails <= 1+c.fails { // that of mail is the first
							return "", false, away
						}
						return "", false, nil
					}))
				}
				return NewTool(name, "x", func(ctx context.Context, _ order) (string, error) {
					if e.add(name); e.of(name) == 1 {
						<-ctx.Done()
						return "", ctx.Err()
					}
					return name + " went", nil
				}, opts...)
			}
			p := &played{lines: []func(*Request) Response{calls("mail", `{"order":"1"}`, "pay", `{"order":"1"}`), speak("done")}}
			w := talks("talk", func() Agent {
				return Agent{Name: "a", Model: "smart", Tools: []Tool{tool("mail"), tool("pay")}}
			})
			onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, engine *durabletest.Engine) {
				e, fails = new(effects), 0
				r := durabletest.Start(engine, w, chat{})
				engine.Sleep(time.Second)
				engine.Crash()
				engine.Sleep(time.Hour)
				var asked []string
				got := operate(t, engine, r, func(name string, _ Question) any {
					asked = append(asked, name)
					return DoubtAnswer{Happened: "no"}
				})
				if e.String() != "mail:2 pay:2" || !slices.Equal(asked, c.asked) || !slices.Equal(texts(got.Messages), []string{"mail went", "pay went"}) {
					t.Errorf("%s, asked %q: %q", e, asked, texts(got.Messages))
				}
			})
		})
	}
}

// What stops an agent cuts no other call off: those that run end and are recorded, and nothing more begins.
func TestAgentStopsBesideOthers(t *testing.T) {
	for name, stops := range map[string]func() error{
		"Fatal":    func() error { return Fatal(errors.New("out of money")) },
		"panic":    func() error { panic("out of cheese") },
		"no error": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var e *effects
			kind := func(name string, fn func(ctx context.Context) error) Tool {
				return NewTool(name, "x", func(ctx context.Context, o order) (string, error) {
					e.add(name)
					return name + " " + o.Order, fn(ctx)
				}, Reconcile(func(context.Context, order) (string, bool, error) {
					e.add("doubt of " + name)
					return "", false, nil
				}))
			}
			attempt := 0
			tools := func() []Tool {
				return []Tool{
					kind("slow", func(ctx context.Context) error { return sleep(ctx, time.Minute) }),
					kind("bad", func(context.Context) error {
						if attempt == 1 && stops != nil {
							return stops()
						}
						return nil
					}),
					kind("late", func(context.Context) error {
						e.add(fmt.Sprintf("late in attempt %d", attempt))
						return nil
					}),
				}
			}
			pairs := []string{"bad", `{"order":"1"}`}
			for range togetherAtOnce - 1 {
				pairs = append(pairs, "slow", `{"order":"1"}`)
			}
			p := &played{lines: []func(*Request) Response{calls(append(pairs, "late", `{"order":"1"}`)...), speak("done")}}
			w := durable.Define("talk", durable.Step("s", func(ctx context.Context, c *chat) (err error) {
				info, _ := durable.Info(ctx)
				attempt = info.Attempt
				c.Result, err = Agent{Name: "a", Model: "smart", Tools: tools()}.Run(ctx, "do it")
				return err
			}).Retry(durable.Retry{MaxAttempts: 2}))
			onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, engine *durabletest.Engine) {
				e, attempt = new(effects), 0
				got := durabletest.Start(engine, w, chat{}).Done().Result
				want := map[string]string{
					"Fatal":    "bad:2 late in attempt 2:1 late:1 slow:7",
					"panic":    "bad:2 doubt of bad:1 late in attempt 2:1 late:1 slow:7",
					"no error": "bad:1 late in attempt 1:1 late:1 slow:7",
				}[name]
				if e.String() != want || strings.Join(texts(got.Messages), ", ") != "bad 1"+strings.Repeat(", slow 1", 7)+", late 1" {
					t.Errorf("%s; want %s: %q", e, want, texts(got.Messages))
				}
			})
		})
	}
}
