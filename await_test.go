package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// awaiting is a workflow that spawns a child which takes a while and ends as ends says, and
// awaits it in two lanes, each after a pause.
func awaiting(name string, ends error, takes, a, b time.Duration) (w *durable.Workflow[board], child *durable.Workflow[inner]) {
	child = durable.Define(name+"-child", durable.Step("s", func(ctx context.Context, s *inner) error {
		if err := durable.Sleep(ctx, takes); err != nil {
			return err
		}
		s.N = 42
		return ends
	}))
	lane := func(lane string, after time.Duration, into func(b *board, v string)) durable.Node[board] {
		return durable.Step(lane, func(ctx context.Context, b *board) error {
			if err := durable.Sleep(ctx, after); err != nil {
				return err
			}
			s, err := durable.Await(ctx, durable.Spawned[inner]{ID: spawnedID(b)})
			var (
				failed    *durable.ChildError
				cancelled *durable.WaitCancelled
			)
			switch {
			case errors.As(err, &failed):
				into(b, string(failed.Status))
			case err == nil:
				into(b, fmt.Sprint(s.N))
			case errors.As(err, &cancelled):
				into(b, "not awaited: "+err.Error())
			default:
				return err
			}
			return nil
		})
	}
	w = durable.Define(name,
		durable.Step("spawn", func(ctx context.Context, b *board) error {
			s, err := durable.Spawn(ctx, child, inner{})
			b.Pages = []page{{Text: s.ID.String()}}
			return err
		}),
		durable.Parallel("p",
			lane("a", a, func(b *board, v string) { b.B = v }),
			lane("b", b, func(b *board, v string) { b.Trace = []string{v} })),
		durable.Step("after", func(_ context.Context, b *board) error {
			b.Pages = nil
			return nil
		}))
	return w, child
}

// The end of a child is one message, and all who await it get it, whenever they ask.
func TestCH4_SeveralAwaitOneChild(t *testing.T) {
	for name, c := range map[string]struct {
		ends error
		a, b time.Duration
		want string
	}{
		"both wait":              {nil, 0, 0, "42"},
		"one waits, one is late": {nil, 0, 2 * time.Hour, "42"},
		"both are late":          {nil, 2 * time.Hour, 3 * time.Hour, "42"},
		"the first is late":      {nil, 2 * time.Hour, 0, "42"},
		"at the same moment":     {nil, 0, 5 * time.Minute, "42"},
		"it fails":               {errFlaky, 0, time.Minute, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w, child := awaiting("w", c.ends, 5*time.Minute, c.a, c.b)
			cfg := serve(w, child)
			cfg.Lease = 10 * time.Second
			onStores(t, cfg, func(t *testing.T, e env) {
				if got := durabletest.Start(e.Engine, w, board{}).Done(); got.B != c.want || !slices.Equal(got.Trace, []string{c.want}) {
					t.Errorf("one got %q, the other %q", got.B, got.Trace)
				}
			})
		})
	}
}

func TestCH4_SeveralAwaitOneChildUnderCrashes(t *testing.T) {
	for name, c := range map[string]struct {
		ends error
		want string
	}{"it completes": {nil, `{"b":"42","trace":["42"]}`}, "it fails": {errFlaky, `{"b":"failed","trace":["failed"]}`}} {
		t.Run(name, func(t *testing.T) {
			onWeather(t, func(unit time.Duration) forecast {
				w, child := awaiting("w", c.ends, unit, 0, unit/5)
				return &weather[board]{flow: w, others: []durable.Definition{child}, bodies: &tally{}, end: func(b board, err error) error {
					return wantBoard(b, err, c.want)
				}}
			})
		})
	}
}

// One after another in a body, in a step that is tried again, and in two steps.
func TestCH4_OneAwaitsAgain(t *testing.T) {
	child := durable.Define("child", durable.Step("s", func(ctx context.Context, s *inner) error {
		s.N = 42
		return durable.Sleep(ctx, time.Hour)
	}))
	var tries tally
	twice := func(ctx context.Context, b *board) error {
		for range 2 {
			s, err := durable.Await(ctx, durable.Spawned[inner]{ID: spawnedID(b)})
			if err != nil {
				return err
			}
			b.C = append(b.C, s.N)
		}
		return nil
	}
	w := durable.Define("w",
		durable.Step("spawn", func(ctx context.Context, b *board) error {
			s, err := durable.Spawn(ctx, child, inner{})
			b.Pages = []page{{Text: s.ID.String()}}
			return err
		}),
		durable.Step("fails", func(ctx context.Context, b *board) error { // and is tried again
			if err := twice(ctx, b); err != nil {
				return err
			}
			if tries.add("fails"); tries.of("fails") == 1 {
				return errFlaky
			}
			return nil
		}).Retry(durable.Retry{MaxAttempts: 2}),
		durable.Step("again", twice))
	onStores(t, serve(w, child), func(t *testing.T, e env) {
		tries.reset()
		if got := durabletest.Start(e.Engine, w, board{}).Done(); fmt.Sprint(got.C) != "[42 42 42 42]" {
			t.Errorf("%v", got.C)
		}
	})
}

// lateLook is a store in which something happens between a look at a run and what comes of it.
type lateLook struct {
	store.Store
	meanwhile func(rec *store.Record)
}

type lateLooks struct {
	inner     store.Opener
	meanwhile func(rec *store.Record)
}

func (l *lateLooks) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := l.inner.OpenStore(ctx)
	if err != nil {
		return nil, err
	}
	return &lateLook{s, l.meanwhile}, nil
}

func (l *lateLook) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	rec, err := l.Store.Load(ctx, id, whole)
	if err == nil {
		l.meanwhile(&rec)
	}
	return rec, err
}

// Who saw the child run, and asks for its end when another has taken that already.
func TestCH4_AwaitAfterALookThatIsOutOfDate(t *testing.T) {
	for _, ends := range []error{nil, errFlaky} {
		w, child := awaiting("w", ends, 5*time.Minute, 0, time.Minute)
		want := "42"
		if ends != nil {
			want = "failed"
		}
		var looks atomic.Int64
		opener := &lateLooks{memory.New(), func(rec *store.Record) {
			if rec.Workflow == child.Name() && !rec.Status.Ended() && looks.Add(1) == 2 {
				<-time.After(6 * time.Minute)
			}
		}}
		durabletest.Run(t, serve(w, child), func(t *testing.T, e *durabletest.Engine) {
			if got := durabletest.Start(e, w, board{}).Done(); got.B != want || !slices.Equal(got.Trace, []string{want}) {
				t.Errorf("one got %q, the other %q", got.B, got.Trace)
			}
		}, durabletest.Store(opener))
	}
}

// One of two waits is cancelled just before the write that gives both the report.
func TestCH4_OneOfTwoAwaitsIsCancelled(t *testing.T) {
	for lane, want := range map[string]string{"p[a]/a": "not awaited|42", "p[b]/b": "42|not awaited"} {
		w, child := awaiting("w", nil, 5*time.Minute, 0, time.Minute)
		var done atomic.Bool
		opener := &meddling{memory.New(), meddler{
			when: func(f *journal.Fact) bool { return f.Kind == journal.Received },
			send: func(ctx context.Context, s store.Store, id store.ID) {
				p, err := s.Waits(ctx, store.WaitFilter{Execution: id})
				i := slices.IndexFunc(p.Waits, func(w store.Wait) bool { return w.Path == lane })
				if err != nil || i < 0 {
					t.Errorf("waits %+v, %v", p, err)
					return
				}
				r, err := s.Commit(ctx, []store.Write{{Deliver: &store.Deliver{
					ID: id, Wait: p.Waits[i].ID, Topic: "revoke", Payload: []byte(`{"reason":"why"}`), Dedupe: "meddler",
				}}})
				if err != nil || r.Verdicts[0].Code != store.Applied {
					t.Errorf("%+v, %v", r, err)
				}
			}, done: &done,
		}}
		durabletest.Run(t, serve(w, child), func(t *testing.T, e *durabletest.Engine) {
			got := durabletest.Start(e, w, board{}).Done()
			first, _, _ := strings.Cut(got.B, ":")
			second, _, _ := strings.Cut(got.Trace[0], ":")
			if first+"|"+second != want || !done.Load() {
				t.Errorf("%q, %q, want %s", got.B, got.Trace, want)
			}
		}, durabletest.Store(opener))
	}
}

// spawnedID is the id of the child that a step has spawned.
func spawnedID(b *board) durable.ID {
	id, err := durable.ParseID(b.Pages[0].Text)
	if err != nil {
		panic(err)
	}
	return id
}

// away is a store whose Load fails while the database is away.
type away struct {
	store.Store
	gone *atomic.Bool
}

type awayOpener struct {
	inner store.Opener
	gone  *atomic.Bool
}

func (o awayOpener) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := o.inner.OpenStore(ctx)
	return away{s, o.gone}, err
}

func (a away) Load(ctx context.Context, id store.ID, whole bool) (store.Record, error) {
	if a.gone.Load() {
		return store.Record{}, errors.New("connection refused")
	}
	return a.Store.Load(ctx, id, whole)
}

// Await looks whether the child has ended. While it cannot look it waits, and no attempt fails.
func TestRT10_AwaitWhileTheDatabaseIsAway(t *testing.T) {
	gone := new(atomic.Bool)
	c := durable.Define("c", durable.Step("s", func(_ context.Context, s *inner) error { s.N = 42; return nil }))
	w := durable.Define("w", durable.Step("s", func(ctx context.Context, b *board) error {
		k, err := durable.Spawn(ctx, c, inner{})
		if err != nil {
			return err
		}
		gone.Store(true)
		got, err := durable.Await(ctx, k)
		b.A = got.N
		return err
	}))
	durabletest.Run(t, serve(w, c), func(t *testing.T, e *durabletest.Engine) {
		r, err := w.Start(context.Background(), e.Engine, board{})
		if err != nil {
			t.Fatal(err)
		}
		e.Sleep(10 * time.Second)
		gone.Store(false)
		e.Sleep(10 * time.Second)
		x, err := e.Execution(context.Background(), r.ID)
		if err != nil || x.Status != durable.Completed || !strings.Contains(string(x.State), "42") {
			t.Errorf("it is %+v, %v", x, err)
		}
	}, durabletest.Store(awayOpener{memory.New(), gone}))
}
