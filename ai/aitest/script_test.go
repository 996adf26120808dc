package aitest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable/ai/aitest"
	"github.com/durable-go/durable/ai/model"
)

func ask(ctx context.Context, m model.Model) (*model.Response, error) {
	return m.Generate(ctx, &model.Request{Model: "m-1", Messages: []model.Message{{Role: model.User, Text: "How are you?"}}}, nil)
}

func TestScript(t *testing.T) {
	m := aitest.Script(
		t,
		aitest.RateLimited(2*time.Second), aitest.Text("hm"), aitest.Object(map[string]int{"total": 5}), aitest.Cut(120),
		aitest.Overloaded(), aitest.Status(404).Code("not_found_error"), aitest.Quota(), aitest.StreamError(529), aitest.Status(401),
		aitest.ToolCalls(aitest.Tool("send", map[string]string{"to": "x"})), aitest.Refuse("no"), aitest.Length("half"), aitest.BadJSON(),
		aitest.Text("x").Usage(model.Usage{Input: 7, Output: 3}).Served("m-1-2026").Confident(0.5),
	)
	const failed = model.Stop("")
	for i, want := range []struct {
		text string
		stop model.Stop
		kind model.Kind
	}{
		{"", failed, model.RateLimited},
		{"hm", model.StopEnd, ""},
		{`{"total":5}`, model.StopEnd, ""},
		{"", failed, model.Transient},
		{"", failed, model.Transient},
		{"", failed, model.Invalid},
		{"", failed, model.Quota},
		{"", failed, model.Transient},
		{"", failed, model.Auth},
		{"", model.StopTools, ""},
		{"no", model.StopRefused, ""},
		{"half", model.StopLength, ""},
		{"Sure! Here it is: {\"total\": 12.5, \"lines\": [", model.StopEnd, ""},
		{"x", model.StopEnd, ""},
	} {
		r, err := ask(t.Context(), m)
		switch {
		case want.kind != "":
			var e *model.Error
			if !errors.As(err, &e) || e.Kind != want.kind {
				t.Errorf("step %d: %v, %v, want %s", i+1, r, err, want.kind)
			} else if i == 0 && (e.RetryAfter != 2*time.Second || e.Status != 429) {
				t.Errorf("the rate limit is %+v", e)
			} else if i == 3 && e.Usage.Output != 31 {
				t.Errorf("the cut answer used %+v", e.Usage)
			}
		case err != nil || r.Message.Text != want.text || r.Stop != want.stop:
			t.Errorf("step %d: %+v, %v, want %q", i+1, r, err, want.text)
		case i == 9 && (len(r.Message.Calls) != 1 || r.Message.Calls[0].ID != "call_1" || string(r.Message.Calls[0].Args) != `{"to":"x"}`):
			t.Errorf("asks for %+v", r.Message.Calls)
		case i == 1 && (r.Served != "m-1" || !r.Usage.Estimated || r.Usage.Input != 3 || r.Usage.Output != 1):
			t.Errorf("served %q, used %+v", r.Served, r.Usage)
		case i == 13 && (r.Served != "m-1-2026" || r.Usage != (model.Usage{Input: 7, Output: 3}) || *r.Confidence != 0.5):
			t.Errorf("served %q, used %+v", r.Served, r.Usage)
		}
	}
	if m.Calls() != 14 || m.Requests()[3].Messages[0].Text != "How are you?" {
		t.Errorf("%d requests", m.Calls())
	}
}

func TestScriptSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := aitest.Script(t, aitest.Silence(), aitest.Silence(), aitest.Text("x").Slow(time.Hour))
		begin := time.Now()
		if _, err := ask(t.Context(), m); !model.IsKind(err, model.Transient) || time.Since(begin) != time.Minute {
			t.Errorf("silence: %v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ask(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silence with a deadline: %v", err)
		}
		begin = time.Now()
		if _, err := ask(t.Context(), m); err != nil || time.Since(begin) != time.Hour {
			t.Errorf("slow: %v after %v", err, time.Since(begin))
		}
	})
}

func TestScriptDeltas(t *testing.T) {
	m := aitest.Script(t, aitest.Text("hello").Thinking("hm"))
	var seen []string
	_, err := m.Generate(t.Context(), &model.Request{}, func(d model.Delta) { seen = append(seen, d.Thinking+d.Text) })
	if got := strings.Join(seen, "|"); err != nil || got != "hm|hello|" {
		t.Errorf("saw %q, %v", got, err)
	}
}

// recorder is a test whose failures are looked at.
type recorder struct {
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, a ...any) { r.failures = append(r.failures, fmt.Sprintf(f, a...)) }

func (r *recorder) Fatalf(f string, a ...any) {
	r.Errorf(f, a...)
	runtime.Goexit()
}

// watch runs f as a test of its own and returns how it failed.
func watch(f func(*recorder)) string {
	r, done := &recorder{}, make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for _, c := range r.cleanups {
		c()
	}
	return strings.Join(r.failures, "\n")
}

func TestScriptFailsTests(t *testing.T) {
	for want, f := range map[string]func(*recorder){
		"2 steps of the script are left: Text, Overloaded": func(r *recorder) {
			m := aitest.Script(r, aitest.Text("a"), aitest.Text("b"), aitest.Overloaded())
			_, _ = ask(t.Context(), m)
		},
		"request 2 has no step": func(r *recorder) {
			m := aitest.Script(r, aitest.Text("a"))
			_, _ = ask(t.Context(), m)
			if _, err := ask(t.Context(), m); !model.IsKind(err, model.Invalid) {
				t.Errorf("beyond the script: %v", err)
			}
		},
		"step 1, Object":              func(r *recorder) { aitest.Script(r, aitest.Object(func() {})) },
		"200 is no status":            func(r *recorder) { aitest.Script(r, aitest.Status(200)) },
		"has no answer that this cou": func(r *recorder) { aitest.Script(r, aitest.Status(500).Served("x")) },
	} {
		if got := watch(f); !strings.Contains(got, want) {
			t.Errorf("failed with %q, want %q", got, want)
		}
	}
	if got := watch(func(r *recorder) { _, _ = ask(t.Context(), aitest.Script(r, aitest.Text("a"))) }); got != "" {
		t.Errorf("a script that was played failed with %q", got)
	}
}
