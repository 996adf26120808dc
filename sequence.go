package durable

import (
	"slices"

	"github.com/durable-go/durable/internal/tree"
)

// SequenceNode is a named list of nodes that run one after another.
type SequenceNode[S any] struct {
	n     *tree.Node
	nodes []Node[S]
}

// Sequence groups nodes under a name. Their paths begin with it.
func Sequence[S any](name string, nodes ...Node[S]) *SequenceNode[S] {
	return &SequenceNode[S]{n: &tree.Node{Kind: tree.Sequence, Name: name}, nodes: nodes}
}

func (s *SequenceNode[S]) build(c *codes, _ *S) *tree.Node {
	n := placed(s.n)
	n.Body = build(c, n, s.nodes)
	return n
}

// placed is a node's data for one place of one definition. A node may stand in several: what
// is built for one of them must not show in another.
func placed(n *tree.Node) *tree.Node {
	at := *n
	at.Cases, at.Mistakes = slices.Clone(n.Cases), slices.Clone(n.Mistakes)
	return &at
}
