package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// decided is a run whose decision d is about to go to a target.
func decided(t *testing.T, w *tree.Workflow, target string, done ...string) (*journal.History, journal.Fact) {
	t.Helper()
	h := journal.NewHistory()
	facts := []journal.Fact{{Kind: journal.Began, Data: []byte(`{}`)}}
	for _, path := range done {
		facts = append(facts, journal.Fact{Kind: journal.Done, Path: path, Attempt: 1})
	}
	facts = append(facts, journal.Fact{Kind: journal.Tried, Path: "d", Attempt: 1, Epoch: 1})
	if err := h.Apply(journal.Row{Seq: 1, Facts: facts}); err != nil {
		t.Fatal(err)
	}
	f := journal.Fact{Kind: journal.Done, Path: "d", Attempt: 1, Answer: &journal.Answer{Way: journal.WayGoto, Case: target}}
	plan.Decide(w, h, tree.Find(w, "d"), &f)
	return h, f
}

// What a decision makes run anew is what the code says comes after its target,
// wherever it was when it ran.
func TestDC2_VR2_GoingBackAfterADeploy(t *testing.T) {
	for name, c := range map[string]struct {
		now    *tree.Workflow
		target string
		drop   []string
	}{
		"as it was":              {workflow(step("a"), step("b"), decision("d"), step("z")), "b", []string{"b", "d"}},
		"b stands behind it now": {workflow(step("a"), decision("d"), step("b")), "a", []string{"a", "b", "d"}},
		"b is gone":              {workflow(step("a"), decision("d"), step("z")), "a", []string{"a", "b", "d"}},
		"forwards":               {workflow(step("a"), step("b"), decision("d"), step("y"), step("z")), "z", nil},
		"forwards to what ran":   {workflow(step("a"), decision("d"), step("y"), step("b")), "b", []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, f := decided(t, c.now, c.target, "a", "b")
			if !slices.Equal(f.Answer.Drop, c.drop) {
				t.Errorf("forgets %q, want %q", f.Answer.Drop, c.drop)
			}
			if err := h.Fold(&f, 2); err != nil {
				t.Fatal(err)
			}
			if got := written(plan.Eval(c.now, h)); got != fmt.Sprintf("run %s attempt 1 from 0", c.target) {
				t.Errorf("then it plans %s", got)
			}
		})
	}
}

func TestDC2_TheLimitOfJumps(t *testing.T) {
	w := workflow(step("a"), decision("d"))
	h, _ := decided(t, w, "a", "a")
	for jumps, kind := range map[int]journal.Kind{tree.MaxJumps - 1: journal.Done, tree.MaxJumps: journal.Failed} {
		h.Root.Jumps = jumps
		f := journal.Fact{Kind: journal.Done, Path: "d", Attempt: 1, Answer: &journal.Answer{Way: journal.WayGoto, Case: "a"}}
		if plan.Decide(w, h, tree.Find(w, "d"), &f); f.Kind != kind || kind == journal.Failed && f.Err.Code != "loop_limit" {
			t.Errorf("after %d jumps: %s %v", jumps, f.Kind, f.Err)
		}
	}
}

// A late report that the body of an earlier node did not crash changes no route.
func TestDC1_ALateReportUndoesNoGoto(t *testing.T) {
	w := workflow(step("a"), decision("d"), step("b"), step("c"))
	h, f := decided(t, w, "c", "a")
	for _, f := range []journal.Fact{f, {Kind: journal.Handed, Path: "a", Epoch: 7}} {
		if err := h.Fold(&f, 2); err != nil {
			t.Fatal(err)
		}
	}
	if got := written(plan.Eval(w, h)); got != "run c attempt 1 from 0" {
		t.Errorf("it plans %s", got)
	}
}
