package durabletest_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store/sqlite"
)

type letter struct {
	Text  string   `json:"text"`
	Trace []string `json:"trace,omitempty"`
}

func define(bodies *int, pause time.Duration) *durable.Workflow[letter] {
	return durable.Define("letter",
		durable.Step("write", func(_ context.Context, l *letter) error {
			*bodies++
			l.Trace = append(l.Trace, "write")
			return nil
		}),
		durable.Step("approve", func(ctx context.Context, l *letter) error {
			a, err := durable.WaitForApproval(ctx, "approval", durable.Timeout(24*time.Hour))
			if err != nil {
				return err
			}
			if !a.Approved {
				return durable.Permanent(errors.New("refused"))
			}
			sig, err := durable.WaitForEvent[string](ctx, "signed")
			l.Trace = append(l.Trace, "approved", sig)
			return err
		}),
		durable.Step("send", func(ctx context.Context, l *letter) error {
			if err := durable.Sleep(ctx, pause); err != nil {
				return err
			}
			l.Trace = append(l.Trace, "sent")
			return nil
		}))
}

const year = 365 * 24 * time.Hour

func stores(t *testing.T, test func(t *testing.T, opts ...durabletest.Option)) {
	t.Run("memory", func(t *testing.T) { test(t) })
	t.Run("sqlite", func(t *testing.T) {
		test(t, durabletest.Store(sqlite.Open(filepath.Join(t.TempDir(), "test.db"), sqlite.WatchEvery(-1))))
	})
}

func TestRun_StopsAtWaitsAndPassesOverSleeps(t *testing.T) {
	stores(t, func(t *testing.T, opts ...durabletest.Option) {
		bodies, month := 0, 30*24*time.Hour
		w := define(&bodies, month)
		durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
			began := time.Now()
			run := durabletest.Start(e, w, letter{})
			if x := run.Settle(); x.Status != durable.Waiting || !slices.Equal(run.Waits(), []string{"approval"}) {
				t.Fatalf("the run is %s and waits for %q", x.Status, run.Waits())
			}
			run.Answer("approval", true, durable.By("ada"))
			run.Settle()
			e.Restart()
			run.Event("signed", "with love")
			got := run.Done()
			if want := []string{"write", "approved", "with love", "sent"}; !slices.Equal(got.Trace, want) {
				t.Errorf("trace %q, want %q", got.Trace, want)
			}
			if d := time.Since(began); d < month || d > month+time.Minute {
				t.Errorf("it took %s of virtual time", d)
			}
		}, opts...)
	})
}

// A virtual year must be cheap, or nobody writes tests that need one.
func TestRun_TenYearsOfSleep(t *testing.T) {
	w := durable.Define("patient", durable.Step("sleep", func(ctx context.Context, l *letter) error {
		return durable.Sleep(ctx, 10*year)
	}))
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		began := time.Now()
		durabletest.Start(e, w, letter{}).Done()
		if d := time.Since(began); d < 10*year || d > 10*year+time.Second {
			t.Errorf("ten years took %s", d)
		}
	})
}

func TestRun_ScriptsAndTimeouts(t *testing.T) {
	bodies := 0
	w := define(&bodies, year)
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, w, letter{})
		run.WillAnswer("approval", map[string]any{"approved": true})
		run.WillSend("signed", "x")
		run.Done()

		late := durabletest.Start(e, w, letter{})
		late.Settle()
		e.Sleep(25 * time.Hour)
		if end := late.Fails(); end.Cause.Code != "wait_timeout" {
			t.Errorf("nobody answered, and the code is %q", end.Cause.Code)
		}
	})
}

func TestRun_CrashAfterEveryChange(t *testing.T) {
	stores(t, func(t *testing.T, opts ...durabletest.Option) {
		bodies := 0
		w := define(&bodies, 48*time.Hour)
		durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
			for n := 1; ; n++ {
				before := e.Crashes()
				bodies = 0
				e.CrashAfter(n)
				run := durabletest.Start(e, w, letter{}, durable.Key("n"+string(rune('a'+n))))
				run.WillAnswer("approval", true)
				run.WillSend("signed", "x")
				if got := run.Done(); len(got.Trace) != 4 {
					t.Fatalf("crash after change %d: trace %q", n, got.Trace)
				}
				if bodies > 2 {
					t.Errorf("crash after change %d: write ran %d times", n, bodies)
				}
				if e.Crashes() == before {
					if n < 8 {
						t.Errorf("only %d changes", n)
					}
					return
				}
			}
		}, opts...)
	})
}

func TestRun_TwoWorkersAndACrash(t *testing.T) {
	w := durable.Define("two", durable.Step("slow", func(ctx context.Context, l *letter) error {
		info, _ := durable.Info(ctx)
		if info.Crashes == 0 {
			<-ctx.Done()
			return ctx.Err()
		}
		l.Text = "mended"
		return nil
	}))
	cfg := durable.Config{Workflows: []durable.Definition{w}}
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		run := durabletest.Start(e, w, letter{})
		synctest.Wait()
		other := e.Join(cfg)
		e.Crash()
		if got := run.On(other).Done(); got.Text != "mended" {
			t.Errorf("state %+v", got)
		}
		if e.Crashes() != 1 {
			t.Errorf("%d crashes", e.Crashes())
		}
	})
}

type inContext struct{}

// Values of the context are those of steps; its end is not.
func TestRun_Context(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), inContext{}, "here"))
	cancel()
	w := durable.Define("w", durable.Step("look", func(ctx context.Context, l *letter) error {
		l.Trace = append(l.Trace, ctx.Value(inContext{}).(string))
		return ctx.Err()
	}))
	durabletest.Run(t, durable.Config{Workflows: []durable.Definition{w}}, func(t *testing.T, e *durabletest.Engine) {
		if got := durabletest.Start(e, w, letter{}).Done(); len(got.Trace) != 1 || got.Trace[0] != "here" {
			t.Errorf("%q", got.Trace)
		}
	}, durabletest.Context(ctx))
}
