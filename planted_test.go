package durable_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// A check that cannot fail is none: here bugs are planted under the engine, and
// the checks of the tests beside must see them.

// liar is a store with a planted bug: bug may change a write, or say that it is
// to be acknowledged and forgotten.
type liar struct {
	store.Store
	bug func(w *store.Write) (forget bool)
}

func (l *liar) Commit(ctx context.Context, writes []store.Write) (store.Result, error) {
	var kept []store.Write
	forgotten := make([]bool, len(writes))
	for i := range writes {
		if forgotten[i] = l.bug(&writes[i]); !forgotten[i] {
			kept = append(kept, writes[i])
		}
	}
	r, err := l.Store.Commit(ctx, kept)
	if err != nil {
		return r, err
	}
	var verdicts []store.Verdict
	for _, f := range forgotten {
		if f {
			verdicts = append(verdicts, store.Verdict{Code: store.Applied})
			continue
		}
		verdicts, r.Verdicts = append(verdicts, r.Verdicts[0]), r.Verdicts[1:]
	}
	r.Verdicts = verdicts
	return r, nil
}

type liarOpener struct {
	inner store.Opener
	bug   func(w *store.Write) bool
}

func (o *liarOpener) OpenStore(ctx context.Context) (store.Store, error) {
	s, err := o.inner.OpenStore(ctx)
	return &liar{s, o.bug}, err
}

// rewrite changes the facts of a write.
func rewrite(w *store.Write, change func(facts []journal.Fact) []journal.Fact) bool {
	if w.Advance == nil || len(w.Advance.Row) == 0 {
		return false
	}
	facts, err := journal.Decode(w.Advance.Row)
	if err != nil {
		panic(err)
	}
	w.Advance.Row = journal.Encode(change(facts))
	return false
}

// each is rewrite fact by fact.
func each(change func(f *journal.Fact)) func(w *store.Write) bool {
	return func(w *store.Write) bool {
		return rewrite(w, func(facts []journal.Fact) []journal.Fact {
			for i := range facts {
				change(&facts[i])
			}
			return facts
		})
	}
}

// outcome is all that the pipeline's checks look at.
type outcome struct {
	found  bool
	facts  []string
	doc    document
	err    error
	steps  []string
	bodies []string
}

// watch runs the pipeline on a document that needs a review, over a store.
func watch(t *testing.T, opener *liarOpener) (o outcome) {
	t.Helper()
	p := &pipeline{}
	w := p.define()
	durabletest.Run(t, pipelineConfig(w), func(t *testing.T, e *durabletest.Engine) {
		ctx := context.Background()
		run, err := w.Start(ctx, e.Engine, document{ID: "1", Content: "unclear"})
		if err != nil {
			t.Fatal(err)
		}
		e.Sleep(time.Hour)
		if err := e.ProvideInput(ctx, run.ID, "human_review", verdict{Kind: "contract"}); err != nil {
			o.err = err
		}
		short, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		d, err := run.Wait(short)
		if o.doc = d; err != nil {
			o.err = err
		}
		if x, err := e.Execution(ctx, run.ID, durable.WithSteps); err == nil {
			o.found, o.steps = true, steps(x)
			o.facts = story(env{e, opener.inner}.facts(t, run.ID))
		}
		o.bodies = p.bodies.all()
	}, durabletest.Store(opener))
	return o
}

func TestPlanted_BugsUnderTheEngineAreSeen(t *testing.T) {
	sound := watch(t, &liarOpener{memory.New(), func(*store.Write) bool { return false }})
	if sound.err != nil || !sound.doc.Stored {
		t.Fatalf("without a bug: %+v", sound)
	}
	once := func(bug func(w *store.Write) bool) func(w *store.Write) bool {
		done := false
		return func(w *store.Write) bool {
			if done {
				return false
			}
			done = bug(w)
			return done
		}
	}
	has := func(w *store.Write, kind journal.Kind, path string) (yes bool) {
		rewrite(w, func(facts []journal.Fact) []journal.Fact {
			yes = slices.ContainsFunc(facts, func(f journal.Fact) bool { return f.Kind == kind && f.Path == path })
			return facts
		})
		return yes
	}
	for name, c := range map[string]struct {
		bug  func(w *store.Write) bool
		sees func(o outcome) bool
	}{
		"an acknowledged start is lost": {
			func(w *store.Write) bool { return w.Begin != nil },
			func(o outcome) bool { return !o.found },
		},
		"a result is stored without its change": {
			each(func(f *journal.Fact) {
				if f.Kind == journal.Done && f.Path == "classify" {
					f.Data = nil
				}
			}),
			func(o outcome) bool { return sameEnd(sound.facts, o.facts, sound.doc, o.doc) != nil },
		},
		"another case is recorded than was taken": {
			each(func(f *journal.Fact) {
				if f.Kind == journal.Answered {
					f.Answer.Case = "invoice"
				}
			}),
			func(o outcome) bool { return sameEnd(sound.facts, o.facts, sound.doc, o.doc) != nil },
		},
		"an answer is acknowledged and lost": {
			func(w *store.Write) bool { return w.Deliver != nil && w.Deliver.Wait != "" },
			func(o outcome) bool { return o.err != nil },
		},
		"a finished step is acknowledged and lost": {
			once(func(w *store.Write) bool { return has(w, journal.Done, "fetch") }),
			func(o outcome) bool { return len(o.bodies) > len(sound.bodies) || o.err != nil },
		},
		"a wait is not listed": {
			func(w *store.Write) bool {
				if w.Advance != nil && w.Advance.Release != nil && w.Advance.Release.Status == store.Waiting {
					w.Advance.Open[0].Kind = "sleep"
				}
				return false
			},
			func(o outcome) bool { return o.err != nil },
		},
		"a recorded call is forgotten": {
			func(w *store.Write) bool {
				return rewrite(w, func(facts []journal.Fact) []journal.Fact {
					return slices.DeleteFunc(facts, func(f journal.Fact) bool { return f.Kind == journal.Called })
				})
			},
			func(o outcome) bool { return sameEnd(sound.facts, o.facts, sound.doc, o.doc) != nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			if o := watch(t, &liarOpener{memory.New(), c.bug}); !c.sees(o) {
				t.Errorf("the planted bug is not seen: %+v", o)
			}
		})
	}
}

// What a storm must not do is seen.
func TestPlanted_WeatherSeesWhatAStormDid(t *testing.T) {
	w := &weather[note]{width: 1}
	sound := func() gist {
		return gist{end: "{} <nil>", facts: []string{"done a", "done b"}, bodies: map[string]int{"a": 1, "b": 1}, began: 2}
	}
	if bad := w.compare(sound(), sound(), 1); len(bad) > 0 {
		t.Errorf("nothing is wrong, and it says %q", bad)
	}
	for name, harm := range map[string]func(g *gist){
		"another end":             func(g *gist) { g.end = `{"n":1} <nil>` },
		"a result recorded twice": func(g *gist) { g.facts = append(g.facts, "done b") },
		"a result that is lost":   func(g *gist) { g.facts = g.facts[:1] },
		"a body that never ran":   func(g *gist) { delete(g.bodies, "b") },
		"a body that ran too often": func(g *gist) {
			g.bodies["b"] = 3
			g.began = 4
		},
	} {
		got := sound()
		if harm(&got); len(w.compare(got, sound(), 1)) == 0 {
			t.Errorf("%s is not seen", name)
		}
	}
	list := []journal.Fact{{Kind: journal.Done, Path: "a"}, {Kind: journal.Cancelled}, {Kind: journal.Cancelled}, {Kind: journal.Waited, Call: "call:c#1"}, {Kind: journal.Waited, Call: "event:e#1"}}
	if got := settled(list); len(got) != 3 || got[2].Call != "event:e#1" {
		t.Errorf("settled are %+v", got)
	}
}
