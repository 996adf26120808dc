package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
)

// take is a step that waits for an event and notes it.
func take(step, event string, opts ...durable.WaitOption) *durable.StepNode[note] {
	return body(step, func(ctx context.Context, n *note) error {
		v, err := durable.WaitForEvent[string](ctx, event, opts...)
		n.Trace = append(n.Trace, v)
		return err
	})
}

func TestEV1_WaitAndWake(t *testing.T) {
	var ran tally
	w := durable.Define("w", mark("a"), body("s", func(ctx context.Context, n *note) error {
		if _, err := do(ctx, &ran, "before", ""); err != nil {
			return err
		}
		v, err := durable.WaitForEvent[point](ctx, "go")
		n.N = v.X
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ran.reset()
		run := durabletest.Start(e.Engine, w, note{})
		if x := run.Settle(); x.Status != durable.Waiting || x.Worker != "" {
			t.Errorf("it is %s with %q", x.Status, x.Worker)
		}
		waits, err := e.OpenWaits(context.Background(), run.ID)
		if err != nil || len(waits) != 1 || waits[0].Kind != "event" || waits[0].Name != "go" || waits[0].Path != "s" {
			t.Errorf("waits %+v, %v", waits, err)
		}
		sent := time.Now()
		run.Event("go", point{X: 7})
		got := run.Done()
		wantTrace(t, got, "a")
		if got.N != 7 || len(ran.all()) != 1 || time.Since(sent) > 250*time.Millisecond {
			t.Errorf("state %+v, %d calls, after %s", got, len(ran.all()), time.Since(sent))
		}
	})
}

func TestEV2_EventsAreKept(t *testing.T) {
	w := durable.Define("w", take("1", "a"), take("2", "b"), take("3", "a"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{Kind: "x"}, durable.At(time.Now().Add(time.Hour)))
		run.Event("kind", "a field of the state")
		run.Event("a", "a1")
		run.Event("a", "a2")
		run.Event("b", "b1")
		e.Restart()
		wantTrace(t, run.Done(), "a1", "b1", "a2")
		if in := run.Look().Inbox; len(in) != 1 || in[0].Name != "kind" {
			t.Errorf("nobody took %+v", in)
		}
	})
}

// EV-3 but for lanes.
func TestEvents_OneMessageOneWait(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		for range 2 {
			v, err := durable.WaitForEvent[string](ctx, "e")
			if err != nil {
				return err
			}
			n.Trace = append(n.Trace, v)
			if err := durable.Sleep(ctx, time.Minute); err != nil {
				return err
			}
		}
		return nil
	}), take("t", "e"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		for _, v := range []string{"1", "2", "3"} {
			if x := run.Settle(); x.Status != durable.Waiting {
				t.Fatalf("before event %s it is %s", v, x.Status)
			}
			run.Event("e", v)
		}
		wantTrace(t, run.Done(), "1", "2", "3")
	})
}

func TestEV4_EventIDs(t *testing.T) {
	w := durable.Define("w", take("1", "e"), take("2", "e"), take("3", "e"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := e.SendEvent(context.Background(), run.ID, "e", "once", durable.EventID("id")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		run.Settle()
		run.Event("e", "again", durable.EventID("id")) // taken long ago, and still known
		run.Event("e", "two")
		run.Event("e", "two")
		wantTrace(t, run.Done(), "once", "two", "two")
	})
}

func TestEV5_NeverSilence(t *testing.T) {
	w := durable.Define("w", mark("a"))
	waits := durable.Define("waits", take("s", "e"))
	back := durable.Define("back", mark("a").Compensate(func(ctx context.Context, _ *note) error {
		_, err := durable.WaitForEvent[string](ctx, "e")
		return err
	}), fail("end"))
	onStores(t, serve(w, waits, back), func(t *testing.T, e env) {
		ctx := context.Background()
		err := e.SendEvent(ctx, durable.ID{1}, "e", 1)
		wantError(t, err, durable.ErrNotFound, `"e"`)
		run := durabletest.Start(e.Engine, w, note{})
		run.Done()
		wantError(t, e.SendEvent(ctx, run.ID, "e", 1), durable.ErrRunDone, "completed")
		full := durabletest.Start(e.Engine, waits, note{})
		full.Settle()
		for i := range 1000 {
			full.Event("other", i)
		}
		wantError(t, e.SendEvent(ctx, full.ID, "other", 1), durable.ErrInboxFull, "1000")
		if in := full.Look().Inbox; len(in) != 1000 || string(in[999].Payload) != "999" {
			t.Errorf("%d messages are listed", len(in))
		}
		undoing := durabletest.Start(e.Engine, back, note{})
		undoing.Settle()
		undoing.Event("other", "kept")
		if x := undoing.Look(); x.Status != durable.Compensating || len(x.Inbox) != 1 {
			t.Errorf("%+v", x)
		}
		undoing.Event("e", "taken")
		undoing.Fails()
		wantError(t, e.SendEvent(ctx, undoing.ID, "e", 1), durable.ErrRunDone, "compensated")
	})
}

// EV-7 but for waits for any and all.
func TestEvents_Timeouts(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		if v, err := durable.WaitForEvent[string](ctx, "a", durable.Timeout(time.Hour), durable.OnTimeout("default")); err != nil || v != "default" {
			return fmt.Errorf("%q, %w", v, err)
		}
		if v, err := durable.WaitForEvent[*int](ctx, "b", durable.Timeout(time.Hour), durable.OnTimeout(nil)); err != nil || v != nil {
			return fmt.Errorf("%v, %w", v, err)
		}
		if v, err := durable.WaitForEvent[bool](ctx, "c", durable.Timeout(0), durable.OnTimeout(false)); err != nil || v {
			return fmt.Errorf("%v, %w", v, err)
		}
		_, err := durable.WaitForEvent[string](ctx, "d", durable.Timeout(time.Hour))
		if !errors.Is(err, durable.ErrTimeout) {
			return fmt.Errorf("want a timeout, got %w", err)
		}
		_, err = durable.WaitForEvent[string](ctx, "e", durable.Timeout(-1))
		if !errors.Is(err, durable.ErrTimeout) {
			return fmt.Errorf("want a timeout at once, got %w", err)
		}
		n.N++
		return durable.Sleep(ctx, time.Hour) // and all of that once more from the record
	}))
	wrong := durable.Define("wrong", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.WaitForEvent[int](ctx, "a", durable.OnTimeout(1))
		if err == nil || !strings.Contains(err.Error(), "OnTimeout without Timeout") {
			return fmt.Errorf("got %w", err)
		}
		_, err = durable.WaitForEvent[int](ctx, "a", durable.Timeout(1), durable.OnTimeout("text"))
		if !errors.Is(err, durable.ErrInvalid) {
			return fmt.Errorf("got %w", err)
		}
		return nil
	}))
	onStores(t, serve(w, wrong), func(t *testing.T, e env) {
		began := time.Now()
		run := durabletest.Start(e.Engine, w, note{})
		e.Sleep(90 * time.Minute)
		e.Restart()
		if got := run.Done(); got.N != 1 {
			t.Errorf("state %+v", got)
		}
		if d := time.Since(began); d < 4*time.Hour || d > 4*time.Hour+5*time.Second {
			t.Errorf("it took %s, want 4 h", d)
		}
		durabletest.Start(e.Engine, wrong, note{}).Done()
	})
}

// A message at the very moment of suspension or timeout: one of the two
// happens, and a message accepted before the timeout was recorded wins.
func TestEV8_MessagesAtTheMoment(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		v, err := durable.WaitForEvent[string](ctx, "e", durable.Timeout(time.Hour), durable.OnTimeout("timeout"))
		n.Kind = v
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		for i := range 50 { // sent while the body is being suspended
			run := durabletest.Start(e.Engine, w, note{N: i})
			run.Event("e", "message")
			if got := run.Done(); got.Kind != "message" {
				t.Fatalf("run %d: %+v", i, got)
			}
		}
		// Sent before the deadline and seen after it: nobody works meanwhile.
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		e.Sleep(time.Hour - time.Millisecond)
		if err := e.Engine.Engine.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		run.Event("e", "message")
		e.Sleep(time.Hour)
		e.Restart()
		if got := run.Done(); got.Kind != "message" {
			t.Errorf("the timeout beat a message that came before it: %+v", got)
		}
		// Sent at the instant of the deadline: either, but what was said is so.
		for i := range 20 {
			run := durabletest.Start(e.Engine, w, note{N: i})
			run.Settle()
			open, err := e.OpenWaits(context.Background(), run.ID)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Until(open[0].Deadline))
			err = e.SendEvent(context.Background(), run.ID, "e", "message")
			got := run.Done()
			left := len(run.Look().Inbox)
			switch {
			case got.Kind == "timeout" && (left == 1) == (err == nil):
			case got.Kind == "message" && err == nil && left == 0:
			default:
				t.Errorf("%+v with error %v and %d messages left", got, err, left)
			}
		}
	})
}

func TestEV9_Payloads(t *testing.T) {
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, l *loose) error {
		v, err := durable.WaitForEvent[any](ctx, "any")
		l.Any = v
		return err
	}))
	typed := durable.Define("typed", body("s", func(ctx context.Context, n *note) error {
		v, err := durable.WaitForEvent[note](ctx, "note")
		if errors.Is(err, durable.ErrPayload) {
			n.Kind = err.Error()
			return nil
		}
		*n = v
		return err
	}))
	inMemory(t, serve(w, typed), func(t *testing.T, e env) {
		ctx := context.Background()
		for _, text := range []string{`"text"`, `12345678901234567890.5`, `null`, `[1,[],{}]`, `{"a":{"b":null}}`, `true`, `""`} {
			run := durabletest.Start(e.Engine, w, loose{Any: "before"})
			run.Event("any", json.RawMessage(text))
			run.Done()
			want := `{"any":` + text + `}`
			if text == "null" {
				want = "{}"
			}
			if got := string(run.Look().State); got != want {
				t.Errorf("sent %s, state %s", text, got)
			}
		}
		null := durabletest.Start(e.Engine, typed, note{Kind: "x"})
		null.Event("note", nil)
		if got := null.Done(); got.Kind != "" {
			t.Errorf("null gives %+v", got)
		}
		bad := durabletest.Start(e.Engine, typed, note{})
		bad.Event("note", map[string]any{"n": "text"})
		if got := bad.Done(); !strings.Contains(got.Kind, "n") || !strings.Contains(got.Kind, "durable_test.note") {
			t.Errorf("the error is %q", got.Kind)
		}
		run := durabletest.Start(e.Engine, w, loose{})
		for _, name := range []string{"", "a\x00b", strings.Repeat("x", 300), "\xff"} {
			wantError(t, e.SendEvent(ctx, run.ID, name, 1), durable.ErrInvalid)
		}
		for _, raw := range []string{"", "{", "1 2", "\x00", strings.Repeat("[", 100000)} {
			if err := e.SendEvent(ctx, run.ID, "any", json.RawMessage(raw)); err == nil {
				t.Errorf("%.20q is accepted", raw)
			}
		}
		run.Event("any", "../../<script>'; drop table --")
		run.Done()
	})
}
