package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// forest is a run that waits in every way there is at once: in lanes, items, passes and
// three generations of children.
type forest struct {
	s     saga
	flow  *durable.Workflow[note]
	all   []durable.Definition
	waits int // open at the run itself
}

func newForest() *forest {
	f := &forest{}
	leaf := durable.Define("leaf", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.WaitForInput[int](ctx, "leaf")
		return err
	}))
	twig := durable.Define("twig", f.s.step("twig"), body("s", func(ctx context.Context, n *note) error {
		_, err := durable.Call(ctx, leaf, note{})
		return err
	}))
	busy := durable.Define("busy", body("s", func(ctx context.Context, n *note) error { return rest(ctx, 1000*time.Hour) }).Timeout(durable.NoTimeout))
	lane := func(name string, fn func(ctx context.Context) error) durable.Node[note] {
		f.waits++
		return body(name, func(ctx context.Context, _ *note) error { return fn(ctx) }).Compensate(f.s.undo(name))
	}
	key := durable.Correlate("k")
	lanes := []durable.Node[note]{
		lane("event", func(ctx context.Context) error { _, err := durable.WaitForEvent[int](ctx, "e"); return err }),
		lane("published", func(ctx context.Context) error { _, err := durable.WaitForEvent[int](ctx, "p", key); return err }),
		lane("any", func(ctx context.Context) error {
			_, err := durable.WaitForAny(ctx, []string{"x", "y"}, key)
			return err
		}),
		lane("all", func(ctx context.Context) error { _, err := durable.WaitForAll(ctx, []string{"x", "y"}); return err }),
		lane("input", func(ctx context.Context) error { _, err := durable.WaitForInput[int](ctx, "i"); return err }),
		lane("approval", func(ctx context.Context) error {
			_, err := durable.WaitForApproval(ctx, "a", durable.Reminder(time.Hour))
			return err
		}),
		lane("choice", func(ctx context.Context) error {
			_, err := durable.WaitForChoice(ctx, "c", durable.ChoicesOf(1, 2))
			return err
		}),
		lane("text", func(ctx context.Context) error {
			_, err := durable.WaitForText(ctx, "t", durable.Timeout(100*time.Hour))
			return err
		}),
		lane("sleep", func(ctx context.Context) error { return durable.Sleep(ctx, 1000*time.Hour) }),
		lane("call", func(ctx context.Context) error { _, err := durable.Call(ctx, twig, note{}); return err }),
		lane("spawn", func(ctx context.Context) error {
			for _, opts := range [][]durable.CallOption{nil, {durable.Detached()}} {
				if _, err := durable.Spawn(ctx, busy, note{}, opts...); err != nil {
					return err
				}
			}
			c, err := durable.Spawn(ctx, twig, note{})
			if err != nil {
				return err
			}
			_, err = durable.Await(ctx, c)
			return err
		}),
		durable.Event("node", func(*note, int) {}),
		durable.Pause("pause", func(*note) time.Duration { return 1000 * time.Hour }),
		durable.Child("child", twig, func(*note) note { return note{} }, func(*note, note) {}),
		body("backoff", func(context.Context, *note) error { return errFlaky }).Retry(durable.Retry{MaxAttempts: 9, Base: 1000 * time.Hour, Max: 1000 * time.Hour}),
		durable.Loop("passes", func(*note) bool { return true }, lane("pass", func(ctx context.Context) error {
			_, err := durable.WaitForEvent[int](ctx, "loop")
			return err
		})),
		durable.Each("each", func(*note) []int { return []int{1, 2, 3} },
			durable.Step("item", func(ctx context.Context, _ *int) error {
				_, err := durable.WaitForEvent[int](ctx, "item")
				return err
			})),
	}
	f.waits += 3 + 3
	f.flow = durable.Define("forest", f.s.step("first"), durable.Parallel("p", lanes...))
	f.all = []durable.Definition{leaf, twig, busy, f.flow}
	return f
}

// gone is what must hold of a run that was cancelled and of all below it: nothing waits,
// nothing is asked, nobody is listened to, and what was detached goes on.
func gone(e env, id durable.ID, top bool) (wrong []string) {
	ctx := context.Background()
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	x, err := e.Execution(ctx, id)
	if err != nil {
		return []string{err.Error()}
	}
	back := x.Workflow == "twig" && x.Status == durable.Compensated // it was called by a run that went back
	if !x.Status.Ended() || !top && x.Status != durable.Cancelled && !back {
		bad("%s is %s", x.Workflow, x.Status)
	}
	if !top && x.Error != nil && !strings.Contains(x.Error.Message, x.Parent.String()) {
		bad("%s: the reason does not name the parent: %s", x.Workflow, x.Error.Message)
	}
	if w, err := e.OpenWaits(ctx, id); err != nil || len(w) > 0 {
		bad("%s waits: %+v, %v", x.Workflow, w, err)
	}
	for name, err := range map[string]error{
		"event": e.SendEvent(ctx, id, "e", 1), "answer": e.ProvideInput(ctx, id, "i", 1), "cancel of a wait": e.CancelWait(ctx, id, "i", ""),
	} {
		if !errors.Is(err, durable.ErrRunDone) {
			bad("%s: %s: %v", x.Workflow, name, err)
		}
	}
	page, err := e.Executions(ctx, durable.Filter{Parent: id})
	if err != nil {
		return append(wrong, err.Error())
	}
	detached := 0
	for _, k := range page.Executions {
		if k.Workflow == "busy" && !k.Status.Ended() {
			detached++
			continue
		}
		wrong = append(wrong, gone(e, k.ID, false)...)
	}
	if top && detached != 1 {
		bad("%d detached children are left", detached)
	}
	return wrong
}

func TestCN1_CN4_CN6_CancelOfEverything(t *testing.T) {
	f := newForest()
	cfg := serve(f.all...)
	cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 100}}
	onStores(t, cfg, func(t *testing.T, e env) {
		ctx := context.Background()
		for _, undo := range []bool{false, true} {
			for _, restart := range []bool{false, true} {
				f.s.reset()
				r := durabletest.Start(e.Engine, f.flow, note{})
				e.Sleep(time.Minute)
				if w, err := e.OpenWaits(ctx, r.ID); err != nil || len(w) != f.waits {
					t.Fatalf("%d waits are open, want %d; %v", len(w), f.waits, err)
				}
				if restart {
					e.Restart()
				}
				var opts []durable.ActOption
				if undo {
					opts = append(opts, durable.AndCompensate())
				}
				if err := e.Cancel(ctx, r.ID, "enough", opts...); err != nil {
					t.Fatal(err)
				}
				if w, err := e.OpenWaits(ctx, r.ID); !undo && (err != nil || len(w) != 0) {
					t.Errorf("right after the cancel it waits for %+v, %v", w, err)
				}
				_, err := r.End()
				rows := len(e.record(t, r.ID).Rows)
				e.Sleep(time.Minute)
				for _, text := range gone(e, r.ID, true) {
					t.Errorf("compensated %t, restarted %t: %s", undo, restart, text)
				}
				if p, err := e.PendingInputs(ctx, durable.InputFilter{}); err != nil || len(p.Inputs) != 0 {
					t.Errorf("still asked: %+v, %v", p.Inputs, err)
				}
				for _, name := range []string{"p", "x", "y"} {
					if p, err := e.Publish(ctx, name, "k", 1, durable.Keep(time.Minute)); err != nil || p.Got != 0 {
						t.Errorf("%s reached %+v, %v", name, p, err)
					}
				}
				e.Sleep(time.Hour)
				if n := len(e.record(t, r.ID).Rows); n != rows {
					t.Errorf("%d rows after its end", n-rows)
				}
				if !undo {
					wantFailure(t, err, durable.Cancelled, "cancelled", "")
					f.s.want(t)
					continue
				}
				wantFailure(t, err, durable.Compensated, "cancelled", "")
				var got []string // the children that were called undo what they did in their own time
				twigs := 0
				for _, u := range f.s.undos() {
					if u == "twig at 1" {
						twigs++
						continue
					}
					got = append(got, u)
				}
				if twigs != 2 {
					t.Errorf("%d called children went back", twigs)
				}
				if len(got) != f.waits-6+1 || got[len(got)-1] != "first at 1" {
					t.Errorf("undone were %q", got)
				}
				for _, u := range got[:len(got)-1] {
					if !strings.HasSuffix(u, " in doubt") {
						t.Errorf("undone was %q", u)
					}
				}
			}
		}
	})
}

// A cancel of a child from outside, a child that is blocked, and a child that retention
// or somebody else has ended before: the tree ends all the same, and the parent is told.
func TestCH4_CN4_OddChildren(t *testing.T) {
	leaf := durable.Define("leaf", body("s", func(ctx context.Context, _ *note) error {
		_, err := durable.WaitForEvent[int](ctx, "go")
		return err
	}))
	other := durable.Define("leaf", mark("other"))
	mid := durable.Define("mid", body("s", func(ctx context.Context, _ *note) error {
		_, err := durable.Call(ctx, leaf, note{})
		return err
	}))
	top := durable.Define("top", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.Call(ctx, mid, note{})
		var c *durable.ChildError
		if errors.As(err, &c) {
			n.Trace = append(n.Trace, c.Workflow+" "+string(c.Status))
			return nil
		}
		return err
	}).Compensate(func(context.Context, *note) error { return nil }))
	old, bad := serve(leaf, mid, top), serve(other, mid, top)
	onStores(t, old, func(t *testing.T, e env) {
		ctx := context.Background()
		family := func() (r *durabletest.Started[note], m, l durable.ID) {
			t.Helper()
			r = durabletest.Start(e.Engine, top, note{})
			e.Sleep(time.Second)
			m = childrenOf(t, e, r.ID)[0].ID
			return r, m, childrenOf(t, e, m)[0].ID
		}
		status := func(id durable.ID) durable.Status {
			t.Helper()
			x, err := e.Execution(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			return x.Status
		}
		t.Log("the middle is cancelled from outside: below it ends, above it is told")
		for _, opts := range [][]durable.ActOption{nil, {durable.AndCompensate()}} {
			r, m, l := family()
			if err := e.Cancel(ctx, m, "odd", opts...); err != nil {
				t.Fatal(err)
			}
			want := durable.Cancelled
			if opts != nil {
				want = durable.Compensated
			}
			wantTrace(t, r.Done(), "mid "+string(want))
			e.Sleep(time.Second)
			if status(m) != want || status(l) != durable.Cancelled {
				t.Errorf("middle %s, below %s", status(m), status(l))
			}
		}
		t.Log("the lowest is cancelled: each level is told")
		r, m, l := family()
		if err := e.Cancel(ctx, l, "odd"); err != nil {
			t.Fatal(err)
		}
		wantTrace(t, r.Done(), "mid failed")
		if status(m) != durable.Failed {
			t.Errorf("the middle is %s", status(m))
		}
		t.Log("the lowest is blocked")
		for _, opts := range [][]durable.ActOption{nil, {durable.AndCompensate()}} {
			r, m, l = family()
			e.Deploy(bad)
			if err := e.SendEvent(ctx, l, "go", 1); err != nil {
				t.Fatal(err)
			}
			e.Sleep(time.Minute)
			if s := status(l); s != durable.Blocked {
				t.Fatalf("it is %s", s)
			}
			if err := e.Cancel(ctx, r.ID, "odd", opts...); err != nil {
				t.Fatal(err)
			}
			e.Sleep(time.Minute)
			middle := durable.Cancelled
			if opts != nil { // it went back, since nobody knew whether the lowest had anything to undo
				middle = durable.Compensated
			}
			if a, b, c := status(r.ID), status(m), status(l); !a.Ended() || b != middle || c != durable.Cancelled {
				t.Errorf("with %d options: %s, %s, and what was blocked is %s", len(opts), a, b, c)
			}
			e.Deploy(old)
		}
	})
}

// Against completion at every moment of a parent and its child: whichever committed first
// stands, at each level, and whoever asked is told.
func TestCN2_CancelAgainstCompletionOfAFamily(t *testing.T) {
	step := func(name string) durable.Node[note] {
		return body(name, func(ctx context.Context, _ *note) error { return rest(ctx, 5*time.Millisecond) }).Compensate(
			func(context.Context, *note) error { return nil })
	}
	kid := durable.Define("kid", step("k"))
	w := durable.Define("w", step("a"), durable.Parallel("p",
		durable.Child("c", kid, func(*note) note { return note{} }, func(*note, note) {}),
		body("e", func(ctx context.Context, _ *note) error {
			_, err := durable.WaitForEvent[int](ctx, "go", durable.Timeout(8*time.Millisecond), durable.OnTimeout(1))
			return err
		})), step("b"))
	for _, opts := range [][]durable.ActOption{nil, {durable.AndCompensate()}} {
		onStores(t, serve(w, kid), func(t *testing.T, e env) {
			other := e.Join(serve(w, kid))
			outcomes := map[durable.Status]int{}
			for i := range 30 {
				r := durabletest.Start(e.Engine, w, note{})
				e.Sleep(time.Duration(i) * time.Millisecond)
				via := e.Engine
				if i%2 == 0 {
					via = other
				}
				err := via.Cancel(context.Background(), r.ID, "race", opts...)
				r.End() //nolint:errcheck // the status is looked at
				x := r.Look()
				outcomes[x.Status]++
				switch {
				case err == nil && opts == nil && x.Status == durable.Cancelled:
				case err == nil && opts != nil && x.Status == durable.Compensated:
				case errors.Is(err, durable.ErrRunDone) && x.Status == durable.Completed:
				default:
					t.Fatalf("after %d ms it is %s, and the caller was told %v", i, x.Status, err)
				}
				e.Sleep(time.Second)
				for _, k := range childrenOf(t, e, r.ID) {
					if !k.Status.Ended() || x.Status == durable.Completed && k.Status != durable.Completed {
						t.Errorf("after %d ms the parent is %s and its child %s", i, x.Status, k.Status)
					}
				}
			}
			if len(outcomes) != 2 {
				t.Errorf("outcomes %v", outcomes)
			}
		})
	}
}

// Planted: a cancel that does not tell the children, and one that leaves waits open.
func TestPlanted_CancelOfATree(t *testing.T) {
	for name, bug := range map[string]func(w *store.Write) bool{
		"": func(*store.Write) bool { return false },
		"children are not told": func(w *store.Write) bool {
			if w.Control != nil {
				w.Control.Release.Family = nil
			}
			if w.Advance != nil && w.Advance.Release != nil {
				w.Advance.Release.Family = nil
			}
			return false
		},
		"it is acknowledged and forgotten": func(w *store.Write) bool { return w.Control != nil && w.Control.Release.Status == store.Cancelled },
	} {
		f := newForest()
		cfg := serve(f.all...)
		cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 100}}
		opener := &liarOpener{memory.New(), bug}
		var wrong []string
		durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
			r := durabletest.Start(e, f.flow, note{})
			e.Sleep(time.Minute)
			_ = e.Cancel(context.Background(), r.ID, "enough")
			e.Sleep(time.Minute)
			wrong = gone(env{e, opener}, r.ID, true)
		}, durabletest.Store(opener))
		if (len(wrong) > 0) != (name != "") {
			t.Errorf("%q: %q", name, wrong)
		}
	}
}

// The process dies after each commit that a cancel of a tree brings about: what is left
// comes to the same end, with the next process.
func TestCN2_CN4_CrashWhileATreeEnds(t *testing.T) {
	for _, undo := range []bool{false, true} {
		f := newForest()
		cfg := serve(f.all...)
		cfg.Queues = map[string]durable.Queue{"default": {Concurrency: 100}}
		cfg.Lease = 10 * time.Second
		inMemory(t, cfg, func(t *testing.T, e env) {
			ctx := context.Background()
			var opts []durable.ActOption
			if undo {
				opts = append(opts, durable.AndCompensate())
			}
			crashes := 0
			for _, n := range []int{1, 2, 3, 4, 5, 7, 9, 12, 16, 21} {
				r := durabletest.Start(e.Engine, f.flow, note{})
				e.Sleep(time.Second)
				before := e.Crashes()
				e.CrashAfter(n)
				err := e.Cancel(ctx, r.ID, "enough", opts...)
				for range 3 {
					e.Sleep(15 * time.Second)
					if err != nil && !errors.Is(err, durable.ErrRunDone) && !errors.Is(err, durable.ErrCompensating) {
						err = e.Cancel(ctx, r.ID, "enough", opts...)
					}
				}
				e.CrashAfter(1 << 30)
				for _, text := range gone(e, r.ID, true) {
					t.Errorf("crash after %d commits, compensated %t: %s", n, undo, text)
				}
				if e.Crashes() == before {
					break
				}
				crashes++
			}
			if crashes < 3 {
				t.Errorf("%d crashes", crashes)
			}
		})
	}
}

// A cancel meets lanes, items, children and spread items that wait, and one of which a body runs.
func TestCN2_CN4_CN6_CrashAfterEveryCommitOfACancel(t *testing.T) {
	for name, undo := range map[string]bool{"plain": false, "compensated": true} {
		t.Run(name, func(t *testing.T) {
			onWeather(t, func(time.Duration) forecast { return cancelled(undo) })
		})
	}
}

func cancelled(undo bool) forecast {
	var s saga
	leaf := durable.Define("leaf", s.step("l1"), body("l2", func(ctx context.Context, _ *note) error { return holds(ctx) }))
	twig := durable.Define("twig", s.step("t1"), s.callsOnly("t2", leaf))
	items := func(name string) *durable.EachNode[note, note] {
		return durable.Each(name, func(*note) []note { return []note{{N: 1}, {N: 2}} }, s.step("i"), body("one", func(ctx context.Context, _ *note) error { return holds(ctx) }))
	}
	w := durable.Define("w", s.step("first"), durable.Parallel("p",
		s.callsOnly("calls", twig),
		body("spawns", func(ctx context.Context, _ *note) error {
			c, err := durable.Spawn(ctx, leaf, note{})
			if err != nil {
				return err
			}
			_, err = durable.Await(ctx, c)
			return err
		}),
		durable.Sequence("here", items("items")),
		durable.Sequence("spread", items("pages").Spread()),
		body("asks", func(ctx context.Context, _ *note) error { _, err := durable.WaitForApproval(ctx, "ok"); return err }).Compensate(s.undo("asks"))))
	ends, opts := "cancelled", []durable.ActOption(nil)
	if undo {
		ends, opts = "compensated", []durable.ActOption{durable.AndCompensate()}
	}
	return &weather[note]{
		flow: w, others: []durable.Definition{leaf, twig}, bodies: &s.tally, width: 10,
		cues: []cue{cancel([]string{"never", "never", "never", "never", "never", "never", "ok"}, opts...)},
		end:  func(_ note, err error) error { return wantEnd(err, durable.Status(ends), "cancelled", "") },
		tree: func(_ *durable.Engine, list []kin) error {
			if undos := len(s.undos()); !undo && undos > 0 {
				return fmt.Errorf("%d were undone", undos)
			}
			// Who was spawned is cancelled and not called back.
			spawned := "leaf cancelled"
			want := []string{"leaf " + ends, spawned, "twig " + ends, "w " + ends, "w#p[spread]/pages " + ends, "w#p[spread]/pages " + ends}
			slices.Sort(want)
			return errors.Join(treeUndone(list), wantStatuses(list, want...))
		},
	}
}
