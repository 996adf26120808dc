package durable

import "github.com/durable-go/durable/internal/tree"

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
	s.n.Body = build(c, s.n, s.nodes)
	return s.n
}
