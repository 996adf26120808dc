package durable_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durable-go/durable"
	"github.com/durable-go/durable/durabletest"
	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/store"
	"github.com/durable-go/durable/store/memory"
)

// treeOver rolls back a tree over a store with a planted bug, with a kill in the middle, and says what is wrong.
func treeOver(t *testing.T, bug func(w *store.Write) bool) (problem string) {
	t.Helper()
	var s saga
	kid := durable.Define("kid", s.step("k1"), mark("k2").Compensate(func(ctx context.Context, _ *note) error {
		s.add("undo k2 at 0")
		return durable.Sleep(ctx, time.Minute)
	}), s.step("k3"))
	mid := durable.Define("mid", s.calls("m", kid))
	w := durable.Define("w", s.step("a"), s.calls("c", mid), s.step("b"), fail("end"))
	cfg := serve(w, mid, kid)
	cfg.Lease = 10 * time.Second
	durabletest.Run(t, cfg, func(t *testing.T, e *durabletest.Engine) {
		ctx := context.Background()
		r, err := w.Start(ctx, e.Engine, note{})
		if err != nil {
			t.Fatal(err)
		}
		e.Sleep(30 * time.Second)
		e.Crash()
		e.Sleep(20 * time.Minute)
		x, err := e.Execution(ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(x.Status, " ", strings.Join(s.undos(), ", "))
		if want := "compensated b at 3, c at 2, m at 1, k3 at 2, k2 at 0, k2 at 0, k1 at 1, a at 1"; got != want {
			problem = fmt.Sprintf("%s, want %s", got, want)
		}
		_ = e.Cancel(ctx, r.ID, "the test is over", durable.Force())
		e.Sleep(2 * time.Minute)
	}, durabletest.Store(&liarOpener{memory.New(), bug}))
	return problem
}

func TestCO3_PlantedBugs(t *testing.T) {
	if problem := treeOver(t, func(*store.Write) bool { return false }); problem != "" {
		t.Fatalf("without a bug: %s", problem)
	}
	onAdvance := func(spoil func(a *store.Advance)) func(w *store.Write) bool {
		return func(w *store.Write) bool {
			if w.Advance != nil {
				spoil(w.Advance)
			}
			return false
		}
	}
	for name, bug := range map[string]func(w *store.Write) bool{
		"orders are lost": onAdvance(func(a *store.Advance) { a.Recall = nil }),
		"an order reaches only what is open": onAdvance(func(a *store.Advance) {
			a.Tell, a.Recall = append(a.Tell[:len(a.Tell):len(a.Tell)], a.Recall...), nil
		}),
		"the second report has the name of the first": onAdvance(func(a *store.Advance) {
			if a.Release != nil {
				r := *a.Release
				r.Dedupe = ""
				a.Release = &r
			}
		}),
		"the second report is lost": onAdvance(func(a *store.Advance) {
			if a.Release != nil && a.Release.Dedupe != "" {
				r := *a.Release
				r.Report, r.Topic, r.Dedupe = nil, "", ""
				a.Release = &r
			}
		}),
		"nobody knows that a child has something to undo": each(func(f *journal.Fact) {
			f.Undo = f.Undo && f.Kind != journal.Received
		}),
		"an answer is not recorded": func(w *store.Write) bool {
			return rewrite(w, func(facts []journal.Fact) []journal.Fact {
				return slices.DeleteFunc(facts, func(f journal.Fact) bool {
					return f.Kind == journal.Recalling && strings.Contains(string(f.Data), "undone")
				})
			})
		},
		"a child forgets what it has undone, and does it twice": func(w *store.Write) bool {
			return rewrite(w, func(facts []journal.Fact) []journal.Fact {
				return slices.DeleteFunc(facts, func(f journal.Fact) bool { return f.Kind == journal.Done && strings.HasPrefix(f.Path, "k3~") })
			})
		},
	} {
		problem := treeOver(t, bug)
		if problem == "" {
			t.Errorf("%s: not caught", name)
		}
		t.Logf("%s: %s", name, problem)
	}
}

// Writes that are refused, as when a message came before them, are decided again: each child is ordered back
// once, and no answer is lost.
func TestCO3_QU8_RefusedWrites(t *testing.T) {
	var s saga
	w, all, want := s.forest()
	items := durable.Define("items", durable.Each("pages", pagesOf, read("one", func(_ context.Context, p *page) error { return nil }).Compensate(
		func(_ context.Context, p *page) error {
			s.add(fmt.Sprint("undo item ", p.N))
			return nil
		})).Spread().Into(intoPages), durable.Step("end", func(context.Context, *board) error { return durable.Permanent(errFlaky) }))
	for seed := range uint64(30) {
		o := refuserOpener{memory.New(), refuser{mu: new(sync.Mutex), rnd: rand.New(rand.NewPCG(seed, 7))}}
		durabletest.Run(t, serve(append(all, items)...), func(t *testing.T, e *durabletest.Engine) {
			s.reset()
			_, err := durabletest.Start(e, w, note{}).End()
			wantFailure(t, err, durable.Compensated, "permanent", "end")
			if got := s.undone(); !slices.Equal(got, want) || len(s.undos()) != len(want) {
				t.Fatalf("seed %d: undone were %q, want %q", seed, s.undos(), want)
			}
			s.reset()
			_, err = durabletest.Start(e, items, ofPages(150)).End()
			wantFailure(t, err, durable.Compensated, "permanent", "end")
			if got := slices.Compact(slices.Sorted(slices.Values(s.undos()))); len(got) != 150 || len(s.undos()) != 150 {
				t.Fatalf("seed %d: %d items of 150 were undone, %d times", seed, len(got), len(s.undos()))
			}
		}, durabletest.Store(o))
	}
}
