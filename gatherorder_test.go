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
)

// oneWait is the only open wait of a run.
func (e env) oneWait(t *testing.T, id durable.ID) durable.OpenWait {
	t.Helper()
	open, err := e.OpenWaits(context.Background(), id)
	if err != nil || len(open) != 1 {
		t.Fatalf("open are %+v, %v", open, err)
	}
	return open[0]
}

// What has come for a wait stays with it, whatever happens to the wait before the rest
// comes: reminders, escalations, and a deadline that is moved.
func TestEV6_AllKeepsWhatCameBeforeItIsAltered(t *testing.T) {
	ab := []string{"a", "b"}
	w := durable.Define("w", durable.Branch("how", func(n *note) string { return n.Kind }).
		Case("reminder", allOf("1", ab, durable.Timeout(10*time.Hour), durable.Reminder(time.Minute, 2*time.Minute))).
		Case("escalation", allOf("2", ab, durable.Timeout(10*time.Hour), durable.Escalate(time.Minute, "bob"))).
		Case("extension", allOf("3", ab, durable.Timeout(10*time.Hour))))
	onStores(t, serve(w), func(t *testing.T, e env) {
		for how, notes := range map[string]int{"reminder": 2, "escalation": 1, "extension": 1} {
			for _, late := range []bool{false, true} {
				run := durabletest.Start(e.Engine, w, note{Kind: how})
				run.Event("a", "1")
				run.Settle()
				if how == "extension" {
					if err := e.ExtendWait(context.Background(), run.ID, "a|b", 20*time.Hour); err != nil {
						t.Fatal(err)
					}
				}
				e.Sleep(10 * time.Minute)
				o := e.oneWait(t, run.ID)
				if want := []durable.Awaited{{Name: "a", Arrived: true}, {Name: "b"}}; len(o.Notes) != notes || !slices.Equal(o.Events, want) {
					t.Errorf("%s: it is %+v", how, o)
				}
				e.Restart()
				if late {
					e.Sleep(30 * time.Hour)
					wantTrace(t, run.Done(), "a=1", "-b", "timeout")
					continue
				}
				run.Event("b", "2")
				wantTrace(t, run.Done(), "a=1", "b=2")
			}
		}
	})
}

// The same under a crash after every change.
func TestEV6_IN6_AlteredUnderCrashes(t *testing.T) {
	onWeather(t, func(time.Duration) forecast {
		w := durable.Define("w", allOf("1", []string{"a", "b"}))
		extend := cue{when: []string{"a|b"}, do: func(ctx context.Context, e *durable.Engine, top durable.ID, _ ask) error {
			return e.ExtendWait(ctx, top, "a|b", 20*time.Hour)
		}}
		return &weather[note]{
			flow: w, bodies: &tally{}, cues: []cue{send("a", "a"), extend, send("b", "b")},
			end: func(n note, err error) error {
				if err != nil || strings.Join(n.Trace, " ") != "a=a b=b" {
					return fmt.Errorf("%q, %w", n.Trace, err)
				}
				return nil
			},
		}
	})
}

// gathering is a step that waits in one of several ways, and says how that ended.
func gathering() *durable.StepNode[note] {
	ab := []string{"a", "b"}
	return body("s", func(ctx context.Context, n *note) error {
		var err error
		switch n.Kind {
		case "all":
			var all *durable.Arrivals
			if all, err = durable.WaitForAll(ctx, ab, durable.Timeout(time.Hour)); all != nil {
				n.Trace = append(n.Trace, string(all.Of("a").Raw()), strings.Join(all.Missing, " "))
			}
		case "all, or":
			var all *durable.Arrivals
			if all, err = durable.WaitForAll(ctx, ab, durable.Timeout(time.Hour), durable.OnTimeout("v")); all != nil {
				n.Trace = append(n.Trace, string(all.Of("a").Raw()), strings.Join(all.Missing, " ")+string(all.Default.Raw()))
			}
		default:
			opts := []durable.WaitOption{durable.Timeout(time.Hour)}
			if n.Kind == "any, or" {
				opts = append(opts, durable.OnTimeout("v"))
			}
			var a durable.Arrived
			a, err = durable.WaitForAny(ctx, ab, opts...)
			n.Trace = append(n.Trace, a.Name, string(a.Raw()))
		}
		n.Trace = append(n.Trace, ends("", err))
		if errors.Is(err, durable.ErrTimeout) && errors.Is(err, durable.ErrWaitCancelled) {
			return errors.New("it is both")
		}
		return nil
	})
}

// CancelWait of a wait for several is no timeout, and what had come for all is told.
func TestIN6_CancelEndsAWaitForSeveral(t *testing.T) {
	w := durable.Define("w", gathering())
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		for kind, want := range map[string][]string{"any": {"", ""}, "any, or": {"", ""}, "all": {`"1"`, "b"}, "all, or": {`"1"`, "b"}} {
			run := durabletest.Start(e.Engine, w, note{Kind: kind})
			run.Settle()
			if strings.HasPrefix(kind, "all") {
				run.Event("a", "1")
				run.Settle()
			}
			if err := e.CancelWait(ctx, run.ID, "a|b", "no more", durable.By("eve")); err != nil {
				t.Fatal(err)
			}
			wantTrace(t, run.Done(), append(want, "cancelled by eve: no more")...)
			if ws := run.Look().Steps[0].Waits; len(ws) != 1 || ws[0].By != "cancelled" {
				t.Errorf("%s: waits %+v", kind, ws)
			}
		}
	})
}

// One event of a wait for several is no wait: who names it is told which wait it is, and
// nothing happens to that.
func TestIN6_OneOfSeveralIsNoWait(t *testing.T) {
	w := durable.Define("w", gathering())
	single := durable.Define("single", anyOf("s", []string{"a"}))
	both := durable.Define("both", durable.Parallel("p", allOf("1", []string{"a", "b"}), take("2", "a")))
	onStores(t, serve(w, single, both), func(t *testing.T, e env) {
		ctx := context.Background()
		for _, kind := range []string{"any", "all"} {
			run := durabletest.Start(e.Engine, w, note{Kind: kind})
			run.Settle()
			o := e.oneWait(t, run.ID)
			for _, name := range []string{"a", "b", o.ID + "~0", o.ID + "~1"} {
				wantError(t, e.CancelWait(ctx, run.ID, name, "no"), durable.ErrNoSuchWait, `the wait "a|b"`, o.ID)
				wantError(t, e.ExtendWait(ctx, run.ID, name, 9*time.Hour), durable.ErrNoSuchWait, `the wait "a|b"`, o.ID)
			}
			run.Event("a", "1")
			if kind == "all" {
				run.Settle()
				wantError(t, e.CancelWait(ctx, run.ID, "a", "no"), durable.ErrNoSuchWait, `the wait "a|b"`) // also after it has come
				run.Event("b", "2")
				wantTrace(t, run.Done(), `"1"`, "", "value ")
				continue
			}
			wantTrace(t, run.Done(), "a", `"1"`, "value ")
		}
		// A wait for one event has the name of that.
		run := durabletest.Start(e.Engine, single, note{})
		run.Settle()
		if err := e.ExtendWait(ctx, run.ID, "a", time.Hour); err != nil {
			t.Error(err)
		}
		e.Sleep(2 * time.Hour)
		run.Fails()
		// And a name that is that of a wait, too, means the wait.
		mixed := durabletest.Start(e.Engine, both, note{})
		mixed.Settle()
		if err := e.CancelWait(ctx, mixed.ID, "a", "no"); err != nil {
			t.Error(err)
		}
		mixed.Fails()
	})
}

// Each event of a wait may have a key of its own.
func TestEV6_EachEventWithItsKey(t *testing.T) {
	keys := []durable.WaitOption{durable.Correlate("k1", "x"), durable.Correlate("k2", "y", "z")}
	w := durable.Define("w", anyOf("1", []string{"x", "y", "own"}, keys[0], durable.Correlate("k2", "y")), allOf("2", []string{"x", "y", "z", "own"}, keys...))
	onStores(t, serve(w), func(t *testing.T, e env) {
		publish := func(name, key string, got int) {
			t.Helper()
			p, err := e.Publish(context.Background(), name, key, name+key)
			if err != nil || p.Got != got {
				t.Errorf("%s for %s: %+v, %v", name, key, p, err)
			}
		}
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		want := []durable.Awaited{{Name: "x", Key: "k1"}, {Name: "y", Key: "k2"}, {Name: "own"}}
		if o := e.oneWait(t, run.ID); !slices.Equal(o.Events, want) {
			t.Errorf("it waits for %+v", o.Events)
		}
		publish("x", "k2", 0)
		publish("y", "k1", 0)
		publish("x", "k1", 1)
		run.Settle()
		publish("z", "k2", 1)
		publish("y", "k2", 1)
		run.Settle()
		e.Restart()
		run.Event("own", "o")
		publish("x", "k1", 1)
		wantTrace(t, run.Done(), "x=xk1", "z=zk2", "y=yk2", "own=o", "x=xk1")
	})
}
