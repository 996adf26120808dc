package tree

import (
	"fmt"
	"strings"
)

func (c *checker) items(path string, n *Node) {
	if len(n.Body) == 0 {
		c.add(path, "there are no nodes to run for each item")
	}
	if n.Concurrency < 0 {
		c.add(path, fmt.Sprintf("Concurrency is %d; give at least 1", n.Concurrency))
	}
	if !n.Spread {
		return
	}
	if n.Concurrency > MaxSpreadAhead {
		c.add(path, fmt.Sprintf("Concurrency is %d; with Spread give at most %d", n.Concurrency, MaxSpreadAhead))
	}
}

// SpreadMark stands in the names of definitions that are the items of a spread Each.
const SpreadMark = "#"

// ItemName is the name of the definition of which the items of a spread Each are executions.
// workflow is the one in which the Each is, perhaps itself such a definition.
func ItemName(workflow string, n *Node) string {
	name, _, _ := strings.Cut(workflow, SpreadMark)
	return name + SpreadMark + n.Place
}

// IsItem tells whether a definition with that name is of items.
func IsItem(workflow string) bool { return strings.Contains(workflow, SpreadMark) }

// Ahead is how many items of a spread Each may have begun and not ended at once.
func (n *Node) Ahead() int {
	if n.Concurrency > 0 {
		return n.Concurrency
	}
	return SpreadAhead
}
