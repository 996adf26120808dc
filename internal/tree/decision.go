package tree

import (
	"slices"
	"strconv"
	"strings"
)

// decision checks the declared targets of a decision among its siblings.
func (c *checker) decision(path string, n *Node, siblings []*Node) {
	for _, t := range n.Targets {
		if m := TargetMistake(n, siblings, t); m != "" {
			c.add(path, "To: "+m)
		}
	}
}

// TargetMistake tells why a decision cannot go to a target, "" if it can.
func TargetMistake(n *Node, siblings []*Node, target string) string {
	if target == n.Name {
		return "decision " + strconv.Quote(n.Name) + " goes to itself; use Snooze or a retry to take it again later"
	}
	if Index(siblings, target) < 0 {
		var names []string
		for _, s := range siblings {
			if s != nil && s != n {
				names = append(names, s.Name)
			}
		}
		there := "; there are: " + strings.Join(names, ", ")
		if names == nil {
			there = ", nor is any other node"
		}
		return "decision " + strconv.Quote(n.Name) + " goes to " + strconv.Quote(target) + ", which is not beside it" + there
	}
	if n.Targets != nil && !slices.Contains(n.Targets, target) {
		return "decision " + strconv.Quote(n.Name) + " goes to " + strconv.Quote(target) + ", which its To does not declare; it has: " + strings.Join(n.Targets, ", ")
	}
	return ""
}

// Index is the place of a name in a list of nodes, -1 if it has none.
func Index(nodes []*Node, name string) int {
	return slices.IndexFunc(nodes, func(n *Node) bool { return n != nil && n.Name == name })
}

// Siblings is the nodes beside the one at a path of a run, itself included.
func Siblings(w *Workflow, path string) []*Node {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return w.Root.Body
	}
	nodes := w.Root.Body
	for under := path[:i]; ; {
		element, rest := Split(under)
		name, key, keyed := strings.Cut(element, "[")
		at := Index(nodes, name)
		if at < 0 {
			return nil
		}
		nodes = nodes[at].way(strings.TrimSuffix(key, "]"), keyed)
		if rest == "" {
			return nodes
		}
		under = rest
	}
}
