package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
)

// paid is a step that waits for an event that is published for the run's kind.
func paid(step string, opts ...durable.WaitOption) *durable.StepNode[note] {
	return body(step, func(ctx context.Context, n *note) error {
		v, err := durable.WaitForEvent[string](ctx, "paid", append(opts, durable.Correlate(n.Kind))...)
		n.Trace = append(n.Trace, v)
		return err
	})
}

// published publishes and checks what became of it.
func (e env) published(t *testing.T, key string, payload any, want durable.Published, opts ...durable.ActOption) {
	t.Helper()
	got, err := e.Publish(context.Background(), "paid", key, payload, opts...)
	if err != nil || got != want {
		t.Errorf("published for %s: %+v, %v, want %+v", key, got, err, want)
	}
}

func TestEV3_PublishReachesWhoWaits(t *testing.T) {
	w := durable.Define("w", paid("1"), paid("2"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		a, b, other := durabletest.Start(e.Engine, w, note{Kind: "k"}), durabletest.Start(e.Engine, w, note{Kind: "k"}), durabletest.Start(e.Engine, w, note{Kind: "other"})
		a.Settle()
		b.Settle()
		other.Settle()
		waits, err := e.OpenWaits(context.Background(), a.ID)
		if err != nil || len(waits) != 1 || waits[0].Kind != "event" || waits[0].Name != "paid" || waits[0].Key != "k" {
			t.Errorf("waits %+v, %v", waits, err)
		}
		a.Event("paid", "sent to the run: not for this wait")
		sent := time.Now()
		e.published(t, "k", "1", durable.Published{Got: 2})
		a.Settle()
		b.Settle()
		e.Restart()
		e.published(t, "k", "2", durable.Published{Got: 2})
		wantTrace(t, a.Done(), "1", "2")
		wantTrace(t, b.Done(), "1", "2")
		if d := time.Since(sent); d > time.Second {
			t.Errorf("it took %s", d)
		}
		if x := other.Look(); x.Status != durable.Waiting || len(x.Inbox) != 0 {
			t.Errorf("the other is %s with %+v", x.Status, x.Inbox)
		}
		if in := a.Look().Inbox; len(in) != 1 || in[0].Key != "" {
			t.Errorf("left are %+v", in)
		}
	})
}

func TestEV2_PublishedBeforeTheWait(t *testing.T) {
	w := durable.Define("w", paid("1"))
	at := durable.Define("at", paid("1", durable.Timeout(0), durable.OnTimeout("nothing")))
	onStores(t, serve(w, at), func(t *testing.T, e env) {
		e.published(t, "k", "1", durable.Published{Kept: true})
		e.published(t, "k", "2", durable.Published{Kept: true})
		e.Restart()
		began := time.Now()
		wantTrace(t, durabletest.Start(e.Engine, w, note{Kind: "k"}).Done(), "1")
		wantTrace(t, durabletest.Start(e.Engine, at, note{Kind: "k"}).Done(), "2") // what is there, is there
		wantTrace(t, durabletest.Start(e.Engine, at, note{Kind: "k"}).Done(), "nothing")
		if d := time.Since(began); d > time.Second {
			t.Errorf("it took %s", d)
		}
		// After its time nobody gets it.
		e.published(t, "k", "late", durable.Published{Kept: true}, durable.Keep(time.Hour))
		e.Sleep(time.Hour + time.Minute)
		run := durabletest.Start(e.Engine, w, note{Kind: "k"})
		run.Settle()
		e.published(t, "k", "3", durable.Published{Got: 1})
		wantTrace(t, run.Done(), "3")
		e.published(t, "k", "for a day", durable.Published{Kept: true})
		e.Sleep(24*time.Hour - time.Minute)
		wantTrace(t, durabletest.Start(e.Engine, w, note{Kind: "k"}).Done(), "for a day")
	})
}

func TestEV4_PublishedOnce(t *testing.T) {
	w := durable.Define("w", paid("1"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{Kind: "k"})
		run.Settle()
		var wg sync.WaitGroup
		var got, again atomic.Int64
		for range 100 {
			wg.Go(func() {
				p, err := e.Publish(context.Background(), "paid", "k", "once", durable.EventID("id"))
				if err != nil || p.Got != 1 || p.Kept {
					t.Errorf("%+v, %v", p, err)
				}
				if p.Duplicate {
					again.Add(1)
				}
				got.Add(1)
			})
		}
		wg.Wait()
		if again.Load() != got.Load()-1 {
			t.Errorf("%d of %d were known", again.Load(), got.Load())
		}
		wantTrace(t, run.Done(), "once")
		e.Restart()
		e.published(t, "k", "once", durable.Published{Got: 1, Duplicate: true}, durable.EventID("id")) // delivered long ago
		late := durabletest.Start(e.Engine, w, note{Kind: "k"})
		if x := late.Settle(); x.Status != durable.Waiting {
			t.Errorf("it came again: %s", x.Status)
		}
		e.published(t, "k2", "other key", durable.Published{Kept: true}, durable.EventID("id"))
		e.published(t, "k2", "other key", durable.Published{Kept: true, Duplicate: true}, durable.EventID("id"))
		e.Sleep(25 * time.Hour)
		e.published(t, "k", "again", durable.Published{Got: 1}, durable.EventID("id"))
		wantTrace(t, late.Done(), "again")
	})
}

// Waits for several events may have published ones among them.
func TestEV6_PublishedAmongOthers(t *testing.T) {
	names := []string{"paid", "cancelled"}
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		for _, opts := range [][]durable.WaitOption{{durable.Correlate(n.Kind, "paid")}, {durable.Correlate(n.Kind, "paid"), durable.Timeout(0)}} {
			a, err := durable.WaitForAny(ctx, names, opts...)
			n.Trace = append(n.Trace, a.Name+":"+a.Key+string(a.Raw()))
			if err != nil && !errors.Is(err, durable.ErrTimeout) {
				return err
			}
		}
		all, err := durable.WaitForAll(ctx, []string{"paid", "packed"}, durable.Correlate(n.Kind))
		if err == nil {
			n.Trace = append(n.Trace, all.Arrived[0].Name, all.Arrived[1].Name)
		}
		return err
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{Kind: "k"})
		run.Settle()
		waits, err := e.OpenWaits(context.Background(), run.ID)
		want := []durable.Awaited{{Name: "paid", Key: "k"}, {Name: "cancelled"}}
		if err != nil || len(waits) != 1 || !slices.Equal(waits[0].Events, want) {
			t.Errorf("waits %+v, %v", waits, err)
		}
		run.Event("cancelled", 1)
		run.Settle()
		if _, err := e.Publish(context.Background(), "packed", "k", 2); err != nil {
			t.Fatal(err)
		}
		run.Settle()
		e.Restart()
		e.published(t, "k", 3, durable.Published{Got: 1})
		wantTrace(t, run.Done(), "cancelled:1", ":", "packed", "paid")
		// All of it before: each wait takes what is there.
		e.published(t, "m", 1, durable.Published{Kept: true})
		e.published(t, "m", 2, durable.Published{Kept: true})
		e.published(t, "m", 3, durable.Published{Kept: true})
		if _, err := e.Publish(context.Background(), "packed", "m", 4); err != nil {
			t.Fatal(err)
		}
		wantTrace(t, durabletest.Start(e.Engine, w, note{Kind: "m"}).Done(), "paid:m1", "paid:m2", "paid", "packed")
	})
}

// Two of the events of a wait for any are published before it is taken up again: the
// first ends it, and the other is not lost.
func TestEV6_PublishedOthersStay(t *testing.T) {
	any := func(step string) *durable.StepNode[note] {
		return anyOf(step, []string{"a", "b"}, durable.Correlate("k"))
	}
	w := durable.Define("w", any("1"), any("2"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		run := durabletest.Start(e.Engine, w, note{})
		run.Settle()
		if err := e.Engine.Engine.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"b", "a"} {
			if p, err := e.Publish(context.Background(), name, "k", name); err != nil || p.Got != 1 {
				t.Fatalf("%+v, %v", p, err)
			}
		}
		e.Restart()
		wantTrace(t, run.Done(), "b=b", "a=a")
	})
}

// At the moment of suspension, and of the timeout.
func TestEV8_PublishedAtTheMoment(t *testing.T) {
	w := durable.Define("w", paid("1", durable.Timeout(time.Hour), durable.OnTimeout("timeout")))
	onStores(t, serve(w), func(t *testing.T, e env) {
		for i := range 50 {
			key := fmt.Sprint("k", i)
			run := durabletest.Start(e.Engine, w, note{Kind: key})
			if _, err := e.Publish(context.Background(), "paid", key, "message"); err != nil {
				t.Fatal(err)
			}
			wantTrace(t, run.Done(), "message")
		}
		for i := range 20 {
			key := fmt.Sprint("late", i)
			run := durabletest.Start(e.Engine, w, note{Kind: key})
			run.Settle()
			open, err := e.OpenWaits(context.Background(), run.ID)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Until(open[0].Deadline))
			p, err := e.Publish(context.Background(), "paid", key, "message")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(run.Done().Trace, " "); got != map[bool]string{true: "timeout", false: "message"}[p.Kept] {
				t.Errorf("%+v, and the run says %q", p, got)
			}
		}
	})
}

// Whatever dies when, each run gets exactly its event.
func TestEV3_PublishUnderCrashes(t *testing.T) {
	w := durable.Define("w", paid("1"), paid("2"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		for n := range 12 {
			key := fmt.Sprint("k", n)
			run := durabletest.Start(e.Engine, w, note{Kind: key})
			e.CrashAfter(n + 1)
			for i := range 2 {
				for { // as a careful caller does, with an id
					_, err := e.Publish(context.Background(), "paid", key, fmt.Sprint(i), durable.EventID(fmt.Sprint(i)))
					if err == nil {
						break
					}
					if !errors.Is(err, durable.ErrUnknown) {
						t.Fatal(err)
					}
					e.Sleep(time.Minute)
				}
			}
			wantTrace(t, run.Done(), "0", "1")
		}
	})
}

// One and several that wait for what is published, before it is and after.
func TestEV3_EV7_PublishUnderEveryCrash(t *testing.T) {
	onWeather(t, func(time.Duration) forecast {
		w := durable.Define("w", paid("1"), paid("2"), anyOf("3", []string{"x", "y"}, durable.Correlate("k")), allOf("4", []string{"w", "z"}, durable.Correlate("k")))
		tell := func(when, name, text string) cue {
			c := cue{do: func(ctx context.Context, e *durable.Engine, top durable.ID, _ ask) error {
				_, err := e.Publish(ctx, name, "k", text, durable.EventID(top.String()+text))
				return err
			}}
			if when != "" {
				c.when = []string{when}
			}
			return c
		}
		return &weather[note]{
			flow: w, in: note{Kind: "k"}, bodies: &tally{},
			cues: []cue{tell("", "paid", "one"), tell("paid", "paid", "two"), tell("y", "z", "early"), tell("y", "y", "y"), tell("w", "w", "late")},
			end: func(n note, err error) error {
				if got := strings.Join(n.Trace, " "); err != nil || got != "one two y=y z=early w=late" {
					return fmt.Errorf("%q, %w", n.Trace, err)
				}
				return nil
			},
		}
	})
}

// lossy loses the answers of some publications.
type lossy struct {
	store.Store
	opener store.Opener
	every  int64
	asked  *atomic.Int64
}

func (l lossy) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := l.opener.OpenStore(ctx)
	l.Store = s
	return l, err
}

func (l lossy) Publish(ctx context.Context, p store.Publication) (store.Published, error) {
	res, err := l.Store.Publish(ctx, p)
	if l.asked.Add(1)%l.every != 0 {
		return store.Published{}, errors.New("the answer is lost")
	}
	return res, err
}

// A lost answer is asked for again and changes nothing: also without an EventID.
func TestEV4_LostAnswersOfPublish(t *testing.T) {
	w := durable.Define("w", paid("1"), paid("2"))
	onStores(t, serve(w), func(t *testing.T, e env) {
		var asked atomic.Int64
		other, err := durable.Open(context.Background(), lossy{opener: e.opener, every: 3, asked: &asked}, durable.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		run := durabletest.Start(e.Engine, w, note{Kind: "k"})
		run.Settle()
		for i, want := range []durable.Published{{Got: 1, Duplicate: true}, {Got: 1, Duplicate: true}} {
			if got, err := other.Publish(context.Background(), "paid", "k", fmt.Sprint(i)); err != nil || got != want {
				t.Errorf("%+v, %v", got, err)
			}
			run.Settle()
		}
		wantTrace(t, run.Done(), "0", "1")
		if n := asked.Load(); n != 6 {
			t.Errorf("asked %d times", n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err := other.Publish(ctx, "paid", "k", 1); !errors.Is(err, durable.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody knows, and yet: %v", err)
		}
	})
}

func TestEV9_PublishRefuses(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.WaitForEvent[string](ctx, "paid", durable.Correlate("a\x00b"))
		if !errors.Is(err, durable.ErrInvalid) {
			return fmt.Errorf("a hostile key: %w", err)
		}
		v, err := durable.WaitForEvent[point](ctx, "paid", durable.Correlate(n.Kind))
		if !errors.Is(err, durable.ErrPayload) {
			return fmt.Errorf("%+v, %w", v, err)
		}
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		ctx := context.Background()
		for _, bad := range []string{"", "a\x00b", strings.Repeat("x", 201), "\xff"} {
			_, err := e.Publish(ctx, bad, "k", 1)
			wantError(t, err, durable.ErrInvalid, "the name")
			_, err = e.Publish(ctx, "paid", bad, 1)
			wantError(t, err, durable.ErrInvalid, "the key")
		}
		for text, opt := range map[string]durable.ActOption{
			"Keep(0s)": durable.Keep(0), "Keep(59s)": durable.Keep(59 * time.Second), "Keep(9000h0m0s)": durable.Keep(9000 * time.Hour),
			"the event id": durable.EventID("\n"), "By": durable.By("ada"), "KeepPaused": durable.KeepPaused(),
		} {
			_, err := e.Publish(ctx, "paid", "k", 1, opt)
			wantError(t, err, durable.ErrInvalid, text)
		}
		_, err := e.Publish(ctx, "paid", "k", json.RawMessage("{"))
		wantError(t, err, durable.ErrInvalid, "JSON")
		_, err = e.Publish(ctx, "paid", "k", strings.Repeat("x", 2<<20))
		wantError(t, err, durable.ErrTooLarge)
		run := durabletest.Start(e.Engine, w, note{Kind: "k"})
		run.Settle()
		for _, err := range []error{
			e.SendEvent(ctx, run.ID, "e", 1, durable.Keep(time.Hour)),
			e.Cancel(ctx, run.ID, "no", durable.Keep(time.Hour)),
			e.PauseQueue(ctx, "default", durable.Keep(time.Hour)),
		} {
			wantError(t, err, durable.ErrInvalid, "Keep is for Publish")
		}
		e.published(t, "k", map[string]any{"x": "text"}, durable.Published{Got: 1})
		run.Done()
	})
}

// No name and key are taken for another pair, whatever is in them.
func TestEV9_TopicsDoNotCollide(t *testing.T) {
	w := durable.Define("w", body("s", func(ctx context.Context, n *note) error {
		_, err := durable.WaitForEvent[string](ctx, n.Trace[0], durable.Correlate(n.Trace[1]))
		return err
	}))
	pairs := [][2]string{{"a", "b:c"}, {"a:b", "c"}, {"ab", "c"}, {"a", "bc"}, {"1:a", "b"}, {"1", ":ab"}, {"%", "_"}, {"a%", "b"}, {"a'--", "ü"}, {"A", "bc"}}
	onStores(t, serve(w), func(t *testing.T, e env) {
		for _, pair := range pairs {
			durabletest.Start(e.Engine, w, note{Trace: pair[:]}).Settle()
		}
		for _, pair := range pairs {
			p, err := e.Publish(context.Background(), pair[0], pair[1], "x")
			if err != nil || p.Got != 1 {
				t.Errorf("%q: %+v, %v", pair, p, err)
			}
		}
	})
}
