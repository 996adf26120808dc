package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// orders calls fn with every list of different names out of names.
func orders(names []string, fn func([]string)) {
	var grow func(list []string)
	grow = func(list []string) {
		fn(slices.Clone(list))
		for _, n := range names {
			if !slices.Contains(list, n) {
				grow(append(list[:len(list):len(list)], n))
			}
		}
	}
	grow(nil)
}

// under wraps steps of these names into something that a run can stand in,
// and gives the path of what is in it and the facts that lead there.
type under struct {
	name  string
	tree  func(names []string) *tree.Workflow
	path  string
	facts []journal.Fact
}

func unders() []under {
	steps := func(names []string) []*tree.Node {
		var list []*tree.Node
		for _, n := range names {
			list = append(list, step(n))
		}
		return list
	}
	return []under{
		{"the run", func(n []string) *tree.Workflow { return workflow(steps(n)...) }, "", nil},
		{"a sequence", func(n []string) *tree.Workflow { return workflow(seq("s", steps(n)...)) }, "s/", nil},
		{
			"a case", func(n []string) *tree.Workflow { return workflow(branch("s", way("k/y", steps(n)...))) }, "s[k%2Fy]/",
			[]journal.Fact{{Kind: journal.Answered, Path: "s", Answer: &journal.Answer{Way: journal.WayCase, Case: "k/y"}}},
		},
		{
			"a default", func(n []string) *tree.Workflow { return workflow(otherwise(branch("s"), steps(n)...)) }, "s[*]/",
			[]journal.Fact{{Kind: journal.Answered, Path: "s", Answer: &journal.Answer{Way: journal.WayDefault}}},
		},
		{
			"a pass", func(n []string) *tree.Workflow { return workflow(loop("s", steps(n)...)) }, "s[4]/",
			[]journal.Fact{{Kind: journal.Answered, Path: "s", Answer: &journal.Answer{Way: journal.WayAgain, Pass: 4}}},
		},
	}
}

// deployed is what the plan must be when a run that began the steps of ran in
// this order, the last of them still open if so, meets the steps of now.
func deployed(ran []string, open bool, now []string, u under) string {
	if len(ran) > 0 {
		last := ran[len(ran)-1]
		if !slices.Contains(now, last) {
			return "blocked " + u.path + last
		}
		if open {
			return fmt.Sprintf("run %s%s attempt 2 from 9", u.path, last)
		}
	}
	furthest := -1
	for i, n := range now {
		if slices.Contains(ran, n) {
			furthest = i
		}
	}
	if furthest+1 < len(now) {
		return "run " + u.path + now[furthest+1] + " attempt 1 from 0"
	}
	if u.name == "a pass" {
		return "ask s pass 5"
	}
	return "completed"
}

// meets checks every deploy of up to four steps in every kind of place.
func meets(eval func(*tree.Workflow, *journal.History) plan.Plan) (count int, err error) {
	for _, u := range unders() {
		orders([]string{"a", "b", "c"}, func(ran []string) {
			for _, open := range []bool{false, true} {
				if open && len(ran) == 0 {
					continue
				}
				h := journal.NewHistory()
				facts := append([]journal.Fact{{Kind: journal.Began, Data: []byte(`{}`)}}, u.facts...)
				for i, n := range ran {
					facts = append(facts, journal.Fact{Kind: journal.Tried, Path: u.path + n, Attempt: 1, Epoch: 1})
					if open && i == len(ran)-1 {
						facts = append(facts, journal.Fact{Kind: journal.Delayed, Path: u.path + n, Why: journal.ByError, Until: 9})
					} else {
						facts = append(facts, journal.Fact{Kind: journal.Done, Path: u.path + n, Attempt: 1})
					}
				}
				if e := h.Apply(journal.Row{Seq: 1, Facts: facts}); e != nil {
					err = e
					return
				}
				orders([]string{"a", "b", "c", "new"}, func(now []string) {
					count++
					have, want := written(eval(u.tree(now), h)), deployed(ran, open, now, u)
					if have != want && !strings.HasPrefix(have, want+": ") && err == nil {
						err = fmt.Errorf("in %s: %v ran (the last still open: %v), and the code has %v: %s, want %s", u.name, ran, open, now, have, want)
					}
				})
			}
		})
	}
	return count, err
}

func TestVR2_VR3_LP4_EveryDeployOfFlatSteps(t *testing.T) {
	count, err := meets(plan.Eval)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d deploys", count)
	for name, mutant := range map[string]func(w *tree.Workflow, h *journal.History) plan.Plan{
		"an unknown place is taken for the end": func(w *tree.Workflow, h *journal.History) plan.Plan {
			p := plan.Eval(w, h)
			if p.Outcome == plan.Blocked {
				return plan.Plan{Outcome: plan.Completed}
			}
			return p
		},
		"an unknown place is skipped": func(w *tree.Workflow, h *journal.History) plan.Plan {
			p := plan.Eval(w, h)
			if p.Outcome == plan.Blocked {
				return plan.Plan{Bodies: []plan.Body{{Path: w.Root.Name, Node: w.Root}}}
			}
			return p
		},
		"a step that was added before runs late": func(w *tree.Workflow, h *journal.History) plan.Plan {
			for _, n := range w.Root.Body {
				if n.Kind == tree.Step && h.At(n.Name) == nil {
					return plan.Plan{Bodies: []plan.Body{{Path: n.Name, Node: n}}}
				}
			}
			return plan.Eval(w, h)
		},
	} {
		if _, err := meets(mutant); err == nil {
			t.Errorf("%s: not caught", name)
		}
	}
}

// A name that another kind of node has after a deploy is another place: what
// is finished stays so, what is open blocks.
func TestVR2_VR3_AnotherKindOfNode(t *testing.T) {
	kinds := map[string]*tree.Node{
		"step": step("x"), "sequence": seq("x", step("in")), "branch": branch("x", way("k", step("in"))), "loop": loop("x", step("in")),
	}
	tried := journal.Fact{Kind: journal.Tried, Path: "x", Attempt: 1, Epoch: 1}
	answer := func(a journal.Answer) journal.Fact {
		return journal.Fact{Kind: journal.Answered, Path: "x", Answer: &a}
	}
	for _, c := range []struct {
		was   string
		name  string
		facts []journal.Fact
		want  string // with the kinds that it was not; "" is blocked
	}{
		{"step", "open", []journal.Fact{tried}, ""},
		{"step", "done", []journal.Fact{tried, {Kind: journal.Done, Path: "x"}}, "run next attempt 1 from 0"},
		{"step", "failed", []journal.Fact{tried, {Kind: journal.Failed, Path: "x", Err: &journal.Error{Code: "no"}}}, "failed no"},
		{"branch", "in a case", []journal.Fact{answer(journal.Answer{Way: journal.WayCase, Case: "k"})}, ""},
		{"branch", "past", []journal.Fact{answer(journal.Answer{Way: journal.WayNone})}, "run next attempt 1 from 0"},
		{"loop", "in a pass", []journal.Fact{answer(journal.Answer{Way: journal.WayAgain})}, ""},
		{"loop", "left", []journal.Fact{answer(journal.Answer{Way: journal.WayLeave, Pass: 2})}, "run next attempt 1 from 0"},
		{"sequence", "in it", []journal.Fact{{Kind: journal.Tried, Path: "x/in", Attempt: 1, Epoch: 1}}, ""},
	} {
		h := journal.NewHistory()
		if err := h.Apply(journal.Row{Seq: 1, Facts: append([]journal.Fact{{Kind: journal.Began, Data: []byte(`{}`)}}, c.facts...)}); err != nil {
			t.Fatal(err)
		}
		for kind, n := range kinds {
			got := written(plan.Eval(workflow(n, step("next")), h))
			want := c.want
			if want == "" {
				want = fmt.Sprintf(`blocked x: the run stands at "x", which was a %s when it began and is a %s in this code; deploy code that has it as a %s`, c.was, kind, c.was)
			}
			if kind == c.was && strings.HasPrefix(got, "blocked") || kind != c.was && got != want {
				t.Errorf("a %s, %s, is now a %s: %s, want %s", c.was, c.name, kind, got, want)
			}
		}
	}
}
