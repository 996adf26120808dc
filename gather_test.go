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

// anyOf is a step that waits for any of some events and notes which.
func anyOf(step string, names []string, opts ...durable.WaitOption) *durable.StepNode[note] {
	return body(step, func(ctx context.Context, n *note) error {
		a, err := durable.WaitForAny(ctx, names, opts...)
		if err != nil {
			return err
		}
		v, err := durable.Payload[string](a)
		n.Trace = append(n.Trace, a.Name+"="+v)
		return err
	})
}

// allOf is a step that waits for all of some events and notes what has come.
func allOf(step string, names []string, opts ...durable.WaitOption) *durable.StepNode[note] {
	return body(step, func(ctx context.Context, n *note) error {
		all, err := durable.WaitForAll(ctx, names, opts...)
		if err != nil && !errors.Is(err, durable.ErrTimeout) {
			return err
		}
		for _, a := range all.Arrived {
			v, err := durable.Payload[string](a)
			if err != nil {
				return err
			}
			n.Trace = append(n.Trace, a.Name+"="+v)
		}
		for _, name := range all.Missing {
			n.Trace = append(n.Trace, "-"+name)
		}
		if v, err := durable.Payload[string](all.Default); err == nil {
			n.Trace = append(n.Trace, "default="+v)
		}
		if err != nil {
			n.Trace = append(n.Trace, "timeout")
		}
		return nil
	})
}

func TestEV6_AnyTakesTheEarliest(t *testing.T) {
	w := durable.Define("w", anyOf("1", []string{"a", "b", "c"}), anyOf("2", []string{"a", "b"}), take("3", "c"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		// Before the run: in the order of acceptance, and what is not taken stays.
		run := durabletest.Start(e.Engine, w, note{}, durable.At(time.Now().Add(time.Hour)))
		run.Event("c", "c1")
		run.Event("b", "b1")
		run.Event("a", "a1")
		run.Event("c", "c2")
		wantTrace(t, run.Done(), "c=c1", "b=b1", "c2")
		if in := run.Look().Inbox; len(in) != 1 || in[0].Name != "a" {
			t.Errorf("left are %+v", in)
		}
		// While it waits.
		run = durabletest.Start(e.Engine, w, note{})
		run.Settle()
		waits, err := e.OpenWaits(context.Background(), run.ID)
		want := []durable.Awaited{{Name: "a"}, {Name: "b"}, {Name: "c"}}
		if err != nil || len(waits) != 1 || waits[0].Kind != "any" || waits[0].Name != "a|b|c" || !slices.Equal(waits[0].Events, want) {
			t.Errorf("waits %+v, %v", waits, err)
		}
		run.Event("other", "wakes nobody")
		e.Restart()
		run.Event("b", "b1")
		run.Settle()
		run.Event("c", "c1")
		run.Event("a", "a1")
		wantTrace(t, run.Done(), "b=b1", "a=a1", "c1")
		if rec := e.record(t, run.ID); len(rec.Messages) != 1 {
			t.Errorf("%d messages are left", len(rec.Messages))
		}
	})
}

func TestEV6_AllTakesOneOfEach(t *testing.T) {
	w := durable.Define("w", allOf("1", []string{"a", "b", "c"}), take("2", "a"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{}, durable.At(time.Now().Add(time.Hour)))
		for _, name := range []string{"c", "a", "a", "b"} { // all before
			run.Event(name, name)
		}
		wantTrace(t, run.Done(), "c=c", "a=a", "b=b", "a")
		run = durabletest.Start(e.Engine, w, note{})
		for i, name := range []string{"b", "b", "c", "c", "a", "a"} {
			run.Event(name, fmt.Sprint(i))
			x := run.Settle()
			if i >= 4 {
				continue
			}
			if x.Status != durable.Waiting {
				t.Fatalf("after %d it is %s", i, x.Status)
			}
			waits, err := e.OpenWaits(context.Background(), run.ID)
			want := []durable.Awaited{{Name: "a"}, {Name: "b", Arrived: true}, {Name: "c", Arrived: i >= 2}}
			if err != nil || len(waits) != 1 || waits[0].Kind != "all" || !slices.Equal(waits[0].Events, want) {
				t.Errorf("after %d: waits %+v, %v", i, waits, err)
			}
			e.Restart() // what has come survives
		}
		wantTrace(t, run.Done(), "b=0", "c=2", "a=4", "5")
		if in := run.Look().Inbox; len(in) != 2 || in[0].Name != "b" || in[1].Name != "c" {
			t.Errorf("left are %+v", in)
		}
	})
}

// A part that has come closes its row: a second message of that name does not
// make the run pending, so nothing is claimed for nothing.
func TestEV6_AllIsNotWokenByWhatItHas(t *testing.T) {
	w := durable.Define("w", allOf("1", []string{"a", "b"}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Event("a", "1")
		run.Settle()
		epoch := e.record(t, run.ID).Epoch
		for range 20 {
			run.Event("a", "more")
			run.Settle()
		}
		e.Sleep(time.Hour)
		if rec := e.record(t, run.ID); rec.Epoch != epoch || rec.Status != durable.Waiting {
			t.Errorf("epoch %d became %d, it is %s", epoch, rec.Epoch, rec.Status)
		}
		run.Event("b", "2")
		wantTrace(t, run.Done(), "a=1", "b=2")
	})
}

func TestEV7_TimeoutsOfAnyAndAll(t *testing.T) {
	ab, hour := []string{"a", "b"}, durable.Timeout(time.Hour)
	w := durable.Define("w",
		anyOf("1", ab, hour, durable.OnTimeout("v")),
		allOf("2", ab, hour),
		allOf("3", ab, hour, durable.OnTimeout("v")),
		anyOf("4", ab, durable.Timeout(0), durable.OnTimeout("at once")),
		allOf("5", ab, durable.Timeout(0)),
		take("6", "a"),
	)
	failing := durable.Define("failing", anyOf("1", ab, hour))
	onStores(t, serve(w, failing), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		e.Sleep(90 * time.Minute) // step 1 is over, step 2 waits for half an hour
		run.Event("b", "b1")
		run.Settle()
		e.Restart()
		e.Sleep(time.Hour)   // step 2 is over
		run.Event("a", "a1") // for step 3
		run.Settle()
		if err := e.Engine.Engine.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		e.Sleep(2 * time.Hour)
		run.Event("c", "nobody's") // accepted after the deadline, no part
		e.Restart()
		run.Settle()
		run.Event("a", "a2")
		wantTrace(t, run.Done(), "=v", "b=b1", "-a", "timeout", "a=a1", "-b", "default=v", "=at once", "-a", "-b", "timeout", "a2")
		err := durabletest.Start(e.Engine, failing, note{}).Fails()
		if err.Cause.Code != "wait_timeout" {
			t.Errorf("it fails with %+v", err.Cause)
		}
		// With Timeout(0) what is there is taken, and used up.
		zero := durabletest.Start(e.Engine, w, note{}, durable.At(time.Now().Add(time.Hour)))
		for i := range 6 {
			zero.Event("a", fmt.Sprint(i))
		}
		for range 3 {
			zero.Event("b", "b")
		}
		wantTrace(t, zero.Done(), "a=0", "a=1", "b=b", "a=2", "b=b", "a=3", "a=4", "b=b", "5")
	})
}

// What came before the timeout was recorded wins, even past the deadline.
func TestEV8_AllAtTheDeadline(t *testing.T) {
	w := durable.Define("w", allOf("1", []string{"a", "b"}, durable.Timeout(time.Hour)))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Event("a", "1")
		run.Settle()
		if err := e.Engine.Engine.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		e.Sleep(2 * time.Hour)
		run.Event("b", "2")
		e.Restart()
		wantTrace(t, run.Done(), "a=1", "b=2")
		for range 20 { // at the very instant
			run := durabletest.Start(e.Engine, w, note{})
			run.Event("b", "1")
			run.Settle()
			open, err := e.OpenWaits(context.Background(), run.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(open) == 0 { // the test was so slow that it has timed out
				wantTrace(t, run.Done(), "b=1", "-a", "timeout")
				continue
			}
			<-time.After(time.Until(open[0].Deadline))
			err = e.SendEvent(context.Background(), run.ID, "a", "2")
			got := strings.Join(run.Done().Trace, " ")
			left := len(run.Look().Inbox)
			switch {
			case got == "b=1 a=2" && err == nil && left == 0:
			case got == "b=1 -a timeout" && (left == 1) == (err == nil):
			default:
				t.Errorf("%s with error %v and %d messages left", got, err, left)
			}
		}
	})
}

// Under a crash after every change nothing is lost and nothing taken twice.
func TestEV6_CrashAfterEveryChange(t *testing.T) {
	onWeather(t, func(unit time.Duration) forecast {
		w := durable.Define("w", allOf("1", []string{"a", "b", "c"}), anyOf("2", []string{"d", "e"}), allOf("3", []string{"f", "g"}, durable.Timeout(unit)))
		early := cue{when: []string{"d"}, do: func(ctx context.Context, e *durable.Engine, top durable.ID, _ ask) error {
			return e.SendEvent(ctx, top, "g", "g", durable.EventID("early"))
		}}
		return &weather[note]{
			flow: w, bodies: &tally{}, cues: []cue{send("b", "b"), send("a", "a"), send("c", "c"), early, send("e", "e")},
			end: func(n note, err error) error {
				if want := "b=b a=a c=c e=e g=g -f timeout"; err != nil || strings.Join(n.Trace, " ") != want {
					return fmt.Errorf("%q, %w, want %s", n.Trace, err, want)
				}
				return nil
			},
		}
	})
}

func TestWaitForSeveral_Refused(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		for _, c := range []struct {
			names []string
			opts  []durable.WaitOption
			says  string
		}{
			{nil, nil, "no names"},
			{[]string{"a", "b", "a"}, nil, `"a" is there twice`},
			{[]string{"a", ""}, nil, "name 2: it is empty"},
			{many, nil, "101 names, the limit is 100"},
			{[]string{"a"}, []durable.WaitOption{durable.OnTimeout(1)}, "without Timeout"},
			{[]string{"a"}, []durable.WaitOption{durable.Correlate("")}, "the key: it is empty"},
			{[]string{"a"}, []durable.WaitOption{durable.Correlate("k", "b")}, `no event "b"`},
		} {
			_, err := durable.WaitForAny(ctx, c.names, c.opts...)
			_, also := durable.WaitForAll(ctx, c.names, c.opts...)
			if err == nil || also == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(also.Error(), c.says) {
				return fmt.Errorf("%v: %w, %w", c.names, err, also)
			}
		}
		if _, err := durable.WaitForInput[int](ctx, "x", durable.Correlate("k")); !errors.Is(err, durable.ErrInvalid) {
			return fmt.Errorf("an input with a key: %w", err)
		}
		if _, err := durable.WaitForAny(context.Background(), []string{"a"}); !errors.Is(err, durable.ErrNotInStep) {
			return fmt.Errorf("outside a step: %w", err)
		}
		// Names that are long together are no mistake.
		_, err := durable.WaitForAll(ctx, []string{strings.Repeat("ü", 100), strings.Repeat("x", 200), "|"}, durable.Timeout(0))
		if !errors.Is(err, durable.ErrTimeout) {
			return fmt.Errorf("long names: %w", err)
		}
		return nil
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		durabletest.Start(e.Engine, w, note{}).Done()
	})
}

func TestEV9_PayloadsOfSeveral(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		all, err := durable.WaitForAll(ctx, []string{"point", "text", "null"})
		if err != nil {
			return err
		}
		p, err := durable.Payload[point](all.Of("point"))
		if err != nil {
			return err
		}
		n.N = p.X
		if _, err := durable.Payload[point](all.Of("text")); !errors.Is(err, durable.ErrPayload) || !strings.Contains(err.Error(), `"text"`) {
			return fmt.Errorf("a text is a point: %w", err)
		}
		if v, err := durable.Payload[*int](all.Of("null")); err != nil || v != nil || string(all.Of("null").Raw()) != "null" {
			return fmt.Errorf("null is %v: %w", v, err)
		}
		if _, err := durable.Payload[any](all.Of("absent")); !errors.Is(err, durable.ErrPayload) {
			return fmt.Errorf("absent: %w", err)
		}
		return nil
	}))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Event("text", "a")
		run.Event("null", nil)
		run.Event("point", point{X: 7})
		if got := run.Done(); got.N != 7 {
			t.Errorf("state %+v", got)
		}
	})
}
