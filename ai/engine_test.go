package ai

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/ai/model"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/sqlite"
)

// doc is the state of the workflows under test.
type doc struct {
	Texts []string
	N     int
}

// provider answers by a function and counts.
type counted struct {
	mu     sync.Mutex
	asked  []string // model: the last message
	answer func(n int, name string, r *model.Request) (*Response, error)
}

func (p *counted) Open(name string) (Model, error) { return countedModel{p, name}, nil }

type countedModel struct {
	p    *counted
	name string
}

func (m countedModel) Generate(_ context.Context, r *model.Request, on func(Delta)) (*Response, error) {
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	m.p.asked = append(m.p.asked, m.name+": "+r.Messages[len(r.Messages)-1].Text)
	return m.p.answer(len(m.p.asked), m.name, r)
}

func (p *counted) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// echoes answers with the prompt.
func echoes(_ int, name string, r *model.Request) (*Response, error) {
	return answer(name + " says " + r.Messages[len(r.Messages)-1].Text), nil
}

func answer(text string) *Response {
	return &Response{Message: Message{Text: text}, Stop: StopEnd, Usage: Usage{Input: 10, Output: 5}}
}

func noEnv(string) string { return "" }

func newClient(t *testing.T, cfg Config, p Provider) *Client {
	t.Helper()
	if cfg.Getenv == nil {
		cfg.Getenv = noEnv
	}
	cfg.Providers = map[string]Provider{"fake": p}
	if cfg.Aliases == nil {
		cfg.Aliases = map[string]string{"smart": "fake:one"}
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func define(body func(ctx context.Context, d *doc) error) *durable.Workflow[doc] {
	return durable.Define("w", durable.Step("s", body))
}

func config(ws ...durable.Definition) durable.Config { return durable.Config{Workflows: ws} }

// onStores runs a test in memory and on SQLite.
func onStores(t *testing.T, ctx context.Context, cfg durable.Config, test func(t *testing.T, e *durabletest.Engine)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { durabletest.Run(t, cfg, test, durabletest.Context(ctx)) })
	t.Run("sqlite", func(t *testing.T) {
		durabletest.Run(t, cfg, test, durabletest.Context(ctx), durabletest.Store(sqliteOpener(t)))
	})
}

func sqliteOpener(t *testing.T) store.Opener {
	t.Helper()
	return sqlite.Open(sqlitePath(t), sqlite.WatchEvery(-1))
}

func sqlitePath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "durable")
	if err != nil {
		return filepath.Join(t.TempDir(), "test.db")
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "test.db")
}

// AI-1, AI-2: killed after each write in turn, a step gets its text, nothing is sent twice but what was cut
// off, and that is shown.
func TestAI1_KilledAfterEveryWrite(t *testing.T) {
	p := &counted{answer: echoes}
	w := define(func(ctx context.Context, d *doc) error {
		for _, prompt := range []string{"a", "b", "a"} {
			text, err := GenerateText(ctx, "smart", prompt)
			if err != nil {
				return err
			}
			d.Texts = append(d.Texts, text)
		}
		return nil
	})
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, e *durabletest.Engine) {
		for n := 1; ; n++ {
			before, crashes := p.count(), e.Crashes()
			e.CrashAfter(n)
			r := durabletest.Start(e, w, doc{}, durable.Key(fmt.Sprint(n)))
			got := r.Done()
			kills := e.Crashes() - crashes
			sent := p.count() - before
			if want := []string{"one says a", "one says b", "one says a"}; !slices.Equal(got.Texts, want) {
				t.Errorf("killed after write %d: %q", n, got.Texts)
			}
			if sent < 3 || sent > 3+kills {
				t.Errorf("killed %d times, after write %d: %d requests", kills, n, sent)
			}
			calls, err := Calls(t.Context(), e.Engine, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			var sum Sum
			for i := range calls {
				sum.Add(&calls[i])
			}
			if sum.Answers != 3 || sum.Requests != sent && sum.Requests != sent+kills || sum.PossiblyPaid != sum.Requests-3 {
				t.Errorf("killed after write %d: %d requests, recorded %+v", n, sent, sum)
			}
			if kills == 0 {
				if n < 6 {
					t.Errorf("it took %d writes", n)
				}
				break
			}
		}
	})
}

// AI-3: a step that rejects answers gets new ones, and the old are shown as superseded.
func TestAI3_RejectedAnswers(t *testing.T) {
	p := &counted{answer: func(n int, _ string, _ *model.Request) (*Response, error) { return answer(fmt.Sprint(n % 3)), nil }}
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, d *doc) error {
		text, err := GenerateText(ctx, "smart", "x")
		if err == nil && text != "0" {
			err = errors.New("I do not like it")
		}
		d.Texts = append(d.Texts, text)
		return err
	}).Retry(durable.Retry{MaxAttempts: 3}))
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, e *durabletest.Engine) {
		before := p.count()
		r := durabletest.Start(e, w, doc{})
		if got := r.Done(); !slices.Equal(got.Texts, []string{"0"}) || p.count()-before != 3 {
			t.Errorf("%q after %d requests", got.Texts, p.count()-before)
		}
		if s := sumOf(t, e, r.ID); s.Superseded != 2 || s.Answers != 3 || s.Replayed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func sumOf(t *testing.T, e *durabletest.Engine, id durable.ID) (s Sum) {
	t.Helper()
	calls, err := Calls(t.Context(), e.Engine, id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range calls {
		s.Add(&calls[i])
	}
	return s
}

// AI-4: what is kept is asked for once over all attempts.
func TestAI4_Keep(t *testing.T) {
	p := &counted{answer: echoes}
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, d *doc) error {
		text, err := GenerateText(ctx, "smart", "x", Keep())
		if info, _ := durable.Info(ctx); err == nil && info.Failures < 2 {
			err = errors.New("the database is away")
		}
		d.Texts = append(d.Texts, text)
		return err
	}).Retry(durable.Retry{MaxAttempts: 3}))
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, e *durabletest.Engine) {
		before := p.count()
		r := durabletest.Start(e, w, doc{})
		r.Done()
		if n := p.count() - before; n != 1 {
			t.Errorf("%d requests", n)
		}
		if s := sumOf(t, e, r.ID); s.Answers != 1 || s.Superseded != 0 || s.Replayed != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// AI-5: a week of waiting behind a call costs nothing.
func TestAI5_WeekLongWait(t *testing.T) {
	p := &counted{answer: echoes}
	w := define(func(ctx context.Context, d *doc) error {
		text, err := GenerateText(ctx, "smart", "x")
		if err != nil {
			return err
		}
		ok, err := durable.WaitForInput[bool](ctx, "ok")
		d.Texts = append(d.Texts, fmt.Sprint(text, ok))
		return err
	})
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(w), func(t *testing.T, e *durabletest.Engine) {
		before := p.count()
		r := durabletest.Start(e, w, doc{})
		r.Settle()
		e.Sleep(7 * 24 * time.Hour)
		r.Answer("ok", true)
		if got := r.Done(); got.Texts[0] != "one says xtrue" || p.count()-before != 1 {
			t.Errorf("%q after %d requests", got.Texts, p.count()-before)
		}
		if s := sumOf(t, e, r.ID); s.Answers != 1 || s.Replayed != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// AI-6: of a step that is half done, a deploy asks only for what has changed.
func TestAI6_DeployEditsAPrompt(t *testing.T) {
	p := &counted{answer: echoes}
	code := func(second string) *durable.Workflow[doc] {
		return define(func(ctx context.Context, d *doc) error {
			for _, prompt := range []string{"first", second} {
				text, err := GenerateText(ctx, "smart", prompt)
				if err != nil {
					return err
				}
				d.Texts = append(d.Texts, text)
			}
			_, err := durable.WaitForInput[bool](ctx, "ok")
			return err
		})
	}
	old, edited := code("second"), code("second, edited")
	onStores(t, WithClient(t.Context(), newClient(t, Config{}, p)), config(old), func(t *testing.T, e *durabletest.Engine) {
		before := p.count()
		r := durabletest.Start(e, old, doc{})
		r.Settle()
		e.Deploy(config(edited))
		r.Answer("ok", true)
		got := r.Done()
		p.mu.Lock()
		defer p.mu.Unlock()
		if want := []string{"one: first", "one: second", "one: second, edited"}; !slices.Equal(p.asked[before:], want) || got.Texts[1] != "one says second, edited" {
			t.Errorf("asked %q, got %q", p.asked[before:], got.Texts)
		}
	})
}

// AI-7: what an alias means now does not change what was answered.
func TestAI7_AliasPointedElsewhere(t *testing.T) {
	p := &counted{answer: echoes}
	meaning := "fake:old"
	getenv := func(name string) string {
		if name == "AI_MODEL_SMART" {
			return meaning
		}
		return ""
	}
	var served []string
	w := define(func(ctx context.Context, d *doc) error {
		var r Response
		if _, err := GenerateText(ctx, "smart", "x", Result(&r)); err != nil {
			return err
		}
		served = append(served, r.Served)
		_, err := durable.WaitForInput[bool](ctx, "ok")
		return err
	})
	onStores(t, WithClient(t.Context(), newClient(t, Config{Getenv: getenv}, p)), config(w), func(t *testing.T, e *durabletest.Engine) {
		meaning, served = "fake:old", nil
		before := p.count()
		r := durabletest.Start(e, w, doc{})
		r.Settle()
		e.Crash()
		meaning = "fake:new"
		r.Answer("ok", true)
		r.Done()
		for _, s := range served {
			if s != "fake:old" {
				t.Errorf("served %q", served)
			}
		}
		if len(served) < 2 || p.count()-before != 1 {
			t.Errorf("%d bodies, %d requests", len(served), p.count()-before)
		}
	})
}

// AI-16: a rate limit is waited for without an attempt and without a slot, and nothing is sent with that key meanwhile.
func TestAI16_RateLimited(t *testing.T) {
	var at []time.Time
	p := &counted{answer: func(n int, name string, r *model.Request) (*Response, error) {
		if at = append(at, time.Now()); len(at) == 1 {
			return nil, &Error{Kind: RateLimited, Status: 429, RetryAfter: 2 * time.Minute}
		}
		return echoes(n, name, r)
	}}
	w := define(func(ctx context.Context, d *doc) error {
		if info, _ := durable.Info(ctx); info.Failures > 0 || info.Crashes > 0 {
			return errors.New("an attempt was used")
		}
		_, err := GenerateText(ctx, "smart", fmt.Sprint(d.N))
		return err
	})
	cfg := config(w)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 1}}
	other := durable.Define("other", durable.Step("s", func(context.Context, *doc) error { return nil }))
	cfg.Workflows = append(cfg.Workflows, other)
	synctestStores(t, cfg, p, func(t *testing.T, e *durabletest.Engine) {
		at = nil
		began := time.Now()
		first := durabletest.Start(e, w, doc{N: 1})
		e.Sleep(time.Second)
		second := durabletest.Start(e, w, doc{N: 2})
		durabletest.Start(e, other, doc{}).Done()
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("the only slot was taken for %s", d)
		}
		e.Restart()
		first.Done()
		second.Done()
		if len(at) != 3 || at[1].Sub(began) < 2*time.Minute || at[2].Sub(began) < 2*time.Minute || at[2].Sub(began) > 4*time.Minute {
			t.Errorf("sent at %v, began at %v", at, began)
		}
	})
}

// synctestStores is onStores with a client of each bubble's own.
func synctestStores(t *testing.T, cfg durable.Config, p Provider, test func(t *testing.T, e *durabletest.Engine)) {
	t.Helper()
	for _, name := range []string{"memory", "sqlite"} {
		t.Run(name, func(t *testing.T) {
			opts := []durabletest.Option{durabletest.Context(WithClient(t.Context(), newClient(t, Config{}, p)))}
			if name == "sqlite" {
				opts = append(opts, durabletest.Store(sqliteOpener(t)))
			}
			durabletest.Run(t, cfg, test, opts...)
		})
	}
}

// AI-18: a quota holds the run until somebody says so.
func TestAI18_Quota(t *testing.T) {
	empty := true
	p := &counted{answer: func(n int, name string, r *model.Request) (*Response, error) {
		if empty {
			return nil, &Error{Kind: Quota, Status: 429, Code: "insufficient_quota", Err: errors.New("you have spent it all")}
		}
		return echoes(n, name, r)
	}}
	w := define(func(ctx context.Context, d *doc) error {
		_, err := GenerateText(ctx, "smart", "x")
		return err
	})
	synctestStores(t, config(w), p, func(t *testing.T, e *durabletest.Engine) {
		empty = true
		before := p.count()
		good, bad := durabletest.Start(e, w, doc{}), durabletest.Start(e, w, doc{})
		good.Settle()
		bad.Settle()
		e.Sleep(30 * time.Minute)
		if n := p.count() - before; n != 2 {
			t.Errorf("%d requests before anybody answered", n)
		}
		page, err := e.PendingInputs(t.Context(), durable.InputFilter{Execution: good.ID})
		if err != nil || len(page.Inputs) != 1 || page.Inputs[0].Name != "ai.hold" || !strings.Contains(page.Inputs[0].Prompt, "insufficient_quota") {
			t.Fatalf("%+v, %v", page, err)
		}
		empty = false
		good.Answer("ai.hold", "try again")
		good.Done()
		bad.Answer("ai.hold", "fail")
		if end := bad.Fails(); end.Cause.Code != "permanent" || !strings.Contains(end.Cause.Message, "quota") {
			t.Errorf("%+v", end.Cause)
		}
		empty = true
		again := durabletest.Start(e, w, doc{})
		again.Settle()
		empty = false
		again.Done() // it tries by itself, every hour
	})
}

// AI-19: after four overloads another model answers, and a crash afterwards keeps that answer.
func TestAI19_Fallback(t *testing.T) {
	p := &counted{answer: func(n int, name string, r *model.Request) (*Response, error) {
		if name == "one" {
			return nil, &Error{Kind: Transient, Status: 529}
		}
		return echoes(n, name, r)
	}}
	w := define(func(ctx context.Context, d *doc) error {
		var r Response
		text, err := GenerateText(ctx, "smart", "x", Fallback("fake:two"), Result(&r))
		if err != nil {
			return err
		}
		d.Texts = append(d.Texts, text, r.Served)
		_, err = durable.WaitForInput[bool](ctx, "ok")
		return err
	})
	synctestStores(t, config(w), p, func(t *testing.T, e *durabletest.Engine) {
		before := p.count()
		r := durabletest.Start(e, w, doc{})
		r.Settle()
		e.Crash()
		r.Answer("ok", true)
		if got := r.Done(); got.Texts[0] != "two says x" || got.Texts[1] != "fake:two" || p.count()-before != 5 {
			t.Errorf("%q after %d requests", got.Texts, p.count()-before)
		}
	})
}

// An overload is waited out for as long as there is patience, without a slot; then the attempt fails.
func TestPatience(t *testing.T) {
	p := &counted{answer: func(int, string, *model.Request) (*Response, error) {
		return nil, &Error{Kind: Transient, Status: 503}
	}}
	w := define(func(ctx context.Context, d *doc) error {
		_, err := GenerateText(ctx, "smart", "x", Patience(30*time.Minute))
		return err
	})
	synctestStores(t, config(w), p, func(t *testing.T, e *durabletest.Engine) {
		before, began := p.count(), time.Now()
		end := durabletest.Start(e, w, doc{}).Fails()
		took := time.Since(began)
		// 4 at once, and one each after 1, 2, 4, 8 and 10 minutes.
		if n := p.count() - before; n != 9 || took < 25*time.Minute || took > 30*time.Minute || end.Cause.Code != "error" {
			t.Errorf("%d requests in %s: %v", n, took, end)
		}
	})
}

// AI-20: what is wrong is sent once, and the error names model and alias.
func TestAI20_Invalid(t *testing.T) {
	for _, status := range []int{400, 404, 422} {
		p := &counted{answer: func(int, string, *model.Request) (*Response, error) {
			return nil, &Error{Kind: Invalid, Status: status, Provider: "fake", Model: "one"}
		}}
		w := durable.Define("w", durable.Step("s", func(ctx context.Context, d *doc) error {
			_, err := GenerateText(ctx, "smart", "x", Fallback("fake:two"))
			return err
		}).Retry(durable.Retry{MaxAttempts: 3}))
		synctestStores(t, config(w), p, func(t *testing.T, e *durabletest.Engine) {
			before := p.count()
			end := durabletest.Start(e, w, doc{}).Fails()
			if n := p.count() - before; n != 1 || end.Cause.Code != "permanent" {
				t.Errorf("%d requests: %v", n, end)
			}
			for _, want := range []string{"one", `"smart"`, "AI_MODEL_SMART"} {
				if !strings.Contains(end.Cause.Message, want) {
					t.Errorf("%s does not name %s", end.Cause.Message, want)
				}
			}
		})
	}
}

// A stop in the middle of a call is no error of the call: it is sent again by whoever goes on.
func TestStopInACall(t *testing.T) {
	began := 0
	p := blocking{&began}
	w := define(func(ctx context.Context, d *doc) error {
		text, err := GenerateText(ctx, "smart", "x")
		d.Texts = append(d.Texts, text)
		return err
	})
	cfg := config(w)
	cfg.ShutdownGrace = time.Second
	synctestStores(t, cfg, p, func(t *testing.T, e *durabletest.Engine) {
		began = 0
		r := durabletest.Start(e, w, doc{})
		synctest.Wait()
		e.Restart()
		if got := r.Done(); got.Texts[0] != "at last" || began != 2 {
			t.Errorf("%q after %d requests", got.Texts, began)
		}
		if s := sumOf(t, e, r.ID); s.PossiblyPaid != 1 || s.Answers != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// blocking is a provider whose first answer never comes.
type blocking struct{ began *int }

func (b blocking) Open(string) (Model, error) { return b, nil }

func (b blocking) Generate(ctx context.Context, _ *model.Request, _ func(Delta)) (*Response, error) {
	if *b.began++; *b.began == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return answer("at last"), nil
}

// A step that cannot wait gets plain errors.
func TestAtMostOnce(t *testing.T) {
	p := &counted{answer: func(int, string, *model.Request) (*Response, error) {
		return nil, &Error{Kind: Quota, Status: 402}
	}}
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, d *doc) error {
		_, err := GenerateText(ctx, "smart", "x")
		if !IsKind(err, Quota) {
			return fmt.Errorf("the error is %w", err)
		}
		return nil
	}).AtMostOnce())
	synctestStores(t, config(w), p, func(t *testing.T, e *durabletest.Engine) { durabletest.Start(e, w, doc{}).Done() })
}

// AI-33: a prompt is in no error, log or record, only in the blobs.
func TestAI33_CanaryInErrors(t *testing.T) {
	const canary = "canary-4711-of-the-prompt"
	var logs bytes.Buffer
	p := &counted{answer: func(_ int, _ string, r *model.Request) (*Response, error) {
		return nil, &Error{Kind: Invalid, Status: 400, Err: fmt.Errorf("this is wrong: %q and %s", r.Messages[0].Text, r.System)}
	}}
	w := define(func(ctx context.Context, d *doc) error {
		_, err := GenerateText(ctx, "smart", "please keep "+canary, System("you know "+canary))
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
			t.Errorf("the error is %v", err)
		}
		durable.Logger(ctx).Error("it failed", "err", err)
		return err
	})
	cfg := config(w)
	cfg.Logger = slog.New(slog.NewTextHandler(&logs, nil))
	synctestStores(t, cfg, p, func(t *testing.T, e *durabletest.Engine) {
		r := durabletest.Start(e, w, doc{})
		end := r.Fails()
		x, err := e.Execution(t.Context(), r.ID, durable.WithCalls)
		if err != nil {
			t.Fatal(err)
		}
		calls, err := Calls(t.Context(), e.Engine, r.ID)
		if err != nil || len(calls) != 1 || calls[0].Kind != Invalid {
			t.Fatalf("%+v, %v", calls, err)
		}
		entries, err := e.Logs(t.Context(), r.ID, time.Time{})
		if err != nil || len(entries) == 0 {
			t.Fatal(err)
		}
		for name, v := range map[string]any{"end": end, "execution": x, "calls": calls, "logs": entries} {
			if raw := canonical(v); bytes.Contains(raw, []byte(canary)) || bytes.Contains(raw, []byte("4711")) {
				t.Errorf("%s: %s", name, raw)
			}
		}
		if strings.Contains(logs.String(), canary) {
			t.Error(logs.String())
		}
	})
}

// AI-2: a call that kills its worker each time stops buying at the fifth.
func TestAI2_FifthCrash(t *testing.T) {
	began := 0
	p := endlessly{&began}
	w := define(func(ctx context.Context, d *doc) error {
		_, err := GenerateText(ctx, "smart", "x")
		return err
	})
	cfg := config(w)
	cfg.Lease = time.Minute
	synctestStores(t, cfg, p, func(t *testing.T, e *durabletest.Engine) {
		began = 0
		r := durabletest.Start(e, w, doc{})
		for range 5 {
			synctest.Wait()
			e.Crash()
			e.Sleep(5 * time.Minute) // the lease of the dead is over
		}
		end := r.Fails()
		if began != 5 || end.Cause.Code != "crash_limit" || !strings.Contains(end.Cause.Message, "5 tries in a row") {
			t.Errorf("%d requests: %+v", began, end.Cause)
		}
		if s := sumOf(t, e, r.ID); s.PossiblyPaid != 5 || s.Requests != 5 || s.Answers != 0 || s.Usage.Output != 5*4096 {
			t.Errorf("%+v", s)
		}
	})
}

// endlessly is a provider whose answers never come.
type endlessly struct{ began *int }

func (b endlessly) Open(string) (Model, error) { return b, nil }

func (b endlessly) Generate(ctx context.Context, _ *model.Request, _ func(Delta)) (*Response, error) {
	*b.began++
	<-ctx.Done()
	return nil, ctx.Err()
}
