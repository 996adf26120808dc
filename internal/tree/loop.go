package tree

import "fmt"

func (c *checker) loop(path string, n *Node) {
	if len(n.Body) == 0 {
		c.add(path, "the loop has no nodes")
	}
	if n.Max < 0 {
		c.add(path, fmt.Sprintf("Max is %d; give the number of passes that are allowed", n.Max))
	}
}

// Passes is how often the loop may run its body.
func (n *Node) Passes() int {
	if n.Max == 0 {
		return DefaultLoopMax
	}
	return n.Max
}
