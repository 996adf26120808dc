package plan

import (
	"fmt"

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
	if to > from {
		return
	}
	under := ""
	if i := len(f.Path) - len(n.Name) - 1; i > 0 {
		under = f.Path[:i]
	}
	if p := h.At(under); p != nil && p.Jumps >= tree.MaxJumps {
		*f = refusal(f, "loop_limit", fmt.Sprintf("decision %q has gone back %d times in this sequence, which is the limit; use a Loop for more", n.Name, p.Jumps))
		return
	}
	for _, s := range siblings[to : from+1] {
		f.Answer.Drop = append(f.Answer.Drop, s.Name)
	}
}

func refusal(f *journal.Fact, code, text string) journal.Fact {
	return journal.Fact{Kind: journal.Failed, Path: f.Path, At: f.At, Attempt: f.Attempt, Err: &journal.Error{
		Code: code, Path: f.Path, Attempt: f.Attempt, Message: text,
	}}
}
