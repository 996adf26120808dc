package tree

import "fmt"

func (c *checker) items(path string, n *Node) {
	if len(n.Body) == 0 {
		c.add(path, "there are no nodes to run for each item")
	}
	if n.Concurrency < 0 {
		c.add(path, fmt.Sprintf("Concurrency is %d; give at least 1", n.Concurrency))
	}
}
