package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

func TestST1_AStartIsDurable(t *testing.T) {
	w := durable.Define("w", mark("a"))
	elsewhere := serve(w)
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{}, durable.At(time.Now().Add(time.Hour)))
		if run.ID.Version() != 7 {
			t.Errorf("the id %s is not a UUIDv7", run.ID)
		}
		if x := run.Look(); x.Status != durable.Pending {
			t.Errorf("it is %s", x.Status)
		}
		e.Crash()
		run.Done()
		if err := e.Engine.Engine.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		idle := durabletest.Start(e.Engine, w, note{}) // on an engine that no longer runs
		e.Sleep(time.Hour)
		if x := idle.Look(); x.Status != durable.Pending {
			t.Errorf("without a worker it is %s", x.Status)
		}
		idle.On(e.Join(elsewhere)).Done()
	})
}

func TestST2_StateFlows(t *testing.T) {
	see := func(name string, want ...string) durable.Node[note] {
		return body(name, func(_ context.Context, n *note) error {
			if !slices.Equal(n.Trace, want) {
				return fmt.Errorf("%s sees %q, want %q", name, n.Trace, want)
			}
			n.Trace = append(n.Trace, name)
			return nil
		})
	}
	w := durable.Define("w", see("a", "in"), see("b", "in", "a"), see("c", "in", "a", "b"))
	one := durable.Define("one", see("a"))
	onStores(t, serve(w, one), func(t *testing.T, e env) {
		wantTrace(t, durabletest.Start(e.Engine, w, note{Trace: []string{"in"}}).Done(), "in", "a", "b", "c")
		wantTrace(t, durabletest.Start(e.Engine, one, note{}).Done(), "a")
	})
}

// ST-3 but for ageing.
func TestStart_AtAndPriorities(t *testing.T) {
	var order tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		order.add(n.Kind)
		return rest(ctx, time.Second)
	}))
	cfg := serve(w)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 1}}
	onStores(t, cfg, func(t *testing.T, e env) {
		order.reset()
		due := time.Now().Add(time.Hour)
		first := durabletest.Start(e.Engine, w, note{Kind: "first"})
		synctest.Wait() // it has the slot
		var runs []*durabletest.Started[note]
		for _, r := range []struct {
			kind     string
			priority int
			at       time.Time
		}{
			{"low", -1, time.Time{}},
			{"a", 0, time.Time{}},
			{"b", 0, time.Time{}},
			{"high", 10, time.Time{}},
			{"later", 1000, due},
		} {
			runs = append(runs, durabletest.Start(e.Engine, w, note{Kind: r.kind}, durable.Priority(r.priority), durable.At(r.at)))
			e.Sleep(time.Millisecond)
		}
		first.Done()
		for _, r := range runs {
			r.Done()
		}
		if got, want := order.all(), []string{"first", "high", "a", "b", "low", "later"}; !slices.Equal(got, want) {
			t.Errorf("order %q, want %q", got, want)
		}
		late := time.Since(due.Add(time.Second))
		if late < 0 || late > time.Second {
			t.Errorf("what was due in an hour ended %s after", late)
		}
	})
}

func TestST4_UnknownWorkflow(t *testing.T) {
	w := durable.Define("w", mark("a")).Version("1")
	other := durable.Define("w", mark("a")).Version("2")
	unknown := durable.Define("unknown", mark("a"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		for _, x := range []*durable.Workflow[note]{other, unknown} {
			_, err := x.Start(context.Background(), e.Engine.Engine, note{})
			wantError(t, err, durable.ErrUnknownWorkflow, x.Name(), "Config.Workflows")
		}
		if n := e.count(t); n != 0 {
			t.Errorf("%d runs were stored", n)
		}
	})
}

// ST-5 but for what doctor lists.
func TestStart_Queues(t *testing.T) {
	w := durable.Define("w", mark("a"))
	cfg := serve(w)
	cfg.Queues = map[string]durable.Queue{"gpu": durable.Elsewhere}
	inMemory(t, cfg, func(t *testing.T, e env) {
		_, err := w.Start(context.Background(), e.Engine.Engine, note{}, durable.InQueue("typo"))
		wantError(t, err, durable.ErrUnknownQueue, `"typo"`, "Config.Queues", "Elsewhere")
		if n := e.count(t); n != 0 {
			t.Errorf("%d runs were stored", n)
		}
		run := durabletest.Start(e.Engine, w, note{}, durable.InQueue("gpu"))
		e.Sleep(time.Hour)
		if x := run.Look(); x.Status != durable.Pending || x.Queue != "gpu" {
			t.Errorf("it is %s in %s", x.Status, x.Queue)
		}
		there := serve(w)
		there.Queues = map[string]durable.Queue{"gpu": {Concurrency: 1}}
		e.Join(there)
		run.Done()
	})
}

func TestST6_Keys(t *testing.T) {
	w := durable.Define("w", mark("a"))
	fails := durable.Define("fails", body("a", func(context.Context, *note) error { return errFlaky }))
	onStores(t, serve(w, fails), func(t *testing.T, e env) {
		ctx := context.Background()
		first := durabletest.Start(e.Engine, w, note{N: 1}, durable.Key("k"))
		first.Done()
		again := durabletest.Start(e.Engine, w, note{N: 1}, durable.Key("k"))
		if first.Existing || !again.Existing || again.ID != first.ID {
			t.Errorf("first %+v, again %+v", first, again)
		}
		_, err := w.Start(ctx, e.Engine.Engine, note{N: 2}, durable.Key("k"))
		wantError(t, err, durable.ErrKeyConflict, first.ID.String())
		other := durabletest.Start(e.Engine, fails, note{N: 2}, durable.Key("k")) // of another workflow
		other.Fails()
		if again := durabletest.Start(e.Engine, fails, note{N: 2}, durable.Key("k")); again.ID != other.ID {
			t.Error("a failed run does not hold its key")
		}
		if n := e.count(t); n != 2 {
			t.Errorf("%d runs, want 2", n)
		}
	})
}

func TestST7_ManyStartsOneRun(t *testing.T) {
	w := durable.Define("w", mark("a"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		other := e.Join(serve(w))
		var (
			wg  sync.WaitGroup
			mu  sync.Mutex
			ids = make(map[durable.ID]int)
			now int
		)
		for i := range 100 {
			wg.Go(func() {
				engine := e.Engine.Engine
				if i%2 == 1 {
					engine = other.Engine
				}
				run, err := w.Start(context.Background(), engine, note{N: 1}, durable.Key("k"))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				ids[run.ID]++
				if !run.Existing {
					now++
				}
			})
		}
		wg.Wait()
		if len(ids) != 1 || now != 1 || e.count(t) != 1 {
			t.Errorf("%d ids, %d starts were the first, %d runs", len(ids), now, e.count(t))
		}
	})
}

// ST-9 but for the command.
func TestStart_InputsThatAreRefused(t *testing.T) {
	w := durable.Define("w", durable.Step("s", func(context.Context, *loose) error { return nil }))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		for name, in := range map[string]loose{
			"chan int": {Any: make(chan int)}, "NaN": {F: nan()}, "not today": {M: &moody{}},
		} {
			_, err := w.Start(context.Background(), e.Engine.Engine, in)
			wantError(t, err, nil, "start w", "the input", name)
		}
		_, err := w.Start(context.Background(), e.Engine.Engine, loose{Any: strings.Repeat("x", 1<<20)})
		wantError(t, err, durable.ErrTooLarge, "start w", "MaxPayload")
		if n := e.count(t); n != 0 {
			t.Errorf("%d runs were stored", n)
		}
	})
}

func TestST11_Wait(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		if err := rest(ctx, time.Minute); err != nil {
			return err
		}
		n.N = 7
		if n.Kind == "fail" {
			return errFlaky
		}
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		asker := e.Join(durable.Config{Workflows: []durable.Definition{w}, Queues: map[string]durable.Queue{"default": durable.Elsewhere}})
		run, err := w.Start(context.Background(), e.Engine.Engine, note{})
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := run.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting ends with %v", err)
		}
		if n, err := run.Wait(context.Background()); err != nil || n.N != 7 {
			t.Errorf("here: %+v, %v", n, err)
		}
		if n, err := w.Attach(asker.Engine, run.ID).Wait(context.Background()); err != nil || n.N != 7 {
			t.Errorf("from elsewhere: %+v, %v", n, err)
		}
		bad, err := w.Start(context.Background(), e.Engine.Engine, note{Kind: "fail"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = bad.Wait(context.Background())
		wantFailure(t, err, durable.Failed, "error", "s")
		_, err = w.Attach(e.Engine.Engine, durable.ID{1}).Wait(context.Background())
		wantError(t, err, durable.ErrNotFound)
	})
}

func TestStartMany(t *testing.T) {
	w := durable.Define("w", mark("a"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		in := make([]note, 1000)
		runs, err := w.StartMany(context.Background(), e.Engine.Engine, in, func(i int) []durable.StartOption {
			if i == 500 {
				return []durable.StartOption{durable.Priority(5000)}
			}
			return []durable.StartOption{durable.Key(fmt.Sprint(i))}
		})
		wantError(t, err, durable.ErrInvalid, "input 500", "5000")
		for i, r := range runs {
			if (r == nil) != (i == 500) {
				t.Fatalf("run %d is %v", i, r)
			}
			if r != nil {
				if _, err := r.Wait(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
