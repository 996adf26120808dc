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
	"unicode/utf8"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/store"
)

// poem has characters of one to four bytes.
func poem(n int) string { return strings.Repeat("to be, ä ö ü, 你好, 😀 … ", n) }

// recite is a workflow whose body streams a text in pieces that end anywhere, and records it.
func recite(whole string, every time.Duration, size int, bodies *tally) *durable.Workflow[note] {
	return durable.Define("w", body("say", func(ctx context.Context, n *note) (err error) {
		bodies.add("say")
		n.Kind, err = durable.Do(ctx, "say", func(ctx context.Context) (string, error) {
			s, err := durable.Stream(ctx, "answer")
			if err != nil {
				return "", err
			}
			for rest := whole; rest != ""; rest = rest[min(size, len(rest)):] {
				if _, err := s.Write([]byte(rest[:min(size, len(rest))])); err != nil {
					return "", err
				}
				if err := rests(ctx, every); err != nil {
					return "", err
				}
			}
			return whole, s.End(whole)
		})
		return err
	}), body("after", func(ctx context.Context, n *note) error {
		if n.N == 0 {
			return nil
		}
		_, err := durable.WaitForEvent[int](ctx, "go")
		return err
	}))
}

func rests(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// viewer is somebody who reads a stream, and comes back with what he had.
type viewer struct {
	t      *testing.T
	after  int64
	text   string
	events []durable.StreamEvent
}

// see takes an event as a page in a browser would.
func (v *viewer) see(x durable.StreamEvent) {
	v.t.Helper()
	if x.Index <= v.after {
		v.t.Errorf("event %d comes after %d", x.Index, v.after)
	}
	if !utf8.ValidString(x.Text) {
		v.t.Errorf("the text of event %d is cut within a character", x.Index)
	}
	v.after = x.Index
	v.events = append(v.events, x)
	switch x.Kind {
	case durable.StreamText:
		v.text += x.Text
	case durable.StreamReset:
		v.text = ""
	case durable.StreamEnd:
		if x.Status == "" {
			v.text = x.Text
		}
	}
}

// read sees up to that many events, or all until the end. It reports whether that came.
func (v *viewer) read(ctx context.Context, e *durable.Engine, id durable.ID, limit int) (ended bool, err error) {
	v.t.Helper()
	n := 0
	for x, err := range e.Stream(ctx, id, "answer", v.after) {
		if err != nil {
			return false, err
		}
		v.see(x)
		if n++; n == limit || x.Kind == durable.StreamEnd {
			return x.Kind == durable.StreamEnd, nil
		}
	}
	return true, nil
}

func (v *viewer) kinds() (list []durable.StreamKind) {
	for _, x := range v.events {
		if n := len(list); n == 0 || list[n-1] != x.Kind || x.Kind != durable.StreamText {
			list = append(list, x.Kind)
		}
	}
	return list
}

func TestLS1_LS4_ReadersGetAllOnce(t *testing.T) {
	whole := poem(200)
	onStores(t, serve(recite(whole, 30*time.Millisecond, 97, new(tally))), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, recite(whole, 0, 1, new(tally)), note{N: 1})
		var all sync.WaitGroup
		first := &viewer{t: t}
		for range 5 { // read to the end in one go, and come back after each 7 events
			all.Go(func() {
				v := &viewer{t: t}
				for ended := false; !ended; {
					var err error
					if ended, err = v.read(context.Background(), e.Engine.Engine, r.ID, 7); err != nil {
						t.Error(err)
						return
					}
				}
				if v.text != whole {
					t.Errorf("who comes back ends with %d bytes, want %d", len(v.text), len(whole))
				}
			})
		}
		if ended, err := first.read(context.Background(), e.Engine.Engine, r.ID, 0); err != nil || !ended {
			t.Fatalf("ended: %t, %v", ended, err)
		}
		all.Wait()
		last := first.events[len(first.events)-1]
		if last.Text != whole || last.Status != "" || last.Error != nil || last.Attempt != 1 {
			t.Errorf("the end has %d bytes, %q, attempt %d", len(last.Text), last.Status, last.Attempt)
		}
		texts := 0
		for _, x := range first.events[:len(first.events)-1] {
			texts += len(x.Text)
		}
		if took := 30 * time.Millisecond * time.Duration(len(whole)/97+1); len(first.events) > int(took/(100*time.Millisecond))+3 || len(first.events) < 5 || texts < len(whole)-500 {
			t.Errorf("%d events in %s, with %d of %d bytes before the end", len(first.events), took, texts, len(whole))
		}
		late := &viewer{t: t}
		if ended, err := late.read(context.Background(), e.Engine.Engine, r.ID, 0); err != nil || !ended || len(late.events) != 1 || late.text != whole {
			t.Errorf("who comes late sees %d events and %d bytes, %v", len(late.events), len(late.text), err)
		}
		for i := range first.events { // who comes back now gets the end, and then nothing
			v := &viewer{t: t, after: first.events[i].Index}
			if i == len(first.events)-1 {
				break
			}
			if _, err := v.read(context.Background(), e.Engine.Engine, r.ID, 0); err != nil || len(v.events) != 1 || v.text != whole {
				t.Errorf("who comes back after %d sees %d events, %v", v.after, len(v.events), err)
			}
		}
		r.Event("go", 1)
		r.Done()
		for x, err := range e.Stream(context.Background(), r.ID, "answer", last.Index) {
			t.Errorf("after the end comes %+v, %v", x, err)
		}
	})
}

// The journal is the same with a stream and without, and so is the number of writes that have a row.
func TestLS6_NoRowInTheJournal(t *testing.T) {
	say := func(streams bool) *durable.Workflow[note] {
		return durable.Define(fmt.Sprint("streams_", streams), body("say", func(ctx context.Context, n *note) (err error) {
			n.Kind, err = durable.Do(ctx, "say", func(ctx context.Context) (string, error) {
				if !streams {
					return "all", rests(ctx, time.Second)
				}
				s, err := durable.Stream(ctx, "answer")
				for range 10 {
					fmt.Fprint(s, "more ")
					err = errors.Join(err, rests(ctx, 100*time.Millisecond))
				}
				return "all", errors.Join(err, s.End("all"))
			})
			return err
		}))
	}
	with, without := say(true), say(false)
	inMemory(t, serve(with, without), func(t *testing.T, e env) {
		a, b := durabletest.Start(e.Engine, with, note{}), durabletest.Start(e.Engine, without, note{})
		a.Done()
		b.Done()
		if x, y := e.record(t, a.ID), e.record(t, b.ID); len(x.Rows) != len(y.Rows) || !slices.Equal(story(e.facts(t, a.ID)), story(e.facts(t, b.ID))) {
			t.Errorf("%d rows with a stream, %d without", len(x.Rows), len(y.Rows))
		}
	})
}

// Whatever dies when: readers on another engine see a reset, and end with what is recorded.
func TestLS2_LS3_EveryCrash(t *testing.T) {
	whole := poem(12)
	bodies := new(tally)
	w := recite(whole, 60*time.Millisecond, 50, bodies)
	onStores(t, serve(w), func(t *testing.T, e env) {
		reader := openOnly(t, e)
		resets := 0
		listen := func(r *durabletest.Started[note]) {
			var all sync.WaitGroup
			steady, hasty := &viewer{t: t}, &viewer{t: t}
			all.Go(func() {
				if ended, err := steady.read(context.Background(), reader, r.ID, 0); err != nil || !ended {
					t.Errorf("ended: %t, %v", ended, err)
				}
			})
			all.Go(func() {
				for ended, err := false, error(nil); !ended && err == nil; {
					if ended, err = hasty.read(context.Background(), reader, r.ID, 1); err != nil {
						t.Error(err)
					}
				}
			})
			r.Settle()
			all.Wait()
			for _, v := range []*viewer{steady, hasty} {
				if v.text != whole {
					t.Errorf("a reader ends with %q after %v", v.text, v.kinds())
				}
				resets += strings.Count(fmt.Sprint(v.kinds()), "reset")
			}
		}
		calm := 0
		for n, killed := 0, true; killed && !t.Failed(); n++ { // first in calm weather
			bodies.reset()
			before := e.Crashes()
			e.CrashAfter(n)
			r := durabletest.Start(e.Engine, w, note{}, durable.Key(fmt.Sprint(n)))
			listen(r)
			if _, err := r.End(); err != nil {
				t.Errorf("killed after change %d: %v", n, err)
			}
			kills := e.Crashes() - before
			switch begun := len(bodies.all()); {
			case n == 0:
				calm = begun
			case begun < calm || begun > calm+kills:
				t.Errorf("killed %d times, after change %d: %d bodies, and %d in calm weather: %v", kills, n, begun, calm, bodies.all())
			}
			killed = kills > 0 || n == 0
		}
		if resets < 3 {
			t.Errorf("%d resets", resets)
		}
	})
}

// openOnly is an engine that executes nothing.
func openOnly(t *testing.T, e env) *durable.Engine {
	t.Helper()
	other, err := durable.Open(context.Background(), e.opener, durable.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	return other
}

func TestLS5_HowTheRunEnded(t *testing.T) {
	w := durable.Define("w", body("say", func(ctx context.Context, n *note) error {
		s, err := durable.Stream(ctx, "answer")
		if err != nil {
			return err
		}
		if _, err := s.Write([]byte("half ")); err != nil {
			return err
		}
		if err := rests(ctx, 10*time.Millisecond); err != nil {
			return err
		}
		if _, err := s.Write([]byte("a text")); err != nil {
			return err
		}
		switch n.Kind {
		case "fail":
			return durable.Permanent(errors.New("no more"))
		case "wait":
			_, err := durable.WaitForEvent[int](ctx, "never")
			return err
		}
		return nil
	}))
	onStores(t, serve(w), func(t *testing.T, e env) {
		reader := openOnly(t, e)
		for kind, want := range map[string]durable.Status{"done": durable.Completed, "fail": durable.Failed, "wait": durable.Cancelled} {
			r := durabletest.Start(e.Engine, w, note{Kind: kind})
			var all sync.WaitGroup
			views := make([]*viewer, 4)
			for i := range views {
				views[i] = &viewer{t: t}
				of := []*durable.Engine{reader, e.Engine.Engine}[i%2]
				all.Go(func() {
					if ended, err := views[i].read(context.Background(), of, r.ID, 0); err != nil || !ended {
						t.Errorf("%s: %v", kind, err)
					}
				})
			}
			r.Settle()
			if kind == "wait" {
				if err := e.Cancel(context.Background(), r.ID, "enough"); err != nil {
					t.Fatal(err)
				}
			}
			all.Wait()
			late := &viewer{t: t}
			if _, err := late.read(context.Background(), reader, r.ID, 0); err != nil {
				t.Error(err)
			}
			for _, v := range append(views, late) {
				last := v.events[len(v.events)-1]
				if v.text != "half a text" || last.Kind != durable.StreamEnd || last.Status != want || last.Text != "" || (last.Error == nil) != (want == durable.Completed) {
					t.Errorf("%s: %q, then %+v", kind, v.text, last)
				}
				for x, err := range reader.Stream(context.Background(), r.ID, "answer", last.Index) {
					t.Errorf("%s: after the end comes %+v, %v", kind, x, err)
				}
			}
			for x, err := range reader.Stream(context.Background(), r.ID, "nobody", 0) {
				if err != nil || x.Kind != durable.StreamEnd || x.Status != want {
					t.Errorf("%s: a stream that nobody opened: %+v, %v", kind, x, err)
				}
			}
		}
	})
}

// A name that is used again begins again: who had the end sees the next beginning.
func TestLS2_TheSameNameAgain(t *testing.T) {
	say := func(n int) durable.Node[note] {
		return body(fmt.Sprint("say", n), func(ctx context.Context, _ *note) error {
			s, err := durable.Stream(ctx, "answer")
			if err != nil {
				return err
			}
			fmt.Fprint(s, "text ", n)
			if err := rests(ctx, time.Second); err != nil {
				return err
			}
			return s.End(fmt.Sprint("end ", n))
		})
	}
	wait := func(name string) durable.Node[note] {
		return body(name, func(ctx context.Context, _ *note) error {
			_, err := durable.WaitForEvent[int](ctx, name)
			return err
		})
	}
	w := durable.Define("w", say(1), wait("one"), say(2), wait("two"))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{})
		v := &viewer{t: t}
		if _, err := v.read(context.Background(), e.Engine.Engine, r.ID, 0); err != nil || v.text != "end 1" {
			t.Fatalf("%q, %v", v.text, err)
		}
		r.Settle()
		again := make(chan error, 1)
		go func() {
			_, err := v.read(context.Background(), e.Engine.Engine, r.ID, 0)
			again <- err
		}()
		synctest.Wait()
		r.Event("one", 1)
		if err := <-again; err != nil || v.text != "end 2" {
			t.Errorf("%q, %v", v.text, err)
		}
		want := []durable.StreamKind{"text", "end", "reset", "text", "end"}
		if !slices.Equal(v.kinds(), want) || v.events[len(v.events)-1].Attempt != 2 {
			t.Errorf("%v, want %v", v.kinds(), want)
		}
		r.Event("two", 1)
		r.Done()
	})
}

func TestLS6_Limits(t *testing.T) {
	var said []string
	says := func(what string, err error, is error) {
		if !errors.Is(err, is) || err == nil && is != nil {
			said = append(said, fmt.Sprintf("%s: %v, want %v", what, err, is))
		}
	}
	w := durable.Define("w", body("say", func(ctx context.Context, n *note) error {
		_, err := durable.Stream(ctx, "")
		says("no name", err, durable.ErrInvalid)
		_, err = durable.Stream(ctx, strings.Repeat("x", 201))
		says("a long name", err, durable.ErrInvalid)
		s, err := durable.Stream(ctx, strings.Repeat("x", 200))
		says("a name of 200 bytes", err, nil)
		big := strings.Repeat("x", 1<<20)
		for range 16 {
			_, err = s.Write([]byte(big))
			says("16 MiB", err, nil)
		}
		_, err = s.Write([]byte("x"))
		says("more than 16 MiB", err, durable.ErrTooLarge)
		says("an end of more than 16 MiB", s.End(strings.Repeat(big, 16)+"x"), durable.ErrTooLarge)
		says("the end", s.End("all"), nil)
		says("the end again", s.End("all"), durable.ErrInvalid)
		_, err = s.Write([]byte("x"))
		says("after the end", err, durable.ErrInvalid)

		a, err := durable.Stream(ctx, "a")
		says("open", err, nil)
		b, err := durable.Stream(ctx, "a")
		says("open again", err, nil)
		_, err = a.Write([]byte("x"))
		says("the first writer", err, durable.ErrInvalid)
		for i := range 20_000 {
			if _, err = b.Write([]byte("x")); err != nil {
				says(fmt.Sprint("chunk ", i), err, nil)
				break
			}
			if err := rests(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		}
		_, err = b.Write([]byte("x"))
		says("20,001 chunks", err, durable.ErrTooLarge)
		says("the end of many chunks", b.End("all"), nil)
		for i := range 998 {
			_, err := durable.Stream(ctx, fmt.Sprint("name ", i))
			says(fmt.Sprint("stream ", i), err, nil)
		}
		_, err = durable.Stream(ctx, "one too many")
		says("1,001 streams", err, durable.ErrTooLarge)
		if n.Kind == "wait" {
			_, err = durable.Stream(ctx, "a")
			says("a name again", err, nil)
		}
		return nil
	}).Timeout(-1))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		durabletest.Start(e.Engine, w, note{Kind: "wait"}).Done()
		if len(said) > 0 {
			t.Error(strings.Join(said, "\n"))
		}
		for name, after := range map[string]int64{"": 0, "x": -1} {
			for _, err := range e.Stream(context.Background(), durable.ID{}, name, after) {
				if !errors.Is(err, durable.ErrInvalid) {
					t.Errorf("%q after %d: %v", name, after, err)
				}
			}
		}
		for _, err := range e.Stream(context.Background(), durable.ID{}, "x", 0) {
			if !errors.Is(err, durable.ErrNotFound) {
				t.Errorf("a run that is not there: %v", err)
			}
		}
		if _, err := durable.Stream(context.Background(), "x"); !errors.Is(err, durable.ErrNotInStep) {
			t.Errorf("outside of a step: %v", err)
		}
	})
}

// Lanes that write one stream are told; each with its own name is fine.
func TestLS6_OneWriter(t *testing.T) {
	lane := func(name string) durable.Node[note] {
		return body(name, func(ctx context.Context, _ *note) error {
			own, err := durable.Stream(ctx, name)
			if err != nil {
				return err
			}
			fmt.Fprint(own, name)
			s, err := durable.Stream(ctx, "both")
			if err == nil {
				defer fmt.Fprint(s, "mine")
			} else if !errors.Is(err, durable.ErrInvalid) {
				return err
			}
			return errors.Join(rests(ctx, time.Second), own.End(fmt.Sprint(name, " ", err)))
		})
	}
	w := durable.Define("w", durable.Parallel("p", lane("one"), lane("two")))
	inMemory(t, serve(w), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{})
		r.Done()
		refused := 0
		for _, name := range []string{"one", "two"} {
			for x, err := range e.Stream(context.Background(), r.ID, name, 0) {
				if err != nil || !strings.HasPrefix(x.Text, name) {
					t.Errorf("%+v, %v", x, err)
				}
				if strings.Contains(x.Text, "is writing it") {
					refused++
				}
			}
		}
		if refused != 1 {
			t.Errorf("%d of two lanes were refused", refused)
		}
	})
}

// A reader that does not read delays nobody, and gets all in the end; who leaves is let go.
func TestLS6_SlowReaders(t *testing.T) {
	whole := strings.Repeat("0123456789abcdef", 3<<16) // more than is kept for readers
	w := recite(whole, 10*time.Millisecond, 16<<10, new(tally))
	cfg := serve(w)
	cfg.MaxPayload = 16 << 20
	onStores(t, cfg, func(t *testing.T, e env) {
		start := time.Now()
		r := durabletest.Start(e.Engine, w, note{N: 1})
		slow := &viewer{t: t}
		ctx, cancel := context.WithCancelCause(context.Background())
		step, done := make(chan struct{}), make(chan error, 1)
		go func() {
			for x, err := range e.Stream(ctx, r.ID, "answer", 0) {
				if err != nil {
					done <- err
					return
				}
				slow.see(x)
				<-step
			}
			done <- nil
		}()
		r.Settle()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the body took %s", took)
		}
		close(step)
		if err := <-done; err != nil || slow.text != whole {
			t.Errorf("the slow reader ends with %d bytes, %v", len(slow.text), err)
		}
		leaving := make(chan error, 1)
		go func() {
			for _, err := range e.Stream(ctx, r.ID, "other", 0) {
				leaving <- err
			}
		}()
		synctest.Wait()
		gone := errors.New("gone")
		cancel(gone)
		if err := <-leaving; !errors.Is(err, gone) {
			t.Errorf("who leaves gets %v", err)
		}
		reader := openOnly(t, e)
		go func() {
			for _, err := range reader.Stream(context.Background(), r.ID, "other", 0) {
				leaving <- err
			}
		}()
		synctest.Wait()
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
		if err := <-leaving; err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("the reader of a closed engine gets %v", err)
		}
		r.Event("go", 1)
		r.Done()
	})
}

// What is far behind is read from the store: also while the text still grows.
func TestLS1_FarBehind(t *testing.T) {
	whole := poem(1 << 16)
	w := recite(whole, 20*time.Millisecond, 16<<10, new(tally))
	cfg := serve(w)
	cfg.MaxPayload = 16 << 20
	inMemory(t, cfg, func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{N: 1})
		reader := openOnly(t, e)
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				v := &viewer{t: t}
				for x, err := range reader.Stream(context.Background(), r.ID, "answer", 0) {
					if err != nil {
						t.Error(err)
						return
					}
					v.see(x)
					if err := rests(context.Background(), time.Duration(i)*13*time.Millisecond); err != nil {
						t.Error(err)
					}
				}
				if v.text != whole {
					t.Errorf("reader %d ends with %d bytes of %d", i, len(v.text), len(whole))
				}
			})
		}
		r.Settle()
		all.Wait()
		r.Event("go", 1)
		r.Done()
	})
}

// A worker that lost its run, and does not know it, adds nothing.
func TestLS3_Zombie(t *testing.T) {
	began := 0
	w := durable.Define("w", body("say", func(ctx context.Context, n *note) (err error) {
		n.Kind, err = durable.Do(ctx, "say", func(ctx context.Context) (string, error) {
			began++
			mine := fmt.Sprint("of ", began)
			s, err := durable.Stream(ctx, "answer")
			if err != nil {
				return "", err
			}
			for range 100 { // it looks at no context, nor at errors
				fmt.Fprint(s, mine, ";")
				_ = rests(context.WithoutCancel(ctx), 300*time.Millisecond)
			}
			return mine, s.End(mine)
		})
		return err
	}))
	cfg := serve(w)
	cfg.Lease = 2 * time.Second
	inMemory(t, cfg, func(t *testing.T, e env) {
		other := e.Join(cfg)
		r := durabletest.Start(e.Engine, w, note{})
		v := &viewer{t: t}
		done := make(chan error, 1)
		go func() {
			_, err := v.read(context.Background(), other.Engine, r.ID, 0)
			done <- err
		}()
		e.Sleep(3 * time.Second)
		e.Crash()
		if got := r.Done(); got.Kind != "of 2" {
			t.Errorf("it is recorded %q", got.Kind)
		}
		if err := <-done; err != nil || v.text != "of 2" {
			t.Errorf("the reader ends with %q, %v", v.text, err)
		}
		reset := false
		for _, x := range v.events {
			if reset = reset || x.Kind == durable.StreamReset; reset && strings.Contains(x.Text, "of 1") {
				t.Errorf("after the reset comes %q", x.Text)
			}
		}
		if !reset {
			t.Errorf("no reset in %v", v.kinds())
		}
	})
}

func TestLS4_PrunedWithTheRun(t *testing.T) {
	whole := poem(3)
	w := recite(whole, 0, 20, new(tally))
	onStores(t, serve(w), func(t *testing.T, e env) {
		r := durabletest.Start(e.Engine, w, note{N: 1})
		r.Event("go", 1)
		r.Done()
		s, err := e.opener.OpenStore(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		if p, err := s.Prune(context.Background(), store.PruneRequest{}); err != nil || p.Removed != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		for x, err := range e.Stream(context.Background(), r.ID, "answer", 0) {
			if !errors.Is(err, durable.ErrNotFound) {
				t.Errorf("a stream of what was removed: %+v, %v", x, err)
			}
		}
	})
}
