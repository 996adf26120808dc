package tree

import "strconv"

func (c *checker) parallel(path string, n *Node) {
	if len(n.Cases) == 0 {
		c.add(path, "the block has no lanes")
	}
	if n.Settle && !n.Joins {
		c.add(path, "Settle lets every lane finish, and nobody would look at their errors; add .Merge(fn)")
	}
	seen := map[string]bool{}
	for _, lane := range n.Cases {
		if seen[lane.Key] {
			c.add(path, "two lanes have the name "+strconv.Quote(lane.Key)+"; rename one")
		}
		seen[lane.Key] = true
		if len(lane.Body) == 0 {
			c.add(path, "the lane "+strconv.Quote(lane.Key)+" has no nodes")
		}
	}
}
