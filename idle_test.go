package durable_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/internal/run"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// deaf is a store without hints that counts what a worker asks.
type deaf struct {
	store.Store
	mu    sync.Mutex
	asked int
	spoil func(n *store.Renewal) // may be nil
}

func (d *deaf) OpenStore(context.Context) (store.Store, error) { return d, nil }
func (d *deaf) Watch(context.Context) <-chan struct{}          { return nil }
func (d *deaf) Close() error                                   { return nil }
func (d *deaf) count()                                         { d.mu.Lock(); d.asked++; d.mu.Unlock() }

func (d *deaf) Claim(ctx context.Context, r store.ClaimRequest) (store.Claimed, error) {
	d.count()
	return d.Store.Claim(ctx, r)
}

func (d *deaf) Renew(ctx context.Context, l store.Lease) (store.Renewal, error) {
	d.count()
	n, err := d.Store.Renew(ctx, l)
	if d.spoil != nil {
		d.spoil(&n)
	}
	return n, err
}

func (d *deaf) reset() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.asked
	d.asked = 0
	return n
}

// idle runs test beside a worker with the usual settings that hears nothing,
// and gives it the times at which bodies began.
func idle(t *testing.T, d *deaf, cfg durable.Config, test func(begin func(after time.Duration, spoil func(b *store.Begin)), began func() []time.Time)) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New()
		d.Store = mem
		var mu sync.Mutex
		var times []time.Time
		cfg.Workflows = []durable.Definition{durable.Define("w", body("a", func(context.Context, *note) error {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			return nil
		}))}
		e, err := durable.Open(t.Context(), d, cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = e.Run(ctx) })
		test(func(after time.Duration, spoil func(b *store.Begin)) {
			<-time.After(after)
			b := store.Begin{ID: uuid.Must(uuid.NewV7()), Workflow: "w", Queue: "default"}
			b.Row = run.BeginRow(&b, 0, []byte("{}"), time.Now())
			if spoil != nil {
				spoil(&b)
			}
			if r, err := mem.Commit(ctx, []store.Write{{Begin: &b}}); err != nil || r.Verdicts[0].Code != store.Applied {
				t.Errorf("begin: %+v, %v", r, err)
			}
		}, func() []time.Time {
			mu.Lock()
			defer mu.Unlock()
			return append([]time.Time(nil), times...)
		})
		cancel()
		running.Wait()
		e.Close()
	})
}

func TestQU3_AnIdleWorkerAsksOnceASecond(t *testing.T) {
	d := new(deaf)
	idle(t, d, durable.Config{Queues: map[string]durable.Queue{"a": {}, "b": {}}}, func(begin func(time.Duration, func(*store.Begin)), _ func() []time.Time) {
		begin(time.Second, func(b *store.Begin) { b.Due = time.Now().Add(time.Hour) }) // asleep
		begin(0, func(b *store.Begin) { b.Queue = "elsewhere" })
		<-time.After(2500 * time.Millisecond)
		d.reset()
		<-time.After(time.Minute)
		if n := d.reset(); n > 60 || n < 50 {
			t.Errorf("an idle minute has %d questions, want 60 at most and not many less", n)
		}
	})
}

// With every notification lost, whatever is due is found within the interval:
// also when renewals stand for looks, and when they see what is not for this worker.
func TestQU3_PollingFindsAllWithinTheInterval(t *testing.T) {
	for name, there := range map[string]func(b *store.Begin){
		"nothing else":                  nil,
		"something for another version": func(b *store.Begin) { b.Version = "v2" },
		"a sleeper":                     func(b *store.Begin) { b.Due = time.Now().Add(time.Hour) },
	} {
		for _, poll := range []time.Duration{300 * time.Millisecond, time.Second, 7 * time.Second} {
			t.Run(fmt.Sprint(name, ", every ", poll), func(t *testing.T) {
				if n, late := latest(t, new(deaf), poll, there); n != 60 || late > poll {
					t.Errorf("%d of 60 have begun; one waited %s, want at most %s", n, late, poll)
				}
			})
		}
	}
	t.Run("planted: renewals that see nothing", func(t *testing.T) {
		blind := &deaf{spoil: func(n *store.Renewal) { n.NextDue = time.Time{} }}
		if _, late := latest(t, blind, time.Second, nil); late <= time.Second {
			t.Errorf("the longest wait was %s, and nothing complains", late)
		}
	})
}

// latest is how many runs of 60 have begun, and how long one waited at most.
func latest(t *testing.T, d *deaf, poll time.Duration, there func(b *store.Begin)) (n int, late time.Duration) {
	cfg := durable.Config{Queues: map[string]durable.Queue{"default": {PollInterval: poll}}}
	idle(t, d, cfg, func(begin func(time.Duration, func(*store.Begin)), began func() []time.Time) {
		if there != nil {
			begin(0, there)
		}
		for i := range 60 {
			after := poll + time.Duration(i)*poll/7 // so that each finds the last one done
			begin(after, nil)
			was := time.Now()
			<-time.After(3 * poll)
			if times := began(); len(times) > n {
				n, late = len(times), max(late, times[len(times)-1].Sub(was))
			}
		}
	})
	return n, late
}
