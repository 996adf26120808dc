package durable_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

func (e env) wantCount(t *testing.T, run durable.ID, name string, all, open int64) {
	t.Helper()
	n, err := e.Counter(context.Background(), run, name)
	if err != nil || n.All != all || n.Open != open {
		t.Errorf("of %s %d count, %d open, %v; want %d and %d", name, n.All, n.Open, err, all, open)
	}
}

// A call that costs is made when there is room, by a rate, a number at once and a budget, and is settled.
func TestCR3_TakeSleepSettle(t *testing.T) {
	var sent tally
	w := durable.Define("w", body("ask", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		draws := []durable.Draw{
			{Counter: "tokens", Amount: 40, Limit: 100, For: time.Minute},
			{Counter: "at once", Amount: 1, Limit: 2, For: time.Hour},
			{Counter: "budget", Run: info.Execution, Amount: 1, Limit: 3},
		}
		for i := range 3 {
			for {
				taken, err := durable.Take(ctx, fmt.Sprint("call ", i), draws...)
				if err != nil {
					return err
				}
				if taken.OK {
					n.Kind = taken.ID
					break
				}
				if taken.Counter != "tokens" || taken.RetryIn <= 0 {
					return durable.Permanent(fmt.Errorf("no room: %+v", taken))
				}
				if err := durable.Sleep(ctx, taken.RetryIn, durable.Named("room")); err != nil {
					return err
				}
			}
			spent, err := durable.Do(ctx, "call", func(context.Context) (int64, error) {
				sent.add(fmt.Sprint(i, " at ", time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Round(time.Second)))
				return 50, nil
			})
			if err != nil {
				return err
			}
			err = durable.Settle(ctx, n.Kind, durable.Draw{Counter: "tokens", Amount: spent}, durable.Draw{Counter: "at once"})
			if err != nil {
				return err
			}
		}
		taken, err := durable.Take(ctx, "one too many", draws[2])
		if err != nil || taken.OK || taken.RetryIn != 0 || taken.Counter != "budget" {
			return durable.Permanent(fmt.Errorf("over the budget: %+v, %w", taken, err))
		}
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		sent.reset()
		run := durabletest.Start(e.Engine, w, note{})
		run.Done()
		if got := sent.all(); len(got) != 3 || got[0] != "0 at 0s" || got[1] != "1 at 0s" || got[2] != "2 at 1m0s" && got[2] != "2 at 1m1s" {
			t.Errorf("sent %q", got)
		}
		e.wantCount(t, durable.ID{}, "at once", 0, 0)
		e.wantCount(t, run.ID, "budget", 3, 3)
		e.Sleep(time.Hour)
		e.wantCount(t, durable.ID{}, "tokens", 0, 0)
		if _, err := e.Prune(context.Background(), durable.PruneOptions{OlderThan: time.Minute}); err != nil {
			t.Fatal(err)
		}
		e.wantCount(t, run.ID, "budget", 0, 0)
	})
}

// One attempt takes once by a name, however often its body begins; a crash keeps what was taken, and
// the next attempt takes anew.
func TestCR3_ByNameAndAttempt(t *testing.T) {
	var ids tally
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		info, _ := durable.Info(ctx)
		draw := durable.Draw{Counter: "c", Run: info.Execution, Amount: 3, Limit: 100}
		for _, name := range []string{"a", "b"} {
			taken, err := durable.Take(ctx, name, draw)
			if err != nil || !taken.OK {
				return durable.Permanent(fmt.Errorf("%+v, %w", taken, err))
			}
			ids.add(taken.ID)
			if err := durable.Sleep(ctx, time.Hour); err != nil {
				return err
			}
		}
		items, err := durable.All(ctx, "all", []int{1, 2}, func(ctx context.Context, _ int) (string, error) {
			taken, err := durable.Take(ctx, "a", draw)
			return taken.ID, err
		})
		if err != nil {
			return err
		}
		n.Trace = items
		if info.Attempt == 1 {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return nil
	}).Timeout(durable.NoTimeout))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ids.reset()
		run := durabletest.Start(e.Engine, w, note{})
		e.Sleep(3 * time.Hour)
		e.wantCount(t, run.ID, "c", 4*3, 4*3)
		e.Crash()
		run.Done()
		e.wantCount(t, run.ID, "c", 6*3, 6*3) // items of All are recorded
		list := ids.all()
		slices.Sort(list)
		if got := len(slices.Compact(list)); got != 4 {
			t.Errorf("%d ids, want 2 for each attempt", got)
		}
	})
}

// Lost replies and crashes at every commit never settle twice, nor pass a limit.
func TestCR3_CrashAfterEveryChange(t *testing.T) {
	onWeather(t, func(time.Duration) forecast {
		var bodies tally
		w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
			bodies.add("s")
			info, _ := durable.Info(ctx)
			taken, err := durable.Take(ctx, "call", durable.Draw{Counter: "c", Run: info.Execution, Amount: 10, Limit: 1000})
			if err != nil || !taken.OK {
				return durable.Permanent(fmt.Errorf("%+v, %w", taken, err))
			}
			for range 2 {
				if err := durable.Settle(ctx, taken.ID, durable.Draw{Counter: "c", Run: info.Execution, Amount: 4}); err != nil {
					return err
				}
			}
			_, err = durable.Do(ctx, "settled", func(context.Context) (int, error) { return 1, nil })
			return err
		}), body("look", func(ctx context.Context, n *note) error {
			bodies.add("look")
			return nil
		}))
		return &weather[note]{
			flow: w, bodies: &bodies, width: 1,
			end: func(_ note, err error) error { return err },
			tree: func(e *durable.Engine, list []kin) error {
				attempts := int64(0)
				for _, s := range list[0].Steps {
					if s.Path == "s" {
						attempts++
					}
				}
				n, err := e.Counter(context.Background(), list[0].ID, "c")
				if err != nil || n.All < 4 || n.All > attempts*10 || n.Open%10 != 0 || (n.All-n.Open)%4 != 0 || n.All-n.Open > attempts*4 {
					return fmt.Errorf("after %d attempts %+v, %w", attempts, n, err)
				}
				return nil
			},
		}
	})
}

// Many runs on two engines share a budget of ten.
func TestCR1_ManyRunsShareALimit(t *testing.T) {
	var mu sync.Mutex
	given := 0
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		taken, err := durable.Take(ctx, "call", durable.Draw{Counter: "calls", Amount: 1, Limit: 10, For: time.Hour})
		if err != nil || !taken.OK {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		given++
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		given = 0
		e.Join(serve(w))
		var runs []*durabletest.Started[note]
		for range 50 {
			runs = append(runs, durabletest.Start(e.Engine, w, note{}))
		}
		for _, r := range runs {
			r.Done()
		}
		if given != 10 {
			t.Errorf("%d calls of 10", given)
		}
		e.wantCount(t, durable.ID{}, "calls", 10, 10)
	})
}

// faulty answers draws and settlings with errors, some of which were done all the same.
type faulty struct {
	store.Store
	n *int
}

type faultyOpener struct {
	store.Opener
	n *int
}

func (f faultyOpener) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := f.Opener.OpenStore(ctx)
	return faulty{s, f.n}, err
}

func (f faulty) Draw(ctx context.Context, d store.Drawing) (store.Drawn, error) {
	*f.n++
	if *f.n%3 == 1 {
		return store.Drawn{}, errFlaky
	}
	res, err := f.Store.Draw(ctx, d)
	if *f.n%3 == 2 {
		return store.Drawn{}, errFlaky
	}
	return res, err
}

func (f faulty) Settle(ctx context.Context, s store.Settling) error {
	*f.n++
	err := f.Store.Settle(ctx, s)
	if *f.n%3 > 0 {
		return errFlaky
	}
	return err
}

func TestCR1_LostRepliesTakeOnce(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		taken, err := durable.Take(ctx, "call", durable.Draw{Counter: "c", Amount: 7, Limit: 10, For: time.Hour})
		if err != nil || !taken.OK {
			return durable.Permanent(fmt.Errorf("%+v, %w", taken, err))
		}
		return durable.Settle(ctx, taken.ID, durable.Draw{Counter: "c", Amount: 2})
	}))
	n := 0
	opener := faultyOpener{memory.New(), &n}
	durabletest.Run(t, serve(w), func(t *testing.T, e *durabletest.Engine) {
		durabletest.Start(e, w, note{}).Done()
		env{e, opener}.wantCount(t, durable.ID{}, "c", 2, 0)
		if n != 6 {
			t.Errorf("%d calls of the store", n)
		}
		ctx := context.Background()
		n = 1
		taken, err := e.Take(ctx, "x", durable.Draw{Counter: "c", Amount: 1, Limit: 10, For: time.Hour})
		wantError(t, err, errFlaky) // who is not in a step asks again himself
		env{e, opener}.wantCount(t, durable.ID{}, "c", 3, 1)
		if taken.OK || taken.ID != "x" { // or settles what has landed
			t.Errorf("after an error: %+v", taken)
		}
		n = 2
		if err := e.Settle(ctx, taken.ID, durable.Draw{Counter: "c"}); err != nil {
			t.Error(err)
		}
		env{e, opener}.wantCount(t, durable.ID{}, "c", 2, 0)
		_, err = durable.Take(ctx, "x")
		wantError(t, err, durable.ErrNotInStep)
		wantError(t, durable.Settle(ctx, "x"), durable.ErrNotInStep)
		for _, d := range []durable.Draw{{Counter: "", Limit: 1, For: 1}, {Counter: "c", Amount: -1, For: 1}, {Counter: "c", Amount: 1, Limit: 1}, {Counter: "a\nb", For: 1}} {
			taken, err = e.Take(ctx, "x", d)
			wantError(t, err, durable.ErrInvalid)
			if taken != (durable.Taken{}) {
				t.Errorf("refused: %+v", taken)
			}
		}
		_, err = e.Take(ctx, "", durable.Draw{Counter: "c", For: 1})
		wantError(t, err, durable.ErrInvalid)
		n = 2
		_, err = e.Take(ctx, "x", durable.Draw{Counter: "c", Run: durable.ID{1}, Amount: 1, Limit: 10})
		wantError(t, err, durable.ErrNotFound)
	}, durabletest.Store(opener))
}
