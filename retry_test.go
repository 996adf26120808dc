package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
)

var errFlaky = errors.New("flaky")

// failing fails n.N times.
func failing(name string) *durable.StepNode[note] {
	return body(name, func(ctx context.Context, n *note) error {
		if info, _ := durable.Info(ctx); info.Failures < n.N {
			return errFlaky
		}
		n.Trace = append(n.Trace, name)
		return nil
	})
}

func TestRT1_Attempts(t *testing.T) {
	w := durable.Define("w", failing("s").Retry(durable.Retry{MaxAttempts: 3}))
	once := durable.Define("once", failing("s"))
	onStores(t, serve(w, once), func(t *testing.T, e env) {
		fine := durabletest.Start(e.Engine, w, note{N: 2})
		wantTrace(t, fine.Done(), "s")
		if got := steps(fine.Look()); !slices.Equal(got, []string{"s 1 retrying", "s 2 retrying", "s 3 done"}) {
			t.Errorf("steps %q", got)
		}
		bad := durabletest.Start(e.Engine, w, note{N: 9})
		_, err := bad.End()
		wantFailure(t, err, durable.Failed, "error", "s")
		if got := steps(bad.Look()); !slices.Equal(got, []string{"s 1 retrying", "s 2 retrying", "s 3 failed"}) {
			t.Errorf("steps %q", got)
		}
		single := durabletest.Start(e.Engine, once, note{N: 1})
		single.Fails()
		if got := steps(single.Look()); !slices.Equal(got, []string{"s 1 failed"}) {
			t.Errorf("without a policy: steps %q", got)
		}
	})
}

func TestRT2_RT3_DelaysAreThoseOfThePolicy(t *testing.T) {
	exact := durable.Define("exact", failing("s").Retry(durable.Retry{MaxAttempts: 7, Jitter: durable.NoJitter}))
	jitter := durable.Define("jitter", failing("s").Retry(durable.Retry{MaxAttempts: 7}))
	onStores(t, serve(exact, jitter), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, exact, note{N: 6})
		run.Done()
		var got []time.Duration
		x := run.Look()
		for i := 1; i < len(x.Steps); i++ {
			got = append(got, x.Steps[i].Started.Sub(x.Steps[i-1].Ended).Round(time.Second))
		}
		want := []time.Duration{2, 4, 8, 16, 30, 30}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(got, want) {
			t.Errorf("delays %v, want %v", got, want)
		}

		spread := durabletest.Start(e.Engine, jitter, note{N: 1})
		synctest.Wait()
		due := spread.Look().Due
		e.Restart() // a restart does not draw again
		if again := spread.Look().Due; !again.Equal(due) || due.IsZero() {
			t.Errorf("due at %s, after a restart at %s", due, again)
		}
		spread.Done()
		for _, f := range e.facts(t, spread.ID) {
			if d := time.Duration(f.Until-f.At) * time.Microsecond; f.Kind == journal.Delayed && (d < 1500*time.Millisecond || d > 2500*time.Millisecond) {
				t.Errorf("a delay of %s, want 2s ± 25 %%", d)
			}
		}
	})
}

func TestRT4_BackoffHoldsNoSlot(t *testing.T) {
	w := durable.Define("w", failing("s").Retry(durable.Retry{MaxAttempts: 2, Base: time.Minute, Backoff: durable.Constant, Jitter: durable.NoJitter}))
	other := durable.Define("other", mark("a"))
	cfg := serve(w, other)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 1}}
	onStores(t, cfg, func(t *testing.T, e env) {
		for _, restart := range []bool{false, true} {
			began := time.Now()
			run := durabletest.Start(e.Engine, w, note{N: 1})
			synctest.Wait()
			if x := run.Look(); x.Status != durable.Pending || x.Due.IsZero() || x.Worker != "" {
				t.Fatalf("in backoff it is %s, due %s, with %q", x.Status, x.Due, x.Worker)
			}
			durabletest.Start(e.Engine, other, note{}).Done()
			if time.Since(began) > time.Second {
				t.Fatal("the slot was not free")
			}
			if restart {
				e.Restart()
			}
			run.Done()
			if d := time.Since(began); d < time.Minute || d > time.Minute+time.Second {
				t.Errorf("restart %t: the retry came after %s", restart, d)
			}
		}
	})
}

func TestRT5_PermanentIfAndRetryAfter(t *testing.T) {
	fatal := errors.New("fatal")
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		n.Trace = append(n.Trace, "s")
		switch n.Kind {
		case "permanent":
			return fmt.Errorf("a: %w", fmt.Errorf("b: %w", durable.Permanent(errFlaky)))
		case "joined":
			return errors.Join(errFlaky, durable.Permanent(errFlaky))
		case "if":
			return fmt.Errorf("x: %w", fatal)
		case "do":
			_, err := durable.Do(ctx, "x", func(context.Context) (int, error) { return 0, durable.Permanent(errFlaky) })
			return err
		case "after":
			return fmt.Errorf("x: %w", durable.RetryAfter(errFlaky, 90*time.Minute))
		}
		return nil
	}).Retry(durable.Retry{MaxAttempts: 3, If: func(err error) bool { return !errors.Is(err, fatal) }}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		for kind, code := range map[string]string{"permanent": "permanent", "joined": "permanent", "do": "permanent", "if": "error"} {
			run := durabletest.Start(e.Engine, w, note{Kind: kind})
			_, err := run.End()
			wantFailure(t, err, durable.Failed, code, "s")
			if got := steps(run.Look()); !slices.Equal(got, []string{"s 1 failed"}) {
				t.Errorf("%s: %q", kind, got)
			}
		}
		began := time.Now()
		run := durabletest.Start(e.Engine, w, note{Kind: "after"})
		_, err := run.End()
		wantFailure(t, err, durable.Failed, "error", "s")
		if d := time.Since(began).Round(time.Second); d != 3*time.Hour || len(run.Look().Steps) != 3 {
			t.Errorf("3 attempts with 90 minutes between took %s, %q", d, steps(run.Look()))
		}
	})
}

func TestRT6_Snooze(t *testing.T) {
	var bodies tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		bodies.add("s")
		n.N++
		if info, _ := durable.Info(ctx); info.Attempt != 1 || info.Failures != 0 || n.N != 1 {
			return durable.Permanent(fmt.Errorf("attempt %d, %d failures, n %d", info.Attempt, info.Failures, n.N))
		}
		if len(bodies.all()) <= 20 {
			return fmt.Errorf("not yet: %w", durable.Snooze(time.Hour))
		}
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		bodies.reset()
		began := time.Now()
		run := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Minute)
		if x := run.Look(); x.Status != durable.Pending || x.Worker != "" {
			t.Errorf("snoozing it is %s with %q", x.Status, x.Worker)
		}
		e.Restart()
		run.Done()
		if d := time.Since(began).Round(time.Minute); d != 20*time.Hour {
			t.Errorf("20 snoozes took %s", d)
		}
	})
}

// RT-7 but for cancelled waits.
func TestRetry_WaitsUseNoAttempt(t *testing.T) {
	var bodies tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		bodies.add("s")
		if err := durable.Sleep(ctx, time.Hour); err != nil {
			return err
		}
		info, _ := durable.Info(ctx)
		switch n.Kind {
		case "timeout":
			_, err := durable.WaitForEvent[int](ctx, "e", durable.Timeout(time.Hour))
			return err
		case "payload":
			_, err := durable.WaitForEvent[int](ctx, "e")
			return err
		}
		if info.Failures < 2 {
			return errFlaky
		}
		n.N = info.Attempt
		return nil
	}).Retry(durable.Retry{MaxAttempts: 3}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		if got := durabletest.Start(e.Engine, w, note{}).Done(); got.N != 3 {
			t.Errorf("attempt %d", got.N)
		}
		run := durabletest.Start(e.Engine, w, note{Kind: "timeout"})
		_, err := run.End()
		wantFailure(t, err, durable.Failed, "wait_timeout", "s")
		if got := steps(run.Look()); !slices.Equal(got, []string{"s 1 failed"}) {
			t.Errorf("steps %q", got)
		}
		run = durabletest.Start(e.Engine, w, note{Kind: "payload"})
		run.Event("e", "text")
		_, err = run.End()
		f := wantFailure(t, err, durable.Failed, "payload", "s")
		if got := steps(run.Look()); !slices.Equal(got, []string{"s 1 failed"}) {
			t.Errorf("steps %q, %+v", got, f)
		}
	})
}

func TestRT8_BudgetBelongsToTheVisit(t *testing.T) {
	w := durable.Define("w",
		durable.Loop("l", func(n *note) bool { return len(n.Trace) < 3 },
			failing("s").Retry(durable.Retry{MaxAttempts: 3})),
		failing("s").Retry(durable.Retry{MaxAttempts: 3}))
	long := durable.Define("long", failing("s").Retry(durable.Retry{MaxAttempts: 5, Base: time.Minute}))
	cfg := serve(w, long)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{N: 2})
		wantTrace(t, run.Done(), "s", "s", "s", "s")
		if n := len(steps(run.Look())); n != 12 {
			t.Errorf("%d attempts, want 12", n)
		}
		bad := durabletest.Start(e.Engine, long, note{N: 9})
		e.Sleep(10 * time.Second)
		e.Crash()
		e.Sleep(4 * time.Minute)
		e.Crash()
		bad.Fails()
		failed := 0
		for _, f := range e.facts(t, bad.ID) {
			if f.Kind == journal.Failed || f.Kind == journal.Delayed && f.Why == journal.ByError {
				failed++
			}
		}
		if failed != 5 {
			t.Errorf("%d failures, want 5", failed)
		}
	})
}

func TestRT9_CrashesAreCountedApart(t *testing.T) {
	var seen tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		seen.add(fmt.Sprintf("%d %d %d", info.Attempt, info.Failures, info.Crashes))
		if info.Crashes < n.N {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		if info.Failures < 1 {
			return errFlaky
		}
		return nil
	}).Retry(durable.Retry{MaxAttempts: 2}))
	other := durable.Define("other", mark("a"))
	cfg := serve(w, other)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		seen.reset()
		run := durabletest.Start(e.Engine, w, note{N: 2})
		for range 2 {
			e.Sleep(time.Minute)
			e.Crash()
		}
		run.Done()
		if got := seen.all(); !slices.Equal(got, []string{"1 0 0", "2 0 1", "3 0 2", "4 1 2"}) {
			t.Errorf("attempt, failures, crashes: %q", got)
		}
		poison := durabletest.Start(e.Engine, w, note{N: 99})
		for i := range 5 {
			e.Sleep(5 * time.Minute)
			if x := poison.Look(); x.Status != durable.Running {
				t.Fatalf("after %d crashes it is %s", i, x.Status)
			}
			e.Crash()
		}
		_, err := poison.End()
		wantFailure(t, err, durable.Failed, "crash_limit", "s")
		if n := len(steps(poison.Look())); n != 5 {
			t.Errorf("%d attempts, want 5", n)
		}
		durabletest.Start(e.Engine, other, note{}).Done()
	})
}

func TestRT10_StopsCountAsNothing(t *testing.T) {
	var seen tally
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		info, _ := durable.Info(ctx)
		seen.add(fmt.Sprintf("%d %d %d", info.Attempt, info.Failures, info.Crashes))
		if len(seen.all()) < 8 {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		seen.reset()
		run := durabletest.Start(e.Engine, w, note{})
		for range 7 {
			synctest.Wait()
			e.Restart()
		}
		run.Done()
		for _, s := range seen.all() {
			if s != "1 0 0" {
				t.Errorf("attempt, failures, crashes: %q", seen.all())
				break
			}
		}
	})
}
