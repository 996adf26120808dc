package durable_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// vanishing is a store that refuses the first release of a run, as if a message had come, and is
// away from then on.
type vanishing struct {
	outage
	refused bool
}

func (o *vanishing) OpenStore(context.Context) (store.Store, error) { return o, nil }

func (o *vanishing) Commit(ctx context.Context, w []store.Write) (store.Result, error) {
	if !o.refused && len(w) == 1 && w[0].Advance != nil && w[0].Advance.Release != nil {
		o.refused = true
		o.set(true, false)
		return store.Result{Now: time.Now(), Verdicts: []store.Verdict{{Code: store.Unseen}}}, nil
	}
	return o.outage.Commit(ctx, w)
}

func (o *vanishing) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	if away, _ := o.gone(); away {
		return store.Record{}, errAway
	}
	return o.outage.Store.Load(ctx, id, whole)
}

func opened(t *testing.T) store.Store {
	t.Helper()
	s, err := memory.New().OpenStore(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A run that is to be read again is read when the store is back, however long that takes.
func TestQU7_ARunIsReadAgainAfterAnOutage(t *testing.T) {
	w := durable.Define("w", body("waits", func(ctx context.Context, n *note) error {
		var err error
		n.N, err = durable.WaitForEvent[int](ctx, "e")
		return err
	}), mark("after"))
	cfg := serve(w)
	cfg.Lease = time.Minute
	for _, away := range []time.Duration{time.Second, 12 * time.Second, 40 * time.Second} {
		t.Run(away.String(), func(t *testing.T) {
			db := &vanishing{outage: outage{Store: opened(t)}}
			durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
				r := durabletest.Start(e, w, note{})
				e.Sleep(away)
				if !db.refused {
					t.Fatal("nothing was refused")
				}
				db.set(false, false)
				e.Sleep(2 * time.Second)
				r.Event("e", 7)
				if got := r.Done(); got.N != 7 {
					t.Errorf("%+v", got)
				}
				if n := e.Stats().LostLeases; n != 0 {
					t.Errorf("%d leases were lost", n)
				}
			}, durabletest.Store(db))
		})
	}
}

// stall is a logger's handler that takes a minute for each warning, and asks the engine.
type stall struct {
	slog.Handler
	said *tally
	ask  func()
}

func (h *stall) Enabled(context.Context, slog.Level) bool { return true }

func (h *stall) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return nil
	}
	h.ask()
	<-time.After(time.Minute)
	h.said.add(r.Message)
	return nil
}

// What a logger does holds up nothing: not the lease, and not those who ask the engine.
func TestQU7_ALoggerThatStallsHoldsUpNothing(t *testing.T) {
	var bodies, said tally
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		bodies.add("s")
		return rest(ctx, 5*time.Minute)
	}))
	db := &outage{Store: opened(t)}
	log := &stall{Handler: slog.DiscardHandler, said: &said}
	cfg := serve(w)
	cfg.Lease, cfg.Logger = 10*time.Second, slog.New(log)
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		log.ask = func() { e.Stats() }
		r := durabletest.Start(e, w, note{})
		synctest.Wait()
		db.set(true, false)
		e.Sleep(4 * time.Second)
		db.set(false, false)
		r.Done()
		if n := len(bodies.all()); n != 1 || e.Stats().LostLeases != 0 {
			t.Errorf("%d bodies, %d lost leases", n, e.Stats().LostLeases)
		}
		if got := said.all(); len(got) == 0 || got[0] != "renewing the lease failed; trying again" {
			t.Errorf("it says %q", got)
		}
	}, durabletest.Store(db))
}

// slow is a store whose lease cannot be ended before a while has passed.
type slow struct{ outage }

func (s *slow) OpenStore(context.Context) (store.Store, error) { return s, nil }

func (s *slow) Retire(ctx context.Context, who store.Incarnation) error {
	<-time.After(3 * time.Second)
	return s.outage.Store.Retire(ctx, who)
}

// Whoever closes an engine while another does waits for that, as time goes on.
func TestStop_ClosedTwiceAtOnce(t *testing.T) {
	db := &slow{outage{Store: opened(t)}}
	durabletest.Run(t, serve(), func(t *testing.T, e *durabletest.Engine) {
		began, done := time.Now(), make(chan time.Duration, 2)
		for range 2 {
			go func() {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
				done <- time.Since(began)
			}()
		}
		if a, b := <-done, <-done; a != 3*time.Second || b != a {
			t.Errorf("closed after %s and %s", a, b)
		}
	}, durabletest.Store(db))
}

// Who waits for a run is told that its engine is closed, and does not wait for ever.
func TestStop_WhoWaitsIsTold(t *testing.T) {
	w := durable.Define("w", take("s", "never"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		r, err := w.Start(context.Background(), e.Engine.Engine, note{})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			_, err := r.Wait(context.Background())
			got <- err
		}()
		e.Sleep(time.Hour)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-got:
			wantError(t, err, nil, "the engine is closed")
		case <-time.After(time.Minute):
			t.Fatal("it still waits")
		}
	})
}

// Under the race detector this finds a call that looks at what its step has not told it.
func TestMisuse_ACallAsItsStepReturns(t *testing.T) {
	got := make(chan error, 1)
	w := durable.Define("w", body("s", func(ctx context.Context, _ *note) error {
		go func() { got <- durable.Sleep(ctx, time.Second) }()
		return nil
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		for range 50 {
			durabletest.Start(e.Engine, w, note{}).Done()
			wantError(t, <-got, durable.ErrNotInStep)
		}
	})
}
