package plan

import (
	"fmt"
	"slices"

	"github.com/durable-go/durable/internal/journal"
	"github.com/durable-go/durable/internal/tree"
)

// Decide completes the fact of a decision that goes somewhere: which nodes are
// to run as new visits. If it cannot go there, the fact becomes its failure.
func Decide(w *tree.Workflow, h *journal.History, n *tree.Node, f *journal.Fact) {
	if f.Kind != journal.Done || f.Answer == nil || f.Answer.Way != journal.WayGoto {
		return
	}
	siblings := tree.Siblings(w, f.Path)
	target := f.Answer.Case
	if m := tree.TargetMistake(n, siblings, target); m != "" {
		*f = refusal(f, "decision", m)
		return
	}
	from, to := tree.Index(siblings, n.Name), tree.Index(siblings, target)
	under := ""
	if i := len(f.Path) - len(n.Name) - 1; i > 0 {
		under = f.Path[:i]
	}
	p := h.At(under)
	drop := again(p, siblings, from, to)
	if len(drop) > 0 && p != nil && p.Jumps >= tree.MaxJumps {
		*f = refusal(f, "loop_limit", fmt.Sprintf("decision %q has gone back %d times in this sequence, which is the limit; use a Loop for more", n.Name, p.Jumps))
		return
	}
	f.Answer.Drop = drop
}

// again is what is to run as new visits when a decision goes from one sibling to
// another: all that has a record and does not stand before the target. Deploys
// may have moved nodes behind the decision, or have taken them away for a while.
func again(p *journal.Place, siblings []*tree.Node, from, to int) (names []string) {
	for i := to; i <= from; i++ {
		names = append(names, siblings[i].Name)
	}
	if p == nil {
		return names
	}
	for element := range p.Children() {
		name, _, way := journal.Element(element)
		if at := tree.Index(siblings, name); !way && (at < 0 || at >= to) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func refusal(f *journal.Fact, code, text string) journal.Fact {
	return journal.Fact{Kind: journal.Failed, Path: f.Path, At: f.At, Attempt: f.Attempt, Err: &journal.Error{
		Code: code, Path: f.Path, Attempt: f.Attempt, Message: text,
	}}
}
