package plan_test

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/plan"
	"github.com/durable-go/durable/internal/tree"
)

// written is a plan as text, one line for each thing in it.
func written(p plan.Plan) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch p.Outcome {
	case plan.Going:
	case plan.Completed:
		add("completed")
	case plan.Failed:
		add("failed %s", p.Err.Code)
	case plan.Cancelled:
		add("cancelled %s", p.Err.Code)
	case plan.Blocked:
		add("blocked %s: %s", p.Err.Path, p.Err.Message)
	default:
		add("outcome %d", p.Outcome)
	}
	for _, b := range p.Bodies {
		switch {
		case b.Mode == plan.Reconcile:
			add("reconcile %s from %d", b.Path, b.Until())
		case b.Place != nil && b.Place.Open != 0:
			add("running %s attempt %d", b.Path, b.Place.Attempt)
		default:
			add("run %s attempt %d from %d", b.Path, plan.Attempt(b.Place), b.Until())
		}
	}
	for _, q := range p.Questions {
		switch {
		case q.InDoubt != nil:
			add("resolve %s %s", q.Path, q.InDoubt)
		case q.Join:
			line := "join " + q.Path
			for i, w := range q.Ways {
				line += " " + cmp.Or(w.Name, strconv.Itoa(i)) + "=" + fmt.Sprint(map[string]string(stateOf(w.State))) + codeOf(w.Err)
			}
			add("%s", line)
		case q.Ended != nil:
			add("end %s %s", q.Path, callText(q.Ended))
		case q.Node.Kind == tree.Loop:
			add("ask %s pass %d", q.Path, q.Pass)
		default:
			add("ask %s", q.Path)
		}
	}
	for _, w := range p.Waits {
		add("wait %s %s", w.Path, w.Call)
	}
	for _, w := range p.Opens {
		add("open %s %s", w.Path, w.Call)
	}
	for _, f := range p.Facts {
		add("fact %s %s%s", f.Kind, f.Path, codeOf(f.Err))
	}
	for _, f := range p.Closes {
		add("close %s%s", f.Path, codeOf(f.Err))
	}
	return strings.Join(lines, "\n")
}

func codeOf(err *journal.Error) string {
	if err == nil {
		return ""
	}
	return " " + err.Code
}

func step(name string) *tree.Node {
	return &tree.Node{Kind: tree.Step, Name: name, Retry: &tree.Retry{MaxAttempts: 2, Backoff: tree.Constant, Base: 1000, Jitter: -1}}
}

// once is a step that must not run twice.
func once(name string) *tree.Node { return &tree.Node{Kind: tree.Step, Name: name, AtMostOnce: true} }

func seq(name string, body ...*tree.Node) *tree.Node {
	return &tree.Node{Kind: tree.Sequence, Name: name, Body: body}
}

func loop(name string, body ...*tree.Node) *tree.Node {
	return &tree.Node{Kind: tree.Loop, Name: name, Body: body}
}

func branch(name string, cases ...tree.Case) *tree.Node {
	return &tree.Node{Kind: tree.Branch, Name: name, Cases: cases}
}

func parallel(name string, lanes ...tree.Case) *tree.Node {
	return &tree.Node{Kind: tree.Parallel, Name: name, Cases: lanes}
}

func each(name string, body ...*tree.Node) *tree.Node {
	return &tree.Node{Kind: tree.Each, Name: name, Body: body}
}

func decision(name string) *tree.Node {
	n := step(name)
	n.Kind = tree.Decision
	return n
}

func event(name string) *tree.Node { return &tree.Node{Kind: tree.Event, Name: name} }

// settle lets all ways of a block end, and asks what they come to.
func settle(n *tree.Node) *tree.Node {
	n.Settle, n.Joins = true, true
	return n
}

func way(key string, body ...*tree.Node) tree.Case { return tree.Case{Key: key, Body: body} }

func otherwise(n *tree.Node, body ...*tree.Node) *tree.Node {
	n.Else, n.Default = true, body
	return n
}

func workflow(body ...*tree.Node) *tree.Workflow {
	return tree.Place(&tree.Workflow{Name: "w", Root: &tree.Node{Kind: tree.Sequence, Body: body}})
}

// sketch is a tree as text, on one line, for messages.
func sketch(nodes []*tree.Node) string {
	var parts []string
	for _, n := range nodes {
		s := n.Name
		switch n.Kind {
		case tree.Sequence:
			s += "(" + sketch(n.Body) + ")"
		case tree.Loop:
			s += "*(" + sketch(n.Body) + ")"
		case tree.Each:
			s += "#(" + sketch(n.Body) + ")"
		case tree.Decision:
			s += "?"
		case tree.Event:
			s += "~"
		case tree.Branch, tree.Parallel:
			if n.Kind == tree.Parallel {
				s += "="
			}
			for _, c := range n.Cases {
				s += "[" + c.Key + ": " + sketch(c.Body) + "]"
			}
			if n.Else {
				s += "[*: " + sketch(n.Default) + "]"
			}
		}
		if n.Settle {
			s += "+"
		}
		if n.Concurrency > 0 {
			s += fmt.Sprint("/", n.Concurrency)
		}
		if n.AtMostOnce {
			s += "!"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

// spelled is a fact as text, for messages.
func spelled(f journal.Fact) string {
	s := f.Kind.String()
	if f.Path != "" {
		s += " " + f.Path
	}
	if f.Call != "" {
		s += " " + f.Call
	}
	if f.Kind == journal.Delayed {
		s += " " + whys(f.Why)
	}
	if f.Err != nil {
		s += " " + f.Err.Code
	}
	if a := f.Answer; a != nil {
		switch a.Way {
		case journal.WayCase:
			s += " case " + fmt.Sprintf("%q", a.Case)
		case journal.WayDefault:
			s += " default"
		case journal.WayNone:
			s += " none"
		case journal.WayAgain:
			s += fmt.Sprintf(" again %d", a.Pass)
		case journal.WayLeave:
			s += fmt.Sprintf(" leave %d", a.Pass)
		case journal.WayItems:
			s += fmt.Sprintf(" %d items", a.Items)
		case journal.WayGoto:
			s += fmt.Sprintf(" goto %s, forget %v", a.Case, a.Drop)
		}
	}
	return s
}

func whys(w journal.Why) string {
	return map[journal.Why]string{
		journal.ByError: "error", journal.BySnooze: "snooze", journal.ByCrash: "crash", journal.ByLoss: "loss", journal.ByAsking: "asking",
	}[w]
}
