package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// stuck counts bodies that ignore the end of their context, and fails if two of
// one place run in one process.
type stuck struct {
	mu    sync.Mutex
	begun []time.Duration // since reset
	now   int
	began time.Time
	late  bool // a second body began while the first still ran
}

func (d *stuck) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun, d.now, d.began, d.late = nil, 0, time.Now(), false
}

// sleeps ignores everything for a time, if it is the first.
func (d *stuck) sleeps(t time.Duration) {
	d.mu.Lock()
	d.begun = append(d.begun, time.Since(d.began))
	first := len(d.begun) == 1
	d.late = d.late || d.now > 0
	d.now++
	d.mu.Unlock()
	if first {
		<-time.After(t)
	}
	d.mu.Lock()
	d.now--
	d.mu.Unlock()
}

// second is when the second body began; 0: not yet.
func (d *stuck) second() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.begun) < 2 {
		return 0
	}
	return d.begun[1]
}

func (d *stuck) beside() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.late
}

// hung is what an operator sees.
func hung(t *testing.T, e env) []durable.HungBody {
	t.Helper()
	list, err := e.Hung(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func between(d, from, to time.Duration) bool { return d >= from && d <= to }

// One worker: the timeout counts when HungAfter has passed, the next attempt waits
// for the old body, and everything can be seen meanwhile.
func TestRS7_AHungStepOfOneWorker(t *testing.T) {
	var d stuck
	w := durable.Define("w", body("deaf", func(_ context.Context, n *note) error {
		first := d.second() == 0
		d.sleeps(time.Hour)
		if first && d.second() == 0 {
			n.Kind = "too late"
		}
		return nil
	}).Timeout(time.Minute).Retry(durable.Retry{MaxAttempts: 2, Base: time.Second}), mark("after"))
	cfg := serve(w)
	cfg.Name, cfg.HungAfter = "one", 5*time.Minute
	onStores(t, cfg, func(t *testing.T, e env) {
		d.reset()
		r := durabletest.Start(e.Engine, w, note{})
		began := time.Now()
		e.Sleep(time.Minute + 9*time.Second)
		if list := hung(t, e); len(list) != 0 || e.Stats().BodiesHung != 0 {
			t.Errorf("too early: %+v", list)
		}
		e.Sleep(4 * time.Second)
		list := hung(t, e)
		if len(list) != 1 || e.Stats().BodiesHung != 1 {
			t.Fatalf("%+v, counted %d", list, e.Stats().BodiesHung)
		}
		if h := list[0]; h.Run != r.ID || h.Workflow != "w" || h.Path != "deaf" || h.Queue != "default" || h.Worker != "one" || h.Left ||
			!between(h.Since.Sub(began), time.Minute, time.Minute+time.Second) {
			t.Errorf("%+v", h)
		}
		if s := r.Look().Steps[0]; s.Status != "running" {
			t.Errorf("before HungAfter the step is %s", s.Status)
		}
		e.Sleep(5 * time.Minute)
		if list := hung(t, e); len(list) != 1 || !list[0].Left {
			t.Errorf("after HungAfter: %+v", list)
		}
		queues, err := e.Queues(context.Background())
		if err != nil || queues[0].Running != 1 || queues[0].Hung != 1 {
			t.Errorf("%+v, %v", queues, err)
		}
		x := r.Look()
		if s := x.Steps[0]; s.Status != "retrying" || s.Error == nil || s.Error.Code != "step_timeout" {
			t.Errorf("after HungAfter the step is %s with %+v", s.Status, s.Error)
		}
		e.Sleep(53 * time.Minute) // 59 have passed
		if d.second() != 0 {
			t.Error("the next attempt began beside the old body")
		}
		rows := len(e.record(t, r.ID).Rows)
		if rows > 90 {
			t.Errorf("%d rows of a run that waits for an old body", rows)
		}
		wantTrace(t, r.Done(), "after")
		if !between(d.second(), time.Hour, time.Hour+time.Minute+2*time.Second) || d.beside() {
			t.Errorf("the second body began after %s, beside the first: %t", d.second(), d.beside())
		}
		if r.Done().Kind != "" {
			t.Error("the late result counts")
		}
		e.Sleep(4 * time.Second)
		if list := hung(t, e); len(list) != 0 || e.Stats().BodiesHung != 1 {
			t.Errorf("in the end: %+v, counted %d", list, e.Stats().BodiesHung)
		}
	})
}

// A question has no timeout: nobody reports one that hangs until it is told to end.
func TestRS7_AHungQuestion(t *testing.T) {
	w := durable.Define("w", durable.Loop("l", func(*note) bool {
		<-time.After(time.Hour)
		return false
	}, mark("never")))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(30 * time.Minute)
		if list := hung(t, e); len(list) != 0 {
			t.Errorf("before anybody has stopped it: %+v", list)
		}
		if err := e.Cancel(context.Background(), r.ID, "it hangs"); err != nil {
			t.Fatal(err)
		}
		e.Sleep(15 * time.Second)
		if list := hung(t, e); len(list) != 1 || list[0].Path != "l" {
			t.Errorf("after the cancel: %+v", list)
		}
		e.Sleep(time.Hour)
		if list := hung(t, e); len(list) != 0 {
			t.Errorf("in the end: %+v", list)
		}
	})
}

// Two workers: the other goes on.
func TestRS7_AHungStepOfTwoWorkers(t *testing.T) {
	var d stuck
	w := durable.Define("w", body("deaf", func(_ context.Context, n *note) error {
		d.sleeps(3 * time.Hour)
		n.N++
		return nil
	}).Timeout(time.Minute).Retry(durable.Retry{MaxAttempts: 2, Base: time.Second, Jitter: durable.NoJitter}), mark("after"))
	cfg := serve(w)
	cfg.HungAfter, cfg.Lease = 5*time.Minute, 10*time.Second
	onStores(t, cfg, func(t *testing.T, e env) {
		d.reset()
		r := durabletest.Start(e.Engine, w, note{})
		synctest.Wait()
		e.Join(cfg)
		got := r.Done()
		if wantTrace(t, got, "after"); got.N != 1 {
			t.Errorf("%d results", got.N)
		}
		if !between(d.second(), 6*time.Minute, 7*time.Minute) || !d.beside() {
			t.Errorf("the second body began after %s", d.second())
		}
		e.Sleep(4 * time.Hour)
		if got := r.Look(); len(steps(got)) != 3 || r.Done().N != 1 {
			t.Errorf("the late result counts: %q", steps(got))
		}
	})
}

// What is no longer wanted and does not hear it does not keep its run for ever.
func TestRS7_RS8_HungAndNotWanted(t *testing.T) {
	var d stuck
	var s saga
	slow := func(name string) *durable.StepNode[note] {
		return body(name, func(context.Context, *note) error {
			d.sleeps(3 * time.Hour)
			return nil
		}).Timeout(durable.NoTimeout)
	}
	lanes := durable.Define("lanes", mark("a"), durable.Parallel("p", slow("deaf"), fail("f")))
	late := durable.Define("late", mark("a"), slow("deaf")).Timeout(time.Minute)
	saga := durable.Define("saga", s.step("a"), durable.Parallel("p", slow("deaf"), fail("f")))
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			cfg := serve(lanes, late, saga)
			cfg.HungAfter, cfg.Lease = 5*time.Minute, 10*time.Second
			onStores(t, cfg, func(t *testing.T, e env) {
				if workers == 2 {
					e.Join(cfg)
				}
				end := func(w *durable.Workflow[note], status durable.Status, code, path string, from, to time.Duration) {
					t.Helper()
					d.reset()
					s.reset()
					began := time.Now()
					_, err := durabletest.Start(e.Engine, w, note{}).End()
					wantFailure(t, err, status, code, path)
					if got := time.Since(began); !between(got, from, to) {
						t.Errorf("%s ended after %s", w.Name(), got)
					}
					e.Sleep(4 * time.Hour)
				}
				end(lanes, durable.Failed, "permanent", "p[f]/f", 5*time.Minute, 5*time.Minute+2*time.Second)
				end(late, durable.Failed, "run_timeout", "", 6*time.Minute, 6*time.Minute+2*time.Second)
				from, to := 3*time.Hour, 3*time.Hour+2*time.Minute // CO-8: not beside the body
				if workers == 2 {
					from, to = 5*time.Minute, 6*time.Minute // but in the other process
				}
				end(saga, durable.Compensated, "permanent", "p[f]/f", from, to)
				s.want(t, "a at 1")
			})
		})
	}
}

// AtMostOnce is in doubt, as after any timeout.
func TestRS12_AHungStepIsInDoubt(t *testing.T) {
	var d stuck
	w := durable.Define("w", body("once", func(context.Context, *note) error {
		d.sleeps(2 * time.Hour)
		return nil
	}).Timeout(time.Minute).AtMostOnce(), mark("after"))
	cfg := serve(w)
	cfg.HungAfter = time.Minute
	onStores(t, cfg, func(t *testing.T, e env) {
		d.reset()
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(2*time.Minute + 2*time.Second)
		waits, err := e.OpenWaits(context.Background(), r.ID)
		if err != nil || len(waits) != 1 || waits[0].Kind != "in_doubt" {
			t.Fatalf("%+v, %v", waits, err)
		}
		if list := hung(t, e); len(list) != 1 || !list[0].Left {
			t.Errorf("%+v", list)
		}
		e.Sleep(3 * time.Hour)
		if x := r.Look(); x.Status != durable.Waiting || d.second() != 0 {
			t.Errorf("it is %s, begun again after %s", x.Status, d.second())
		}
	})
}

// A cancelled run has ended at once; its body is shown until it ends.
func TestCN3_ACancelThatIsIgnored(t *testing.T) {
	var d stuck
	w := durable.Define("w", body("deaf", func(context.Context, *note) error {
		d.sleeps(time.Hour)
		return nil
	}).Timeout(durable.NoTimeout))
	onStores(t, serve(w), func(t *testing.T, e env) {
		d.reset()
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Second)
		if err := e.Cancel(context.Background(), r.ID, "enough"); err != nil {
			t.Fatal(err)
		}
		e.Sleep(14 * time.Second)
		if list := hung(t, e); len(list) != 1 || !list[0].Left || list[0].Run != r.ID {
			t.Errorf("%+v", list)
		}
		e.Sleep(time.Hour)
		if list := hung(t, e); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		if x := r.Look(); x.Status != durable.Cancelled {
			t.Errorf("it is %s", x.Status)
		}
	})
}

// A body that is suspended may hang in what it has deferred.
func TestRS7_HungInADeferredFunction(t *testing.T) {
	var d stuck
	w := durable.Define("w", body("deaf", func(ctx context.Context, n *note) error {
		defer d.sleeps(time.Hour)
		v, err := durable.WaitForEvent[string](ctx, "go")
		n.Kind = v
		return err
	}))
	cfg := serve(w)
	cfg.HungAfter = time.Minute
	onStores(t, cfg, func(t *testing.T, e env) {
		d.reset()
		r := durabletest.Start(e.Engine, w, note{})
		e.Sleep(time.Minute + 2*time.Second)
		if got := r.Waits(); len(got) != 1 {
			t.Errorf("it waits for %q", got)
		}
		r.Event("go", "on")
		e.Sleep(10 * time.Minute)
		if d.second() != 0 {
			t.Error("it runs again beside the old body")
		}
		if got := r.Done(); got.Kind != "on" || !between(d.second(), time.Hour, time.Hour+2*time.Minute) {
			t.Errorf("%+v after %s", got, d.second())
		}
	})
}

// A transaction that is open when the time is over is rolled back.
func TestRS7_RS9_HungInATransaction(t *testing.T) {
	var d stuck
	w := durable.Define("w", body("deaf", func(ctx context.Context, n *note) error {
		return durable.Tx(ctx, func(tx *sql.Tx) error {
			err := put(ctx, tx, "a")
			d.sleeps(time.Hour)
			n.N++
			return err
		})
	}).Timeout(time.Second).Retry(durable.Retry{MaxAttempts: 2, Base: time.Second}))
	cfg := serve(w)
	cfg.HungAfter = time.Minute
	onShared(t, cfg, func(t *testing.T, s shared) {
		d.reset()
		r := durabletest.Start(s.Engine, w, note{})
		s.Sleep(2 * time.Minute)
		if s := r.Look().Steps[0]; s.Status != "retrying" {
			t.Errorf("the step is %s", s.Status)
		}
		s.wantRows(t)
		if got := r.Done(); got.N != 1 || d.beside() {
			t.Errorf("%+v, beside %t", got, d.beside())
		}
		s.wantRows(t, "a")
	})
}

// Whoever runs again in the same process still knows what an earlier Run left behind.
func TestRS7_RunAgainInOneProcess(t *testing.T) {
	var d stuck
	w := durable.Define("w", body("deaf", func(context.Context, *note) error {
		d.sleeps(2 * time.Hour)
		return nil
	}).Timeout(durable.NoTimeout))
	cfg := serve(w)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 1}}
	synctest.Test(t, func(t *testing.T) {
		d.reset()
		e, err := durable.Open(t.Context(), memory.New(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		serving := func() (stop func()) {
			ctx, end := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- e.Run(ctx) }()
			synctest.Wait()
			return func() {
				end()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
		stop := serving()
		r, err := w.Start(t.Context(), e, note{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop()
		stop = serving()
		<-time.After(time.Hour)
		if d.second() != 0 {
			t.Error("it began again beside the old body")
		}
		if list, err := e.Hung(t.Context()); err != nil || len(list) != 1 || !list[0].Left || list[0].Run != r.ID {
			t.Errorf("%+v, %v", list, err)
		}
		if _, err := r.Wait(t.Context()); err != nil || !between(d.second(), 2*time.Hour, 2*time.Hour+2*time.Minute) {
			t.Errorf("%v after %s", err, d.second())
		}
		stop()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestHungAfter_Refused(t *testing.T) {
	cfg := serve()
	cfg.HungAfter = -time.Second
	_, err := durable.Open(t.Context(), memory.New(), cfg)
	var bad *durable.DefinitionError
	if !errors.As(err, &bad) {
		t.Fatal(err)
	}
	wantError(t, err, nil, "Config.HungAfter", "-1s")
}

// Planted: what the tests above look at shows an engine that forgets to count the
// timeout, and one whose reports are lost.
func TestPlanted_HungBodies(t *testing.T) {
	var d stuck
	w := durable.Define("w", body("deaf", func(context.Context, *note) error {
		d.sleeps(3 * time.Hour)
		return nil
	}).Timeout(time.Minute).Retry(durable.Retry{MaxAttempts: 2, Base: time.Second}))
	cfg := serve(w)
	cfg.HungAfter = 5 * time.Minute
	look := func(t *testing.T, opener store.Opener) (status string, list []durable.HungBody) {
		durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
			d.reset()
			r := durabletest.Start(e, w, note{})
			e.Sleep(7 * time.Minute)
			status, list = r.Look().Steps[0].Status, hung(t, env{e, opener})
			e.Sleep(3 * time.Hour)
		}, durabletest.Store(opener))
		return status, list
	}
	if status, list := look(t, memory.New()); status != "retrying" || len(list) != 1 {
		t.Errorf("without a bug: %s, %+v", status, list)
	}
	lossy := &liarOpener{memory.New(), func(w *store.Write) bool {
		return rewrite(w, func(facts []journal.Fact) []journal.Fact {
			return slices.DeleteFunc(facts, func(f journal.Fact) bool { return f.Kind == journal.Delayed })
		})
	}}
	if status, _ := look(t, lossy); status == "retrying" {
		t.Error("nobody sees that the timeout is not counted")
	}
	if _, list := look(t, mute{memory.New()}); len(list) != 0 {
		t.Error("nobody sees that reports are lost")
	}
}

// mute is a store that loses what workers say of themselves.
type mute struct{ store.Opener }

type muted struct{ store.Store }

func (m mute) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := m.Opener.OpenStore(ctx)
	return muted{s}, err
}

func (m muted) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	l.Report = nil
	return m.Store.Renew(ctx, l)
}
