package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// late is how long after its time a run may still be there: a round of the
// background work.
func late(retain time.Duration) time.Duration {
	return min(10*time.Minute, max(retain/10, time.Second)) + time.Second
}

func (e env) gone(t *testing.T, id durable.ID) bool {
	t.Helper()
	_, err := e.Execution(context.Background(), id)
	if err != nil && !errors.Is(err, durable.ErrNotFound) {
		t.Fatal(err)
	}
	return err != nil
}

func TestRN1_RetainCountsFromTheEnd(t *testing.T) {
	const d = 5 * time.Hour
	nap := func(name string, long time.Duration) *durable.StepNode[note] {
		return body(name, func(ctx context.Context, _ *note) error { return durable.Sleep(ctx, long) })
	}
	short := durable.Define("short", nap("s", time.Hour)).Retain(d)
	long := durable.Define("long", nap("s", 100*time.Hour)).Retain(d)
	kept := durable.Define("kept", nap("s", time.Hour))
	failing := durable.Define("failing", body("s", func(context.Context, *note) error { return errors.New("no") })).Retain(d)
	onStores(t, serve(short, long, kept, failing), func(t *testing.T, e env) {
		a, b, c, f := durabletest.Start(e.Engine, short, note{}), durabletest.Start(e.Engine, long, note{}), durabletest.Start(e.Engine, kept, note{}), durabletest.Start(e.Engine, failing, note{})
		f.Fails()
		a.Done()
		e.Sleep(d - time.Minute)
		if e.gone(t, a.ID) || !e.gone(t, f.ID) { // f ended an hour before a
			t.Errorf("%s after the end of a: a is gone %t, f is gone %t", d-time.Minute, e.gone(t, a.ID), e.gone(t, f.ID))
		}
		e.Sleep(time.Minute + late(d))
		if !e.gone(t, a.ID) {
			t.Errorf("%s after its end it is still there", d+late(d))
		}
		e.Sleep(50 * time.Hour)
		waits, err := e.OpenWaits(context.Background(), b.ID)
		if err != nil || b.Look().Status != durable.Waiting || len(waits) != 1 || e.gone(t, c.ID) {
			t.Errorf("an open run, with waits %v, %v, or one without Retain was touched", waits, err)
		}
		b.Done()
		e.Sleep(d - time.Minute)
		if e.gone(t, b.ID) {
			t.Error("a run that was open for long was removed before its time")
		}
		e.Sleep(time.Minute + late(d))
		if !e.gone(t, b.ID) || e.gone(t, c.ID) || e.count(t) != 1 {
			t.Errorf("in the end: b gone %t, c gone %t, %d runs", e.gone(t, b.ID), e.gone(t, c.ID), e.count(t))
		}
	})
}

// Only runs of that version, by a worker that has it.
func TestRN1_RetainIsOfOneVersion(t *testing.T) {
	v1, v2 := durable.Define("w", mark("a")).Version("1"), durable.Define("w", mark("a")).Version("2").Retain(time.Hour)
	onStores(t, serve(v1, v2), func(t *testing.T, e env) {
		old, young := durabletest.Start(e.Engine, v1, note{}), durabletest.Start(e.Engine, v2, note{})
		old.Done()
		young.Done()
		e.Sleep(48 * time.Hour)
		if e.gone(t, old.ID) || !e.gone(t, young.ID) {
			t.Errorf("version 1 gone %t, version 2 gone %t", e.gone(t, old.ID), e.gone(t, young.ID))
		}
		e.Deploy(serve(durable.Define("w", mark("a")).Version("1").Retain(24 * time.Hour)))
		e.Sleep(time.Hour)
		if !e.gone(t, old.ID) {
			t.Error("a Retain that came later does not count for what had ended before")
		}
	})
}

func TestRN1_RetainIsRefused(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Hour} {
		bad := refusal(t, serve(durable.Define("w", mark("a")).Retain(d)))
		wantError(t, bad, nil, "workflow w", "Retain: "+d.String()+" is not positive")
	}
}

// prunes notes what a store is asked to prune, and what it did.
type prunes struct {
	store.Opener
	mu      sync.Mutex
	asked   []store.PruneRequest
	removed []int
	at      []time.Time
	fail    error
}

type pruning struct {
	store.Store
	p *prunes
}

func (p *prunes) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := p.Opener.OpenStore(ctx)
	return pruning{s, p}, err
}

func (s pruning) Prune(ctx context.Context, req store.PruneRequest) (store.Pruned, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.asked, s.p.at = append(s.p.asked, req), append(s.p.at, time.Now())
	if s.p.fail != nil {
		return store.Pruned{}, s.p.fail
	}
	p, err := s.Store.Prune(ctx, req)
	s.p.removed = append(s.p.removed, p.Removed)
	return p, err
}

func TestRN1_BatchesOfSeveralWorkers(t *testing.T) {
	w := durable.Define("w", mark("a")).Retain(time.Hour)
	p := &prunes{Opener: memory.New()}
	durabletest.Run(t, serve(w), func(t *testing.T, e *durabletest.Engine) {
		for range 2 {
			e.Join(serve(w))
		}
		runs, err := w.StartMany(context.Background(), e.Engine, make([]note, 2500), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			if _, err := r.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		e.Sleep(2 * time.Hour)
		page, err := e.Executions(context.Background(), durable.Filter{Count: true})
		if err != nil || page.Count != 0 {
			t.Errorf("%d runs are left, %v", page.Count, err)
		}
		sum, most := 0, 0
		for _, n := range p.removed {
			sum, most = sum+n, max(most, n)
		}
		if sum != 2500 || most != store.MaxPrune {
			t.Errorf("%d removed, %d at once", sum, most)
		}
		// 2 hours have 20 rounds of at most 6 minutes, and three workers.
		if n := len(p.asked); n < 3*20 || n > 3*40+5 {
			t.Errorf("asked %d times", n)
		}
		for i, n := range p.removed {
			if n == store.MaxPrune && i+1 < len(p.at) && p.at[i+1].Equal(p.at[i]) && p.removed[i+1] == store.MaxPrune {
				t.Error("two batches without a rest between")
			}
		}
	}, durabletest.Store(p))
}

// Who has no definition that retains never asks; who has stopped, no more.
func TestRN1_NothingIsAskedInVain(t *testing.T) {
	p := &prunes{Opener: memory.New(), fail: errors.New("away")}
	durabletest.Run(t, serve(durable.Define("w", mark("a"))), func(t *testing.T, e *durabletest.Engine) {
		durabletest.Start(e, durable.Define("w", mark("a")), note{}).Done()
		e.Sleep(1000 * time.Hour)
		if len(p.asked) > 0 {
			t.Errorf("asked %d times without a Retain", len(p.asked))
		}
		w := durable.Define("w", mark("a")).Retain(100 * time.Hour)
		e.Deploy(serve(w))
		if err := e.Run(context.Background()); err == nil {
			t.Error("an engine runs twice") // and else the second one's background work would stay
		}
		e.Sleep(10 * time.Hour)
		n := len(p.asked)
		if n < 60 || n > 121 { // every 5 to 10 minutes, also when it fails
			t.Errorf("asked %d times in 10 hours", n)
		}
		if r := p.asked[0]; r.Workflow != "w" || r.Version == nil || *r.Version != "" || r.Age != 100*time.Hour || r.Count || len(r.Statuses) != 0 {
			t.Errorf("asked for %+v", r)
		}
		p.mu.Lock()
		p.fail = nil
		p.mu.Unlock()
		e.Sleep(time.Hour)
		page, err := e.Executions(context.Background(), durable.Filter{Count: true})
		if err != nil || page.Count != 0 {
			t.Errorf("%d runs are left once it works again, %v", page.Count, err)
		}
		if err := e.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		n = len(p.asked)
		time.Sleep(100 * time.Hour) // lint:sleep virtual time, with no engine to wait for
		if len(p.asked) != n {
			t.Error("a stopped engine asks")
		}
	}, durabletest.Store(p))
}

func TestRN2_ARemovedRun(t *testing.T) {
	w := durable.Define("w", body("a", func(ctx context.Context, _ *note) error {
		durable.Logger(ctx).Info("hello")
		return nil
	})).Retain(time.Hour)
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		run := durabletest.Start(e.Engine, w, note{N: 1}, durable.Key("k"), durable.Tags("x"))
		other := durabletest.Start(e.Engine, w, note{N: 1}, durable.At(time.Now().Add(1000*time.Hour)))
		run.Done()
		again, err := w.Start(ctx, e.Engine.Engine, note{N: 1}, durable.Key("k"))
		if err != nil || again.ID != run.ID {
			t.Errorf("the key while the run is kept: %v", err)
		}
		_, err = w.Start(ctx, e.Engine.Engine, note{N: 2}, durable.Key("k"))
		wantError(t, err, durable.ErrKeyConflict)
		e.Sleep(time.Hour + late(time.Hour))
		_, logs := e.Logs(ctx, run.ID, time.Time{})
		_, byKey := e.ByKey(ctx, "w", "k")
		var wait error
		for range 20 { // told from memory or read: both must agree
			if _, wait = again.Wait(ctx); wait == nil {
				break
			}
		}
		_, execution := e.Execution(ctx, run.ID, durable.WithSteps)
		for what, err := range map[string]error{
			"Execution": execution, "Logs": logs, "ByKey": byKey, "Wait": wait,
			"SendEvent":    e.SendEvent(ctx, run.ID, "e", 1),
			"ProvideInput": e.ProvideInput(ctx, run.ID, "i", 1),
			"Cancel":       e.Cancel(ctx, run.ID, "x"),
			"Unblock":      e.Unblock(ctx, run.ID),
		} {
			t.Log(what)
			wantError(t, err, durable.ErrNotFound)
		}
		page, err := e.Executions(ctx, durable.Filter{Count: true})
		if err != nil || page.Count != 1 || len(page.Executions) != 1 || page.Executions[0].ID != other.ID {
			t.Errorf("listed %+v, %v", page, err)
		}
		for _, f := range []durable.Filter{{Tags: []string{"x"}}, {Workflow: "w", Key: "k"}, {Statuses: []durable.Status{durable.Completed}}} {
			f.Count = true
			if page, err := e.Executions(ctx, f); err != nil || page.Count != 0 || len(page.Executions) != 0 {
				t.Errorf("%+v finds %+v, %v", f, page, err)
			}
		}
		next := durabletest.Start(e.Engine, w, note{N: 2}, durable.Key("k"))
		if next.ID == run.ID || next.Done().N != 2 {
			t.Error("the key did not begin a new run")
		}
	})
}

func TestRN1_PruneByHand(t *testing.T) {
	good := durable.Define("good", mark("a"))
	bad := durable.Define("bad", body("a", func(context.Context, *note) error { return errors.New("no") })).Version("7")
	onStores(t, serve(good, bad), func(t *testing.T, e env) {
		ctx := context.Background()
		start := func() {
			for range 3 {
				durabletest.Start(e.Engine, good, note{}).Done()
				durabletest.Start(e.Engine, bad, note{}).Fails()
			}
		}
		start()
		e.Sleep(10 * time.Hour)
		start()
		sleeping := durabletest.Start(e.Engine, good, note{}, durable.At(time.Now().Add(1000*time.Hour)))
		for i, c := range []struct {
			o    durable.PruneOptions
			want int
		}{
			{durable.PruneOptions{OlderThan: 11 * time.Hour}, 0},
			{durable.PruneOptions{OlderThan: 9 * time.Hour, Workflow: "other"}, 0},
			{durable.PruneOptions{OlderThan: 9 * time.Hour, Workflow: "bad", Version: new("8")}, 0},
			{durable.PruneOptions{OlderThan: 9 * time.Hour, Workflow: "bad", Version: new("7"), Statuses: []durable.Status{durable.Failed}}, 3},
			{durable.PruneOptions{OlderThan: 9 * time.Hour}, 3},
			{durable.PruneOptions{OlderThan: time.Nanosecond}, 6},
		} {
			before := e.count(t)
			dry := c.o
			dry.DryRun = true
			if n, err := e.Prune(ctx, dry); err != nil || n != c.want || e.count(t) != before {
				t.Errorf("%d: a dry run: %d, %v; want %d; %d runs of %d are left", i, n, err, c.want, e.count(t), before)
			}
			if n, err := e.Prune(ctx, c.o); err != nil || n != c.want || e.count(t) != before-c.want {
				t.Errorf("%d: %d, %v; want %d; %d runs of %d are left", i, n, err, c.want, e.count(t), before)
			}
			e.Sleep(time.Second)
		}
		if sleeping.Look().Status != durable.Pending {
			t.Error("an open run was touched")
		}
		for _, o := range []durable.PruneOptions{
			{}, {OlderThan: -time.Hour}, {OlderThan: time.Hour, Statuses: []durable.Status{durable.Waiting}}, {OlderThan: time.Hour, Statuses: []durable.Status{"x"}},
		} {
			_, err := e.Prune(ctx, o)
			wantError(t, err, durable.ErrInvalid, "prune")
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := e.Prune(ended, durable.PruneOptions{OlderThan: time.Hour}); err == nil {
			t.Error("pruned although its context has ended")
		}
	})
}

// A crash between batches leaves whole runs only.
func TestRN1_CrashWhileRemoving(t *testing.T) {
	w := durable.Define("w", mark("a")).Retain(time.Hour)
	onStores(t, serve(w), func(t *testing.T, e env) {
		var runs []durable.ID
		for range 30 {
			r := durabletest.Start(e.Engine, w, note{}, durable.Key(fmt.Sprint(len(runs))))
			r.Done()
			runs = append(runs, r.ID)
		}
		e.CrashAfter(1) // the first batch, whose answer is lost
		e.Sleep(time.Hour + 2*late(time.Hour))
		if e.Crashes() != 1 || e.count(t) != 0 {
			t.Errorf("%d crashes, %d runs are left", e.Crashes(), e.count(t))
		}
		if i := slices.IndexFunc(runs, func(id durable.ID) bool { return !e.gone(t, id) }); i >= 0 {
			t.Errorf("run %d is there", i)
		}
		if r := durabletest.Start(e.Engine, w, note{N: 9}, durable.Key("0")); !strings.HasPrefix(r.Look().Key, "0") {
			t.Error("its key is lost")
		}
	})
}
