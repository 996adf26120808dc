package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/durable-go/durable/store"
)

// families begin, end, hear of each other, and are listed.
func (w *worker) families() {
	w.t.Helper()
	parents := w.begin(2, true)
	children := w.children(parents[0], atOnce)
	others := w.children(parents[1], atOnce)
	var ends []store.Write
	for _, r := range append(w.claim("now", atOnce).Records, w.claim("now", atOnce).Records...) {
		if r.Parent != parents[0].Begin.ID {
			continue
		}
		ends = append(ends, store.Write{Advance: &store.Advance{
			ID: r.ID, Owner: w.who, Epoch: r.Epoch, Base: r.Length, Row: []byte("end"), Seen: -1,
			Release: &store.Release{Status: store.Completed, Report: []byte("done")},
		}})
	}
	if len(ends) != len(children) {
		w.t.Fatalf("%d of %d children were claimed", len(ends), len(children))
	}
	w.commit(store.Applied, ends...)
	leave := w.advance(parents[1:], 2, func(_ int, a *store.Advance) {
		a.Release = &store.Release{Status: store.Cancelled, Family: &store.Notice{Topic: "parent"}}
	})
	w.commit(store.Applied, leave...)
	page, err := w.s.List(w.t.Context(), store.Filter{Parent: parents[1].Begin.ID})
	w.ok(err, "list")
	if len(page.Executions) != len(others) || page.Executions[0].Inbox != 1 {
		w.t.Fatalf("%d of %d children are listed, or have not heard of the end", len(page.Executions), len(others))
	}
}

// children begin with the second row of their parent.
func (w *worker) children(parent store.Write, n int) (list []store.Begin) {
	w.t.Helper()
	for range n {
		list = append(list, store.Begin{
			ID: uuid.Must(uuid.NewV7()), Workflow: "flow", Version: "v1", Queue: "default", Priority: 9, Row: []byte("one"), Parent: parent.Begin.ID, Depth: 1,
		})
	}
	w.commit(store.Applied, w.advance([]store.Write{parent}, 1, func(_ int, a *store.Advance) { a.Children = list })...)
	return list
}

// A prune goes down families by an index, however much there is beside them.
func TestPlans_RN1_FamiliesArePrunedByAnIndex(t *testing.T) {
	x := explaining(t)
	s := x.open(t, "families")
	s.schema.fill(t, x.Config().ConnString(), size())
	w := newWorker(t, s)
	parent := w.begin(1, true)
	w.children(parent[0], atOnce)
	var ends []store.Write
	for _, r := range w.claim("now", 2*atOnce).Records {
		if r.Parent == parent[0].Begin.ID {
			ends = append(ends, store.Write{Advance: &store.Advance{
				ID: r.ID, Owner: w.who, Epoch: r.Epoch, Base: r.Length, Row: []byte("end"), Seen: -1, Release: &store.Release{Status: store.Completed},
			}})
		}
	}
	w.commit(store.Applied, ends...)
	w.commit(store.Applied, w.advance(parent, 2, func(_ int, a *store.Advance) { a.Release = &store.Release{Status: store.CompensationFailed} })...)
	for _, analysed := range []bool{false, true} {
		if analysed {
			if _, err := s.user.Exec(t.Context(), s.schema.of("VACUUM (ANALYZE) durable.execution")); err != nil {
				t.Fatal(err)
			}
		}
		x.heard()
		began := time.Now()
		for _, count := range []bool{true, analysed} { // the second time they go
			if _, err := s.Prune(t.Context(), store.PruneRequest{Statuses: []store.Status{store.CompensationFailed}, Count: count}); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("analysed %v: %s", analysed, time.Since(began))
		seen := 0
		for text, plans := range x.heard() {
			if !strings.Contains(text, "execution") || strings.Contains(text, "'journal_") {
				continue
			}
			for _, p := range plans {
				seen++
				for _, fault := range p.Top.faults(usual()) {
					t.Errorf("analysed %v: %s\n%s", analysed, fault, text)
				}
			}
		}
		if seen == 0 {
			t.Error("no plan was seen")
		}
	}
	page, err := s.List(t.Context(), store.Filter{Parent: parent[0].Begin.ID})
	if err != nil || len(page.Executions) != 0 {
		t.Errorf("%d children are left, %v", len(page.Executions), err)
	}
}
