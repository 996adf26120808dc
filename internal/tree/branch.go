package tree

import "strconv"

func (c *checker) branch(path string, n *Node) {
	if len(n.Cases) == 0 && !n.Else {
		c.add(path, "the branch has neither a Case nor a Default")
	}
	seen := map[string]bool{}
	for _, way := range n.Cases {
		if seen[way.Key] {
			c.add(path, "two cases have the key "+strconv.Quote(way.Key))
		}
		seen[way.Key] = true
	}
}
