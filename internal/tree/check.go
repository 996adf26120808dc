package tree

import (
	"fmt"
	"strconv"
)

// Mistake is something wrong in a definition.
type Mistake struct {
	Path string
	Text string
}

// Place fills the Place of every node under w and returns w.
func Place(w *Workflow) *Workflow {
	place(w.Root.Body, "", 1)
	return w
}

func place(nodes []*Node, under string, depth int) {
	if depth > MaxNesting+1 {
		return // Check reports it
	}
	for _, n := range nodes {
		if n == nil {
			continue // Check reports it, too
		}
		n.Place = Join(under, n.Name)
		for i := range n.Cases {
			n.Cases[i].Place = Join(under, CaseElement(n.Name, n.Cases[i].Key))
		}
		n.each(func(way string, body []*Node) {
			place(body, Join(under, way), depth+1)
		})
	}
}

// each calls fn for every way into n, with its static path element.
func (n *Node) each(fn func(way string, body []*Node)) {
	switch n.Kind {
	case Sequence, Loop, Each:
		fn(n.Name, n.Body)
	case Branch, Parallel:
		for _, c := range n.Cases {
			fn(CaseElement(n.Name, c.Key), c.Body)
		}
		if n.Else {
			fn(DefaultElement(n.Name), n.Default)
		}
	}
}

// Walk calls fn for every node under w, parents first.
func Walk(w *Workflow, fn func(*Node)) { walk(w.Root.Body, fn, 1) }

func walk(nodes []*Node, fn func(*Node), depth int) {
	if depth > MaxNesting+1 {
		return
	}
	for _, n := range nodes {
		if n == nil {
			continue
		}
		fn(n)
		n.each(func(_ string, body []*Node) { walk(body, fn, depth+1) })
	}
}

// Check returns every mistake in w at once. queues says which queue names are
// declared.
func Check(w *Workflow, queues func(string) bool) []Mistake {
	c := checker{queues: queues}
	if m := NameMistake(w.Name); m != "" {
		c.add("", m)
	}
	if m := TextMistake(w.Version); w.Version != "" && m != "" {
		c.add("", "version: "+m)
	}
	if len(w.Root.Body) == 0 {
		c.add("", "the workflow has no nodes; give it at least one step")
	}
	c.queue("", w.Queue)
	for _, m := range w.Root.Mistakes {
		c.add("", m)
	}
	c.body("", w.Root.Body, 1)
	return c.found
}

type checker struct {
	queues func(string) bool
	found  []Mistake
}

func (c *checker) add(path, text string) { c.found = append(c.found, Mistake{path, text}) }

func (c *checker) queue(path, name string) {
	if name == "" {
		return
	}
	if m := TextMistake(name); m != "" {
		c.add(path, "queue: "+m)
	} else if !c.queues(name) {
		c.add(path, "queue "+strconv.Quote(name)+" is not configured; add it to Config.Queues, or name it durable.Elsewhere if other workers serve it")
	}
}

func (c *checker) body(path string, nodes []*Node, depth int) {
	if depth > MaxNesting {
		c.add(path, fmt.Sprintf("nodes are nested deeper than %d", MaxNesting))
		return
	}
	seen := map[string]bool{}
	for i, n := range nodes {
		if n == nil {
			c.add(path, fmt.Sprintf("node %d is nil", i+1))
			continue
		}
		here := Join(path, n.Name)
		if m := NameMistake(n.Name); m != "" {
			here = Join(path, fmt.Sprintf("(node %d, a %s)", i+1, n.Kind))
			c.add(here, m)
		} else if seen[n.Name] {
			c.add(here, "two nodes side by side have this name; names are how a run finds its place, so rename one")
		}
		seen[n.Name] = true
		for _, m := range n.Mistakes {
			c.add(here, m)
		}
		c.node(here, n)
		c.decision(here, n, nodes)
		n.each(func(way string, body []*Node) { c.body(Join(path, way), body, depth+1) })
	}
}

func (c *checker) node(path string, n *Node) {
	switch n.Kind {
	case Step, Decision:
		c.step(path, n)
	case Parallel:
		c.parallel(path, n)
	case Each:
		c.items(path, n)
	case Input, Event, Pause, Child:
	case Branch:
		c.branch(path, n)
	case Loop:
		c.loop(path, n)
	case Sequence:
		if len(n.Body) == 0 {
			c.add(path, "the sequence has no nodes")
		}
	default:
		panic("tree: unknown kind " + n.Kind.String())
	}
}
