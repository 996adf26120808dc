package postgres_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/store/postgres"
)

// letter is a state that says which code did what.
type letter struct {
	Trace []string `json:"trace"`
}

// writes is a step that leaves its mark.
func writes(name, mark string) durable.Node[letter] {
	return durable.Step(name, func(_ context.Context, l *letter) error {
		l.Trace = append(l.Trace, mark)
		return nil
	})
}

// awaits is a step that waits for an event of its name.
func awaits(name string) durable.Node[letter] {
	return durable.Step(name, func(ctx context.Context, l *letter) error {
		v, err := durable.WaitForEvent[string](ctx, name)
		l.Trace = append(l.Trace, v)
		return err
	})
}

// VR-1 but for what doctor lists: while two versions are at work at once, on
// workers that have one or both, each run goes on with its own.
func TestVR1_VR6_FleetOfTwoVersions(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one := durable.Define("w", awaits("go"), writes("end", "one")).Version("1")
	two := durable.Define("w", awaits("go"), writes("more", "two"), writes("end", "two")).Version("2")
	old := f.join(durable.Config{Workflows: []durable.Definition{one}})
	young := f.join(durable.Config{Workflows: []durable.Definition{two}})
	want := map[*durable.Workflow[letter]][]string{one: {"x", "one"}, two: {"x", "two", "two"}}
	start := func(w *durable.Workflow[letter], m *member) (runs []*durable.Run[letter]) {
		t.Helper()
		runs, err := w.StartMany(t.Context(), m.Engine, make([]letter, 20), nil)
		if err != nil {
			t.Fatal(err)
		}
		return runs
	}
	finish := func(w *durable.Workflow[letter], m *member, runs []*durable.Run[letter]) {
		t.Helper()
		for _, r := range runs {
			if err := m.SendEvent(t.Context(), r.ID, "go", "x"); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range runs {
			if l, err := w.Attach(m.Engine, r.ID).Wait(t.Context()); err != nil || !slices.Equal(l.Trace, want[w]) {
				t.Errorf("%v, %v; want %v", l.Trace, err, want[w])
			}
		}
	}
	olds, youngs := start(one, old), start(two, young)
	finish(one, young, olds[:10]) // by way of a worker that does not have it
	finish(two, old, youngs[:10])
	if err := old.Stop(t.Context()); err != nil { // nobody has version 1 now
		t.Fatal(err)
	}
	for _, r := range olds[10:] {
		if err := young.SendEvent(t.Context(), r.ID, "go", "x"); err != nil {
			t.Fatal(err)
		}
	}
	finish(two, young, youngs[10:])
	for _, r := range olds[10:] {
		if x, err := young.Execution(t.Context(), r.ID); err != nil || x.Status != durable.Pending || x.Version != "1" {
			t.Errorf("without its version it is %+v, %v", x, err)
		}
	}
	both := f.join(durable.Config{Workflows: []durable.Definition{two, one}})
	for _, r := range olds[10:] {
		if l, err := one.Attach(both.Engine, r.ID).Wait(t.Context()); err != nil || !slices.Equal(l.Trace, want[one]) {
			t.Errorf("%v, %v; want %v", l.Trace, err, want[one])
		}
	}
}

// Same version, another tree on each worker, then a rollback: no run fails, and
// those that are blocked go on when code with their place is there.
func TestVR2_VR3_VR4_VR6_FleetWhileDeploying(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old := durable.Define("w", awaits("go"), awaits("again"), writes("end", "end"))
	without := durable.Define("w", awaits("go"), writes("end", "end")) // lacks "again"
	other := durable.Define("w", awaits("go"), writes("instead", "instead"), writes("end", "end"))
	serve := func(w *durable.Workflow[letter]) durable.Config {
		return durable.Config{Workflows: []durable.Definition{w}, Queues: map[string]durable.Queue{"default": {PollInterval: 100 * time.Millisecond}}}
	}
	first := f.join(serve(old))
	runs, err := old.StartMany(t.Context(), first.Engine, make([]letter, 30), nil)
	if err != nil {
		t.Fatal(err)
	}
	send := func(m *member, r *durable.Run[letter], name string) {
		t.Helper()
		if err := m.SendEvent(t.Context(), r.ID, name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	status := func(m *member, r *durable.Run[letter]) durable.Status {
		t.Helper()
		x, err := m.Execution(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		return x.Status
	}
	for _, r := range runs[:10] { // these stand at "again"
		send(first, r, "go")
	}
	eventually(t, "they wait again", func() bool {
		return !slices.ContainsFunc(runs[:10], func(r *durable.Run[letter]) bool {
			waits, err := first.OpenWaits(t.Context(), r.ID)
			return err != nil || len(waits) != 1 || waits[0].Name != "again"
		})
	})
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, third := f.join(serve(without)), f.join(serve(other))
	for _, r := range runs[:10] {
		send(second, r, "again")
	}
	eventually(t, "both kinds of code have tried", func() bool {
		var n int
		f.query(&n, "SELECT count(*) FROM durable.execution WHERE status = 'blocked' AND array_length(string_to_array(blocked, ' '), 1) = 2")
		return n == 10
	})
	var before, after int
	f.query(&before, "SELECT sum(epoch)::integer FROM durable.execution WHERE status = 'blocked'")
	for _, r := range runs[10:20] { // meanwhile the others go on, on either
		send(third, r, "go")
	}
	for _, r := range runs[10:20] {
		l, err := old.Attach(second.Engine, r.ID).Wait(t.Context())
		if got := strings.Join(l.Trace, " "); err != nil || got != "x end" && got != "x instead end" {
			t.Errorf("%v, %v", l.Trace, err)
		}
	}
	if f.query(&after, "SELECT sum(epoch)::integer FROM durable.execution WHERE status = 'blocked'"); after != before {
		t.Errorf("blocked runs were taken %d times more", after-before)
	}
	for _, r := range runs[:10] {
		if s := status(second, r); s != durable.Blocked {
			t.Errorf("it is %s, want blocked", s)
		}
	}
	back := f.join(serve(old)) // rolled back, one worker after the other
	for _, r := range runs[:10] {
		if l, err := old.Attach(back.Engine, r.ID).Wait(t.Context()); err != nil || strings.Join(l.Trace, " ") != "x x end" {
			t.Errorf("after the rollback: %v, %v", l.Trace, err)
		}
	}
	for _, m := range []*member{second, third} {
		if err := m.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range runs[20:] {
		send(back, r, "go")
		send(back, r, "again")
		if l, err := old.Attach(back.Engine, r.ID).Wait(t.Context()); err != nil || strings.Join(l.Trace, " ") != "x x end" {
			t.Errorf("started before, finished after: %v, %v", l.Trace, err)
		}
	}
	var failed int
	if f.query(&failed, "SELECT count(*) FROM durable.execution WHERE status <> 'completed'"); failed != 0 {
		t.Errorf("%d runs did not complete", failed)
	}
}

// crew is who ran a body, and when that worker died.
type crew struct {
	mu     sync.Mutex
	bodies map[string][]int // by run and step: which workers
	died   map[int]bool
}

func (c *crew) ran(ctx context.Context, worker int) {
	info, _ := durable.Info(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	key := info.Execution.String() + " " + info.Path
	c.bodies[key] = append(c.bodies[key], worker)
}

// Three workers do two thousand runs, and one after the other dies and is
// replaced. Nothing is lost, every result is recorded once, and each body that
// ran more than once had begun on a worker that died or lost its lease.
func TestQU4_FleetWithRandomKills(t *testing.T) {
	f := newFleet(t)
	const runs, kills = 2000, 8
	c := &crew{bodies: map[string][]int{}, died: map[int]bool{}}
	define := func(worker int) *durable.Workflow[letter] {
		step := func(name string) durable.Node[letter] {
			return durable.Step(name, func(ctx context.Context, l *letter) error {
				c.ran(ctx, worker)
				l.Trace = append(l.Trace, name)
				return nil
			})
		}
		return durable.Define("w", step("a"), step("b"), step("c"))
	}
	var members []*member
	join := func() {
		members = append(members, f.join(durable.Config{Workflows: []durable.Definition{define(len(members))}, Lease: time.Second}))
	}
	for range 3 {
		join()
	}
	flow := define(-1)
	starter := f.client(durable.Config{Workflows: []durable.Definition{flow}})
	started, err := flow.StartMany(t.Context(), starter, make([]letter, runs), nil)
	if err != nil {
		t.Fatal(err)
	}
	live := []int{0, 1, 2}
	for range kills {
		completed, next := 0, 0
		f.query(&completed, "SELECT count(*) FROM durable.execution WHERE status = 'completed'")
		if completed == runs {
			break
		}
		eventually(t, "some more have completed", func() bool {
			f.query(&next, "SELECT count(*) FROM durable.execution WHERE status = 'completed'")
			return next >= min(runs, completed+runs/kills/2)
		})
		i := rand.IntN(len(live))
		dies := members[live[i]]
		dies.line.cut()
		dies.StopNow()
		c.mu.Lock()
		c.died[live[i]] = true
		c.mu.Unlock()
		live[i] = len(members)
		join()
	}
	for _, r := range started {
		if l, err := r.Wait(t.Context()); err != nil || !slices.Equal(l.Trace, []string{"a", "b", "c"}) {
			t.Fatalf("%v, %v", l.Trace, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	extra, unexplained := 0, 0
	for key, by := range c.bodies {
		for _, worker := range by[:len(by)-1] {
			extra++
			if !c.died[worker] && members[worker].said.count("the lease is lost") == 0 {
				unexplained++
				t.Errorf("%s ran on workers %v, and %d has not died", key, by, worker)
			}
		}
	}
	if len(c.bodies) != 3*runs {
		t.Errorf("%d places were visited, want %d", len(c.bodies), 3*runs)
	}
	t.Logf("%d workers died; %d bodies ran again, %d of them for no reason", len(c.died), extra, unexplained)
}

// client opens an engine that does not work.
func (f *fleet) client(cfg durable.Config) *durable.Engine {
	f.t.Helper()
	e, err := durable.Open(f.t.Context(), postgres.Open(f.url, postgres.Schema(f.schema)), cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = e.Close() })
	return e
}
