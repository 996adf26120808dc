package durable_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// hold is a step that runs until its context ends, and then notes why.
func hold(name string, causes *tally) *durable.StepNode[note] {
	return body(name, func(ctx context.Context, n *note) error {
		<-ctx.Done()
		causes.add(fmt.Sprint(errors.Is(context.Cause(ctx), durable.ErrTaken)))
		n.Kind = "from the grave"
		return nil
	}).Timeout(durable.NoTimeout)
}

func TestCN1_CancelInEveryStatus(t *testing.T) {
	var causes tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		switch n.Kind {
		case "waiting":
			_, err := durable.WaitForInput[int](ctx, "n")
			return err
		case "asleep":
			return durable.Sleep(ctx, time.Hour)
		case "running":
			<-ctx.Done()
			causes.add("ended")
			return context.Cause(ctx)
		case "backoff":
			return errFlaky
		case "fail":
			return durable.Permanent(errFlaky)
		}
		return nil
	}).Retry(durable.Retry{MaxAttempts: 2, Base: time.Hour}), mark("after"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		for kind, status := range map[string]durable.Status{
			"later": durable.Pending, "running": durable.Running, "waiting": durable.Waiting, "asleep": durable.Waiting, "backoff": durable.Pending,
		} {
			var opts []durable.StartOption
			if kind == "later" {
				opts = append(opts, durable.At(time.Now().Add(time.Hour)))
			}
			run := durabletest.Start(e.Engine, w, note{Kind: kind}, opts...)
			synctest.Wait()
			if x := run.Look(); x.Status != status {
				t.Fatalf("%s: it is %s", kind, x.Status)
			}
			for range 2 { // twice is harmless
				if err := e.Cancel(ctx, run.ID, "no longer needed", durable.By("ada")); err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
			}
			_, err := run.End()
			f := wantFailure(t, err, durable.Cancelled, "cancelled", "")
			if f.Message != "no longer needed" {
				t.Errorf("%s: %+v", kind, f)
			}
			facts := e.facts(t, run.ID)
			if last := facts[len(facts)-1]; string(last.Data) != "ada" || last.At == 0 {
				t.Errorf("%s: who and when: %+v", kind, last)
			}
			e.Sleep(3 * time.Hour)
			if x := run.Look(); x.Status != durable.Cancelled || len(run.Waits()) != 0 {
				t.Errorf("%s: later it is %s and waits for %q", kind, x.Status, run.Waits())
			}
		}
		for kind, status := range map[string]string{"done": "completed", "fail": "failed"} {
			run := durabletest.Start(e.Engine, w, note{Kind: kind})
			run.Settle()
			wantError(t, e.Cancel(ctx, run.ID, "x"), durable.ErrRunDone, status)
		}
		wantError(t, e.Cancel(ctx, durable.ID{1}, "x"), durable.ErrNotFound)
	})
}

func TestCN1_CancelBlocked(t *testing.T) {
	old, other := durable.Define("w", take("s", "e")), durable.Define("w", mark("other"))
	onStores(t, serve(old), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, old, note{})
		run.Settle()
		e.Deploy(serve(other))
		run.Event("e", "x")
		if x := run.Settle(); x.Status != durable.Blocked {
			t.Fatalf("it is %s", x.Status)
		}
		if err := e.Cancel(context.Background(), run.ID, "give up"); err != nil {
			t.Fatal(err)
		}
		e.Deploy(serve(old))
		e.Sleep(time.Hour)
		if x := run.Look(); x.Status != durable.Cancelled {
			t.Errorf("it is %s", x.Status)
		}
	})
}

func TestCN2_CN3_NothingFollowsACancel(t *testing.T) {
	var causes tally
	w := durable.Define("w", mark("a"), hold("b", &causes), mark("c"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		causes.reset()
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		before := len(e.facts(t, run.ID))
		began := time.Now()
		if err := e.Cancel(context.Background(), run.ID, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := causes.all(); len(got) != 1 || got[0] != "true" || time.Since(began) > time.Second {
			t.Errorf("causes %q after %s", got, time.Since(began))
		}
		e.Sleep(time.Hour)
		e.Restart()
		if n := len(e.facts(t, run.ID)); n != before+1 {
			t.Errorf("%d facts after the cancel", n-before)
		}
		if x := run.Look(); string(x.State) != `{"trace":["a"]}` {
			t.Errorf("state %s", x.State)
		}
	})
}

// On another node the body's context ends with the next heartbeat.
func TestCN3_CancelFromAnotherEngine(t *testing.T) {
	var causes tally
	w := durable.Define("w", hold("s", &causes))
	cfg := serve(w)
	cfg.Lease = 10 * time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		causes.reset()
		asker := cfg
		asker.Queues = map[string]durable.Queue{"default": durable.Elsewhere}
		other := e.Join(asker)
		run := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		if err := other.Cancel(context.Background(), run.ID, "x"); err != nil {
			t.Fatal(err)
		}
		e.Sleep(3*time.Second + 10*time.Millisecond)
		if got := causes.all(); len(got) != 1 || got[0] != "true" {
			t.Errorf("causes %q", got)
		}
	})
}

// Against completion, whichever committed first stands, and the caller is told.
func TestCN2_CancelAgainstCompletion(t *testing.T) {
	w := durable.Define("w", mark("a"), mark("b"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		outcomes := make(map[durable.Status]int)
		for i := range 100 {
			run := durabletest.Start(e.Engine, w, note{N: i})
			for range 10 * i {
				runtime.Gosched()
			}
			err := e.Cancel(context.Background(), run.ID, "race")
			x := run.Settle()
			outcomes[x.Status]++
			switch {
			case err == nil && x.Status == durable.Cancelled:
			case errors.Is(err, durable.ErrRunDone) && x.Status == durable.Completed:
			default:
				t.Fatalf("it is %s, and the caller was told %v", x.Status, err)
			}
		}
		t.Logf("%v", outcomes)
	})
}

// CN-4 but for links and children.
func TestCancel_WaitsCloseWithIt(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.WaitForApproval(ctx, "ok")
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		p, err := e.PendingInputs(ctx, durable.InputFilter{})
		if err != nil || len(p.Inputs) != 1 {
			t.Fatal(p, err)
		}
		if err := e.Cancel(ctx, run.ID, "x"); err != nil {
			t.Fatal(err)
		}
		if p, err := e.PendingInputs(ctx, durable.InputFilter{}); err != nil || len(p.Inputs) != 0 {
			t.Errorf("still listed: %+v, %v", p, err)
		}
		for _, wait := range []string{"ok", p.Inputs[0].ID} {
			wantError(t, e.ProvideInput(ctx, run.ID, wait, true), durable.ErrRunDone, "cancelled")
		}
		wantError(t, e.SendEvent(ctx, run.ID, "e", 1), durable.ErrRunDone, "cancelled")
	})
}

// A run that was claimed and whose first body has not begun is not brought
// back to life.
func TestCN5_CancelBeforeTheFirstBody(t *testing.T) {
	var bodies tally
	w := durable.Define("w", body("s", func(context.Context, *note) error {
		bodies.add("s")
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		bodies.reset()
		var (
			wg  sync.WaitGroup
			mu  sync.Mutex
			won int
		)
		for range 100 {
			wg.Go(func() {
				run, err := w.Start(context.Background(), e.Engine.Engine, note{}, durable.At(time.Now()))
				if err != nil {
					t.Error(err)
					return
				}
				err = e.Cancel(context.Background(), run.ID, "at once")
				n := 0
				if err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				} else if !errors.Is(err, durable.ErrRunDone) {
					t.Errorf("%d %v", n, err)
				}
			})
		}
		wg.Wait()
		e.Sleep(time.Hour)
		p, err := e.Executions(context.Background(), durable.Filter{Statuses: []durable.Status{durable.Cancelled}, Count: true})
		if err != nil || p.Count != won {
			t.Errorf("%d cancels were acknowledged, %d runs are cancelled, %v", won, p.Count, err)
		}
		if done := 100 - won; len(bodies.all()) < done {
			t.Errorf("%d bodies for %d completed runs", len(bodies.all()), done)
		}
	})
}
