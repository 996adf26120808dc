package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

func TestQueryStepsShowWhatHappened(t *testing.T) {
	w := durable.Define("w",
		body("s", func(ctx context.Context, n *note) error {
			if err := rest(ctx, time.Second); err != nil {
				return err
			}
			if info, _ := durable.Info(ctx); info.Failures == 0 {
				return errFlaky
			}
			n.N++
			return durable.Sleep(ctx, time.Hour)
		}).Retry(durable.Retry{MaxAttempts: 2}),
		take("t", "e"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{Kind: "in"})
		run.Settle()
		x := run.Look()
		want := []string{"s 1 retrying", "s 2 done", "t 1 waiting"}
		if got := steps(x); !slices.Equal(got, want) {
			t.Fatalf("steps %q, want %q", got, want)
		}
		first, second, third := x.Steps[0], x.Steps[1], x.Steps[2]
		if first.Error == nil || first.Error.Message != "flaky" || first.Duration.Round(time.Millisecond) != time.Second || first.Change != nil {
			t.Errorf("first attempt %+v", first)
		}
		if second.Waited.Round(time.Second) != time.Hour || second.Duration.Round(time.Second) != time.Hour+2*time.Second || len(second.Change) == 0 {
			t.Errorf("second attempt %+v", second)
		}
		if !third.Ended.IsZero() || third.Started.IsZero() {
			t.Errorf("third %+v", third)
		}
		if string(x.Input) != `{"kind":"in"}` || string(x.State) != `{"kind":"in","n":1}` || x.Status != durable.Waiting {
			t.Errorf("%s %s %s", x.Status, x.Input, x.State)
		}
	})
}

func TestQueryListsAndPages(t *testing.T) {
	a := durable.Define("a", mark("s"))
	b := durable.Define("b", take("s", "e"))
	onStores(t, serve(a, b), func(t *testing.T, e env) {
		ctx := context.Background()
		for i := range 7 {
			durabletest.Start(e.Engine, a, note{}, durable.Key(fmt.Sprint(i)), durable.Tags("all", fmt.Sprintf("t%d", i%2))).Done()
			e.Sleep(time.Second)
		}
		open := durabletest.Start(e.Engine, b, note{}, durable.Tags("all"))
		open.Settle()
		for _, c := range []struct {
			f    durable.Filter
			want int
		}{
			{durable.Filter{}, 8},
			{durable.Filter{Workflow: "a"}, 7},
			{durable.Filter{Workflow: "nobody"}, 0},
			{durable.Filter{Statuses: []durable.Status{durable.Waiting, durable.Failed}}, 1},
			{durable.Filter{Tags: []string{"all", "t1"}}, 3},
			{durable.Filter{Key: "3"}, 1},
			{durable.Filter{IDPrefix: open.ID.String()[:30]}, 1},
			{durable.Filter{Before: time.Date(2000, 1, 1, 0, 0, 3, 0, time.UTC)}, 3},
		} {
			c.f.Count = true
			p, err := e.Executions(ctx, c.f)
			if err != nil || len(p.Executions) != c.want || p.Count != c.want {
				t.Errorf("%+v: %d listed, %d counted, %v", c.f, len(p.Executions), p.Count, err)
			}
		}
		var got []durable.ID
		for f := (durable.Filter{Limit: 3}); ; {
			p, err := e.Executions(ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range p.Executions {
				got = append(got, x.ID)
			}
			durabletest.Start(e.Engine, a, note{}) // pages stay as they are
			if f.Cursor = p.Cursor; f.Cursor == "" {
				break
			}
		}
		if len(got) != 8 || !slices.IsSortedFunc(got, func(a, b durable.ID) int { return -strings.Compare(a.String(), b.String()) }) {
			t.Errorf("%d on the pages, newest first: %v", len(got), got)
		}
		_, err := e.Executions(ctx, durable.Filter{Statuses: []durable.Status{"finished"}})
		wantError(t, err, durable.ErrInvalid, `"finished"`, "completed")
		if _, err := e.Executions(ctx, durable.Filter{Cursor: "nonsense"}); err == nil {
			t.Error("a cursor that no page gave is taken")
		}
		if x, err := e.ByKey(ctx, "a", "3"); err != nil || x.Key != "3" {
			t.Errorf("%+v, %v", x, err)
		}
		_, err = e.ByKey(ctx, "b", "3")
		wantError(t, err, durable.ErrNotFound, `"3"`)
	})
}

// talkative is a value that logs while it is asked what it is.
type talkative struct{ log *slog.Logger }

func (v talkative) LogValue() slog.Value {
	v.log.Info("inside")
	return slog.StringValue("v")
}

func TestQY4_ValuesThatLog(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		log := durable.Logger(ctx)
		log.Info("hello", "v", talkative{log})
		return nil
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Done()
		logs, err := e.Logs(context.Background(), run.ID, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, l := range logs {
			texts = append(texts, l.Text+string(l.Attrs))
		}
		if !slices.Contains(texts, "inside") || !slices.Contains(texts, `hello{"v":"v"}`) {
			t.Errorf("%q", texts)
		}
	})
}

func TestQY4_LogsOfSteps(t *testing.T) {
	gate := make(chan struct{})
	w := durable.Define("w",
		body("a", func(ctx context.Context, n *note) error {
			info, _ := durable.Info(ctx)
			log := durable.Logger(ctx).With("k", 1).WithGroup("g")
			log.Debug("not kept")
			log.Info("in a", "attempt", info.Attempt, "err", errors.New("text"))
			switch {
			case info.Failures == 0:
				return errFlaky
			case info.Crashes == 0:
				<-ctx.Done()
				return context.Cause(ctx)
			}
			if err := durable.Sleep(ctx, time.Hour); err != nil {
				return err
			}
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Second}).Timeout(durable.NoTimeout),
		body("b", func(ctx context.Context, n *note) error {
			durable.Logger(ctx).Warn("in b")
			<-gate
			for range 1200 {
				durable.Logger(ctx).Info(strings.Repeat("x", 11_000))
			}
			return nil
		}).Timeout(durable.NoTimeout))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		gate = make(chan struct{})
		run := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Minute)
		e.Crash()
		e.Sleep(8 * time.Hour)
		e.Sleep(time.Second)
		logs, err := e.Logs(ctx, run.ID, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range logs {
			got = append(got, fmt.Sprintf("%s %d %s %s", l.Path, l.Attempt, l.Level, l.Text))
		}
		want := []string{"a 1 INFO in a", "a 2 INFO in a", "a 3 INFO in a", "a 3 INFO in a", "b 1 WARN in b"} // b is still running
		if !slices.Equal(got, want) {
			t.Fatalf("logs %q, want %q", got, want)
		}
		if s := string(logs[0].Attrs); s != `{"g.attempt":1,"g.err":"text","k":1}` {
			t.Errorf("attributes %s", s)
		}
		close(gate)
		run.Done()
		logs, err = e.Logs(ctx, run.ID, logs[4].At.Add(1))
		if err != nil {
			t.Fatal(err)
		}
		// One entry was there before; then a warning, and how many were dropped.
		if len(logs) != 1001 || len(logs[5].Text) > 10_000 || !strings.Contains(logs[999].Text, "more than is kept") || logs[1000].Text != "201 log entries were not kept" {
			t.Errorf("%d entries; the last are %.100q and %.100q", len(logs), logs[len(logs)-2].Text, logs[len(logs)-1].Text)
		}
		none, err := e.Logs(ctx, run.ID, time.Now().Add(time.Hour))
		if err != nil || len(none) != 0 {
			t.Errorf("%d entries of the future, %v", len(none), err)
		}
		if _, err := e.Logs(ctx, durable.ID{1}, time.Time{}); !errors.Is(err, durable.ErrNotFound) {
			t.Errorf("logs of nobody: %v", err)
		}
		synctest.Wait()
	})
}
