package tree

import "strings"

// Find returns the node at a path of a run (with pass numbers), nil if this
// workflow has none there.
func Find(w *Workflow, path string) *Node {
	nodes := w.Root.Body
	for {
		element, rest := Split(path)
		name, key, keyed := strings.Cut(element, "[")
		var n *Node
		for _, x := range nodes {
			if x.Name == name {
				n = x
				break
			}
		}
		switch {
		case n == nil:
			return nil
		case rest == "":
			return n
		}
		nodes = n.way(strings.TrimSuffix(key, "]"), keyed)
		path = rest
	}
}

// way is the nodes under n that a path element with this key leads to.
func (n *Node) way(key string, keyed bool) []*Node {
	switch {
	case !keyed || n.Kind == Loop || n.Kind == Each:
		return n.Body
	case key == DefaultWay:
		return n.Default
	}
	for _, c := range n.Cases {
		if Escape(c.Key) == key {
			return c.Body
		}
	}
	return nil
}
