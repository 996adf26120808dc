package plan_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// replan is an engine whose plans are changed.
func replan(change func(p *plan.Plan, h *journal.History)) engine {
	e := genuine()
	e.eval = func(w *tree.Workflow, h *journal.History) plan.Plan {
		p := plan.Eval(w, h)
		change(&p, h)
		return p
	}
	return e
}

// rejudge is an engine whose facts are changed.
func rejudge(change func(f *journal.Fact, end plan.Ending)) engine {
	e := genuine()
	e.judge = func(b plan.Body, end plan.Ending, now int64, draw float64) journal.Fact {
		f := plan.Judge(b, end, now, draw)
		change(&f, end)
		return f
	}
	return e
}

// forgetful is an engine whose snapshots lack something.
func forgetful(forget func(h *journal.History, p *journal.Place)) engine {
	e := genuine()
	e.restore = func(b []byte) (*journal.History, error) {
		h, err := journal.Restore(b)
		var visit func(p *journal.Place)
		visit = func(p *journal.Place) {
			forget(h, p)
			for _, c := range p.Children() {
				visit(c)
			}
		}
		if err == nil {
			visit(h.Root)
		}
		return h, err
	}
	return e
}

// mutants are engines with a planted bug.
func mutants() map[string]engine {
	crash := genuine()
	crash.crash = func(b plan.Body, now int64, draw float64) journal.Fact {
		f := plan.JudgeCrash(b, now, draw)
		f.Why = journal.ByError
		return f
	}
	eager := genuine()
	eager.crash = func(b plan.Body, now int64, draw float64) journal.Fact {
		f := plan.JudgeCrash(b, now, draw)
		f.Kind = journal.Failed
		return f
	}
	return map[string]engine{
		"a branch is asked again on resume": forgetful(func(_ *journal.History, p *journal.Place) {
			if p.Answer != nil && p.Answer.Way == journal.WayCase {
				p.Answer = nil
			}
		}),
		"a branch without a fitting case ends the run": replan(func(p *plan.Plan, h *journal.History) {
			for _, c := range h.Root.Children() {
				if c.Answer != nil && c.Answer.Way == journal.WayNone {
					*p = plan.Plan{Outcome: plan.Completed}
				}
			}
		}),
		"a closed pass runs again": replan(func(p *plan.Plan, _ *journal.History) {
			for _, q := range p.Questions {
				if q.Node.Kind == tree.Loop && q.Pass > 0 {
					*p = plan.Plan{Bodies: []plan.Body{{Path: q.Path + "[0]/" + q.Node.Body[0].Name, Node: q.Node.Body[0]}}}
				}
			}
		}),
		"a failed attempt leaks into the state": replan(func(p *plan.Plan, h *journal.History) {
			for _, b := range p.Bodies {
				if b.Place != nil && b.Place.Failures > 0 {
					h.State = []byte(`{"log":["leak"]}`)
				}
			}
		}),
		"a crash uses up an attempt": crash,
		"a crash fails the run":      eager,
		"a snooze uses up an attempt": rejudge(func(f *journal.Fact, _ plan.Ending) {
			if f.Why == journal.BySnooze {
				f.Why = journal.ByError
			}
		}),
		"one attempt too many": rejudge(func(f *journal.Fact, end plan.Ending) {
			if f.Kind == journal.Failed && !end.Final {
				f.Kind, f.Why = journal.Delayed, journal.ByError
			}
		}),
		"a final error is retried": rejudge(func(f *journal.Fact, end plan.Ending) {
			if f.Kind == journal.Failed && end.Final {
				f.Kind, f.Why = journal.Delayed, journal.ByError
			}
		}),
		"a retry comes at once": rejudge(func(f *journal.Fact, _ plan.Ending) {
			if f.Why == journal.ByError {
				f.Until = 0
			}
		}),
		"a step in doubt runs again": replan(func(p *plan.Plan, _ *journal.History) {
			for i := range p.Bodies {
				p.Bodies[i].Mode = plan.Run
			}
			for _, w := range p.Opens {
				p.Opens, p.Bodies = nil, append(p.Bodies, plan.Body{Path: w.Path})
			}
		}),
		"a snapshot forgets the cancel": forgetful(func(h *journal.History, _ *journal.Place) { h.Cancel = nil }),
		"a snapshot forgets waits": forgetful(func(_ *journal.History, p *journal.Place) {
			for key, c := range p.Calls {
				if c.State == journal.Open {
					delete(p.Calls, key)
				}
			}
		}),
		"a snapshot forgets recorded calls": forgetful(func(_ *journal.History, p *journal.Place) {
			for key, c := range p.Calls {
				if c.State == journal.Value {
					delete(p.Calls, key)
				}
			}
		}),
		"an empty plan while the run goes on": replan(func(p *plan.Plan, _ *journal.History) { p.Waits = nil }),
		"a body beside the end": replan(func(p *plan.Plan, _ *journal.History) {
			if p.Outcome == plan.Failed {
				p.Bodies = []plan.Body{{Path: "n1"}}
			}
		}),
	}
}

// examine drives an engine through the trees that the mutants are tried on.
func examine(e engine) error {
	count, seen := 0, make(map[string]bool)
	pay := once("pay")
	sure := once("pay")
	sure.Reconciles = true
	two, single := each("n1", step("n2")), each("n1", step("n2"))
	two.Concurrency, single.Concurrency = 2, 1
	for _, c := range []struct {
		limits limits
		w      *tree.Workflow
	}{
		{limits{fail: 2, wait: 1, crash: 1, cancel: 1}, workflow(step("n1"))},
		{limits{final: 1, snooze: 1, do: 1, crash: 1}, workflow(step("n1"))},
		{limits{fail: 1, crash: 1}, workflow(branch("n1", way("x", step("n2"))), step("n3"))},
		{limits{crash: 1, passes: 2}, workflow(loop("n1", step("n2")))},
		{limits{crash: 1}, workflow(pay)},
		{limits{crash: 1}, workflow(sure)},
		{limits{crash: 1, final: 1}, workflow(parallel("n1", way("x", step("n2")), way("y", step("n3"), step("n4"))), step("n5"))},
		{limits{twice: 1}, workflow(parallel("n1", way("x", step("n2")), way("y", step("n3"))))},
		{limits{}, workflow(parallel("n1", way("x", step("c2")), way("y", step("c3"))))},
		{limits{final: 1, crash: 1}, workflow(settle(parallel("n1", way("x", step("n2")), way("y", step("n3")))))},
		{limits{items: 2, crash: 1}, workflow(each("n1", step("n2")), step("n3"))},
		{limits{items: 2, final: 1}, workflow(settle(each("n1", step("n2"))))},
		{limits{items: 2}, workflow(two, step("n3"))},
		{limits{items: 2}, workflow(single, step("n3"))},
		{limits{jumps: 2, crash: 2, late: 1, lost: 1}, workflow(step("n1"), step("n2"), decision("n3"), step("n4"), step("n5"))},
		{limits{skip: 1, crash: 1}, workflow(event("n1"), step("n2"))},
	} {
		if err := exhaust(e, c.limits, c.w, 1, &count, seen); err != nil {
			return err
		}
	}
	return nil
}

// The oracle catches what it is for.
func TestOracleCatchesPlantedBugs(t *testing.T) {
	if err := examine(genuine()); err != nil {
		t.Fatalf("without a planted bug: %v", err)
	}
	all := mutants()
	maps.Copy(all, laneMutants())
	for name, e := range all {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			err := examine(e)
			if err == nil {
				t.Fatal("not caught")
			}
			text, _, _ := strings.Cut(err.Error(), "\ntree")
			t.Logf("%.200s", text)
		})
	}
}
